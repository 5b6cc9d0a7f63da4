"""What goes out: events as lines of JSON, or as chunks of a compact form.

JSON lines have the keys of the tracer that this one follows, in its order and with its blanks, then our own. The
compact form is documented in docs/trace-wire.md; a client turns it into the same lines.
"""

import json
import marshal
import struct

from .record import ATTR, CALL, ERROR, FRAME, OTHER, RESUME, RETURN, YIELD
from .values import BIG, big_int, clean

SCHEMA = 1  # of the events
WIRE = 1  # of the compact form
FORMAT = 2  # marshal's; the same bytes from every Python 3
ARGS = 2000  # characters of `args`

_HEAD = struct.Struct('<BI')
_EVENTS = struct.Struct('<QqI')
_DROPPED = struct.Struct('<QQqqq')
CHUNK_EVENTS, CHUNK_LABELS, CHUNK_DROPPED = 0x45, 0x4C, 0x44  # E, L, D

_quote = json.encoder.encode_basestring_ascii


# --------------------------------------------------------------------------------------------- values as JSON

def _special(value):
    """What JSON has no form for, for the encoder."""
    if type(value) is bytes:
        return {'_bytes': value.hex()}
    return str(value)


try:
    _encode = json.encoder.c_make_encoder(None, _special, _quote, None, ': ', ', ', False, False, False)

    def _dump(value):
        return ''.join(_encode(value, 0))
except TypeError:  # a Python without the C encoder
    def _dump(value):
        return json.dumps(value, default=_special, allow_nan=False)


def _text(value):
    return _quote(value if value.isascii() else clean(value))


def _integer(value):
    return repr(value) if -BIG < value < BIG else _dump(big_int(value))


_JSON = {
    str: _text,
    int: _integer,
    float: float.__repr__,
    bool: lambda value: 'true' if value else 'false',
    type(None): lambda value: 'null',
    bytes: lambda value: '{"_bytes": "%s"}' % value.hex(),
    list: _dump, tuple: _dump, dict: _dump,
}


def value_json(value):
    """A snapshot as JSON."""
    return _JSON[type(value)](value)


def plain(value):
    """A snapshot as the other tracer's values: tuples are lists, bytes a dict."""
    kind = type(value)
    if kind is bytes:
        return {'_bytes': value.hex()}
    if kind is list or kind is tuple:
        return [plain(item) for item in value]
    if kind is dict:
        if '_str' in value and '_len' in value:
            return value['_str'] + '...'
        return {key: plain(item) for key, item in value.items()}
    return value


_ARG = {
    str: lambda value: value,
    int: repr,
    float: repr,
    bool: repr,
    type(None): repr,
    bytes: lambda value: "{'_bytes': '%s'}" % value.hex(),
}


def _arg(value):
    text = _ARG.get(type(value))
    if text is not None:
        return text(value)
    value = plain(value)
    # In ASCII: which characters repr() shows as they are depends on the Python's Unicode. A text here is one that was cut.
    return value if type(value) is str else ascii(value)


def args_text(args, kw):
    """All arguments as the one text that the other tracer has: texts in it are not quoted."""
    parts = [_arg(value) for value in args]
    if kw:
        parts += ['%s=%s' % (key, _arg(value)) for key, value in kw.items()]
    text = ', '.join(parts)
    return text if len(text) <= ARGS else text[:ARGS] + '...'


# --------------------------------------------------------------------------------------------- lines

