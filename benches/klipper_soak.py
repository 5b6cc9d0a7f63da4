#!/usr/bin/env python3
"""A real Klipper that is traced for a long time, with clients as they come.

Klippy runs from the checkout that K485_KLIPPER names (extra/tests/README.md says what has to be in
it), with the Linux-process MCU, the extra, and a module that calls traced methods about as often as
the vendor's host does: some 900 calls a second. If `k485` is built, a host's serial module drives an
emulated bus, too. Three clients listen:

- one that reads all the time;
- one that reads nothing for minutes, then all there is, then nothing again;
- one that connects, reads for a while, and goes: in order, with a reset, or after sending rubbish.

In the middle there is a RESTART, and a second one with FIRMWARE_RESTART at three quarters. What must
hold, at every moment:

- klippy is ready, nothing in its log is a traceback or a shutdown;
- every line is whole and valid JSON; each client gets every event's number in order, or a `dropped`
  line that counts it; the one that reads all the time gets every call that was made, by number;
- its processor time stays below a limit, also when nothing is called and a client is stalled;
- its memory is flat;
- the tracer holds the host for 2 ms of processor time and no longer, by its own account
  (TRACE_STATUS); in one of a hundred it may be longer, as on a virtual machine that another has
  stopped for a while.

How late a 50 ms timer of the host is at most is told with what the host's thread did meanwhile: it
ran (then it was the host or the tracer), or it waited for a processor (then it was the machine). While
klippy connects it is late of itself; that is told apart.

usage: klipper_soak.py MINUTES [--rate CALLS_PER_SECOND] [--keep DIR]

Exit codes: 0 all held; 1 something did not; 2 it could not run.
"""

import argparse
import json
import pathlib
import random
import re
import socket
import statistics
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'extra/tests/proving'))

import bus as buses                                     # noqa: E402
import client as clients                                # noqa: E402
import host as hosts                                    # noqa: E402

BEAT = 0.1                      # seconds between two bursts of calls
SPIN = 0.6                      # of a processor: no load of ours comes near
IDLE_SPIN = 0.25
HELD = 0.01                     # share of the ticks and commands that may take longer than 2 ms
GROWTH = 4096                   # kB that memory may grow from a half's second quarter to its last


class Complaint(Exception):
    """Something did not hold."""


class Numbers:
    """The events of one connection: each has its number, or was counted as dropped."""

    def __init__(self):
        self.next = None
        self.events = 0
        self.dropped = 0
        self.calls = 0
        self.returns = 0
        self.rest = b''

    def feed(self, data):
        lines = (self.rest + data).split(b'\n')
        self.rest = lines.pop()
        for line in lines:
            self.line(line)

    def line(self, text):
        try:
            event = json.loads(text.decode('utf-8'))
        except ValueError:
            raise Complaint("no line of JSON: %r" % (text[:200],))
        kind = event['type']
        if kind == 'connected':
            self.next = event['seq']
            return
        first = event['from'] if kind == 'dropped' else event['seq']
        if first != self.next:
            raise Complaint("event %d is missing: after %d came %d" % (self.next, self.next - 1,
                                                                       first))
        if kind == 'dropped':
            self.dropped += event['count']
            if event['to'] - event['from'] + 1 != event['count']:
                raise Complaint("dropped counts wrong: %r" % (event,))
        else:
            self.events += 1
            if event.get('method') == 'text':
                self.calls += kind == 'call'
                self.returns += kind == 'return'
        self.next = first + (event['count'] if kind == 'dropped' else 1)


