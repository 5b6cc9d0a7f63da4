"""The reactor: one thread, one poll(), a greenlet for whatever waits.

A hub greenlet polls and hands out work; each callback runs in a worker greenlet. A callback that
pauses leaves its worker parked, and the hub goes on with another one. Seen from a callback this is
klippy's reactor:

- `poll` is level triggered; a descriptor's read callback is called for input and hang-up, its write
  callback for room to write, both with the event's time and nothing else;
- within one round the write callback is called even if the read callback has just unregistered
  the descriptor, and a descriptor that nobody knows is passed over;
- due timers run in the order in which they were registered; what a timer's callback returns is its
  next time; a timer that is running can't be set by others;
- when a callback paused, the round is over and poll() is asked anew;
- an exception out of a callback leaves `run`;
- memory is collected when there is nothing else to do, and never within a callback.
"""

import gc
import math
import os
import queue
import select
import time

import greenlet

from . import watch

READ = select.POLLIN | select.POLLHUP
WRITE = select.POLLOUT

# What a worker says to the hub.
DONE = object()
PARKED = object()


class ReactorError(Exception):
    """Something that the reactor does not allow."""


class Timer:
    def __init__(self, callback, waketime):
        self.callback = callback
        self.waketime = waketime
        self.running = False
        self.sleeper = None         # the parked worker that this timer is to wake

    def fire(self, eventtime):
        self.running = True
        self.waketime = Reactor.NEVER
        self.waketime = self.callback(eventtime)
        self.running = False


class FileHandler:
    def __init__(self, fd, read_callback, write_callback):
        self.fd = fd
        self.read_callback = read_callback
        self.write_callback = write_callback
        self.deaf = 0


class Completion:
    """A result that greenlets can wait for."""

    _NONE = object()

    def __init__(self, reactor):
        self._reactor = reactor
        self._result = self._NONE
        self._waiting = []

    def test(self):
        return self._result is not self._NONE

    def complete(self, result):
        self._result = result
        for timer in self._waiting:
            self._reactor.update_timer(timer, self._reactor.NOW)

    def wait(self, waketime=9999999999999999., waketime_result=None):
        if not self.test():
            self._reactor.park(waketime, self._waiting)
        return self._result if self.test() else waketime_result


class Once:
    """A callback that is to run once."""

    def __init__(self, reactor, callback, waketime):
        self.reactor = reactor
        self.callback = callback
        self.completion = Completion(reactor)
        self.timer = reactor.register_timer(self.invoke, waketime)

    def invoke(self, eventtime):
        self.reactor.unregister_timer(self.timer)
        self.completion.complete(self.callback(eventtime))
        return self.reactor.NEVER


class Mutex:
    """First come, first served; a waiting greenlet is parked."""

    def __init__(self, reactor, is_locked=False):
        self._reactor = reactor
        self._locked = is_locked
        self._queue = []

    def test(self):
        return self._locked

    def lock(self):
        if not self._locked:
            self._locked = True
            return
        turn = Completion(self._reactor)
        self._queue.append(turn)
        turn.wait()

    def unlock(self):
        if self._queue:
            self._queue.pop(0).complete(True)       # it stays locked, for the next one
        else:
            self._locked = False

    def __enter__(self):
        self.lock()

    def __exit__(self, kind=None, value=None, traceback=None):
        self.unlock()


class NoPause:
    def __init__(self, reactor):
        self._reactor = reactor

    def __enter__(self):
        self._reactor.no_pause += 1

    def __exit__(self, kind=None, value=None, traceback=None):
        self._reactor.no_pause -= 1


