"""What stands in for a traced function: one wrapper a function, of the same kind.

All wrappers begin with the gate: while nobody listens a call costs one truth test and the way through. A wrapper never
changes what the program sees: arguments, result and exception pass as they are.

A call is told only for what is traced: `names` (see labels.py) gives the label's number for the call's first argument, the
object, or the class of a class method.
"""

import collections
import inspect
import time

from .record import CALL, ERROR, FRAME, RESUME, RETURN, YIELD
from .values import ATOMS, BIG, TEXT, clean, exception_text, snapshot, snapshot_args, snapshot_kw, type_name

TB_FRAMES = 16


def dressed(wrapper, func):
    """The wrapper with the function's name, text and signature."""
    for name in ('__module__', '__name__', '__qualname__', '__doc__', '__annotations__'):
        try:
            setattr(wrapper, name, getattr(func, name))
        except Exception:
            pass  # a function of another make may lack it
    try:
        wrapper.__dict__.update(func.__dict__)
    except Exception:
        pass
    wrapper.__wrapped__ = func
    return wrapper


def kind_of(func):
    """'function', 'generator', 'coroutine', or 'async generator'."""
    if inspect.isgeneratorfunction(func):
        return 'generator'
    if inspect.iscoroutinefunction(func):
        return 'coroutine'
    if inspect.isasyncgenfunction(func):
        return 'async generator'
    return 'function'


def traceback_text(error):
    """Where an exception came from, the frames of wrappers left out. Reads no source files."""
    last = collections.deque(maxlen=TB_FRAMES)
    count = 0
    tb = error.__traceback__
    while tb is not None:
        if tb.tb_frame.f_code.co_filename != __file__:
            last.append(tb)
            count += 1
        tb = tb.tb_next
    lines = ['Traceback (most recent call last):']
    if count > len(last):
        lines.append('  ... %d more' % (count - len(last)))
    for tb in last:
        code = tb.tb_frame.f_code
        lines.append('  File "%s", line %d, in %s' % (code.co_filename, tb.tb_lineno, code.co_name))
    kind = type_name(type(error))
    text = exception_text(error)
    return clean('\n'.join(lines + ['%s: %s' % (kind, text) if text else kind]))


def failure(cid, now, label, strand, parent, depth, start, error):
    """The event of a call that ends with an exception."""
    try:
        where = traceback_text(error)
    except Exception:
        where = ''
    return (ERROR, cid, now, label, strand.tid, strand.gid, parent, depth, start, type_name(type(error)),
            exception_text(error), where)


def function(func, names, recorder, wire=None):
    """The wrapper of a function, which is called with its object first."""
    if wire is not None:
        return _wire(func, names, recorder, wire)
    kind = kind_of(func)
    if kind == 'generator':
        return dressed(_generator(func, names, recorder), func)
    if kind == 'coroutine':
        return dressed(_coroutine(func, names, recorder), func)
    return dressed(_function(func, names, recorder), func)


def _function(func, names, recorder, clock=time.monotonic_ns):
    live, queue, room, next_id, lose = recorder.live, recorder.queue, recorder.room, recorder.next_id, recorder.lose
    put, name_of, (current, missing) = queue.append, names.get, recorder.strands()
    kinds, of_kind = names.kinds, names.of_kind
    compiled = is_compiled(func)

    # Without a parameter for the object: taking it off and putting it on again doubles the cost of the way through.
    def wrapper(*args, **kw):
        if not live or not args:
            return func(*args, **kw) if kw else func(*args)
        label = name_of(id(args[0]))
        if label is None:
            if kinds:
                label = of_kind(args[0])
            if label is None:
                return func(*args, **kw) if kw else func(*args)
        if len(queue) >= room[0]:
            lose()
            return func(*args, **kw)
        try:
            strand = current()._k485
        except AttributeError:
            strand = missing(current())
        cid = next_id()
        parent = strand.call
        depth = strand.depth
        told = args[1:]
        for arg in told:
            kind = type(arg)
            if kind is int:
                if -BIG < arg < BIG:
                    continue
            elif kind is str or kind is bytes:
                if len(arg) <= TEXT:
                    continue
            elif kind in ATOMS or (kind is float and arg - arg == 0.0):
                continue
            told = snapshot_args(told)
            break
        start = clock()
        put((CALL, cid, start, label, strand.tid, strand.gid, parent, depth, told, snapshot_kw(kw) if kw else None))
        strand.call = cid
        strand.depth = depth + 1
        try:
            result = func(*args, **kw) if kw else func(*args)
        except BaseException as error:
            strand.call = parent
            strand.depth = depth
            put(failure(cid, clock(), label, strand, parent, depth, start, error))
            raise
        strand.call = parent
        strand.depth = depth
        kind = type(result)
        if (kind in ATOMS or kind is int and -BIG < result < BIG or (kind is str or kind is bytes) and len(result) <= TEXT
                or kind is float and result - result == 0.0):
            told = result
        else:
            if compiled and is_its_own(result, func):
                return continued(result, _Open(recorder, label, cid, start, parent, depth))
            told = snapshot(result)
        put((RETURN, cid, clock(), label, strand.tid, strand.gid, parent, depth, start, told))
        return result
    return wrapper


