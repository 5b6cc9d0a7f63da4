"""Each fault: ours does not have it, and the check finds it in the model of the seed's design."""

import pytest

from faults import FAULTS, complain

NAMES = ['%d-%s' % (fault.number, fault.name) for fault in FAULTS]


@pytest.mark.parametrize('fault', FAULTS, ids=NAMES)
def test_ours_does_not_have_it(fault, new_host):
    complaints = complain(fault.check, new_host().start())
    assert not complaints, '\n'.join(complaints)


@pytest.mark.parametrize('fault', FAULTS, ids=NAMES)
def test_the_check_finds_it_in_the_seeds_design(fault, new_host):
    complaints = complain(fault.check, new_host(design='seed').start())
    assert complaints, "the check can't fail"
    assert fault.seed.search('\n'.join(complaints)), '\n'.join(complaints)
