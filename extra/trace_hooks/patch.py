"""Putting wrappers into classes, and taking them out again.

A method is wrapped where it is defined: the raw descriptor in the class's own dict is replaced by one of the same kind,
and put back on undo, the very object. One function has one wrapper, however many objects and subclasses use it.
"""

import os
import sys
import types

from . import wrappers
from .frames import KEEPERS, SENDERS, Wire
from .values import class_dict, is_a, mro, type_name

HEAP_TYPE = 1 << 9
IMMUTABLE_TYPE = 1 << 8
MARK = '__k485_trace__'
# Where a later instance of this module, or another copy of it, finds what is patched.
SITES = '_k485_trace_sites'

# What the tracer itself or every thread stands on. Tracing it could stop the program.
DENIED = frozenset((
    'reactor', 'klippy', 'greenlet', '_greenlet', 'builtins', 'threading', 'queue', 'socket', 'select', 'marshal',
    'logging', 'weakref', 'types', 'abc', 'os', 'sys', 'io', 're', 'collections', 'functools', 'importlib', 'json',
    'time', 'struct', 'ctypes', 'cffi', '_cffi_backend', 'serial', 'jinja2', 'msgspec', 'trace_hooks'))
_STDLIB = frozenset(getattr(sys, 'stdlib_module_names', ()))
_STDLIB_DIR = os.path.dirname(os.__file__) + os.sep


class Refused(Exception):
    """Why something is not traced; the text is for people."""


def module_of(cls):
    """The name of the class's module, or '' if it tells none."""
    name = class_dict(cls).get('__module__')
    return name if type(name) is str else ''


def denial(cls):
    """Why a class of this module must not be touched, or None."""
    module = module_of(cls)
    root = module.split('.')[0]
    parts = module.split('.')
    if root in DENIED or 'trace_hooks' in parts or root in _STDLIB or parts[-1] in ('reactor', 'klippy'):
        return 'module %s is not traced: the host or the tracer stands on it' % (module,)
    if module == '__main__' and type_name(cls) == 'Printer':
        return 'the Printer itself is not traced'
    if not _STDLIB:
        path = getattr(sys.modules.get(module), '__file__', None)
        if type(path) is str and path.startswith(_STDLIB_DIR) and 'site-packages' not in path:
            return 'module %s is not traced: it belongs to Python' % (module,)
    return None


def is_open(cls):
    """Whether attributes of the class can be set at all."""
    flags = type.__dict__['__flags__'].__get__(cls)
    return bool(flags & HEAP_TYPE) and not flags & IMMUTABLE_TYPE


def find(cls, name):
    """(class that defines it, raw descriptor), without running anything of the class. Raises Refused."""
    for base in mro(cls):
        own = class_dict(base)
        if name in own:
            return base, own[name]
    raise Refused('%s has no method %s' % (type_name(cls), name))


def is_method(raw):
    """Whether a raw descriptor is a method: a function of any make, static or class method."""
    if is_a(raw, (staticmethod, classmethod)):
        return callable(raw.__func__)
    if is_a(raw, (type, property)):
        return False
    if is_a(raw, types.FunctionType):
        return True
    # A compiled function is of its compiler's own type.
    return type_name(type(raw)) in ('cython_function_or_method', 'fused_cython_function', 'method_descriptor',
                                    'compiled_function')


def methods(cls, private=False):
    """The names of the class's methods, inherited ones included, in alphabetical order.

    Without `private` only those that begin with no underscore; never those with two.
    """
    names = set()
    seen = set()
    for base in mro(cls):
        touch = is_open(base) and denial(base) is None
        for name, raw in list(class_dict(base).items()):
            if name in seen:
                continue
            seen.add(name)
            if name.startswith('__') or (name.startswith('_') and not private):
                continue
            if touch and is_method(raw):
                names.add(name)
    return sorted(names)


class Site:
    """One patched function."""

    def __init__(self, recorder, cls, name, raw, names):
        self.recorder = recorder
        self.cls = cls
        self.name = name
        self.raw = raw  # what was in the class
        self.new = None  # what is there now
        self.names = names  # id(object) or None -> label
        self.keep = {}  # id(object) -> (object, label): while it is here no other object can get its id
        self.wire = None
        self.func = None  # the function that was wrapped
        self.wrapper = None

    def is_free(self):
        """Whether its calls come without an object."""
        return is_a(self.raw, (staticmethod, classmethod))

    def undo(self):
        """Puts the original back. False if somebody else has put something else there since."""
        self.names.clear()
        if self.wire is not None:
            self.wire.objects.clear()
        self.keep.clear()
        if class_dict(self.cls).get(self.name) is not self.new:
            return False  # the wrapper that is under it has no names any more and lets all through
        type.__setattr__(self.cls, self.name, self.raw)
        return True


def sites():
    """Every patched site in the process, whoever patched it: {(class, name): Site}."""
    found = sys.__dict__.get(SITES)
    if found is None:
        found = sys.__dict__[SITES] = {}
    return found


def undo_all():
    """Takes out every wrapper in the process, an earlier instance's, too. The number of them."""
    found = sites()
    count = 0
    for key, site in list(found.items()):
        try:
            site.undo()
        except Exception:
            pass  # one class that cannot be restored must not keep the others
        found.pop(key, None)
        count += 1
    return count


