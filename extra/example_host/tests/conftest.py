"""The host under test on a bus of its own, and a printer made of the bus's hands."""

import pytest
from example_host import Host


class Printer:
    """What the host's printer would do, done to the emulated bus."""

    def __init__(self, bus):
        self.bus = bus

    def toolhead(self):
        return self.bus.state.toolhead

    def extrude(self, mm, speed):
        self.bus.extrude(mm, speed=speed)
        self.bus.sleep(abs(mm) / speed)

    def cut(self):
        self.bus.cut()


@pytest.fixture
def start():
    """Starts hosts on buses, and closes their ports in the end."""
    hosts = []

    def on(bus):
        # In virtual time answers come at once: nobody is waited for as long as on a real bus.
        patience = 0.4 if bus.virtual else 1.0
        hosts.append(Host(bus.port, Printer(bus), sleep=bus.sleep, patience=patience))
        return hosts[-1]

    yield on
    for host in hosts:
        host.close()


@pytest.fixture
def host(k485_bus, start):
    """A host that has assigned the boxes of k485_bus."""
    host = start(k485_bus)
    host.assign()
    return host
