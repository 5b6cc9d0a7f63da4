"""Bound methods that were taken before tracing: handlers, timers, callbacks.

A bound method holds the function that was in the class when it was taken, so a wrapper in the class is never called
through it. Where the host keeps such methods is known; there they are replaced by bound methods of the wrapper, and put
back on undo. Nothing is called, and attributes are set in the objects' own dicts.
"""

import functools
import types

from .values import instance_dict, is_a

BREATH = 16  # places or sites between two breaths


class Rebinder:
    """Replaces what the host holds."""

    def __init__(self, printer):
        self.printer = printer
        self.done = []  # (site, put back)

    def bind(self, sites, breathe=lambda: None):
        """Replaces every known use of the originals of these sites."""
        self._walk(sites, 'func', 'wrapper', breathe)

    def release(self, sites, breathe=lambda: None):
        """Puts back what `bind` replaced for these sites, and replaces methods of the wrapper taken since."""
        self.unbind(sites, breathe)
        before = list(self.done)
        self._walk(sites, 'wrapper', 'func', breathe)
        self.done = before

    def unbind(self, gone=None, breathe=lambda: None):
        """Puts the originals back: those of the sites in `gone`, or all."""
        kept = []
        if gone is not None:
            gone = {id(site) for site in gone}
        done, self.done = self.done, []
        for count, (site, back) in enumerate(reversed(done)):
            if count % BREATH == 0:
                breathe()
            if gone is None or id(site) in gone:
                try:
                    back()
                except Exception:
                    pass
            else:
                kept.append((site, back))
        kept.reverse()
        self.done = kept + self.done

    def _walk(self, sites, old, new, breathe):
        changes = {}
        for count, site in enumerate(sites):
            if count % BREATH == 0:
                breathe()
            changes[id(getattr(site, old))] = (getattr(site, new), site)
        if not changes:
            return
        count = 0
        for places in (self._gcode, self._events, self._webhooks, self._timers, self._files):
            try:
                for container, key in places():
                    self.place(container, key, changes)
                    count += 1
                    if count % BREATH == 0:
                        breathe()
            except Exception:  # another version of the host keeps it elsewhere
                pass
        breathe()

    # One place. `changes` is {id of a function: (function that stands in, site)}.

    def place(self, container, key, changes):
        """One place of a list or a dict, if it is still there."""
        if is_a(container, list):
            if key >= len(container):
                return
        elif key not in container:
            return
        old = container[key]
        new = self.replaced(old, changes)
        if new is not None:
            container[key] = new[0]
            self.done.append((new[1], _PlaceBack(container, key, old, new[0])))

    def replaced(self, value, changes, depth=0):
        """(what stands in for a value, site), or None if it stays. A closure is changed in place."""
        if type(value) is types.MethodType:
            change = changes.get(id(value.__func__))
            return change and (types.MethodType(change[0], value.__self__), change[1])
        if depth >= 4:
            return None
        if type(value) is functools.partial:
            inner = self.replaced(value.func, changes, depth + 1)
            return inner and (functools.partial(inner[0], *value.args, **value.keywords), inner[1])
        if type(value) is types.FunctionType:
            change = changes.get(id(value))
            if change is not None and is_a(change[1].raw, staticmethod):
                return change
            self.cells(value, changes, depth)
        return None

    def cells(self, func, changes, depth):
        """A closure may hold a method: so does each gcode handler."""
        for cell in func.__closure__ or ():
            try:
                old = cell.cell_contents
            except ValueError:
                continue
            new = self.replaced(old, changes, depth + 1)
            if new is not None:
                cell.cell_contents = new[0]
                self.done.append((new[1], _CellBack(cell, old, new[0])))

    # Where the host keeps them: (list or dict, key)

    def _gcode(self):
        attrs = instance_dict(self.printer.lookup_object('gcode')) or {}
        for table in ('ready_gcode_handlers', 'base_gcode_handlers', 'gcode_handlers'):
            yield from entries(attrs.get(table))
        yield from mux_entries(attrs.get('mux_commands'))
        yield from entries(attrs.get('output_callbacks'))

    def _events(self):
        for callbacks in list(((instance_dict(self.printer) or {}).get('event_handlers') or {}).values()):
            yield from entries(callbacks)

    def _webhooks(self):
        attrs = instance_dict(self.printer.lookup_object('webhooks')) or {}
        for table in ('_endpoints', '_remote_methods'):
            yield from entries(attrs.get(table))
        yield from mux_entries(attrs.get('_mux_endpoints'))

    def _timers(self):
        attrs = instance_dict(self.printer.get_reactor()) or {}
        for timer in list(attrs.get('_timers') or ()):
            fields = instance_dict(timer) or {}
            # A callback that waits is the method `invoke` of an object that holds it.
            callback = fields.get('callback')
            holder = instance_dict(callback.__self__) if type(callback) is types.MethodType else None
            for name in ('callback', 'underlying_callback'):
                yield fields, name
            if holder is not None:
                yield holder, 'callback'

    def _files(self):
        attrs = instance_dict(self.printer.get_reactor()) or {}
        for handler in list((attrs.get('_fds') or {}).values()):
            fields = instance_dict(handler) or {}
            for name in ('read_callback', 'write_callback', 'callback'):
                yield fields, name


def entries(table):
    """The places of a list or a dict."""
    if is_a(table, list):
        for index in range(len(table)):
            yield table, index
    elif is_a(table, dict):
        for key in list(table):
            yield table, key


def mux_entries(table):
    """The places of {name: (key, {value: handler})}."""
    if is_a(table, dict):
        for _key, values in list(table.values()):
            yield from entries(values)


class _CellBack:
    def __init__(self, cell, old, new):
        self.cell, self.old, self.new = cell, old, new

    def __call__(self):
        if self.cell.cell_contents is self.new:
            self.cell.cell_contents = self.old


class _PlaceBack:
    def __init__(self, container, key, old, new):
        self.container, self.key, self.old, self.new = container, key, old, new

    def __call__(self):
        container, key = self.container, self.key
        if is_a(container, list):
            # It may have moved since.
            for index, value in enumerate(container):
                if value is self.new:
                    container[index] = self.old
        elif container.get(key) is self.new:
            container[key] = self.old
