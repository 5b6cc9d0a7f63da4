"""The whole extra in a little host: commands, the stream and its clients, files, and the way back."""

import collections
import json
import logging
import os
import random
import socket
import struct
import sys
import time
import types

import pytest
from little_host import CommandError, Printer
from trace_hooks import patch, values
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


def test_a_client_of_old_is_served_at_once(new):
    printer = new()
    client = Client(printer)
    hello, = client.wait_for('connected')
    assert hello['message'] == 'TraceHooks streaming connected' and hello['active_traces'] == []
    assert hello['available_objects'][:2] == ['box', 'serial_485 serial485'] and hello['schema'] == 1
    assert printer.run('TRACE_ALL OBJECT=box').startswith('Tracing 5 methods of box, 5 of them new')
    printer.objects['box'].Tn_action('T1A')
    client.wait_for('return', 1)
    kinds = [event['type'] for event in client.lines()[1:]]
    assert kinds == ['trace_enabled'] * 5 + ['traces_enabled', 'call', 'frame', 'frame', 'return']
    call, tx, rx, back = client.lines()[-4:]
    assert (call['args'], call['argv'], call['depth'], call['parent']) == ('T1A', ['T1A'], 0, 0)
    assert (tx['bytes'], tx['direction'], tx['parent']) == ('0103ff0a', 'tx', call['id'])
    assert (rx['bytes'], rx['direction'], rx['wire']) == ('f70103000a00', 'rx', 'reconstructed')
    assert back['result'] == {'T0A': 140}
    assert [event['seq'] for event in client.lines()[1:]] == list(range(1, 11))
    client2 = Client(printer)
    assert len(client2.wait_for('connected')[0]['active_traces']) == 5


def test_every_command_answers_whatever_it_is_given(new):
    printer = new()
    commands = [name for name in printer.gcode.ready_gcode_handlers if name.startswith('TRACE_')]
    assert set(commands) == set(printer.gcode.base_gcode_handlers), 'all of them after a shutdown, too'
    assert len(commands) == 19
    dice = random.Random(7)
    names = ['box', 'BOX', 'serial_485_serial485', '"serial_485 serial485"', 'toolhead', 'gcode', 'webhooks', 'nix', '*', '""',
             'trace_hooks', 'test_hooks.Box', 'é', 'configfile']
    values_of = {'OBJECT': names, 'METHOD': ['Tn_action', '_turn', '__init__', 'cfg', 'nix', ''],
                 'ENABLE': ['1', '0', '-1', 'x', '99999999999999999999'], 'RECURSIVE': ['1', '0', 'x'],
                 'NAME': ['LOAD', 'load', '../x', 'a', '', 'é', 'x' * 999], 'ADD': ['get_status', 'Tn_action'],
                 'REMOVE': ['get_status', 'nix'], 'SECONDS': ['1', '-1', 'nan', 'x']}
    listener = Client(printer)
    listener.wait_for('connected')
    for turn in range(1500):
        command = dice.choice(commands)
        for parameter in dice.sample(sorted(values_of), dice.randrange(4)):
            command += ' %s=%s' % (parameter, dice.choice(values_of[parameter]))
        answer = printer.run(command)
        assert answer.strip(), command
        assert 'Traceback' not in answer
        if turn % 20 == 0:
            printer.objects['box'].Tn_action('T1A')
            printer.objects['box'].get_status()
            printer.reactor.step()


def test_long_commands_let_the_host_go_on(new, monkeypatch):
    from trace_hooks import hooks
    monkeypatch.setattr(hooks, 'WORK', 0.0)
    printer = new()
    pauses = []
    printer.reactor.pause = lambda waketime: pauses.append(waketime) or printer.reactor.monotonic()
    for command in ('TRACE_EVERYTHING', 'TRACE_DISABLE OBJECT=*', 'TRACE_EVERYTHING', 'TRACE_EVERYTHING',
                    'TRACE_ATTRS OBJECT=box RECURSIVE=1', 'TRACE_QUIET ADD=cmd_BOX_GO', 'TRACE_QUIET REMOVE=cmd_BOX_GO'):
        del pauses[:]
        printer.run(command)
        assert len(pauses) > 5, command
    # As often for what is traced already as for what is new.
    printer.objects.update({'box %d' % number: Box() for number in range(9)})
    printer.run('TRACE_DEBUG')
    printer.run('TRACE_DEEP')
    del pauses[:]
    printer.run('TRACE_DEEP')
    assert len(pauses) > 9 * 8
    printer.run('TRACE_DISABLE OBJECT=*')

    def refused(waketime):
        raise RuntimeError('Internal error - reactor pause disabled')
    printer.reactor.pause = refused
    assert printer.run('TRACE_ALL OBJECT=box').startswith('Tracing 5 methods of box, 5 of them new')


