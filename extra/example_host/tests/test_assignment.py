"""Who is there, and under which address."""

import pytest


def addresses(bus):
    return {box.box: box.address for box in bus.state.boxes}


@pytest.mark.k485(boxes=4)
def test_every_box_gets_an_address_of_its_own(k485_bus, start):
    assert set(addresses(k485_bus).values()) == {0xFE}
    boxes = start(k485_bus).assign()
    assert sorted(boxes) == [1, 2, 3, 4]
    told = {box.uniid for box in k485_bus.told.devices if box.kind == "box"}
    assert {identity.hex() for identity in boxes.values()} == told
    assert sorted(addresses(k485_bus).values()) == [1, 2, 3, 4]


@pytest.mark.k485(boxes=4)
def test_boxes_keep_their_addresses_when_the_host_starts_anew(k485_bus, start):
    before = start(k485_bus).assign()
    mark = k485_bus.last
    assert start(k485_bus).assign() == before
    assert not k485_bus.exchanges("func==SET_SLAVE_ADDR", after=mark)


@pytest.mark.k485(boxes=0)
def test_a_bus_without_boxes_has_none(k485_bus, start):
    assert start(k485_bus).assign() == {}


@pytest.mark.k485(scene="boxes.toml")
def test_a_box_that_goes_is_lost_and_found_again_when_it_comes_back(k485_bus, host):
    assert host.lost() == []
    box = k485_bus.box(2)
    box.unplug()
    assert host.lost() == [2]
    box.plug()
    # It starts anew, as if it had never been assigned.
    k485_bus.wait_for(lambda state: state.box(2).address == 0xFE)
    k485_bus.sleep(10)
    assert host.lost() == [2]
    assert sorted(host.assign()) == [1, 2, 3, 4]
    assert host.lost() == []
    assert box.state.address == 2


def test_one_missed_question_makes_nobody_lost(k485_bus, host):
    k485_bus.faults.add("drop if func==ONLINE_CHECK times=3")
    assert host.lost() == []


@pytest.mark.k485(faults=["drop dir=response times=1 if func==SET_SLAVE_ADDR"], boxes=1)
def test_a_lost_answer_to_the_assignment_does_no_harm(k485_bus, start):
    assert list(start(k485_bus).assign()) == [1]
    assert k485_bus.box(1).state.address == 1