def free(func, names, recorder):
    """The wrapper of a function that has neither object nor class: a static method's."""
    kind = kind_of(func)
    live = recorder.live

    # The method form takes anything for its object, so it is given None, which falls off again.
    def call(_self, /, *args, **kw):
        return func(*args, **kw)

    if kind == 'generator':
        inner = _generator(call, names, recorder)

        def wrapper(*args, **kw):
            return (yield from inner(None, *args, **kw))
    elif kind == 'coroutine':
        inner = _coroutine(call, names, recorder)

        async def wrapper(*args, **kw):
            return await inner(None, *args, **kw)
    else:
        inner = _function(call, names, recorder)

        def wrapper(*args, **kw):
            if not live:
                return func(*args, **kw) if kw else func(*args)
            return inner(None, *args, **kw)
    return dressed(wrapper, func)


class _Open:
    """A call that is entered and left several times: a generator's or a coroutine's."""
    __slots__ = ('recorder', 'label', 'cid', 'start', 'parent', 'depth', 'strand', 'outer')

    def __init__(self, recorder, label, cid, start, parent, depth):
        self.recorder = recorder
        self.label = label
        self.cid = cid
        self.start = start
        self.parent = parent
        self.depth = depth
        self.strand = self.outer = None

    @classmethod
    def begun(cls, recorder, label, args, kw):
        """Tells the call, and is in it."""
        strand = recorder.here()
        call = cls(recorder, label, recorder.next_id(), time.monotonic_ns(), strand.call, strand.depth)
        call.strand = strand
        recorder.queue.append((CALL, call.cid, call.start, label, strand.tid, strand.gid, call.parent, call.depth,
                               snapshot_args(args), snapshot_kw(kw) if kw else None))
        call.enter()
        return call

    def enter(self):
        strand = self.strand
        self.outer = (strand.call, strand.depth)
        strand.depth += 1
        strand.call = self.cid

    def leave(self):
        self.strand.call, self.strand.depth = self.outer

    def suspend(self, value):
        self.leave()
        self._put(YIELD, snapshot(value))

    def resume(self):
        self.strand = self.recorder.here()
        self._put(RESUME, None)
        self.enter()

    def _put(self, kind, value):
        recorder = self.recorder
        if not recorder.live:
            return
        if len(recorder.queue) >= recorder.room[0]:
            recorder.lose(1)
            return
        strand = self.strand
        recorder.queue.append((kind, self.cid, time.monotonic_ns(), self.label, strand.tid, strand.gid, value))

    def end(self, result):
        self.leave()
        strand = self.strand
        self.recorder.queue.append((RETURN, self.cid, time.monotonic_ns(), self.label, strand.tid, strand.gid,
                                    self.parent, self.depth, self.start, snapshot(result)))

    def fail(self, error):
        self.leave()
        self.recorder.queue.append(failure(self.cid, time.monotonic_ns(), self.label, self.strand, self.parent,
                                           self.depth, self.start, error))


