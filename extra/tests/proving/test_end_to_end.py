"""A traced module of a host drives an emulated bus: the frames under its calls are those on the wire."""

import json
import signal
import subprocess

import pytest

import bus as buses
from faults import stream
from host import wait_for


@pytest.fixture
def bus(tmp_path):
    if buses.binary() is None:
        pytest.skip("no k485: run cargo build, or set K485_BIN")
    bus = buses.Bus(tmp_path)
    yield bus
    bus.close()


def whole(event):
    """A frame event's bytes as on the wire. What is sent is told without head and check sum."""
    text = event['bytes']
    if text.startswith('f7'):
        return text
    data = bytes.fromhex(text)
    crc = 0
    for byte in data[1:]:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xff
    return 'f7' + text + '%02x' % crc


def test_frames_under_calls_are_what_the_sniffer_saw(new_host, bus):
    sections = '[serial_485 serial485]\nserial: %s\n[box]\nboxes: 1, 2, 3' % (bus.host,)
    host = new_host(sections=sections).start()
    client = stream(host)
    host.gcode('TRACE_DEEP OBJECT=serial_485_serial485')
    host.gcode('TRACE_DEEP OBJECT=box')
    said = host.gcode('BOX_REPORT')
    assert said[0].startswith('box 1: 113') and said[2] == 'box 3: absent', said
    client.until_call('cmd_BOX_REPORT')
    frames = [e for e in client.events if e['type'] == 'frame']
    # 2 boxes, 8 exchanges each, and a poll that nobody answers.
    assert len(frames) == 33
    wait_for(lambda: len(bus.frames()) >= 33, "the sniffer's last frame")
    assert [whole(e) for e in frames] == bus.frames()
    assert [e['direction'] for e in frames] == ['tx', 'rx'] * 16 + ['tx']
    assert {(e['object'], e['wire']) for e in frames} == {('serial_485 serial485', 'reconstructed')}

    calls = {e['id']: e for e in client.events if e['type'] == 'call'}
    for frame in frames:
        call = calls[frame['parent']]
        assert (call['object'], call['method']) == ('serial_485 serial485',
                                                    'cmd_send_data_with_response')
        chain = []
        while call['parent']:
            call = calls[call['parent']]
            chain.append(call['method'])
        assert chain[-1] == 'cmd_BOX_REPORT' and chain[-2] == 'get_box'
        assert chain[0] in ('communication_state', 'get_box', 'get_sensors'), chain
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)


def test_five_transmissions_hide_in_one_call(new_host, bus):
    """A request that nobody answers is on the wire five times, and in the trace once."""
    sections = '[serial_485 serial485]\nserial: %s\n[box]' % (bus.host,)
    host = new_host(sections=sections).start()
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=serial_485_serial485')
    assert host.gcode('BOX_ASK ADDR=3 FUNC=14 TIMEOUT=0.05') == ['reply: None']
    host.gcode('BOX_ASK ADDR=1 FUNC=14')
    client.until_call('cmd_send_data_with_response', 2)
    frames = [whole(e) for e in client.events if e['type'] == 'frame']
    wait_for(lambda: len(bus.frames()) >= 7, "the sniffer's last frame")
    seen = bus.frames()
    assert seen[:5] == [frames[0]] * 5
    assert seen[5:] == frames[1:] and len(frames) == 3


def test_polling_can_be_left_out(new_host, bus):
    sections = '[serial_485 serial485]\nserial: %s\n[box]' % (bus.host,)
    host = new_host(sections=sections).start()
    client = stream(host)
    host.gcode('TRACE_ALL OBJECT=serial_485_serial485')
    host.gcode('TRACE_SERIAL_POLLING ENABLE=0')
    host.gcode('BOX_POLL N=3')
    host.gcode('BOX_ASK ADDR=1 FUNC=0a')
    host.gcode('BOX_ASK ADDR=1 FUNC=14')
    client.until_call('cmd_send_data_with_response')
    told = [e for e in client.events if e['type'] in ('call', 'return', 'frame')]
    assert not [e for e in told if '0300a2' in str(e) or '03ff0a' in str(e)], told
    # Of what is left out nothing is told: no return without its call either.
    assert [e['type'] for e in told if e['type'] != 'frame'] == ['call', 'return']
    client.forget()
    host.gcode('TRACE_SERIAL_POLLING ENABLE=1')
    host.gcode('BOX_POLL N=1')
    client.until_call('cmd_send_data_with_response', 2)
    assert [e for e in client.events if e['type'] == 'frame' and e['bytes'].endswith('0300a2')
            or 'f7010300a2' in e.get('bytes', '')]


def _frames_of(node, under=()):
    """(frame, methods above) of the frames in a tree, in their order."""
    if node.get('type') == 'frame':
        yield node, under
    here = under + (node['method'],) if 'method' in node else under
    for child in node.get('children', ()):
        yield from _frames_of(child, here)


def test_the_tree_of_a_capture_shows_the_exchanges_under_their_calls(new_host, bus, tmp_path):
    """The whole way: host, stream, `k485 trace capture`, `k485 trace tree`; beside it the sniffer."""
    sections = '[serial_485 serial485]\nserial: %s\n[box]\nboxes: 1, 2, 3' % (bus.host,)
    host = new_host(sections=sections).start()
    host.gcode('TRACE_STREAM_START')
    host.gcode('TRACE_DEEP OBJECT=box')
    host.gcode('TRACE_ALL OBJECT=serial_485_serial485')
    folder = tmp_path / 'captures'
    with (tmp_path / 'capture.err').open('wb') as said:
        capture = subprocess.Popen([buses.binary(), 'trace', 'capture', '127.0.0.1:%d' % host.port,
                                    '-o', str(folder), '--quiet'], stderr=said)
    try:
        # The extra's status has a line for each client.
        wait_for(lambda: '127.0.0.1:' in host.text('TRACE_STREAM_STATUS'), "the capture to connect")
        host.gcode('BOX_REPORT')
        host.gcode('TRACE_MARK NAME=over')
        wait_for(lambda: any('"over"' in p.read_text() for p in folder.glob('*.jsonl')),
                 "the last event in the file")
    finally:
        capture.send_signal(signal.SIGINT)
        assert capture.wait(20) == 0, (tmp_path / 'capture.err').read_text()
    tree = subprocess.run([buses.binary(), 'trace', 'tree', '--json', '--no-fold', str(folder)],
                          stdout=subprocess.PIPE, check=True)
    found = [frame for line in tree.stdout.decode().splitlines()
             for frame in _frames_of(json.loads(line))]
    wait_for(lambda: len(bus.frames()) >= 33, "the sniffer's last frame")
    assert [whole(frame) for frame, _ in found] == bus.frames()
    # Each is told with the one that answers it: only the absent box's poll has none.
    told = [(frame['direction'], frame['outcome']) for frame, _ in found]
    assert told == [('tx', 'answered'), ('rx', 'answered')] * 16 + [('tx', 'timeout')]
    assert not [frame for frame, _ in found[:-1] if 'no reply' in frame['text'] or '[' in frame['text']]
    assert found[-1][0]['text'].endswith('-> no reply')
    assert {under[:2] + under[-1:] for _, under in found} == {
        ('cmd_BOX_REPORT', 'get_box', 'cmd_send_data_with_response')}
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)
