"""From the queue to those who listen: in slices of bounded time, into buffers of bounded size."""

import collections
import time

from . import wire
from .wire import Lines, mono_of

SLICE = 300_000  # ns that one batch of events is meant to take
BUDGET = 1_200_000  # ns after which a tick takes no more
LEAST, MOST = 4, 256  # events of one batch
LINES = 8  # events that are formatted between two looks at the clock
GOAL = 2_000_000  # ns of processor time that the host is to be held at most


class Held:
    """The longest that the tracer has held the host in one go: the time, and the processor time.

    On a busy machine the one grows and the other does not.
    """

    def __init__(self):
        self.time = self.work = 0  # ns; each the longest there was
        self.count = self.over = 0  # of how many, and how many missed the goal
        self.begin()

    def begin(self):
        self._time, self._work = time.monotonic_ns(), time.thread_time_ns()

    def end(self):
        work = time.thread_time_ns() - self._work
        self.time = max(self.time, time.monotonic_ns() - self._time)
        self.work = max(self.work, work)
        self.count += 1
        self.over += work > GOAL

    def __str__(self):
        return '%.2f ms, %.2f ms of processor time (more than %d: %d of %d)' % (
            self.time / 1e6, self.work / 1e6, GOAL // 1000000, self.over, self.count)


class Outlet:
    """Who listens: a bounded buffer of whole lines (or chunks), and what did not fit into it.

    binary: chunks instead of lines.
    """

    def __init__(self, limit, binary=False):
        self.limit = limit
        self.binary = binary
        self.pieces = collections.deque()
        self.size = 0
        self.labels = 0  # how many labels it knows
        self.lost = None  # (first, last, since)
        self.dropped = 0
        self.sent = 0  # events

    def put(self, piece):
        """Adds a piece, whatever the limit says."""
        self.pieces.append(piece)
        self.size += len(piece)

    def has_room(self, size):
        """Whether a piece of this size fits. Once one did not, the buffer must be half empty first."""
        return self.size + size <= (self.limit if self.lost is None else self.limit // 2)

    def offer(self, piece, first, count, since, notice):
        """A piece with events, or an empty one for events that are lost already.

        notice: makes the piece that tells a loss, from (first, last, since).
        """
        last = first + count - 1
        if piece and self.has_room(len(piece)):
            if self.lost is not None:
                self.tell_loss(notice)
            self.put(piece)
            self.sent += count
        else:
            begin, since = (first, since) if self.lost is None else (self.lost[0], self.lost[2])
            self.lost = (begin, last, since)

    def tell_loss(self, notice):
        first, last, since = self.lost
        self.put(notice(first, last, since))
        self.dropped += last - first + 1
        self.lost = None


class History:
    """The last events, packed, for TRACE_SAVE."""

    def __init__(self, limit):
        self.limit = limit
        self.parts = collections.deque()  # (first seq, count, first mono, last mono, offset, blob)
        self.size = 0
        self.count = 0

    def add(self, part):
        self.parts.append(part)
        self.size += len(part[5])
        self.count += part[1]
        while self.size > self.limit and len(self.parts) > 1:
            gone = self.parts.popleft()
            self.size -= len(gone[5])
            self.count -= gone[1]

    def clear(self):
        self.parts.clear()
        self.size = self.count = 0


class Pump:
    """Moves events from a recorder to outlets."""

    def __init__(self, recorder, history_limit=4 << 20):
        self.recorder = recorder
        self.lines = Lines(recorder.labels)
        self.history = History(history_limit)
        self.outlets = []
        self.seq = 1  # of the next event
        self.batch = LEAST
        self.held = Held()  # by ticks

    def join(self, outlet):
        """Sends an outlet what is recorded from here on."""
        self.outlets.append(outlet)
        self.batch = LEAST  # a batch may cost more now

    def leave(self, outlet):
        if outlet in self.outlets:
            self.outlets.remove(outlet)

    @staticmethod
    def offset():
        """Wall time less monotonic time, in ns."""
        return time.time_ns() - time.monotonic_ns()

    def tick(self, budget=BUDGET):
        """Moves what can be moved in the time. True if more is waiting."""
        start = time.monotonic_ns()
        offset = self.offset()
        more = False
        before = start
        while True:
            events = self.recorder.take(self.batch)
            if events:
                done = self.deliver(events, offset, before + SLICE)
                if done < len(events):
                    self.recorder.put_back(events[done:])
            lost = self.recorder.loss()
            if lost is not None:
                self.deliver_loss(lost[0], lost[1], offset)
            now = time.monotonic_ns()
            if events:
                cost = max(1, now - before) / done
                self.batch = int(min(MOST, max(LEAST, SLICE / cost), self.batch * 2))
            if not self.recorder.queue:
                break
            if now - start >= budget:
                more = True
                break
            before = now
        return more

    def deliver(self, events, offset, end):
        """One batch to history and to every outlet; how many of it, if the time was up before."""
        first, count = self.seq, len(events)
        text = b''
        if any([not outlet.binary and outlet.has_room(1) for outlet in self.outlets]):
            text, count = self.formatted(events, first, offset, end)
            events = events[:count]
        self.seq += count
        since, until = mono_of(events[0]), mono_of(events[-1])
        blob = wire.packed(events)
        if self.history.limit:
            self.history.add((first, count, since, until, offset, blob))
        chunk = None
        for outlet in self.outlets:
            if outlet.binary:
                if chunk is None:
                    chunk = wire.events_chunk(blob, count, first, offset)
                self.offer_chunk(outlet, chunk, first, count, since, offset)
            else:
                outlet.offer(text, first, count, since, self.line_notice(until, offset))

        return count

    def formatted(self, events, first, offset, end):
        """The lines of events until the time is up, and how many events that are."""
        parts = []
        for begin in range(0, len(events), LINES):
            parts.append(self.lines.events(events[begin:begin + LINES], first + begin, offset))
            if time.monotonic_ns() >= end:
                break
        return ''.join(parts).encode('ascii'), min(len(parts) * LINES, len(events))

    def offer_chunk(self, outlet, chunk, first, count, since, offset):
        labels = self.recorder.labels
        known = len(labels)
        if outlet.labels < known and outlet.has_room(len(chunk)):
            outlet.put(wire.labels_chunk(labels, outlet.labels))
            outlet.labels = known
        outlet.offer(chunk, first, count, since, self.chunk_notice(since, offset))

    def deliver_loss(self, count, since, offset):
        """Tells every outlet of events that the queue had no room for."""
        first = self.seq
        self.seq += count
        now = time.monotonic_ns()
        for outlet in self.outlets:
            notice = (self.chunk_notice if outlet.binary else self.line_notice)(now, offset)
            outlet.offer(b'', first, count, since, notice)
            if outlet.has_room(200):
                outlet.tell_loss(notice)

    @staticmethod
    def line_notice(mono, offset):
        return lambda first, last, since: wire.dropped_line(first, last, since, mono, offset).encode('ascii')

    @staticmethod
    def chunk_notice(mono, offset):
        return lambda first, last, since: wire.dropped_chunk(first, last, since, mono, offset)

    def settle(self):
        """Tells losses to outlets that have room again though nothing new happens."""
        for outlet in self.outlets:
            if outlet.lost is not None and outlet.has_room(200):
                outlet.tell_loss((self.chunk_notice if outlet.binary else self.line_notice)(
                    time.monotonic_ns(), self.offset()))
