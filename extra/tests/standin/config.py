"""The configuration: sections, typed options, and the refusal of options that nobody read."""

import configparser


class ConfigError(Exception):
    """A configuration that can't be used."""


_REQUIRED = object()


class Section:
    """One section, as an extra's `load_config` gets it."""

    error = ConfigError

    def __init__(self, printer, parser, read, name):
        self.printer = printer
        self._parser = parser
        self._read = read
        self._name = name

    def get_printer(self):
        return self.printer

    def get_name(self):
        return self._name

    def getsection(self, name):
        return Section(self.printer, self._parser, self._read, name)

    def has_section(self, name):
        return self._parser.has_section(name)

    def get_prefix_sections(self, prefix):
        return [self.getsection(name) for name in self._parser.sections()
                if name.startswith(prefix)]

    def get_prefix_options(self, prefix):
        if not self._parser.has_section(self._name):
            return []
        return [o for o in self._parser.options(self._name) if o.startswith(prefix)]

    def _option(self, name, default, parse, minval=None, maxval=None, above=None, below=None):
        where = "option '%s' in section '%s'" % (name, self._name)
        if not self._parser.has_option(self._name, name):
            if default is _REQUIRED:
                raise self.error("%s must be specified" % (where,))
            return default
        self._read.add((self._name.lower(), name.lower()))
        text = self._parser.get(self._name, name)
        try:
            value = parse(text)
        except ValueError:
            raise self.error("unable to parse %s" % (where,))
        for bad, words in ((minval is not None and value < minval, "minimum of %s" % (minval,)),
                           (maxval is not None and value > maxval, "maximum of %s" % (maxval,)),
                           (above is not None and value <= above, "value above %s" % (above,)),
                           (below is not None and value >= below, "value below %s" % (below,))):
            if bad:
                raise self.error("%s must have %s" % (where, words))
        return value

    def get(self, option, default=_REQUIRED, note_valid=True):
        return self._option(option, default, str)

    def getint(self, option, default=_REQUIRED, minval=None, maxval=None, note_valid=True):
        return self._option(option, default, int, minval, maxval)

    def getfloat(self, option, default=_REQUIRED, minval=None, maxval=None, above=None,
                 below=None, note_valid=True):
        return self._option(option, default, float, minval, maxval, above, below)

    def getboolean(self, option, default=_REQUIRED, note_valid=True):
        def parse(text):
            try:
                return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
            except KeyError:
                raise ValueError(text)
        return self._option(option, default, parse)

    def getchoice(self, option, choices, default=_REQUIRED, note_valid=True):
        names = choices if isinstance(choices, dict) else {c: c for c in choices}
        chosen = self._option(option, default, type(list(names)[0]))
        if chosen not in names:
            raise self.error("choice '%s' for option '%s' in section '%s' is not a valid choice"
                             % (chosen, option, self._name))
        return names[chosen]

    def getlists(self, option, default=_REQUIRED, seps=(',',), count=None, parser=str,
                 note_valid=True):
        def parse(text):
            parts = [part.strip() for part in text.split(seps[0])]
            values = tuple(parser(part) for part in parts if part)
            if count is not None and len(values) != count:
                raise ValueError(text)
            return values
        return self._option(option, default, parse)

    def getlist(self, option, default=_REQUIRED, sep=',', count=None, note_valid=True):
        return self.getlists(option, default, (sep,), count)

    def getintlist(self, option, default=_REQUIRED, sep=',', count=None, note_valid=True):
        return self.getlists(option, default, (sep,), count, int)

    def deprecate(self, option, value=None):
        pass


class Config:
    """The whole file."""

    def __init__(self, printer, path):
        self._parser = configparser.RawConfigParser(strict=False,
                                                    inline_comment_prefixes=(';', '#'))
        if not self._parser.read(path):
            raise ConfigError("unable to open config file %s" % (path,))
        self._read = set()
        self.root = Section(printer, self._parser, self._read, 'printer')

    def sections(self):
        return [self.root.getsection(name) for name in self._parser.sections()]

    def check_unused_options(self, passed_over):
        """Raises for a section nobody loaded and for an option nobody read."""
        printer = self.root.printer
        for name in self._parser.sections():
            if name in passed_over:
                continue
            if name not in printer.objects:
                raise ConfigError("section '%s' is not a valid config section" % (name,))
            for option in self._parser.options(name):
                if (name.lower(), option.lower()) not in self._read:
                    raise ConfigError("option '%s' is not valid in section '%s'" % (option, name))
