"""What a host reads, on good wires and on bad ones."""

import pytest
from example_host import BoxError, NoReply

pytestmark = pytest.mark.k485(scene="boxes.toml")

STATE = "func==GET_BOX_STATE"


def test_climate_and_state(k485_bus, host):
    k485_bus.box(1).climate(temperature=-5, humidity=40)
    assert host.poll(1) == (-5, 40, 0)


def test_what_happens_at_the_slots_is_no_error(k485_bus, host):
    k485_bus.box(1).slot("D").insert("PETG", "00ff00")
    k485_bus.wait_for(lambda state: state.box(1).slot("D").inlet)
    k485_bus.sleep(60)
    assert host.poll(1)[2] == 0
    assert k485_bus.expect(STATE).response.status_name == "UPDATE_STATE"


@pytest.mark.parametrize(
    "fault",
    ["drop", "drop dir=request", "truncate", "flip_data", "flip_crc", "flip_address"],
)
def test_a_reply_that_is_lost_or_damaged_is_asked_for_again(k485_bus, host, fault):
    if "dir=" not in fault:
        fault += " dir=response"
    k485_bus.box(1).climate(temperature=21, humidity=42)
    with k485_bus.faults.add(f"{fault} times=2 if {STATE}"):
        assert host.poll(1) == (21, 42, 0)
        assert host.poll(1) == (21, 42, 0)


def test_a_reply_of_somebody_else_is_not_taken(k485_bus, host):
    # The CRC does not cover the address: it is right.
    k485_bus.faults.add(f"flip_address dir=response times=1 if {STATE}")
    host.poll(1)
    asked = [exchange for exchange in k485_bus.exchanges(STATE) if exchange.request]
    assert sum(exchange.attempts for exchange in asked) == 2


@pytest.mark.parametrize("fault", ["noise_before", "noise_after", "duplicate gap=2ms"])
def test_what_comes_beside_a_reply_does_no_harm(k485_bus, host, fault):
    k485_bus.box(1).climate(temperature=21, humidity=42)
    k485_bus.faults.add(f"{fault} dir=response")
    for _ in range(5):
        assert host.poll(1) == (21, 42, 0)
        assert host.odometer(1) == 0.0


def test_a_box_that_stays_silent_is_told(k485_bus, host):
    fault = k485_bus.faults.add(f"drop dir=response if {STATE}")
    with pytest.raises(NoReply):
        host.poll(1)
    fault.remove()
    assert host.poll(1)[2] == 0


def test_an_error_of_a_box_is_told(k485_bus, host):
    k485_bus.faults.add("wrong_status STATE_ERR if func==MEASURING_WHEEL")
    with pytest.raises(BoxError) as raised:
        host.odometer(1)
    assert (raised.value.address, raised.value.func, raised.value.status) == (1, 0x0E, 0x03)


@pytest.mark.k485(time="real")
def test_a_slow_reply_is_waited_for(k485_bus, host):
    k485_bus.faults.add(f"delay 800ms dir=response if {STATE}")
    assert host.poll(1)[2] == 0
    exchange = k485_bus.expect(STATE)
    assert exchange.attempts == 1
    assert exchange.latency_ms >= 800
