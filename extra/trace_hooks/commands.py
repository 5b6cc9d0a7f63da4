"""The TRACE_ commands. None raises, and all work after a shutdown, too."""

import logging

from .discover import describe, macros, nearest, perhaps
from .frames import is_serial
from .patch import Refused, denial, is_open, methods
from .values import class_dict, is_a, mro, type_name

LINES = 120  # of one answer
LISTED = 400  # of one that lists what there is
LONGEST = 1e9  # seconds
CLOSED = 'it is of a built-in or compiled (cdef) type, which cannot be changed'


class Commands:
    """Registers and carries out the commands."""

    def __init__(self, hooks):
        self.hooks = hooks
        gcode = hooks.printer.lookup_object('gcode')
        for name in sorted(dir(type(self))):
            if name.startswith('cmd_TRACE_'):
                method = getattr(self, name)
                gcode.register_command(name[4:], self.guarded(name[4:], method), when_not_ready=True,
                                       desc=(method.__doc__ or '').split('\n')[0])

    def guarded(self, name, method):
        def run(gcmd):
            held = self.hooks.held
            held.begin()
            try:
                answer = method(gcmd)
            except Exception as error:
                if not isinstance(error, (Refused, ValueError, self.hooks.printer.command_error)):
                    logging.exception("trace_hooks: %s", name)
                answer = '%s: %s' % (name, error)
            self.respond(gcmd, answer, LISTED if name in ('TRACE_DEBUG', 'TRACE_MODULE_INFO') else LINES)
            held.end()
        return run

    @staticmethod
    def respond(gcmd, answer, most):
        lines = answer if isinstance(answer, list) else [answer]
        if len(lines) > most:
            lines = lines[:most] + ['... and %d more' % (len(lines) - most)]
        try:
            gcmd.respond_info('\n'.join(lines))
        except Exception:
            logging.exception("trace_hooks: answer")

    def named(self, gcmd, parameter='OBJECT'):
        """(label, object) that a parameter names, discovered again if it is not known. Raises ValueError."""
        name = gcmd.get(parameter)
        hooks = self.hooks
        found = hooks.discovery.find(name)
        if found is None:
            hooks.discovery.refresh(hooks.breather())
            found = hooks.discovery.find(name)
        if found is None:
            near = hooks.discovery.near(name, hooks.breather())
            raise ValueError('there is no object "%s"%s. TRACE_DEBUG lists them' % (name, perhaps(near)))
        return found

    def wanted_method(self, label, cls, name):
        """Raises Refused if the class cannot be traced, ValueError if it has nothing of this name."""
        reason = denial(cls)
        if reason:
            raise Refused(reason)
        if not any(name in class_dict(base) for base in mro(cls)):
            near = nearest(name, methods(cls, private=True) + describe(cls)[0], self.hooks.breather())
            raise ValueError('%s has no method "%s"%s. TRACE_MODULE_INFO OBJECT=%s lists them' % (
                label, name, perhaps(near), label.replace(' ', '_')))

    def refusals(self, refused):
        if not refused:
            return []
        return ['Not traced: ' + reason for reason in refused[:5]] + (
            ['... and %d more' % (len(refused) - 5)] if len(refused) > 5 else [])

    # Discovery

    def cmd_TRACE_DEBUG(self, gcmd):
        """List what can be traced: the printer's objects and the classes of modules"""
        hooks = self.hooks
        hooks.discovery.refresh(hooks.breather())
        hooks.greeted = None
        lines = ['Objects (%d):' % len(hooks.discovery.objects)]
        for name, obj in hooks.discovery.objects.items():
            lines.append('  %s: %s' % (name, type_name(type(obj))))
        lines.append('Classes of loaded modules (%d):' % len(hooks.discovery.classes))
        lines += ['  ' + name for name in hooks.discovery.classes]
        lines.append('Any other object of the printer can be named, too, and any class of a loaded module as module.Class.')
        return lines

    def cmd_TRACE_MODULE_INFO(self, gcmd):
        """List objects, or the methods of OBJECT"""
        hooks = self.hooks
        if gcmd.get('OBJECT', None) is None:
            return ['Objects and classes:'] + ['  ' + name for name in hooks.discovery.available()]
        label, obj = self.named(gcmd)
        cls = obj if is_a(obj, type) else type(obj)
        traced = set(hooks.labels().get(label, ()))
        names = methods(cls, private=True)
        reason = denial(cls)
        lines = ['%s is a %s, methods (%d; * is traced):' % (label, type_name(cls), len(names))]
        lines += ['%s %s' % ('*' if name in traced else ' ', name) for name in names]
        if reason or not names:
            lines.append(reason or 'None can be traced' + ('' if is_open(cls) else ': ' + CLOSED))
        properties, _others = describe(cls)
        if properties:
            lines.append('Properties: ' + ', '.join(properties))
        return lines

    def cmd_TRACE_STATUS(self, gcmd):
        """Tell what is traced and who listens"""
        hooks = self.hooks
        recorder, pump = hooks.recorder, hooks.pump
        lines = ['Objects: %d, active traces: %d, clients: %d' % (
            len(hooks.discovery.objects), len(hooks.active), hooks.server.listeners())]
        lines += ['  %s: %d methods' % (label, len(names)) for label, names in hooks.labels().items()]
        lines.append('Attribute traces: %d' % len(hooks.attrs.active()))
        lines.append('Events: %d recorded, %d dropped, %d waiting; ring: %d events, %d kB' % (
            recorder.recorded, recorder.dropped, len(recorder.queue), pump.history.count, pump.history.size // 1024))
        lines.append('Longest tick: %s; longest stretch of a command: %s' % (pump.held, hooks.held))
        lines.append(self.stream_line())
        return lines

    def cmd_TRACE_LIST(self, gcmd):
        """List active traces"""
        active = self.hooks.active
        if not active:
            return 'No active traces'
        keys = sorted(active)
        told = keys if len(keys) < LINES else keys[:LINES - 2]  # of thousands, most would be made to be cut off
        lines = ['Active traces (%d):' % len(keys)]
        lines += ['  %s.%s (%s)' % (*key, active[key][1]) for key in told]
        return lines if len(told) == len(keys) else lines + ['... and %d more' % (len(keys) - len(told))]

    # Methods

    def cmd_TRACE_ENABLE(self, gcmd):
        """Trace one METHOD of OBJECT"""
        label, obj = self.named(gcmd)
        method = gcmd.get('METHOD')
        self.wanted_method(label, obj if is_a(obj, type) else type(obj), method)
        fresh, refused = self.hooks.enable(label, obj, [method], True, self.hooks.breather())
        if refused:
            raise Refused(refused[0])
        return 'Tracing %s.%s' % (label, method) if fresh else '%s.%s is traced already' % (label, method)

    def cmd_TRACE_DISABLE(self, gcmd):
        """Trace METHOD of OBJECT no more, or all of OBJECT (OBJECT=* is all objects)"""
        hooks = self.hooks
        name = gcmd.get('OBJECT')
        method = gcmd.get('METHOD', None)
        if name == '*':
            label, keys = 'all objects', list(hooks.traces)
        else:
            label = self.named(gcmd)[0]
            keys = [key for key in hooks.traces if key[0] == label]
        if method is not None:
            known = {key[1] for key in keys}
            keys = [key for key in keys if key[1] == method]
            if not keys:
                near = nearest(method, known, hooks.breather())
                raise ValueError('no method "%s" of %s is traced%s. TRACE_LIST lists what is' % (
                    method, label, perhaps(near)))
        count = hooks.disable(keys, hooks.breather())
        return 'Disabled %d traces of %s' % (count, label)

    def cmd_TRACE_ALL(self, gcmd):
        """Trace all public methods of OBJECT"""
        return self.whole(gcmd, private=False)

    def whole(self, gcmd, private):
        label, obj = self.named(gcmd)
        reason = denial(obj if is_a(obj, type) else type(obj))
        if reason:
            raise Refused(reason)
        counts, refused = self.hooks.enable_objects({label: obj}, private, self.hooks.breather())
        fresh = counts[label]
        total = len(self.hooks.labels().get(label, ()))
        if not total and not refused:
            return 'None of the methods of %s can be traced' % (label,) + (
                '' if is_open(obj if is_a(obj, type) else type(obj)) else ': ' + CLOSED)
        self.hooks.event('deep_traces_enabled' if private else 'traces_enabled', total=fresh,
                         objects=['%s(%d)' % (label, fresh)])
        return ['Tracing %d methods of %s, %d of them new' % (total, label, fresh)] + self.refusals(refused)

    def everything(self, private):
        hooks = self.hooks
        breathe = hooks.breather()
        hooks.discovery.refresh(breathe)
        counts, refused = hooks.enable_objects(hooks.discovery.objects, private, breathe)
        total = sum(counts.values())
        objects = ['%s(%d)' % entry for entry in counts.items() if entry[1]]
        hooks.event('deep_traces_enabled' if private else 'traces_enabled', total=total, objects=objects)
        return ['Tracing %d new methods of %d objects: %s' % (total, len(objects), ', '.join(objects))] + \
            self.refusals(refused)

    def cmd_TRACE_EVERYTHING(self, gcmd):
        """Trace all public methods of all objects that TRACE_DEBUG lists"""
        return self.everything(private=False)

    def cmd_TRACE_DEEP(self, gcmd):
        """Trace all methods of OBJECT, or of all objects, _private ones included"""
        if gcmd.get('OBJECT', None) is None:
            return self.everything(private=True)
        return self.whole(gcmd, private=True)

    def cmd_TRACE_MACRO(self, gcmd):
        """Trace the gcode macro NAME; without it, list macros"""
        name = gcmd.get('NAME', None)
        known = macros(self.hooks.printer)
        if name is None:
            return ['Macros (%d):' % len(known)] + ['  ' + macro for macro in known[:20]] + (
                ['  ... and %d more' % (len(known) - 20)] if len(known) > 20 else [])
        found = [macro for macro in known if macro.lower() == name.lower()]
        if not found:
            near = nearest(name, known, self.hooks.breather())
            raise ValueError('there is no macro "%s"%s. TRACE_MACRO lists them' % (name, perhaps(near)))
        label, obj = self.hooks.discovery.find('gcode_macro ' + found[0])
        fresh, refused = self.hooks.enable(label, obj, ['cmd'], True, self.hooks.breather())
        if refused:
            raise Refused(refused[0])
        return 'Tracing macro %s' % found[0] if fresh else 'Macro %s is traced already' % found[0]

    # Attributes

    def cmd_TRACE_ATTRS(self, gcmd):
        """Tell which attributes of OBJECT are read: ENABLE=1 or 0, else toggle; RECURSIVE=1 follows"""
        hooks = self.hooks
        if gcmd.get('OBJECT', None) is None:
            active = hooks.attrs.active()
            return ['Attribute traces (%d):' % len(active)] + ['  %s (%s)' % (path, cls) for _l, cls, path in active]
        label, obj = self.named(gcmd)
        enable = gcmd.get_int('ENABLE', -1)
        recursive = bool(gcmd.get_int('RECURSIVE', 0))
        known = {entry[0] for entry in hooks.attrs.active()}
        if enable < 0:
            enable = label not in known
        if not enable:
            gone = hooks.attrs.disable(label)
            hooks.event('attr_trace_disabled', object=label, path=label, count=len(gone),
                        **{'class': type_name(type(obj))})
            return 'Attributes of %s are traced no more (%d objects)' % (label, len(gone))
        if is_a(obj, type):
            raise Refused('%s is a class; attributes are traced of objects' % (label,))
        breathe = hooks.breather()
        found = hooks.attrs.enable(obj, label, recursive, breathe)
        breathe()
        for _label, cls, path in found:
            hooks.event('attr_trace_enabled', object=label, path=path, recursive=recursive, **{'class': cls})
        return ['Tracing attributes of %d objects:' % len(found)] + ['  %s (%s)' % (path, cls)
                                                                     for _l, cls, path in found]

    # Filters

    def cmd_TRACE_QUIET(self, gcmd):
        """Methods that TRACE_ALL and its kind leave out: ADD, REMOVE, else list them"""
        hooks = self.hooks
        add, remove = gcmd.get('ADD', None), gcmd.get('REMOVE', None)
        if add is None and remove is None and gcmd.get('METHOD', None) is not None:
            raise ValueError('ADD=%s makes it quiet, REMOVE=%s has it told; there is no METHOD here' % (
                (gcmd.get('METHOD'),) * 2))
        if remove is not None and remove not in hooks.quiet:
            raise ValueError('"%s" is not quiet%s. TRACE_QUIET lists what is' % (
                remove, perhaps(nearest(remove, hooks.quiet, hooks.breather()))))
        if add is not None and add not in hooks.quiet:
            known = hooks.method_names(hooks.breather())
            if add not in known:
                raise ValueError('no object has a method "%s"%s' % (
                    add, perhaps(nearest(add, known, hooks.breather()))))
            hooks.quiet.add(add)
        if remove is not None:
            hooks.quiet.discard(remove)
        lines = ['Quiet methods: ' + (', '.join(sorted(hooks.quiet)) or 'none')]
        if add is not None or remove is not None:
            on, off = hooks.review(hooks.breather())
            lines.append('%d traces more, %d fewer' % (on, off))
        return lines

    def cmd_TRACE_VERBOSE(self, gcmd):
        """Trace quiet methods of OBJECT, too: ENABLE=1 or 0, else toggle; without OBJECT list them"""
        hooks = self.hooks
        if gcmd.get('OBJECT', None) is None:
            return 'Verbose objects: ' + (', '.join(sorted(hooks.verbose)) or 'none')
        label, _obj = self.named(gcmd)
        enable = gcmd.get_int('ENABLE', -1)
        if enable < 0:
            enable = label not in hooks.verbose
        (hooks.verbose.add if enable else hooks.verbose.discard)(label)
        on, off = hooks.review(hooks.breather())
        return '%s is %s: %d traces more, %d fewer' % (label, 'verbose' if enable else 'not verbose', on, off)

    def cmd_TRACE_SERIAL_POLLING(self, gcmd):
        """Tell polling of serial_485 objects: ENABLE=1 or 0, else say whether it is told"""
        polling = self.hooks.polling
        enable = gcmd.get_int('ENABLE', -1)
        if enable >= 0:
            polling.told = bool(enable)
        patterns = ', '.join(pattern.hex() for pattern in polling.patterns)
        buses = [label for label in self.hooks.discovery.objects if is_serial(label)]
        return 'Polling (%s) of %s is %s' % (patterns, ', '.join(buses) or 'serial_485',
                                             'told' if polling.told else 'not told')

    # Marks and files

    def cmd_TRACE_MARK(self, gcmd):
        """Put a mark with NAME into the stream"""
        name = gcmd.get('NAME', 'mark')
        self.hooks.recorder.other('mark', {'name': name[:200]})
        return 'Marked %s' % (name,) if self.hooks.recorder.live else 'Nobody listens, so %s is not marked' % (name,)

    def cmd_TRACE_SAVE(self, gcmd):
        """Save the last events as NAME.jsonl in the folder of [trace_hooks]; SECONDS takes only those"""
        name = gcmd.get('NAME')
        seconds = gcmd.get_float('SECONDS', None)
        if seconds is not None and not 0 < seconds <= LONGEST:
            raise ValueError('SECONDS=%s is no length of time: write how many of the last seconds to save, as SECONDS=30, '
                             'or leave it out to save all that is kept' % (gcmd.get('SECONDS'),))
        path, count = self.hooks.save(name, seconds, self.hooks.breather())
        return 'Saving %d events to %s' % (count, path)

    # The stream

    def stream_line(self):
        server = self.hooks.server
        if server.address is None:
            return 'The stream is stopped; TRACE_STREAM_START starts it'
        return 'Streaming on %s port %d' % server.address

    def cmd_TRACE_STREAM_START(self, gcmd):
        """Start the stream"""
        problem = self.hooks.start_stream()
        return 'TRACE_STREAM_START: ' + problem if problem else self.stream_line()

    def cmd_TRACE_STREAM_STOP(self, gcmd):
        """Stop the stream and close its connections"""
        self.hooks.server.stop()
        self.hooks.changed()
        return 'The stream is stopped'

    def cmd_TRACE_STREAM_STATUS(self, gcmd):
        """Tell who listens to the stream"""
        server = self.hooks.server
        lines = [self.stream_line(), 'Clients: %d of %d at most' % (server.listeners(), server.max_clients)]
        for client in server.clients:
            lines.append('  %s: %s, %d events, %d dropped, %d kB waiting' % (
                client.address, 'binary' if client.binary else 'JSON', client.sent, client.dropped,
                client.size // 1024))
        return lines
