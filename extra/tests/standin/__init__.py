"""A small stand-in for klippy, the host of Klipper, for tests of extras.

It is written from how klippy behaves towards an extra, and shares no code with it. What an extra can
rely on is here: the reactor with its greenlets, timers, descriptors and completions; G-code with
extended and mux commands; the configuration with its check for unused options; printer objects and
events; RESTART in the same process; the shutdown state; the API socket.

Where klippy would carry on harmed, the stand-in is a judge: it ends with an exit code of its own
when a descriptor was closed but is still polled, when a callback took too long or let an exception
out. `watch.py` has the rules.
"""