def test_names_are_found_as_people_write_them(new):
    printer = new()
    for name in ('serial_485_serial485', '"serial_485 serial485"', 'SERIAL_485_SERIAL485'):
        assert 'serial_485 serial485 is a Serial' in printer.run('TRACE_MODULE_INFO OBJECT=%s' % name)
    assert 'perhaps serial_485 serial485' in printer.run('TRACE_ALL OBJECT=serial_486')
    assert 'perhaps toolhead. TRACE_DEBUG lists them' in printer.run('TRACE_ALL OBJECT=tolhead')
    assert 'Error' in printer.run('TRACE_ENABLE OBJECT=box') and 'missing METHOD' in printer.run('TRACE_ENABLE OBJECT=box')


class BoxState:
    __slots__ = ('number',)

    def __init__(self, number=0):
        self.number = number

    def look(self, by):
        return self.number + by

    @classmethod
    def of_class(cls):
        return cls

    @staticmethod
    def of_none():
        return 5


class FullState(BoxState):
    __slots__ = ()


class OddModule(types.ModuleType):
    def __getattribute__(self, name):
        raise AssertionError('foreign code ran')


@pytest.fixture
def module(monkeypatch):
    """Loads a module with these classes; those that are not another's are its own."""
    def load(name, classes, make=types.ModuleType, own=True):
        made = make(name)
        for key, cls in classes.items():
            if own and isinstance(cls, type) and cls.__module__ == __name__:
                monkeypatch.setattr(cls, '__module__', name)
            types.ModuleType.__setattr__(made, key, cls)
        monkeypatch.setitem(sys.modules, name, made)
    return load


def classes_of(printer):
    lines = printer.run('TRACE_DEBUG').split('\n')
    at = next(at for at, line in enumerate(lines) if line.startswith('Classes of loaded modules'))
    found = [line[2:] for line in lines[at + 1:-1]]
    assert lines[at] == 'Classes of loaded modules (%d):' % len(found)
    return [name for name in found if name.startswith('extras.')]


def test_classes_of_modules_are_found_and_traced(new, module):
    states = {'BoxState': BoxState, 'FullState': FullState, '_Hidden': type('_Hidden', (), {})}
    module('extras.revbox', dict(states, Ordered=collections.OrderedDict, Handler=logging.Handler, number=5))
    printer = new()
    box, full = 'extras.revbox.BoxState', 'extras.revbox.FullState'
    assert classes_of(printer) == [box, full]
    client = Client(printer)
    hello, = client.wait_for('connected')
    assert hello['available_objects'][-2:] == [box, full]
    assert '  ' + box in printer.run('TRACE_MODULE_INFO').split('\n')
    assert printer.run('TRACE_MODULE_INFO OBJECT=%s' % box).split('\n')[1:] == ['  look', '  of_class', '  of_none']
    assert printer.run('TRACE_ALL OBJECT=%s' % box.lower()) == 'Tracing 3 methods of %s, 3 of them new' % box
    printer.objects['box_state'] = BoxState(7)
    for state in (BoxState(1), FullState(2), printer.objects['box_state']):
        assert state.look(3) == 3 + state.number
    FullState.of_class(), BoxState.of_none(), FullState().of_none()
    printer.run('TRACE_ALL OBJECT=box_state')
    printer.objects['box_state'].look(4)
    client.wait_for('return', 7)
    calls = [event for event in client.lines() if event['type'] == 'call']
    assert [(event['object'], event['class'], event['method'], event['args']) for event in calls] == [
        (box, 'BoxState', 'look', '3')] * 3 + [(box, 'BoxState', 'of_class', '')] + [(box, 'BoxState', 'of_none', '')] * 2 + [
        ('box_state', 'BoxState', 'look', '4')]
    assert 'is a class; attributes are traced of objects' in printer.run('TRACE_ATTRS OBJECT=%s ENABLE=1' % box)
    assert printer.run('TRACE_DISABLE OBJECT=%s' % box) == 'Disabled 3 traces of %s' % box
    printer.run('TRACE_DISABLE OBJECT=box_state')
    assert not sites()
    # Those of a subclass only.
    printer.run('TRACE_ALL OBJECT=%s' % full)
    BoxState(1).look(1), BoxState.of_class(), FullState(1).look(9)
    client.wait_for('return', 8)
    assert [(event['object'], event['args']) for event in client.lines() if event['type'] == 'call'][7:] == [(full, '9')]
    # Not with all objects, and not twice.
    printer.run('TRACE_DISABLE OBJECT=*')
    printer.run('TRACE_DEEP')
    assert not [key for key in printer.hooks.active if key[0].startswith('extras.')]


