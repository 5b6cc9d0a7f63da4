"""The forms that go out: the same bytes from every Python, and lines that are JSON whatever is in them."""

import json
import marshal
import os
import random
import struct
import sys

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from trace_hooks import wire
from trace_hooks.record import ATTR, CALL, ERROR, FRAME, OTHER, RESUME, RETURN, YIELD, Label
from trace_hooks.values import snapshot, snapshot_args, snapshot_kw
from trace_hooks.wire import Lines

VECTOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tests', 'vectors', 'trace-wire.json')

LABELS = [
    Label(0, 'box', 'MultiColorMeterialBoxWrapper', 'Tn_action'),
    Label(1, 'serial_485 serial485', 'Serial_485_Wrapper', 'cmd_send_data_with_response'),
    Label(2, 'gcode_macro "Ä"', 'GCodeMacro', 'cmd'),
]
MONO = 86_400_000_000_000
OFFSET = 1_700_000_000_123_456_789


def every_kind():
    """One event of each kind, with every kind of value in it."""
    many = [0, -1, 2147483647, -2147483648, 2147483648, 4294967296, (1 << 63) - 1, -(1 << 63) + 1, 1 << 70]
    odd = [0.1, -0.0, 1e-05, 1e300, float('nan'), float('-inf'), 3 + 4j, 'é\u20ac\U0001f600', 'a\ud800b', 'line\n"\\\x00',
           'it\'s\x7f\xad\u2028\ufeff']
    nested = {'a': [1, (2, {'b': b'\x00\xff'})], 7: {1, }, None: bytearray(b'\x01'), 'long': 'x' * 600, 'many': list(range(90))}
    loop = []
    loop.append(loop)
    return [
        (CALL, 1, MONO, 0, 4711, 0, 0, 0, snapshot_args(('T2A',)), None),
        (CALL, 2, MONO + 1_000, 1, 4711, 0, 1, 1, snapshot_args((b'\x01\x03\xff\x0a', 3600)), snapshot_kw({'retries_en': False})),
        (FRAME, MONO + 1_500, 1, 4711, 0, 2, 0, b'\x01\x03\xff\x0a'),
        (FRAME, MONO + 17_000_000, 1, 4711, 0, 2, 1, b'\xf7\x01\x07\x00\x0a\x19\x24\x00\x00\xe7'),
        (RETURN, 2, MONO + 17_001_000, 1, 4711, 0, 1, 1, MONO + 1_000, snapshot(b'\xf7\x01\x07\x00\x0a\x19\x24\x00\x00\xe7')),
        (ATTR, MONO + 18_000_000, 0, 4711, 0, 1, 'box.cfg', 'flush_table', snapshot({'T0A': {'T1A': 140}})),
        (CALL, 3, MONO + 19_000_000, 2, 4712, 3, 0, 0, snapshot_args((many, odd)), None),
        (YIELD, 3, MONO + 19_100_000, 2, 4712, 3, snapshot(nested)),
        (RESUME, 3, MONO + 19_200_000, 2, 4711, 5, None),
        (ERROR, 3, MONO + 19_300_000, 2, 4711, 5, 0, 0, MONO + 19_000_000, 'CommandError', 'key849: "no"', 'Traceback\n  File "x"'),
        (OTHER, MONO + 19_400_000, 'mark', {'name': 'first layer'}),
        (OTHER, MONO + 19_500_000, 'deep_traces_enabled', {'total': 2, 'objects': ['box(2)']}),
        (CALL, 4, MONO + 19_600_000, 0, 4711, 0, 1, 1, snapshot_args((loop, None, True, 'a, b')), None),
        # Texts that a wrapper takes without a snapshot, lone halves among them.
        (CALL, 5, MONO + 19_600_000, 0, 4711, 0, 1, 1, ('\udfff\ud83d\ude00', '\xe9\u2028\U0001f600'), None),
        (CALL, 6, MONO + 19_600_000, 0, 4711, 0, 5, 2, snapshot_args(('\u2028' * 600, [7])), snapshot_kw({'name': '\xe9' * 600})),
        (RETURN, 6, MONO + 19_600_000, 0, 4711, 0, 5, 2, MONO + 19_600_000, None),
        (RETURN, 5, MONO + 19_600_000, 0, 4711, 0, 1, 1, MONO + 19_600_000, 'a\ud800b'),
        (RETURN, 4, MONO + 19_600_001, 0, 4711, 0, 1, 1, MONO + 19_600_000, snapshot((1, [], {}))),
        (RETURN, 1, MONO + 20_000_000, 0, 4711, 0, 0, 0, MONO, None),
    ]


