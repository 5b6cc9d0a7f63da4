"""An emulated bus as a test holds it: its port, hands, faults, clock, exchanges."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Type, Union

from .client import Client
from .process import Process
from .view import BoxState, State, View, split_slot, view

#: How often a condition is looked at, in real time.
LOOK = 0.02
#: How far virtual time goes on between two looks, in seconds.
STEP = 0.05
#: How many exchanges one request asks for.
PAGE = 1000


class Bus:
    """A running bus.

    ``port`` is what the program under test opens as its serial port. Slots are named by their place:
    ``box(1)`` is T1, whatever address a host has given it. Lengths are in mm, speeds in mm/s, times
    in seconds of the bus's clock.
    """

    def __init__(self, process: Process, virtual: bool) -> None:
        self._process = process
        self._client = Client(process.url, process.token, process.lost)
        self._expected = 0
        #: The pseudo-terminal, as a path.
        self.port: str = str(process.link)
        #: What the binary told in its first line: devices, seed, speed.
        self.told: View = view(process.told)
        #: Whether time is virtual: it goes on by :meth:`sleep` and as the traffic needs.
        self.virtual: bool = virtual
        #: The faults of the bus.
        self.faults = Faults(self._client)
        #: The clock of the bus.
        self.clock = Clock(self._client, virtual)

    def __repr__(self) -> str:
        return f"<k485 bus at {self.port}>"

    @property
    def pid(self) -> Optional[int]:
        """The emulator's process."""
        return self._process.pid

    # What is there.

    @property
    def state(self) -> State:
        """Everything at this moment: ``toolhead``, ``buffer``, ``extruder``, ``boxes`` …"""
        return State(self._client.get("state").bus)

    def box(self, number: int) -> Box:
        """Box ``number``, from 1."""
        return Box(self, number)

    def slot(self, name: str) -> Slot:
        """A slot, ``T1A`` to ``T4D``."""
        number, letter = split_slot(name)
        return Slot(self, number, letter)

    # The printer, and what is not in a box.

    def hand(self, do: str, **arguments: Any) -> State:
        """Does anything that an event of a scene can do; the state then.

        ``bus.hand("place", slot="T1A", tip=900)``. Arguments that are None are left out.
        """
        body: Dict[str, Any] = {"do": do}
        body.update((name, value) for name, value in arguments.items() if value is not None)
        return State(self._client.post("hands", body).state.bus)

    def extrude(self, mm: float, speed: Optional[float] = None) -> State:
        """The extruder turns ``mm``, negative is back: at ``speed``, or else at once.

        It returns at once; :meth:`sleep` for ``mm / speed`` to have it done.
        """
        return self.hand("extrude", mm=mm, speed=speed)

    def extruder(self, speed: float) -> State:
        """The extruder goes on turning; 0 stops it."""
        return self.hand("extruder", speed=speed)

    def cut(self) -> State:
        """The cutter closes and opens again."""
        return self.hand("cut")

    def toolhead(self, shows: str) -> State:
        """The toolhead's sensor shows ``on`` or ``off`` whatever is there; ``truth``: it works."""
        return self.hand("toolhead", shows=shows)

    def hold_buffer(self, at: str) -> State:
        """Something holds the buffer at ``full``, ``middle`` or ``empty``."""
        return self.hand("hold_buffer", at=at)

    def free_buffer(self) -> State:
        """The buffer is free again."""
        return self.hand("free_buffer")

    def motor(self, address: int, errors: int = 0, warnings: int = 0) -> State:
        """A motor's protection words."""
        return self.hand("motor", address=address, errors=errors, warnings=warnings)

    def belt(self, address: int, adc: int) -> State:
        """What a belt module's sensor reads."""
        return self.hand("belt", address=address, adc=adc)

    def rack(self, spool: Optional[Mapping[str, Any]] = None) -> State:
        """A spool is put before the rack's reader; without one it is taken away."""
        return self.hand("rack", spool=spool)

    def scene(self, toml: Optional[str] = None) -> None:
        """Plays the scene of this text; without one, the scene's file anew."""
        self._client.post("scene", {} if toml is None else {"toml": toml})

    # Time.

    def sleep(self, seconds: float) -> None:
        """Lets the bus's time go on: a program's ``time.sleep`` in a test."""
        self.clock.sleep(seconds)

    def wait_for(
        self,
        condition: Callable[[State], Any],
        timeout: float = 10.0,
        step: Optional[float] = None,
    ) -> Any:
        """Waits until ``condition(state)`` is true, and returns what it gave.

        In virtual time each look lets ``step`` seconds pass (0.05; 0 for none, where the program
        under test moves the clock itself). ``timeout`` is in the bus's seconds, with ``step=0`` in real
        ones. AssertionError when it is over.
        """
        seen: List[State] = []

        def look() -> Any:
            seen[:] = [self.state]
            return condition(seen[0])

        found = self._wait(look, timeout, step)
        if not found:
            raise AssertionError(
                f"not within {timeout:g} s: {_name(condition)}; the state is {_brief(seen[0])}"
            )
        return found

    def _wait(self, look: Callable[[], Any], timeout: float, step: Optional[float]) -> Any:
        """What ``look`` gives once it is true; what it gave last when time is up."""
        step = (STEP if step is None else step) if self.virtual else 0.0
        if step > 0:
            passed = 0.0
            while True:
                found = look()
                if found or passed >= timeout:
                    return found
                self.clock.step(step)
                passed += step
        until = time.monotonic() + timeout
        while True:
            # The time is asked first: a slow machine has its last look after the end.
            late = time.monotonic() >= until
            found = look()
            if found or late:
                return found
            time.sleep(LOOK)

    # What the bus carried.

    def exchanges(self, filter: Optional[str] = None, after: int = 0) -> List[View]:
        """The exchanges so far, as ``k485 decode --to json`` tells them; ``seq`` numbers them.

        ``filter`` is of k485's filter language; ``after`` leaves out those up to this number.
        """
        found: List[View] = []
        while True:
            query = {"after": after, "limit": PAGE, "filter": filter}
            page = self._client.get("exchanges", query)
            found += page.exchanges
            if page.next <= after or not page.exchanges:
                return found
            after = page.next

    def expect(
        self,
        filter: str,
        timeout: float = 10.0,
        after: Optional[int] = None,
        step: Optional[float] = None,
    ) -> View:
        """Waits for an exchange that fits ``filter``, and returns it.

        It is the first one after the one that was expected before; so a row of these is a story that
        must happen in this order. ``after=0`` begins at the beginning, ``after=bus.last`` now.
        Times are those of :meth:`wait_for`. AssertionError when it does not come.
        """
        start = self._expected if after is None else after
        found: List[View] = self._wait(lambda: self.exchanges(filter, start), timeout, step)
        if not found:
            lines = [exchange.text for exchange in self.exchanges(after=start)]
            raise AssertionError(
                "no exchange that fits {!r} within {:g} s; the bus carried {}".format(
                    filter, timeout, "\n  ".join(["", *lines[-20:]]) if lines else "nothing"
                )
            )
        self._expected = found[0].seq
        return found[0]

    @property
    def last(self) -> int:
        """The number of the last exchange, for ``after``."""
        # Asked so, all that the bus carried until now is decoded before it is answered.
        return self._client.get("exchanges", {"limit": 1}).next

    @property
    def open(self) -> Optional[View]:
        """The request that nobody has answered so far, as a frame; it is no exchange yet."""
        waits: Optional[View] = self._client.get("exchanges", {"limit": 1}).open
        return waits

    def log(self, lines: int = 200) -> List[str]:
        """The last exchanges as text, as ``k485 sniff`` shows them, 1000 at most."""
        page = self._client.get("exchanges", {"limit": max(1, min(lines, PAGE))})
        log = [exchange.text for exchange in page.exchanges]
        if page.open is not None:
            log.append(f"{page.open.text} (no reply so far)")
        return log


