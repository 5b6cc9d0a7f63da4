"""Every command, with its arguments and what it says, on the stand-in and on a real Klipper."""

import json
import pathlib
import re

import pytest

import client as clients
from client import Client
from faults import stream
from host import GcodeError, wait_for

COMMANDS = ('DEBUG', 'MODULE_INFO', 'STATUS', 'LIST', 'ENABLE', 'DISABLE', 'ALL', 'EVERYTHING',
            'DEEP', 'ATTRS', 'QUIET', 'VERBOSE', 'MACRO', 'STREAM_START', 'STREAM_STOP',
            'STREAM_STATUS', 'SERIAL_POLLING', 'MARK', 'SAVE')


@pytest.fixture
def host(new_host):
    host = new_host().start()
    yield host
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)


def active(host):
    """The active traces, as the first line of the stream tells them."""
    try:
        client = Client(host.port, 2)
    except AssertionError:
        host.gcode('TRACE_STREAM_START')
        client = Client(host.port)
    client.close()
    return [(t[0], t[2]) for t in client.first['active_traces']]


@pytest.mark.parametrize('arguments', ['', ' OBJECT=nobody', ' OBJECT=motor_left METHOD=nothing',
                                       ' NAME=nothing ENABLE=1', ' ENABLE=seven', ' OBJECT= METHOD=',
                                       " OBJECT='motor_left\u00e9\u2028' METHOD=add",
                                       ' ADD= REMOVE=', ' RECURSIVE=-3 OBJECT=motor_left'])
def test_no_command_raises(host, arguments):
    """Whatever it is given: it says something, as a command that Klipper knows, and no error."""
    for command in COMMANDS:
        said = host.text('TRACE_%s%s' % (command, arguments))
        assert 'Unknown command' not in said, command
        assert said.strip(), "TRACE_%s%s says nothing" % (command, arguments)
        assert host.state == 'ready'


def test_debug_and_module_info(host):
    said = host.text('TRACE_DEBUG')
    for name in ('motor_control', 'motor_left', 'motor_right'):
        assert name in said, said
    assert 'motor_left' in host.text('TRACE_MODULE_INFO')
    methods = host.text('TRACE_MODULE_INFO OBJECT=motor_left')
    for name in ('add', 'scale', 'kind', 'cmd_MOTOR_MOVE'):
        assert name in methods, methods
    assert '__init__' not in methods
    # Inherited ones, too.
    assert 'drain' in host.text("TRACE_MODULE_INFO OBJECT='motor geared'")


def test_names_match_with_underscores(host):
    host.gcode('TRACE_ENABLE OBJECT=motor_geared METHOD=add')
    client = stream(host)
    host.call('add', 1, on='motor geared')
    assert client.until_call('add')[0]['object'] == 'motor geared'


def test_enable_list_disable(host):
    assert 'motor_left' not in host.text('TRACE_LIST')
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=add')
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=text')
    assert active(host) == [('motor_left', 'add'), ('motor_left', 'text')]
    said = host.text('TRACE_LIST')
    assert 'add' in said and 'text' in said, said
    assert 'motor_left' in host.text('TRACE_STATUS')
    host.gcode('TRACE_DISABLE OBJECT=motor_left METHOD=add')
    assert active(host) == [('motor_left', 'text')]
    host.gcode('TRACE_DISABLE OBJECT=motor_left')
    assert active(host) == []
    assert 'motor_left' not in host.text('TRACE_LIST')


def test_what_is_mistyped_is_said_with_near_names(host):
    for command, words in (('TRACE_ENABLE OBJECT=motor_left METHOD=outher', 'motor_left has no method "outher"; perhaps outer'),
                           ('TRACE_ENABLE OBJECT=motor_lefd METHOD=add', 'no object "motor_lefd"; perhaps motor_left'),
                           ('TRACE_DISABLE OBJECT=motor_left METHOD=add', 'no method "add" of motor_left is traced'),
                           ('TRACE_QUIET ADD=outre_wait', 'no object has a method "outre_wait"; perhaps outer_wait'),
                           ('TRACE_QUIET REMOVE=get_statu', '"get_statu" is not quiet; perhaps get_status'),
                           ('TRACE_SAVE NAME=c SECONDS=nan', 'SECONDS=nan is no length of time'),
                           ('TRACE_SAVE NAME=c SECONDS=inf', 'SECONDS=inf is no length of time'),
                           ('TRACE_SAVE NAME=c SECONDS=1e300', 'SECONDS=1e300 is no length of time')):
        said = host.text(command)
        assert words in said, said
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=outer')
    assert 'perhaps outer' in host.text('TRACE_DISABLE OBJECT=motor_left METHOD=otuer')
    assert 'perhaps outer' in host.text('TRACE_DISABLE OBJECT=* METHOD=outr')
    assert active(host) == [('motor_left', 'outer')]


