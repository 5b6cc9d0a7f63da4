"""More methods than any host has: what is done for each of them takes its time."""

import types


class Part:
    """What such an object holds."""

    def __init__(self):
        self.value = 1


def method(self, value=None):
    return value


class Many:
    """One object; its class is its own."""

    def __init__(self):
        for number in range(60):
            setattr(self, 'part_%d' % (number,), Part())


def load_config(config):
    printer = config.get_printer()
    for number in range(config.getint('objects')):
        names = ['%smethod_%d' % ('_' * (of % 2), of) for of in range(config.getint('methods'))]
        own = {name: types.FunctionType(method.__code__, globals(), name, (None,)) for name in names}
        made = type('MotorMany%d' % (number,), (Many,), dict(own, __module__=__name__))()
        printer.add_object('motor_many_%d' % (number,), made)
        printer.register_event_handler('motor:many', made.method_0)
    return Part()