def vector():
    """What tests/vectors/trace-wire.json says: a stream, and the lines it stands for."""
    events = every_kind()
    first, rest = events[:6], events[6:]
    lines = Lines(LABELS)
    dropped = (107, 110, MONO + 18_500_000, MONO + 18_900_000, OFFSET)
    stream = b''.join((
        wire.labels_chunk(LABELS[:2], 0),
        wire.events_chunk(wire.packed(first), len(first), 101, OFFSET),
        wire.dropped_chunk(*dropped),
        wire.labels_chunk(LABELS, 2),
        wire.events_chunk(wire.packed(rest), len(rest), 111, OFFSET),
    ))
    text = lines.events(first, 101, OFFSET) + wire.dropped_line(*dropped) + lines.events(rest, 111, OFFSET)
    return {'version': wire.WIRE, 'stream': stream.hex(), 'lines': text.splitlines()}


def test_the_bytes_are_those_of_every_python():
    with open(VECTOR, encoding='utf-8') as file:
        known = json.load(file)
    made = vector()
    assert made['stream'] == known['stream']
    assert made['lines'] == known['lines']


class Reader:
    """Reads values as docs/trace-wire.md says, and nothing else."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data)
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack('<' + form, self.take(struct.calcsize(form)))[0]

    def value(self, deep=0):
        assert deep <= 32
        kind = self.take(1)
        if kind in b'NTF':
            return {b'N': None, b'T': True, b'F': False}[kind]
        if kind == b'i':
            return self.number('i')
        if kind == b'l':
            size = self.number('i')
            assert abs(size) <= 5
            value = sum(self.number('H') << 15 * place for place in range(abs(size)))
            return -value if size < 0 else value
        if kind == b'g':
            return self.number('d')
        if kind == b'u':
            return self.take(self.number('I')).decode('utf-8', 'surrogatepass')
        if kind == b's':
            return self.take(self.number('I'))
        if kind in b'([':
            items = [self.value(deep + 1) for _ in range(self.number('I'))]
            return tuple(items) if kind == b'(' else items
        assert kind == b'{', kind
        out = {}
        while self.data[self.at:self.at + 1] != b'0':
            key = self.value(deep + 1)
            assert type(key) is str
            out[key] = self.value(deep + 1)
        self.at += 1
        return out


def test_the_document_is_enough_to_read_it():
    data = bytes.fromhex(vector()['stream'])
    labels, events, at = [], [], 0
    while at < len(data):
        kind, size = struct.unpack_from('<BI', data, at)
        body = data[at + 5:at + 5 + size]
        at += 5 + size
        if kind == 0x4C:
            labels += Reader(body).value()
        elif kind == 0x45:
            seq, offset, count = struct.unpack_from('<QqI', body)
            assert offset == OFFSET
            reader = Reader(body[20:])
            events += reader.value()
            assert reader.at == len(body) - 20
        else:
            assert (kind, size) == (0x44, 40)
    assert labels == [(label.number, label.object, label.cls, label.method) for label in LABELS]
    assert events == every_kind()


def test_lines_keep_the_order_and_blanks_of_the_other_tracer():
    lines = vector()['lines']
    assert lines[0].startswith('{"type": "call", "id": 1, "time": 1700086400.123457, "object": "box", "class": '
                               '"MultiColorMeterialBoxWrapper", "method": "Tn_action", "args": "T2A", ')
    assert '"args": "{\'_bytes\': \'0103ff0a\'}, 3600, retries_en=False", ' in lines[1]
    assert '"result": {"_bytes": "f70107000a19240000e7"}, "duration_ms": 17.000000, ' in lines[4]


def random_value(dice, deep=0):
    """Anything a program may pass."""
    pick = dice.randrange(18 if deep < 8 else 11)
    few = deep > 0  # else values would grow faster than they end
    if pick == 0:
        return dice.choice([None, True, False])
    if pick == 1:
        return dice.randint(-10, 10)
    if pick == 2:
        return dice.choice([1, -1]) * (1 << dice.randrange(200)) + dice.randrange(2)
    if pick == 3:
        return struct.unpack('<d', bytes(dice.randrange(256) for _ in range(8)))[0]
    if pick == 4:
        return dice.choice([float('nan'), float('inf'), -float('inf'), -0.0, 1e-310])
    if pick in (5, 6):
        size = dice.choice([0, 3, 30, 499, 501, 3000])
        return ''.join(chr(dice.choice([34, 92, 10, 0, 65, 0xe9, 0xd800, 0xdfff, 0x1f600, 0x2028])) for _ in range(size))
    if pick in (7, 8):
        data = bytes(dice.randrange(256) for _ in range(dice.choice([0, 4, 40, 1100])))
        return dice.choice([bytes, bytearray, memoryview])(data)
    if pick == 9:
        return complex(dice.random(), float('nan'))
    if pick == 10:
        return object()
    size = dice.choice([0, 1, 2] if few else [0, 1, 3, 70])
    if pick in (11, 12):
        return [random_value(dice, deep + 1) for _ in range(size)]
    if pick in (13, 14):
        return tuple(random_value(dice, deep + 1) for _ in range(size))
    if pick == 15:
        return {dice.randrange(1000) for _ in range(size)}
    if pick == 16:
        return frozenset('k%d' % number for number in range(size))
    keys = [lambda: 'k%d' % dice.randrange(99), lambda: dice.randrange(99), lambda: None, lambda: (1, 'x'), lambda: 1.5,
            lambda: b'\xff', lambda: '\udc00', lambda: 1 << 99]
    return {dice.choice(keys)(): random_value(dice, deep + 1) for _ in range(size)}


def refuse(constant):
    raise AssertionError('%s is no JSON' % constant)


def test_whatever_is_passed_lines_are_json_and_chunks_are_read():
    dice = random.Random(485)
    lines = Lines(LABELS)
    for number in range(300):
        args = tuple(random_value(dice) for _ in range(dice.randrange(4)))
        kw = {'k%d' % index: random_value(dice) for index in range(dice.randrange(3))}
        events = [
            (CALL, number, MONO, 0, 1, 0, 0, 0, snapshot_args(args), snapshot_kw(kw) if kw else None),
            (RETURN, number, MONO, 0, 1, 0, 0, 0, MONO, snapshot(random_value(dice))),
        ]
        text = lines.events(events, 1, OFFSET)
        for line in text.splitlines():
            event = json.loads(line, parse_constant=refuse)
            assert event['type'] in ('call', 'return')
            # Strict readers refuse lone surrogates; what came as two halves is one character.
            line.encode('ascii')
            json.dumps(event, ensure_ascii=False).encode('utf-8')
        assert len(text) < 200_000
        reader = Reader(wire.packed(events))
        assert repr(reader.value()) == repr(events)


def test_a_value_that_cannot_be_packed_costs_its_event_only():
    good = (OTHER, MONO, 'mark', {'name': 'a'})
    bad = (OTHER, MONO, 'mark', {'name': object()})
    assert marshal.loads(wire.packed([good, bad])) == [good, (OTHER, MONO, 'lost', {})]


if __name__ == '__main__':
    with open(VECTOR, 'w', encoding='utf-8') as out:
        json.dump(vector(), out, indent=1)
        out.write('\n')
