"""The whole extra in a little host: what the tests of it share."""

import json
import socket

import pytest
from little_host import Printer
from trace_hooks.patch import sites


class Config:
    def __init__(self):
        self.table = {'T0A': 140}


class Box:
    def __init__(self, printer=None, bus=None):
        self.cfg = Config()
        self.bus = bus
        self.number = 1
        self.printer = printer
        if printer is not None:
            printer.gcode.register_command('BOX_GO', self.cmd_BOX_GO)
            printer.gcode.mux_commands['SET_BOX'] = ('BOX', {'one': self.cmd_SET_BOX})
            printer.register_event_handler('box:event', self.on_event)
            self.timer = printer.reactor.register_timer(self.on_timer)

    def Tn_action(self, name):
        return self._turn(name)

    def _turn(self, name):
        if self.bus is not None:
            self.bus.cmd_send_data_with_response(b'\x01\x03\xff\x0a', 3600)
        return self.cfg.table

    def get_status(self, eventtime=0):
        return {'number': self.number}

    def cmd_BOX_GO(self, gcmd):
        return 5

    def cmd_SET_BOX(self, gcmd):
        pass

    def on_event(self):
        pass

    def on_timer(self, eventtime):
        return 9999999999999999.


class Held:
    __slots__ = ('held', 'empty', 'unset')


class Serial:
    def cmd_send_data_with_response(self, data, timeout):
        return b'\xf7\x01\x03\x00\x0a\x00'


class GCodeMacro:
    def cmd(self, gcmd):
        pass


class Handlers:
    def on_web(self, request):
        return 'object'

    @classmethod
    def on_class(cls, request):
        return cls

    @staticmethod
    def on_none(request):
        return 'none'


@pytest.fixture
def new(tmp_path):
    """Makes printers with a box, and looks that nothing is left of them."""
    made = []
    before = {cls: dict(cls.__dict__) for cls in (Box, Serial, Config, GCodeMacro, Held, Handlers)}

    def start(**options):
        printer = Printer(folder=str(tmp_path), **options)
        bus = Serial()
        printer.start({'box': Box(printer, bus), 'serial_485 serial485': bus, 'gcode_macro LOAD': GCodeMacro(),
                       'toolhead': GCodeMacro()})
        made.append(printer)
        return printer
    yield start
    for printer in made:
        for client in printer.hooks.server.clients:
            assert client.handle is not None
        printer.send_event('klippy:disconnect')
        assert not printer.reactor._fds, 'descriptors are left'
        assert printer.hooks.timer not in printer.reactor._timers
    assert not sites()
    for cls, was in before.items():
        assert dict(cls.__dict__) == was and list(cls.__dict__) == list(was)


class Client:
    def __init__(self, printer, hello=None, buffer=None):
        self.printer = printer
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.connect(('127.0.0.1', printer.hooks.server.address[1]))
        if hello is not None:
            self.sock.sendall(hello)
        self.sock.setblocking(False)
        self.data = b''
        self.ended = False

    def hear(self):
        try:
            while True:
                got = self.sock.recv(1 << 16)
                if not got:
                    self.ended = True
                    break
                self.data += got
        except BlockingIOError:
            pass
        except ConnectionError:
            self.ended = True
        return self.data

    def until(self, done):
        self.printer.reactor.run_until(lambda: self.hear() is not None and done())

    def lines(self):
        self.hear()
        return [json.loads(line) for line in self.data.split(b'\n')[:-1]]

    def wait_for(self, kind, count=1):
        self.until(lambda: self.data.count(b'{"type": "%s"' % kind.encode()) >= count)
        return [event for event in self.lines() if event['type'] == kind]
