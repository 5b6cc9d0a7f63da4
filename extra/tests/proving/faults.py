"""The faults of a tracing extra as one writes it first, each as a check.

A check gets a host that runs, does what brings the fault out, and raises AssertionError when it is
there. Behind the check the host's own verdict counts too (`Host.verdict`): a shutdown, a traceback,
a spin, a descriptor that leaked, a callback that took too long.

`seed` is what the complaint about the model in `seed_design/` has to look like: a check that
complains about something else, such as a mistake of its own, proves nothing.
"""

import collections
import re
import threading
import time
import traceback

import client as clients
from client import Client
from host import GcodeError, Host, wait_for

Fault = collections.namedtuple('Fault', 'number name says seed check')

FAULTS = []


def fault(number, says, seed):
    def enter(check):
        FAULTS.append(Fault(number, check.__name__, says, re.compile(seed, re.S), check))
        return check
    return enter


def stream(host):
    """A client that reads, of a stream that was just started."""
    host.gcode('TRACE_STREAM_START')
    return Client(host.port)


def calls(events):
    return [(e['object'], e['method']) for e in events if e['type'] == 'call']


def settled(host, client, method, on='motor_control'):
    """Reads on until a call that comes now is there too: all before it has been read then."""
    before = len([e for e in client.of(method) if e['type'] == 'return'])
    host.call(method, 0, on=on)
    return client.until_call(method, before + 1)


@fault(1, "a client disconnects, resets, sends bytes, or comes and goes a hundred times",
       seed=r"closed its API socket|ended with|on_client|Transition to shutdown")
def client_disconnects(host):
    host.gcode('TRACE_STREAM_START')
    before = host.descriptors()
    Client(host.port).close()
    assert host.state == 'ready'
    clients.reset(Client(host.port)._sock)
    for rubbish in (b'x', b'\xff\xfe\x00' * 1000, b'{"k485":', b'{"k485":"hello","wire":7}\n',
                    b'\n\n\n', b'{"k485":"hello","wire":"binary","token":' + b'9' * 200000):
        sock = clients.connect(host.port)
        try:
            sock.sendall(rubbish)
        except (BrokenPipeError, ConnectionResetError):
            pass                    # it had enough of it
        assert host.state == 'ready'
        sock.close()
    for _ in range(100):
        clients.reset(clients.connect(host.port))
    wait_for(lambda: host.descriptors() <= before, "the descriptors of clients that are gone")
    assert host.state == 'ready'
    client = Client(host.port)
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=add')
    host.call('add', 1, 2, on='motor_left')
    client.until_call('add')


@fault(2, "TRACE_STREAM_STOP, with clients connected",
       seed=r"spins|still polled|descriptor")
def stream_stop(host):
    before = host.descriptors()
    for _ in range(3):
        client = stream(host)
        host.gcode('TRACE_STREAM_STOP')
        wait_for(lambda: host.descriptors() == before, "the descriptors of the stream to go")
        wait_for(lambda: client._read(0.1) is not None and client.closed, "the client to be told")
    assert not host.spins(), "the host spins"
    stream(host)


@fault(2, "a client that does not read, and then goes",
       seed=r"spins|still polled|dropped|torn")
def slow_client_goes(host):
    host.gcode('TRACE_STREAM_START')
    stalled = clients.connect(host.port, buffer=4096)
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=text')
    for _ in range(10):
        host.call('text', 'x' * 400, 'y' * 400, on='motor_left', n=2000)
    assert not host.spins(), "the host spins"
    stalled.close()
    assert not host.spins(), "the host spins"
    assert host.state == 'ready'


@fault(3, "TRACE_ATTRS RECURSIVE=1 walks out of the object",
       seed=r"shutdown|Internal error|touches")