def test_a_class_has_one_name(new, module, monkeypatch):
    module('extras.box', {'BoxState': BoxState, 'Alias': BoxState}, own=False)
    # As Cython names it: without the package.
    was = BoxState.__module__
    module('extras.box_wrapper', {'BoxState': BoxState})
    assert BoxState.__module__ != was
    BoxState.__module__ = 'box_wrapper'  # the fixture puts it back
    printer = new()
    assert classes_of(printer) == ['extras.box_wrapper.BoxState']
    for name in ('extras.box.BoxState', 'extras.box.Alias', 'extras.box_wrapper.boxstate'):
        assert printer.run('TRACE_MODULE_INFO OBJECT=' + name).startswith('extras.box_wrapper.BoxState is a BoxState')
    assert 'perhaps extras.box_wrapper.BoxState' in printer.run('TRACE_ALL OBJECT=BoxState')
    # And is there twice.
    monkeypatch.setitem(sys.modules, 'box_wrapper', sys.modules['extras.box_wrapper'])
    assert classes_of(printer) == ['extras.box_wrapper.BoxState'] and 'box_wrapper.BoxState' not in printer.hooks.discovery.classes
    assert printer.run('TRACE_MODULE_INFO OBJECT=box_wrapper.BoxState').startswith('extras.box_wrapper.BoxState is')
    # It is another module's, which is not of those that are listed.
    module('extras.other', {'FullState': FullState})
    module('extras.motor', {'FullState': FullState}, own=False)
    assert classes_of(printer) == ['extras.box_wrapper.BoxState']
    assert printer.run('TRACE_ALL OBJECT=extras.other.FullState').startswith('Tracing 3 methods of extras.other.FullState')
    assert 'the host or the tracer stands on it' in printer.run('TRACE_ALL OBJECT=logging.Handler')
    assert 'built-in or compiled' in printer.run('TRACE_ALL OBJECT=collections.OrderedDict')
    assert 'there is no object' in printer.run('TRACE_ALL OBJECT=extras.other.state')


def test_modules_are_read_without_running_them(new, module, monkeypatch):
    class Proxy:
        def __getattr__(self, name):
            raise AssertionError('foreign code ran')

    module('extras.oddbox', {'BoxState': BoxState}, OddModule)
    monkeypatch.setitem(sys.modules, 'extras.proxybox', Proxy())
    monkeypatch.setitem(sys.modules, 'extras.nonebox', None)
    monkeypatch.setitem(sys.modules, 7, sys)
    monkeypatch.setattr(BoxState, '__module__', 'extras.oddbox')
    monkeypatch.setattr(patch, '_STDLIB', frozenset())  # as before 3.10
    printer = new()
    assert classes_of(printer) == ['extras.oddbox.BoxState']
    assert printer.run('TRACE_ALL OBJECT=extras.oddbox.BoxState').startswith('Tracing 3')
    assert 'there is no object' in printer.run('TRACE_ALL OBJECT=extras.proxybox.BoxState')


def test_a_module_that_is_loaded_later(new, module):
    printer = new()
    assert 'there is no object' in printer.run('TRACE_ALL OBJECT=extras.latebox.boxstate')
    module('extras.latebox', {'BoxState': BoxState})
    assert printer.run('TRACE_ALL OBJECT=extras.latebox.boxstate').startswith('Tracing 3 methods of extras.latebox.BoxState')
    assert classes_of(printer) == ['extras.latebox.BoxState']


def test_objects_are_found_by_name_class_and_list(new):
    class MotorDriver:
        def go(self):
            pass

    class Plain:
        def go(self):
            pass
    printer = new()
    printer.objects.update({'driver one': MotorDriver(), 'z_align': Plain(), 'my_FILAMENT': Plain(), 'fan': Plain(), 5: Plain()})
    lines = printer.run('TRACE_DEBUG').split('\n')
    assert lines[0] == 'Objects (5):'
    assert lines[1:6] == ['  box: Box', '  serial_485 serial485: Serial', '  z_align: Plain', '  driver one: MotorDriver',
                          '  my_FILAMENT: Plain']
    # Any other can be named.
    assert printer.run('TRACE_ALL OBJECT=fan') == 'Tracing 1 methods of fan, 1 of them new'
    # A printer that keeps its objects elsewhere.
    class Wrapped:
        __slots__ = ('inner',)

        def lookup_objects(self):
            return list(self.inner.objects.items())
    wrapped = Wrapped()
    wrapped.inner = printer
    printer.hooks.discovery.printer = wrapped
    assert printer.run('TRACE_DEBUG').split('\n')[:6] == lines[:6]


