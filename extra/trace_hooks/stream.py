"""The server: whoever connects is sent what is recorded. Every callback returns at once and none raises."""

import collections
import errno
import hmac
import json
import logging
import socket
import time

from . import wire
from .pump import Outlet

SEND = 65536  # bytes of one send
HELLO_MOST = 4096  # bytes of a client's first line
HELLO_WAIT = 5.0  # seconds a client has for its token
SAID_MOST = 65536  # bytes that a client may send in all
STALLED = 30.0  # seconds after which a client that takes nothing gives its place to another
_AGAIN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class Client(Outlet):
    """One connection."""

    def __init__(self, server, sock, address, limit):
        Outlet.__init__(self, limit)
        self.server = server
        self.sock = sock
        self.address = address
        self.since = self.moved = time.monotonic()
        self.heard = b''
        self.said = 0  # bytes
        self.greeted = False  # it has been told `connected`
        self.rest = memoryview(b'')  # of what is partly sent
        self.waiting = False  # for the socket to take more
        self.handle = server.register(sock.fileno(), self.on_readable, self.on_writeable)

    def on_readable(self, eventtime):
        try:
            if self.handle is not None:
                self.read()
        except Exception as error:
            self.close('error: %s' % (error,))

    def read(self):
        try:
            data = self.sock.recv(4096)
        except OSError as error:
            if error.errno not in _AGAIN:
                self.close('connection lost')
            return
        if not data:
            self.close('client left')
            return
        self.said += len(data)
        if self.said > SAID_MOST:
            self.close('sends what nobody asked for')
            return
        if self.heard is None:
            return  # it has had its say
        self.heard += data
        line, newline, _rest = self.heard.partition(b'\n')
        if newline:
            self.heard = None
            self.hello(line)
        elif len(self.heard) > HELLO_MOST:
            self.heard = None
            self.hello(b'')

    def hello(self, line):
        """The first line that it sent. What is no hello is passed over."""
        said = {}
        if line.lstrip().startswith(b'{') and len(line) <= HELLO_MOST:
            try:
                said = json.loads(line.decode('utf-8', 'replace'))
            except (ValueError, RecursionError):
                said = {}
        if not isinstance(said, dict) or said.get('k485') != 'hello':
            said = {}
        if not self.greeted:
            token = said.get('token')
            if not self.server.admits(token if isinstance(token, str) else ''):
                self.refuse('the token is missing or wrong')
                return
            self.server.greet(self)
        if said.get('wire') == 'binary' and not self.binary:
            self.put(b'{"type": "wire", "wire": "binary", "version": %d}\n' % wire.WIRE)
            self.binary = True
        self.flush()

    def refuse(self, why):
        """Says why it is not served, as far as the socket takes it at once, and closes."""
        line = json.dumps({'type': 'refused', 'time': time.time(), 'message': why}) + '\n'
        try:
            self.sock.send(line.encode('ascii'))
        except OSError:
            pass
        self.close(why)

    def on_writeable(self, eventtime):
        try:
            if self.handle is not None:
                self.flush()
        except Exception as error:
            self.close('error: %s' % (error,))

    def flush(self):
        """Sends what the socket takes at once."""
        if self.handle is None:
            return
        rest, pieces = self.rest, self.pieces
        if len(rest) < SEND and pieces:
            parts, size = [rest], len(rest)
            while pieces and size < SEND:
                piece = pieces.popleft()
                parts.append(piece)
                size += len(piece)
            rest = memoryview(b''.join(parts))
        if len(rest):
            try:
                sent = self.sock.send(rest[:2 * SEND])
            except OSError as error:
                if error.errno not in _AGAIN:
                    self.close('connection lost')
                    return
                sent = 0
            if sent:
                self.size -= sent
                self.moved = time.monotonic()
                rest = rest[sent:]
        self.rest = rest
        wait = bool(pieces) or len(rest) > 0
        if wait != self.waiting:
            self.waiting = wait
            self.server.wake(self.handle, wait)

    def close(self, why):
        handle, self.handle = self.handle, None
        if handle is None:
            return
        self.server.forget(self, handle, why)
        try:
            self.sock.close()
        except OSError:
            pass
        self.pieces.clear()
        self.rest = memoryview(b'')