def attributes_recursive(host):
    client = stream(host)
    host.gcode('TRACE_ATTRS OBJECT=motor_left ENABLE=1 RECURSIVE=1')
    assert host.prove(do='read', object='motor_left', attr='speed')['value'] == 12.5
    read = client.until(lambda e: e['type'] == 'attr_read' and e.get('attr') == 'speed')
    seen = {e['object'] for e in client.events if e['type'] == 'attr_read'}
    strangers = [o for o in seen if 'motor' not in o and 'Foreign' not in o]
    assert not strangers, "tracing attributes touches %s" % (sorted(strangers),)
    assert read['value'] == 12.5 and read['object'] == 'motor_left', read
    host.gcode('TRACE_ATTRS OBJECT=motor_left ENABLE=0')
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=add')
    settled(host, client, 'add', on='motor_left')
    client.forget()
    assert host.prove(do='read', object='motor_left', attr='speed')['value'] == 12.5
    settled(host, client, 'add', on='motor_left')
    assert not [e for e in client.events if e['type'] == 'attr_read'], client.events[:5]
    assert host.state == 'ready'


@fault(3, "objects of built-in types can't be traced",
       seed=r"Internal error|shutdown|cannot set|can't set")
def builtin_types(host):
    for name, method in (('motor_table', 'keys'), ('motor_lock', 'acquire')):
        said = host.text('TRACE_ENABLE OBJECT=%s METHOD=%s' % (name, method))
        assert said, "no word about %s" % (name,)
        host.gcode('TRACE_ALL OBJECT=%s' % (name,))
        assert (name + '.') not in host.text('TRACE_LIST')
    assert host.state == 'ready', "shutdown: " + host.info()['state_message']


@fault(4, "static methods, class methods and properties keep their kind",
       seed=r"TypeError|is not 15|raised")
def kinds_are_kept(host):
    before = host.prove(do='kinds', object='motor_left')
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.gcode("TRACE_ALL OBJECT='motor geared'")
    for traced in (True, False):
        for where in ({}, {'class': '1'}):
            for on, kind in (('motor_left', 'Motor'), ('motor geared', 'GearedMotor')):
                said = host.call('scale', 5, 3, on=on, **where)
                assert said.get('value') == 15, "scale(5, 3) is not 15 but %s" % (said,)
                said = host.call('kind', on=on, **where)
                assert said.get('value') == kind, "kind() is not %s but %s" % (kind, said)
        host.prove(do='set', object='motor_left', attr='position', value=7)
        assert host.prove(do='read', object='motor_left', attr='position')['value'] == 7
        assert host.call('steps', 3, on='motor_left') == {'value': [[0, 1, 2], 3],
                                                          'type': 'generator'}
        assert host.call('settle', 4, on='motor_left') == {'value': 4, 'type': 'coroutine'}
        if traced:
            host.gcode('TRACE_DISABLE OBJECT=motor_left')
            host.gcode("TRACE_DISABLE OBJECT='motor geared'")
    assert host.prove(do='kinds', object='motor_left') == before, "not undone"


@fault(5, "RESTART leaves nothing behind: exact undo, plain speed",
       seed=r"survive")
def restart_undoes(host):
    before = host.prove(do='kinds', object='motor_left')
    geared = host.prove(do='kinds', object='motor geared')
    plain = host.prove(do='time', object='motor_left', method='add', args=[1, 2])['ns']
    for command in ('RESTART', 'FIRMWARE_RESTART'):
        host.gcode('TRACE_ALL OBJECT=motor_left')
        host.gcode("TRACE_ALL OBJECT='motor geared'")
        host.restart(command)
        assert host.state == 'ready'
        assert host.prove(do='kinds', object='motor_left') == before, "wrappers survive " + command
        assert host.prove(do='kinds', object='motor geared') == geared
        # Three times: the machine may be busy with other things.
        took = host.prove(do='time', object='motor_left', method='add', args=[1, 2])['ns']
        assert took < 3 * plain, "%.0f ns a call, were %.0f" % (took, plain)
        assert 'motor_left' not in host.text('TRACE_LIST')
    # And it can be done again, once.
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.gcode('TRACE_ALL OBJECT=motor_left')
    settled(host, client, 'add', on='motor_left')
    assert len([e for e in client.of('add') if e['type'] == 'call']) == 1


