#!/usr/bin/env python3
"""Makes sample-load.hex: some 45 seconds of a made-up bus, the same bytes at every run.

Three threads of a host share one bus with three filament boxes; a fourth box that the host has
saved is not there. The host looks for the boxes, polls them, and loads slot T2A. On the way the
line is spoilt a few times, so that a reader of the file meets noise, a wrong CRC, a request sent
again and requests that nobody answers.

Nothing is copied from a recording: identities, temperatures and odometers are invented, the
delays are drawn from a seeded generator. Only layouts, order and timing follow the real devices.

usage: make_sample.py            print the capture
       make_sample.py --check    compare it with sample-load.hex beside this script; 1 if it differs
"""

import heapq
import os
import random
import struct
import sys

START = 1767293742          # seconds since the Unix epoch
MS = 1000000                # times are whole nanoseconds, so that they print exactly
SECOND = 1000 * MS
BYTE = 10 * SECOND // 230400    # 8N1 at 230400 baud

BOXES = (1, 2, 3, 4)        # the host has saved four
UNASSIGNED = 0xFE
REQUEST = 0xFF              # STATUS of a request to a box
OK = 0x00
SLOT_A = 0x01

# How long the host waits for a reply, by function; the address functions are sent only once.
TIMEOUT = {0xA0: 50 * MS, 0xA1: SECOND, 0xA2: 100 * MS, 0xA3: 50 * MS,
           0x0A: 3600 * SECOND, 0x10: 15 * SECOND}
OTHER_TIMEOUT = 2 * SECOND
SENDS = 5
RESEND_PAUSE = 5 * MS

# Chosen so that a cycle of the address thread falls into the feed, between two polls of it.
LOAD_AFTER = 8000 * MS
HEATING = 2700 * MS

rng = random.Random(485)


def between(low, high):
    """A time between two, drawn from the seeded generator."""
    return low + int((high - low) * rng.random())


def crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def frame(addr, status, func, data=b""):
    covered = bytes([len(data) + 3, status, func]) + data
    return bytes([0xF7, addr]) + covered + bytes([crc8(covered)])


def uniid(addr):
    """The twelve bytes that tell one box from another."""
    return b"K485\x01SAMPLE" + bytes([addr])


class Box:
    """As much of a filament box as the story needs."""

    FEED_SPEED = 154.3      # mm/s

    def __init__(self, addr, climate, inlets, odometer):
        self.addr = addr
        self.version = b"113" + b"K485SAMPLE00000BOX%d" % addr
        self.climate = climate      # degrees Celsius, % relative humidity
        self.inlets = inlets        # mask of the slots with filament
        self.hub = 0                # mask of the slots whose filament is in the hub
        self.odometer = odometer    # mm; falls while the filament goes forward
        self.printing_since = None
        self.feeding_since = None
        self.ran = 0                # feeders that ran since the last 0A
        self.buffer_full = 0
        self.pushes = 0

    def position(self, now):
        """The odometer at a moment; the extruder takes 6 mm/s in a flush."""
        at = self.odometer
        if self.feeding_since is not None:
            at -= self.FEED_SPEED * (now - self.feeding_since) / SECOND
        if self.printing_since is not None:
            at -= 6.0 * (now - self.printing_since) / SECOND
        return at

    def answer(self, func, data, now):
        """DATA of the reply and how long it takes, or None for silence."""
        quick = between(1 * MS, 3 * MS)
        if self.feeding_since is not None and func != 0x10:
            return None     # the feed loop throws away whatever is not for it
        if func in (0xA2, 0xA3):
            return bytes([1, 0]) + uniid(self.addr), quick
        if func == 0x04:
            self.printing_since = now if data[1] == 0 else None
            return b"", quick
        if func == 0x05:
            return bytes([self.buffer_full]), quick
        if func == 0x08:
            return bytes([self.hub if data[0] else self.inlets]), quick
        if func == 0x0A:
            state = 2 if self.printing_since is not None else 0
            ran, self.ran = self.ran, 0
            return bytes(self.climate) + bytes([ran, state]), quick
        if func == 0x0D:
            return b"", quick
        if func == 0x0F:    # box 3 is slow once, when it is asked again
            return b"", 18 * MS if (self.addr, data) == (3, b"\x01") else quick
        if func == 0x0E:
            return struct.pack(">f", self.position(now)), quick
        if func == 0x10:
            return self.extrude(data[1], now, quick)
        if func == 0x14:
            return self.version, quick
        if func == 0x15:
            return bytes(part << 4 for part in range(1, 7)) + bytes(10), quick
        raise ValueError("the story has no function %02x" % func)

    def extrude(self, stage, now, quick):
        if stage == 0:
            self.hub, self.ran = SLOT_A, SLOT_A
            self.odometer -= 509.6
            return b"\x00", between(4455 * MS, 4465 * MS)
        if stage == 4:
            self.feeding_since = now
            return b"", between(20 * MS, 40 * MS)
        if stage == 5:      # looked at every 20 ms
            return struct.pack(">f", self.position(now)), between(2 * MS, 20 * MS)
        if stage == 6:
            self.odometer, self.feeding_since = self.position(now), None
            self.buffer_full = 1
            return b"", between(25 * MS, 35 * MS)
        if stage == 7:      # the second push finds the extruder pulling
            self.odometer -= 3.1
            self.pushes += 1
            self.buffer_full = 1 if self.pushes < 2 else 0
            return b"", between(56 * MS, 84 * MS)
        raise ValueError("the story has no stage %02x" % stage)


