from __future__ import annotations

import pytest

from ringline.media.codecs.opus_packet import frame_samples, has_redundancy, packet_samples
from ringline.media.errors import ParseError


def toc(config: int, code: int, *, stereo: bool = False) -> int:
    return config << 3 | stereo << 2 | code


@pytest.mark.parametrize(
    ("config", "samples"),
    [(0, 480), (1, 960), (7, 2_880), (10, 1_920), (12, 480), (15, 960), (16, 120), (31, 960)],
)
def test_the_configuration_tells_the_length(config: int, samples: int) -> None:
    assert packet_samples(bytes([toc(config, 0)])) == samples


def test_the_code_tells_how_many_frames() -> None:
    assert packet_samples(bytes([toc(1, 1), 0, 0])) == 1_920
    assert packet_samples(bytes([toc(1, 2), 0, 0])) == 1_920
    assert packet_samples(bytes([toc(1, 3), 3])) == 2_880
    assert packet_samples(bytes([toc(16, 3), 48])) == 5_760


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes([toc(1, 3)]),
        bytes([toc(1, 3), 0]),
        bytes([toc(1, 3), 7]),
        bytes([toc(16, 3), 49]),
    ],
)
def test_no_frame_or_too_much_sound_is_refused(packet: bytes) -> None:
    with pytest.raises(ParseError):
        packet_samples(packet)
    with pytest.raises(ParseError):
        has_redundancy(packet)


@pytest.mark.parametrize(
    ("packet", "redundant"),
    [
        # one flag of voice activity, then the one of redundancy
        (bytes([toc(9, 0), 0b0100_0000]), True),
        (bytes([toc(9, 0), 0b1011_1111]), False),
        (bytes([toc(13, 0), 0b1100_0000]), True),
        # 40 and 60 ms: two and three flags before it
        (bytes([toc(10, 0), 0b0010_0000]), True),
        (bytes([toc(11, 0), 0b0001_0000]), True),
        (bytes([toc(11, 0), 0b1110_1111]), False),
        # stereo: middle and side, in this order
        (bytes([toc(9, 0, stereo=True), 0b0001_0000]), True),
        (bytes([toc(9, 0, stereo=True), 0b1010_1111]), False),
        # CELT alone has none, and an empty frame has none
        (bytes([toc(20, 0), 0xFF]), False),
        (bytes([toc(9, 0)]), False),
        (bytes([toc(9, 2), 0, 0xFF]), False),
        # what stands before the first frame: a length of one byte, of two, padding, a count
        (bytes([toc(9, 1), 0x40, 0]), True),
        (bytes([toc(9, 2), 1, 0x40, 0]), True),
        (bytes([toc(9, 2), 252, 0, 0x40]) + bytes(300), True),
        (bytes([toc(9, 3), 2, 0x40, 0]), True),
        (bytes([toc(9, 3), 0x42, 1, 0x40, 0, 0]), True),
        (bytes([toc(9, 3), 0x41, 255, 0, 0x40]) + bytes(254), True),
        (bytes([toc(9, 3), 0x82, 1, 0x40, 0]), True),
        (bytes([toc(9, 3), 0x82, 0, 0x40]), False),
        (bytes([toc(9, 3), 0x41, 1, 0x40]), False),
    ],
)
def test_the_flag_of_redundancy_is_found(packet: bytes, redundant: bool) -> None:
    assert has_redundancy(packet) is redundant


@pytest.mark.parametrize(
    "packet",
    [
        bytes([toc(9, 2)]),
        bytes([toc(9, 2), 5]),
        bytes([toc(9, 2), 252]),
        bytes([toc(9, 3), 0x42]),
        bytes([toc(9, 3), 0x82]),
        bytes([toc(9, 3), 0x42, 255, 255]),
    ],
)
def test_a_header_that_ends_early_is_refused(packet: bytes) -> None:
    with pytest.raises(ParseError):
        has_redundancy(packet)


def test_a_packet_of_several_frames_tells_the_length_of_one() -> None:
    assert frame_samples(b"\x48\x80") == 960
    assert frame_samples(b"\x49\x80\x80") == 960  # two of them
    assert frame_samples(b"\x58\x80") == 2_880
    with pytest.raises(ParseError):
        frame_samples(b"")