def _opened(self, names, recorder, args, kw):
    """The open call, or None if it is not told."""
    if not recorder.live:
        return None
    label = names.get(id(self))
    if label is None:
        label = names.of_kind(self)
        if label is None:
            return None
    if len(recorder.queue) >= recorder.room[0]:
        recorder.lose()
        return None
    return _Open.begun(recorder, label, args, kw)


def driven(inner, call):
    """Drives a generator or a coroutine, telling each time it stops and goes on. `call` is open and entered."""
    send, value = inner.send, None
    while True:
        try:
            given = send(value)
        except StopIteration as stop:
            call.end(stop.value)
            return stop.value
        except BaseException as error:
            call.fail(error)
            raise
        call.suspend(given)
        try:
            value = yield given
            send = inner.send
        except GeneratorExit as error:
            call.resume()
            try:
                inner.close()
            except BaseException as other:
                call.fail(other)
                raise
            call.fail(error)
            raise
        except BaseException as error:
            value, send = error, inner.throw
        call.resume()


class _Awaited:
    """An awaitable that drives a coroutine."""
    __slots__ = ('inner', 'call')

    def __init__(self, inner, call):
        self.inner = inner
        self.call = call

    def __await__(self):
        return driven(self.inner, self.call)


def is_compiled(func):
    """Whether a function is of Cython's own type. What it gives for a generator function is one that returns."""
    return 'cython_function' in type_name(type(func)) or 'cyfunction' in type_name(type(func))


def is_its_own(result, func):
    """Whether a compiled function has returned its own generator or coroutine, and not one from elsewhere."""
    if type_name(type(result)) not in ('generator', 'coroutine'):
        return False
    try:
        return result.__qualname__ == func.__qualname__
    except AttributeError:
        return False


def continued(inner, call):
    """A generator or coroutine in place of a compiled function's own."""
    if type_name(type(inner)) == 'coroutine':
        async def wait():
            call.resume()
            return await _Awaited(inner, call)
        return wait()

    def walk():
        call.resume()
        return (yield from driven(inner, call))
    return walk()


def _generator(func, names, recorder):
    def wrapper(self, /, *args, **kw):
        call = _opened(self, names, recorder, args, kw)
        if call is None:
            return (yield from func(self, *args, **kw))
        try:
            inner = func(self, *args, **kw)
        except BaseException as error:
            call.fail(error)
            raise
        return (yield from driven(inner, call))
    return wrapper


def _coroutine(func, names, recorder):
    async def wrapper(self, /, *args, **kw):
        call = _opened(self, names, recorder, args, kw)
        if call is None:
            return await func(self, *args, **kw)
        try:
            inner = func(self, *args, **kw)
        except BaseException as error:
            call.fail(error)
            raise
        return await _Awaited(inner, call)
    return wrapper


def _wire(func, names, recorder, wire):
    """The wrapper of a function that sends a frame: `wire` (see frames.py) says which bytes, and which are not told.

    The frames are told for each object in `wire.objects`, its calls only if it is in `names`, too.
    """
    live, queue, room, here = recorder.live, recorder.queue, recorder.room, recorder.here

    def sent(self, /, *args, **kw):
        # Inside the call's own wrapper, so that the frame's parent is the call.
        strand = here()
        source = wire.objects.get(id(self))
        data = None if source is None or strand.sending or not wire.sends else wire.request(args, kw)
        if data is None:
            return func(self, *args, **kw)
        if len(queue) >= room[0]:
            recorder.lose(1)
        else:
            queue.append((FRAME, time.monotonic_ns(), source, strand.tid, strand.gid, strand.call, 0, data))
        strand.sending = True
        try:
            result = func(self, *args, **kw)
        finally:
            strand.sending = False
        reply = wire.reply(result)
        if reply is not None:
            if len(queue) >= room[0]:
                recorder.lose(1)
            else:
                queue.append((FRAME, time.monotonic_ns(), source, strand.tid, strand.gid, strand.call, 1, reply))
        return result

    told = _function(sent, names, recorder)

    def wrapper(self, /, *args, **kw):
        if not live or wire.hidden(args, kw):
            return func(self, *args, **kw)
        return told(self, *args, **kw)
    return dressed(wrapper, func)
