from __future__ import annotations

from ringline.media.receive.recover_red import RedRecovery, SoundBlock
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import RedBlock, serialize_red
from ringline.media.units import PayloadType, Ssrc


def sound(number: int) -> bytes:
    """Return what passes for an Opus packet of 20 ms."""
    return bytes([31 << 3, number & 0xFF])


def make_packet(number: int, *distances: int, frame: int = 960) -> RtpPacket:
    blocks = [RedBlock(111, frame * back, sound(number - back)) for back in reversed(distances)]
    blocks.append(RedBlock(111, 0, sound(number)))
    return RtpPacket(
        payload_type=PayloadType(63),
        sequence_number=number,
        timestamp=number * frame & 0xFFFFFFFF,
        ssrc=Ssrc(1),
        payload=serialize_red(blocks),
    )


def make_recovery() -> RedRecovery:
    return RedRecovery(PayloadType(111), PayloadType(63))


def test_a_lost_packet_comes_back_in_its_place() -> None:
    red = make_recovery()
    assert red.handle_packet(make_packet(10, 1), 10) == [SoundBlock(10, 9_600, sound(10))]
    assert red.handle_packet(make_packet(12, 1), 12) == [
        SoundBlock(11, 11 * 960, sound(11), 960),
        SoundBlock(12, 12 * 960, sound(12)),
    ]
    assert (red.copies, red.recovered, red.needless) == (2, 1, 1)


def test_a_burst_comes_back_oldest_first() -> None:
    red = make_recovery()
    red.handle_packet(make_packet(10), 10)
    blocks = red.handle_packet(make_packet(14, 1, 2, 3), 14)
    assert [block.sequence for block in blocks] == [11, 12, 13, 14]
    assert [block.age for block in blocks] == [2_880, 1_920, 960, 0]


def test_copies_of_what_has_come_are_dropped() -> None:
    red = make_recovery()
    for number in range(20):
        blocks = red.handle_packet(make_packet(number, 1, 2), number)
        assert [block.sequence for block in blocks] == [number]
    assert red.recovered == 0
    assert red.needless == red.copies


def test_an_original_that_comes_after_its_copy_is_still_given() -> None:
    # It was reordered; the buffer knows it as the duplicate that it is.
    red = make_recovery()
    red.handle_packet(make_packet(10), 10)
    red.handle_packet(make_packet(12, 1), 12)
    assert [b.sequence for b in red.handle_packet(make_packet(11, 1), 11)] == [11]


def test_plain_packets_pass_and_are_remembered() -> None:
    red = make_recovery()
    plain = make_packet(10)
    plain.payload_type, plain.payload = PayloadType(111), sound(10)
    assert red.handle_packet(plain, 10) == [SoundBlock(10, 9_600, sound(10))]
    assert [b.sequence for b in red.handle_packet(make_packet(11, 1), 11)] == [11]


def test_what_was_before_the_first_packet_is_not_played() -> None:
    red = make_recovery()
    assert [b.sequence for b in red.handle_packet(make_packet(10, 1, 2), 10)] == [10]
    red.restart()
    assert [b.sequence for b in red.handle_packet(make_packet(90, 1, 2), 90)] == [90]


def test_long_packets_are_numbered_by_their_length() -> None:
    red = make_recovery()
    red.handle_packet(make_packet(10, frame=1_920), 10)
    forty = bytes([31 << 3 | 1, 7])  # two frames of 20 ms
    packet = make_packet(13, frame=1_920)
    packet.payload = serialize_red([RedBlock(111, 3_840, forty), RedBlock(111, 0, forty)])
    assert [block.sequence for block in red.handle_packet(packet, 13)] == [11, 13]


def test_what_cannot_be_read_is_counted_and_gives_nothing() -> None:
    red = make_recovery()
    red.handle_packet(make_packet(10), 10)
    broken = make_packet(12)
    broken.payload = b"\xef\x00"
    assert red.handle_packet(broken, 12) == []
    foreign = make_packet(13)
    foreign.payload = serialize_red([RedBlock(0, 960, b"pcm"), RedBlock(0, 0, b"pcm")])
    assert red.handle_packet(foreign, 13) == []
    nonsense = make_packet(14)
    nonsense.payload = serialize_red([RedBlock(111, 960, b"\x03"), RedBlock(111, 0, sound(14))])
    assert [block.sequence for block in red.handle_packet(nonsense, 14)] == [14]
    assert red.malformed == 3


def test_memory_is_bounded() -> None:
    red = make_recovery()
    for number in range(0, 20_000, 2):
        red.handle_packet(make_packet(number, 1), number)
    assert red.recovered == 9_999
    assert len(red._seen) <= 160
