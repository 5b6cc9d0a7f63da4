"""The checks of patching, on classes that Python compiled and on ones that Cython did.

This is what runs on every Python that there is (all_pythons.py).
"""

import pytest

import compiled
from faults import FAULTS, complain, settled, stream

PATCHING = ('kinds_are_kept', 'restart_undoes', 'one_class_many_objects', 'bound_before',
            'events_tell_who', 'base_exceptions', 'generators', 'odd_values', 'foreign_objects',
            'public_only', 'attributes_recursive', 'builtin_types')
CHECKS = [fault for fault in FAULTS if fault.name in PATCHING]
assert len(CHECKS) == len(PATCHING)


compilers = pytest.mark.parametrize('cython', [None, compiled.OLD, compiled.NEW, compiled.K2],
                                    ids=lambda version: 'cython-%s' % (version,) if version else 'python')


def new_one(new_host, cython):
    """A host, and the name of the module that has the classes."""
    host = new_host(cython=cython).start()
    made = host.prove(do='kinds')['module']
    assert ('motor_control_wrapper.c' in made) == bool(cython), made
    return host, 'extras.motor_control_wrapper' if cython else 'extras.motor_control'


@pytest.mark.parametrize('check', CHECKS, ids=[fault.name for fault in CHECKS])
@compilers
def test_patching(cython, check, new_host):
    if cython is None and new_host.kind == 'klipper':
        pytest.skip("test_faults.py has it")
    host, _ = new_one(new_host, cython)
    complaints = complain(check.check, host)
    assert not complaints, '\n'.join(complaints)


@compilers
def test_classes_of_modules(cython, new_host):
    """Each is found, once, and traced for all its objects, which have no other name."""
    host, module = new_one(new_host, cython)
    own = ['%s.%s' % (module, name) for name in ('Foreign', 'GearedHelper', 'GearedMotor', 'Lever', 'Mode',
                                                 'Motor', 'MotorControl', 'MotorHelper', 'Slotted')]
    said = [line.strip() for line in host.gcode('TRACE_DEBUG')]
    assert [line for line in said if line.startswith('extras.motor_')] == own
    assert 'Classes of loaded modules (%d):' % (len(said) - 2 - said.index(
        next(line for line in said if line.startswith('Classes')))) in said
    assert set(own) <= {line.strip() for line in host.gcode('TRACE_MODULE_INFO')}
    client = stream(host)
    assert set(own) <= set(client.first['available_objects'])
    helper, geared = module + '.MotorHelper', module + '.GearedHelper'
    assert host.text('TRACE_MODULE_INFO OBJECT=' + helper).split('\n')[1:] == ['half', 'sort', 'turn']

    def heard():
        client.forget()
        said = host.prove(do='help')
        assert said == {'value': [[3, 'MotorHelper', 2.]] * 2 + [[6, 'GearedHelper', 2.]]}, said
        settled(host, client, 'echo', on='motor_left')
        return [(e['object'], e['class'], e['method']) for e in client.events
                if e['type'] == 'call' and e['method'] != 'echo']
    host.gcode('TRACE_ENABLE OBJECT=motor_left METHOD=echo')
    assert heard() == []
    host.gcode('TRACE_ALL OBJECT=' + helper)
    as_helper = [(helper, 'MotorHelper', method) for method in ('turn', 'sort', 'half')]
    # The third has a `turn` of its own.
    assert heard() == as_helper * 2 + as_helper[1:]
    host.gcode('TRACE_ALL OBJECT=' + geared)
    as_geared = [(geared, 'GearedHelper', method) for method in ('turn', 'sort')]
    # Which class a static method is called on nobody knows; it is told under the one that defines it.
    assert heard() == as_helper * 2 + as_geared + as_helper[2:]
    host.gcode('TRACE_DISABLE OBJECT=' + helper)
    assert heard() == as_helper[2:] * 2 + as_geared + as_helper[2:]
    host.gcode('TRACE_DISABLE OBJECT=' + geared)
    assert heard() == []
    # Every object of a class, that of a printer object, too, unless it is traced under a name.
    host.gcode('TRACE_ENABLE OBJECT=%s.Motor METHOD=add' % (module,))
    for on in ('motor_left', 'motor_right', 'motor geared'):
        host.call('add', 1, on=on)
    host.gcode('TRACE_ENABLE OBJECT=motor_right METHOD=add')
    host.call('add', 1, on='motor_right')
    client.until_call('add', 4)
    assert [(e['object'], e['class']) for e in client.of('add') if e['type'] == 'call'] == [
        (module + '.Motor', 'Motor')] * 3 + [('motor_right', 'Motor')]
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)


@compilers
def test_class_and_static_methods_are_told_under_what_they_know(cython, new_host):
    host, module = new_one(new_host, cython)
    before = [host.prove(do='kinds', object=on) for on in ('motor_left', 'motor geared')]
    client = stream(host)
    # Only one of these objects is a GearedMotor; the others are of its base class.
    host.gcode("TRACE_ALL OBJECT='motor geared'")

    def heard(method, *args):
        client.forget()
        for on in ('motor_left', 'motor_right', 'motor geared', 'motor_control'):
            for where in ({}, {'class': '1'}):
                host.call(method, *args, on=on, **where)
        settled(host, client, 'echo', on='motor geared')
        return [(e['object'], e['class']) for e in client.events if e['type'] == 'call' and e['method'] == method]
    geared, base = ('motor geared', 'GearedMotor'), (module + '.Motor', 'Motor')
    assert heard('kind') == [geared] * 2
    assert heard('scale', 2, 3) == [base] * 8
    host.gcode('TRACE_ALL OBJECT=motor_left')
    assert heard('kind') == [('motor_left', 'Motor')] * 4 + [geared] * 2
    assert heard('scale', 2, 3) == [base] * 8
    host.gcode('TRACE_ALL OBJECT=motor_right')
    assert heard('kind') == [base] * 4 + [geared] * 2
    host.gcode('TRACE_DISABLE OBJECT=motor_left METHOD=kind')
    assert heard('kind') == [('motor_right', 'Motor')] * 4 + [geared] * 2
    for on in ('motor_left', "'motor geared'"):
        host.gcode('TRACE_DISABLE OBJECT=%s METHOD=scale' % (on,))
    assert heard('scale', 2, 3) == [('motor_right', 'Motor')] * 8
    host.gcode('TRACE_DISABLE OBJECT=*')
    assert [host.prove(do='kinds', object=on) for on in ('motor_left', 'motor geared')] == before
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)