@fault(6, "two objects of one class, and a subclass: once each, under their own names",
       seed=r"labelled")
def one_class_many_objects(host):
    client = stream(host)
    before = host.prove(do='kinds', object='motor_left')
    for name in ('motor_left', 'motor_right', 'motor geared'):
        host.gcode("TRACE_ALL OBJECT='%s'" % (name,))

    def traced(on, method='text'):
        client.forget()
        host.call(method, 1, on=on)
        host.gcode('TRACE_STREAM_STATUS')
        # `echo` of the left one is traced throughout, and tells when all has come.
        host.call('echo', 0, on='motor_left')
        client.until_call('echo')
        return [c for c in calls(client.events) if c[1] == method]
    for on in ('motor_left', 'motor_right', 'motor geared'):
        assert traced(on) == [(on, 'text')], "%s is labelled %s" % (on, traced(on))
    # The overriding method is the object's `add`; what it calls of its base class is its own affair.
    assert traced('motor geared', 'add') == [('motor geared', 'add')]
    # Of the same base class, but nobody asked for it.
    assert traced('motor_control') == [], "motor_control is labelled %s" % (traced('motor_control'),)
    # Disabled in the order in which they were enabled.
    host.gcode('TRACE_DISABLE OBJECT=motor_right')
    assert traced('motor_right') == []
    assert traced('motor geared') == [('motor geared', 'text')]
    host.gcode("TRACE_DISABLE OBJECT='motor geared'")
    assert traced('motor geared') == []
    assert traced('motor_left') == [('motor_left', 'text')]
    host.gcode('TRACE_DISABLE OBJECT=motor_left')
    assert host.prove(do='kinds', object='motor_left') == before, "not undone"


@fault(7, "handlers and callbacks that were bound before tracing",
       seed=r"no such event")
def bound_before(host):
    client = stream(host)
    assert host.prove(do='schedule', **{'in': '1.0'}) == {}
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.gcode('MOTOR_MOVE BY=3')
    host.gcode('MOTOR_SET MOTOR=left SPEED=2')
    host.prove(do='pipe')
    for method in ('cmd_MOTOR_MOVE', 'on_moved', 'cmd_MOTOR_SET', 'on_tick', 'on_pipe'):
        client.until_call(method, patience=5)
        assert {e['object'] for e in client.of(method)} == {'motor_left'}
    assert host.api.ask('motor/turn', {'by': 5}) == {'by': 5}
    assert host.api.ask('motor/stop', {'motor': 'left'}) == {'stopped': 'left'}
    for method in ('on_web', 'on_mux'):
        client.until_call(method, patience=5)
    assert host.prove(do='due')['value'] == 'due'
    client.until_call('on_due', patience=5)
    moved = host.prove(do='read', object='motor_left', attr='moved_by')['value']
    assert moved == [3], "the handler ran %s" % (moved,)
    # The macro, which calls the command.
    host.gcode('BOX_CHECK_MATERIAL')
    client.until_call('on_moved', 2)
    # And not any more.
    host.gcode('TRACE_DISABLE OBJECT=motor_left')
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=echo')
    settled(host, client, 'echo', on='motor_left')
    client.forget()
    host.gcode('MOTOR_MOVE BY=4')
    host.prove(do='pipe')
    host.api.ask('motor/turn', {'by': 5})
    host.api.ask('motor/stop', {'motor': 'left'})
    settled(host, client, 'echo', on='motor_left')
    assert set(calls(client.events)) == {('motor_left', 'echo')}, calls(client.events)
    assert host.prove(do='read', object='motor_left', attr='moved_by')['value'] == [3, 1, 4]


@fault(8, "a stalled client: whole lines, what was dropped is counted, others get all",
       seed=r"torn|dropped|counted|closed|no such event")