class Box:
    """A box, by its place."""

    def __init__(self, bus: Bus, number: int) -> None:
        self._bus = bus
        self.number = number

    def __repr__(self) -> str:
        return f"<box {self.number} of {self._bus!r}>"

    @property
    def state(self) -> BoxState:
        """What it is at this moment: ``address``, ``state``, ``error``, ``slots`` …"""
        return self._bus.state.box(self.number)

    def slot(self, letter: str) -> Slot:
        """Slot ``A`` to ``D``."""
        return Slot(self._bus, *split_slot(f"T{self.number}{letter}"))

    def unplug(self) -> State:
        """Its plug is pulled."""
        return self._bus.hand("unplug", box=self.number)

    def plug(self) -> State:
        """Its plug is put in again: it starts anew, without an address."""
        return self._bus.hand("plug", box=self.number)

    def reset(self) -> State:
        """It is switched off and on at once."""
        return self._bus.hand("reset", box=self.number)

    def climate(self, temperature: Optional[int] = None, humidity: Optional[int] = None) -> State:
        """Degrees Celsius and percent; without both, its sensor does not answer."""
        return self._bus.hand(
            "climate", box=self.number, temperature=temperature, humidity=humidity
        )

    def slip(self, on: bool = True) -> State:
        """Its hub gear turns without gripping, or grips again."""
        return self._bus.hand("slip", box=self.number, on=on)

    def block(self, part: str = "hub", on: bool = True) -> State:
        """Its ``hub`` motor or measuring ``wheel`` cannot turn, or turns again."""
        return self._bus.hand("block", box=self.number, part=part, on=on)


