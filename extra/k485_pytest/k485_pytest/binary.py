"""Where the ``k485`` binary is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Iterable, Mapping, Optional


class BinaryError(Exception):
    """There is no usable ``k485``; the text says what to do."""


#: What to do without a binary.
ADVICE = (
    "Build it in a checkout of k485 with `cargo build --release`, then put it on PATH, or name it with "
    "--k485-binary PATH, the ini option k485_binary, or the environment variable K485_BINARY."
)


def find_binary(
    option: Optional[str],
    ini: Optional[str],
    environ: Mapping[str, str],
    folders: Iterable[Path],
) -> Path:
    """The binary: as named by ``option``, ``ini`` or ``K485_BINARY``, else on PATH, else the newest
    in a cargo ``target`` folder of one of ``folders`` or of those above them.

    A name that leads nowhere is an error and nothing else is tried: whoever names one means it.
    """
    named = [
        ("--k485-binary", option),
        ("the ini option k485_binary", ini),
        ("K485_BINARY", environ.get("K485_BINARY")),
    ]
    for where, name in named:
        if name:
            return _checked(where, name, environ)
    found = shutil.which("k485", path=environ.get("PATH"))
    if found:
        return Path(found).absolute()
    folders = list(folders)
    for folder in folders:
        for above in [folder, *folder.parents]:
            built = _newest(above / "target")
            if built:
                return built
    looked = ", ".join(str(folder) for folder in folders)
    raise BinaryError(
        f"k485 was not found: neither on PATH nor in a cargo target folder of {looked} or above. {ADVICE}"
    )


def _checked(where: str, name: str, environ: Mapping[str, str]) -> Path:
    # As in a shell, a name without a slash is looked up.
    found = name if os.sep in name else shutil.which(name, path=environ.get("PATH")) or name
    path = Path(found).expanduser().absolute()
    if not path.exists():
        raise BinaryError(f"{where} is {name}, and there is no such file. {ADVICE}")
    if not path.is_file() or not os.access(str(path), os.X_OK):
        raise BinaryError(f"{where} is {name}, which is not a program. {ADVICE}")
    return path


def _newest(target: Path) -> Optional[Path]:
    built = [target / profile / "k485" for profile in ("release", "debug")]
    built = [path for path in built if path.is_file()]
    return max(built, key=lambda path: path.stat().st_mtime) if built else None