class Listener(threading.Thread):
    """A client in a thread of its own; what goes wrong there is kept for the main one."""

    def __init__(self, port, stop):
        super().__init__(daemon=True)
        self.port = port
        self.stop = stop
        self.problem = None
        self.connections = 0
        self.events = self.dropped = self.calls = self.returns = 0

    def run(self):
        try:
            self.listen()
        except Complaint as problem:
            self.problem = "%s: %s" % (type(self).__name__, problem)
        except Exception as problem:
            self.problem = "%s: %s: %s" % (type(self).__name__, type(problem).__name__, problem)

    def open(self, buffer=None):
        """A connection, or None if it is time to end."""
        while not self.stop.is_set():
            try:
                sock = clients.connect(self.port, 0.5, buffer)
            except AssertionError:
                continue                # the host restarts
            sock.settimeout(0.2)
            self.connections += 1
            return sock
        return None

    def read(self, sock, numbers, until):
        """Reads until it is time, or the host ends the connection. True if it did."""
        while time.monotonic() < until and not self.stop.is_set():
            try:
                data = sock.recv(1 << 16)
            except socket.timeout:
                continue
            except OSError:
                data = b''
            if not data:
                return True
            numbers.feed(data)
        return False

    def add(self, numbers):
        self.events += numbers.events
        self.dropped += numbers.dropped
        self.calls += numbers.calls
        self.returns += numbers.returns


class Draining(Listener):
    def listen(self):
        while True:
            sock = self.open()
            if sock is None:
                return
            numbers = self.numbers = Numbers()
            try:
                self.read(sock, numbers, float('inf'))
            finally:
                self.add(numbers)
                self.numbers = None
            sock.close()

    def seen(self):
        """(calls, returns) so far."""
        numbers = getattr(self, 'numbers', None)
        return (self.calls + (numbers.calls if numbers else 0),
                self.returns + (numbers.returns if numbers else 0))


class Stalled(Listener):
    still = 60.

    def listen(self):
        sock, numbers = None, Numbers()
        while not self.stop.is_set():
            if sock is None:
                sock, numbers = self.open(4096), Numbers()
                if sock is None:
                    break
            self.stop.wait(self.still)
            if self.read(sock, numbers, time.monotonic() + 10.):
                self.add(numbers)
                sock.close()
                sock = None
        self.add(numbers)


class Reconnecting(Listener):
    def __init__(self, port, stop, chance):
        super().__init__(port, stop)
        self.chance = chance

    def listen(self):
        while True:
            sock = self.open()
            if sock is None:
                return
            numbers = Numbers()
            how = self.chance.choice(('close', 'reset', 'rubbish', 'half', 'at once'))
            try:
                if how == 'rubbish':
                    sock.sendall(bytes(self.chance.randrange(256) for _ in range(3000)) + b'\n')
                if how != 'at once':
                    self.read(sock, numbers, time.monotonic() + self.chance.uniform(0.1, 5.))
                if how == 'half':
                    sock.shutdown(socket.SHUT_WR)
                    self.read(sock, numbers, time.monotonic() + 1.)
            except OSError:
                pass
            self.add(numbers)
            if how == 'reset':
                clients.reset(sock)
            else:
                sock.close()


