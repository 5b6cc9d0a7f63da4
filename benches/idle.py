#!/usr/bin/env python3
"""What `k485 emulate` costs while nobody asks it anything, and while a host polls it.

The processor time is read from /proc (Linux), so that what else the machine does does not count.

usage: idle.py [--seconds 20] [--k485 target/release/k485] [--limit PERCENT]

Exit codes: 0 done; 1 idle it takes more than --limit; 2 it could not run.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

STATE = bytes.fromhex("f70103ff0a5c")


def spent(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(pid, seconds, each=None):
    """Percent of one processor; `each` is done ten times a second."""
    began, before = time.monotonic(), spent(pid)
    while time.monotonic() - began < seconds:
        if each:
            each()
        time.sleep(0.1)
    return 100 * (spent(pid) - before) / (time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--k485", default="target/release/k485")
    parser.add_argument("--limit", type=float)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "bus")
        command = [args.k485, "emulate", "--boxes", "4", "--pty", link, "--tcp", "127.0.0.1:0"]
        try:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError as error:
            print(f"idle.py: {args.k485}: {error}; cargo build --release", file=sys.stderr)
            sys.exit(2)
        json.loads(child.stdout.readline())
        time.sleep(1)
        nobody = share(child.pid, args.seconds)
        fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

        def poll():
            os.write(fd, STATE)
            try:
                os.read(fd, 4096)
            except BlockingIOError:
                pass

        somebody = share(child.pid, args.seconds)
        polled = share(child.pid, args.seconds, poll)
        child.send_signal(signal.SIGINT)
        child.wait(10)
    print(f"nobody connected: {nobody:.2f} % of a processor")
    print(f"a silent client:  {somebody:.2f} %")
    print(f"10 polls a second: {polled:.2f} %")
    if args.limit is not None and max(nobody, somebody) > args.limit:
        sys.exit(1)


if __name__ == "__main__":
    main()
