"""The recorder: the gate that a traced call looks at, and the queue of what was recorded.

An event is a tuple; `wire.py` has the forms. The queue is bounded. When it is full nothing more is recorded until it
has been emptied, and what was lost meanwhile is counted: a `dropped` event stands where it was lost.
"""

import collections
import itertools
import threading
import time

try:
    from greenlet import getcurrent
except ImportError:
    getcurrent = None

CALL, RETURN, ERROR, ATTR, FRAME, YIELD, RESUME, OTHER = range(8)


class Strand:
    """One thread, or one greenlet in it: the call it is in, and how deep."""
    __slots__ = ('tid', 'gid', 'call', 'depth', 'sending')

    def __init__(self, tid, gid):
        self.tid = tid
        self.gid = gid
        self.call = 0
        self.depth = 0
        self.sending = False


class Label:
    """What an event is told under."""
    __slots__ = ('number', 'object', 'cls', 'method')

    def __init__(self, number, obj, cls, method):
        self.number = number
        self.object = obj
        self.cls = cls
        self.method = method


class Recorder:
    """Everything that one process records.

    live:   a list that is empty while nobody listens; wrappers test it first.
    queue:  events that are not yet drained.
    room:   a list of one number: a call is recorded while the queue is shorter.
    """

    def __init__(self, limit=32768):
        self.live = []
        self.limit = limit
        self.room = [limit]
        self.queue = collections.deque()
        self.next_id = itertools.count(1).__next__
        self.labels = []
        self._by_key = {}
        # Memory may be collected inside it, which may run a traced method of the program.
        self._lock = threading.RLock()
        self._next_gid = itertools.count(1).__next__
        self._lost = 0
        self._lost_since = 0
        self._local = threading.local()
        self.dropped = 0
        self.recorded = 0

    # The strand

    def strand_of_greenlet(self, greenlet):
        """The strand of a greenlet that has none yet."""
        # A thread's first greenlet has no parent.
        gid = 0 if greenlet.parent is None else self._next_gid()
        strand = Strand(threading.get_native_id(), gid)
        greenlet._k485 = strand
        return strand

    def strand_of_thread(self, local):
        """The strand of a thread that has none yet, where there are no greenlets."""
        strand = local._k485 = Strand(threading.get_native_id(), 0)
        return strand

    def here(self):
        """The current strand."""
        current, missing = self.strands()
        where = current()
        try:
            return where._k485
        except AttributeError:
            return missing(where)

    def strands(self):
        """Two functions: what bears the current strand as `_k485`, and what makes it where it is missing."""
        if getcurrent is not None:
            return getcurrent, self.strand_of_greenlet
        local = self._local
        return (lambda: local), self.strand_of_thread

    # Labels

    def label(self, obj, cls, method):
        """The label's number; the same for the same three names."""
        key = (obj, cls, method)
        with self._lock:
            number = self._by_key.get(key)
            if number is None:
                number = self._by_key[key] = len(self.labels)
                self.labels.append(Label(number, obj, cls, method))
            return number

    # Events

    def lose(self, count=2):
        """Counts what a full queue cannot take, and closes it until it has been emptied."""
        with self._lock:
            if not self._lost:
                self._lost_since = time.monotonic_ns()
                self.room[0] = 0
            self._lost += count

    def other(self, name, fields):
        """Records an event that is no call. `fields` is plain data and handed over."""
        if self.live:
            if len(self.queue) >= self.room[0]:
                self.lose(1)
            else:
                self.queue.append((OTHER, time.monotonic_ns(), name, fields))

    def take(self, most):
        """Up to `most` events in their order."""
        pop = self.queue.popleft
        events = []
        try:
            for _ in range(most):
                events.append(pop())
        except IndexError:
            pass
        self.recorded += len(events)
        return events

    def put_back(self, events):
        """Events that were taken and are to be taken again, before all others."""
        self.queue.extendleft(reversed(events))
        self.recorded -= len(events)

    def loss(self):
        """(count, since) of what was lost after all that has been taken, and opens the queue again; or None."""
        if not self._lost or self.queue:
            return None
        with self._lock:
            lost = (self._lost, self._lost_since)
            self._lost = 0
            self.room[0] = self.limit
        self.dropped += lost[0]
        return lost

    def clear(self):
        """Forgets what nobody will read."""
        self.queue.clear()
        with self._lock:
            self._lost = 0
            self.room[0] = self.limit
