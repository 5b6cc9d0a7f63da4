#!/usr/bin/env python3
"""Whether an open page slows the emulated bus: how fast a box answers with and without.

Three emulators answer in turn, so that whatever else the machine does befalls all of them alike:

- without --control;
- with --control, and nobody there;
- with --control and several WebSocket clients that read everything: the state ten times a second, and
  each exchange.

usage: page_p99.py [--rounds 3000] [--pages 4] [--k485 target/release/k485] [--limit RATIO]

Exit codes: 0 done; 1 with --limit: the 99th percentile with pages is above so many times that without
control; 2 it could not run.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from turnaround import REQUEST, Responder, fail, frame, percentile


class Page(threading.Thread):
    """A WebSocket client that reads all there is. In a process of its own a page costs the machine more
    than here; the emulator sees the same."""

    def __init__(self, address):
        super().__init__(daemon=True)
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)))
        lines = [
            "GET /api/v1/events HTTP/1.1",
            f"Host: {address}",
            f"Origin: http://{address}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        if not self.socket.recv(4096).startswith(b"HTTP/1.1 101"):
            fail("the page gets no WebSocket")
        self.heard = 0
        self.start()

    def run(self):
        while True:
            got = self.socket.recv(1 << 16)
            if not got:
                return
            self.heard += len(got)


def emulator(binary, folder, name, control):
    link = os.path.join(folder, name.replace(" ", "-"))
    command = [binary, "emulate", "--fast", "--boxes", "1", "--pty", link, *control]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    told = json.loads(child.stdout.readline())
    fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
    responder = Responder(name, child, fd)
    uniid = bytes.fromhex(told["devices"][0]["uniid"])
    # Answered three times.
    responder.ask(frame(0xFE, 0, 0xA0, b"\x01" + uniid), 60)
    return responder, told


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--pages", type=int, default=4)
    parser.add_argument("--pause", type=float, default=2.0, help="ms between two rounds")
    parser.add_argument("--k485", default="target/release/k485")
    parser.add_argument("--limit", type=float)
    args = parser.parse_args()
    if not os.path.exists(args.k485):
        fail(f"{args.k485}: not there; cargo build --release, or --k485 PATH")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        there = ["--control", "127.0.0.1:0"]
        alone = emulator(args.k485, folder, "without control", [])[0]
        idle = emulator(args.k485, folder, "with control", there)[0]
        watched, told = emulator(args.k485, folder, f"with {args.pages} pages", there)
        responders = [alone, idle, watched]
        address = told["control"]["url"].split("/")[2]
        pages = [Page(address) for _ in range(args.pages)]
        try:
            for turn in range(args.rounds + 50):
                # Each is first as often as the others: who is asked after the pause is colder.
                first = turn % len(responders)
                for responder in responders[first:] + responders[:first]:
                    _, took = responder.ask(REQUEST, 20)
                    # The first ones warm up.
                    if turn >= 50:
                        responder.times.append(took)
                # A bus carries some hundred exchanges a second at most.
                time.sleep(args.pause / 1000)
        finally:
            for responder in responders:
                responder.end()
    print(f"{args.rounds} rounds, 6 bytes asked, 20 answered; in us:")
    rows = [(r.name, percentile(r.times, 0.5), percentile(r.times, 0.99)) for r in responders]
    for name, p50, p99 in rows:
        ratio = f"{p50 / rows[0][1]:.2f}x and {p99 / rows[0][2]:.2f}x"
        print(f"  {name:20} p50 {p50:8.1f}  p99 {p99:8.1f}  {ratio}")
    print(f"each page heard {min(page.heard for page in pages) / 1e6:.1f} MB")
    if args.limit and rows[2][2] > args.limit * rows[0][2]:
        sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