class Soak:
    def __init__(self, options, folder):
        self.options = options
        self.bus = buses.Bus(folder) if buses.binary() else None
        sections = ''
        if self.bus:
            sections = '[serial_485 serial485]\nserial: %s\n[box]\nboxes: 1, 2' % (self.bus.host,)
        self.host = hosts.Klipper(folder / 'host', sections=sections,
                                  options={'auto_start': 'True'})
        self.made = 0
        self.samples = []               # (seconds, CPU share, kB)
        self.late = []                  # (seconds, ran, waited) of each sample
        self.connecting = []            # the same, while klippy connected
        # ms of time and of processor time, how many took longer than 2 ms of that, and of how many
        self.held = {'tick': (0., 0., 0, 0), 'command': (0., 0., 0, 0)}
        self.longest = 0.
        self.start = self.last = time.monotonic()

    def trace(self):
        self.connecting.append(self.host.prove(do='late')['value'])
        for name in ('motor_left', 'motor_right', 'motor_geared', 'box', 'serial_485_serial485'):
            self.host.gcode('TRACE_DEEP OBJECT=%s' % (name,))

    def check_held(self):
        """The longest that the tracer held this klippy, by its own account."""
        status = self.host.text('TRACE_STATUS')
        for what in self.held:
            took, work, over, count = map(float, re.search(
                what + r': ([0-9.]+) ms, ([0-9.]+) ms .*?: (\d+) of (\d+)', status).groups())
            known = self.held[what]
            self.held[what] = (max(known[0], took), max(known[1], work), known[2] + over,
                               known[3] + count)
            if over > max(1, count * HELD):
                raise Complaint("%d of %d %ss took more than 2 ms of processor time"
                                % (over, count, what))
        self.late.append(self.host.prove(do='late')['value'])

    def beat(self):
        """One burst of calls, and sometimes something else."""
        burst = max(1, int(self.options.rate * BEAT))
        self.host.call('text', 'Tn_action', [1, 2, {'a': b'x'.hex()}], on='motor_left', n=burst)
        self.made += burst
        if self.bus and self.made // burst % 5 == 0:
            self.host.gcode('BOX_POLL')
        if self.made // burst % 50 == 0:
            self.host.gcode('MOTOR_MOVE BY=1')
            if self.bus:
                self.host.gcode('BOX_REPORT')

    def sample(self, cpu):
        now = time.monotonic()
        total = self.host.cpu()
        share = (total - cpu[0]) / (now - cpu[1])
        cpu[:] = [total, now]
        self.samples.append((now - self.start, share, self.host.rss()))
        self.late.append(self.host.prove(do='late')['value'])
        if share > SPIN:
            raise Complaint("%.0f %% of a processor" % (share * 100,))
        if self.host.state != 'ready':
            raise Complaint("klippy is %s: %s" % (self.host.state,
                                                  self.host.info()['state_message']))
        return share

    def load(self, seconds, listeners):
        cpu = [self.host.cpu(), time.monotonic()]
        end = time.monotonic() + seconds
        told = time.monotonic()
        while time.monotonic() < end:
            begun = time.monotonic()
            self.beat()
            took = time.monotonic() - begun
            self.longest = max(self.longest, took)
            time.sleep(max(0., BEAT - took))
            if time.monotonic() - cpu[1] > 10:
                self.sample(cpu)
            for listener in listeners:
                if listener.problem:
                    raise Complaint(listener.problem)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                _, share, rss = self.samples[-1]
                print("%5.1f min: %d calls, %.0f %% of a processor, %d kB"
                      % ((told - self.start) / 60, self.made, share * 100, rss),
                      file=sys.stderr, flush=True)

    def run(self, listeners, stop):
        minutes = self.options.minutes
        self.host.start()
        self.trace()
        draining, stalled, reconnecting = listeners
        stalled.still = min(120., minutes * 60 / 6)
        for listener in listeners:
            listener.start()
        hosts.wait_for(lambda: draining.connections, "the first client")
        parts = [(0.5, 'RESTART'), (0.25, 'FIRMWARE_RESTART'), (0.25, None)]
        for share, command in parts:
            self.load(minutes * 60 * share, listeners)
            self.check_complete(draining)
            self.check_held()
            if command:
                self.check_idle()
                before = draining.connections
                self.host.restart(command)
                if 'motor_left' in self.host.text('TRACE_LIST'):
                    raise Complaint("traces survive " + command)
                hosts.wait_for(lambda: draining.connections > before, "the client to be back")
                self.trace()
        # The stalled one wakes a last time.
        stop.set()
        for listener in listeners:
            listener.join(60)
            if listener.problem:
                raise Complaint(listener.problem)
        self.check_memory()
        complaints = [c for c in self.host.verdict()]
        if complaints:
            raise Complaint('; '.join(complaints))

    def check_complete(self, draining):
        def all_there():
            return draining.seen() == (self.made, self.made) or draining.problem
        try:
            hosts.wait_for(all_there, "all calls", 20)
        except AssertionError:
            raise Complaint("made %d calls, the client has %s" % (self.made, draining.seen()))

    def check_idle(self):
        before, start = self.host.cpu(), time.monotonic()
        time.sleep(5.)
        share = (self.host.cpu() - before) / (time.monotonic() - start)
        self.idle = share
        if share > IDLE_SPIN:
            raise Complaint("%.0f %% of a processor while nothing is called" % (share * 100,))

    def check_memory(self):
        """Flat within each part: a RESTART builds a second printer in the process."""
        half = [kb for at, _, kb in self.samples if at < self.options.minutes * 30]
        if len(half) < 8:
            return
        quarter = len(half) // 4
        early = statistics.median(half[quarter:2 * quarter])
        late = statistics.median(half[-quarter:])
        self.growth = late - early
        if self.growth > GROWTH:
            raise Complaint("memory grew from %d to %d kB" % (early, late))


