#!/usr/bin/env python3
"""A busy bus that knows what it said, and a sniffer that must not miss a byte of it.

A generator writes frames, garbage and frames with changed bytes to pseudo-terminals, at the pace of
a wire, and keeps its own list of them. `k485 sniff` hears the other ends and keeps what it hears in
a pcapng file. At the end the file is compared with the list:

- every byte that was written is in the file, in order, for each port;
- every frame on the list that was not changed is a packet of the file, at its place. But for false
  locks: an F7 in garbage or in a changed frame, with bytes behind it that happen to be right as LEN
  and CRC (one in 256), is a frame to anybody who cannot ask the sender. It takes the beginning of
  what follows with it. Such packets are told apart by the list, and counted; a frame that is
  missing for no such reason is a failure. (A changed frame that is right all the same, since the CRC
  does not cover ADDR or by chance, is counted apart: it takes nothing.)

The generator never waits: a write that the kernel has no room for is lost on a wire, too. Such bytes
are counted, and taken off the list. Where the machine itself holds up the generator, it does not
catch up in a burst, which no wire does: the bus was silent meanwhile. A frame that such a silence of
100 ms or more cuts in two is counted apart, for a reader is right to end it there.

Nothing here is taken from k485: the CRC, the frames and the reader of pcapng are this file's own.

With --compare a second reader hears the same bytes on another pseudo-terminal in the same run: a
Python program that does the job with pyserial: read, cut into frames by a table CRC, write a packet
each to a file and, as k485 does, a line each to /dev/null; it decodes and pairs nothing. With --mute
neither shows anything: k485 is given a filter that nothing passes. The processor time of both is
told.

usage: soak.py [--seconds 600] [--baud 230400] [--ports 1] [--compare] [--k485 PATH]
               [--seed 485] [--keep DIR] [--limit RATIO] [--max-lost BYTES]
               [--mute]

Exit codes: 0 all is there; 1 something is missing, or it could not run.
"""

import argparse
import array
import bisect
import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import tty

HEAD = 0xF7
BITS = 10                       # 8N1
CHANGED = 0.01                  # of the bytes of frames
GARBAGE = 0.05                  # of the places between frames
PIECE = 2 << 20                 # bytes made by the generator; a longer stream is several of them
TICK = 0.001                    # seconds between two writes
BURST = 0.005                   # seconds' worth of bytes that are sent at once at most
SILENCE = 0.1                   # seconds after which a reader may end an open frame, at the least


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
        table.append(value)
    return table


TABLE = crc_table()


def crc8(data):
    crc = 0
    for byte in data:
        crc = TABLE[crc ^ byte]
    return crc


def frame(addr, status, func, data):
    covered = bytes([len(data) + 3, status, func]) + data
    return bytes([HEAD, addr]) + covered + bytes([crc8(covered)])


def is_frame(data):
    """Whether bytes are one whole frame, as far as anybody can tell."""
    return (len(data) >= 6 and data[0] == HEAD and data[2] == len(data) - 3 and data[2] >= 3
            and crc8(data[2:-1]) == data[-1])


class Piece:
    """Bytes to send, and the list of what they are."""

    def __init__(self, size, rng):
        out = bytearray()
        self.starts = array.array("L")
        self.lengths = array.array("H")
        self.changed = bytearray()      # a flag a frame
        while len(out) < size:
            if rng.random() < GARBAGE:
                junk = bytearray(rng.randbytes(rng.randint(1, 20)))
                if rng.random() < 0.3:
                    junk[rng.randrange(len(junk))] = HEAD
                out += junk
            addr = rng.choice((1, 2, 3, 4, 0x81, 0x82, 0x91))
            func = rng.choice((0x02, 0x03, 0x08, 0x0A, 0x0A, 0x0A, 0x0D, 0x10))
            status = rng.choice((0xFF, 0x00))
            right = frame(addr, status, func, rng.randbytes(rng.choice((0, 1, 2, 4, 5, 9, 24))))
            sent = bytearray(right)
            for i in range(len(sent)):
                if rng.random() < CHANGED:
                    sent[i] ^= rng.randint(1, 255)
            self.starts.append(len(out))
            self.lengths.append(len(sent))
            self.changed.append(sent != right)
            out += sent
        self.bytes = bytes(out)


