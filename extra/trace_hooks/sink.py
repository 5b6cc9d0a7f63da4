"""Files: all events into one that is rotated, or the history into one of its own.

A file system may block for seconds, so a thread of its own does nothing but open and write.
"""

import logging
import marshal
import os
import queue
import re
import threading
import time

from .pump import LINES, SLICE, Outlet

NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\Z')


class Writer:
    """Writes bytes to a file from a thread. The caller never waits for the disk."""

    def __init__(self, path, fresh=False, rotate_size=0, rotate_keep=3):
        self.path = path
        self.fresh = fresh  # the file must not be there yet
        self.rotate_size = rotate_size
        self.rotate_keep = rotate_keep
        self.waiting = 0  # bytes that are not yet written
        self.written = 0
        self.error = None
        self.done = False
        self._lock = threading.Lock()
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name='trace_hooks file', daemon=True)
        self._thread.start()

    def write(self, data):
        with self._lock:
            self.waiting += len(data)
        self._queue.put(data)

    def close(self, wait=0.0):
        """Lets the thread end once all is written, and waits for it no longer than that."""
        self._queue.put(None)
        if wait:
            self._thread.join(wait)

    def _open(self):
        os.makedirs(os.path.dirname(self.path) or '.', exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if self.fresh else os.O_APPEND)
        return os.open(self.path, flags, 0o644)

    def _run(self):
        fd = -1
        try:
            while True:
                data = self._queue.get()
                if data is None:
                    break
                size = len(data)
                if self.error is None:
                    try:
                        if fd < 0:
                            fd = self._open()
                            self.written = os.fstat(fd).st_size
                        elif self.rotate_size and self.written + size > self.rotate_size:
                            os.close(fd)
                            fd = -1
                            self._rotate()
                            fd = self._open()
                            self.written = 0
                        while data:
                            count = os.write(fd, data)
                            data = data[count:]
                            self.written += count
                    except OSError as error:
                        self.error = '%s: %s' % (self.path, error.strerror or error)
                        logging.warning("trace_hooks: %s", self.error)
                with self._lock:
                    self.waiting -= size
        finally:
            if fd >= 0:
                os.close(fd)
            self.done = True

    def _rotate(self):
        for number in range(self.rotate_keep - 1, 0, -1):
            old = '%s.%d' % (self.path, number)
            if os.path.exists(old):
                os.replace(old, '%s.%d' % (self.path, number + 1))
        os.replace(self.path, self.path + '.1')


class FileSink(Outlet):
    """All events as lines in a file."""

    def __init__(self, path, limit, rotate_size, rotate_keep):
        Outlet.__init__(self, limit)
        self.writer = Writer(path, rotate_size=rotate_size, rotate_keep=rotate_keep)

    def tick(self):
        """Hands what is there to the thread, as long as that keeps up."""
        writer = self.writer
        while self.pieces and writer.waiting < self.limit // 2:
            piece = self.pieces.popleft()
            self.size -= len(piece)
            writer.write(piece)

    def close(self):
        while self.pieces:
            self.writer.write(self.pieces.popleft())
        self.writer.close(wait=0.2)


class Saver:
    """Writes the history to a file, a slice at a time."""

    def __init__(self, path, head, parts, lines):
        self.path = path
        self.parts = list(parts)
        self.parts.reverse()
        self.lines = lines
        self.part = []  # events of the part that is being written, the number of the first, and its clock
        self.first = self.offset = 0
        self.events = 0
        self.closed = False
        self.writer = Writer(path, fresh=True)
        self.writer.write(head)

    def step(self, budget=SLICE):
        """What can be done in the time. True as long as there is more to do."""
        end = time.monotonic_ns() + budget
        while self.writer.error is None and (self.part or self.parts):
            if self.writer.waiting > 1 << 20:
                return True  # the disk is slower
            self.some()
            if time.monotonic_ns() >= end:
                return True
        if not self.closed:
            self.closed = True
            self.writer.close()
        return not self.writer.done

    def some(self):
        if not self.part:
            self.first, _count, _since, _until, self.offset, blob = self.parts.pop()
            self.part = marshal.loads(blob)
        taken, self.part = self.part[:LINES], self.part[LINES:]
        self.writer.write(self.lines.events(taken, self.first, self.offset).encode('ascii'))
        self.first += len(taken)
        self.events += len(taken)


def save_path(folder, name):
    """Where a NAME is saved, inside the folder. Raises ValueError for names that would leave it."""
    if name.endswith('.jsonl'):
        name = name[:-6]
    if not NAME.match(name):
        raise ValueError('NAME has to be of letters, digits, _ . - and begin with a letter or digit')
    return os.path.join(os.path.expanduser(folder), name + '.jsonl')
