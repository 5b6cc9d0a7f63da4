#!/usr/bin/env python3
"""An adapter that is pulled out and plugged in again, twenty times, while `k485 sniff` listens.

The adapter is a symbolic link to a pseudo-terminal, as /dev/serial/by-id has them. Pulled out: the
pseudo-terminal is closed and the link removed, in the middle of a frame. Plugged in: a new
pseudo-terminal, the link leads to it, after some other one took the old one's number. Each time a
frame that tells the round is said until it is in the file. At the end the sniffer must have told of
every pull and return, and have counted a gap for each.

usage: unplug.py [--times 20] [--k485 PATH]

Exit codes: 0 it came back each time; 1 it did not.
"""

import argparse
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
import tty

sys.dont_write_bytecode = True
from soak import built, frame, packets, wait_for

LONG = 30       # seconds: far longer than anything takes


class Adapter:
    """A pseudo-terminal behind a link."""

    def __init__(self, link):
        self.link = link
        self.master = None

    def plug(self):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.slave = slave
        os.symlink(os.ttyname(slave), self.link)

    def say(self, data):
        os.write(self.master, data)

    def pull(self):
        os.unlink(self.link)
        os.close(self.slave)
        os.close(self.master)


def has(path, wanted):
    try:
        return any(bytes(data) == wanted for _, data in packets(path))
    except (OSError, ValueError):
        return False        # a block is half written


def until(what, done):
    end = time.monotonic() + LONG
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"unplug: {what} did not happen in {LONG} s")
        time.sleep(0.05)


def run(times, k485, folder):
    link, capture = os.path.join(folder, "adapter"), os.path.join(folder, "out.pcapng")
    adapter = Adapter(link)
    adapter.plug()
    command = [k485, "sniff", "-w", capture, "--port", f"bus={link}"]
    sniff = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(sniff, sniff.stderr, b"listening on", 1)
        other = []
        for number in range(times + 1):
            mark = frame(1, 0xFF, 0x0A, bytes([0x55, number]))

            def heard():
                adapter.say(mark)
                time.sleep(0.1)
                return has(capture, mark)
            until(f"hearing in round {number}", heard)
            if number == times:
                break
            adapter.say(mark[:4])
            adapter.pull()
            # The number that is free again goes to somebody else, every other time.
            other = [pty.openpty()] if number % 2 else []
            time.sleep(0.1 * (number % 4))
            adapter.plug()
            for ends in other:
                for end in ends:
                    os.close(end)
        sniff.send_signal(signal.SIGINT)
        said = sniff.stderr.read().decode(errors="replace")
        code = sniff.wait(LONG)
    finally:
        if sniff.poll() is None:
            sniff.kill()
            sniff.wait()
    gone, back = said.count(" is gone"), said.count(" is back ")
    print(f"{times} times unplugged: {gone} times gone, {back} times back, exit code {code}")
    if (gone, back, code) != (times, times, 0) or f"gaps: {times}" not in said:
        print(said)
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--k485", default=built(), help="the binary")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return 0 if run(args.times, args.k485, folder) else 1


if __name__ == "__main__":
    sys.exit(main())
