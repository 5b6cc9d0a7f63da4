"""What there is to trace: the printer's objects, and classes of loaded modules.

Nothing of the host runs: objects are looked up in the printer's own table, attributes are read from their dicts.
"""

import sys

from .patch import denial, is_open, module_of
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


class Discovery:
    """The objects and classes that can be traced, by name."""

    def __init__(self, printer):
        self.printer = printer
        self.objects = {}  # name -> object; those that concern us
        self.classes = {}  # module.Class -> class
        self.roots = set()  # modules whose classes concern us

    def refresh(self, breathe=lambda: None):
        """Looks again. `breathe` is called now and then."""
        everything = printer_objects(self.printer)
        found = {}
        for name in KNOWN:
            if name in everything:
                found[name] = everything[name]
        for name, obj in list(everything.items()):
            breathe()
            if name not in found and (concerns(name) or concerns(type_name(type(obj)))):
                if denial(type(obj)) is None:
                    found[name] = obj
        self.objects = found
        classes = {}
        for module_name, module in list(sys.modules.items()):
            if module is None or not concerns(module_name) or 'trace_hooks' in module_name:
                continue
            attrs = instance_dict(module) or {}
            for name, cls in sorted((key, value) for key, value in list(attrs.items())
                                    if is_a(value, type) and type(key) is str):
                breathe()
                if denial(cls) is None and is_open(cls) and not name.startswith('_'):
                    classes['%s.%s' % (module_name, name)] = cls
        self.classes = classes

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
        return None

    def near(self, name):
        """Names that a mistaken one may have meant."""
        wanted = folded(name)
        names = self.available() + [known for known in printer_objects(self.printer) if type(known) is str]
        part = [known for known in dict.fromkeys(names) if wanted[:4] and wanted[:4] in folded(known)]
        return part[:5]

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