def test_mistyped_methods_are_named(new):
    printer = new()
    run = printer.run
    assert run('TRACE_ENABLE OBJECT=box METHOD=Tn_acton') == \
        'TRACE_ENABLE: box has no method "Tn_acton"; perhaps Tn_action. TRACE_MODULE_INFO OBJECT=box lists them'
    assert run('TRACE_ENABLE OBJECT=serial_485_serial485 METHOD=nix') == \
        'TRACE_ENABLE: serial_485 serial485 has no method "nix". TRACE_MODULE_INFO OBJECT=serial_485_serial485 lists them'
    assert run('TRACE_DISABLE OBJECT=box METHOD=Tn_action') == \
        'TRACE_DISABLE: no method "Tn_action" of box is traced. TRACE_LIST lists what is'
    run('TRACE_ALL OBJECT=box')
    for name in ('box', '*'):
        assert run('TRACE_DISABLE OBJECT=%s METHOD=tn_actoin' % name) == \
            'TRACE_DISABLE: no method "tn_actoin" of %s is traced; perhaps Tn_action. TRACE_LIST lists what is' % (
                'all objects' if name == '*' else name)
    assert len(printer.hooks.active) == 5
    assert run('TRACE_DISABLE OBJECT=box METHOD=Tn_action') == 'Disabled 1 traces of box'
    quiet = run('TRACE_QUIET')
    assert run('TRACE_QUIET ADD=get_staus') == 'TRACE_QUIET: no object has a method "get_staus"; perhaps get_status'
    assert run('TRACE_QUIET REMOVE=get_staus') == \
        'TRACE_QUIET: "get_staus" is not quiet; perhaps get_status. TRACE_QUIET lists what is'
    assert 'ADD=x makes it quiet' in run('TRACE_QUIET METHOD=x')
    assert run('TRACE_QUIET ADD=Tn_action REMOVE=nix').startswith('TRACE_QUIET: "nix" is not quiet')
    assert run('TRACE_QUIET') == quiet
    assert run('TRACE_MACRO NAME=LOADS') == 'TRACE_MACRO: there is no macro "LOADS"; perhaps LOAD. TRACE_MACRO lists them'


@pytest.mark.parametrize('seconds', ['nan', 'inf', '-inf', '1e300', '-1', '0', '1e10'])
def test_seconds_that_are_no_time(new, seconds, tmp_path):
    printer = new(always_record=True)
    printer.run('TRACE_MARK NAME=x')
    assert printer.run('TRACE_SAVE NAME=c SECONDS=%s' % seconds) == (
        'TRACE_SAVE: SECONDS=%s is no length of time: write how many of the last seconds to save, as SECONDS=30, or leave '
        'it out to save all that is kept' % seconds)
    assert 'unable to parse' in printer.run('TRACE_SAVE NAME=c SECONDS=x') and not os.listdir(str(tmp_path))
    assert printer.run('TRACE_SAVE NAME=c SECONDS=1e9').startswith('Saving 1 events')
    printer.reactor.run_until(lambda: printer.gcode.said)


def test_quiet_methods(new):
    printer = new()
    printer.run('TRACE_DEEP OBJECT=box')
    box = [key[1] for key in printer.hooks.active]
    assert '_turn' in box and 'get_status' not in box
    assert 'get_status' in printer.run('TRACE_QUIET')
    assert '1 traces more, 0 fewer' in printer.run('TRACE_VERBOSE OBJECT=box')
    assert '0 traces more, 1 fewer' in printer.run('TRACE_VERBOSE OBJECT=box')
    assert '1 traces more' in printer.run('TRACE_QUIET REMOVE=get_status')
    assert '0 traces more, 1 fewer' in printer.run('TRACE_QUIET ADD=get_status')
    assert ('box', 'get_status') not in printer.hooks.active
    assert printer.run('TRACE_ENABLE OBJECT=box METHOD=get_status') == 'Tracing box.get_status'
    assert 'Disabled' in printer.run('TRACE_DISABLE OBJECT=box')
    assert not printer.hooks.active and not sites()