def test_any_object_of_the_printer_can_be_named(host):
    """Also one that is not listed."""
    assert 'lever' not in host.gcode('TRACE_MODULE_INFO')
    assert 'Tracing 1 methods of lever' in host.text('TRACE_ALL OBJECT=Lever')
    client = stream(host)
    host.call('pull', 2, on='lever')
    assert client.until_call('pull')[0]['object'] == 'lever'


def test_all_is_public_and_deep_is_all_but_dunder(host):
    host.gcode('TRACE_ALL OBJECT=motor_left')
    public = {method for name, method in active(host)}
    assert {'add', 'scale', 'kind', 'drain', 'outer'} <= public
    assert not [m for m in public if m.startswith('_')]
    host.gcode('TRACE_DEEP OBJECT=motor_left')
    deep = {method for name, method in active(host)}
    assert deep > public and '_inner' in deep
    assert not [m for m in deep if m.startswith('__')]
    assert {name for name, method in active(host)} == {'motor_left'}


@pytest.mark.parametrize('command', ['TRACE_EVERYTHING', 'TRACE_DEEP'])
def test_everything(host, command):
    """All objects that were found; the printer works on, and is as before when it is undone."""
    before = host.prove(do='kinds', object='motor_left')
    client = stream(host)
    host.gcode(command)
    names = {name for name, _ in active(host)}
    assert {'motor_left', 'motor_right', 'motor geared', 'motor_control'} <= names
    host.call('add', 1, on='motor_right')
    host.gcode('MOTOR_MOVE BY=2')
    client.until_call('on_moved')
    for name in names:
        host.gcode("TRACE_DISABLE OBJECT='%s'" % (name,))
    assert active(host) == []
    assert host.prove(do='kinds', object='motor_left') == before


def test_no_command_holds_the_host(new_host, tmp_path):
    """With thousands of methods, too: each command lets others run every 1 ms or so."""
    host = new_host(sections='[motor_many]\nobjects: 26\nmethods: 150',
                    options={'folder': str(tmp_path), 'always_record': 'True'}).start()
    for command in ('DEBUG', 'MODULE_INFO OBJECT=motor_many_1', 'EVERYTHING', 'DEEP', 'DEEP', 'LIST',
                    'STATUS', 'ATTRS OBJECT=motor_many_2 RECURSIVE=1', 'ATTRS', 'QUIET ADD=method_8',
                    'QUIET REMOVE=method_8', 'VERBOSE OBJECT=motor_many_3',
                    'ALL OBJECT=motor_many_4', 'MARK', 'SAVE NAME=many', 'DISABLE OBJECT=motor_many_5',
                    'DISABLE OBJECT=*', 'DEEP'):
        said = host.text('TRACE_' + command)
        if command == 'LIST':
            assert len(said.split('\n')) == 120 and said.endswith(' more'), said[-200:]
    held = re.search('stretch of a command: ([0-9.]+) ms, ([0-9.]+) ms of processor time',
                     host.text('TRACE_STATUS'))
    assert 0.1 < float(held.group(2)) < 5. and float(held.group(1)) > 0.1, held.group(0)
    complaints = host.verdict()         # the stand-in has measured it, too
    assert not complaints, '\n'.join(complaints)


def test_attrs(host):
    client = stream(host)
    host.gcode('TRACE_ATTRS OBJECT=motor_left ENABLE=1')
    assert 'motor_left' in host.text('TRACE_ATTRS')
    host.prove(do='read', object='motor_left', attr='speed')
    event = client.until(lambda e: e['type'] == 'attr_read' and e['attr'] == 'speed')
    assert (event['object'], event['class'], event['value']) == ('motor_left', 'Motor', 12.5)
    assert event['time'] > 1e9 and 'path' in event
    # Only of that object.
    host.prove(do='read', object='motor_right', attr='speed')
    # Without ENABLE it is the other way round than before.
    host.gcode('TRACE_ATTRS OBJECT=motor_left')
    assert 'motor_left' not in host.text('TRACE_ATTRS')
    host.prove(do='read', object='motor_left', attr='name')
    host.gcode('TRACE_ATTRS OBJECT=motor_left')
    assert 'motor_left' in host.text('TRACE_ATTRS')
    host.prove(do='read', object='motor_left', attr='ticks')
    client.until(lambda e: e['type'] == 'attr_read' and e['attr'] == 'ticks')
    reads = [(e['object'], e['attr']) for e in client.events if e['type'] == 'attr_read']
    assert ('motor_right', 'speed') not in reads and ('motor_left', 'name') not in reads
    host.gcode('TRACE_ATTRS OBJECT=motor_left ENABLE=0')


