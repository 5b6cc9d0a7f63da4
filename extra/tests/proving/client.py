"""Clients of the stream: one that reads all, and ones that behave badly."""

import json
import pathlib
import socket
import struct
import time

import jsonschema

from host import PATIENCE, wait_for


SCHEMA = pathlib.Path(__file__).resolve().parents[3] / 'docs' / 'trace-events.schema.json'
_validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
_known = set()


def conforms(event):
    """Fails if an event is not as the schema says. Of events of one shape the first is looked at."""
    shape = tuple(sorted((key, type(value).__name__) for key, value in event.items()))
    if (event['type'], shape) not in _known:
        _validator.validate(event)
        _known.add((event['type'], shape))


def connect(port, patience=PATIENCE, buffer=None):
    """A socket to the stream, once it listens."""
    def attempt():
        sock = socket.socket()
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        try:
            sock.connect(('127.0.0.1', port))
        except ConnectionRefusedError:
            sock.close()
            return None
        return sock
    return wait_for(attempt, "the stream to listen on port %d" % (port,), patience)


def reset(sock):
    """Ends a connection the rude way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


class Client:
    """Reads JSON lines; every line has to be whole and valid."""

    def __init__(self, port, patience=PATIENCE):
        self._sock = connect(port, patience)
        self._received = b''
        self.events = []
        self.closed = False
        self.first = self.until(lambda e: e['type'] == 'connected', patience)

    def close(self):
        self._sock.close()

    def _read(self, wait):
        self._sock.settimeout(max(wait, 0.001))
        try:
            data = self._sock.recv(1 << 16)
        except socket.timeout:
            return []
        except ConnectionResetError:
            data = b''
        if not data:
            self.closed = True
            return []
        lines = (self._received + data).split(b'\n')
        self._received = lines.pop()
        new = [json.loads(line.decode('utf-8'), parse_constant=_no_constant) for line in lines]
        for event in new:
            conforms(event)
        self.events += new
        return new

    def until(self, wanted, patience=PATIENCE):
        """Reads until an event is `wanted`, and gives it. Looks at what was read before, too."""
        for event in self.events:
            if wanted(event):
                return event
        end = time.monotonic() + patience
        while not self.closed and time.monotonic() < end:
            for event in self._read(end - time.monotonic()):
                if wanted(event):
                    return event
        raise AssertionError("no such event%s; the last ones: %s"
                             % (", the stream was closed" if self.closed else "",
                                json.dumps(self.events[-5:])[:2000]))

    def until_call(self, method, nth=1, kind='return', patience=PATIENCE):
        """Reads until so many calls of a method have come back."""
        def count(_):
            return sum(1 for e in self.events
                       if e['type'] == kind and e.get('method') == method) >= nth
        self.until(count, patience)
        return self.of(method)

    def of(self, method):
        """The events of a method."""
        return [e for e in self.events if e.get('method') == method
                and e['type'] in ('call', 'return', 'error')]

    def forget(self):
        self.events = []


def _no_constant(name):
    raise AssertionError("%s is not JSON" % (name,))
