"""The whole extra in a little host: commands, what they find, and the way back."""

import collections
import logging
import os
import random
import sys
import types

import pytest
from hooked import Box, Client, Config, Handlers, Held, Serial
from trace_hooks import patch
from trace_hooks.patch import sites


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
             'trace_hooks', 'hooked.Box', 'é', 'configfile']
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
