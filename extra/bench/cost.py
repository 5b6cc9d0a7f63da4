#!/usr/bin/env python3
"""What tracing costs: time added to a call, and processor time until a client in another process has it.

    python3 extra/bench/cost.py [--calls 200000] [--rounds 5]

Each mode runs in a process of its own, rounds of all modes take turns, and the best round counts: other programs on the
machine only ever add. All figures are processor time of the traced process: a wall clock would measure who else is on the
machine. `added` is what a call takes over a plain one; `cpu` is that plus formatting, sending and all turns of the loop until
the client has the events.
"""

import argparse
import gc
import json
import os
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXTRA = os.path.dirname(HERE)
sys.path[:0] = [EXTRA, os.path.join(EXTRA, 'tests')]

BURST = 500  # calls between two turns of the host's loop
MODES = ('plain', 'installed', 'json', 'binary')


class Target:
    def meth(self, number, factor):
        return number + factor


def client(port, binary, calls):
    """Reads until every call and return is here; prints how many came and how many were dropped."""
    sock = socket.create_connection(('127.0.0.1', port))
    if binary:
        sock.sendall(b'{"k485": "hello", "wire": "binary"}\n')
    got, dropped, rest, chunks = 0, 0, b'', False
    while got + dropped < 2 * calls:
        data = sock.recv(1 << 20)
        if not data:
            break
        rest += data
        while not chunks:
            line, newline, after = rest.partition(b'\n')
            if not newline:
                break
            rest = after
            kind = line[:20]
            if kind.startswith(b'{"type": "wire"'):
                chunks = True
            elif kind.startswith((b'{"type": "call"', b'{"type": "return"')):
                got += 1
            elif kind.startswith(b'{"type": "dropped"'):
                dropped += json.loads(line)['count']
        while chunks and len(rest) >= 5:
            kind, size = struct.unpack_from('<BI', rest)
            if len(rest) < 5 + size:
                break
            if kind == 0x45:
                got += struct.unpack_from('<QqI', rest, 5)[2]
            elif kind == 0x44:
                first, last = struct.unpack_from('<QQ', rest, 5)
                dropped += last - first + 1
            rest = rest[5 + size:]
    print(got, dropped)


def run(mode, calls):
    """One round of one mode: (ns in the call, ns of processor time), each a call."""
    from little_host import Printer
    target = Target()
    printer = Printer(auto_start=mode in ('json', 'binary'), client_buffer_kb=16384).start({'box': target})
    reactor, hooks = printer.reactor, printer.hooks
    if mode != 'plain':
        printer.run('TRACE_ALL OBJECT=box')
    reader = None
    if mode in ('json', 'binary'):
        reader = subprocess.Popen(
            [sys.executable, __file__, '--client', str(hooks.server.address[1]), mode, str(calls)],
            stdout=subprocess.PIPE, universal_newlines=True)
        reactor.run_until(lambda: hooks.server.clients and (mode == 'json' or hooks.server.clients[0].binary))
    clock, step = time.process_time_ns, reactor.step
    burst = range(BURST)
    queue = hooks.recorder.queue
    inside = 0
    gc.collect()
    cpu = time.process_time_ns()
    for number in range(calls // BURST):
        start = clock()
        for index in burst:
            target.meth(index, 2)
        inside += clock() - start
        if reader is not None:
            # No faster than the ticks allow, else events are dropped and cost less.
            step()
            while len(queue) > 8000 or hooks.server.clients[0].size > 1 << 20:
                step(0.005)
    if reader is not None:
        reactor.run_until(lambda: not hooks.recorder.queue and not hooks.server.clients[0].size, 60)
        cpu = time.process_time_ns() - cpu
        reactor.run_until(lambda: reader.poll() is not None, 60)
        got, dropped = map(int, reader.communicate()[0].split())
        if dropped:
            sys.exit('%d events of %d were dropped: the figures would be of no use' % (dropped, got + dropped))
    else:
        cpu = time.process_time_ns() - cpu
    return inside / calls, cpu / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--calls', type=int, default=200000)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--one', choices=MODES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    calls = options.calls // BURST * BURST
    if options.one:
        print(json.dumps(run(options.one, calls)))
        return
    best = {}
    for _ in range(options.rounds):
        for mode in MODES:
            out = subprocess.run([sys.executable, __file__, '--one', mode, '--calls', str(calls)],
                                 stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout
            figures = json.loads(out)
            known = best.setdefault(mode, figures)
            best[mode] = [min(pair) for pair in zip(known, figures)]
    print('Python %d.%d.%d, %d calls, best of %d' % (*sys.version_info[:3], calls, options.rounds))
    print('%-28s %10s %10s %8s %10s' % ('mode', 'call ns', 'added ns', 'ratio', 'cpu ns'))
    names = {'plain': 'plain', 'installed': 'nobody listening', 'json': 'draining client, JSON',
             'binary': 'draining client, binary'}
    plain = best['plain']
    for mode in MODES:
        inside, cpu = best[mode]
        print('%-28s %10.0f %10.0f %7.1fx %10.0f' % (names[mode], inside, inside - plain[0], inside / plain[0],
                                                    max(0, cpu - plain[1])))


if __name__ == '__main__':
    if sys.argv[1:2] == ['--client']:
        client(int(sys.argv[2]), sys.argv[3] == 'binary', int(sys.argv[4]))
    else:
        main()
