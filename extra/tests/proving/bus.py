"""A bus without hardware for a host of the tests: `k485 emulate`, and `k485 sniff` that records it."""

import json
import os
import pathlib
import signal
import subprocess

from host import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]

# Boxes that have their addresses from the start: a host need not assign any.
SCENE = """
[[box]]
address = 1
[[box]]
address = 2
"""


def binary():
    """The built `k485`, or a word why there is none."""
    path = os.environ.get('K485_BIN') or str(ROOT / 'target/debug/k485')
    return path if os.path.exists(path) else None


class Bus:
    def __init__(self, folder, faults=()):
        self.folder = pathlib.Path(folder)
        self.host = self.folder / 'bus-host'
        self.tap = self.folder / 'bus-tap'
        scene = self.folder / 'bus.toml'
        scene.write_text(SCENE)
        command = [binary(), 'emulate', str(scene), '--pty', str(self.host), '--pty', str(self.tap)]
        for rule in faults:
            command += ['--fault', rule]
        self._emulate = subprocess.Popen(command, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL)
        self._emulate.stdout.readline()         # the first line says that it is there
        self._seen = self.folder / 'bus.jsonl'
        self._sniff = subprocess.Popen(
            [binary(), 'sniff', str(self.tap), '--frames', '--to', 'json'],
            stdout=self._seen.open('wb'), stderr=(self.folder / 'sniff.err').open('wb'))
        wait_for(lambda: 'listening' in (self.folder / 'sniff.err').read_text(), "the sniffer")

    def frames(self):
        """What the sniffer has seen so far: the bytes of each frame, in order."""
        seen = []
        for line in self._seen.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue            # still being written
            if record.get('type') == 'frame':
                seen.append(record['raw'])
        return seen

    def close(self):
        for process in (self._sniff, self._emulate):
            process.send_signal(signal.SIGINT)
        for process in (self._sniff, self._emulate):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._emulate.stdout.close()