class Patcher:
    """Patches methods for one recorder."""

    def __init__(self, recorder, polling):
        self.recorder = recorder
        self.polling = polling

    def site(self, cls, name):
        """The site of a method, patched if it is not yet. Raises Refused."""
        owner, raw = find(cls, name)
        key = (owner, name)
        known = sites().get(key)
        if known is not None:
            if raw is known.new and known.recorder is self.recorder:
                return known
            known.undo()  # of an instance that is gone
            sites().pop(key)
            raw = class_dict(owner)[name]
        raw = self.bare(raw)
        self.check(owner, name, raw)
        site = self.make(owner, name, raw)
        try:
            type.__setattr__(owner, name, site.new)
        except (TypeError, AttributeError) as error:
            raise Refused('%s.%s: the class cannot be changed (%s)' % (type_name(owner), name, error)) from None
        sites()[key] = site
        return site

    def check(self, owner, name, raw):
        """Raises Refused if this must not or cannot be wrapped."""
        reason = denial(owner)
        if reason is not None:
            raise Refused('%s.%s: %s' % (type_name(owner), name, reason))
        if not is_open(owner):
            raise Refused('%s.%s is of a built-in or compiled (cdef) type, which cannot be changed'
                          % (type_name(owner), name))
        if name.startswith('__'):
            raise Refused('%s.%s: special methods are not traced' % (type_name(owner), name))
        if not is_method(raw) and not is_a(raw, property):
            raise Refused('%s.%s is no method but %s' % (type_name(owner), name, type_name(type(raw))))

    def make(self, owner, name, raw):
        """The site with its wrapper; nothing is changed yet."""
        names = {}
        site = Site(self.recorder, owner, name, raw, names)
        if is_a(raw, staticmethod):
            site.func = raw.__func__
            site.wrapper = wrappers.free(site.func, names, self.recorder)
            site.new = staticmethod(site.wrapper)
        elif is_a(raw, classmethod):
            site.func = raw.__func__
            site.wrapper = self.wrapped(site.func, names)
            site.new = classmethod(site.wrapper)
        elif is_a(raw, property):
            if type(raw) is not property or raw.fget is None:
                raise Refused('%s.%s is a property of its own kind' % (type_name(owner), name))
            site.func = raw.fget
            accessors = [func and self.wrapped(func, names) for func in (raw.fget, raw.fset, raw.fdel)]
            site.wrapper = accessors[0]
            site.new = property(*accessors, raw.__doc__)
        else:
            site.func = raw
            if name in SENDERS or name in KEEPERS:
                site.wire = Wire(name, self.polling)
            site.wrapper = self.wrapped(raw, names, site.wire)
            site.new = site.wrapper
        setattr(site.wrapper, MARK, site)
        return site

    def wrapped(self, func, names, wire=None):
        if wrappers.kind_of(func) == 'async generator':
            raise Refused('%s is an asynchronous generator; these are not traced' % (getattr(func, '__name__', '?'),))
        return wrappers.function(func, names, self.recorder, wire)

    @staticmethod
    def bare(raw):
        """The raw descriptor without wrappers that another copy of this module may have left."""
        for _ in range(8):
            func = getattr(raw, '__func__', raw)
            site = getattr(func, '__dict__', {}).get(MARK) if hasattr(func, '__dict__') else None
            if site is None:
                break
            raw = site.raw
        return raw

    # Objects

    def add(self, obj, label_object, name):
        """Traces one object's method under a label. The site, and whether it is new for the object."""
        site = self.site(type(obj), name)
        number = self.recorder.label(label_object, type_name(type(obj)), name)
        fresh = id(obj) not in site.keep or (id(obj) not in site.names and not site.is_free())
        site.keep[id(obj)] = (obj, number)
        # A function without an object tells the first label that asked for it.
        site.names.setdefault(None if site.is_free() else id(obj), number)
        return site, fresh

    def add_class(self, cls, label_object, name):
        """Traces a method for every object of a class that has no label of its own."""
        site = self.site(cls, name)
        number = self.recorder.label(label_object, type_name(cls), name)
        fresh = id(cls) not in site.keep
        site.keep[id(cls)] = (cls, number)
        site.names.setdefault(None, number)
        return site, fresh

    def add_frames(self, obj, label_object, name):
        """Tells the frames that an object sends, and not its calls."""
        site = self.site(type(obj), name)
        if site.wire is None:
            raise Refused('%s sends no frames' % (name,))
        number = self.recorder.label(label_object, type_name(type(obj)), name)
        site.keep.setdefault(id(obj), (obj, number))
        site.wire.objects[id(obj)] = number
        return site

    def remove(self, obj, name, frames=False):
        """Traces an object's (or a class's) method no more, or tells its frames no more.

        When nobody is left the class is as it was, and the result is the site that was there; else None.
        """
        owner, _raw = find(obj if is_a(obj, type) else type(obj), name)
        site = sites().get((owner, name))
        if site is None:
            return None
        if frames:
            if site.wire is not None:
                site.wire.objects.pop(id(obj), None)
        elif is_a(obj, type) or site.is_free():
            site.keep.pop(id(obj), None)
            site.names.pop(None, None)
            for other, number in site.keep.values():
                if is_a(other, type) or site.is_free():
                    site.names.setdefault(None, number)
        else:
            site.names.pop(id(obj), None)
        if site.names or (site.wire is not None and site.wire.objects):
            return None
        site.undo()
        sites().pop((owner, name), None)
        return site
