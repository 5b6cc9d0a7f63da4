"""A model of a tracing extra as one writes it first, with the faults that come with it.

It is here so that the checks of `proving/` are known to be able to fail: each check of a fault is
run against this model too, and has to complain. Never install it. It was written from a list of
the faults; the numbers in it are those of `proving/faults.py`.
"""

import json
import logging
import socket
import time
import traceback


def simplify(value):
    if value is None or isinstance(value, (bool, int, float)):
        return value                                        # 10: NaN, and integers of any size
    if isinstance(value, str):
        return value[:500]
    if isinstance(value, bytes):
        return {'_bytes': value.hex()[:500]}
    if isinstance(value, (list, tuple)):
        return [simplify(v) for v in value[:20]]            # 10: cycles
    if isinstance(value, dict):
        return {str(k): simplify(v) for k, v in value.items()}
    return {'_type': type(value).__name__, '_text': str(value)}     # 14: somebody else's code runs


class TraceHooks:
    def __init__(self, config):
        self.printer = config.get_printer()
        self.reactor = self.printer.get_reactor()
        self.gcode = self.printer.lookup_object('gcode')
        self.port = config.getint('stream_port', 9876)
        self.server = None
        self.clients = []
        self.count = 0
        self.active = {}
        self.attrs = {}
        for name in ('ENABLE', 'DISABLE', 'ALL', 'ATTRS', 'LIST', 'STATUS', 'STREAM_START',
                     'STREAM_STOP'):
            # 13: not registered for a printer that was shut down.
            self.gcode.register_command('TRACE_' + name, getattr(self, 'cmd_' + name))

    # The stream

    def cmd_STREAM_START(self, gcmd):
        self.server = socket.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.server.setblocking(False)
        self.server.bind(('', self.port))                   # 15: everybody may connect
        self.server.listen(5)
        self.reactor.register_fd(self.server.fileno(), self.accept)

    def accept(self, eventtime):
        client, _ = self.server.accept()
        client.setblocking(False)
        fd = client.fileno()
        self.clients.append(client)
        # 1: the third argument is another callback, and nobody passes a descriptor to the first.
        self.reactor.register_fd(fd, self.on_client, fd)
        self.send({'type': 'connected', 'time': time.time(), 'message': 'connected',
                   'active_traces': list(self.active), 'available_objects': []})

    def on_client(self, eventtime, fd):
        pass

    def send(self, event):
        line = (json.dumps(event, default=str) + '\n').encode()
        for client in list(self.clients):
            try:
                client.sendall(line)                        # 8: a torn line, then no client
            except OSError:
                self.clients.remove(client)
                self.drop(client)

    def drop(self, client):
        fd = client.fileno()
        client.close()
        try:
            self.reactor.unregister_fd(fd)                  # 2: it wants the handler
        except Exception:
            pass

    def cmd_STREAM_STOP(self, gcmd):
        for client in self.clients:
            self.drop(client)
        self.clients = []
        self.drop(self.server)

    # The wrappers

    def wrap(self, obj, name, method):
        cls = type(obj)                                     # 6: of a class, named after an object
        original = getattr(cls, method)                     # 4: what the class gives, not what it has

        def wrapper(*args, **kw):
            self.count += 1
            event = {'id': self.count, 'object': name, 'class': cls.__name__, 'method': method}
            start = time.time()                             # 9: a clock that is set; no parent
            text = ", ".join(str(simplify(a)) for a in args[1:])
            self.send(dict(event, type='call', time=start, args=text))
            try:
                result = original(*args, **kw)              # 10: generators, coroutines
            except Exception as problem:                    # 10: not GreenletExit
                self.send(dict(event, type='error', time=time.time(), error=str(problem),
                               traceback=traceback.format_exc()))
                raise
            end = time.time()
            self.send(dict(event, type='return', time=end, result=simplify(result),
                           duration_ms=(end - start) * 1e3))
            return result
        self.active[(name, method)] = (cls, original)       # 5: forgotten by the next one
        setattr(cls, method, wrapper)                       # 3: not of built-in types

    def find(self, gcmd):
        return gcmd.get('OBJECT'), self.printer.lookup_object(gcmd.get('OBJECT'))

    def cmd_ENABLE(self, gcmd):
        name, obj = self.find(gcmd)
        self.wrap(obj, name, gcmd.get('METHOD'))

    def cmd_ALL(self, gcmd):
        name, obj = self.find(gcmd)
        for method in dir(type(obj)):
            if not method.startswith('__') and callable(getattr(type(obj), method)):
                self.wrap(obj, name, method)

    def cmd_DISABLE(self, gcmd):
        name, _ = self.find(gcmd)
        wanted = gcmd.get('METHOD', None)
        for key in list(self.active):
            if key[0] == name and wanted in (None, key[1]):
                cls, original = self.active.pop(key)
                setattr(cls, key[1], original)

    def cmd_ATTRS(self, gcmd):
        name, obj = self.find(gcmd)
        enable = gcmd.get_int('ENABLE', -1)
        if enable == 0:
            for cls, original in self.attrs.values():
                cls.__getattribute__ = original             # 3: TypeError for a built-in type
            return
        self.watch(obj, gcmd.get_int('RECURSIVE', 0))

    def watch(self, obj, recursive):
        cls = type(obj)
        if cls in self.attrs:
            return
        original = cls.__getattribute__
        self.attrs[cls] = (cls, original)

        def read(this, attr):
            value = original(this, attr)
            if not attr.startswith('_'):
                self.send({'type': 'attr_read', 'time': time.time(), 'object': cls.__name__,
                           'attr': attr, 'value': simplify(value)})
            return value
        try:
            cls.__getattribute__ = read
        except TypeError:
            logging.info("not traced: %s", cls)
        if recursive:
            for value in list(getattr(obj, '__dict__', {}).values()):
                if type(value).__module__ != 'builtins':
                    self.watch(value, recursive)

    def cmd_LIST(self, gcmd):
        gcmd.respond_info("\n".join("%s.%s" % key for key in self.active) or "none")

    cmd_STATUS = cmd_LIST


def load_config(config):
    return TraceHooks(config)
