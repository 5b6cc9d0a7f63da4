"""A bus for a host: requests go out with head and CRC, replies are matched by address and function.

The methods are those of the vendor's module of this name, as traces show them; what is in them is
ours. A request is `ADDR LEN STATUS FUNC DATA`, a reply the whole frame, F7 to CRC.
"""

import os
import termios
import tty

HEAD = 0xf7
SENDS = 5           # transmissions of a request that nobody answers


def crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xff
    return crc


class Serial_485_Wrapper:
    def __init__(self, config):
        self.printer = config.get_printer()
        self.reactor = self.printer.get_reactor()
        self.path = config.get('serial')
        self.mutex = self.reactor.mutex()
        self.received = b''
        self.wanted = None          # (address, function, completion)
        self.queue = []
        self.handle = None
        self.fd = None
        self.printer.register_event_handler('klippy:connect', self._connect)
        self.printer.register_event_handler('klippy:disconnect', self._disconnect)

    def _connect(self):
        self.fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        speed = termios.tcgetattr(self.fd)
        speed[4] = speed[5] = termios.B230400
        termios.tcsetattr(self.fd, termios.TCSANOW, speed)
        self.handle = self.reactor.register_fd(self.fd, self._on_bytes)

    def _disconnect(self):
        if self.handle is not None:
            self.reactor.unregister_fd(self.handle)
            os.close(self.fd)
            self.handle = None

    def _on_bytes(self, eventtime):
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return
        if not data:
            self._disconnect()
            return
        self.received += data
        while True:
            start = self.received.find(HEAD)
            if start < 0:
                self.received = b''
                return
            self.received = self.received[start:]
            if len(self.received) < 3 or len(self.received) < 3 + self.received[2]:
                return
            frame = self.received[:3 + self.received[2]]
            if len(frame) < 6 or crc8(frame[2:-1]) != frame[-1]:
                self.received = self.received[1:]
                continue
            self.received = self.received[len(frame):]
            self._on_frame(frame)

    def _on_frame(self, frame):
        if self.wanted is not None and self.wanted[:2] == (frame[1], frame[4]):
            wanted, self.wanted = self.wanted, None
            wanted[2].complete(frame)

    def cmd_send_data_with_response(self, data, timeout, wait_response=True):
        """Sends a request, again if nobody answers, and gives the reply, or None."""
        frame = bytes([HEAD]) + bytes(data)
        frame += bytes([crc8(frame[2:])])
        with self.mutex:
            for _ in range(SENDS if wait_response else 1):
                completion = self.reactor.completion()
                self.wanted = (data[0], data[3], completion)
                os.write(self.fd, frame)
                reply = completion.wait(self.reactor.monotonic() + timeout)
                self.wanted = None
                if reply is not None:
                    return reply
        return None

    def add_send_data(self, data, timeout, addr, cmd, wait):
        self.queue.append([data, timeout, addr, cmd, wait])

    def remove_send_data(self, data):
        if data in self.queue:
            self.queue.remove(data)


def load_config_prefix(config):
    return Serial_485_Wrapper(config)
