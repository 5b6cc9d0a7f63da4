"""Wrappers in classes: each of its kind, one a function, labels by object, and gone without a trace."""

import asyncio
import functools
import inspect
import sys
import threading

import pytest
from trace_hooks import patch
from trace_hooks.frames import Polling
from trace_hooks.patch import Patcher, Refused, methods, sites, undo_all
from trace_hooks.record import CALL, ERROR, FRAME, RESUME, RETURN, YIELD, Recorder


@pytest.fixture
def tracer():
    recorder = Recorder()
    recorder.live.append(True)
    yield Patcher(recorder, Polling())
    undo_all()
    assert not sites()


def taken(tracer):
    """What was recorded, as (kind, object, method, ...)."""
    events = tracer.recorder.take(10000)
    assert tracer.recorder.loss() is None
    out = []
    for event in events:
        label = tracer.recorder.labels[event[2 if event[0] == FRAME else 3]]
        out.append((event, label))
    return out


def told(tracer):
    names = {CALL: 'call', RETURN: 'return', ERROR: 'error', YIELD: 'yield', RESUME: 'resume', FRAME: 'frame'}
    return [(names[event[0]], label.object, label.method) for event, label in taken(tracer)]


def make():
    """Classes of their own for each test."""
    class Base:
        def shared(self, number, *rest, key=None):
            """Text."""
            return number

        def _private(self):
            return 'private'

        @staticmethod
        def static(one, two):
            return one + two

        @classmethod
        def of_class(cls, what=0):
            return cls.__name__, what

        @property
        def size(self):
            return 7

        @size.setter
        def size(self, value):
            self.set_to = value

        def numbers(self, most):
            try:
                for number in range(most):
                    got = yield number
                    if got:
                        yield got
                return 'end'
            finally:
                self.finished = True

        async def wait(self, what):
            await asyncio.sleep(0)
            return what

        async def stream(self):
            yield 1

        def fail(self, error):
            raise error

        alias = shared
        constant = 5
        tool = functools.partial(int, base=16)
        clock = len

    class Child(Base):
        def shared(self, number, *rest, key=None):
            return super().shared(number + 1)

    return Base, Child


def test_what_is_a_method():
    base, child = make()
    public = ['alias', 'fail', 'numbers', 'of_class', 'shared', 'static', 'stream', 'wait']
    assert methods(base) == methods(child) == public
    assert methods(base, private=True) == ['_private'] + public
    assert methods(dict) == methods(threading.Thread) == []


def test_each_kind_stays_what_it_is(tracer):
    base, child = make()
    obj, before = child(), dict(base.__dict__)
    kinds = {name: type(raw) for name, raw in before.items()}
    signature = inspect.signature(base.shared)
    for name in ('shared', 'static', 'of_class', 'numbers', 'wait', 'size', '_private'):
        tracer.add(obj, 'box', name)
    assert {name: type(raw) for name, raw in base.__dict__.items()} == kinds
    assert list(base.__dict__) == list(before)
    assert inspect.isgeneratorfunction(base.numbers) and inspect.iscoroutinefunction(base.wait)
    assert inspect.signature(child.shared) == signature and base.shared.__doc__ == 'Text.'
    assert (base.static(5, 3), obj.static(5, 3)) == (8, 8)
    assert base.of_class() == ('Base', 0) and obj.of_class(what=1) == ('Child', 1) and child.of_class() == ('Child', 0)
    assert obj.size == 7
    obj.size = 9
    assert obj.set_to == 9
    assert list(obj.numbers(3)) == [0, 1, 2]
    assert asyncio.run(obj.wait('x')) == 'x'
    assert obj.shared(1) == 2


def test_undo_puts_back_the_very_objects(tracer):
    base, child = make()
    before = [(list(cls.__dict__.items())) for cls in (base, child)]
    obj = child()
    for name in methods(child, private=True):
        if name != 'stream':
            tracer.add(obj, 'box', name)
    assert undo_all() == 8
    for cls, was in zip((base, child), before):
        now = list(cls.__dict__.items())
        assert [name for name, _ in now] == [name for name, _ in was]
        assert all(new is old for (_, new), (_, old) in zip(now, was))