def test_what_was_bound_before_is_seen_and_put_back(new):
    printer = new()
    box = printer.objects['box']
    handlers = printer.gcode.ready_gcode_handlers
    go = handlers['BOX_GO']
    was = [cell.cell_contents for cell in go.__closure__]
    mux = printer.gcode.mux_commands['SET_BOX'][1]
    before = (mux['one'], printer.event_handlers['box:event'][0], box.timer.callback)
    client = Client(printer)
    client.wait_for('connected')
    printer.run('TRACE_ALL OBJECT=box')
    handlers['BOX_GO'](None)
    mux['one'](None)
    printer.send_event('box:event')
    printer.reactor.update_timer(box.timer, 0)
    client.wait_for('return', 4)
    assert [event['method'] for event in client.lines() if event['type'] == 'call'] == [
        'cmd_BOX_GO', 'cmd_SET_BOX', 'on_event', 'on_timer']
    # Taken while it is traced: holds the wrapper.
    printer.gcode.mux_commands['SET_BOX'][1]['two'] = box.cmd_SET_BOX
    printer.run('TRACE_DISABLE OBJECT=box')
    assert [cell.cell_contents for cell in go.__closure__] == was and handlers['BOX_GO'] is go
    after = (mux['one'], printer.event_handlers['box:event'][0], box.timer.callback)
    assert all(one is two for one, two in zip(before, after))
    assert mux['two'].__func__ is Box.__dict__['cmd_SET_BOX'] and not hasattr(mux['two'], '__wrapped__')


class Handlers:
    def on_web(self, request):
        return 'object'

    @classmethod
    def on_class(cls, request):
        return cls

    @staticmethod
    def on_none(request):
        return 'none'


def test_handlers_of_every_kind_and_in_every_table(new):
    printer = new()
    obj = Handlers()
    tables = {'web': obj.on_web, 'class': obj.on_class, 'none': obj.on_none}
    web = printer.objects['webhooks']
    web._endpoints, web._remote_methods, web._mux_endpoints = dict(tables), {'m': dict(tables)}, {'x': ('k', dict(tables))}
    printer.event_handlers['e'] = list(tables.values())
    printer.gcode.output_callbacks += tables.values()
    printer.objects['handlers'] = obj

    def handlers():
        return (list(web._endpoints.values()) + list(web._mux_endpoints['x'][1].values()) + printer.event_handlers['e']
                + printer.gcode.output_callbacks)
    before = handlers()
    client = Client(printer)
    client.wait_for('connected')
    printer.run('TRACE_ALL OBJECT=handlers')
    assert [handler(1) for handler in handlers()] == ['object', Handlers, 'none'] * 4
    client.wait_for('return', 12)
    assert [event['method'] for event in client.lines() if event['type'] == 'call'] == ['on_web', 'on_class', 'on_none'] * 4
    assert {event['object'] for event in client.lines() if event['type'] == 'call'} == {'handlers'}
    printer.run('TRACE_DISABLE OBJECT=*')
    assert all(one is two for one, two in zip(before, handlers()))


def test_macros(new):
    printer = new()
    assert printer.run('TRACE_MACRO') == 'Macros (1):\n  LOAD'
    assert printer.run('TRACE_MACRO NAME=load') == 'Tracing macro LOAD'
    assert 'no macro' in printer.run('TRACE_MACRO NAME=nix')
    client = Client(printer)
    client.wait_for('connected')
    printer.objects['gcode_macro LOAD'].cmd(None)
    assert client.wait_for('call')[0]['object'] == 'gcode_macro LOAD'


def test_attribute_reads(new):
    printer = new()
    box = printer.objects['box']
    client = Client(printer)
    client.wait_for('connected')
    assert 'Tracing attributes of 1 objects' in printer.run('TRACE_ATTRS OBJECT=box ENABLE=1')
    assert 'box (Box)' in printer.run('TRACE_ATTRS')
    box.number
    read, = client.wait_for('attr_read')
    assert (read['object'], read['class'], read['path'], read['attr'], read['value']) == ('box', 'Box', 'box', 'number', 1)
    printer.run('TRACE_ATTRS OBJECT=box')
    assert '__getattribute__' not in Box.__dict__
    # Recursive, and never into the host.
    answer = printer.run('TRACE_ATTRS OBJECT=box ENABLE=1 RECURSIVE=1')
    assert 'box.cfg (Config)' in answer and 'Printer' not in answer and 'Reactor' not in answer
    assert box.cfg.table == {'T0A': 140}
    with pytest.raises(AttributeError):
        box.missing
    assert 'traced no more (3 objects)' in printer.run('TRACE_ATTRS OBJECT=box ENABLE=0')
    # Through slots, too.
    box.state = Held()
    box.state.held = BoxState(4)
    box.state.held.number, box.state.empty = BoxState(5), ()
    answer = printer.run('TRACE_ATTRS OBJECT=box ENABLE=1 RECURSIVE=1')
    for path in ('box.state (Held)', 'box.state.held (BoxState)', 'box.state.held.number (BoxState)'):
        assert path in answer, answer
    printer.run('TRACE_ATTRS OBJECT=box ENABLE=0')