QUIET = ('get_status', 'get_connect_state', 'test_error', 'box_connect_state_check',
         'connect_state_check')


def test_quiet_and_verbose(host):
    said = host.text('TRACE_QUIET')
    for method in QUIET:
        assert method in said, said
    client = stream(host)
    host.gcode('TRACE_QUIET ADD=echo')
    assert 'echo' in host.text('TRACE_QUIET')
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.gcode('TRACE_ALL OBJECT=motor_right')

    def heard(on):
        client.forget()
        host.call('echo', 1, on=on)
        host.call('text', 1, on=on)
        client.until_call('text')
        return bool(client.of('echo'))
    assert not heard('motor_left')
    host.gcode('TRACE_VERBOSE OBJECT=motor_left ENABLE=1')
    assert 'motor_left' in host.text('TRACE_VERBOSE')
    assert heard('motor_left')
    assert not heard('motor_right')
    host.gcode('TRACE_VERBOSE OBJECT=motor_left')
    assert not heard('motor_left')
    host.gcode('TRACE_QUIET REMOVE=echo')
    assert 'echo' not in host.text('TRACE_QUIET')
    assert heard('motor_left') and heard('motor_right')


def test_macro(host):
    assert 'BOX_CHECK_MATERIAL' in host.text('TRACE_MACRO')
    client = stream(host)
    host.gcode('TRACE_MACRO NAME=BOX_CHECK_MATERIAL')
    host.gcode('BOX_CHECK_MATERIAL')
    event = client.until(lambda e: e['type'] == 'return')
    assert event['object'] == 'gcode_macro BOX_CHECK_MATERIAL', event
    # Under the macro's lower-case name as well, and together with what it runs.
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=on_moved')
    client.forget()
    host.gcode('BOX_CHECK_MATERIAL')
    moved = client.until_call('on_moved')[0]
    macro = client.until(lambda e: e['type'] == 'call' and 'macro' in e['object'])
    assert moved['parent'] == macro['id'] and moved['depth'] == macro['depth'] + 1


def test_stream_start_stop_status(host):
    said = host.text('TRACE_STREAM_STATUS')
    assert said
    host.gcode('TRACE_STREAM_START')
    host.gcode('TRACE_STREAM_START')        # already there: fine
    client = Client(host.port)
    first = client.first
    assert first['message'] == 'TraceHooks streaming connected'
    assert 'motor_left' in first['available_objects'] and first['active_traces'] == []
    assert abs(first['time'] - __import__('time').time()) < 60
    for field in ('schema', 'version', 'mono'):
        assert field in first
    said = host.text('TRACE_STREAM_STATUS')
    assert str(host.port) in said and '1' in said, said
    host.gcode('TRACE_STREAM_STOP')
    host.gcode('TRACE_STREAM_STOP')
    wait_for(lambda: client._read(0.1) is not None and client.closed, "the end of the stream")
    with pytest.raises(AssertionError):
        clients.connect(host.port, 0.2)


def test_mark(host):
    client = stream(host)
    host.gcode('TRACE_MARK NAME="the first load"')
    mark = client.until(lambda e: e['type'] == 'mark')
    assert mark['name'] == 'the first load' and mark['time'] > 1e9 and mark['mono'] > 0


def test_save(new_host, tmp_path):
    """The last seconds, in the one folder that is configured, even if nobody listened."""
    folder = tmp_path / 'saved'
    host = new_host(options={'folder': str(folder), 'always_record': 'True'}).start()
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.call('add', 40, 2, on='motor_left')
    said = host.text('TRACE_SAVE NAME=load')
    saved = wait_for(lambda: [p for p in folder.glob('*') if '"return"' in p.read_text()], said)
    assert len(saved) == 1 and 'load' in saved[0].name
    events = [json.loads(line) for line in saved[0].read_text().splitlines()]
    assert [e['result'] for e in events if e['type'] == 'return' and e['method'] == 'add'] == [42]
    for name in ('../out', '/etc/out', 'a/b', '..', '.', 'a\\0b', ''):
        host.gcode("TRACE_SAVE NAME='%s'" % (name,))
    inside = set(p.resolve().parent for p in folder.rglob('*'))
    assert inside <= {folder.resolve()}
    assert not (tmp_path / 'out').exists() and not pathlib.Path('/etc/out').exists()
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)