def test_one_wrapper_a_function_labels_by_object(tracer):
    base, child = make()
    one, two, three, stranger = base(), base(), child(), base()
    for obj, label in ((one, 'one'), (two, 'two'), (three, 'three')):
        site, fresh = tracer.add(obj, label, '_private')
        assert fresh
    assert len(sites()) == 1 and not tracer.add(one, 'one', '_private')[1]
    for obj in (one, two, three, stranger):
        obj._private()
    assert told(tracer) == [(kind, label, '_private') for label in ('one', 'two', 'three')
                            for kind in ('call', 'return')]
    # The class is told as the object's own, not the one that defines the method.
    assert tracer.recorder.labels[2].cls == 'Child'
    # In any order, and the last one leaves nothing.
    assert tracer.remove(site, two, 'two') is None and tracer.remove(site, one, 'one') is None
    three._private()
    assert [label for _, label, _ in told(tracer)] == ['three', 'three']
    assert tracer.remove(site, three, 'three') is site
    assert base._private is site.raw and not sites()


def test_a_method_that_calls_its_parents_is_told_for_what_is_traced(tracer):
    base, child = make()
    obj = child()
    tracer.add(obj, 'box', 'shared')
    obj.shared(1)
    assert told(tracer) == [('call', 'box', 'shared'), ('return', 'box', 'shared')]


def test_a_class_is_traced_for_objects_that_have_no_name(tracer):
    base, child = make()
    named, other = base(), child()
    site, _ = tracer.add_class(base, 'module.Base', '_private')
    tracer.add(named, 'box', '_private')
    named._private(), other._private()
    assert [label for _, label, _ in told(tracer)] == ['box', 'box', 'module.Base', 'module.Base']
    tracer.remove(site, base, 'module.Base')
    other._private()
    assert told(tracer) == []


def told_under(tracer, *calls):
    """For each call the (object, class) that it is told under, or None."""
    out = []
    for call in calls:
        call()
        events = taken(tracer)
        assert len(events) in (0, 2) and len({label for _, label in events}) == bool(events)
        out.append((events[0][1].object, events[0][1].cls) if events else None)
    return out


def test_a_class_that_inherits_is_traced_for_its_own_objects_only(tracer):
    base, child = make()
    grown = type('Grown', (child,), {})
    for name in ('_private', 'numbers', 'wait', 'size'):
        tracer.add_class(child, 'module.Child', name)
    assert len(sites()) == 4 and not any(name in child.__dict__ for name in ('_private', 'numbers'))

    def calls(obj):
        obj._private()
        assert list(obj.numbers(0)) == [] and asyncio.run(obj.wait(1)) == 1 and obj.size == 7
    calls(base())
    assert told(tracer) == []
    for cls in (child, grown):
        calls(cls())
        events = told(tracer)
        assert {label for _, label, _ in events} == {'module.Child'} and len(events) > 8
    # The nearest class counts, and an object's own name before all.
    obj = grown()
    tracer.add_class(base, 'module.Base', '_private')
    tracer.add(obj, 'box', '_private')
    assert told_under(tracer, base()._private, child()._private, grown()._private, obj._private) == [
        ('module.Base', 'Base'), ('module.Child', 'Child'), ('module.Child', 'Child'), ('box', 'Grown')]


def test_a_metaclass_is_traced_for_its_classes(tracer):
    class Meta(type):
        def plain(cls):
            return cls

        @classmethod
        def own(mcs):
            return mcs
    made = Meta('Made', (), {})
    tracer.add_class(Meta, 'module.Meta', 'plain')
    tracer.add_class(Meta, 'module.Meta', 'own')
    assert told_under(tracer, made.plain, Meta.own, made.own) == [('module.Meta', 'Meta')] * 3


