"""G-code: commands with named arguments, and who answers them in which state."""

import logging
import re
import shlex


class CommandError(Exception):
    """A command that can't be carried out: told to the person, harmless to the printer."""


class GCodeCommand:
    """One command with its arguments, as a handler gets it."""

    error = CommandError

    class _Required:
        pass

    def __init__(self, gcode, command, line, params):
        self._command = command
        self._line = line
        self._params = params
        self.respond_info = gcode.respond_info
        self.respond_raw = gcode.respond_raw

    def get_command(self):
        return self._command

    def get_commandline(self):
        return self._line

    def get_command_parameters(self):
        return self._params

    def get_raw_command_parameters(self):
        return self._line[len(self._command):].strip()

    def ack(self, msg=None):
        return False

    def get(self, name, default=_Required, parser=str, minval=None, maxval=None, above=None,
            below=None):
        if name not in self._params:
            if default is self._Required:
                raise self.error("Error on '%s': missing %s" % (self._line, name))
            return default
        text = self._params[name]
        try:
            value = parser(text)
        except Exception:
            raise self.error("Error on '%s': unable to parse %s" % (self._line, text))
        if ((minval is not None and value < minval) or (maxval is not None and value > maxval)
                or (above is not None and value <= above)
                or (below is not None and value >= below)):
            raise self.error("Error on '%s': %s is out of range" % (self._line, name))
        return value

    def get_int(self, name, default=_Required, minval=None, maxval=None):
        return self.get(name, default, int, minval, maxval)

    def get_float(self, name, default=_Required, minval=None, maxval=None, above=None, below=None):
        return self.get(name, default, float, minval, maxval, above, below)


_TRADITIONAL = re.compile(r'[A-Z][0-9]+(\.[0-9]+)?$')
_NAME = re.compile(r'[A-Z_][A-Z_][A-Z0-9_]*$')
_WORD = re.compile(r'([A-Z_]+|[A-Z*])')