class Reactor:
    NOW = 0.
    NEVER = 9999999999999999.

    def __init__(self, judge):
        self._watch = judge
        self._poll = select.poll()
        self._fds = {}
        self._timers = []
        self._hub = None
        self._process = False
        self._idle = []
        self._workers = []
        self._current = None        # the callback that the running worker is at
        self._async = queue.Queue()
        self._pipe = None
        self.no_pause = 0

    @staticmethod
    def monotonic():
        # Not time.monotonic(): klippy's clock is not slewed by NTP either, and who mixes the two up
        # shall be found out.
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)

    # Timers

    def register_timer(self, callback, waketime=NEVER):
        timer = Timer(callback, waketime)
        self._timers = self._timers + [timer]
        return timer

    def unregister_timer(self, timer):
        timer.waketime = self.NEVER
        timers = list(self._timers)
        timers.remove(timer)        # ValueError if it is not there
        self._timers = timers

    def update_timer(self, timer, waketime):
        if not timer.running:
            timer.waketime = waketime

    # Callbacks

    def completion(self):
        return Completion(self)

    def mutex(self, is_locked=False):
        return Mutex(self, is_locked)

    def register_callback(self, callback, waketime=NOW):
        return Once(self, callback, waketime).completion

    def register_async_callback(self, callback, waketime=NOW):
        """The only two calls that a foreign thread may make are this one and `async_complete`."""
        self._async.put_nowait((Once, (self, callback, waketime)))
        self._ring()

    def async_complete(self, completion, result):
        self._async.put_nowait((completion.complete, (result,)))
        self._ring()

    def _ring(self):
        try:
            os.write(self._pipe[1], b'!')
        except OSError:
            pass

    def _rung(self, eventtime):
        try:
            os.read(self._pipe[0], 4096)
        except OSError:
            pass
        while True:
            try:
                function, arguments = self._async.get_nowait()
            except queue.Empty:
                return
            function(*arguments)

    # Descriptors

    def register_fd(self, fd, read_callback, write_callback=None):
        handler = FileHandler(fd, read_callback, write_callback)
        self._fds[fd] = handler
        self._poll.register(fd, READ)
        return handler

    def unregister_fd(self, handler):
        self._poll.unregister(handler.fd)
        del self._fds[handler.fd]

    def set_fd_wake(self, handler, is_readable=True, is_writeable=False):
        events = select.POLLHUP
        if is_readable:
            events |= select.POLLIN
        if is_writeable:
            events |= select.POLLOUT
        self._poll.modify(handler.fd, events)

    # Waiting

    def assert_no_pause(self):
        return NoPause(self)

    def verify_can_pause(self):
        if self.no_pause:
            raise ReactorError("a pause where none is allowed")

    def pause(self, waketime):
        """Lets others run until `waketime`; gives the time."""
        return self.park(waketime, None)

    def park(self, waketime, waiting):
        """As `pause`; the timer is in `waiting` meanwhile, so that others can end the wait."""
        if self._hub is None:
            # Not running: there are no others.
            time.sleep(max(0., waketime - self.monotonic()))
            return self.monotonic()
        self.verify_can_pause()
        sleeper = greenlet.getcurrent()
        timer = self.register_timer(sleeper.switch, waketime)
        timer.sleeper = sleeper
        if waiting is not None:
            waiting.append(timer)
        mine = self._current
        try:
            eventtime = self._hub.switch(PARKED)
        finally:
            if waiting is not None:
                waiting.remove(timer)
            if timer in self._timers:
                self.unregister_timer(timer)
        self._current = mine
        return eventtime

    # The loop

    def _work(self, job):
        while True:
            function, argument = job
            function(argument)
            self._idle.append(greenlet.getcurrent())
            job = self._hub.switch(DONE)

    def _give(self, callback, function, argument):
        """Runs a callback in a worker. False if it paused."""
        self._current = callback
        if self._idle:
            worker = self._idle.pop()
        else:
            worker = greenlet.greenlet(self._work)
            self._workers.append(worker)
        return self._measure(worker, (function, argument)) is DONE

    def _measure(self, worker, value):
        # The worker of a callback that failed ends, and its exception comes out of `switch`.
        start, began = watch.cpu_time(), watch.clock()
        said = worker.switch(value)
        self._watch.took(self._current, watch.cpu_time() - start, watch.clock() - began)
        return said

    def _run_timers(self, now):
        for timer in self._timers:
            if timer.waketime > now:
                continue
            if timer.sleeper is not None:
                timer.waketime = self.NEVER
                self._current = None
                done = self._wake(timer.sleeper, now)
            else:
                callback = timer.callback
                owner = getattr(callback, '__self__', None)
                if isinstance(owner, Once):
                    callback = owner.callback
                done = self._give(callback, timer.fire, now)
            if not done:
                return

    def _wake(self, worker, now):
        return self._measure(worker, now) is DONE

    def _run_fds(self, ready, now):
        for fd, events in ready:
            if events & select.POLLNVAL:
                self._watch.offend("descriptor %d was closed and is still polled" % (fd,))
                self._watch.fatal = True
                self._process = False
                return
            handler = self._fds.get(fd)
            if handler is None:
                continue
            handler.deaf += 1
            if events & READ:
                handler.deaf = 0
                if not self._give(handler.read_callback, handler.read_callback, now):
                    return
            if events & WRITE:
                handler.deaf = 0
                if not self._give(handler.write_callback, handler.write_callback, now):
                    return
            if handler.deaf > watch.DEAF_LIMIT:
                self._watch.offend("descriptor %d is ready (%#x) and nobody listens: a spin"
                                   % (fd, events))
                self._watch.fatal = True
                self._process = False
                return

    @staticmethod
    def _collect():
        """Collects memory if that is due; whether it was."""
        young, middle, old = gc.get_count()
        if young < 700:
            return False
        gc.collect(0 if middle < 10 else 1 if old < 10 else 2)
        return True

    def _loop(self):
        busy = True
        while self._process:
            wait = 0.
            if not busy and not self._collect():
                due = min([timer.waketime for timer in self._timers], default=self.NEVER)
                wait = min(1., max(.001, due - self.monotonic()))
            ready = self._poll.poll(int(math.ceil(wait * 1000.)))
            now = self.monotonic()
            busy = bool(ready)
            if ready:
                self._run_fds(ready, now)
            if self._process and any(timer.waketime <= now for timer in self._timers):
                busy = True
                self._run_timers(now)

    def run(self):
        if self._pipe is None:
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[0], False)
            os.set_blocking(self._pipe[1], False)
            self.register_fd(self._pipe[0], self._rung)
        self._process = True
        self.no_pause = 0
        self._hub = greenlet.getcurrent()
        try:
            self._loop()
        finally:
            self._hub = None

    def end(self):
        self._process = False

    def finalize(self):
        """Ends all that is parked, as klippy does before it starts anew."""
        for worker in self._workers:
            if not worker.dead:
                worker.throw()
        self._workers = []
        self._idle = []
        for fd in self._pipe or ():
            os.close(fd)
        self._pipe = None

    def leaked(self):
        """Descriptors that are still registered: all but the reactor's own."""
        return [fd for fd in self._fds if self._pipe is None or fd != self._pipe[0]]
