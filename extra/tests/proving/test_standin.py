"""The stand-in behaves as klippy does, and finds what it is there to find."""

import json

import pytest

from host import HostDied, wait_for

SECTIONS = '[reactor_facts]'

# Of a real klippy and of the stand-in alike.
FACTS = {
    'a_mutex_is_first_come_first_served': ['unlocked', 'a', 'b', 'c', False],
    'a_running_timer_is_not_updated': [1, 2],
    'completions': ['in vain', False, 'done', True, None, 7],
    'files': [0, 0, ['read', 1, 'float'], ['write', 1, 'float']],
    'foreign_threads': [True, True],
    'only_a_handler_is_unregistered': 'AttributeError',
    'others_run_while_one_waits': ['before', 'other', 'after', True, True],
    'timers_run_in_the_order_of_registration': ['a', 'b'],
    'unregistering_twice': 'ValueError',
}


def test_the_reactor(new_host):
    host = new_host(sections=SECTIONS).start()
    said = [line for line in host.gcode('FACTS') if line.startswith('FACTS: ')]
    assert json.loads(said[0][7:]) == FACTS
    complaints = host.verdict()
    assert not complaints, '\n'.join(complaints)


@pytest.mark.parametrize('how, complaint', [
    ('slow', 'ReactorFacts.slow took'),
    ('wait', 'kept the reactor waiting'),
    ('raise', 'ZeroDivisionError'),
    ('close', 'was closed and is still polled'),
    ('keep_registered', 'is still registered after'),
    ('keep_open', 'is still open after'),
    ('deaf', 'nobody listens: a spin')])
def test_the_judge_finds(how, complaint, new_host):
    if new_host.kind != 'standin':
        pytest.skip("klippy is no judge")
    host = new_host(sections=SECTIONS).start()
    try:
        host.gcode('MISBEHAVE HOW=' + how)
        wait_for(lambda: host.state and complaint in host.log(), complaint, 8)
    except (HostDied, AssertionError):
        pass                            # it ended at once, or says it when it ends
    complaints = '\n'.join(host.verdict())
    assert complaint in complaints, complaints


@pytest.mark.parametrize('sections, word', [
    ('[reactor_facts]\nspeed: 3', 'speed'), ('[nothing_of_the_kind]\na: 1', 'nothing_of_the_kind'),
    ('[gcode_macro MOTOR_MOVE]\ngcode:\n  M112', 'MOTOR_MOVE')])
def test_the_configuration_is_checked(sections, word, new_host):
    info = new_host(sections=sections).start().info()
    assert info['state'] == 'error' and word in info['state_message']