def test_options_are_checked(new_host):
    """An option that there is not, a port that can't be: a configuration error, as Klipper words it."""
    for options, word in (({'strem_port': 1}, 'strem_port'), ({'stream_port': 'many'}, 'stream_port'),
                          ({'stream_port': 70000}, 'stream_port'),
                          ({'max_clients': -1}, 'max_clients'),
                          ({'polling_patterns': '00a'}, 'polling_patterns')):
        host = new_host(options=options).start()
        info = host.info()
        assert info['state'] == 'error' and word in info['state_message'], (options, info)
        host.stop()


def test_auto_start_and_max_clients(new_host):
    host = new_host(options={'auto_start': 'True', 'max_clients': 2}).start()
    first, second = Client(host.port), Client(host.port)
    with pytest.raises(AssertionError):
        Client(host.port, 3)
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=add')
    host.call('add', 1, on='motor_left')
    first.until_call('add')
    second.until_call('add')
    first.close()
    wait_for(lambda: _connects(host.port), "room for another client")
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)


def _connects(port):
    try:
        Client(port, 1).close()
    except AssertionError:
        return False
    return True


def test_token(new_host):
    """With a token nobody is told anything before it was said."""
    host = new_host(options={'auto_start': 'True', 'token': 'hush'}).start()
    for said in (b'', b'{"k485":"hello","token":"wrong"}\n', b'GET / HTTP/1.0\r\n\r\n'):
        sock = clients.connect(host.port)
        sock.sendall(said)
        sock.settimeout(1.)
        try:
            heard = sock.recv(1000)
        except (OSError, ValueError):
            heard = b''
        assert b'available_objects' not in heard
        sock.close()
    sock = clients.connect(host.port)
    sock.sendall(b'{"k485":"hello","wire":"json","token":"hush"}\n')
    sock.settimeout(10.)
    assert b'available_objects' in sock.recv(100000)
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)


def test_two_hosts_do_not_share_a_port(new_host):
    first = new_host().start()
    first.gcode('TRACE_STREAM_START')
    second = new_host(options={'stream_port': first.port, 'auto_start': 'True'}).start()
    assert second.state == 'ready'
    said = second.text('TRACE_STREAM_START')
    assert str(first.port) in said, said
    client = Client(first.port)
    first.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=add')
    first.call('add', 1, on='motor_left')
    client.until_call('add')
    for host in (first, second):
        complaints = host.verdict()
        assert not complaints, '\n'.join(complaints)


def test_mutable_arguments_are_told_as_they_were(host):
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    for kind, was in (('list', [1, 2, 3]), ('dict', {'a': 1})):
        client.forget()
        assert host.prove(do='drain', kind=kind)['value'] == len(was)
        assert client.until_call('drain')[0]['argv'] == [was]
    client.forget()
    host.prove(do='drain', kind='bytearray')
    assert '0102' in json.dumps(client.until_call('drain')[0]['argv'])
    client.forget()
    host.prove(do='drain', kind='nested')
    assert client.until_call('text')[0]['argv'] == [[[1, 2], {'a': [3]}]]


def test_threads(host):
    """Calls from foreign threads: each with its thread's id, none lost, the host unharmed."""
    client = stream(host)
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=add')
    host.prove(do='threads')
    events = client.until_call('add', 1500)
    assert len({e['tid'] for e in events}) == 3
    for tid in {e['tid'] for e in events}:
        own = [e for e in events if e['tid'] == tid]
        assert [e['type'] for e in own] == ['call', 'return'] * 500


def test_commands_with_a_client_that_goes_meanwhile(host):
    """TRACE_STREAM_STOP, RESTART and a shutdown while clients come and go."""
    for _ in range(20):
        host.gcode('TRACE_STREAM_START')
        clients.reset(clients.connect(host.port))
        kept = clients.connect(host.port)
        host.gcode('TRACE_STREAM_STOP')
        kept.close()
    host.gcode('TRACE_STREAM_START')
    kept = Client(host.port)
    host.gcode('TRACE_EVERYTHING')
    host.restart()
    assert host.state == 'ready'
    wait_for(lambda: kept._read(0.1) is not None and kept.closed, "the end of the stream")
    with pytest.raises((GcodeError, AssertionError)):
        host.gcode('M112')
        raise GcodeError("shut down")
    wait_for(lambda: host.state == 'shutdown', "the shutdown")
    host.gcode('TRACE_STREAM_START')
    Client(host.port).close()