class Slot:
    """A slot of a box, and the filament in it."""

    def __init__(self, bus: Bus, box: int, letter: str) -> None:
        self._bus = bus
        self._box = box
        self._letter = letter
        #: ``T1A`` to ``T4D``.
        self.name = f"T{box}{letter}"

    def __repr__(self) -> str:
        return f"<slot {self.name} of {self._bus!r}>"

    @property
    def state(self) -> View:
        """What is there at this moment: ``inlet``, ``hub``, ``filament``, ``jammed`` …"""
        return self._bus.state.box(self._box).slot(self._letter)

    def insert(
        self,
        material: Optional[str] = None,
        colour: Optional[str] = None,
        length: Optional[float] = None,
        **spool: Any,
    ) -> State:
        """A spool's end is put into the inlet: ``insert("PLA", "ff0000", length=250000)``.

        The other keys are those of a scene's spool: ``remain``, ``serial``, ``tag``.
        """
        return self._do("insert", spool=_spool(material, colour, length, spool))

    def place(
        self,
        tip: float,
        material: Optional[str] = None,
        colour: Optional[str] = None,
        length: Optional[float] = None,
        **spool: Any,
    ) -> State:
        """Filament is in the path already, its tip ``tip`` mm from the inlet."""
        return self._do("place", tip=tip, spool=_spool(material, colour, length, spool))

    def pull_out(self) -> State:
        """What hangs on the spool is pulled out; a piece broken off further on stays."""
        return self._do("pull_out")

    def clear(self) -> State:
        """All filament is taken out of the path."""
        return self._do("clear")

    def run_out(self, left: float = 0.0) -> State:
        """The spool comes to its end, ``left`` mm outside the inlet."""
        return self._do("run_out", left=left)

    def break_(self, at: float) -> State:
        """The filament breaks, ``at`` mm from the inlet."""
        return self._do("break", at=at)

    def jam(self, at: Optional[float] = None) -> State:
        """The filament holds fast; with ``at``, no tip passes that place, in mm from the inlet."""
        return self._do("jam", at=at)

    def unjam(self) -> State:
        """The jam is freed, and the box's hub grips and turns."""
        return self._do("unjam")

    def sensor(self, sensor: str, shows: str) -> State:
        """The ``inlet`` or ``hub`` sensor shows ``on`` or ``off`` whatever is there; ``truth``: it works."""
        return self._do("sensor", sensor=sensor, shows=shows)

    def _do(self, do: str, **arguments: Any) -> State:
        return self._bus.hand(do, slot=self.name, **arguments)


