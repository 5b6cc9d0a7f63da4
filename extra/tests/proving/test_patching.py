"""The checks of patching, on classes that Python compiled and on ones that Cython did.

This is what runs on every Python that there is (all_pythons.py).
"""

import pytest

import compiled
from faults import FAULTS, complain

PATCHING = ('kinds_are_kept', 'restart_undoes', 'one_class_many_objects', 'bound_before',
            'events_tell_who', 'base_exceptions', 'generators', 'odd_values', 'foreign_objects',
            'public_only', 'attributes_recursive', 'builtin_types')
CHECKS = [fault for fault in FAULTS if fault.name in PATCHING]
assert len(CHECKS) == len(PATCHING)


@pytest.mark.parametrize('check', CHECKS, ids=[fault.name for fault in CHECKS])
@pytest.mark.parametrize('cython', [None, compiled.OLD, compiled.NEW, compiled.K2],
                         ids=lambda version: 'cython-%s' % (version,) if version else 'python')
def test_patching(cython, check, new_host):
    if cython is None and new_host.kind == 'klipper':
        pytest.skip("test_faults.py has it")
    host = new_host(cython=cython).start()
    made = host.prove(do='kinds')['module']
    assert ('motor_control_wrapper.c' in made) == bool(cython), made
    complaints = complain(check.check, host)
    assert not complaints, '\n'.join(complaints)
