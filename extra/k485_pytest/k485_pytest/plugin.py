"""The pytest plugin: options, the marker, fixtures, and the exchanges in a failing test's report."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any, Callable, Generator, Iterator, List, Optional

import pytest

from .binary import BinaryError, find_binary
from .bus import Bus
from .options import OptionError, Options
from .process import EmulatorError, Process

#: Where the buses of a test are kept while it runs.
RUNNING = "_k485_buses"
#: The section's name in a report.
SECTION = "k485 exchanges"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what can be set on the command line and in the ini file."""
    group = parser.getgroup("k485", "an emulated RS-485 bus (k485)")
    group.addoption(
        "--k485-binary", metavar="PATH", help="the k485 to run (default: see k485_binary)"
    )
    group.addoption(
        "--k485-time",
        choices=("real", "virtual"),
        help="how time goes on buses whose tests do not say (default: the ini option k485_time)",
    )
    parser.addini(
        "k485_binary",
        "the k485 to run, from the rootdir (default: K485_BINARY, else k485 on PATH, else in a cargo "
        "target folder upwards)",
    )
    parser.addini("k485_time", "how time goes: real or virtual", default="real")
    parser.addini("k485_log_lines", "so many exchanges are shown when a test fails", default="200")
    parser.addini("k485_start_timeout", "so many seconds a bus may take to start", default="60")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line(
        "markers",
        "k485(scene=None, boxes=2, args=[], time='real', faults=[], seed=1, auto=False): the bus that "
        "k485_bus starts",
    )


class Starter:
    """Starts buses for one test and ends them with it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._node = request.node
        self._config = request.config
        self._processes: List[Process] = []
        setattr(self._node, RUNNING, [])

    def __call__(self, **options: Any) -> Bus:
        """Starts a bus with these options laid over those of the test's markers.

        ``scene``: a file, from the test's folder or the rootdir, or a scene's text. ``boxes``: how many,
        without a scene. ``args``: more arguments for ``k485 emulate``. ``time``: ``"real"`` or
        ``"virtual"``. ``faults``: rules, one a line. ``seed``: of all chance, 1 without it or the
        scene's. ``auto``: whether extruder and cutter move by what the bus carries.
        """
        __tracebackhide__ = True
        try:
            return self._start(options)
        except (OptionError, BinaryError, EmulatorError) as error:
            wrong = str(error)
        # Without the frames of this plugin: the text says it all.
        pytest.fail(wrong, pytrace=False)

    def _start(self, options: Any) -> Bus:
        marks = [mark for mark in self._node.iter_markers("k485")]
        for mark in marks:
            if mark.args:
                raise OptionError("@pytest.mark.k485 takes only named arguments, such as boxes=2")
        nearest_last = [mark.kwargs for mark in reversed(marks)] + [options]
        read = Options.read(nearest_last, self._time())
        folder = Path(tempfile.mkdtemp(prefix="k485-"))
        try:
            binary = self._binary()
            places = [Path(str(self._request.path)).parent, self._config.rootpath]
            command = read.command(places, folder)
            timeout = float(self._config.getini("k485_start_timeout"))
            process = Process(binary, command, folder, timeout)
        except BaseException:
            shutil.rmtree(str(folder), ignore_errors=True)
            raise
        self._processes.append(process)
        bus = Bus(process, read.virtual)
        getattr(self._node, RUNNING).append(bus)
        return bus

    def _time(self) -> str:
        return self._config.getoption("--k485-time") or self._config.getini("k485_time")

    def _binary(self) -> Path:
        named = self._config.getini("k485_binary")
        if named and os.sep in named:
            named = str(self._config.rootpath / named)
        folders = [self._config.rootpath, self._config.invocation_params.dir]
        return find_binary(self._config.getoption("--k485-binary"), named, os.environ, folders)

    def end(self) -> None:
        """Ends all buses; an emulator that had ended by itself is an error."""
        died: Optional[EmulatorError] = None
        for process in self._processes:
            died = died or process.died()
            if process.stop():
                warnings.warn(f"k485 did not end within 10 s and was killed: {process.command}")
        if died:
            pytest.fail(str(died), pytrace=False)


@pytest.fixture
def k485_start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Bus]]:
    """Starts buses: ``bus = k485_start(boxes=4)``. They end with the test.

    The options are the marker's, whose values hold where none is given.
    """
    starter = Starter(request)
    try:
        yield starter
    finally:
        starter.end()


@pytest.fixture
def k485_bus(k485_start: Callable[..., Bus]) -> Bus:
    """A running bus, as the test's ``k485`` markers say; without one, two boxes in real time."""
    return k485_start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Puts the exchanges of its buses into a failing test's report."""
    outcome = yield
    report = outcome.get_result()
    buses = getattr(item, RUNNING, [])
    if not report.failed or report.when == "teardown":
        return
    lines = int(item.config.getini("k485_log_lines"))
    for number, bus in enumerate(buses, start=1):
        name = SECTION if len(buses) == 1 else f"{SECTION} of bus {number}"
        report.sections.append((name, _log(bus, lines)))


def _log(bus: Bus, lines: int) -> str:
    try:
        return "\n".join(bus.log(lines)) or "(none)"
    # Whatever it is, the test's own failure is what must be told.
    except Exception as error:
        return "(could not be read: {})".format(str(error).split("\n")[0])
