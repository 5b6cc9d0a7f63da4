"""The extra: configuration, what is traced, and the timer that keeps it going."""

import logging
import os
import sys
import time

from . import VERSION, wire
from .attrs import AttrTracer
from .commands import Commands
from .discover import Discovery, printer_objects
from .frames import POLLING, SENDERS, Polling, is_serial
from .patch import Patcher, Refused, methods, undo_all
from .pump import Held, Pump
from .rebind import Rebinder
from .record import Recorder
from .sink import FileSink, Saver, save_path
from .stream import Server
from .values import is_a, type_name

QUIET = ('get_status', 'get_connect_state', 'test_error', 'box_connect_state_check', 'connect_state_check')
LOOPBACK = ('127.', '::1', 'localhost')
PAUSE = 0.020  # seconds between ticks
BUSY_PAUSE = 0.004  # and while more is waiting
WORK = 0.001  # seconds that a command works before it lets others run

# Numbers of calls go on over a restart in the same process.
_recorder = None


def process_recorder(limit):
    """The process's one recorder."""
    global _recorder
    if _recorder is None:
        _recorder = Recorder(limit)
    _recorder.limit = limit
    _recorder.live.clear()
    _recorder.clear()
    return _recorder


class Options:
    """The section's options, all of them read at once."""

    def __init__(self, config):
        self.port = config.getint('stream_port', 9876, minval=0, maxval=65535)
        self.bind = config.get('bind', '127.0.0.1').strip()
        self.token = config.get('token', '').strip()
        self.auto_start = config.getboolean('auto_start', True)
        self.max_clients = config.getint('max_clients', 4, minval=1, maxval=64)
        self.client_buffer = config.getint('client_buffer_kb', 1024, minval=64, maxval=65536) * 1024
        self.queue = config.getint('queue_events', 32768, minval=256, maxval=1 << 20)
        self.ring = config.getint('ring_kb', 4096, minval=0, maxval=1 << 20) * 1024
        self.always = config.getboolean('always_record', False)
        self.quiet = words(config.get('quiet_methods', ', '.join(QUIET)))
        self.serial_polling = config.getboolean('serial_polling', True)
        self.polling = [bytes.fromhex(word).hex() for word in words(config.get('polling_patterns', ', '.join(POLLING)))
                        if is_hex(word, config)]
        self.frames = config.getboolean('frames', True)
        self.folder = config.get('folder', '~/k485_traces').strip()
        self.file = config.get('file', '').strip()
        self.file_size = config.getint('file_mb', 32, minval=1, maxval=4096) << 20
        self.file_keep = config.getint('file_keep', 3, minval=1, maxval=100)


def words(text):
    """The words of an option that lists them."""
    return [word for word in text.replace(',', ' ').split() if word]


def is_hex(word, config):
    """Whether a polling pattern is STATUS and FUNC as hex; a config error if not."""
    try:
        if len(bytes.fromhex(word)) == 2:
            return True
    except ValueError:
        pass
    raise config.error("trace_hooks: polling_patterns: '%s' is not STATUS and FUNC in hex, as 00a2" % (word,))


