"""JSON objects with their keys as attributes."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping


def view(value: Any) -> Any:
    """A JSON value whose objects, however deep, are :class:`View`."""
    if isinstance(value, Mapping):
        return View({key: view(item) for key, item in value.items()})
    if isinstance(value, list):
        return [view(item) for item in value]
    return value


class View(Dict[str, Any]):
    """A JSON object: a dict, and ``state.toolhead`` for ``state["toolhead"]``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            has = ", ".join(sorted(self)) or "nothing"
            raise AttributeError(f"there is no {name!r} here; there is: {has}") from None


class State(View):
    """The state of a bus."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__(state)
        self["boxes"] = [BoxState(box) for box in self["boxes"]]

    def box(self, number: int) -> BoxState:
        """Box ``number``, from 1: by its place, whatever address it got."""
        boxes: List[BoxState] = self["boxes"]
        for box in boxes:
            if box["box"] == number:
                return box
        raise LookupError(f"there is no box {number}: this bus has {len(boxes)}")

    def slot(self, name: str) -> View:
        """A slot, ``T1A`` to ``T4D``."""
        number, letter = split_slot(name)
        return self.box(number).slot(letter)


class BoxState(View):
    """The state of a box."""

    def slot(self, letter: str) -> View:
        """Slot ``A`` to ``D``."""
        slots: List[View] = self["slots"]
        for slot in slots:
            if slot["slot"] == letter.upper():
                return slot
        raise LookupError(f"there is no slot {letter!r}: write A, B, C or D")


def split_slot(name: str) -> tuple[int, str]:
    """``T1A`` as 1 and ``A``."""
    text = name.upper()
    if len(text) == 3 and text[0] == "T" and text[1] in "1234" and text[2] in "ABCD":
        return int(text[1]), text[2]
    raise LookupError(f"there is no slot {name!r}: write T1A to T4D")
