"""Snapshots: what is told of a value, and that no code of the program runs for it."""

import collections
import enum
import sys
import types

import pytest
from trace_hooks import values
from trace_hooks.values import snapshot, snapshot_args


class Hostile:
    """Every way in which a value could run code or raise."""

    def explode(self, *_args, **_kw):
        raise AssertionError('foreign code ran')

    __repr__ = __str__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = __getattr__ = __format__ = explode
    __bytes__ = __int__ = __float__ = __index__ = __getitem__ = __contains__ = __dir__ = explode

    def __getattribute__(self, name):
        raise AssertionError('foreign attribute %s' % name)


class HostileList(list):
    def __iter__(self):
        raise AssertionError

    __len__ = __getitem__ = __repr__ = __iter__


class HostileDict(dict):
    def items(self):
        raise AssertionError

    __iter__ = keys = __len__ = __getitem__ = items


class HostileStr(str):
    def __str__(self):
        raise AssertionError

    __len__ = __getitem__ = __hash__ = __repr__ = encode = isascii = __str__


class HostileMeta(type):
    @property
    def __name__(cls):
        raise AssertionError

    def __instancecheck__(cls, other):
        raise AssertionError


class OfHostileMeta(metaclass=HostileMeta):
    pass


class HostileError(Exception):
    def __str__(self):
        raise AssertionError


@pytest.mark.parametrize('value', [None, True, 0, -5, 1.5, '', 'T2A', 'é', b'', b'\xf7', [1, [2]], (1,), {'a': [1]}])
def test_plain_values_are_themselves(value):
    taken = snapshot(value)
    assert taken == value and type(taken) is type(value)


def test_nothing_is_shared_with_the_program():
    inner = [1]
    data = {'a': inner}
    taken = snapshot_args((data, inner))
    inner.append(2)
    data.clear()
    assert taken == ({'a': [1]}, [1])


def test_no_foreign_code_runs():
    hostile = Hostile()
    # The class says what __getattribute__ is, but the slot of __dict__ is the interpreter's own.
    assert snapshot(hostile) == {'_type': 'Hostile', '_id': id(hostile)}
    assert snapshot([hostile, {'a': hostile}]) == [snapshot(hostile), {'a': snapshot(hostile)}]
    assert snapshot(HostileList([1, 2])) == [1, 2]
    assert snapshot(HostileDict(a=1)) == {'a': 1}
    assert snapshot(HostileStr('abc')) == 'abc'
    assert snapshot(HostileStr('x' * 600)) == {'_str': 'x' * 500, '_len': 600}
    assert snapshot(OfHostileMeta()).keys() == {'_type', '_id'}
    assert snapshot(OfHostileMeta) == {'_type': 'type', '_name': 'OfHostileMeta'}
    assert snapshot(HostileError('no'))['_text'] == 'no'


def test_an_object_whose_class_takes_over_its_dict():
    class Odd:
        @property
        def __dict__(self):
            raise AssertionError
    assert snapshot(Odd()).keys() == {'_type', '_id'}


def test_subclasses_are_told_by_what_they_are_built_on():
    class Colour(enum.IntEnum):
        RED = 3

    class Celsius(float):
        pass
    point = collections.namedtuple('Coord', 'x y')(1.0, 2.0)
    assert snapshot(Colour.RED) == 3 and type(snapshot(Colour.RED)) is int
    assert type(snapshot(Celsius(1.5))) is float
    assert snapshot(point) == (1.0, 2.0) and type(snapshot(point)) is tuple
    assert snapshot(collections.OrderedDict(a=1)) == {'a': 1}


def test_what_json_has_no_form_for():
    assert snapshot(float('nan')) == {'_float': 'nan'}
    assert snapshot(float('-inf')) == {'_float': '-inf'}
    assert snapshot(1 << 70) == {'_int': hex(1 << 70), '_bits': 71}
    assert snapshot(-(1 << 70))['_int'] == '-0x400000000000000000'
    huge = snapshot(1 << 1_000_000)
    assert huge['_bits'] == 1_000_001 and huge['_cut'] == 'size' and len(huge['_int']) < 600
    assert snapshot(2 + 3j) == {'_complex': [2.0, 3.0]}
    assert snapshot({1}) == {'_set': [1]}
    assert snapshot(frozenset('a')) == {'_frozenset': ['a']}
    assert snapshot(bytearray(b'\x01\x02')) == {'_bytes': '0102', '_type': 'bytearray'}
    assert snapshot(memoryview(b'\x01')) == {'_bytes': '01', '_type': 'memoryview'}
    assert snapshot('a\ud800b') == 'a?b'


def test_keys_are_texts_and_none_is_lost():
    assert snapshot({1: 'a', '1': 'b', None: 'c', 1.5: 'd', (1, 'x'): 'e'}) == {
        '1': 'a', "1'": 'b', 'None': 'c', '1.5': 'd', '(1, x)': 'e'}


