"""Bound methods that were taken before tracing: handlers, timers, callbacks.

A bound method holds the function that was in the class when it was taken, so a wrapper in the class is never called
through it. Where the host keeps such methods is known; there they are replaced by bound methods of the wrapper, and put
back on undo. Nothing is called and no attribute is set on a foreign object other than a timer's own two fields.
"""

import functools
import types

from .values import instance_dict, is_a


class Rebinder:
    """Replaces what the host holds."""

    def __init__(self, printer):
        self.printer = printer
        self.done = []  # (site, put back)

    # One value. `changes` is {id of a function: (function that stands in, site)}.

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

    def item(self, container, key, changes):
        """One place of a list or a dict."""
        old = container[key]
        new = self.replaced(old, changes)
        if new is not None:
            container[key] = new[0]
            self.done.append((new[1], _ItemBack(container, key, old, new[0])))

    def field(self, obj, name, changes):
        """One attribute of an object of the host's."""
        attrs = instance_dict(obj)
        if attrs is None or name not in attrs:
            return
        new = self.replaced(attrs[name], changes)
        if new is not None:
            old, attrs[name] = attrs[name], new[0]
            self.done.append((new[1], _ItemBack(attrs, name, old, new[0])))

    # Where the host keeps them

    def bind(self, sites, breathe=lambda: None):
        """Replaces every known use of the originals of these sites."""
        self._walk({id(site.func): (site.wrapper, site) for site in sites}, breathe)

    def release(self, sites, breathe=lambda: None):
        """Puts back what `bind` replaced for these sites, and replaces methods of the wrapper taken since."""
        self.unbind(sites)
        before = list(self.done)
        self._walk({id(site.wrapper): (site.func, site) for site in sites}, breathe)
        self.done = before

    def _walk(self, changes, breathe):
        if not changes:
            return
        for walk in (self._gcode, self._events, self._webhooks, self._timers, self._files):
            try:
                walk(changes)
            except Exception:  # another version of the host keeps it elsewhere
                pass
            breathe()

    def _gcode(self, changes):
        attrs = instance_dict(self.printer.lookup_object('gcode')) or {}
        for table in ('ready_gcode_handlers', 'base_gcode_handlers', 'gcode_handlers'):
            handlers = attrs.get(table)
            if is_a(handlers, dict):
                for name in list(handlers):
                    self.item(handlers, name, changes)
        muxes = attrs.get('mux_commands')
        if is_a(muxes, dict):
            for _key, values in list(muxes.values()):
                for value in list(values):
                    self.item(values, value, changes)
        outputs = attrs.get('output_callbacks')
        if is_a(outputs, list):
            for index in range(len(outputs)):
                self.item(outputs, index, changes)

    def _events(self, changes):
        handlers = (instance_dict(self.printer) or {}).get('event_handlers')
        if is_a(handlers, dict):
            for callbacks in list(handlers.values()):
                for index in range(len(callbacks)):
                    self.item(callbacks, index, changes)

    def _webhooks(self, changes):
        attrs = instance_dict(self.printer.lookup_object('webhooks')) or {}
        for table in ('_endpoints', '_remote_methods'):
            handlers = attrs.get(table)
            if is_a(handlers, dict):
                for name in list(handlers):
                    self.item(handlers, name, changes)
        muxes = attrs.get('_mux_endpoints')
        if is_a(muxes, dict):
            for _key, values in list(muxes.values()):
                for value in list(values):
                    self.item(values, value, changes)

    def _timers(self, changes):
        attrs = instance_dict(self.printer.get_reactor()) or {}
        for timer in list(attrs.get('_timers') or ()):
            self.field(timer, 'callback', changes)
            self.field(timer, 'underlying_callback', changes)
            # A callback that waits is the method `invoke` of an object that holds it.
            callback = (instance_dict(timer) or {}).get('callback')
            holder = callback.__self__ if type(callback) is types.MethodType else None
            if holder is not None and 'callback' in (instance_dict(holder) or {}):
                self.field(holder, 'callback', changes)

    def _files(self, changes):
        attrs = instance_dict(self.printer.get_reactor()) or {}
        for handler in list((attrs.get('_fds') or {}).values()):
            self.field(handler, 'read_callback', changes)
            self.field(handler, 'write_callback', changes)

    # Back

    def unbind(self, gone=None):
        """Puts the originals back: those of the sites in `gone`, or all."""
        kept = []
        for site, back in reversed(self.done):
            if gone is None or site in gone:
                try:
                    back()
                except Exception:
                    pass
            else:
                kept.append((site, back))
        kept.reverse()
        self.done = kept


class _CellBack:
    def __init__(self, cell, old, new):
        self.cell, self.old, self.new = cell, old, new

    def __call__(self):
        if self.cell.cell_contents is self.new:
            self.cell.cell_contents = self.old


class _ItemBack:
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