def test_a_class_method_is_told_for_the_class_that_it_is_called_on(tracer):
    base, child = make()
    one, two, three = base(), base(), child()
    own = 'test_patch.%s'
    sites_of = [tracer.add(obj, label, 'of_class')[0] for obj, label in ((three, 'three'),)]
    # Of a class of which no object is traced nothing is told.
    calls = (one.of_class, base.of_class, three.of_class, child.of_class, base().of_class)
    assert told_under(tracer, *calls) == [None, None, ('three', 'Child'), ('three', 'Child'), None]
    tracer.add(one, 'one', 'of_class')
    assert told_under(tracer, *calls) == [('one', 'Base'), ('one', 'Base'), ('three', 'Child'), ('three', 'Child'),
                                          ('one', 'Base')]
    # It cannot tell two of one class from each other.
    site, _ = tracer.add(two, 'two', 'of_class')
    assert told_under(tracer, *calls)[:3] == [(own % 'Base', 'Base')] * 2 + [('three', 'Child')]
    assert site is sites_of[0] and tracer.remove(site, one, 'one') is None
    assert told_under(tracer, *calls)[:3] == [('two', 'Base')] * 2 + [('three', 'Child')]
    # A class that was named tells its subclasses, too, and anonymous objects of them.
    tracer.add_class(base, 'module.Base', 'of_class')
    assert told_under(tracer, *calls)[:3] == [('module.Base', 'Base')] * 3
    tracer.remove(site, base, 'module.Base')
    tracer.remove(site, two, 'two')
    assert told_under(tracer, *calls) == [None, None, ('three', 'Child'), ('three', 'Child'), None]
    assert tracer.remove(site, three, 'three') is site and not sites()
    # The object's own class says so, too, when it is called with something else.
    tracer.add(three, 'three', 'of_class')
    with pytest.raises(AttributeError):
        base.__dict__['of_class'].__func__(5)
    assert told(tracer) == []


def test_a_static_method_is_told_under_its_only_object_or_its_class(tracer):
    base, child = make()
    one, two, three = base(), base(), child()
    own = ('test_patch.Base', 'Base')

    def under():
        said = set(told_under(tracer, lambda: base.static(1, 2), lambda: one.static(1, two=2), lambda: child.static(1, 2)))
        assert len(said) == 1, 'it cannot tell them apart'
        return said.pop()
    site, _ = tracer.add(one, 'one', 'static')
    assert under() == ('one', 'Base')
    tracer.add(one, 'alias', 'static')
    assert under() == ('one', 'Base')
    tracer.add(two, 'two', 'static')
    assert under() == own
    tracer.remove(site, one, 'one'), tracer.remove(site, one, 'alias')
    assert under() == ('two', 'Base')
    tracer.add(three, 'three', 'static')
    assert under() == own
    # Of an object of a subclass it is not.
    assert tracer.remove(site, two, 'two') is None
    assert under() == own
    tracer.add_class(base, 'module.Base', 'static')
    assert under() == own
    assert tracer.remove(site, three, 'three') is None
    assert under() == ('module.Base', 'Base')
    assert tracer.remove(site, base, 'module.Base') is site and not sites()


def test_an_object_of_two_names_is_told_under_the_first_that_is_traced(tracer):
    base, _ = make()
    obj = base()
    site, fresh = tracer.add(obj, 'one', '_private')
    assert fresh and tracer.add(obj, 'two', '_private') == (site, True) and tracer.add(obj, 'two', '_private') == (site, False)
    assert told_under(tracer, obj._private) == [('one', 'Base')]
    assert tracer.remove(site, obj, 'one') is None
    assert told_under(tracer, obj._private) == [('two', 'Base')]
    assert tracer.remove(site, obj, 'two') is site and not sites()


def test_what_is_looked_at_is_not_run(tracer):
    touched = []

    class Foreign:
        def __getattr__(self, name):
            touched.append(name)
            raise AttributeError(name)

        def __eq__(self, other):
            touched.append('eq')
            return True

        __hash__ = None

    class Box:
        thing = Foreign()

        @staticmethod
        def free():
            return 1
    obj = Box()
    with pytest.raises(Refused, match='is no method but Foreign'):
        tracer.add(obj, 'box', 'thing')

    class Meta(type):
        def __eq__(cls, other):
            touched.append('eq')
            return True

        def __hash__(cls):
            touched.append('hash')
            return 1
    odd = Meta('Odd', (Foreign,), {'free': staticmethod(lambda: 2), 'own': classmethod(lambda cls: 3)})()
    for name in ('free', 'own'):
        tracer.add(odd, 'odd', name)
    assert odd.free() == 2 and odd.own() == 3 and len(told(tracer)) == 4
    assert not touched


def test_nobody_listening_means_no_event(tracer):
    base, _ = make()
    obj = base()
    for name in ('shared', 'static', 'numbers', 'of_class'):
        tracer.add(obj, 'box', name)
    tracer.recorder.live.clear()
    assert (obj.shared(1, key=2), obj.static(1, 2), list(obj.numbers(2)), obj.of_class()) == (1, 3, [0, 1], ('Base', 0))
    assert not tracer.recorder.queue


