"""The emulator as a process of its own."""

from __future__ import annotations

import json
import queue
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any, IO, List, Optional, Sequence

from .binary import ADVICE, BinaryError

#: The control's interface that this plugin speaks.
API = "/api/v1"
#: How much of what it said on stderr is shown.
TAIL = 40


class EmulatorError(Exception):
    """The emulator did not start, or ended by itself; the text has what it said on stderr."""


class Process:
    """One running ``k485 emulate`` with its folder: port link, token, stderr."""

    def __init__(
        self,
        binary: Path,
        args: Sequence[str],
        folder: Path,
        start_timeout: float = 60.0,
    ) -> None:
        """Starts it and waits for its first line. ``folder`` is its own, and removed with it.

        Raises :class:`BinaryError` where this binary cannot be used at all, :class:`EmulatorError`
        where it did not start with these arguments.
        """
        self.binary = binary
        self.folder = folder
        self.link = self.folder / "bus"
        self._stderr = self.folder / "stderr"
        self.command: List[str] = [
            str(binary), "emulate", "--pty", str(self.link), "--control", "127.0.0.1:0",
            "--token-file", str(self.folder / "token"), "--until-eof", *args,
        ]  # fmt: skip
        self._popen: Optional[subprocess.Popen[bytes]] = None
        self._told_end = False
        try:
            self.told = self._start(start_timeout)
        except BaseException:
            self.stop()
            raise

    def _start(self, timeout: float) -> Any:
        with open(str(self._stderr), "wb") as stderr:
            try:
                # Its stdin is a pipe that nothing is written to: it ends when this process does,
                # however that happens. A session of its own keeps a terminal's Ctrl-C from it, so
                # that the report of a test that was interrupted still has its exchanges.
                self._popen = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                raise BinaryError(
                    f"{self.binary} cannot be run: {error.strerror or error}. {ADVICE}"
                ) from error
        line = _first_line(self._popen.stdout, timeout)
        if line is None:
            raise EmulatorError(self._with_stderr(f"k485 said nothing for {timeout:g} s"))
        if not line.strip():
            raise self._not_started()
        try:
            told = json.loads(line.decode("utf-8"))
            self.url = str(told["control"]["url"])
        except (ValueError, KeyError, TypeError) as error:
            shown = line.decode("utf-8", "replace").strip()
            raise BinaryError(
                f"{self.binary} is not a k485 that this plugin understands: its first line is {shown[:200]!r}. {ADVICE}"
            ) from error
        self.token = (self.folder / "token").read_text("utf-8").strip()
        return told

    def _not_started(self) -> Exception:
        code = self.wait(10.0)
        said = self.stderr()
        unknown = re.search(
            r"unexpected argument '(--(?:control|until-eof|token-file|virtual))'", said
        )
        if unknown or "unrecognized subcommand 'emulate'" in said:
            missing = unknown.group(1) if unknown else "emulate"
            return BinaryError(
                f"{self.binary} is too old for this plugin: it does not know {missing}. {ADVICE}"
            )
        return EmulatorError(self._with_stderr(f"k485 did not start (exit code {code})"))

    def stderr(self) -> str:
        """What it said on stderr."""
        try:
            return self._stderr.read_text("utf-8", "replace")
        except OSError:
            return ""

    def _with_stderr(self, what: str) -> str:
        said = self.stderr().strip().splitlines()
        if len(said) > TAIL:
            said = ["..."] + said[-TAIL:]
        lines = [what, "  command: " + " ".join(self.command), "  stderr:"]
        lines += ["    " + line for line in said or ["(nothing)"]]
        return "\n".join(lines)

    @property
    def pid(self) -> Optional[int]:
        """Its number."""
        return None if self._popen is None else self._popen.pid

    def code(self) -> Optional[int]:
        """Its exit code, if it has ended."""
        return None if self._popen is None else self._popen.poll()

    def wait(self, timeout: float) -> Optional[int]:
        """Its exit code, once it has ended; None after ``timeout`` seconds."""
        if self._popen is None:
            return None
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def lost(self, error: BaseException) -> EmulatorError:
        """The error to raise when it cannot be reached."""
        # What was seen first may be the connection's end, a moment before the process's.
        code = self.wait(2.0)
        if code is not None:
            self._told_end = True
            return EmulatorError(self._with_stderr("k485 " + _ended(code)))
        return EmulatorError(
            self._with_stderr(f"k485 runs, but its control does not answer: {error}")
        )

    def died(self) -> Optional[EmulatorError]:
        """The error to raise if it ended by itself, unless :meth:`lost` has told it."""
        code = self.code()
        return (
            None
            if code is None or self._told_end
            else EmulatorError(self._with_stderr("k485 " + _ended(code)))
        )

    def stop(self, patience: float = 10.0) -> bool:
        """Ends it and removes its folder; whether it had to be killed. May be called again."""
        killed = False
        popen = self._popen
        if popen is not None:
            if popen.poll() is None:
                popen.send_signal(signal.SIGINT)
                if self.wait(patience) is None:
                    killed = True
                    popen.kill()
                    popen.wait()
            for pipe in (popen.stdin, popen.stdout):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(str(self.folder), ignore_errors=True)
        return killed


def _ended(code: int) -> str:
    if code < 0:
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"
    return f"ended by itself with exit code {code}"


def _first_line(stdout: Optional[IO[bytes]], timeout: float) -> Optional[bytes]:
    """The first line; empty at the end of the stream, None after ``timeout``."""
    assert stdout is not None
    lines: queue.Queue[bytes] = queue.Queue()
    # A pipe has no time-out of its own for a whole line; the thread ends with the pipe.
    thread = threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True)
    thread.start()
    try:
        return lines.get(timeout=timeout)
    except queue.Empty:
        return None