class GCode:
    """The dispatcher, object `gcode`."""

    error = CommandError

    def __init__(self, printer):
        self.printer = printer
        self.mutex = printer.get_reactor().mutex()
        self.output_callbacks = []
        self.is_printer_ready = False
        # After a shutdown only those of `base_gcode_handlers` are answered.
        self.base_gcode_handlers = {}
        self.ready_gcode_handlers = {}
        self.gcode_handlers = self.base_gcode_handlers
        self.mux_commands = {}
        self.gcode_help = {}
        printer.register_event_handler("klippy:ready", self._ready)
        printer.register_event_handler("klippy:shutdown", self._shutdown)
        for name in ('RESTART', 'FIRMWARE_RESTART', 'M112', 'ECHO', 'STATUS', 'HELP'):
            self.register_command(name, getattr(self, 'cmd_' + name), True, name.lower())

    def _ready(self):
        self.is_printer_ready = True
        self.gcode_handlers = self.ready_gcode_handlers

    def _shutdown(self):
        self.is_printer_ready = False
        self.gcode_handlers = self.base_gcode_handlers

    def register_command(self, cmd, func, when_not_ready=False, desc=None):
        if func is None:
            self.base_gcode_handlers.pop(cmd, None)
            return self.ready_gcode_handlers.pop(cmd, None)
        if cmd in self.ready_gcode_handlers:
            raise self.printer.config_error("gcode command %s already registered" % (cmd,))
        handler = func
        if not _TRADITIONAL.match(cmd):
            if not _NAME.match(cmd):
                raise self.printer.config_error(
                    "Can't register '%s' as it is an invalid name" % (cmd,))
            # The function that was registered is held by a closure only: whoever wants to see it
            # called, and came later, has to look there.
            def handler(gcmd):
                return func(self._named(gcmd))
        self.ready_gcode_handlers[cmd] = handler
        if when_not_ready:
            self.base_gcode_handlers[cmd] = handler
        if desc is not None:
            self.gcode_help[cmd] = desc

    def register_mux_command(self, cmd, key, value, func, desc=None):
        if cmd not in self.mux_commands:
            self.register_command(cmd, lambda gcmd: self._mux(cmd, gcmd), desc=desc)
            self.mux_commands[cmd] = (key, {})
        known_key, values = self.mux_commands[cmd]
        if known_key != key or value in values:
            raise self.printer.config_error("mux command %s %s %s can't be registered"
                                            % (cmd, key, value))
        values[value] = func

    def _mux(self, cmd, gcmd):
        key, values = self.mux_commands[cmd]
        value = gcmd.get(key, None) if None in values else gcmd.get(key)
        if value not in values:
            raise gcmd.error("The value '%s' is not valid for %s" % (value, key))
        values[value](gcmd)

    def _named(self, gcmd):
        """Turns `NAME=VALUE`, quoted as in a shell, into arguments."""
        lexer = shlex.shlex(gcmd.get_raw_command_parameters(), posix=True)
        lexer.whitespace_split = True
        lexer.commenters = '#;'
        try:
            named = dict(word.split('=', 1) for word in lexer)
        except ValueError:
            raise self.error("Malformed command '%s'" % (gcmd.get_commandline(),))
        gcmd._params.clear()
        gcmd._params.update((name.upper(), value) for name, value in named.items())
        return gcmd

    def get_command_help(self):
        return dict(self.gcode_help)

    def get_mutex(self):
        return self.mutex

    def get_status(self, eventtime):
        return {'commands': {cmd: {} for cmd in self.gcode_handlers}}

    def create_gcode_command(self, command, commandline, params):
        return GCodeCommand(self, command, commandline, params)

    def run_script(self, script):
        with self.mutex:
            self.run_script_from_command(script)

    def run_script_from_command(self, script):
        for line in script.split('\n'):
            self._run(line.split(';')[0].strip())

    def _run(self, line):
        if not line:
            return
        words = _WORD.split(line.upper())
        cmd = ''.join(words[:3]).strip()
        params = {words[i]: words[i + 1].strip() for i in range(1, len(words), 2)}
        handler = self.gcode_handlers.get(cmd)
        try:
            if handler is None:
                if not self.is_printer_ready:
                    raise self.error(self.printer.get_state_message()[0])
                self.respond_info('Unknown command:"%s"' % (cmd,))
                return
            handler(GCodeCommand(self, cmd, line, params))
        except self.error as problem:
            self._respond_error(str(problem))
            self.printer.send_event("gcode:command_error")
            raise
        except Exception:
            message = 'Internal error on command:"%s"' % (cmd,)
            logging.exception(message)
            self.printer.invoke_shutdown(message)
            self._respond_error(message)
            raise

    def register_output_handler(self, cb):
        self.output_callbacks.append(cb)

    def respond_raw(self, msg):
        for callback in self.output_callbacks:
            callback(msg)

    def respond_info(self, msg, log=True):
        if log:
            logging.info(msg)
        self.respond_raw("// " + "\n// ".join(l.strip() for l in msg.strip().split('\n')))

    def _respond_error(self, msg):
        logging.warning(msg)
        self.respond_raw('!! ' + msg.strip().split('\n')[0])

    def cmd_RESTART(self, gcmd):
        self.printer.request_exit('restart')

    def cmd_FIRMWARE_RESTART(self, gcmd):
        self.printer.request_exit('firmware_restart')

    def cmd_M112(self, gcmd):
        self.printer.invoke_shutdown("Shutdown due to M112 command")

    def cmd_ECHO(self, gcmd):
        gcmd.respond_info(gcmd.get_commandline(), log=False)

    def cmd_STATUS(self, gcmd):
        if not self.is_printer_ready:
            raise gcmd.error(self.printer.get_state_message()[0])
        gcmd.respond_info("Klipper state: Ready", log=False)

    def cmd_HELP(self, gcmd):
        gcmd.respond_info("\n".join(sorted(self.gcode_handlers)), log=False)


class GCodeMacro:
    """A section `[gcode_macro NAME]`: its lines are run as they are, without templates."""

    def __init__(self, config):
        self.printer = config.get_printer()
        self.alias = config.get_name().split()[1].upper()
        self.gcode = self.printer.lookup_object('gcode')
        self.script = config.get('gcode')
        self.gcode.register_command(self.alias, self.cmd, desc=config.get('description', "macro"))

    def get_status(self, eventtime):
        return {}

    def cmd(self, gcmd):
        self.gcode.run_script_from_command(self.script)
