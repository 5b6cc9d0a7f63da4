"""Bytes alone: no bus is needed."""

import pytest
from example_host import crc8, frame, take_frames


def test_crc_is_that_of_the_book():
    assert crc8(b"123456789") == 0xF4
    assert crc8(bytes.fromhex("03ff0a")) == 0x5C


def test_frames_are_those_of_the_book():
    assert frame(0x01, 0xFF, 0x0A).hex() == "f70103ff0a5c"
    assert frame(0x02, 0xFF, 0x10, [1, 5, 0]).hex() == "f70206ff1001050082"
    assert frame(0xFE, 0x00, 0xA1, b"\xfe\xfe").hex() == "f7fe0500a1fefef8"


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_frames_are_found_in_noise_however_they_are_cut(size):
    state, buffer = bytes.fromhex("f70107000a19240000e7"), bytes.fromhex("f7010400050217")
    spoilt = bytearray(state)
    spoilt[5] ^= 1
    stream = b"\x00\xf7\x01\x02" + state + b"\xf7" + bytes(spoilt) + buffer
    found, heard = [], bytearray()
    for at in range(0, len(stream), size):
        heard += stream[at : at + size]
        found += take_frames(heard)
    # The stray F7 makes a LEN of what follows it: the host waits for as much as that.
    heard += bytes(260)
    found += take_frames(heard)
    assert found == [state, buffer]
