"""Putting wrappers into classes, and taking them out again.

A method is wrapped where it is defined: the raw descriptor in the class's own dict is replaced by one of the same kind,
and put back on undo, the very object. One function has one wrapper, however many objects and subclasses use it.
"""

import os
import sys
import types

from . import wrappers
from .frames import KEEPERS, SENDERS, Wire
from .labels import Labels, by_class, by_object, of_none
from .values import HEAP_TYPE, class_dict, instance_dict, is_a, mro, type_name

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


_UNDER = ((staticmethod, staticmethod.__dict__['__func__'].__get__),
          (classmethod, classmethod.__dict__['__func__'].__get__),
          (property, property.__dict__['fget'].__get__))


class Refused(Exception):
    """Why something is not traced; the text is for people."""


def module_of(cls):
    """The name of the class's module, or '' if it tells none."""
    name = class_dict(cls).get('__module__')
    return name if type(name) is str else ''


def class_name(cls):
    """The name of a class that nobody has found: `module.Class`."""
    return '.'.join(filter(None, (module_of(cls), type_name(cls))))


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
        path = (instance_dict(sys.modules.get(module)) or {}).get('__file__')
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


def under(raw):
    """The function in a raw descriptor; of a property, the one that reads. A function is itself."""
    for kind, func in _UNDER:
        if is_a(raw, kind):
            return func(raw)
    return raw


def is_method(raw):
    """Whether a raw descriptor is a method: a function of any make, static or class method."""
    if is_a(raw, (staticmethod, classmethod)):
        return callable(under(raw))
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
        self.key = (id(cls), name)  # a class may have a hash of its own
        self.raw = raw  # what was in the class
        self.new = None  # what is there now
        self.names = names  # a Labels, made of what is traced
        # While they are in here no others can get their id.
        self.traced = {}  # (id(object or class), label) -> (object or class, label's number)
        self.framed = {}  # id(object) -> object
        self.wire = None
        self.func = None  # the function that was wrapped
        self.wrapper = None

    def relabel(self, of_class):
        """Has calls told under the labels of what is traced now. `of_class` gives the number of a class's own."""
        traced = list(self.traced.values())
        if is_a(self.raw, staticmethod):
            self.names.replace(*of_none(traced, self.cls, of_class))
        elif is_a(self.raw, classmethod):
            self.names.replace(*by_class(traced, of_class))
        else:
            self.names.replace(*by_object(traced))

    def undo(self):
        """Puts the original back. False if somebody else has put something else there since."""
        self.names.replace({}, {})
        if self.wire is not None:
            self.wire.objects.clear()
        self.traced.clear()
        self.framed.clear()
        if class_dict(self.cls).get(self.name) is not self.new:
            return False  # the wrapper that is under it has no names any more and lets all through
        type.__setattr__(self.cls, self.name, self.raw)
        return True


def sites():
    """Every patched site in the process, whoever patched it: {Site.key: Site}."""
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

    def __init__(self, recorder, polling, class_name=class_name):
        self.recorder = recorder
        self.polling = polling
        self.class_name = class_name

    def site(self, cls, name):
        """The site of a method, patched if it is not yet. Raises Refused."""
        owner, raw = find(cls, name)
        key = (id(owner), name)
        known = sites().get(key)
        kept = None
        if known is not None:
            if known.recorder is self.recorder:
                if raw is known.new:
                    return known
                # Somebody has patched over it: one wrapper on top, for all that is traced.
                kept = dict(known.traced), dict(known.framed), dict(known.wire.objects) if known.wire else {}
            known.undo()  # perhaps of an instance that is gone
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
        if kept is not None:
            site.traced, site.framed = kept[:2]
            if site.wire is not None:
                site.wire.objects.update(kept[2])
            self._relabel(site)
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
        names = Labels(of_classes=is_a(raw, classmethod))
        site = Site(self.recorder, owner, name, raw, names)
        if is_a(raw, staticmethod):
            site.func = under(raw)
            site.wrapper = wrappers.free(site.func, names, self.recorder)
            site.new = staticmethod(site.wrapper)
        elif is_a(raw, classmethod):
            site.func = under(raw)
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
            func = under(raw)
            site = (instance_dict(func) or {}).get(MARK) if type(func) is types.FunctionType else None
            if site is None:
                break
            raw = site.raw
        return raw

    # Objects and classes

    def add(self, obj, label_object, name):
        """Traces one object's method under a label. The site, and whether that is new."""
        return self._add(self.site(type(obj), name), obj, type(obj), label_object)

    def add_class(self, cls, label_object, name):
        """Traces a method for every object of a class that has no label of its own."""
        return self._add(self.site(cls, name), cls, cls, label_object)

    def _add(self, site, thing, cls, label_object):
        key = (id(thing), label_object)
        fresh = key not in site.traced
        if fresh:
            site.traced[key] = (thing, self.recorder.label(label_object, type_name(cls), site.name))
            self._relabel(site)
        return site, fresh

    def _relabel(self, site):
        site.relabel(lambda cls: self.recorder.label(self.class_name(cls), type_name(cls), site.name))

    def add_frames(self, obj, label_object, name):
        """Tells the frames that an object sends, and not its calls."""
        site = self.site(type(obj), name)
        if site.wire is None:
            raise Refused('%s sends no frames' % (name,))
        site.framed[id(obj)] = obj
        site.wire.objects[id(obj)] = self.recorder.label(label_object, type_name(type(obj)), name)
        return site

    def remove(self, site, thing, label_object):
        """Traces an object's or a class's method under this label no more.

        When nobody is left the class is as it was, and the result is the site that was there; else None.
        """
        site = sites().get(site.key, site)
        site.traced.pop((id(thing), label_object), None)
        return self._left(site)

    def remove_frames(self, site, obj):
        """Tells the frames of an object no more. The result is that of `remove`."""
        site = sites().get(site.key, site)
        site.framed.pop(id(obj), None)
        if site.wire is not None:
            site.wire.objects.pop(id(obj), None)
        return self._left(site)

    def _left(self, site):
        if site.traced or site.framed:
            self._relabel(site)
            return None
        site.undo()
        sites().pop(site.key, None)
        return site
