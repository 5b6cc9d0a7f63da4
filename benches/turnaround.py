#!/usr/bin/env python3
"""How fast an emulated box answers on a pseudo-terminal, against responders of other makes.

A client asks 6 bytes (ONLINE_CHECK) and waits for the 20 of the reply, of all responders in an order
that is drawn anew each round, so that whatever else the machine does befalls all of them alike:

- `k485 emulate --fast`, a box at address 1, with everything that a box does;
- a Python program with pyserial that knows one reply and looks at nothing;
- one with pyserial that looks: it finds the frame, checks address, length and CRC and makes the reply;
- socat with a Python program behind it that looks at nothing;
- a C program that waits in poll(), reads and writes, and looks at nothing: what is left is the price of
  two programs and a pseudo-terminal on this machine, below which no responder comes that sleeps.

Those that need pyserial, socat or cc are left out, and this is said, where it is not installed; nothing
is installed here.

usage: turnaround.py [--rounds 3000] [--k485 target/release/k485] [--limit RATIO]

Exit codes: 0 done; 1 with --limit: the median is above so many times pyserial's, or the 99th
percentile above pyserial's; 2 it could not run.
"""

import argparse
import importlib.util
import json
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty

REQUEST = bytes.fromhex("f7010300a2da")
TIMEOUT = 5.0

PYSERIAL = """
import sys, serial
port = serial.Serial(sys.argv[1], 230400)
reply = bytes.fromhex(sys.argv[2])
while True:
    if len(port.read(6)) == 6:
        port.write(reply)
"""

CHECKED = """
import sys, serial

def crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 7) & 0xFF if crc & 0x80 else crc << 1
    return crc

TABLE = [crc8([byte]) for byte in range(256)]

def check(data):
    crc = 0
    for byte in data:
        crc = TABLE[crc ^ byte]
    return crc

port = serial.Serial(sys.argv[1], 230400)
answer = bytes.fromhex(sys.argv[2])[2:-1]
while True:
    if port.read(1) != b'\\xf7':
        continue
    addr, length = port.read(2)
    body = port.read(length)
    if addr == 1 and check(bytes([length]) + body[:-1]) == body[-1] and body[1] == 0xA2:
        port.write(b'\\xf7\\x01' + answer + bytes([check(answer)]))
"""

POLLED = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int near = posix_openpt(O_RDWR | O_NOCTTY), got = 0, count = strlen(argv[1]) / 2;
    if (near < 0 || grantpt(near) || unlockpt(near)) return 1;
    int far = open(ptsname(near), O_RDWR | O_NOCTTY);
    struct termios mode;
    tcgetattr(far, &mode);
    cfmakeraw(&mode);
    tcsetattr(far, TCSANOW, &mode);
    puts(ptsname(near));
    fflush(stdout);
    unsigned char reply[64], heard[64];
    for (int at = 0; at < count; at++) sscanf(argv[1] + 2 * at, "%2hhx", &reply[at]);
    for (struct pollfd waits = {near, POLLIN, 0}; poll(&waits, 1, -1) > 0;) {
        int more = read(near, heard, sizeof heard);
        if (more <= 0) return 0;
        for (got += more; got >= 6; got -= 6)
            if (write(near, reply, count) != count) return 1;
    }
}
"""

PIPED = """
import os, sys
reply = bytes.fromhex(sys.argv[1])
got = b''
while True:
    more = os.read(0, 6 - len(got))
    if not more:
        break
    got += more
    if len(got) == 6:
        os.write(1, reply)
        got = b''