def test_binary_is_told_by_a_line_and_holds_the_same_events(new):
    printer = new()
    printer.run('TRACE_ALL OBJECT=box')
    old, binary = Client(printer), Client(printer, b'{"k485": "hello", "wire": "binary"}\n')
    old.wait_for('connected')
    binary.until(lambda: b'"wire": "binary", "version": 1}\n' in binary.data)
    for _ in range(100):
        printer.objects['box'].Tn_action('T1A')
    old.wait_for('return', 100)
    printer.reactor.run_until(lambda: not any(client.size for client in printer.hooks.server.clients))
    data = binary.hear().split(b'"version": 1}\n', 1)[1]
    at, count, kinds = 0, 0, []
    while at < len(data):
        kind, size = struct.unpack_from('<BI', data, at)
        kinds.append(kind)
        if kind == 0x45:
            count += struct.unpack_from('<QqI', data, at + 5)[2]
        at += 5 + size
    assert at == len(data) and count == 400 == len(old.lines()) - 1
    assert kinds[0] == 0x4C and len(data) < len(old.data) / 2


def test_a_token_is_asked_for(new):
    printer = new(token='secret')
    silent, wrong = Client(printer), Client(printer, b'{"k485": "hello", "token": "Secret"}\n')
    right = Client(printer, b'{"k485": "hello", "token": "secret"}\n')
    assert 'token' in wrong.wait_for('refused')[0]['message']
    assert right.wait_for('connected')[0]['token'] is True
    wrong.until(lambda: wrong.ended)
    assert silent.hear() == b'' and printer.hooks.server.listeners() == 1
    printer.hooks.server.clients[0].since -= 60
    silent.until(lambda: silent.ended)
    assert b'no token within' in silent.data


def test_others_are_let_in_with_a_token_only(new):
    printer = new(bind='0.0.0.0')
    assert printer.hooks.server.sock is None
    assert 'needs a token' in printer.run('TRACE_STREAM_START')
    printer.hooks.options.token = printer.hooks.server.token = 'x'
    assert 'Streaming on 0.0.0.0' in printer.run('TRACE_STREAM_START')


def test_no_more_clients_than_allowed(new):
    printer = new(max_clients=2)
    clients = [Client(printer) for _ in range(3)]
    clients[2].until(lambda: clients[2].ended)
    assert 'max_clients' in clients[2].lines()[0]['message']
    assert printer.hooks.server.listeners() == 2
    clients[0].sock.close()
    printer.reactor.run_until(lambda: printer.hooks.server.listeners() == 1)
    Client(printer).wait_for('connected')


def test_a_stalled_clients_place_can_be_had(new):
    printer = new(max_clients=1, client_buffer_kb=64)
    printer.run('TRACE_ALL OBJECT=box')
    stalled = Client(printer, buffer=4096)
    stalled.wait_for('connected')
    first = printer.hooks.server.clients[0]
    while not first.waiting:
        printer.objects['box'].Tn_action('x' * 400)
        printer.reactor.step()
    second = Client(printer)
    second.wait_for('refused')
    first.moved -= 60
    third = Client(printer)
    third.wait_for('connected')
    assert first.handle is None and printer.hooks.server.listeners() == 1


def test_a_client_that_does_not_stop_talking(new):
    printer = new()
    client = Client(printer)
    client.wait_for('connected')

    def talk():
        try:
            client.sock.send(b'x' * 4096)
        except OSError:
            pass
        return not printer.hooks.server.clients
    printer.reactor.run_until(talk)


def test_a_shutdown_marks_itself(new):
    printer = new(always_record=True)
    printer.send_event('klippy:shutdown')
    assert printer.hooks.recorder.queue[-1][2:] == ('mark', {'name': 'klippy:shutdown'})


def test_a_port_that_is_taken(new):
    taken = socket.create_server(('127.0.0.1', 0))
    printer = new(stream_port=taken.getsockname()[1])
    assert 'cannot listen' in printer.run('TRACE_STREAM_START')
    assert 'stopped' in printer.run('TRACE_STREAM_STATUS')
    taken.close()
    assert 'Streaming on 127.0.0.1' in printer.run('TRACE_STREAM_START')


def test_stop_and_start(new):
    printer = new()
    client = Client(printer)
    client.wait_for('connected')
    assert printer.hooks.recorder.live
    printer.run('TRACE_STREAM_STOP')
    client.until(lambda: client.ended)
    assert not printer.hooks.recorder.live and not printer.reactor._fds
    printer.run('TRACE_STREAM_START')
    Client(printer).wait_for('connected')
    assert '1 of 4' in printer.run('TRACE_STREAM_STATUS')


@pytest.mark.parametrize('rubbish', [b'x', b'\n\n\n', b'GET / HTTP/1.1\r\n\r\n', b'{"k485": "hello"', b'[' * 5000 + b'\n',
                                     b'{"k485": "hello", "wire": 5, "token": []}\n', b'\xff' * 10000, b'null\n', b'{}\n' * 999,
                                     b'{"k485": "hello", "wire": "binary"}\n' + b'\x00' * 9999])
