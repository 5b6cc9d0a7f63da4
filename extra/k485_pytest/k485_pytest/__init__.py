"""A pytest fixture for programs that talk to K2 printers' RS-485 bus.

``k485_bus`` starts ``k485 emulate`` on a pseudo-terminal of its own and gives a :class:`Bus`: the
port to open, and hands on everything behind it. See the chapter *Test your host* of k485's book.
"""

from .binary import BinaryError
from .bus import Box, Bus, Clock, Fault, Faults, Slot
from .client import ControlError
from .process import EmulatorError
from .view import BoxState, State, View

__all__ = [
    "BinaryError",
    "Box",
    "BoxState",
    "Bus",
    "Clock",
    "ControlError",
    "EmulatorError",
    "Fault",
    "Faults",
    "Slot",
    "State",
    "View",
]
__version__ = "0.1.0"
