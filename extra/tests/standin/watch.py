"""What the stand-in does not let pass: the rules for callbacks of the reactor.

An offence is logged at once as a line `stand-in: OFFENCE: ...`, and the process ends with
`EXIT_OFFENCE` when it ends.
"""

import logging
import time

EXIT_OFFENCE = 3

# Processor time of one callback between two switches of greenlets, seconds. Processor time and not
# time: what a loaded machine takes away is not the callback's fault.
CALLBACK_LIMIT = 0.005
# A G-code command runs in a callback too, but is a person's single wish. Those of the tracer are
# done in slices, however much there is to do: for them the limit is a callback's.
COMMAND_LIMIT = 0.100
SLICED = 'TRACE_'
# A callback that waits takes no processor time: a blocking send, a lock, a sleep. Seconds, and so
# many that no busy machine takes them away.
WAIT_LIMIT = 4.
# A descriptor that polls as ready so often in a row, and no callback of it was run: the loop spins.
DEAF_LIMIT = 200


class Watch:
    """Collects offences. One for the process: it outlives a RESTART."""

    def __init__(self):
        self.offences = []
        self.longest = {}
        self.fatal = False

    def offend(self, text):
        self.offences.append(text)
        logging.error("stand-in: OFFENCE: %s", text)

    def took(self, callback, seconds, waited):
        """A callback ran for so much processor time, and for so much time on the clock."""
        name = name_of(callback)
        if waited > WAIT_LIMIT and waited > 10 * seconds:
            self.offend("%s kept the reactor waiting for %.1f s" % (name, waited))
        if seconds > self.longest.get(name, 0.):
            self.longest[name] = seconds
        limit = getattr(callback, 'standin_limit', CALLBACK_LIMIT)
        if seconds > limit:
            self.offend("%s took %.1f ms of processor time, allowed are %.0f"
                        % (name, seconds * 1e3, limit * 1e3))


def name_of(callback):
    while hasattr(callback, 'func'):        # functools.partial
        callback = callback.func
    module = getattr(callback, '__module__', None) or '?'
    name = getattr(callback, '__qualname__', None) or type(callback).__qualname__
    return "%s.%s" % (module, name)


cpu_time = time.thread_time
clock = time.monotonic