def stalled_client(host):
    client = stream(host)
    stalled = clients.connect(host.port, buffer=4096)
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=text')
    total = 0
    rss = host.rss()
    # One reads all the time, as a capture does.
    done = threading.Event()

    def drain():
        while not done.is_set():
            client._read(0.05)
    reader = threading.Thread(target=drain)
    reader.start()
    try:
        for _ in range(40):
            host.call('text', 'x' * 400, 'y' * 400, on='motor_left', n=1000)
            total += 1000
    finally:
        done.set()
        reader.join()
    assert host.state == 'ready'
    grown = host.rss() - rss
    assert grown < 64 * 1024, "%d kB more memory" % (grown,)
    # The stalled one wakes up: what it gets is whole lines, and with what it lost it is all.
    for sock in (client, Lines(stalled)):
        have = sock.until_all(total) if isinstance(sock, Lines) else until_all(client, total)
        assert have == 2 * total, "%d of %d events are neither there nor counted as dropped" % (
            2 * total - have, 2 * total)
    stalled.close()


def counted(events, method='text'):
    """Events that are there, and events that were dropped."""
    there = sum(1 for e in events if e.get('method') == method and e['type'] in ('call', 'return'))
    return there, sum(e['count'] for e in events if e['type'] == 'dropped')


def until_all(client, total, patience=30.):
    end = time.monotonic() + patience
    while sum(counted(client.events)) < 2 * total and time.monotonic() < end and not client.closed:
        client._read(0.2)
    assert not client.closed, "the client was closed; a torn line: %r" % (client._received[:80],)
    there, dropped = counted(client.events)
    return there + dropped


class Lines(Client):
    """A client on a socket that had not read anything yet."""

    def __init__(self, sock):
        self._sock = sock
        self._received = b''
        self.events = []
        self.closed = False

    def until_all(self, total):
        return until_all(self, total)


@fault(9, "events tell thread, greenlet, parent, depth and a clock that nobody sets",
       seed=r"KeyError|lacks")
def events_tell_who(host):
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.prove(do='interleave')
    events = client.until_call('outer_wait', 3)
    inner = client.of('wait')
    for event in events + inner:
        for field in ('mono', 'tid', 'gid', 'parent', 'depth', 'seq'):
            assert field in event, "an event lacks %s: %s" % (field, event)
    outer = {e['id']: e for e in events if e['type'] == 'call'}
    assert len({e['gid'] for e in outer.values()}) == 3
    for event in (e for e in inner if e['type'] == 'call'):
        parent = outer[event['parent']]
        assert parent['gid'] == event['gid'] and parent['argv'] == event['argv']
        assert event['depth'] == parent['depth'] + 1
    # They end in another order than they began: still each is as long as it was.
    ends = {e['id']: e for e in events if e['type'] == 'return'}
    assert list(ends) != list(outer)
    for number, call in outer.items():
        took = (ends[number]['mono'] - call['mono']) / 1e9
        assert took >= call['argv'][0] - 0.01, (took, call)
        assert abs(ends[number]['duration_ms'] / 1e3 - took) < 0.02
    seqs = [e['seq'] for e in client.events if e['type'] != 'connected' and 'seq' in e]
    assert seqs == sorted(set(seqs)), "seq is not strictly rising: %s" % (seqs,)
    # Arguments as they were, not as one text.
    client.forget()
    host.call('text', 'a, b', None, 'c', on='motor_left')
    assert client.until_call('text')[0]['argv'] == ['a, b', None, 'c']


@fault(10, "what is no Exception ends a call all the same",
       seed=r"no end of")
def base_exceptions(host):
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    for method, kind in (('leave', 'GreenletExit'), ('interrupt', 'KeyboardInterrupt')):
        assert host.call(method, on='motor_left')['raised'] == kind
        host.call('echo', 1, on='motor_left')
        client.until_call('echo')
        ends = [e for e in client.of(method) if e['type'] == 'error']
        assert ends, "no end of %s" % (method,)
        assert ends[0].get('exc_type', kind).endswith(kind)
        client.forget()
    assert host.call('fail', 'stall', on='motor_left') == {'raised': 'ValueError', 'text': 'stall'}
    error = client.until(lambda e: e['type'] == 'error' and e['method'] == 'fail')
    assert 'stall' in error['error'] and error['object'] == 'motor_left'