def test_arguments_are_told_as_they_were(tracer):
    class Box:
        def take(self, items, table, data, key):
            items.clear()
            table['x'].append(1)
            data[0] = 9
            key.add(2)
            return items
    obj = Box()
    tracer.add(obj, 'box', 'take')
    items = [1, 2]
    assert obj.take(items, {'x': []}, bytearray(b'\x01'), key={1}) is items
    items.append('later')
    (call, _), (back, _) = taken(tracer)
    assert call[8] == ([1, 2], {'x': []}, {'_bytes': '01', '_type': 'bytearray'})
    assert call[9] == {'key': {'_set': [1]}} and back[9] == []


class Odd(BaseException):
    pass


@pytest.mark.parametrize('error', [ValueError('no'), KeyboardInterrupt(), SystemExit(3), Odd('x'), StopIteration(4)])
def test_every_exception_ends_its_call(tracer, error):
    base, _ = make()
    obj = base()
    tracer.add(obj, 'box', 'fail')
    with pytest.raises(type(error)) as caught:
        obj.fail(error)
    assert caught.value is error
    (_, _), (event, _) = taken(tracer)
    assert event[0] == ERROR and event[9] == type(error).__name__
    assert 'in fail' in event[11] and 'wrappers.py' not in event[11]
    assert tracer.recorder.here().call == 0