class Bus:
    """The wire: one request at a time, and a line of the capture for everything sent."""

    def __init__(self, boxes):
        self.boxes = {box.addr: box for box in boxes}
        self.free = 0           # when the exchange under way is over
        self.lines = []
        self.spoil = {}         # (addr, func, data) -> "missed" or "flipped", once

    def say(self, text):
        self.lines.append("# " + text)

    def put(self, start, data):
        """Sends bytes; the line bears the time of the last one. Gives that time."""
        end = start + len(data) * BYTE
        self.lines.append("(%d.%09d) %s" % (
            START + end // SECOND, end % SECOND, " ".join("%02X" % byte for byte in data)))
        return end

    def noise(self, now, data):
        self.free = self.put(max(now, self.free), data)

    def exchange(self, now, addr, func, data, say):
        """A request of a thread that asks at `now`: waits for the bus, sends, sends again.
        Gives the DATA of the reply, or None."""
        start = max(now, self.free) + between(MS // 2, 4 * MS)
        addressing = 0xA0 <= func <= 0xA3
        request = frame(addr, OK if addressing else REQUEST, func, data)
        timeout = TIMEOUT.get(func, OTHER_TIMEOUT)
        fault = self.spoil.pop((addr, func, data), None)
        for line in say:
            self.say(line)
        for _ in range(1 if addressing else SENDS):
            sent = self.put(start, request)
            box = self.boxes.get(addr)
            reply = box.answer(func, data, sent) if box and fault != "missed" else None
            if reply is not None:
                body, delay = reply
                raw = frame(addr, OK, func, body)
                if fault != "flipped":
                    self.free = self.put(sent + delay, raw)
                    return body
                self.put(sent + delay, raw[:5] + bytes([raw[5] ^ 0x04]) + raw[6:])
            self.free = start + timeout
            start = self.free + RESEND_PAUSE
            if fault is not None:
                self.say("2 s without a valid answer: the host sends the same bytes again.")
            fault = None
        return None


def ask(addr, func, data="", say=()):
    """What a thread yields to make a request."""
    return addr, func, bytes.fromhex(data), (say,) if isinstance(say, str) else say


class Host:
    """The host's threads, as generators: they yield a request or a time to sleep."""

    def __init__(self, bus):
        self.bus = bus
        self.now = 0            # when the thread that runs was woken
        self.queue = []
        self.started = 0
        self.online = ()
        self.loading = None     # the box that the heartbeat leaves alone
        self.printing = False
        self.done = False

    def start(self, thread, at):
        self.started += 1
        heapq.heappush(self.queue, (at, self.started, thread, None))

    def run(self):
        while self.queue:
            self.now, number, thread, result = heapq.heappop(self.queue)
            try:
                wish = thread.send(result)
            except StopIteration:
                continue
            if isinstance(wish, int):
                entry = (self.now + wish, number, thread, None)
            else:
                result = self.bus.exchange(self.now, *wish)
                entry = (self.bus.free, number, thread, result)
            heapq.heappush(self.queue, entry)

    def addresses(self):
        """Finds the boxes, then watches them until the load is over."""
        for turn in range(2):
            for addr in BOXES:
                say = ("The host starts. It has saved four boxes and gives each its address again,",
                       "in two rounds. Boxes that still hold an address do not listen to FE.")
                yield ask(UNASSIGNED, 0xA0, "%02x" % addr + uniid(addr).hex(),
                          say if (turn, addr) == (0, 1) else ())
        silent = BOXES
        for turn in range(2):
            asked, silent = silent, []
            for addr in asked:
                say = ()
                if (turn, addr) == (0, 1):
                    say = "Who is there? 1, 2 and 3 tell their identity."
                elif (turn, addr) == (0, 4):
                    say = "Box 4 is not there; it is asked twice, 50 ms each."
                if (yield ask(addr, 0xA3, "", say)) is None:
                    silent.append(addr)
        self.online = tuple(addr for addr in BOXES if addr not in silent)
        self.start(self.welcome(), self.now + 30 * MS)

        first, deaf = True, False
        while not self.done:
            say = ("From now on, every cycle: is there a box without an address (1 s for an",
                   "answer), and is every box online (100 ms)? With box 4 away, both time out.")
            yield ask(UNASSIGNED, 0xA1, "fefe", say if first else ())
            for addr in BOXES:
                say = ()
                if addr == 2 and self.bus.boxes[2].feeding_since is not None and not deaf:
                    say, deaf = "A box that feeds hears nothing but its feed commands.", True
                yield ask(addr, 0xA2, "", say)
            first = False
            yield 10 * SECOND if self.printing else SECOND

    def welcome(self):
        """What each box that has come online is asked, then the heartbeat and the load."""
        for addr in self.online:
            say = "Box %d has come online: idle, version, self-test, inlets, preloading off." % addr
            yield ask(addr, 0x04, "0001", say)
            yield ask(addr, 0x14)
            yield ask(addr, 0x15)
            yield ask(addr, 0x08, "00")
            yield ask(addr, 0x0D, "0f00")
        self.start(self.heartbeat(), self.now + 400 * MS)
        self.start(self.crackle(), self.now + 4700 * MS)
        self.start(self.load(), self.now + LOAD_AFTER)

    def heartbeat(self):
        say = "The heartbeat: temperature, humidity and state of one box after the other."
        loaded = "Box 2 prints (state 02), and its feeder A ran since it was last asked."
        while not self.done:
            for addr in self.online:
                if addr != self.loading and not self.done:
                    if addr == 2 and self.bus.boxes[2].ran:
                        say = loaded
                    yield ask(addr, 0x0A, "", say)
                    say = ()
                yield 1020 * MS

    def crackle(self):
        self.bus.say("The bed heater switches, and the line crackles.")
        self.bus.noise(self.now, bytes.fromhex("00e01c"))
        yield 0

    def load(self):
        """Loads T2A and flushes a little."""
        self.loading, self.printing = 2, True
        self.bus.spoil[1, 0x08, b"\x00"] = "flipped"
        self.bus.spoil[3, 0x0F, b"\x01"] = "missed"

        say = ("A print begins (so the cycles pause 10 s, not 1 s) and wants T2A. Is there",
               "filament in a hub (01), which slots have some at the inlet (00)?",
               "One bit of box 1's second reply is flipped on the way, so its CRC is wrong.")
        for addr in self.online:
            yield ask(addr, 0x08, "01", say)
            yield ask(addr, 0x08, "00")
            say = ()
        yield ask(2, 0x04, "0001",
                  "Box 2 idle; tighten-up (0F) to 01 in every box; slot A has filament.")
        for addr in self.online:
            yield ask(addr, 0x0F, "01", "Box 3 misses this one." if addr == 3 else ())
        yield ask(2, 0x08, "00")
        yield HEATING

        yield ask(2, 0x10, "010000", "Slot A to the hub: the answer comes when it is there.")
        yield ask(2, 0x10, "010400", "Feed.")
        say = "How far? The odometer falls about 314 mm from poll to poll."
        for pause in [2010 * MS] * 4 + [90 * MS]:
            yield ask(2, 0x10, "010500", say)
            say = ()
            yield pause
        yield ask(2, 0x10, "010600", "The toolhead sensor has seen the filament: end of the feed.")
        yield 4100 * MS

        yield ask(2, 0x10, "010703", "The extruder turns; push 3 mm after it.")
        yield 3200 * MS
        yield ask(2, 0x05, "", "The buffer is full: the gears have not gripped yet. Once more.")
        yield 1000 * MS
        yield ask(2, 0x10, "010703")
        yield 2800 * MS
        yield ask(2, 0x05, "", "Middle: they have.")
        yield ask(2, 0x04, "0100", "Box 2 prints from slot A; tighten-up back to 00 in every box.")
        for addr in self.online:
            yield ask(addr, 0x0F, "00")
        self.loading = None
        say = "The odometer while the nozzle is flushed."
        for _ in range(2):
            yield ask(2, 0x0E, "01", say)
            say = ()
            yield 2500 * MS
        yield ask(2, 0x0E, "01")
        self.done = True


def capture():
    boxes = [Box(1, (24, 33), 0x0F, -812.5),
             Box(2, (22, 35), 0x03, 1840.2),
             Box(3, (23, 31), 0x08, 96.75)]
    bus = Bus(boxes)
    bus.say("A made-up bus with boxes 1, 2 and 3; box 4 is away. T2A is loaded.")
    bus.say("Written by make_sample.py. The time is that of a line's last byte, in Unix seconds.")
    host = Host(bus)
    host.start(host.addresses(), 3 * MS)
    host.run()
    return "\n".join(bus.lines) + "\n"


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.stderr.write(__doc__)
        return 2
    made = capture()
    if not arguments:
        sys.stdout.write(made)
        return 0
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample-load.hex")
    try:
        with open(path, "rb") as file:
            kept = file.read()
    except OSError as error:
        sys.stderr.write("%s: %s\n" % (path, error.strerror))
        return 1
    if kept != made.encode("ascii"):
        sys.stderr.write("%s differs; `make_sample.py > sample-load.hex` writes it anew\n" % path)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