class Line:
    """One port: its pseudo-terminal, and how far the stream is."""

    def __init__(self, piece, total):
        self.master, self.slave = pty.openpty()
        # Before anybody opens it: a fresh one echoes. The slave stays open, so that its settings
        # do, and the kernel never hangs up.
        tty.setraw(self.slave)
        fcntl.fcntl(self.master, fcntl.F_SETFL, os.O_NONBLOCK)
        self.path = os.ttyname(self.slave)
        self.piece = piece
        self.total = total
        self.sent = 0                   # bytes of the stream that are behind us, lost ones too
        self.lost = []                  # (begin, end) in the stream
        self.stalls = []                # where the generator was held up, in the stream

    def send(self, upto):
        """Sends what is due; what does not fit is lost, as on a wire."""
        upto = min(upto, self.total)
        while self.sent < upto:
            at = self.sent % len(self.piece.bytes)
            data = self.piece.bytes[at:at + upto - self.sent]
            try:
                done = os.write(self.master, data)
            except BlockingIOError:
                done = 0
            if done < len(data):
                self.lost.append((self.sent + done, self.sent + len(data)))
            self.sent += len(data)

    def back(self):
        """What came back from the other end: nothing ever may."""
        try:
            return os.read(self.master, 4096)
        except BlockingIOError:
            return b""

    def lost_bytes(self):
        return sum(end - begin for begin, end in self.lost)

    def written(self):
        """The bytes that the kernel took, in runs."""
        size = len(self.piece.bytes)
        begin = 0
        for gap in self.lost + [(self.total, self.total)]:
            while begin < gap[0]:
                at = begin % size
                end = min(gap[0], begin + size - at)
                yield self.piece.bytes[at:at + end - begin]
                begin = end
            begin = gap[1]

    def stalls_written(self):
        """Where the generator was held up, in what was written."""
        return [stall - sum(end - begin for begin, end in self.lost if end <= stall)
                for stall in self.stalls]

    def changed(self):
        """The changed frames of the list: begin in what was written, and length."""
        return dict(self.frames(changed=1)[0])

    def frames(self, changed=0):
        """The frames of the list as (begin in what was written, length), in order: those that
        were not changed (or were) and of which no byte was lost. And how many were lost in part."""
        size = len(self.piece.bytes)
        begins = [begin for begin, _ in self.lost]
        ends = [end for _, end in self.lost]
        before = [0]
        for begin, end in self.lost:
            before.append(before[-1] + end - begin)
        whole, spoiled = [], 0
        for base in range(0, self.total, size):
            for start, length, flag in zip(
                    self.piece.starts, self.piece.lengths, self.piece.changed):
                begin = base + start
                if begin + length > self.total:
                    break
                if flag != changed:
                    continue
                i = bisect.bisect_right(ends, begin)
                if i < len(begins) and begins[i] < begin + length:
                    spoiled += 1
                else:
                    whole.append((begin - before[i], length))
        return whole, spoiled


def generate(lines, baud, seconds, end):
    """Sends on all lines for so long; what came back, and the longest time between two ticks."""
    rate = baud / BITS
    hurry()
    began = last = time.monotonic()
    worst = 0
    back = 0
    while True:
        now = time.monotonic()
        worst = max(worst, now - last)
        if now - last > SILENCE:
            for line in lines:
                line.stalls.append(line.sent)
        if now - last > BURST:
            began += now - last - BURST
        last = now
        for line in lines:
            line.send(int((now - began) * rate))
            back += len(line.back())
        if now - began > seconds or end():
            return back, worst
        time.sleep(TICK)


