"""The whole extra in a little host: the stream and its clients, files, and restarts."""

import json
import os
import socket
import struct
import time

import pytest
from hooked import Box, Client
from little_host import CommandError, Printer
from trace_hooks import values
from trace_hooks.patch import sites


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
