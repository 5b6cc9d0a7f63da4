"""Loads and unloads, and what can go wrong with them."""

import time

import pytest
from example_host import BoxError, HostError

pytestmark = pytest.mark.k485(scene="boxes.toml")

STAGES = ["to_hub", "feed_start", "feed_end", "push"]


@pytest.mark.parametrize("slot", ["A", "B", "C"])
def test_a_load_ends_in_the_extruder(k485_bus, host, slot):
    host.load(1, slot)
    state = k485_bus.state
    assert state.toolhead
    assert state.box(1).state == "printing"
    extruder = 1500.0
    [[_, tip]] = state.box(1).slot(slot).filament
    assert tip >= extruder
    # From before the hub; the odometer counts backwards.
    assert host.odometer(1) < -1000.0


def test_a_load_tells_the_box_its_stages_in_order(k485_bus, host):
    host.load(2, "A")
    for stage in STAGES:
        exchange = k485_bus.expect(f"addr==box2 && func==EXTRUDE_PROCESS && stage=={stage}")
        assert exchange.request.fields.slot == "T2A"
        assert exchange.response.status_name == "OK"
    k485_bus.expect("func==SET_BOX_MODE && mode==print")


def test_an_unload_brings_the_filament_back_into_its_slot(k485_bus, host):
    host.load(1, "A")
    host.unload(1, "A")
    state = k485_bus.state
    assert not state.toolhead
    assert not state.box(1).slot("A").hub
    assert state.box(1).slot("A").inlet
    assert state.box(1).state == "idle"
    # From the cutter to the gears: what is torn out of them leaves nothing.
    assert state.stub == 25.0
    k485_bus.expect("func==RETRUDE_PROCESS && stage==material && status==OK")


def test_another_slot_can_be_loaded_after_an_unload(k485_bus, host):
    for slot in "AB":
        host.load(1, slot)
        host.unload(1, slot)
    assert not k485_bus.exchanges("status!=OK")


def test_an_empty_slot_is_not_fed(k485_bus, host):
    with pytest.raises(HostError, match="no filament in slot D"):
        host.load(1, "D")
    assert not k485_bus.exchanges("func==EXTRUDE_PROCESS")


def test_a_jam_on_the_way_is_told(k485_bus, host):
    k485_bus.box(1).slot("A").jam(at=1100)
    with pytest.raises(BoxError) as raised:
        host.load(1, "A")
    # The odometer stood still, EXTRUDE_ERR8.
    assert (raised.value.func, raised.value.status) == (0x10, 0x0C)
    k485_bus.box(1).slot("A").unjam()
    host.load(1, "A")
    assert k485_bus.state.toolhead


def test_a_spool_that_holds_fast_is_told(k485_bus, host):
    k485_bus.box(1).slot("A").jam()
    with pytest.raises(BoxError) as raised:
        host.load(1, "A")
    # The feeder ran 7 s and did not reach the hub, EXTRUDE_ERR1.
    assert raised.value.status == 0x05


def test_filament_that_runs_out_in_a_print_is_told(k485_bus, host):
    host.load(1, "A")
    assert host.poll(1)[2] == 2
    k485_bus.box(1).slot("A").run_out(left=100)
    host.printer.extrude(200, 10)
    with pytest.raises(BoxError) as raised:
        host.poll(1)
    # FILAMENT_ERR.
    assert raised.value.status == 0x50


def test_replies_of_a_load_that_are_lost_are_asked_for_again(k485_bus, host):
    k485_bus.faults.add("drop dir=response times=1 if func==EXTRUDE_PROCESS && stage==push")
    k485_bus.faults.add("drop dir=response times=1 if func==GET_BUFFER_STATE")
    host.load(1, "A")
    assert k485_bus.state.toolhead


def test_virtual_time_passes_as_fast_as_the_machine_can(k485_bus, host):
    began, real = k485_bus.clock.now, time.monotonic()
    host.load(1, "A")
    passed, real = k485_bus.clock.now - began, time.monotonic() - real
    assert passed > 8.0
    assert real < passed


@pytest.mark.k485(time="real")
def test_a_load_works_in_real_time_too(k485_bus, host):
    host.load(1, "A")
    assert k485_bus.state.toolhead