def told(late):
    """The worst of some latenesses."""
    return "%.1f ms, the thread ran for %.1f ms and waited for a processor for %.1f ms" % tuple(
        seconds * 1e3 for seconds in max(late or [(0., 0., 0.)]))


def main():
    parser = argparse.ArgumentParser(description="Traces a real Klipper for a long time.")
    parser.add_argument('minutes', type=float)
    parser.add_argument('--rate', type=int, default=900)
    parser.add_argument('--keep')
    options = parser.parse_args()
    checkout, why = hosts.klipper()
    if checkout is None:
        print("klipper_soak.py: K485_KLIPPER is %s" % (why,), file=sys.stderr)
        return 2
    folder = pathlib.Path(options.keep or tempfile.mkdtemp(prefix='k485-soak-'))
    folder.mkdir(parents=True, exist_ok=True)
    soak = Soak(options, folder)
    stop = threading.Event()
    port = soak.host.port
    listeners = [Draining(port, stop), Stalled(port, stop),
                 Reconnecting(port, stop, random.Random(485))]
    problem = None
    try:
        soak.run(listeners, stop)
    except (Complaint, AssertionError, hosts.GcodeError, OSError) as error:
        problem = error
    finally:
        stop.set()
        soak.host.stop()
        if soak.bus:
            soak.bus.close()
    shares = [share for _, share, _ in soak.samples] or [0.]
    memory = [kb for _, _, kb in soak.samples] or [0]
    print("%.1f minutes, %d calls made" % ((time.monotonic() - soak.start) / 60, soak.made))
    for listener in listeners:
        print("%-13s %6d connections, %9d events, %9d dropped and counted"
              % (type(listener).__name__ + ':', listener.connections, listener.events,
                 listener.dropped))
    print("processor: mean %.1f %%, most %.1f %% (10 s); idle with a stalled client %.1f %%"
          % (statistics.mean(shares) * 100, max(shares) * 100, getattr(soak, 'idle', 0.) * 100))
    print("memory: %d kB first, %d kB last, %d kB most; from the first half's second quarter to its"
          " last %+d kB" % (memory[0], memory[-1], max(memory), getattr(soak, 'growth', 0)))
    print("a 50 ms timer of the host was late by at most %.1f ms in most 10 s; at worst by %s"
          % (statistics.median([late for late, _, _ in soak.late] or [0.]) * 1e3, told(soak.late)))
    print("while klippy connected: by %s; the longest burst took %.0f ms"
          % (told(soak.connecting), soak.longest * 1e3))
    print("the tracer held the host at most: %s" % ('; '.join(
        "a %s %.2f ms, %.2f ms of processor time (more than 2: %d of %d)" % (what, *held)
        for what, held in soak.held.items()),))
    if problem is not None:
        print("FAILED: %s: %s" % (type(problem).__name__, problem))
        print("the log is %s" % (soak.host.log_path,))
        return 1
    print("all held")
    return 0


if __name__ == '__main__':
    sys.exit(main())
