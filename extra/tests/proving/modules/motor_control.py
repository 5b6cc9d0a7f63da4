"""A module of a host that makes whatever is hard for a tracer.

It registers commands, an event handler, a timer, a descriptor and a callback in its constructor, as
modules of hosts do: bound methods that exist long before anybody traces.
"""

import ast
import enum
import json
import logging
import os
import queue
import re
import threading
import time

import greenlet


def thread_time():
    """Seconds that this thread has run, and that it wanted to and another had the processor."""
    with open('/proc/thread-self/schedstat') as file:
        ran, waited, _ = file.read().split()
    return int(ran) / 1e9, int(waited) / 1e9


class Mode(enum.Enum):
    IDLE = 0
    HOMING = 1


class Foreign:
    """Of somebody else: to look at it is to touch it."""

    touched = []

    def __init__(self):
        self.kept = 1

    def __repr__(self):
        Foreign.touched.append('repr')
        return 'Foreign()'

    __str__ = __repr__

    def __getattr__(self, name):
        Foreign.touched.append(name)
        raise AttributeError(name)

    def __len__(self):
        Foreign.touched.append('len')
        return 1

    def __iter__(self):
        Foreign.touched.append('iter')
        return iter(())

    def __bool__(self):
        Foreign.touched.append('bool')
        return True

    def __eq__(self, other):
        Foreign.touched.append('eq')
        return self is other

    def __hash__(self):
        Foreign.touched.append('hash')
        return 1


class Motor:
    """One axis."""

    limit = 7
    digits = 5000               # more than Python turns into text; not where a compiler sees it

    def __init__(self, printer, name):
        self.printer = printer
        self.name = name
        self.reactor = printer.get_reactor()
        self.lock = threading.Lock()
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=len)
        self.pattern = re.compile('a+')
        self.log = logging.getLogger()
        self.foreign = Foreign()
        self.steps_done = 0
        self.moved_by = []
        self.speed = 12.5
        self.ticks = 0
        self.next_tick = self.reactor.NEVER
        self.late = (0., 0., 0.)        # seconds, how long the thread ran since, and waited to run
        self.ran = (0., 0.)

    # Plain ones

    def add(self, a, b=0):
        return a + b

    def text(self, *args, **kw):
        return 'said'

    def echo(self, value):
        return value

    def _inner(self, value):
        return value

    def outer(self, value):
        self._inner(value)
        self.add(value, 1)
        return self.foreign

    @staticmethod
    def scale(a, b):
        return a * b

    @classmethod
    def kind(cls):
        return cls.__name__

    @property
    def position(self):
        return self.steps_done

    @position.setter
    def position(self, value):
        self.steps_done = value

    # Ones that end in other ways

    def fail(self, text):
        raise ValueError(text)

    def leave(self):
        raise greenlet.GreenletExit()

    def interrupt(self):
        raise KeyboardInterrupt()

    def steps(self, count):
        for step in range(count):
            got = yield step
            if got is not None:
                self.steps_done = got
        return count

    async def settle(self, value):
        return value

    # Values

    def drain(self, items):
        """Takes all out of what it is given, as the queue of the vendor's host does."""
        count = len(items)
        items.clear()
        return count

    def odd_values(self):
        circle = []
        circle.append(circle)
        own = {}
        own['self'] = own
        deep = []
        for _ in range(5000):
            deep = [deep]
        return [float('nan'), float('inf'), -float('inf'), pow(10, self.digits), -2 ** 70, circle, own, deep,
                {1: 2, None: 3, (1, 2): 4, b'\xff': 5, 1.5: 6}, {1, 2}, frozenset([3]), (4, 5),
                bytearray(b'\x01\x02'), memoryview(b'\x03'), 1 + 2j, Mode.HOMING, '\ud800', 'é\u2028',
                b'\x00' * 2000, 'x' * 2000, list(range(1000)), {i: i for i in range(1000)},
                range(3), Foreign(), Foreign, len, self.add]

    # Waiting: other greenlets run meanwhile

    def wait(self, seconds):
        self.reactor.pause(self.reactor.monotonic() + seconds)
        return seconds

    def outer_wait(self, seconds):
        return self.wait(seconds)

    # Ones that are held as bound methods from the start

    def on_tick(self, eventtime):
        self.ticks += 1
        ran = thread_time()
        self.late = max(self.late, (eventtime - self.next_tick, ran[0] - self.ran[0], ran[1] - self.ran[1]))
        self.ran = ran
        self.next_tick = eventtime + 0.05
        return self.next_tick

    def on_moved(self, by):
        self.moved_by.append(by)

    def on_pipe(self, eventtime):
        os.read(self.pipe[0], 1)

    def on_web(self, request):
        request.send({'by': request.get_int('by')})

    def on_mux(self, request):
        request.send({'stopped': 'left'})

    def on_due(self, eventtime):
        return 'due'

    def cmd_MOTOR_MOVE(self, gcmd):
        self.printer.send_event('motor:moved', gcmd.get_int('BY', 1))

    def cmd_MOTOR_SET(self, gcmd):
        self.speed = gcmd.get_float('SPEED')