class Server:
    """Listens on a port. `hooks` gives the greeting and is told when clients come and go."""

    def __init__(self, reactor, pump, greeting, changed, token='', max_clients=4, buffer_size=1 << 20):
        self.reactor = reactor
        self.pump = pump
        self.greeting = greeting
        self.changed = changed
        self.token = token
        self.max_clients = max_clients
        self.buffer_size = buffer_size
        self.can_wake = hasattr(reactor, 'set_fd_wake')
        self.sock = self.handle = None
        self.address = None
        self.clients = []
        self.counts = collections.Counter()

    def start(self, bind, port):
        """Begins to listen. Raises OSError."""
        if self.sock is not None:
            return
        family = socket.AF_INET6 if ':' in bind else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind((bind, port))
            sock.listen(8)
            self.handle = self.reactor.register_fd(sock.fileno(), self.on_accept)
        except BaseException:
            sock.close()
            raise
        self.sock = sock
        self.address = sock.getsockname()[:2]

    def stop(self):
        """Ends listening and all connections."""
        sock, handle = self.sock, self.handle
        self.sock = self.handle = self.address = None
        if sock is not None:
            try:
                self.reactor.unregister_fd(handle)
            except Exception:
                logging.exception("trace_hooks: unregister")
            sock.close()
        for client in list(self.clients):
            try:
                client.flush()  # what it can still take
            except Exception:
                pass
            client.close('stream stopped')

    def on_accept(self, eventtime):
        try:
            self.accept()
        except Exception as error:
            logging.info("trace_hooks: accept: %s", error)

    def accept(self):
        if self.sock is None:
            return
        try:
            sock, address = self.sock.accept()
        except OSError:
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            client = Client(self, sock, '%s:%s' % address[:2], self.buffer_size)
        except BaseException:
            sock.close()
            raise
        self.clients.append(client)
        self.counts['accepted'] += 1
        if len(self.clients) > self.max_clients:
            self.give_up_stalled()
        if len(self.clients) > self.max_clients:
            self.counts['refused'] += 1
            client.refuse('%d clients are connected, and max_clients allows no more' % self.max_clients)
        elif not self.token:
            self.greet(client)
            client.flush()

    def give_up_stalled(self):
        """Ends the connection that has taken nothing for longest: behind it may be nobody any more."""
        stalled = [client for client in self.clients if client.waiting and time.monotonic() - client.moved > STALLED]
        if stalled:
            min(stalled, key=lambda client: client.moved).close('stalled, and its place was needed')

    def admits(self, token):
        return hmac.compare_digest(self.token.encode('utf-8', 'replace'), token.encode('utf-8', 'replace'))

    def greet(self, client):
        """Tells a client where it is, and the events from here on."""
        client.put(self.greeting())
        client.greeted = True
        self.pump.join(client)
        self.changed()

    def register(self, fd, on_readable, on_writeable):
        if self.can_wake:
            return self.reactor.register_fd(fd, on_readable, on_writeable)
        return self.reactor.register_fd(fd, on_readable)

    def wake(self, handle, writeable):
        """Asks to be called when the socket takes more; an old reactor cannot, and each tick tries instead."""
        if self.can_wake:
            self.reactor.set_fd_wake(handle, True, writeable)

    def forget(self, client, handle, why):
        try:
            self.reactor.unregister_fd(handle)
        except Exception:
            logging.exception("trace_hooks: unregister")
        if client in self.clients:
            self.clients.remove(client)
        self.pump.leave(client)
        self.counts['closed'] += 1
        self.changed()

    def tick(self):
        """Sends what is ready, and ends connections that keep silent about their token."""
        now = time.monotonic()
        for client in list(self.clients):
            if not client.greeted:
                if now - client.since > HELLO_WAIT:
                    client.refuse('no token within %d seconds' % HELLO_WAIT)
            elif client.waiting and not self.can_wake or not client.waiting and client.pieces:
                client.flush()

    def listeners(self):
        """How many clients are sent events."""
        return sum(1 for client in self.clients if client.greeted)