def test_rubbish_is_harmless(new, rubbish):
    printer = new()
    printer.run('TRACE_ALL OBJECT=box')
    client, other = Client(printer, rubbish), Client(printer)
    client.wait_for('connected')
    other.wait_for('connected')
    for _ in range(5):
        printer.reactor.step(0.01)
    printer.objects['box'].Tn_action('T')
    other.wait_for('return')
    assert printer.hooks.server.listeners() == 2


def test_a_thousand_clients_come_and_go(new):
    printer = new()
    fds = len(os.listdir('/proc/self/fd'))
    for number in range(1000):
        client = Client(printer, [None, b'x', b'{"k485": "hello", "wire": "binary"}\n'][number % 3])
        if number % 2:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # a reset
        if number % 5 == 0:
            printer.reactor.step()
        client.sock.close()
        printer.reactor.step()
    printer.reactor.run_until(lambda: not printer.hooks.server.clients)
    assert len(os.listdir('/proc/self/fd')) == fds and len(printer.reactor._fds) == 1
    assert not printer.hooks.recorder.live
    Client(printer).wait_for('connected')


def test_a_stalled_client_costs_nobody_anything_and_is_told_what_it_lost(new):
    printer = new(client_buffer_kb=64)
    printer.run('TRACE_ALL OBJECT=box')
    box, server = printer.objects['box'], printer.hooks.server
    stalled, good = Client(printer, buffer=4096), Client(printer)
    good.wait_for('connected')
    printer.reactor.run_until(lambda: server.listeners() == 2)
    slow = server.clients[0]
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    calls = 0
    while slow.lost is None or slow.lost[1] - slow.lost[0] < 2000:
        for _ in range(20):
            box.Tn_action('T1A')
        calls += 20
        good.wait_for('return', calls)
        assert slow.size < 2 * 65536
    assert not server.clients[1].dropped and server.clients[1].lost is None
    # The loop does not spin on a socket that takes nothing.
    turns, end = 0, time.monotonic() + 0.2
    while time.monotonic() < end:
        printer.reactor.step(0.02)
        turns += 1
    assert turns < 60
    # It reads again: whole lines, and every number is there or told to be lost.
    stalled.until(lambda: slow.lost is None and not slow.size)
    box.Tn_action('last')
    stalled.until(lambda: b'"args": "last"' in stalled.hear() and stalled.data.endswith(b'\n'))
    stalled.until(lambda: not slow.size)
    expected = 1
    for event in stalled.lines()[1:]:
        if event['type'] == 'dropped':
            assert event['from'] == expected and event['count'] == event['to'] - event['from'] + 1
            expected = event['to'] + 1
        else:
            assert event['seq'] == expected
            expected += 1
    assert any(event['type'] == 'dropped' for event in stalled.lines())


def test_a_flood_is_counted_in_the_stream(new):
    printer = new(queue_events=256)
    printer.run('TRACE_ENABLE OBJECT=box METHOD=get_status')
    client = Client(printer)
    client.wait_for('connected')
    for _ in range(1000):
        printer.objects['box'].get_status()
    client.wait_for('dropped')
    printer.objects['box'].get_status(1)
    client.until(lambda: b'"argv": [1]' in client.hear())
    events = client.lines()[1:]
    lost = [event for event in events if event['type'] == 'dropped']
    assert [event['count'] for event in lost] == [2000 - 256]
    assert [event['type'] for event in events[:257]] == ['call', 'return'] * 128 + ['dropped']
    assert events[257]['seq'] == lost[0]['to'] + 1 == 2001