class Fault:
    """A rule that is in force; at the end of a ``with`` it is taken away."""

    def __init__(self, faults: Faults, number: int, rule: str) -> None:
        self._faults = faults
        #: Its number.
        self.id = number
        #: Its line.
        self.rule = rule

    def __repr__(self) -> str:
        return f"<fault {self.id}: {self.rule}>"

    @property
    def state(self) -> View:
        """What the bus tells of it: how often it struck."""
        return self._faults.state(self.id)

    def remove(self) -> None:
        """Takes it away."""
        self._faults.remove(self.id)

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if any(fault.id == self.id for fault in self._faults.list()):
            self.remove()


class Faults:
    """The faults of a bus: lines such as ``drop if func==0x10 times=1``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def add(self, rule: str) -> Fault:
        """Adds a rule, behind those that are there."""
        return Fault(self, self._client.post("faults", {"rule": rule}).id, rule)

    def list(self) -> List[View]:
        """The rules, each with its counters."""
        return self._client.get("faults").faults

    def state(self, number: int) -> View:
        """One rule with its counters."""
        for fault in self.list():
            if fault.id == number:
                return fault
        raise LookupError(f"there is no fault {number}")

    def remove(self, fault: Union[Fault, int]) -> None:
        """Takes one away."""
        number = fault.id if isinstance(fault, Fault) else fault
        self._client.delete(f"faults/{number}")

    def clear(self) -> None:
        """Takes all away."""
        self._client.delete("faults")


class Clock:
    """The clock of a bus."""

    def __init__(self, client: Client, virtual: bool) -> None:
        self._client = client
        self._virtual = virtual

    @property
    def state(self) -> View:
        """``elapsed``, in seconds since the bus began, ``paused``, ``speed``, ``virtual``."""
        return self._client.get("clock")

    @property
    def now(self) -> float:
        """Seconds since the bus began."""
        return self.state.elapsed

    def pause(self) -> None:
        """Stops the time: nobody answers, nothing moves."""
        self._client.post("clock", {"paused": True})

    def go(self) -> None:
        """Lets time go on."""
        self._client.post("clock", {"paused": False})

    def step(self, seconds: float) -> None:
        """Goes on by this much at once."""
        # One request goes on by an hour at most.
        left = seconds
        while left > 3600.0:
            self._client.post("clock/step", {"ms": 3600000.0})
            left -= 3600.0
        self._client.post("clock/step", {"ms": left * 1000.0})

    def speed(self, times: float) -> None:
        """Lets time go so many times as fast."""
        self._client.post("clock", {"speed": times})

    def sleep(self, seconds: float) -> None:
        """Lets so much of the bus's time pass: by a step in virtual time, else by waiting for it."""
        if self._virtual:
            self.step(seconds)
            return
        state = self.state
        if state.paused:
            raise RuntimeError("the bus's clock is paused: step() it, or go() first")
        time.sleep(seconds / state.speed)


def _spool(
    material: Optional[str],
    colour: Optional[str],
    length: Optional[float],
    more: Mapping[str, Any],
) -> Dict[str, Any]:
    given = dict(more, material=material, colour=colour, length=length)
    return {key: value for key, value in given.items() if value is not None}


def _name(condition: Callable[[State], Any]) -> str:
    code = getattr(condition, "__code__", None)
    name = getattr(condition, "__name__", repr(condition))
    if code is None:
        return str(name)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})"


def _brief(state: State) -> str:
    boxes = [
        f"box {box.box}: address {box.address}, {box.state}, error {box.error:02x}"
        for box in state.boxes
    ]
    return "; ".join([f"toolhead {state.toolhead}", *boxes])
