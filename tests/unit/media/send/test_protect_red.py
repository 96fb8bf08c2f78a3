from __future__ import annotations

from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import RedBlock, parse_red
from ringline.media.send.protect_red import RedProtection
from ringline.media.units import PayloadType, Ssrc


def make_packet(number: int, payload: bytes | None = None, *, frame: int = 960) -> RtpPacket:
    return RtpPacket(
        payload_type=PayloadType(111),
        sequence_number=0,
        timestamp=number * frame & 0xFFFFFFFF,
        ssrc=Ssrc(1),
        payload=b"sound %d" % number if payload is None else payload,
    )


def protect(count: int, distances: tuple[int, ...], *, frame: int = 960) -> list[RtpPacket]:
    red = RedProtection(payload_type=PayloadType(63), max_payload=1_000)
    packets = [make_packet(number, frame=frame) for number in range(count)]
    for packet in packets:
        red.protect(packet, distances)
    return packets


def test_without_distances_a_packet_stays_what_it_is() -> None:
    (packet,) = protect(1, ())
    assert (packet.payload_type, packet.payload) == (111, b"sound 0")


def test_copies_are_of_the_packets_so_far_behind_oldest_first() -> None:
    packet = protect(5, (1, 3))[4]
    assert packet.payload_type == 63
    assert parse_red(packet.payload) == [
        RedBlock(111, 2_880, b"sound 1"),
        RedBlock(111, 960, b"sound 3"),
        RedBlock(111, 0, b"sound 4"),
    ]


def test_the_first_packets_have_the_copies_that_there_are() -> None:
    first, second, third = protect(3, (1, 2))
    assert first.payload_type == 111
    assert [block.payload for block in parse_red(second.payload)] == [b"sound 0", b"sound 1"]
    assert len(parse_red(third.payload)) == 3


def test_what_was_sent_without_copies_can_be_copied() -> None:
    red = RedProtection(payload_type=PayloadType(63), max_payload=1_000)
    first, second = make_packet(0), make_packet(1)
    red.protect(first, ())
    red.protect(second, (1,))
    assert [block.payload for block in parse_red(second.payload)] == [b"sound 0", b"sound 1"]


def test_a_copy_older_than_a_header_can_say_is_left_out() -> None:
    packets = protect(4, (1, 3), frame=6_000)
    assert [block.timestamp_offset for block in parse_red(packets[3].payload)] == [6_000, 0]


def test_time_that_wraps_is_no_age() -> None:
    red = RedProtection(payload_type=PayloadType(63), max_payload=1_000)
    before, after = make_packet(0), make_packet(1)
    before.timestamp = 0xFFFFFFFF - 479
    after.timestamp = 480
    red.protect(before, (1,))
    red.protect(after, (1,))
    assert parse_red(after.payload)[0].timestamp_offset == 960


def test_copies_that_do_not_fit_are_left_out() -> None:
    red = RedProtection(payload_type=PayloadType(63), max_payload=1_000)
    packets = [make_packet(number, bytes(400)) for number in range(3)]
    for packet in packets:
        red.protect(packet, (1, 2))
    packet = packets[2]
    assert len(parse_red(packet.payload)) == 2
    assert len(packet.payload) <= 1_000


def test_what_goes_into_copies_is_counted() -> None:
    red = RedProtection(payload_type=PayloadType(63), max_payload=1_000)
    for number in range(3):
        red.protect(make_packet(number), (1,))
    assert red.copies == 2
    assert red.copy_bytes == 2 * (1 + 4 + len(b"sound 0"))
