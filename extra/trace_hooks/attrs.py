"""Attribute reads: which data of an object the host looks at.

The class gets a `__getattribute__` that tells what it gives. Only classes written in Python and not on the list of what
must stay as it is (patch.DENIED), and only for the objects that were named: others of the class pay for the way through
as long as it lasts.
"""

import time
import types

from .patch import Refused, denial, is_open, module_of
from .record import ATTR
from .values import attributes, class_dict, is_a, mro, slots, snapshot, type_name

MOST = 200  # objects of one recursive request
DEPTH = 4
_CALLABLE = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, type)


class Watched:
    """One class whose attribute reads pass us."""

    def __init__(self, cls, had, new):
        self.cls = cls
        self.had = had  # its own __getattribute__, or None
        self.new = new
        self.objects = {}  # id -> (object, label number, path)


class AttrTracer:
    """Tells attribute reads of chosen objects."""

    def __init__(self, recorder, roots):
        self.recorder = recorder
        self.roots = roots  # a predicate: may an object of this class be followed?
        self.classes = {}  # id(class) -> Watched

    def refusal(self, cls):
        """Why attributes of this class's objects are not traced, or None."""
        reason = denial(cls)
        if reason is not None:
            return reason
        if not is_open(cls):
            return '%s is a built-in or compiled (cdef) type, which cannot be changed' % (type_name(cls),)
        if is_a(cls, type) and issubclass(cls, (type, types.ModuleType, BaseException)):
            return '%s objects are not traced' % (type_name(cls),)
        return None

    def enable(self, obj, label, recursive=False, breathe=lambda: None):
        """Watches an object, and what it holds: [(label, class, path)] of those that are new. Raises Refused."""
        reason = self.refusal(type(obj))
        if reason is not None:
            raise Refused(reason)
        found = []
        todo = [(obj, label, 0)]
        seen = set()
        while todo and len(found) < MOST:
            breathe()
            current, path, depth = todo.pop(0)
            if id(current) in seen:
                continue
            seen.add(id(current))
            if self._watch(current, label, path):
                found.append((label, type_name(type(current)), path))
            if not recursive or depth >= DEPTH:
                continue
            for name, value in attributes(current):
                breathe()
                if type(name) is str and self._follows(type(obj), type(value)):
                    todo.append((value, path + '.' + name, depth + 1))
        return found

    def _follows(self, root, cls):
        """Whether recursion looks into an object of this class: of the root's own module, or one of those asked for."""
        if self.refusal(cls) is not None or instance_less(cls):
            return False
        return module_of(cls) == module_of(root) or self.roots(cls)

    def _watch(self, obj, label, path):
        cls = type(obj)
        watched = self.classes.get(id(cls))
        if watched is None:
            had = class_dict(cls).get('__getattribute__')
            watched = Watched(cls, had, None)
            watched.new = self._getattribute(cls, watched)
            try:
                type.__setattr__(cls, '__getattribute__', watched.new)
            except (TypeError, AttributeError) as error:
                raise Refused('%s cannot be changed (%s)' % (type_name(cls), error)) from None
            self.classes[id(cls)] = watched
        if id(obj) in watched.objects:
            return False
        number = self.recorder.label(label, type_name(cls), '')
        watched.objects[id(obj)] = (obj, number, path)
        return True

    def _getattribute(self, cls, watched):
        for base in mro(cls):
            read = class_dict(base).get('__getattribute__')
            if read is not None:
                break
        recorder = self.recorder
        live, queue, room, here, objects = recorder.live, recorder.queue, recorder.room, recorder.here, watched.objects

        def __getattribute__(self, name):
            value = read(self, name)
            if live:
                known = objects.get(id(self))
                if known is not None and not name.startswith('__') and not is_a(value, _CALLABLE):
                    if len(queue) >= room[0]:
                        recorder.lose(1)
                    else:
                        strand = here()
                        queue.append((ATTR, time.monotonic_ns(), known[1], strand.tid, strand.gid, strand.call,
                                      known[2], name, snapshot(value)))
            return value
        return __getattribute__

    def disable(self, label=None):
        """Watches the objects under a label (or all) no more; their paths."""
        gone = []
        for watched in list(self.classes.values()):
            for key, (obj, number, path) in list(watched.objects.items()):
                name = self.recorder.labels[number].object
                if label is None or name == label:
                    del watched.objects[key]
                    gone.append((name, type_name(watched.cls), path))
            if not watched.objects:
                self._restore(watched)
        return gone

    def _restore(self, watched):
        self.classes.pop(id(watched.cls), None)
        if class_dict(watched.cls).get('__getattribute__') is not watched.new:
            return
        try:
            if watched.had is None:
                type.__delattr__(watched.cls, '__getattribute__')
            else:
                type.__setattr__(watched.cls, '__getattribute__', watched.had)
        except (TypeError, AttributeError):
            pass

    def active(self):
        """[(label, class, path)] of what is watched."""
        out = []
        for watched in self.classes.values():
            for _obj, number, path in watched.objects.values():
                out.append((self.recorder.labels[number].object, type_name(watched.cls), path))
        return sorted(out)


def instance_less(cls):
    """Whether objects of the class keep no attributes: they have neither a dict nor slots."""
    return all('__dict__' not in class_dict(base) for base in mro(cls)) and not slots(cls)