class TraceHooks:
    """The printer object `trace_hooks`."""

    def __init__(self, config):
        self.printer = config.get_printer()
        self.reactor = self.printer.get_reactor()
        self.options = options = Options(config)
        self.file_input = self.printer.get_start_args().get('debuginput') is not None
        undo_all()  # what an instance before this one may have left
        self.recorder = process_recorder(options.queue)
        self.polling = Polling(options.polling, options.serial_polling)
        self.discovery = Discovery(self.printer)
        self.patcher = Patcher(self.recorder, self.polling, self.discovery.class_name)
        self.rebinder = Rebinder(self.printer)
        self.attrs = AttrTracer(self.recorder, self.discovery.follows)
        self.pump = Pump(self.recorder, options.ring)
        self.server = Server(self.reactor, self.pump, self.greeting, self.changed, options.token,
                             options.max_clients, options.client_buffer)
        self.sink = None
        self.savers = []
        self.traces = {}  # (label, method) -> whether it was asked for by its name
        self.active = {}  # (label, method) -> (object or class, class name, JSON, site); what is wrapped now
        self.framed = {}  # (label, method) -> (object, site); whose frames are told
        self.quiet = set(options.quiet)
        self.verbose = set()
        self.greeted = None  # the long part of the greeting, as it was last
        self.held = Held()  # by commands
        self.closed = False
        self.timer = self.reactor.register_timer(self.on_tick)
        self.commands = Commands(self)
        self.printer.register_event_handler('klippy:ready', self.on_ready)
        self.printer.register_event_handler('klippy:shutdown', self.on_shutdown)
        self.printer.register_event_handler('klippy:disconnect', self.on_disconnect)

    # Life

    def on_ready(self):
        try:
            self.discovery.refresh()
            if self.options.file:
                self.sink = FileSink(os.path.expanduser(self.options.file), self.options.client_buffer,
                                     self.options.file_size, self.options.file_keep)
                self.sink.put(self.greeting())
                self.pump.join(self.sink)
            if self.options.auto_start and not self.file_input:
                problem = self.start_stream()
                if problem:
                    logging.warning("trace_hooks: %s", problem)
            self.changed()
        except Exception:
            logging.exception("trace_hooks: start")

    def on_shutdown(self):
        self.recorder.other('mark', {'name': 'klippy:shutdown'})

    def on_disconnect(self):
        """The end of this printer: the process may go on with another."""
        try:
            self.close()
        except Exception:
            logging.exception("trace_hooks: end")

    def close(self):
        """Leaves everything as it was."""
        if self.closed:
            return
        self.closed = True
        self.pump.tick()
        self.attrs.disable()
        self.rebinder.unbind()
        undo_all()
        self.active.clear()
        self.server.stop()
        if self.sink is not None:
            self.sink.close()
            self.sink = None
        for saver in self.savers:
            saver.writer.close()
        self.savers = []
        self.pump.outlets.clear()
        self.recorder.live.clear()
        self.recorder.clear()
        self.reactor.unregister_timer(self.timer)

    # The stream

    def start_stream(self):
        """Begins to listen. What is wrong, or None."""
        options = self.options
        if not options.bind.startswith(LOOPBACK) and not options.token:
            return ('bind: %s lets others in, so it needs a token: in [trace_hooks]; or bind to 127.0.0.1 and use a '
                    'tunnel' % (options.bind,))
        try:
            self.server.start(options.bind, options.port)
        except (OSError, OverflowError) as error:
            return 'cannot listen on %s:%d: %s' % (options.bind, options.port, error)
        return None

    def greeting(self):
        """The first line that a client gets."""
        if self.greeted is None:
            lists = {
                'available_objects': self.discovery.available(),
                'attr_traces': [list(entry) for entry in self.attrs.active()],
            }
            # The long list is of pieces that were made one by one: hundreds at once would stop the host for a moment.
            traces = ', '.join([self.active[key][2] for key in sorted(self.active)])
            self.greeted = '"active_traces": [%s], %s' % (traces, wire.value_json(lists)[1:-1])
        now = time.monotonic_ns()
        offset = self.pump.offset()
        return ('{"type": "connected", "time": %.6f, "message": "TraceHooks streaming connected", %s, "schema": %d, '
                '"wire": {"binary": %d}, "version": "%s", "python": "%d.%d.%d", "pid": %d, "token": %s, '
                '"mono": %d, "reactor": %.6f, "seq": %d}\n' % (
                    (now + offset) / 1e9, self.greeted, wire.SCHEMA, wire.WIRE, VERSION, *sys.version_info[:3],
                    os.getpid(), 'true' if self.options.token else 'false', now, self.reactor.monotonic(),
                    self.pump.seq)).encode('ascii')

    def changed(self):
        """Opens or closes the gate, after a listener has come or gone."""
        live = self.recorder.live
        wanted = not self.closed and bool(self.server.listeners() or self.sink or self.options.always)
        if wanted and not live:
            self.recorder.clear()
            live.append(True)
        elif not wanted and live:
            live.clear()
            self.recorder.clear()
        if not self.closed:
            self.reactor.update_timer(self.timer, self.reactor.NOW)

    def on_tick(self, eventtime):
        pause = None
        held = self.pump.held
        held.begin()
        try:
            pause = self.tick()
        except Exception:
            logging.exception("trace_hooks: tick")
        held.end()
        return self.reactor.NEVER if pause is None else self.reactor.monotonic() + pause

    def tick(self):
        """One slice of everything. Seconds to the next, or None if nothing is to be done until something comes."""
        busy = self.pump.tick()
        self.server.tick()
        if self.sink is not None:
            self.sink.tick()
        self.pump.settle()
        for saver in list(self.savers):
            if saver.step():
                busy = True
            else:
                self.savers.remove(saver)
                self.say('saved %d events to %s' % (saver.events, saver.path) if saver.writer.error is None
                         else 'not saved: %s' % (saver.writer.error,))
        if busy:
            return BUSY_PAUSE
        return PAUSE if self.recorder.live or self.server.clients else None

    def say(self, text):
        """Tells the user something that no command waits for."""
        try:
            self.printer.lookup_object('gcode').respond_info('TRACE: ' + text)
        except Exception:
            logging.info("trace_hooks: %s", text)

    def breather(self):
        """A function for long work: lets the host go on when enough has been done in one go."""
        reactor = self.reactor
        last = [reactor.monotonic()]

        def breathe():
            if reactor.monotonic() - last[0] > WORK:
                self.held.end()
                try:
                    reactor.pause(reactor.monotonic() + 0.002)
                except Exception:
                    pass  # not now: in a handler that must not pause
                self.held.begin()
                last[0] = reactor.monotonic()
        return breathe

    def event(self, name, **fields):
        """Tells an event that is no call."""
        self.greeted = None
        self.recorder.other(name, fields)

    # Traces

    def is_told(self, label, method):
        """Whether a wanted trace is to be wrapped: not if it is quiet."""
        return self.traces[(label, method)] or method not in self.quiet or label in self.verbose

    def enable(self, label, obj, names, by_name, breathe):
        """Traces methods of an object or class: (names that are new, reasons for what was refused)."""
        sites = []
        out = self.enable_into(sites, label, obj, names, by_name, breathe)
        self.bind(sites, breathe)
        return out

    def bind(self, sites, breathe):
        """Has what was bound before go through new wrappers."""
        self.rebinder.bind(sites, breathe)
        if self.active:
            self.frame_all(breathe)

    def enable_into(self, sites, label, obj, names, by_name, breathe):
        """As `enable`, but leaves the new sites to be bound."""
        fresh, refused = [], []
        for name in names:
            breathe()
            key = (label, name)
            self.traces[key] = by_name or self.traces.get(key, False)
            if key in self.active or not self.is_told(label, name):
                continue
            try:
                sites.append(self.wrap(label, obj, name))
                fresh.append(name)
            except Refused as error:
                del self.traces[key]
                refused.append(str(error))
        return fresh, refused

    def wrap(self, label, obj, name):
        cls = obj if is_a(obj, type) else type(obj)
        if is_a(obj, type):
            site, _fresh = self.patcher.add_class(obj, label, name)
        else:
            site, _fresh = self.patcher.add(obj, label, name)
        self.active[(label, name)] = (obj, type_name(cls), wire.value_json([label, type_name(cls), name]), site)
        self.event('trace_enabled', object=label, **{'class': type_name(cls), 'method': name})
        return site

    def disable(self, keys, breathe, forget=True):
        """Traces these (label, method) no more; how many were."""
        gone, count = [], 0
        for key in list(keys):
            if forget:
                self.traces.pop(key, None)
            entry = self.active.pop(key, None)
            if entry is not None:
                obj, cls, _text, site = entry
                count += 1
                gone.append(self.patcher.remove(site, obj, key[0]))
                self.event('trace_disabled', object=key[0], **{'class': cls, 'method': key[1]})
            breathe()
        if not self.active:
            for obj, site in list(self.framed.values()):
                gone.append(self.patcher.remove_frames(site, obj))
            self.framed.clear()
        self.rebinder.release([site for site in gone if site is not None], breathe)
        return count

    def frame_all(self, breathe):
        """Has every bus tell its frames, while anything is traced."""
        if not self.options.frames:
            return
        sites = []
        for label, obj in list(printer_objects(self.printer).items()):
            if type(label) is str and is_serial(label):
                for name in SENDERS:
                    if (label, name) in self.framed:
                        continue
                    try:
                        sites.append(self.patcher.add_frames(obj, label, name))
                        self.framed[(label, name)] = (obj, sites[-1])
                    except Refused:
                        pass
                breathe()
        self.rebinder.bind(sites, breathe)

    def review(self, breathe):
        """Wraps and unwraps after the quiet methods or verbose objects have changed: (on, off)."""
        off = [key for key in self.active if not self.is_told(*key)]
        self.disable(off, breathe, forget=False)
        wanted = {}
        for label, name in sorted(self.traces):
            if (label, name) not in self.active and self.is_told(label, name):
                wanted.setdefault(label, []).append(name)
        on, sites = 0, []
        for label, names in wanted.items():
            breathe()
            found = self.discovery.find(label)
            if found is not None:
                on += len(self.enable_into(sites, label, found[1], names, False, breathe)[0])
        self.bind(sites, breathe)
        return on, len(off)

    def enable_objects(self, objects, private, breathe):
        """All methods of objects or classes {label: object}: ({label: how many are new}, reasons)."""
        counts, refused, sites = {}, [], []
        for label, obj in list(objects.items()):
            cls = obj if is_a(obj, type) else type(obj)
            fresh, reasons = self.enable_into(sites, label, obj, methods(cls, private), False, breathe)
            counts[label] = len(fresh)
            refused += reasons
        self.bind(sites, breathe)
        return counts, refused

    def labels(self):
        """Objects with active traces: {label: [method]}."""
        out = {}
        for label, method in sorted(self.active):
            out.setdefault(label, []).append(method)
        return out

    # Others

    def save(self, name, seconds, breathe):
        """Begins to save the history: (path, events). Raises ValueError."""
        path = save_path(self.options.folder, name)
        if os.path.exists(path):
            raise ValueError('%s is there already; use another NAME' % (path,))
        self.pump.tick()
        breathe()
        parts = list(self.pump.history.parts)
        if seconds is not None:
            since = time.monotonic_ns() - int(seconds * 1e9)
            parts = [part for part in parts if part[3] >= since]
        count = sum(part[1] for part in parts)
        if not count:
            raise ValueError('nothing is recorded yet: events are kept while a client, a file or always_record '
                             'takes them')
        breathe()
        self.savers.append(Saver(path, self.greeting(), parts, self.pump.lines))
        self.reactor.update_timer(self.timer, self.reactor.NOW)
        return path, count

    def method_names(self, breathe):
        """The names of the methods of everything that can be named here: a set."""
        names = {method for _label, method in self.traces}
        things = list(printer_objects(self.printer).values()) + list(self.discovery.classes.values())
        for cls in {id(cls): cls for cls in (thing if is_a(thing, type) else type(thing) for thing in things)}.values():
            names.update(methods(cls, private=True))
            breathe()
        return names

    def get_status(self, eventtime=None):
        return {'listening': self.server.sock is not None, 'clients': self.server.listeners(),
                'traces': len(self.active), 'recorded': self.recorder.recorded, 'dropped': self.recorder.dropped}