@fault(10, "generators and coroutines end when they end",
       seed=r"returned at its creation")
def generators(host):
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    for method, argument, result in (('steps', 3, 3), ('settle', 9, 9)):
        host.call(method, argument, on='motor_left')
        host.call('echo', 1, on='motor_left')
        client.until_call('echo')
        ends = [e for e in client.of(method) if e['type'] == 'return']
        assert ends and ends[-1]['result'] == result, (
            "%s returned at its creation: %s" % (method, ends))
        client.forget()


@fault(10, "values that JSON does not have: NaN, integers of any size, cycles, depth",
       seed=r"is not JSON|no such event|RecursionError|raised|shutdown")
def odd_values(host):
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    said = host.call('odd_values', on='motor_left')
    assert said == {'value': None, 'type': 'list'}, "the traced call raised: %s" % (said,)
    result = client.until_call('odd_values')[-1]['result']
    text = str(result)
    assert len(text) < 40000, "an event of %d characters" % (len(text),)
    assert host.prove(do='touched')['value'] == [], "somebody else's code was run"
    # The next event is whole, too.
    host.call('echo', 1, on='motor_left')
    client.until_call('echo')


@fault(13, "every command answers after a shutdown",
       seed=r"refused")
def after_a_shutdown(host):
    host.gcode('TRACE_ALL OBJECT=motor_left')
    try:
        host.gcode('M112')
    except Exception:
        pass
    wait_for(lambda: host.state == 'shutdown', "the shutdown")
    for command in ('TRACE_LIST', 'TRACE_STATUS', 'TRACE_STREAM_START',
                    'TRACE_ENABLE OBJECT=motor_right METHOD=add', 'TRACE_DISABLE OBJECT=motor_left'):
        try:
            assert host.gcode(command) is not None
        except Exception as problem:
            raise AssertionError("%s is refused: %s" % (command, problem))
    client = Client(host.port)
    host.call('add', 1, on='motor_right')
    client.until_call('add')


@fault(14, "nobody's __repr__, __getattr__ or __len__ runs",
       seed=r"code was run")
def foreign_objects(host):
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.prove(do='touched')
    assert host.prove(do='foreign') == {'value': 'said'}
    client.until_call('text')
    touched = host.prove(do='touched')['value']
    assert touched == [], "somebody else's code was run: %s" % (touched,)


@fault(15, "the stream listens on this machine only, and shares its port with nobody",
       seed=r"everybody|shared")
def listens_here_only(host):
    host.gcode('TRACE_STREAM_START')
    Client(host.port).close()
    with open('/proc/net/tcp') as table:
        listening = [line.split()[1] for line in table
                     if line.split()[3] == '0A' and line.split()[1].endswith(':%04X' % host.port)]
    assert listening == ['0100007F:%04X' % host.port], "everybody may connect: %s" % (listening,)


@fault(16, "TRACE_ALL leaves private methods alone",
       seed=r"_inner is traced")
def public_only(host):
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=motor_left')
    host.call('outer', 1, on='motor_left')
    client.until_call('outer')
    assert not client.of('_inner'), "_inner is traced"
    assert client.of('add')


def complain(check, host):
    """Runs a check; gives what it and the host complain about."""
    try:
        check(host)
    except (AssertionError, GcodeError) as problem:
        host.stop()
        where = [frame for frame in traceback.extract_tb(problem.__traceback__)
                 if frame.filename == __file__][-1]
        return ["%s at line %d (%s): %s" % (type(problem).__name__, where.lineno, where.line,
                                            problem)] + host.verdict()
    return host.verdict()


__all__ = ['FAULTS', 'Fault', 'Host', 'complain']