def test_ticks_are_short(new, monkeypatch):
    printer = new()
    printer.run('TRACE_ENABLE OBJECT=box METHOD=get_status')
    client = Client(printer)
    client.wait_for('connected')
    for _ in range(10000):
        printer.objects['box'].get_status()
    ticks = []
    pump = printer.hooks.pump
    whole = pump.tick

    def tick(*args):
        start = time.thread_time()
        more = whole(*args)
        ticks.append(time.thread_time() - start)
        return more
    monkeypatch.setattr(pump, 'tick', tick)
    client.wait_for('return', 10000)
    ticks.sort()
    # Processor time, and not the longest: on a busy machine one may be hit by anything.
    assert ticks[len(ticks) * 9 // 10] < 0.002 and len(ticks) > 10


def test_marks_and_saving(new, tmp_path):
    printer = new()
    assert 'Nobody listens' in printer.run('TRACE_MARK NAME=x')
    assert 'nothing is recorded' in printer.run('TRACE_SAVE NAME=x')
    printer.run('TRACE_ALL OBJECT=box')
    client = Client(printer)
    client.wait_for('connected')
    for _ in range(50):
        printer.objects['box'].Tn_action('T1A')
    printer.run('TRACE_MARK NAME=here')
    assert client.wait_for('mark')[0]['name'] == 'here'
    for name in ('../x', '/tmp/x', '.x', '', 'a/b', 'x' * 200):
        assert 'NAME' in printer.run('TRACE_SAVE NAME="%s"' % name)
    assert 'Saving 201 events' in printer.run('TRACE_SAVE NAME=first')
    printer.reactor.run_until(lambda: printer.gcode.said)
    assert printer.gcode.said == ['TRACE: saved 201 events to %s' % (tmp_path / 'first.jsonl')]
    saved = (tmp_path / 'first.jsonl').read_text().splitlines()
    assert json.loads(saved[0])['type'] == 'connected'
    assert saved[1:] == client.hear().decode().splitlines()[1:]
    assert 'there already' in printer.run('TRACE_SAVE NAME=first.jsonl')
    assert os.listdir(str(tmp_path)) == ['first.jsonl']


def test_saving_where_nothing_can_be_written(new):
    printer = new(always_record=True)
    printer.hooks.options.folder = '/proc/nowhere'
    printer.run('TRACE_MARK NAME=x')
    printer.run('TRACE_SAVE NAME=x')
    printer.reactor.run_until(lambda: printer.gcode.said)
    assert 'not saved: /proc/nowhere/x.jsonl' in printer.gcode.said[0]


def test_a_recorder_without_clients(new):
    printer = new(always_record=True, auto_start=False, ring_kb=64)
    printer.run('TRACE_ALL OBJECT=box')
    for number in range(2000):
        printer.objects['box'].Tn_action('T1A')
        if number % 100 == 0:
            printer.reactor.run_until(lambda: not printer.hooks.recorder.queue)
    history = printer.hooks.pump.history
    assert 0 < history.size <= 80 << 10 and history.count == sum(part[1] for part in history.parts)


def test_a_file_takes_all_and_is_rotated(new, tmp_path):
    path = tmp_path / 'trace.jsonl'
    printer = new(file=str(path), auto_start=False, file_keep=2)
    printer.hooks.sink.writer.rotate_size = 20000
    printer.run('TRACE_ALL OBJECT=box')
    for _ in range(20):
        for _ in range(20):
            printer.objects['box'].Tn_action('T1A')
        printer.reactor.run_until(lambda: not printer.hooks.recorder.queue)
    printer.send_event('klippy:disconnect')
    names = sorted(os.listdir(str(tmp_path)))
    assert names == ['trace.jsonl', 'trace.jsonl.1', 'trace.jsonl.2']
    lines = [json.loads(line) for name in reversed(names) for line in (tmp_path / name).read_text().splitlines()]
    numbers = [event['seq'] for event in lines if 'seq' in event and event['type'] != 'connected']
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_restart_in_the_same_process(new):
    first = new()
    client = Client(first)
    client.wait_for('connected')
    first.run('TRACE_DEEP')
    first.run('TRACE_ATTRS OBJECT=box ENABLE=1')
    last = first.objects['box']
    assert len(sites()) > 6 and '__getattribute__' in Box.__dict__
    first.send_event('klippy:disconnect')
    assert not sites() and '__getattribute__' not in Box.__dict__
    client.until(lambda: client.ended)
    second = new()
    assert second.run('TRACE_LIST') == 'No active traces'
    again = Client(second)
    again.wait_for('connected')
    second.run('TRACE_ALL OBJECT=box')
    last.Tn_action('old')
    second.objects['box'].Tn_action('new')
    again.wait_for('return')
    assert [event['args'] for event in again.lines() if event['type'] == 'call'] == ['new']


def test_a_first_instance_that_was_never_ended(new):
    first = new()
    first.run('TRACE_ALL OBJECT=box')
    second = new(always_record=True)
    assert not sites()
    second.run('TRACE_ALL OBJECT=box')
    second.objects['box'].Tn_action('x')
    assert sum(event[0] == 0 for event in second.hooks.recorder.queue) == 1


def test_options_that_are_wrong_are_config_errors():
    for options in ({'polling_patterns': 'zz'}, {'polling_patterns': '00a2ff'}):
        with pytest.raises(CommandError, match='polling_patterns'):
            Printer(**options).start({})


def test_status(new):
    printer = new()
    printer.run('TRACE_ALL OBJECT=box')
    status = printer.hooks.get_status()
    assert status['traces'] == 5 and status['clients'] == 0 and status['listening']
    text = printer.run('TRACE_STATUS')
    assert 'box: 5 methods' in text and 'Streaming on 127.0.0.1' in text
    assert values.snapshot(status) == status