class Lines:
    """Formats events as lines of JSON, each with its newline."""

    def __init__(self, labels):
        self.labels = labels  # the recorder's; only ever grows
        self.heads = []  # of each label, ready

    def head(self, number):
        """'"object": .., "class": .., "method": ..' of a label."""
        heads = self.heads
        while len(heads) <= number:
            label = self.labels[len(heads)]
            heads.append('"object": %s, "class": %s, "method": %s' % (
                _text(label.object), _text(label.cls), _text(label.method)))
        return heads[number]

    def events(self, events, seq, offset):
        """The lines of events that follow one another; `offset` is wall time less monotonic time, in ns."""
        out = []
        for event in events:
            try:
                out.append(_LINE[event[0]](self, event, seq, offset))
            except Exception as error:
                # A program's value that got through the snapshot; its event is told without it.
                out.append('{"type": "lost", "time": %.6f, "reason": %s, "seq": %d}\n' % (
                    (mono_of(event) + offset) / 1e9, _text(type(error).__name__), seq))
            seq += 1
        return ''.join(out)

    def call(self, event, seq, offset):
        _, cid, mono, label, tid, gid, parent, depth, args, kw = event
        heads = self.heads
        head = heads[label] if label < len(heads) else self.head(label)
        if args:
            values = []
            for value in args:
                values.append(_JSON[type(value)](value))
            argv = ', '.join(values)
            text = args[0] if len(args) == 1 and not kw and type(args[0]) is str else args_text(args, kw)
            text = _text(text)
        else:
            argv = ''
            text = _text(args_text(args, kw)) if kw else '""'
        return ('{"type": "call", "id": %d, "time": %.6f, %s, "args": %s, "mono": %d, "tid": %d, "gid": %d, '
                '"parent": %d, "depth": %d, "argv": [%s], "kw": %s, "seq": %d}\n' % (
                    cid, (mono + offset) / 1e9, head, text, mono, tid, gid, parent, depth, argv,
                    _dump(kw) if kw else '{}', seq))

    def returned(self, event, seq, offset):
        _, cid, mono, label, tid, gid, parent, depth, start, result = event
        heads = self.heads
        head = heads[label] if label < len(heads) else self.head(label)
        return ('{"type": "return", "id": %d, "time": %.6f, %s, "result": %s, "duration_ms": %.6f, "mono": %d, '
                '"tid": %d, "gid": %d, "parent": %d, "depth": %d, "seq": %d}\n' % (
                    cid, (mono + offset) / 1e9, head, _JSON[type(result)](result), (mono - start) / 1e6, mono, tid,
                    gid, parent, depth, seq))

    def failed(self, event, seq, offset):
        _, cid, mono, label, tid, gid, parent, depth, start, kind, text, where = event
        return ('{"type": "error", "id": %d, "time": %.6f, %s, "error": %s, "traceback": %s, "duration_ms": %.6f, '
                '"exc_type": %s, "mono": %d, "tid": %d, "gid": %d, "parent": %d, "depth": %d, "seq": %d}\n' % (
                    cid, (mono + offset) / 1e9, self.head(label), _text(text), _text(where), (mono - start) / 1e6,
                    _text(kind), mono, tid, gid, parent, depth, seq))

    def attribute(self, event, seq, offset):
        _, mono, label, tid, gid, parent, path, name, value = event
        label = self.labels[label]
        return ('{"type": "attr_read", "time": %.6f, "object": %s, "class": %s, "path": %s, "attr": %s, "value": %s, '
                '"mono": %d, "tid": %d, "gid": %d, "parent": %d, "seq": %d}\n' % (
                    (mono + offset) / 1e9, _text(label.object), _text(label.cls), _text(path), _text(name),
                    value_json(value), mono, tid, gid, parent, seq))

    def frame(self, event, seq, offset):
        _, mono, label, tid, gid, parent, direction, data = event
        return ('{"type": "frame", "time": %.6f, "object": %s, "direction": "%s", "bytes": "%s", '
                '"wire": "reconstructed", "parent": %d, "mono": %d, "tid": %d, "gid": %d, "seq": %d}\n' % (
                    (mono + offset) / 1e9, _text(self.labels[label].object), 'rx' if direction else 'tx', data.hex(),
                    parent, mono, tid, gid, seq))

    def suspended(self, event, seq, offset):
        kind, cid, mono, label, tid, gid, value = event
        value = ', "value": ' + value_json(value) if kind == YIELD else ''
        return ('{"type": "%s", "id": %d, "time": %.6f, %s%s, "mono": %d, "tid": %d, "gid": %d, "seq": %d}\n' % (
            'yield' if kind == YIELD else 'resume', cid, (mono + offset) / 1e9, self.head(label), value, mono, tid,
            gid, seq))

    def other(self, event, seq, offset):
        _, mono, name, fields = event
        body = _dump(fields)[1:-1]
        return '{"type": %s, "time": %.6f, %s%s"mono": %d, "seq": %d}\n' % (
            _text(name), (mono + offset) / 1e9, body, ', ' if body else '', mono, seq)


_LINE = {CALL: Lines.call, RETURN: Lines.returned, ERROR: Lines.failed, ATTR: Lines.attribute, FRAME: Lines.frame,
         YIELD: Lines.suspended, RESUME: Lines.suspended, OTHER: Lines.other}


def dropped_line(first, last, since, mono, offset):
    """The line for events that were lost: their numbers, and since when."""
    return '{"type": "dropped", "time": %.6f, "count": %d, "from": %d, "to": %d, "since": %d, "mono": %d}\n' % (
        (mono + offset) / 1e9, last - first + 1, first, last, since, mono)


# --------------------------------------------------------------------------------------------- chunks

def packed(events):
    """Events that follow one another, in the compact form without its head."""
    try:
        return marshal.dumps(events, FORMAT)
    except ValueError:
        return marshal.dumps([event if _packs(event) else (OTHER, mono_of(event), 'lost', {}) for event in events], FORMAT)


def _packs(event):
    try:
        marshal.dumps(event, FORMAT)
        return True
    except ValueError:
        return False


def mono_of(event):
    """When an event was recorded, in ns of the monotonic clock."""
    return event[1] if event[0] in (ATTR, FRAME, OTHER) else event[2]


def events_chunk(blob, count, seq, offset):
    """A chunk of events."""
    return b''.join((_HEAD.pack(CHUNK_EVENTS, _EVENTS.size + len(blob)), _EVENTS.pack(seq, offset, count), blob))


def labels_chunk(labels, first):
    """A chunk of the labels from a number on."""
    blob = marshal.dumps([(label.number, label.object, label.cls, label.method) for label in labels[first:]], FORMAT)
    return _HEAD.pack(CHUNK_LABELS, len(blob)) + blob


def dropped_chunk(first, last, since, mono, offset):
    """A chunk that tells of lost events."""
    return _HEAD.pack(CHUNK_DROPPED, _DROPPED.size) + _DROPPED.pack(first, last, since, mono, offset)
