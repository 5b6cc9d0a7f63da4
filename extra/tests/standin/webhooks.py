"""The API socket: JSON objects ended by 0x03, over a Unix socket."""

import json
import logging
import os
import socket

from . import gcode, watch


class WebRequestError(gcode.CommandError):
    """A request that can't be answered."""

    def to_dict(self):
        return {'error': 'WebRequestError', 'message': str(self)}


class WebRequest:
    error = WebRequestError

    class _Required:
        pass

    def __init__(self, client, request):
        self._client = client
        self.id = request.get('id')
        self.method = request['method']
        self.params = request.get('params', {})
        self.response = None

    def get_client_connection(self):
        return self._client

    def get(self, item, default=_Required, types=None):
        value = self.params.get(item, default)
        if value is self._Required:
            raise WebRequestError("Missing Argument [%s]" % (item,))
        if types is not None and item in self.params and type(value) not in types:
            raise WebRequestError("Invalid Argument Type [%s]" % (item,))
        return value

    def get_str(self, item, default=_Required):
        return self.get(item, default, (str,))

    def get_int(self, item, default=_Required):
        return self.get(item, default, (int,))

    def get_float(self, item, default=_Required):
        return float(self.get(item, default, (int, float)))

    def get_dict(self, item, default=_Required):
        return self.get(item, default, (dict,))

    def get_method(self):
        return self.method

    def send(self, data):
        self.response = data


class Client:
    def __init__(self, server, sock):
        self._server = server
        self._sock = sock
        self._received = b''
        self._waiting = b''
        self._handle = server.reactor.register_fd(sock.fileno(), self._read, self._write)

    def is_closed(self):
        return self._handle is None

    def close(self):
        if self._handle is not None:
            self._server.reactor.unregister_fd(self._handle)
            self._handle = None
            self._sock.close()
            self._server.clients.remove(self)

    def _read(self, eventtime):
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self.close()
            return
        requests = (self._received + data).split(b'\x03')
        self._received = requests.pop()
        for text in requests:
            request = WebRequest(self, json.loads(text.decode()))

            def answer(eventtime, request=request):
                self._answer(request)
            sliced = str(request.params.get('script', '')).startswith(watch.SLICED)
            answer.standin_limit = watch.CALLBACK_LIMIT if sliced else watch.COMMAND_LIMIT
            answer.__qualname__ = 'request %.80s' % (text.decode(),)
            self._server.reactor.register_callback(answer)

    def _answer(self, request):
        kind = 'result'
        try:
            self._server.webhooks.endpoint(request.method)(request)
        except gcode.CommandError as problem:
            kind = 'error'
            request.response = WebRequestError(str(problem)).to_dict()
        except Exception as problem:
            message = "Internal Error on WebRequest: %s" % (request.method,)
            logging.exception(message)
            kind = 'error'
            request.response = WebRequestError(str(problem)).to_dict()
            self._server.printer.invoke_shutdown(message)
        if request.id is not None:
            self.send({'id': request.id, kind: request.response or {}})

    def send(self, data):
        self._waiting += json.dumps(data, separators=(',', ':')).encode() + b'\x03'
        self._write(None)

    def _write(self, eventtime):
        if self._handle is None:
            return
        try:
            sent = self._sock.send(self._waiting)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._waiting = self._waiting[sent:]
        self._server.reactor.set_fd_wake(self._handle, not self._waiting, bool(self._waiting))


class Server:
    def __init__(self, webhooks, printer, path):
        self.webhooks = webhooks
        self.printer = printer
        self.reactor = printer.get_reactor()
        self.clients = []
        try:
            os.remove(path)
        except FileNotFoundError:
            pass
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        self._sock.bind(path)
        self._sock.listen(5)
        self._handle = self.reactor.register_fd(self._sock.fileno(), self._accept)
        printer.register_event_handler("klippy:disconnect", self._close)

    def _accept(self, eventtime):
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        sock.setblocking(False)
        self.clients.append(Client(self, sock))

    def _close(self):
        for client in list(self.clients):
            client.close()
        self.reactor.unregister_fd(self._handle)
        self._sock.close()


class WebHooks:
    """Object `webhooks`."""

    def __init__(self, printer):
        self.printer = printer
        self._endpoints = {}
        self._mux_endpoints = {}
        self._subscribers = []
        self.register_endpoint('info', self._info)
        self.register_endpoint('list_endpoints', self._list)
        self.register_endpoint('emergency_stop', self._stop)
        self.register_endpoint('gcode/script', self._script)
        self.register_endpoint('gcode/subscribe_output', self._subscribe)
        self.register_endpoint('gcode/restart', lambda request: printer.request_exit('restart'))
        path = printer.get_start_args().get('apiserver')
        if path:
            Server(self, printer, path)

    def register_endpoint(self, path, callback):
        if path in self._endpoints:
            raise WebRequestError("Path already registered to an endpoint")
        self._endpoints[path] = callback

    def register_mux_endpoint(self, path, key, value, callback):
        if path not in self._mux_endpoints:
            self.register_endpoint(path, lambda request: self._mux(path, request))
            self._mux_endpoints[path] = (key, {})
        known_key, values = self._mux_endpoints[path]
        if known_key != key or value in values:
            raise self.printer.config_error("mux endpoint %s %s %s can't be registered"
                                            % (path, key, value))
        values[value] = callback

    def _mux(self, path, request):
        key, values = self._mux_endpoints[path]
        value = request.get(key, None) if None in values else request.get(key)
        if value not in values:
            raise request.error("The value '%s' is not valid for %s" % (value, key))
        values[value](request)

    def endpoint(self, path):
        if path not in self._endpoints:
            raise WebRequestError("No registered callback for path '%s'" % (path,))
        return self._endpoints[path]

    def get_status(self, eventtime):
        message, state = self.printer.get_state_message()
        return {'state': state, 'state_message': message}

    def _info(self, request):
        message, state = self.printer.get_state_message()
        request.send({'state': state, 'state_message': message, 'process_id': os.getpid(),
                      'software_version': 'stand-in'})

    def _list(self, request):
        request.send({'endpoints': list(self._endpoints)})

    def _stop(self, request):
        self.printer.invoke_shutdown("Shutdown due to webhooks request")

    def _script(self, request):
        self.printer.lookup_object('gcode').run_script(request.get_str('script'))

    def _subscribe(self, request):
        if not self._subscribers:
            self.printer.lookup_object('gcode').register_output_handler(self._output)
        self._subscribers.append((request.get_client_connection(),
                                  request.get_dict('response_template', {})))

    def _output(self, message):
        for client, template in self._subscribers:
            if not client.is_closed():
                client.send(dict(template, params={'response': message}))
