"""The printer: objects, events, states."""

import importlib
import logging

from . import config, gcode, webhooks

READY = "Printer is ready"
STARTUP = "Printer is not ready"

# Sections that klippy needs and that say nothing to the stand-in.
PASSED_OVER = ('mcu', 'printer')

_REQUIRED = object()


class Toolhead:
    """Object `toolhead`: of a printer that stands still."""

    def get_status(self, eventtime):
        return {'print_time': 0.}

    def get_last_move_time(self):
        return 0.

    def wait_moves(self):
        pass

    def dwell(self, delay):
        pass


class Printer:
    config_error = config.ConfigError
    command_error = gcode.CommandError

    def __init__(self, reactor, start_args):
        self.reactor = reactor
        self.start_args = start_args
        self.objects = {}
        self.event_handlers = {}
        self.state_message = STARTUP
        self.in_shutdown_state = False
        self.run_result = None
        self.objects['gcode'] = gcode.GCode(self)
        self.objects['webhooks'] = webhooks.WebHooks(self)
        reactor.register_callback(self._connect)

    def get_start_args(self):
        return self.start_args

    def get_reactor(self):
        return self.reactor

    def is_shutdown(self):
        return self.in_shutdown_state

    def get_state_message(self):
        if self.state_message == READY:
            state = 'ready'
        elif self.state_message == STARTUP:
            state = 'startup'
        else:
            state = 'shutdown' if self.in_shutdown_state else 'error'
        return self.state_message, state

    def add_object(self, name, obj):
        if name in self.objects:
            raise self.config_error("Printer object '%s' already created" % (name,))
        self.objects[name] = obj

    def lookup_object(self, name, default=_REQUIRED):
        if name not in self.objects and default is _REQUIRED:
            raise self.config_error("Unknown config object '%s'" % (name,))
        return self.objects.get(name, default)

    def lookup_objects(self, module=None):
        if module is None:
            return list(self.objects.items())
        return [(name, obj) for name, obj in self.objects.items()
                if name == module or name.startswith(module + ' ')]

    def load_object(self, section, name, default=_REQUIRED):
        if name in self.objects:
            return self.objects[name]
        words = name.split()
        if words[0] == 'gcode_macro':
            load = gcode.GCodeMacro
        else:
            try:
                module = importlib.import_module('extras.' + words[0])
            except ModuleNotFoundError as problem:
                if problem.name != 'extras.' + words[0]:
                    raise
                module = None
            load = getattr(module, 'load_config_prefix' if words[1:] else 'load_config', None)
        if load is None:
            if default is _REQUIRED:
                raise self.config_error("Unable to load module '%s'" % (name,))
            return default
        self.objects[name] = load(section.getsection(name))
        return self.objects[name]

    def register_event_handler(self, event, callback):
        self.event_handlers.setdefault(event, []).append(callback)

    def send_event(self, event, *params):
        return [callback(*params) for callback in self.event_handlers.get(event, [])]

    def request_exit(self, result):
        if self.run_result is None:
            self.run_result = result
        self.reactor.end()

    def _connect(self, eventtime):
        try:
            whole = config.Config(self, self.start_args['config_file'])
            for section in whole.sections():
                if section.get_name() not in PASSED_OVER:
                    self.load_object(section, section.get_name(), None)
            self.objects['toolhead'] = Toolhead()
            whole.check_unused_options(PASSED_OVER)
            self.send_event("klippy:mcu_identify")
            self.send_event("klippy:connect")
        except Exception as problem:
            logging.exception("stand-in: no start")
            self.state_message = str(problem)
            return
        self.state_message = READY
        try:
            with self.reactor.assert_no_pause():
                self.send_event("klippy:ready")
        except Exception as problem:
            logging.exception("Unhandled exception during ready callback")
            self.invoke_shutdown("Internal error during ready callback: %s" % (problem,))

    # Loading the configuration is no tick.
    _connect.standin_limit = 10.

    def invoke_shutdown(self, msg, details={}):
        if self.in_shutdown_state:
            return
        logging.error("Transition to shutdown state: %s", msg)
        self.in_shutdown_state = True
        self.state_message = msg
        with self.reactor.assert_no_pause():
            for callback in self.event_handlers.get("klippy:shutdown", []):
                try:
                    callback()
                except Exception:
                    logging.exception("Exception during shutdown handler")

    def invoke_async_shutdown(self, msg, details={}):
        self.reactor.register_async_callback(lambda e: self.invoke_shutdown(msg, details))

    def run(self):
        """Runs until somebody wants an exit or a restart; says which."""
        try:
            self.reactor.run()
        except Exception:
            logging.exception("Unhandled exception during run")
            # As in klippy: one is a shutdown, two are the end.
            try:
                self.reactor.register_callback(
                    lambda e: self.invoke_shutdown("Unhandled exception during run"))
                self.reactor.run()
            except Exception:
                logging.exception("Repeat unhandled exception during run")
                self.run_result = 'error_exit'
        try:
            if self.run_result == 'firmware_restart':
                self.send_event("klippy:firmware_restart")
            self.send_event("klippy:disconnect")
        except Exception:
            logging.exception("Unhandled exception during post run")
        return self.run_result
