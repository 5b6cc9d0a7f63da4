"""What a test asks of its bus: the marker's arguments, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

#: The arguments of ``@pytest.mark.k485`` and of ``k485_start``.
NAMES = ("scene", "boxes", "args", "time", "faults", "seed", "auto")
#: The seed of buses that are given none: the same chance in each run.
SEED = 1


class OptionError(Exception):
    """An option that cannot be; the text says what can."""


class Options:
    """How a bus is started."""

    def __init__(
        self,
        scene: Optional[Union[str, Path]] = None,
        boxes: Optional[int] = None,
        args: Iterable[str] = (),
        time: str = "real",
        faults: Iterable[str] = (),
        seed: Optional[int] = None,
        auto: bool = False,
    ) -> None:
        """See the fixture ``k485_start``."""
        for name, value in (("args", args), ("faults", faults)):
            if isinstance(value, str):
                raise OptionError(f"{name} is a list: write {name}=[{value!r}]")
        if time not in ("real", "virtual"):
            raise OptionError(f'time={time!r}: write time="real" or time="virtual"')
        if scene is not None and boxes is not None:
            raise OptionError("scene and boxes: a scene has its own boxes; leave one of them out")
        self.scene = scene
        self.boxes = boxes
        self.args = [str(arg) for arg in args]
        self.virtual = time == "virtual"
        self.faults = list(faults)
        self.seed = seed
        self.auto = auto

    @staticmethod
    def read(marks: Iterable[Mapping[str, Any]], default_time: str) -> Options:
        """The options of these arguments, nearest last: each replaces what those before it say."""
        merged: Dict[str, Any] = {"time": default_time}
        for mark in marks:
            for name in mark:
                if name not in NAMES:
                    raise OptionError(
                        "k485 has no option {!r}; there are: {}".format(name, ", ".join(NAMES))
                    )
            # A scene replaces the boxes of an outer mark, and boxes its scene.
            if "scene" in mark:
                merged.pop("boxes", None)
            elif "boxes" in mark:
                merged.pop("scene", None)
            merged.update(mark)
        return Options(**merged)

    def command(self, folders: Iterable[Path], scratch: Path) -> List[str]:
        """Arguments for ``k485 emulate``.

        A scene's file is looked for in ``folders``; a scene's text is written into ``scratch``.
        """
        command: List[str] = []
        if self.scene is not None:
            command.append(str(self._scene(self.scene, list(folders), scratch)))
        if self.boxes is not None:
            command += ["--boxes", str(self.boxes)]
        if self.virtual:
            command.append("--virtual")
        if self.auto:
            command.append("--auto")
        seed = self.seed
        # A scene has a seed of its own.
        if seed is None and self.scene is None and "--seed" not in self.args:
            seed = SEED
        if seed is not None:
            command += ["--seed", str(seed)]
        for rule in self.faults:
            command += ["--fault", rule]
        return command + self.args

    @staticmethod
    def _scene(scene: Union[str, Path], folders: List[Path], scratch: Path) -> Path:
        text = str(scene)
        if "\n" in text:
            file = scratch / "scene.toml"
            file.write_text(text, "utf-8")
            return file
        tried = [folder / text for folder in folders]
        for path in tried:
            if path.is_file():
                return path
        raise OptionError(
            "there is no scene {}; looked at {}".format(
                text, ", ".join(str(path) for path in tried)
            )
        )
