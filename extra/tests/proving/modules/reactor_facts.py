"""Asks the reactor how it behaves, and answers as one line of JSON. And it misbehaves, on demand."""

import json
import os
import socket
import threading
import time


class ReactorFacts:
    def __init__(self, config):
        self.printer = config.get_printer()
        self.reactor = self.printer.get_reactor()
        gcode = self.printer.lookup_object('gcode')
        gcode.register_command('FACTS', self.cmd_FACTS, desc="asks the reactor")
        gcode.register_command('MISBEHAVE', self.cmd_MISBEHAVE, desc="does what no module may")
        self.kept = []

    def wait(self, seconds=0.05):
        return self.reactor.pause(self.reactor.monotonic() + seconds)

    def cmd_FACTS(self, gcmd):
        facts = {name[5:]: getattr(self, name)() for name in sorted(dir(self))
                 if name.startswith('fact_')}
        gcmd.respond_info('FACTS: ' + json.dumps(facts, sort_keys=True), log=False)

    def fact_timers_run_in_the_order_of_registration(self):
        said = []
        now = self.reactor.monotonic()

        def timer(name):
            def run(eventtime):
                said.append(name)
                return self.reactor.NEVER
            return run
        # The later one is due first; both are due when the reactor looks next.
        timers = [self.reactor.register_timer(timer('a'), now - 1.),
                  self.reactor.register_timer(timer('b'), now - 2.)]
        self.wait()
        for each in timers:
            self.reactor.unregister_timer(each)
        return said

    def fact_a_running_timer_is_not_updated(self):
        times = []

        def run(eventtime):
            times.append(eventtime)
            self.reactor.update_timer(timer, self.reactor.NOW)
            return self.reactor.NEVER
        timer = self.reactor.register_timer(run, self.reactor.NOW)
        self.wait()
        once = len(times)
        self.reactor.update_timer(timer, self.reactor.NOW)
        self.wait()
        self.reactor.unregister_timer(timer)
        return [once, len(times)]

    def fact_unregistering_twice(self):
        timer = self.reactor.register_timer(lambda e: self.reactor.NEVER)
        self.reactor.unregister_timer(timer)
        try:
            self.reactor.unregister_timer(timer)
        except Exception as problem:
            return type(problem).__name__

    def fact_completions(self):
        late = self.reactor.completion()
        due = self.reactor.register_callback(lambda e: late.complete('done'),
                                             self.reactor.monotonic() + 0.05)
        never = self.reactor.completion()
        return [never.wait(self.reactor.monotonic() + 0.02, 'in vain'), late.test(), late.wait(),
                late.test(), due.wait(), self.reactor.register_callback(lambda e: 7).wait()]

    def fact_others_run_while_one_waits(self):
        said = []
        self.reactor.register_callback(lambda e: said.append('other'))
        before = self.reactor.monotonic()
        said.append('before')
        after = self.wait()
        said.append('after')
        return said + [after >= before + 0.05, abs(after - self.reactor.monotonic()) < 5.]

    def fact_a_mutex_is_first_come_first_served(self):
        said = []
        mutex = self.reactor.mutex()

        def want(name):
            def run(eventtime):
                with mutex:
                    said.append(name)
                    self.wait(0.01)
            return run
        mutex.lock()
        done = [self.reactor.register_callback(want(name)) for name in 'abc']
        self.wait()
        said.append('unlocked')
        mutex.unlock()
        for each in done:
            each.wait()
        return said + [mutex.test()]

    def fact_files(self):
        """Both ways ready in one round: read, then write, also where reading ended it."""
        said = []
        ours, theirs = socket.socketpair()
        ours.setblocking(False)

        def on_read(*args):
            said.append(['read', len(args), type(args[0]).__name__])
            ours.recv(100)
            self.reactor.unregister_fd(handle)

        def on_write(*args):
            said.append(['write', len(args), type(args[0]).__name__])
        handle = self.reactor.register_fd(ours.fileno(), on_read, on_write)
        self.wait(0.02)
        silent = len(said)
        self.reactor.set_fd_wake(handle, False, False)
        theirs.send(b'x')
        self.wait(0.02)
        deaf = len(said)
        self.reactor.set_fd_wake(handle, True, True)
        self.wait(0.02)
        ours.close()
        theirs.close()
        return [silent, deaf] + said

    def fact_only_a_handler_is_unregistered(self):
        reading, writing = os.pipe()
        handle = self.reactor.register_fd(reading, lambda e: None)
        try:
            self.reactor.unregister_fd(reading)
        except Exception as problem:
            said = type(problem).__name__
        self.reactor.unregister_fd(handle)
        os.close(reading)
        os.close(writing)
        return said

    def fact_foreign_threads(self):
        done = self.reactor.completion()
        mine = threading.get_ident()

        def foreign():
            self.reactor.register_async_callback(
                lambda e: self.reactor.async_complete(done, threading.get_ident() == mine))
        thread = threading.Thread(target=foreign)
        thread.start()
        thread.join()
        start = time.monotonic()
        return [done.wait(self.reactor.monotonic() + 20., 'in vain'), time.monotonic() - start < 10.]

    # What the judge has to find

    def cmd_MISBEHAVE(self, gcmd):
        getattr(self, 'do_' + gcmd.get('HOW'))()

    def do_slow(self):
        self.reactor.register_callback(self.slow)

    def slow(self, eventtime):
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass

    def do_wait(self):
        self.reactor.register_callback(lambda e: time.sleep(4.5))

    def do_raise(self):
        self.reactor.register_callback(lambda e: 1 // 0)

    def do_close(self):
        ends = os.pipe()
        self.reactor.register_fd(ends[0], lambda e: None)
        for fd in ends:
            os.close(fd)

    def do_keep_registered(self):
        self.kept = os.pipe()
        self.reactor.register_fd(self.kept[0], lambda e: None)

    def do_keep_open(self):
        self.kept = os.pipe()

    def do_deaf(self):
        """Ready with an error that is neither input nor room: nobody is called, for ever."""
        reading, writing = os.pipe()
        handle = self.reactor.register_fd(writing, lambda e: None)
        self.reactor.set_fd_wake(handle, False, False)
        os.close(reading)
        self.kept = (writing, handle)


def load_config(config):
    return ReactorFacts(config)
