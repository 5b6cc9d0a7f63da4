"""Just enough of a printer to run the extra in one thread: config, gcode, and a loop over poll().

The stand-in that keeps Klipper's exact semantics is in standin/; this one has no greenlets, so that a test can step it.
"""

import select
import shlex
import time


class CommandError(Exception):
    pass


class Timer:
    def __init__(self, callback, waketime):
        self.callback = callback
        self.waketime = waketime


class FileHandler:
    def __init__(self, fd, read, write):
        self.fd, self.read_callback, self.write_callback = fd, read, write


class Reactor:
    NOW = 0.
    NEVER = 9999999999999999.

    def __init__(self):
        self._timers = []
        self._fds = {}
        self._poll = select.poll()
        self.monotonic = time.monotonic
        self.longest = 0.

    def register_timer(self, callback, waketime=NEVER):
        timer = Timer(callback, waketime)
        self._timers.append(timer)
        return timer

    def update_timer(self, timer, waketime):
        timer.waketime = waketime

    def unregister_timer(self, timer):
        self._timers.remove(timer)

    def register_fd(self, fd, read_callback, write_callback=None):
        handler = self._fds[fd] = FileHandler(fd, read_callback, write_callback)
        self._poll.register(fd, select.POLLIN | select.POLLHUP)
        return handler

    def unregister_fd(self, handler):
        self._poll.unregister(handler.fd)
        del self._fds[handler.fd]

    def set_fd_wake(self, handler, is_readable=True, is_writeable=False):
        flags = select.POLLHUP | (select.POLLIN if is_readable else 0) | (select.POLLOUT if is_writeable else 0)
        self._poll.modify(handler.fd, flags)

    def pause(self, waketime):
        return self.monotonic()

    def step(self, wait=0.0):
        """One turn: files, then timers that are due."""
        for fd, event in self._poll.poll(int(wait * 1000)):
            assert not event & select.POLLNVAL, 'a closed descriptor is still in poll()'
            handler = self._fds.get(fd)
            if handler is not None and event & (select.POLLIN | select.POLLHUP):
                self._call(handler.read_callback)
            if handler is not None and event & select.POLLOUT:
                self._call(handler.write_callback)
        now = self.monotonic()
        for timer in list(self._timers):
            if now >= timer.waketime:
                timer.waketime = self.NEVER
                timer.waketime = self._call(timer.callback)

    def _call(self, callback):
        start = time.monotonic()
        result = callback(start)
        self.longest = max(self.longest, time.monotonic() - start)
        return result

    def run_until(self, done, most=10.0):
        """Turns until something is true."""
        end = time.monotonic() + most
        while not done():
            assert time.monotonic() < end, 'waited for nothing'
            self.step(0.005)


class GCodeCommand:
    error = CommandError
    sentinel = object()

    def __init__(self, line):
        self._commandline = line
        self._params = dict(part.split('=', 1) for part in shlex.split(line)[1:])
        self.answers = []

    def get(self, name, default=sentinel, parser=str, above=None, minval=None, maxval=None):
        value = self._params.get(name)
        if value is None:
            if default is self.sentinel:
                raise self.error("Error on '%s': missing %s" % (self._commandline, name))
            return default
        try:
            return parser(value)
        except ValueError:
            raise self.error("Error on '%s': unable to parse %s" % (self._commandline, value))

    def get_int(self, name, default=sentinel, **kw):
        return self.get(name, default, int)

    def get_float(self, name, default=sentinel, **kw):
        return self.get(name, default, float)

    def respond_info(self, text):
        self.answers.append(text)


class GCode:
    def __init__(self):
        self.ready_gcode_handlers = {}
        self.base_gcode_handlers = self.gcode_handlers = {}
        self.mux_commands = {}
        self.output_callbacks = []
        self.said = []

    def register_command(self, cmd, func, when_not_ready=False, desc=None):
        assert cmd not in self.ready_gcode_handlers
        origfunc = func
        func = lambda params: origfunc(self._get_extended_params(params))  # noqa: E731
        self.ready_gcode_handlers[cmd] = func
        if when_not_ready:
            self.base_gcode_handlers[cmd] = func

    def _get_extended_params(self, gcmd):
        return gcmd

    def respond_info(self, text):
        self.said.append(text)

    def run(self, line):
        gcmd = GCodeCommand(line)
        self.ready_gcode_handlers[line.split()[0]](gcmd)
        return '\n'.join(gcmd.answers)


class Config:
    error = CommandError

    def __init__(self, printer, options):
        self.printer, self.options = printer, options

    def get_printer(self):
        return self.printer

    def get(self, name, default=None):
        return self.options.get(name, default)

    def getint(self, name, default=None, minval=None, maxval=None):
        return int(self.options.get(name, default))

    def getboolean(self, name, default=None):
        return bool(self.options.get(name, default))


class Printer:
    command_error = CommandError

    def __init__(self, **options):
        self.reactor = Reactor()
        self.gcode = GCode()
        self.objects = {'gcode': self.gcode, 'webhooks': type('W', (), {})()}
        self.event_handlers = {}
        self.options = options

    def start(self, objects):
        """Loads the extra beside these objects."""
        from trace_hooks import load_config
        self.objects.update(objects)
        self.options.setdefault('stream_port', 0)
        self.hooks = self.objects['trace_hooks'] = load_config(Config(self, self.options))
        self.send_event('klippy:ready')
        return self

    def get_reactor(self):
        return self.reactor

    def get_start_args(self):
        return {}

    def lookup_object(self, name, default=None):
        return self.objects[name]

    def register_event_handler(self, event, callback):
        self.event_handlers.setdefault(event, []).append(callback)

    def send_event(self, event):
        for callback in self.event_handlers.get(event, []):
            callback()

    def run(self, line):
        return self.gcode.run(line)
