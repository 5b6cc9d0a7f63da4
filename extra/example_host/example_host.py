"""A small host for filament boxes: it assigns addresses, polls, loads and unloads.

It is an example of a host that k485 tests (docs/test-your-host.md), and short on purpose: a load
knows of no second attempt. Frames and functions are those of docs/protocol.md, their order that of
docs/host.md.
"""

import struct
import time

import serial

HEAD, UNASSIGNED, REQUEST = 0xF7, 0xFE, 0xFF
OK, CHANGED, FULL = 0x00, 0x30, 1
BUFFER, SENSORS, STATE, ODOMETER = 0x05, 0x08, 0x0A, 0x0E
MODE, TIGHTEN, EXTRUDE, RETRUDE = 0x04, 0x0F, 0x10, 0x11
ASSIGN, ANYBODY, ONLINE, ADDRESS_TABLE = 0xA0, 0xA1, 0xA2, 0xA3


class HostError(Exception):
    """What the bus or a box did not do."""


class NoReply(HostError):
    """Nobody answered, however often it was asked."""


class BoxError(HostError):
    """A box answered with another STATUS than OK."""

    def __init__(self, address, func, status):
        super().__init__("box %d: function %02x answered %02x" % (address, func, status))
        self.address, self.func, self.status = address, func, status


def crc8(data):
    """CRC-8/SMBUS: polynomial 07, initial value 00."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x107 if crc & 0x80 else crc << 1
    return crc


def frame(address, status, func, data=b""):
    """The bytes of a frame. The CRC covers neither the head nor the address."""
    body = bytes([len(data) + 3, status, func]) + bytes(data)
    return bytes([HEAD, address]) + body + bytes([crc8(body)])


def take_frames(heard):
    """Takes the whole frames out of a bytearray; a candidate that is none loses its first byte."""
    while HEAD in heard:
        del heard[: heard.index(HEAD)]
        size = heard[2] + 3 if len(heard) > 2 else 6
        if len(heard) < size:
            return
        if size >= 6 and crc8(heard[2 : size - 1]) == heard[size - 1]:
            yield bytes(heard[:size])
            del heard[:size]
        else:
            del heard[0]


class Host:
    """The boxes of one printer. `printer` has toolhead() -> bool, extrude(mm, speed) and cut()."""

    def __init__(self, port, printer, sleep=time.sleep, patience=1.0):
        self.port = serial.Serial(port, 230400, timeout=0.01)
        self.printer, self.sleep, self.patience = printer, sleep, patience
        self.boxes = {}  # address -> identity

    def close(self):
        """Lets the port go."""
        self.port.close()

    def ask(self, address, func, data=b"", status=REQUEST, timeout=2.0, sends=5):
        """Sends a request until it is answered; STATUS and DATA of the reply."""
        for _ in range(sends):
            self.port.reset_input_buffer()
            self.port.write(frame(address, status, func, data))
            heard, until = bytearray(), time.monotonic() + timeout * self.patience
            while time.monotonic() < until:
                heard += self.port.read(max(1, self.port.in_waiting))
                for reply in take_frames(heard):
                    # The new address answers an assignment.
                    if reply[4] == func and (reply[1] == address or func == ASSIGN):
                        return reply[3], reply[5:-1]
        raise NoReply(f"{address:02x} does not answer function {func:02x}")

    def call(self, address, func, data=b"", timeout=2.0):
        """DATA of a good reply; STATUS other than OK is an error."""
        status, data = self.ask(address, func, data, timeout=timeout)
        if status != OK:
            raise BoxError(address, func, status)
        return data

    def manage(self, func, address, data=b"", timeout=0.5):
        """One question of address management: the identity that answers, or None."""
        try:
            status, data = self.ask(address, func, data, status=0, timeout=timeout, sends=1)
        except NoReply:
            return None
        return data[2:14] if status == OK and len(data) >= 14 else None

    def assign(self):
        """Finds the boxes and gives an address to those without; two silent rounds end it."""
        self.boxes = {n: self.manage(ADDRESS_TABLE, n) for n in range(1, 5)}
        silent = 0
        while silent < 2 and None in self.boxes.values():
            identity = self.manage(ANYBODY, UNASSIGNED, b"\xfe\xfe", timeout=1.0)
            silent = 0 if identity else silent + 1
            if identity:
                n = min(n for n, known in self.boxes.items() if known in (None, identity))
                self.boxes[n] = self.manage(ASSIGN, UNASSIGNED, bytes([n]) + identity)
        self.boxes = {n: identity for n, identity in self.boxes.items() if identity}
        return self.boxes

    def lost(self):
        """Which boxes miss four questions in a row, or are somebody else by now."""
        here = {
            n: any(self.manage(ONLINE, n) == known for _ in range(4))
            for n, known in self.boxes.items()
        }
        return [n for n in here if not here[n]]

    def poll(self, n):
        """Temperature, humidity and state of a box; an error that it keeps is raised."""
        status, data = self.ask(n, STATE)
        if status == CHANGED:  # told once, in place of the state: what happened at the slots
            status, data = self.ask(n, STATE)
        if status != OK:
            raise BoxError(n, STATE, status)
        temperature, humidity, _, state = struct.unpack(">bbBB", data)
        return temperature, humidity, state

    def odometer(self, n):
        """How far a box has measured, in mm: it falls while it feeds."""
        return struct.unpack(">f", self.call(n, ODOMETER, b"\x01"))[0]

    def load(self, n, slot):
        """Feeds a slot's filament into the extruder."""
        mask = 1 << "ABCD".index(slot)
        self.call(n, MODE, [0, 1])
        self.call(n, TIGHTEN, [1])
        if not self.call(n, SENSORS, [0])[0] & mask:
            raise HostError("box %d: no filament in slot %s" % (n, slot))
        self.call(n, EXTRUDE, [mask, 0, 0], timeout=15)
        self.call(n, EXTRUDE, [mask, 4, 0], timeout=15)
        for looks in range(1, 600):  # 30 s: the box gives up after 25
            if self.printer.toolhead():
                break
            self.sleep(0.05)
            if looks % 40 == 0:  # every 2 s
                self.call(n, EXTRUDE, [mask, 5, 0], timeout=15)
        else:
            raise HostError(f"box {n}: slot {slot} does not reach the toolhead")
        self.call(n, EXTRUDE, [mask, 6, 0], timeout=15)
        self.printer.extrude(25, 10)
        for _ in range(6):
            self.call(n, EXTRUDE, [mask, 7, 3], timeout=15)
            self.printer.extrude(12, 10)
            if self.call(n, BUFFER)[0] != FULL:
                break
        else:
            raise HostError("box %d: the extruder does not take slot %s" % (n, slot))
        self.call(n, MODE, [mask, 0])
        self.call(n, TIGHTEN, [0])

    def unload(self, n, slot):
        """Cuts the filament and pulls it back into its slot."""
        mask = 1 << "ABCD".index(slot)
        self.printer.cut()
        self.call(n, MODE, [0, 1])
        self.call(n, RETRUDE, [mask, 0], timeout=150)
        self.call(n, RETRUDE, [mask, 1], timeout=150)