def hurry():
    """Goes before others where it may: a wire is never late."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        pass


# --- pcapng -------------------------------------------------------------------------------------

def packets(path):
    """The packets of a little-endian pcapng file, as (interface's name, bytes)."""
    with open(path, "rb") as file:
        data = memoryview(file.read())
    at, names = 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        body = data[at + 8:at + length - 4]
        if struct.unpack_from("<I", data, at + length - 4)[0] != length:
            raise ValueError(f"{path}: the block at {at} has two lengths")
        if kind == 0x0A0D0D0A:
            if struct.unpack_from("<I", body)[0] != 0x1A2B3C4D:
                raise ValueError(f"{path}: not little-endian")
            names = []
        elif kind == 1:
            names.append(interface_name(body[8:]))
        elif kind == 6:
            number, _, _, size = struct.unpack_from("<IIII", body)
            yield names[number], body[20:20 + size]
        at += length


def interface_name(options):
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        if code == 2:
            return bytes(options[at + 4:at + 4 + length]).decode()
        if code == 0:
            break
        at += 4 + (length + 3) // 4 * 4
    return ""


# --- the comparison -----------------------------------------------------------------------------

def compare(line, spans):
    """Compares what was heard on a port with its list; the report, and whether it is well."""
    heard = b"".join(spans)
    written = b"".join(line.written())
    report = {"bytes": len(written), "lost to EAGAIN": line.lost_bytes()}
    if heard != written:
        at = next((i for i, (a, b) in enumerate(zip(heard, written)) if a != b),
                  min(len(heard), len(written)))
        report["NOT ALL BYTES"] = f"{len(heard)} heard, the first difference at {at}"
        return report, False
    truth, spoiled = line.frames()
    found, locks = set(), []
    known = dict(truth)
    changed = line.changed()
    at = alike = 0
    for span in spans:
        if known.get(at) == len(span):
            found.add(at)
        elif changed.get(at) == len(span) and is_frame(span):
            alike += 1
        elif is_frame(span):
            locks.append((at, at + len(span)))
        at += len(span)
    missing = [(begin, length) for begin, length in truth if begin not in found]
    cut = [(begin, length) for begin, length in missing
           if any(begin < stall < begin + length for stall in line.stalls_written())]
    missing = [frame for frame in missing if frame not in cut]
    ends = [end for _, end in locks]
    unexplained = 0
    for begin, length in missing:
        i = bisect.bisect_right(ends, begin)
        if i == len(locks) or locks[i][0] >= begin + length:
            unexplained += 1
            if unexplained <= 5:
                around(spans, begin, length)
    report.update({
        "frames on the list": len(truth), "found": len(found), "lost in part": spoiled,
        "cut by a stall": len(cut),
        "changed and right": alike, "false locks": len(locks), "inside one": len(missing) - unexplained,
        "MISSING": unexplained,
    })
    return report, unexplained == 0


def around(spans, begin, length):
    """Shows what was made of the bytes of a frame that is missing."""
    at = 0
    print(f"missing: {length} bytes at {begin}")
    for span in spans:
        if at + len(span) > begin - 16 and at < begin + length:
            print(f"  at {at}: {span.hex()}{' (a frame)' if is_frame(span) else ''}")
        at += len(span)


# --- the other reader ---------------------------------------------------------------------------

def peer(path, out, mute):
    """Does the job with pyserial, as one would: until it is told to end."""
    import serial
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    port = serial.Serial(path, 230400, timeout=0.05)
    buffer = bytearray()
    print("ready", flush=True)
    with open(out, "wb") as file, open(os.devnull, "w") as screen:
        def write(data):
            now = time.time_ns()
            if not mute:
                clock = time.strftime("%H:%M:%S", time.localtime(now // 1000000000))
                print(f"{clock}.{now // 1000000 % 1000:03} {data.hex()}", file=screen)
            size = 32 + (len(data) + 3) // 4 * 4
            file.write(struct.pack("<IIIIIII", 6, size, 0, now >> 32, now & 0xFFFFFFFF,
                                   len(data), len(data)))
            file.write(data)
            file.write(bytes(-len(data) % 4) + struct.pack("<I", size))
        while True:
            data = port.read(port.in_waiting or 1)
            if not data and over:
                break
            buffer += data
            at = 0
            while at < len(buffer):
                if buffer[at] != HEAD:
                    end = buffer.find(HEAD, at)
                    end = len(buffer) if end < 0 else end
                    write(buffer[at:end])
                    at = end
                    continue
                if len(buffer) - at < 3:
                    break
                size = buffer[at + 2] + 3
                if size < 6:
                    write(buffer[at:at + 1])
                    at += 1
                    continue
                if len(buffer) - at < size:
                    break
                crc = 0
                for byte in buffer[at + 2:at + size - 1]:
                    crc = TABLE[crc ^ byte]
                if crc == buffer[at + size - 1]:
                    write(buffer[at:at + size])
                    at += size
                else:
                    write(buffer[at:at + 1])
                    at += 1
            del buffer[:at]
        write(buffer)


def cpu(pid):
    """User and system time of a process and its threads, in seconds."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


# --- the run ------------------------------------------------------------------------------------

def wait_for(process, stream, word, times):
    """Waits until the process said a word so often; gives up when it ends, or after 30 s."""
    seen, until = b"", time.monotonic() + 30
    while seen.count(word) < times:
        ready, _, _ = select.select([stream], [], [], 0.2)
        chunk = os.read(stream.fileno(), 4096) if ready else b""
        if (ready and not chunk) or time.monotonic() > until:
            process.kill()
            raise SystemExit(f"soak: it does not listen: {seen.decode(errors='replace')}")
        seen += chunk


def built():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(root, "target", "release", "k485")


def run(args, folder):
    total = int(args.seconds * args.baud / BITS)
    lines = []
    for number in range(args.ports):
        piece = Piece(min(total, PIECE), random.Random(args.seed + number))
        lines.append(Line(piece, total))
    capture = os.path.join(folder, "soak.pcapng")
    command = [args.k485, "sniff", "-w", capture, "--baud", "230400"]
    for number, line in enumerate(lines):
        command += ["--port", f"p{number}={line.path}"]
    if args.mute:
        command += ["-F", "frame && noise"]
    sniff = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    other, extra = None, []
    try:
        wait_for(sniff, sniff.stderr, b"listening on", args.ports)
        if args.compare:
            extra = [Line(lines[0].piece, total)]
            command = [sys.executable, __file__, "--peer", extra[0].path,
                       os.path.join(folder, "peer.pcapng")] + ["--mute"] * args.mute
            other = subprocess.Popen(command, stdout=subprocess.PIPE)
            wait_for(other, other.stdout, b"ready", 1)
        used = cpu(sniff.pid), cpu(other.pid) if other else 0
        back, worst = generate(lines + extra, args.baud, args.seconds + TICK,
                               lambda: sniff.poll() is not None)
        # What is on its way is read within moments, and what is read is in the file within a
        # second; both are seen to be over before it is ended.
        settle(capture)
        used = cpu(sniff.pid) - used[0], (cpu(other.pid) - used[1] if other else 0)
        sniff.send_signal(signal.SIGINT)
        said = sniff.stderr.read().decode(errors="replace")
        code = sniff.wait()
        if other:
            other.terminate()
            other.wait()
    finally:
        for process in (sniff, other):
            if process and process.poll() is None:
                process.kill()
                process.wait()
    well = code == 0 and back == 0
    print(f"{args.seconds:g} s at {args.baud} baud on {args.ports} port(s); generator never later "
          f"than {worst * 1000:.1f} ms; sent back: {back} bytes; exit code {code}")
    for word in said.strip().splitlines():
        print(f"  sniff: {word[:160]}")
    heard = {f"p{number}": [] for number in range(args.ports)}
    for name, data in packets(capture):
        heard[name].append(bytes(data))
    for number, line in enumerate(lines):
        report, good = compare(line, heard[f"p{number}"])
        well &= good
        print(f"p{number}: " + ", ".join(f"{key}: {value}" for key, value in report.items()))
    if args.max_lost is not None:
        lost = sum(line.lost_bytes() for line in lines)
        if lost > args.max_lost:
            print(f"soak: {lost} bytes were lost, more than {args.max_lost}")
            well = False
    share = 100 * used[0] / args.seconds
    print(f"processor: k485 {used[0]:.2f} s ({share:.1f} % of one)")
    if other:
        ratio = used[0] / max(used[1], 0.01)
        print(f"           pyserial {used[1]:.2f} s for one port, lost to EAGAIN: "
              f"{extra[0].lost_bytes()}; ratio {ratio:.2f}")
        if args.limit is not None and ratio > args.limit:
            print(f"soak: the ratio is above {args.limit}")
            well = False
    return well


def settle(path):
    """Waits until a file has not grown for two seconds."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < 2:
        now = os.path.getsize(path)
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--baud", type=int, default=230400, help="the pace of each port")
    parser.add_argument("--ports", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="against a reader with pyserial")
    parser.add_argument("--mute", action="store_true", help="show nothing, only keep")
    parser.add_argument("--limit", type=float, help="fail above this ratio of processor times")
    parser.add_argument("--max-lost", type=int, help="fail if more bytes find no room")
    parser.add_argument("--k485", default=built(), help="the binary")
    parser.add_argument("--seed", type=int, default=485)
    parser.add_argument("--keep", metavar="DIR", help="where the capture stays")
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(*args.peer, args.mute)
    if args.compare:
        try:
            import serial
            assert serial.Serial
        except ImportError:
            raise SystemExit("soak: --compare needs pyserial (pip install pyserial)")
    if args.keep:
        return 0 if run(args, args.keep) else 1
    with tempfile.TemporaryDirectory() as folder:
        return 0 if run(args, folder) else 1


if __name__ == "__main__":
    sys.exit(main())
