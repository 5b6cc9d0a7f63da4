"""Snapshots: what a value is at the moment of the call, as plain data.

A snapshot consists of None, bool, int below 64 bits, finite float, str without lone surrogates, bytes, list,
tuple, and dict with str keys, all of the exact types, and nothing in it is shared with the program. What does not
fit into that, or not under the caps, becomes a dict whose keys begin with `_`:

    {"_bytes": "0a0b", "_len": 9000}                 bytes that are cut, as hex
    {"_bytes": "0a0b", "_type": "bytearray"}         and memoryview
    {"_str": "beginning", "_len": 9000}              a text that is cut
    {"_type": "list", "_len": 90, "_preview": [..]}  a list, tuple, dict, set that is cut
    {"_type": "list", "_len": 3, "_cut": "depth"}    one that is not looked into: "depth", "cycle", "size"
    {"_set": [..]}, {"_frozenset": [..]}, {"_complex": [re, im]}, {"_float": "nan"}, {"_int": "0x..", "_bits": 90}
    {"_type": "Box", "_id": 1234, "_attrs": [..]}    any other object: its class, identity, first attribute names

No code of the program runs: no repr, no str, not even isinstance (it asks the value), and attributes are read from the
object's dict, not through its class.
"""

import types

TEXT = 500  # characters of a text
BYTES = 1024  # bytes of bytes
ITEMS = 64  # items of a container
DEPTH = 6  # containers in containers
NODES = 600  # values in one snapshot
CHARS = 16384  # characters and bytes in one snapshot
BIG = 1 << 63
ATTRS = 10  # attribute names of an object

# Whose values are as they are, whatever they are; int, float, str and bytes need a look.
ATOMS = frozenset((type(None), bool))

_type_name = type.__dict__['__name__'].__get__
_type_mro = type.__dict__['__mro__'].__get__
_type_dict = type.__dict__['__dict__'].__get__
_type_flags = type.__dict__['__flags__'].__get__
_args_of = BaseException.__dict__['args'].__get__
_view = memoryview
_Member = types.MemberDescriptorType
HEAP_TYPE = 1 << 9  # of a class's flags: not one that is built in


def type_name(cls):
    """The class's name, whatever its metaclass would say."""
    return _type_name(cls)


def mro(cls):
    """The class's method resolution order, whatever its metaclass would say."""
    return _type_mro(cls)


def class_dict(cls):
    """The class's own attributes."""
    return _type_dict(cls)


def is_a(value, cls):
    """isinstance, without asking the value what it says its class is."""
    return issubclass(type(value), cls)


def instance_dict(obj):
    """An object's or a module's attributes, or None where it keeps none or its class says what `__dict__` is."""
    for base in _type_mro(type(obj)):
        found = _type_dict(base).get('__dict__')
        if found is not None:
            # Python's own are a getset, and a member for modules. One of another class would not do for this object.
            if type(found) not in (types.GetSetDescriptorType, _Member) or found.__objclass__ is not base:
                return None
            attrs = found.__get__(obj)
            # A dict of the program's own kind would run its code when it is read.
            return attrs if type(attrs) is dict else None
    return None


def slots(cls):
    """The members that `__slots__` made of the class and its bases: [(name, descriptor)]."""
    found = []
    for base in _type_mro(cls):
        if _type_flags(base) & HEAP_TYPE:
            found += [(name, raw) for name, raw in list(_type_dict(base).items())
                      if type(raw) is _Member and type(name) is str and raw.__objclass__ is base]
    return found


def attributes(obj):
    """What an object holds in its dict and its slots: [(name, value)]."""
    found = list((instance_dict(obj) or {}).items())
    for name, member in slots(type(obj)):
        try:
            found.append((name, member.__get__(obj)))
        except AttributeError:
            pass  # not set
    return found


