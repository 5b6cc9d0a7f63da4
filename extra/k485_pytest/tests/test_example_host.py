"""Whether the example host's suite finds what is wrong with a host: with bugs put into copies."""

import os
import shutil
from pathlib import Path

import pytest
from k485_pytest.binary import find_binary

pytest.importorskip("serial", reason="the example host needs pyserial")

HOST = Path(__file__).resolve().parents[2] / "example_host"

#: A bug as (what is written in place of what, which test must find it).
BUGS = {
    "CRC begins with FF": ("    crc = 0\n", "    crc = 0xFF\n", "test_frames.py"),
    "CRC with another polynomial": ("0x107", "0x131", "test_assignment.py -k address_of_its_own"),
    "the CRC covers the address": (
        "bytes([crc8(body)])",
        "bytes([crc8(bytes([address]) + body)])",
        "test_assignment.py -k address_of_its_own",
    ),
    "CRCs of replies are not looked at": (
        "if size >= 6 and crc8(heard[2 : size - 1]) == heard[size - 1]:",
        "if size >= 6:",
        "test_polling.py -k 'lost_or_damaged and flip_data'",
    ),
    "noise throws away what is behind it": (
        "            del heard[0]\n",
        "            heard.clear()\n",
        "test_frames.py",
    ),
    "nothing is sent again": (
        "for _ in range(sends):",
        "for _ in range(1):",
        "test_polling.py -k 'lost_or_damaged and drop'",
    ),
    "whoever answers is taken": (
        "reply[4] == func and (reply[1] == address or func == ASSIGN)",
        "reply[4] == func",
        "test_polling.py -k somebody_else",
    ),
    "STATUS is ignored": (
        "        if status != OK:\n            raise BoxError(address",
        "        if False:\n            raise BoxError(address",
        "test_loading.py -k jam",
    ),
    "an error that a box keeps is ignored": (
        "        if status != OK:\n            raise BoxError(n",
        "        if False:\n            raise BoxError(n",
        "test_loading.py -k runs_out",
    ),
    "changes at the slots are an error": (
        "if status == CHANGED:",
        "if False:",
        "test_polling.py -k slots_is_no_error",
    ),
    "temperatures have no sign": ('">bbBB"', '">BBBB"', "test_polling.py -k climate"),
    "the odometer is read backwards": ('">f"', '"<f"', "test_loading.py -k extruder"),
    "slots are numbers, not bits": (
        '        mask = 1 << "ABCD".index(slot)\n        self.call',
        '        mask = 1 + "ABCD".index(slot)\n        self.call',
        "test_loading.py -k 'extruder and C'",
    ),
    "every box gets the same address": (
        "min(n for n, known in self.boxes.items() if known in (None, identity))",
        "min(self.boxes)",
        "test_assignment.py -k address_of_its_own",
    ),
    "boxes with an address are not asked for": (
        "self.boxes = {n: self.manage(ADDRESS_TABLE, n) for n in range(1, 5)}",
        "self.boxes = dict.fromkeys(range(1, 5))",
        "test_assignment.py -k starts_anew",
    ),
    "one missed answer makes a box lost": (
        "for _ in range(4)",
        "for _ in range(1)",
        "test_assignment.py -k nobody_lost",
    ),
    "nobody looks whether the slot has filament": (
        "if not self.call(n, SENSORS, [0])[0] & mask:",
        "if False:",
        "test_loading.py -k empty_slot",
    ),
    "what is latched is not cleared": (
        "        self.call(n, MODE, [0, 1])\n        self.call(n, TIGHTEN",
        "        self.call(n, TIGHTEN",
        "test_loading.py -k jam_on_the_way",
    ),
    "the feed is not begun": (
        "        self.call(n, EXTRUDE, [mask, 4, 0], timeout=15)\n",
        "",
        "test_loading.py -k stages_in_order",
    ),
    "the box is not told that it prints": (
        "        self.call(n, MODE, [mask, 0])\n",
        "",
        "test_loading.py -k 'extruder and A'",
    ),
    "an unload cuts nothing": (
        "        self.printer.cut()\n",
        "",
        "test_loading.py -k into_its_slot",
    ),
    "an unload ends half way": (
        "        self.call(n, RETRUDE, [mask, 1], timeout=150)\n",
        "",
        "test_loading.py -k into_its_slot",
    ),
}


@pytest.fixture
def suite(pytester, monkeypatch, request):
    """Runs a part of the suite on a copy of the host."""
    named = request.config.getoption("--k485-binary")
    binary = find_binary(named, None, os.environ, [request.config.rootpath])
    monkeypatch.setenv("K485_BINARY", str(binary))
    copy = pytester.path / "example_host"
    shutil.copytree(str(HOST), str(copy), ignore=shutil.ignore_patterns("__pycache__", ".*"))

    def run(text, tests):
        (copy / "example_host.py").write_text(text)
        file, _, chosen = tests.partition(" -k ")
        args = ["-k", chosen.strip("'")] if chosen else []
        where = [
            "--rootdir",
            str(copy),
            "-c",
            str(copy / "pyproject.toml"),
            str(copy / "tests" / file),
        ]
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *where, *args, timeout=300)

    return run


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found(suite, bug):
    right, wrong, tests = BUGS[bug]
    text = (HOST / "example_host.py").read_text()
    assert text.count(right) == 1, "the bug's place is not there, or there twice"
    outcomes = suite(text.replace(right, wrong), tests).parseoutcomes()
    assert outcomes.get("failed", 0) >= 1, outcomes


def test_a_copy_without_a_bug_passes(suite):
    text = (HOST / "example_host.py").read_text()
    outcomes = suite(text, "")
    outcomes.assert_outcomes(passed=outcomes.parseoutcomes()["passed"])
