"""Klipper extra: wraps methods of a running host and streams their calls. See docs/tracing-klipper.md.

Copy this directory to klippy/extras/ and add to printer.cfg:

    [trace_hooks]

Only `hooks`, `commands`, `discover` and `rebind` know Klipper; the rest serves any Python program.
"""

VERSION = '1.0'


def load_config(config):
    """Klipper's entrance."""
    from .hooks import TraceHooks
    return TraceHooks(config)
