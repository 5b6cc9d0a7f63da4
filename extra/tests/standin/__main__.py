"""Runs the stand-in: python -m standin CONFIG -a SOCKET -l LOG [--extras DIR]

SIGTERM ends it in order, with the same events as an exit. Exit codes: 0; 1 a second exception came
out of a callback; 3 there were offences, which are in the log.
"""

import argparse
import gc
import logging
import os
import signal
import sys

from . import printer, reactor, watch


def descriptors():
    return set(os.listdir('/proc/self/fd'))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    parser.add_argument('-a', dest='socket', required=True)
    parser.add_argument('-l', dest='log', required=True)
    parser.add_argument('--extras', help="the folder that holds the package `extras`")
    options = parser.parse_args()
    if options.extras:
        sys.path.insert(0, options.extras)
    logging.basicConfig(filename=options.log, level=logging.INFO,
                        format='%(asctime)s %(message)s')
    gc.disable()                        # the reactor collects
    judge = watch.Watch()
    before = descriptors()
    result = None
    while result not in ('exit', 'error_exit') and not judge.fatal:
        gc.collect()
        loop = reactor.Reactor(judge)
        host = printer.Printer(loop, {'config_file': options.config,
                                      'apiserver': options.socket})
        signal.signal(signal.SIGTERM,
                      lambda *_: loop.register_async_callback(lambda e: host.request_exit('exit')))
        logging.info("Start printer")
        result = host.run()
        for fd in loop.leaked():
            judge.offend("descriptor %d is still registered after klippy:disconnect" % (fd,))
        loop.finalize()
        host = loop = None
        gc.collect()
        for fd in descriptors() - before:
            # The one that `listdir` itself used is closed by now.
            if os.path.exists('/proc/self/fd/' + fd):
                judge.offend("descriptor %s is still open after klippy:disconnect" % (fd,))
        logging.info("Restarting printer" if result else "End")
    for name, seconds in sorted(judge.longest.items(), key=lambda item: -item[1])[:20]:
        logging.info("stand-in: longest %.2f ms: %s", seconds * 1e3, name)
    if judge.offences:
        return watch.EXIT_OFFENCE
    return 1 if result == 'error_exit' else 0


if __name__ == '__main__':
    sys.exit(main())