class GearedMotor(Motor):
    """A subclass that overrides one method and inherits the rest."""

    def add(self, a, b=0):
        return super().add(a, b) * 2


class MotorHelper:
    """Of the module alone: none is an object of the printer's."""

    __slots__ = ('name',)

    def __init__(self, name):
        self.name = name

    def turn(self, by):
        return by

    @classmethod
    def sort(cls):
        return cls.__name__

    @staticmethod
    def half(by):
        return by / 2


class GearedHelper(MotorHelper):
    """Has one of its own and inherits the rest."""

    __slots__ = ()

    def turn(self, by):
        return by * 2


class Lever:
    """Neither its name nor that of its class says what it is for."""

    def pull(self, by):
        return by


class Slotted:
    """Without a __dict__."""

    __slots__ = ('value',)

    def __init__(self):
        self.value = 3

    def get(self):
        return self.value


class MotorControl(Motor):
    """The object of the section, and the door for tests."""

    def __init__(self, config):
        printer = config.get_printer()
        super().__init__(printer, 'control')
        self.gcode = printer.lookup_object('gcode')
        # Two of one class, one of a subclass, and things without methods that could be replaced.
        self.left = Motor(printer, 'left')
        self.right = Motor(printer, 'right')
        self.geared = GearedMotor(printer, 'geared')
        for name, obj in (('motor_left', self.left), ('motor_right', self.right),
                          ('motor geared', self.geared), ('motor_slotted', Slotted()), ('lever', Lever()),
                          ('motor_table', {'a': 1}), ('motor_lock', threading.Lock())):
            printer.add_object(name, obj)
        left = self.left
        left.pipe = os.pipe()
        left.handle = self.reactor.register_fd(left.pipe[0], left.on_pipe)
        left.timer = self.reactor.register_timer(left.on_tick, self.reactor.NOW)
        self.helpers = [MotorHelper('one'), MotorHelper('two'), GearedHelper('three')]
        webhooks = printer.lookup_object('webhooks')
        webhooks.register_endpoint('motor/turn', left.on_web)
        webhooks.register_mux_endpoint('motor/stop', 'motor', 'left', left.on_mux)
        self.due = None
        self.gcode.register_command('MOTOR_MOVE', left.cmd_MOTOR_MOVE, desc="moves")
        self.gcode.register_mux_command('MOTOR_SET', 'MOTOR', 'left', left.cmd_MOTOR_SET)
        self.gcode.register_command('PROVE', self.cmd_PROVE, True, desc="calls a method")
        printer.register_event_handler('motor:moved', left.on_moved)
        printer.register_event_handler('klippy:disconnect', self._handle_disconnect)

    def _handle_disconnect(self):
        self.reactor.unregister_fd(self.left.handle)
        for fd in self.left.pipe:
            os.close(fd)

    # What a test can have done

    def cmd_PROVE(self, gcmd):
        act = getattr(self, '_do_' + gcmd.get('DO', 'call'))
        try:
            said = act(gcmd)
        except BaseException as problem:
            said = {'raised': type(problem).__name__, 'text': str(problem)}
        gcmd.respond_info('PROVE: ' + json.dumps(said), log=False)

    def _target(self, gcmd):
        obj = self.printer.lookup_object(gcmd.get('OBJECT', 'motor_control'))
        if gcmd.get('CLASS', None):
            obj = type(obj)
        return obj, gcmd.get('METHOD'), ast.literal_eval(gcmd.get('ARGS', '[]')
                                                         .replace('null', 'None')
                                                         .replace('true', 'True')
                                                         .replace('false', 'False'))

    def _do_call(self, gcmd):
        obj, method, args = self._target(gcmd)
        for _ in range(gcmd.get_int('N', 1) - 1):
            getattr(obj, method)(*args)
        value = getattr(obj, method)(*args)
        kind = type(value).__name__
        if kind == 'generator':
            value = self._exhaust(value)
        elif kind == 'coroutine':
            value = self._finish(value)
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            value = None
        return {'value': value, 'type': kind}

    @staticmethod
    def _exhaust(generator):
        values = []
        while True:
            try:
                values.append(next(generator))
            except StopIteration as stop:
                return [values, stop.value]

    @staticmethod
    def _finish(coroutine):
        try:
            while True:
                coroutine.send(None)
        except StopIteration as stop:
            return stop.value

    def _do_time(self, gcmd):
        """Nanoseconds a call: the best of some rounds."""
        obj, method, args = self._target(gcmd)
        best = None
        for _ in range(5):
            start = time.thread_time()
            for _ in range(1000):
                getattr(obj, method)(*args)
            took = (time.thread_time() - start) * 1e6
            best = took if best is None else min(best, took)
        return {'ns': best}

    def _do_read(self, gcmd):
        """An attribute, or the position, as another module reads it."""
        value = getattr(self.printer.lookup_object(gcmd.get('OBJECT', 'motor_control')),
                        gcmd.get('ATTR'))
        return {'type': type(value).__name__,
                'value': value if isinstance(value, (int, float, str, list)) else None}

    def _do_set(self, gcmd):
        setattr(self.printer.lookup_object(gcmd.get('OBJECT', 'motor_control')),
                gcmd.get('ATTR'), gcmd.get_int('VALUE'))
        return {}

    def _do_drain(self, gcmd):
        nested = [[1, 2], {'a': [3]}]
        items = {'list': [1, 2, 3], 'bytearray': bytearray(b'\x01\x02'), 'dict': {'a': 1},
                 'nested': nested}[gcmd.get('KIND')]
        if items is nested:
            # The outer list stays: what is in it is emptied.
            count = self.left.text(items)
            nested[0].clear()
            nested[1]['a'].clear()
            return {'value': count}
        return {'value': self.left.drain(items)}

    def _do_help(self, gcmd):
        """What each helper and their classes do."""
        return {'value': [[helper.turn(3), helper.sort(), helper.half(4)] for helper in self.helpers]}

    def _do_touched(self, gcmd):
        touched, Foreign.touched = Foreign.touched, []
        return {'value': touched}

    def _do_foreign(self, gcmd):
        return {'value': self.left.text(Foreign(), [Foreign()], key=Foreign())}

    def _do_pipe(self, gcmd):
        os.write(self.left.pipe[1], b'x')
        return {}

    def _do_schedule(self, gcmd):
        """A callback that is registered now and runs when `DO=due` completes."""
        self.due = self.reactor.register_callback(
            self.left.on_due, self.reactor.monotonic() + gcmd.get_float('IN'))
        return {}

    def _do_due(self, gcmd):
        return {'value': self.due.wait(self.reactor.monotonic() + 30.)}

    def _do_interleave(self, gcmd):
        """Three greenlets wait in one method, and end in another order than they began."""
        done = [self.reactor.register_callback(lambda e, s=s: self.left.outer_wait(s))
                for s in (0.15, 0.05, 0.1)]
        return {'value': [c.wait() for c in done]}

    def _do_threads(self, gcmd):
        """The same method from two foreign threads and this one."""
        threads = [threading.Thread(target=lambda n=n: [self.left.add(n, i) for i in range(500)])
                   for n in (1000, 2000)]
        for thread in threads:
            thread.start()
        for i in range(500):
            self.left.add(0, i)
        for thread in threads:
            thread.join()
        return {}

    def _do_kinds(self, gcmd):
        """What the raw attributes of a class are."""
        cls = type(self.printer.lookup_object(gcmd.get('OBJECT', 'motor_left')))
        return {'module': __file__, 'kinds': {name: type(value).__name__ for name, value in sorted(vars(cls).items())},
                'ids': {name: id(value) for name, value in sorted(vars(cls).items())}}

    def _do_late(self, gcmd):
        """How late the timer of the left one was at most, since this was asked last, in seconds.

        And what the thread did in the 50 ms and more before: ran, and waited for a processor.
        """
        late, self.left.late = self.left.late, (0., 0., 0.)
        return {'value': late}

    def _do_fail_now(self, gcmd):
        raise RuntimeError("on purpose")


def load_config(config):
    return MotorControl(config)