class _Snapshot:
    """One snapshot on its way: what is left of the caps, and which containers it is in."""
    __slots__ = ('nodes', 'chars', 'inside')

    def __init__(self):
        self.nodes = NODES
        self.chars = CHARS
        self.inside = []

    def value(self, v, depth):
        self.nodes -= 1
        kind = type(v)
        take = _TAKE.get(kind)
        if take is None:
            take = _base(kind)
        return take(self, v, depth)

    def atom(self, v, _depth):
        return v

    def integer(self, v, _depth):
        return v if -BIG < v < BIG else big_int(v)

    def int_child(self, v, depth):
        return self.integer(int.__add__(v, 0), depth)

    def real(self, v, _depth):
        # NaN is unlike itself, and infinity less itself is NaN.
        return v if v - v == 0.0 else {'_float': 'nan' if v != v else 'inf' if v > 0 else '-inf'}

    def real_child(self, v, depth):
        return self.real(float.__add__(v, 0.0), depth)

    def complex(self, v, depth):
        real, imag = complex.real.__get__(v), complex.imag.__get__(v)
        return {'_complex': [self.real(real, depth), self.real(imag, depth)]}

    def text(self, v, _depth):
        size = len(v)
        limit = min(TEXT, max(self.chars, 0))
        self.chars -= size if size < limit else limit
        if size > limit:
            return {'_str': clean(v[:limit]), '_len': size}
        return v if v.isascii() else clean(v)

    def text_child(self, v, depth):
        if str.__len__(v) > TEXT:
            return {'_str': clean(str.__getitem__(v, slice(0, TEXT))), '_len': str.__len__(v)}
        return self.text(str.__getitem__(v, slice(None)) + '', depth)

    def bytes(self, v, _depth):
        size = bytes.__len__(v)
        limit = min(BYTES, max(self.chars, 0))
        self.chars -= size if size < limit else limit
        if size > limit:
            return {'_bytes': bytes.__getitem__(v, slice(0, limit)).hex(), '_len': size}
        return bytes.__getitem__(v, slice(None)) + b''

    def buffer(self, v, _depth):
        kind = type_name(type(v))
        if kind != 'memoryview':
            kind = 'bytearray'
        try:
            with _view(v) as whole:
                size = whole.nbytes
                limit = min(BYTES, max(self.chars, 0))
                if size > limit and not whole.c_contiguous:
                    return {'_type': kind, '_len': size}
                data = whole.tobytes() if size <= limit else bytes(whole.cast('B')[:limit])
        except (ValueError, TypeError, BufferError):
            return {'_type': kind}  # released, or of a form that has no bytes
        self.chars -= len(data)
        mark = {'_bytes': data.hex(), '_type': kind}
        if size > len(data):
            mark['_len'] = size
        return mark

    def sequence(self, v, depth):
        kind, base = ('list', list) if is_a(v, list) else ('tuple', tuple)
        size = base.__len__(v)
        if not size:
            return [] if base is list else ()
        cut = self.entered(v, depth)
        if cut:
            return {'_type': kind, '_len': size, '_cut': cut}
        # The slice is the snapshot: another thread may change a list while its items are looked at.
        taken = base.__getitem__(v, slice(0, ITEMS))
        items = self.items(taken, depth)
        if len(items) < size:
            return {'_type': kind, '_len': size, '_preview': items}
        return items if base is list else tuple(items)

    def items(self, taken, depth):
        value = self.value
        items = []
        for item in taken:
            if self.nodes <= 0 or self.chars <= 0:
                break
            items.append(value(item, depth + 1))
        self.inside.pop()
        return items

    def set(self, v, depth):
        kind = 'set' if is_a(v, set) else 'frozenset'
        base = set if kind == 'set' else frozenset
        size = base.__len__(v)
        cut = self.entered(v, depth)
        if cut:
            return {'_type': kind, '_len': size, '_cut': cut}
        taken = []
        try:
            for item in base.__iter__(v):
                taken.append(item)
                if len(taken) >= ITEMS:
                    break
        except RuntimeError:
            pass  # changed by another thread meanwhile
        items = self.items(taken, depth)
        if len(items) < size:
            return {'_type': kind, '_len': size, '_preview': items}
        return {'_' + kind: items}

    def dict(self, v, depth):
        size = dict.__len__(v)
        if not size:
            return {}
        cut = self.entered(v, depth)
        if cut:
            return {'_type': 'dict', '_len': size, '_cut': cut}
        taken = []
        try:
            for pair in dict.items(v):
                taken.append(pair)
                if len(taken) >= ITEMS:
                    break
        except RuntimeError:
            pass
        out = {}
        for key, item in taken:
            if self.nodes <= 0 or self.chars <= 0:
                break
            name = self.key(key)
            while name in out:
                name += "'"  # 1 and "1" are two keys
            out[name] = self.value(item, depth + 1)
        self.inside.pop()
        if len(out) < size:
            return {'_type': 'dict', '_len': size, '_preview': out}
        return out

    def key(self, key):
        """A key's text; that of str() for what JSON can have or a program may take for a text."""
        if type(key) is str:
            if len(key) <= TEXT and key.isascii():
                self.chars -= len(key)
                return key
            key = clean(key[:TEXT])
        elif is_a(key, str):
            key = clean(str.__getitem__(key, slice(0, TEXT)) + '')
        elif key is None or type(key) in (bool, float):
            return str(key)
        elif is_a(key, int):
            key = self.int_child(key, 0)
            return str(key) if type(key) is int else key['_int']
        elif type(key) is bytes:
            key = repr(key[:TEXT])
        elif type(key) is tuple:
            key = '(' + ', '.join([self.key(part) for part in key[:8]]) + ')'
            key = key[:TEXT]
        else:
            key = '<%s>' % type_name(type(key))
        self.chars -= len(key)
        return key

    def entered(self, v, depth):
        """Why a container is not looked into; if it is, `items` or the caller leaves it again."""
        if depth >= DEPTH:
            return 'depth'
        for outer in self.inside:
            if outer is v:
                return 'cycle'
        if self.nodes <= 0 or self.chars <= 0:
            return 'size'
        self.inside.append(v)
        return None

    def object(self, v, _depth):
        if is_a(v, type):
            return {'_type': 'type', '_name': type_name(v)}
        kind = type(v)
        mark = {'_type': type_name(kind), '_id': id(v)}
        if is_a(v, BaseException):
            mark['_text'] = exception_text(v)
            return mark
        attrs = instance_dict(v)
        if attrs is None:
            attrs = dict(attributes(v))
        if attrs:
            names = []
            try:
                for name in attrs:
                    if type(name) is str and not name.startswith('__'):
                        names.append(clean(name[:TEXT]))
                    if len(names) >= ATTRS:
                        break
            except RuntimeError:
                pass
            self.chars -= sum(map(len, names))
            mark['_attrs'] = names
            # A handler's argument says which command it is.
            line = attrs.get('_commandline')
            if type(line) is str and mark['_type'] == 'GCodeCommand':
                mark['_commandline'] = self.text(line, 0)
        return mark


