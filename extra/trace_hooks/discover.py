"""What there is to trace: the printer's objects, and classes of loaded modules.

Nothing of the host runs: objects are looked up in the printer's own table, attributes are read from their dicts.
"""

import sys

from .patch import class_name, denial, is_open, module_of
from .values import class_dict, instance_dict, is_a, mro, type_name

# Objects of a K2 that are listed first where they are there.
KNOWN = ('box', 'motor_control', 'filament_rack', 'prtouch_v3', 'serial_485 serial485', 'auto_addr', 'z_align',
         'belt_mdl mdlx', 'belt_mdl mdly', 'filament_switch_sensor filament_sensor', 'axis_twist_compensation')
WORDS = ('box', 'motor', 'filament', 'prtouch', 'serial', 'movie')


def concerns(text):
    """Whether a name is of the parts that this tracer is for."""
    text = text.lower()
    return any(word in text for word in WORDS)


def folded(name):
    """A name as it is compared: blanks are underscores, and case is none."""
    return name.strip().replace(' ', '_').lower()


def printer_objects(printer):
    """The printer's own table {name: object}."""
    objects = (instance_dict(printer) or {}).get('objects')
    if is_a(objects, dict):
        return objects
    return dict(printer.lookup_objects())


def module_dict(name):
    """What is in a loaded module, or an empty dict."""
    return instance_dict(sys.modules.get(name)) or {}


def home(module_name, name, cls):
    """How well a class goes by this name, as a tuple, the best first; None if it is of another module."""
    module, own = module_of(cls), type_name(cls)
    if module != module_name:
        elsewhere = module_dict(module)
        if elsewhere.get(own) is cls and elsewhere is not module_dict(module_name):
            return None
    # A compiled module may be there a second time, without its package; so its classes say that they are of that.
    return 0 if module_name.endswith('.' + module) else 1 if module == module_name else 2, name != own


def nearest(wanted, names, breathe=lambda: None):
    """Those of the names that a mistaken one may have meant, the likeliest first."""
    wanted = folded(wanted[:100])
    mine = letters(wanted)
    found = []
    for name in sorted(names):
        other = folded(name)
        theirs = letters(other)
        common = sum(min(count, theirs.get(part, 0)) for part, count in mine.items())
        alike = 2 * common / (sum(mine.values()) + sum(theirs.values()) or 1)
        if len(wanted) > 2 and wanted in other:
            alike = max(alike, 0.9)
        if alike >= 0.5:
            found.append((-alike, name))
        breathe()
    found.sort()
    return [name for alike, name in found[:5] if alike < found[0][0] + 0.2]


def letters(text):
    """How often each letter, and each pair of them, is in a text."""
    counts = {}
    for at in range(len(text)):
        for part in {text[at], text[at:at + 2]}:
            counts[part] = counts.get(part, 0) + 1
    return counts


def perhaps(near):
    """What an error says of near names."""
    return '; perhaps ' + ', '.join(near) if near else ''


class Discovery:
    """The objects and classes that can be traced, by name."""

    def __init__(self, printer):
        self.printer = printer
        self.objects = {}  # name -> object; those that concern us
        self.classes = {}  # module.Class -> class
        self.class_names = {}  # id(class) -> its name in `classes`

    def refresh(self, breathe=lambda: None):
        """Looks again. `breathe` is called now and then."""
        everything = printer_objects(self.printer)
        found = {}
        for name in KNOWN:
            if name in everything:
                found[name] = everything[name]
        for name, obj in list(everything.items()):
            breathe()
            if type(name) is str and name not in found and (concerns(name) or concerns(type_name(type(obj)))):
                if denial(type(obj)) is None:
                    found[name] = obj
        self.objects = found
        best = {}  # id(class) -> (how near, name, class): a class has one name, though other modules import it
        for module_name in list(sys.modules):
            if type(module_name) is not str or not concerns(module_name) or 'trace_hooks' in module_name:
                continue
            attrs = module_dict(module_name)
            for name in sorted([key for key, value in list(attrs.items()) if type(key) is str and is_a(value, type)]):
                breathe()
                cls = attrs.get(name)
                if not is_a(cls, type) or name.startswith('_') or denial(cls) is not None or not is_open(cls):
                    continue
                near = home(module_name, name, cls)
                if near is not None and (id(cls) not in best or near < best[id(cls)][0]):
                    best[id(cls)] = near, '%s.%s' % (module_name, name), cls
        self.classes = {name: cls for _near, name, cls in best.values()}
        self.class_names = {id(cls): name for name, cls in self.classes.items()}

    def class_name(self, cls):
        """A class's name: that of the list, or what the class says."""
        return self.class_names.get(id(cls)) or class_name(cls)

    def available(self):
        """All names, objects before classes."""
        return list(self.objects) + list(self.classes)

    def find(self, name):
        """(label, object or class) for a name as a person writes it, or None."""
        wanted = folded(name)
        tables = (self.objects, self.classes, printer_objects(self.printer))
        for table in tables:
            if name in table:
                return name, table[name]
        for table in tables:
            for known, obj in list(table.items()):
                if type(known) is str and folded(known) == wanted:
                    return known, obj
        module_name, _, own = name.rpartition('.')
        cls = module_dict(module_name).get(own)
        return (self.class_names.get(id(cls), name), cls) if is_a(cls, type) else None

    def near(self, name, breathe=lambda: None):
        """Names that a mistaken one may have meant."""
        names = self.available() + [known for known in printer_objects(self.printer) if type(known) is str]
        return nearest(name, set(names), breathe)

    def follows(self, cls):
        """Whether attribute tracing may follow into an object of this class."""
        return concerns(module_of(cls)) or concerns(type_name(cls))


def macros(printer):
    """The names of all gcode macros."""
    prefix = 'gcode_macro '
    return sorted(name[len(prefix):] for name in printer_objects(printer)
                  if type(name) is str and name.startswith(prefix))


def describe(cls):
    """What a class has beside its methods: (properties, class attributes)."""
    properties, others = set(), set()
    for base in mro(cls):
        for name, raw in list(class_dict(base).items()):
            if name.startswith('__'):
                continue
            if is_a(raw, property):
                properties.add(name)
            elif is_a(raw, (int, float, str, bytes, tuple, list, dict)):
                others.add(name)
    return sorted(properties), sorted(others)