def test_wrong_arguments_fail_as_they_did(tracer):
    base, _ = make()
    obj = base()
    tracer.add(obj, 'box', '_private')
    with pytest.raises(TypeError, match='takes 1 positional argument but 2 were given'):
        obj._private(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'self'"):
        base._private()


def test_generators_are_told_each_time_they_stop(tracer):
    base, _ = make()
    obj = base()
    tracer.add(obj, 'box', 'numbers')
    walk = obj.numbers(2)
    assert next(walk) == 0 and walk.send('got') == 'got' and next(walk) == 1
    with pytest.raises(StopIteration) as stop:
        next(walk)
    assert stop.value.value == 'end' and obj.finished
    assert [kind for kind, _, _ in told(tracer)] == ['call', 'yield', 'resume', 'yield', 'resume', 'yield', 'resume', 'return']
    # Thrown into, and left.
    walk = obj.numbers(2)
    next(walk)
    with pytest.raises(KeyError):
        walk.throw(KeyError('k'))
    walk = obj.numbers(2)
    next(walk)
    obj.finished = False
    walk.close()
    assert obj.finished
    events = [event for event, _ in taken(tracer)]
    assert [event[9] for event in events if event[0] == ERROR] == ['KeyError', 'GeneratorExit']
    assert len({event[1] for event in events}) == 2
    assert tracer.recorder.here().call == 0


def test_calls_inside_a_generator_are_its_children_and_others_are_not(tracer):
    class Box:
        def walk(self):
            self.inner()
            yield 1
            self.inner()

        def inner(self):
            pass
    obj = Box()
    tracer.add(obj, 'box', 'walk')
    tracer.add(obj, 'box', 'inner')
    for _ in obj.walk():
        obj.inner()
    events = [event for event, _ in taken(tracer) if event[0] == CALL]
    assert [event[6:8] for event in events] == [(0, 0), (events[0][1], 1), (0, 0), (events[0][1], 1)]


def test_coroutines_interleave(tracer):
    class Box:
        async def outer(self, name):
            await asyncio.sleep(0)
            return await self.inner(name)

        async def inner(self, name):
            await asyncio.sleep(0)
            return name
    obj = Box()
    tracer.add(obj, 'box', 'outer')
    tracer.add(obj, 'box', 'inner')

    async def both():
        return await asyncio.gather(obj.outer('a'), obj.outer('b'))
    assert asyncio.run(both()) == ['a', 'b']
    events = [event for event, _ in taken(tracer)]
    calls = {event[1]: event for event in events if event[0] == CALL}
    ends = [event for event in events if event[0] == RETURN]
    assert len(calls) == len(ends) == 4
    for event in calls.values():
        if event[6]:
            assert calls[event[6]][8] == event[8], 'an inner call is under the outer one of its own task'
    assert sorted(event[6] == 0 for event in calls.values()) == [False, False, True, True]


def test_asynchronous_generators_are_refused(tracer):
    base, _ = make()
    with pytest.raises(Refused, match='asynchronous generator'):
        tracer.add(base(), 'box', 'stream')
    assert not sites()


def test_threads_have_stacks_of_their_own(tracer):
    class Box:
        def outer(self, name, gate):
            gate.wait()
            self.inner(name)
            gate.wait()

        def inner(self, name):
            pass
    obj, gate = Box(), threading.Barrier(4)
    tracer.add(obj, 'box', 'outer')
    tracer.add(obj, 'box', 'inner')
    threads = [threading.Thread(target=obj.outer, args=(number, gate)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = [event for event, _ in taken(tracer)]
    calls = {event[1]: event for event in events if event[0] == CALL}
    assert len(calls) == 8 and len({event[4] for event in events}) == 4
    for event in calls.values():
        if event[7] == 1:
            parent = calls[event[6]]
            assert parent[4] == event[4] and parent[8][0] == event[8][0]


def test_many_threads_lose_and_double_nothing(tracer):
    base, _ = make()
    obj = base()
    tracer.add(obj, 'box', 'shared')

    def work():
        for number in range(500):
            obj.shared(number)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = tracer.recorder.take(100000)
    assert tracer.recorder.loss() is None and len(events) == 8000
    assert len({event[1] for event in events if event[0] == CALL}) == 4000


def test_greenlets_that_do_not_end_in_order(tracer):
    greenlet = pytest.importorskip('greenlet')

    class Box:
        def outer(self, name, back):
            self.inner(name, back)
            return name

        def inner(self, name, back):
            back.switch()
            return name
    obj, main = Box(), greenlet.getcurrent()
    tracer.add(obj, 'box', 'outer')
    tracer.add(obj, 'box', 'inner')
    one = greenlet.greenlet(lambda: obj.outer('one', main))
    two = greenlet.greenlet(lambda: obj.outer('two', main))
    one.switch(), two.switch(), one.switch(), two.switch()
    events = [event for event, _ in taken(tracer)]
    calls = {event[1]: event for event in events if event[0] == CALL}
    order = [event[1] for event in events if event[0] == RETURN]
    assert order != sorted(order, reverse=True), 'they do not nest'
    for event in calls.values():
        if event[8][0] and event[7] == 1:
            assert calls[event[6]][8][0] == event[8][0] and calls[event[6]][5] == event[5]
    assert len({event[5] for event in events}) == 2 and 0 not in {event[5] for event in events}
    # One that is never gone on with, and one that is killed.
    three = greenlet.greenlet(lambda: obj.outer('three', main))
    three.switch()
    three.throw()
    assert [event[9] for event, _ in taken(tracer) if event[0] == ERROR] == ['GreenletExit'] * 2


def test_what_is_refused_says_why(tracer):
    class Slotted:
        __slots__ = ('handler',)

    class Fields:
        table = {}

        def __len__(self):
            return 0
    for obj, name, why in (
            ({}, 'get', 'built-in|not traced'), (threading.Lock(), 'acquire', 'built-in|not traced'),
            (threading.Thread(), 'start', 'not traced'), (Fields(), 'missing', 'no method missing'),
            (Fields(), 'table', 'is no method but dict'), (Fields(), '__len__', 'special methods'),
            (Slotted(), 'handler', 'is no method'), (type('Reactor', (), {'__module__': 'reactor', 'pause': lambda s: 1})(),
                                                     'pause', 'the host or the tracer')):
        with pytest.raises(Refused, match=why):
            tracer.add(obj, 'box', name)
    assert not sites()


def test_a_type_that_does_not_say_it_cannot_be_changed(tracer, monkeypatch):
    # Heap types of C code may refuse only when it is tried.
    base, _ = make()

    class Stubborn(type):
        pass
    obj = base()
    monkeypatch.setattr(patch, 'is_open', lambda cls: True)
    monkeypatch.setattr(patch, 'denial', lambda cls: None)
    monkeypatch.setattr(patch, 'is_method', lambda raw: True)
    with pytest.raises(Refused, match='cannot be changed'):
        tracer.add(b'', 'box', 'hex')
    assert obj.shared(1) == 1 and not sites()


def test_a_second_instance_finds_what_the_first_left():
    base, _ = make()
    obj, raw = base(), base.__dict__['shared']
    first, second = Patcher(Recorder(), Polling()), Patcher(Recorder(), Polling())
    for patcher in (first, second):
        patcher.recorder.live.append(True)
    first.add(obj, 'box', 'shared')
    second.add(obj, 'box', 'shared')
    assert base.__dict__['shared'].__wrapped__ is raw, 'no wrapper round a wrapper'
    obj.shared(1)
    assert not first.recorder.queue and len(second.recorder.queue) == 2
    # A copy of the module that lost its list, too.
    sys.__dict__.pop(patch.SITES)
    third = Patcher(Recorder(), Polling())
    third.add(obj, 'box', 'shared')
    assert base.__dict__['shared'].__wrapped__ is raw
    assert undo_all() == 1 and base.__dict__['shared'] is raw
    size = base.__dict__['size']
    first.add(obj, 'box', 'size')
    sites().clear()
    third.add(obj, 'box', 'size')
    assert base.__dict__['size'].fget.__wrapped__ is size.fget
    assert undo_all() == 1 and base.__dict__['size'] is size


def test_somebody_elses_patch_on_top_stays_and_ours_lets_all_through(tracer):
    base, _ = make()
    obj = base()
    tracer.add(obj, 'box', 'shared')
    ours = base.shared

    def theirs(self, number):
        return ours(self, number) + 100
    base.shared = theirs
    assert obj.shared(1) == 101 and len(told(tracer)) == 2
    # Another object is traced: one wrapper on top of theirs, and the first is traced still.
    other = base()
    tracer.add(other, 'other', 'shared')
    assert obj.shared(1) == 101 and other.shared(2) == 102
    assert [label for _, label, _ in told(tracer)] == ['box', 'box', 'other', 'other']
    undo_all()
    assert base.shared is theirs and obj.shared(1) == 101 and told(tracer) == []


def test_a_full_queue_counts_what_it_does_not_take():
    recorder = Recorder(limit=10)
    recorder.live.append(True)
    base, _ = make()
    obj, patcher = base(), Patcher(recorder, Polling())
    patcher.add(obj, 'box', 'shared')
    for number in range(20):
        obj.shared(number)
    events = recorder.take(4)
    assert len(events) == 4 and recorder.loss() is None, 'the loss is told where it happened, after what came before'
    obj.shared(99)
    recorder.put_back(events[2:])
    assert recorder.take(1)[0] is events[2]
    assert len(recorder.take(1000)) == 7 and recorder.loss()[0] == 32
    obj.shared(100)
    assert [event[0] for event in recorder.take(1000)] == [CALL, RETURN] and recorder.loss() is None
    undo_all()


def test_a_bus_tells_its_frames(tracer):
    class Serial:
        def cmd_send_data_with_response(self, data, timeout, retries_en=True):
            self.add_send_data(data, timeout)
            return self.send_data(data)

        def add_send_data(self, data, timeout):
            pass

        def remove_send_data(self, data):
            pass

        def send_data(self, data):
            return bytearray(b'\xf7\x01') if data[3] == 0x0a else None
    bus = Serial()
    for name in methods(Serial):
        tracer.add_frames(bus, 'serial_485 serial485', name)
    bus.cmd_send_data_with_response(b'\x01\x03\xff\x0a', 3600)
    bus.cmd_send_data_with_response([1, 3, 0, 0xa2], timeout=1)
    events = [event for event, _ in taken(tracer)]
    assert [(event[0], event[5], event[6], event[7]) for event in events] == [
        (FRAME, 0, 0, b'\x01\x03\xff\x0a'), (FRAME, 0, 1, b'\xf7\x01'), (FRAME, 0, 0, b'\x01\x03\x00\xa2')]
    # With its calls: the frame is the outer one's, once.
    for name in methods(Serial):
        tracer.add(bus, 'serial_485 serial485', name)
    bus.cmd_send_data_with_response(data=b'\x01\x03\xff\x0a', timeout=1)
    events = [event for event, _ in taken(tracer)]
    outer = events[0][1]
    assert [event[5] for event in events if event[0] == FRAME] == [outer, outer]
    assert sum(event[0] == CALL for event in events) == 3
    # Polling, out of the way.
    tracer.polling.told = False
    bus.cmd_send_data_with_response(b'\x01\x03\xff\x0a', 1)
    bus.remove_send_data([b'\x01\x03\x00\xa2', 0.1])
    assert told(tracer) == []
    bus.cmd_send_data_with_response(b'\x01\x03\xff\x14', 1)
    assert len(told(tracer)) == 7