def test_every_cut_is_marked():
    assert snapshot('x' * 501) == {'_str': 'x' * 500, '_len': 501}
    assert snapshot(b'x' * 1025) == {'_bytes': '78' * 1024, '_len': 1025}
    assert snapshot(bytearray(3000)) == {'_bytes': '00' * 1024, '_type': 'bytearray', '_len': 3000}
    assert snapshot(list(range(65))) == {'_type': 'list', '_len': 65, '_preview': list(range(64))}
    assert snapshot(tuple(range(65)))['_type'] == 'tuple'
    assert snapshot(set(range(65)))['_len'] == 65
    cut = snapshot({number: 0 for number in range(65)})
    assert (cut['_type'], cut['_len'], len(cut['_preview'])) == ('dict', 65, 64)
    deep = 0
    for _ in range(20):
        deep = [deep]
    text = str(snapshot(deep))
    assert text == '[[[[[[' + str({'_type': 'list', '_len': 1, '_cut': 'depth'}) + ']]]]]]'


def test_cycles_end():
    loop = []
    loop.append(loop)
    assert snapshot(loop) == [{'_type': 'list', '_len': 1, '_cut': 'cycle'}]
    table = {}
    table['self'] = [table]
    assert snapshot(table) == {'self': [{'_type': 'dict', '_len': 1, '_cut': 'cycle'}]}
    # The same list twice is no cycle.
    twice = [1]
    assert snapshot([twice, twice]) == [[1], [1]]


def size_of(value):
    if isinstance(value, (list, tuple)):
        return 1 + sum(map(size_of, value))
    if isinstance(value, dict):
        return 1 + sum(size_of(key) + size_of(item) for key, item in value.items())
    return 1 + (len(value) if isinstance(value, (str, bytes)) else 0)


@pytest.mark.parametrize('value', [
    [['x' * 500] * 64] * 64, [[[[[[0] * 64] * 64] * 64] * 64] * 64] * 64, [{'k%d' % key: b'x' * 1024 for key in range(64)}] * 64,
    [[{}] * 64] * 64, {'x' * 499 + str(key): 1 for key in range(64)}])
def test_a_snapshot_is_small_whatever_it_is_of(value):
    # A wide tree of shared parts would be 64 to the sixth values.
    assert size_of(snapshot(value)) < 60_000
    assert '_cut' in str(snapshot(value)) or '_preview' in str(snapshot(value)) or '_len' in str(snapshot(value)) \
        or len(snapshot(value)) == 64


def test_a_gcode_commands_line_is_told():
    command = type('GCodeCommand', (), {})()
    command._commandline = 'BOX_CUT T=1'
    assert snapshot(command)['_commandline'] == 'BOX_CUT T=1'
    assert snapshot(command)['_attrs'] == ['_commandline']


class HostileModule(types.ModuleType):
    def __getattribute__(self, name):
        raise AssertionError('foreign attribute %s' % name)


def test_attributes_are_read_where_python_keeps_them():
    class Plain:
        pass

    class Slots:
        __slots__ = ('one', 'two')

    class Both(Slots):
        __slots__ = ('three', '__dict__')

    class Own(dict):
        def items(self):
            raise AssertionError

    class Borrowed:
        __dict__ = Plain.__dict__['__dict__']

    plain, slots, both, own, module, lent = Plain(), Slots(), Both(), Plain(), HostileModule('m'), Borrowed()
    plain.one = slots.two = both.three = both.four = 1
    own.__dict__ = Own(one=1)
    assert values.instance_dict(plain) == {'one': 1} and values.instance_dict(both) == {'four': 1}
    assert values.instance_dict(slots) is None and values.instance_dict(own) is None and values.instance_dict(lent) is None
    assert values.instance_dict(sys) is sys.__dict__
    assert values.instance_dict(module)['__name__'] == 'm'
    assert values.instance_dict(Plain) is None and values.instance_dict(int) is None and values.instance_dict(5) is None
    assert values.attributes(slots) == [('two', 1)] and values.attributes(both) == [('four', 1), ('three', 1)]
    assert snapshot(slots) == {'_type': 'Slots', '_id': id(slots), '_attrs': ['two']}
    assert snapshot(both)['_attrs'] == ['four'] and '_attrs' not in snapshot(own)
    types.ModuleType.__setattr__(module, 'answer', 42)
    assert snapshot(module) == {'_type': 'HostileModule', '_id': id(module), '_attrs': ['answer']}


def test_texts_of_exceptions():
    assert values.exception_text(ValueError('no')) == 'no'
    assert values.exception_text(ValueError()) == ''
    assert values.exception_text(ValueError(3)) == '3'
    assert values.exception_text(OSError(2, 'No such file')) == '[Errno 2] No such file'
    assert values.exception_text(ValueError('a', 1)) == "('a', 1)"