_TAKE = {
    type(None): _Snapshot.atom, bool: _Snapshot.atom, int: _Snapshot.integer, float: _Snapshot.real,
    str: _Snapshot.text, bytes: _Snapshot.bytes, list: _Snapshot.sequence, tuple: _Snapshot.sequence,
    dict: _Snapshot.dict, set: _Snapshot.set, frozenset: _Snapshot.set, complex: _Snapshot.complex,
    bytearray: _Snapshot.buffer, memoryview: _Snapshot.buffer,
}
# Subclasses are told by what they are built on: a namedtuple as a tuple, an IntEnum as its number.
_CHILD = (
    (int, _Snapshot.int_child), (str, _Snapshot.text_child), (float, _Snapshot.real_child),
    (bytes, _Snapshot.bytes), (list, _Snapshot.sequence), (tuple, _Snapshot.sequence),
    (dict, _Snapshot.dict), (set, _Snapshot.set), (frozenset, _Snapshot.set),
    (bytearray, _Snapshot.buffer),
)


def _base(kind):
    bases = _type_mro(kind)
    for base, take in _CHILD:
        if base in bases:
            return take
    return _Snapshot.object


def snapshot(value):
    """The value as plain data. Never raises."""
    try:
        return _Snapshot().value(value, 0)
    except Exception as error:  # a RecursionError of the program's, a MemoryError
        return {'_type': type_name(type(value)), '_cut': type_name(type(error))}


def snapshot_args(args):
    """A tuple of arguments as plain data, under one set of caps. Never raises."""
    try:
        snap = _Snapshot()
        taken = tuple([snap.value(v, 0) for v in args[:ITEMS]])
        if len(args) > ITEMS:
            taken += ({'_type': 'args', '_len': len(args), '_cut': 'size'},)
        return taken
    except Exception as error:
        return ({'_type': 'args', '_len': len(args), '_cut': type_name(type(error))},)


def snapshot_kw(kw):
    """Keyword arguments as plain data. Never raises."""
    taken = snapshot(kw)
    return taken if type(taken) is dict else {}


def clean(text):
    """The text with its lone surrogates replaced: JSON readers refuse them."""
    return text if text.isascii() else text.encode('utf-8', 'replace').decode('utf-8')


def big_int(v):
    """An int that no 64 bits hold. Hex, since decimal digits take the square of the time."""
    bits = v.bit_length()
    if bits > 4 * TEXT:
        return {'_int': ('-' if v < 0 else '') + hex(abs(v) >> (bits - 4 * TEXT)), '_bits': bits, '_cut': 'size'}
    return {'_int': hex(v), '_bits': bits}


def exception_text(error):
    """What str() of a plain exception gives, without running a foreign `__str__`."""
    args = _args_of(error)
    if len(args) == 1:
        arg = args[0]
        if is_a(arg, str):
            return clean(str.__getitem__(arg, slice(0, TEXT)) + '')
        if type(arg) in (int, float, bool, type(None)):
            taken = snapshot(arg)
            return str(taken)
    if is_a(error, OSError) and len(args) >= 2 and type(args[0]) is int and type(args[1]) is str:
        return '[Errno %d] %s' % (args[0], clean(args[1][:TEXT]))
    return str(snapshot(args))[:TEXT] if args else ''
