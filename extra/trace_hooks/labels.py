"""Which label a call is told under, by the first argument of the call."""

from .values import is_a, mro


class Labels(dict):
    """{id() of the first argument: the label's number}. The first argument of a static method is None.

    kinds: {id() of a class: number}, for every object of the class that is not in here itself.
    """
    __slots__ = ('kinds', 'of_kind')

    def __init__(self, of_classes=False):
        super().__init__()
        self.kinds = {}
        self.of_kind = self._of_class if of_classes else self._of_object

    def _of_object(self, first):
        return self._nearest(type(first))

    def _of_class(self, first):
        return self._nearest(first) if is_a(first, type) else None

    def _nearest(self, cls):
        """The number of the nearest class that has one, or None."""
        find = self.kinds.get
        for base in mro(cls):
            number = find(id(base))
            if number is not None:
                return number
        return None

    def replace(self, names, kinds):
        """Takes these. What stays is there all the time: other threads may be looking."""
        for own, new in ((self, names), (self.kinds, kinds)):
            own.update(new)
            for key in [key for key in own if key not in new]:
                del own[key]


def by_object(traced):
    """(names, kinds) of a method that is called with its object. `traced`: [(object or class, number)]."""
    names, kinds = {}, {}
    for thing, number in traced:
        (kinds if is_a(thing, type) else names).setdefault(id(thing), number)
    return names, kinds


def by_class(traced, of_class):
    """(names, kinds) of a class method, which is called with its class and knows no object.

    It is told for the classes of traced objects: under the object's name where it is the class's only one, else under
    the class's, whose number `of_class` gives.
    """
    _, kinds = by_object(traced)
    objects = {}
    for thing, number in traced:
        if not is_a(thing, type) and not any(id(base) in kinds for base in mro(type(thing))):
            objects.setdefault(id(type(thing)), (type(thing), {}))[1].setdefault(id(thing), number)
    names = {}
    for key, (cls, numbers) in objects.items():
        names[key] = next(iter(numbers.values())) if len(numbers) == 1 else of_class(cls)
    return names, kinds


def of_none(traced, owner, of_class):
    """(names, kinds) of a static method, which knows neither object nor class.

    It is told under the name of the only object that is traced, if that is of the class that defines it, else under
    the class's.
    """
    numbers = {}
    for thing, number in traced:
        numbers.setdefault(id(thing), (thing, number))
    if not numbers:
        return {}, {}
    thing, number = next(iter(numbers.values()))
    if len(numbers) > 1 or (owner is not thing and owner is not type(thing)):
        number = of_class(owner)
    return {id(None): number}, {}