"""


def crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 7) & 0xFF if crc & 0x80 else crc << 1
    return crc


def frame(addr, status, func, data):
    body = bytes([len(data) + 3, status, func]) + data
    return bytes([0xF7, addr]) + body + bytes([crc8(body)])


def fail(why):
    print(f"turnaround.py: {why}", file=sys.stderr)
    sys.exit(2)


class Responder:
    """Somebody who answers, and the descriptor to ask at."""

    def __init__(self, name, child, fd):
        self.name, self.child, self.fd, self.times = name, child, fd, []

    def ask(self, request, count):
        began = time.perf_counter_ns()
        os.write(self.fd, request)
        heard = b""
        while len(heard) < count:
            if not select.select([self.fd], [], [], TIMEOUT)[0]:
                fail(f"{self.name} does not answer; heard {heard.hex()}")
            heard += os.read(self.fd, 4096)
        return heard, time.perf_counter_ns() - began

    def end(self):
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()


def wait_for(path):
    until = time.monotonic() + 10
    while not os.path.exists(path):
        if time.monotonic() > until:
            fail(f"{path} does not appear")
        time.sleep(0.01)


def k485(binary, folder):
    link = os.path.join(folder, "k485")
    command = [binary, "emulate", "--fast", "--boxes", "1", "--pty", link]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    told = json.loads(child.stdout.readline())
    fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
    responder = Responder("k485 emulate --fast", child, fd)
    uniid = bytes.fromhex(told["devices"][0]["uniid"])
    # Answered three times.
    responder.ask(frame(0xFE, 0, 0xA0, b"\x01" + uniid), 60)
    return responder


def pyserial(name, program, reply):
    near, far = pty.openpty()
    tty.setraw(far)
    path = os.ttyname(far)
    command = [sys.executable, "-c", program, path, reply.hex()]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    return Responder(name, child, near)


def polled(reply, folder):
    source, binary = os.path.join(folder, "polled.c"), os.path.join(folder, "polled")
    with open(source, "w") as file:
        file.write(POLLED)
    subprocess.run(["cc", "-O2", "-o", binary, source], check=True)
    child = subprocess.Popen([binary, reply.hex()], stdout=subprocess.PIPE, text=True)
    return Responder("C", child, os.open(child.stdout.readline().strip(), os.O_RDWR | os.O_NOCTTY))


def socat(reply, folder):
    link = os.path.join(folder, "socat")
    script = os.path.join(folder, "piped.py")
    with open(script, "w") as file:
        file.write(PIPED)
    behind = f"EXEC:{sys.executable} {script} {reply.hex()}"
    child = subprocess.Popen(["socat", f"PTY,raw,echo=0,link={link}", behind])
    wait_for(link)
    return Responder("socat", child, os.open(link, os.O_RDWR | os.O_NOCTTY))


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] / 1000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--k485", default="target/release/k485")
    parser.add_argument("--limit", type=float)
    args = parser.parse_args()
    if not os.path.exists(args.k485):
        fail(f"{args.k485}: not there; cargo build --release, or --k485 PATH")
    with tempfile.TemporaryDirectory() as folder:
        responders = [k485(args.k485, folder)]
        reply = responders[0].ask(REQUEST, 20)[0]
        if importlib.util.find_spec("serial"):
            responders.append(pyserial("pyserial", PYSERIAL, reply))
            responders.append(pyserial("pyserial that looks", CHECKED, reply))
        else:
            print("pyserial is not installed: left out")
        if shutil.which("socat"):
            responders.append(socat(reply, folder))
        else:
            print("socat is not installed: left out")
        if shutil.which("cc"):
            responders.append(polled(reply, folder))
        else:
            print("cc is not installed: the C program is left out")
        order = list(responders)
        try:
            for turn in range(args.rounds + 50):
                random.shuffle(order)
                for responder in order:
                    heard, took = responder.ask(REQUEST, 20)
                    if heard != reply:
                        fail(f"{responder.name} answered {heard.hex()}")
                    # The first ones warm up.
                    if turn >= 50:
                        responder.times.append(took)
        finally:
            for responder in responders:
                responder.end()
    rows = {r.name: (percentile(r.times, 0.5), percentile(r.times, 0.99)) for r in responders}
    print(f"{args.rounds} rounds, 6 bytes asked, 20 answered; in us:")
    mine = rows["k485 emulate --fast"]
    for name, (p50, p99) in rows.items():
        ratio = f"{mine[0] / p50:.2f}x and {mine[1] / p99:.2f}x of it" if name[0] != "k" else ""
        print(f"  {name:19} p50 {p50:8.1f}  p99 {p99:8.1f}  {ratio}")
    if args.limit and "pyserial" in rows:
        other = rows["pyserial"]
        if mine[0] > args.limit * other[0] or mine[1] > other[1]:
            sys.exit(1)


if __name__ == "__main__":
    main()
