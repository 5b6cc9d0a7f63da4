# What the tracer of extra/ sends for some events, in both of its forms: wire.json is
#     python3 wire.py ../../../extra > wire.json
import sys, json
sys.path.insert(0, sys.argv[1])
from trace_hooks import wire, record
r = record.Recorder()
a = r.label('serial_485 serial485', 'Serial_485_Wrapper', 'cmd_send_data_with_response')
b = r.label('b"ox', 'Gr\u00fcn', 'm')
C=record
ev = [
 (C.CALL, 1, 123456789012, a, 77, 0, 0, 0, (b'\x01\x03\xff\x0a', 3600, 'x', "it's", None, True, 0.1, 1e-5, 1e16, -7, 1<<40, [1,'a',b'\x00',{'k':None}], {'_str':'be','_len':900}), {'retries_en': False, 'q': [0.5]}),
 (C.FRAME, 123456789112, a, 77, 0, 1, 0, b'\x01\x03\xff\x0a'),
 (C.FRAME, 123456799112, a, 77, 0, 1, 1, b'\xf7\x01\x03\xff\x0a\x5c'),
 (C.RETURN, 1, 123476789012, a, 77, 0, 0, 0, 123456789012, b'\xf7\x01'),
 (C.CALL, 2, 123476789013, b, 77, 3, 1, 1, ('only, text\n',), {}),
 (C.ERROR, 2, 123486789013, b, 77, 3, 1, 1, 123476789013, 'ValueError', 'b\u00e4d \U0001f600', 'Traceback\n  x'),
 (C.CALL, 3, 123486789014, b, 77, 3, 1, 1, (), {}),
 (C.ATTR, 123486789015, b, 77, 3, 3, 'a.b', 'name', {'T0A': {'T1A': 140}}),
 (C.YIELD, 3, 123486789016, b, 77, 3, 5.25),
 (C.RESUME, 3, 123486789017, b, 77, 3, None),
 (C.OTHER, 123486789018, 'mark', {'name': 'here'}),
 (C.OTHER, 123486789018, 'empty', {}),
 (C.RETURN, 3, 123486789019, b, 77, 3, 1, 1, 123486789014, {'_float': 'nan'}),
]
off = 1767128273000000123
lines = wire.Lines(r.labels).events(ev, 41, off) + wire.dropped_line(54, 60, 5, 123486789020, off)
chunks = wire.labels_chunk(r.labels, 0) + wire.events_chunk(wire.packed(ev), len(ev), 41, off) + wire.dropped_chunk(54, 60, 5, 123486789020, off)
print(json.dumps({'lines': lines, 'chunks': chunks.hex()}))
