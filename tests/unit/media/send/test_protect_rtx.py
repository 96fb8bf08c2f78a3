from __future__ import annotations

from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rtx import unwrap_rtx
from ringline.media.send.protect_rtx import RtxConfig, RtxHistory
from ringline.media.units import PayloadType, Ssrc


def history(config: RtxConfig | None = None, *, stream: bool = True) -> RtxHistory:
    return RtxHistory(
        config or RtxConfig(),
        stream=(PayloadType(97), Ssrc(6)) if stream else None,
        first_sequence_number=65_535,
    )


def packet(number: int, size: int = 1_000) -> RtpPacket:
    return RtpPacket(96, number, 3_000, 5, marker=True, payload=bytes([number & 255]) * size)


def ask(kept: RtxHistory, *numbers: int, now: float, target: int = 10_000_000) -> list[RtpPacket]:
    return kept.handle_nack(numbers, now, round_trip=0.1, target_bitrate=target)


def test_what_is_asked_for_is_sent_again_on_its_own_stream() -> None:
    kept = history()
    for number in (10, 11, 12):
        kept.handle_sent(packet(number), 0.0, 0.1)
    repeats = ask(kept, 12, 10, now=0.1)
    assert [(p.payload_type, p.ssrc, p.sequence_number) for p in repeats] == [
        (97, 6, 65_535),
        (97, 6, 0),
    ]
    originals = [unwrap_rtx(repeat, payload_type=96, ssrc=5) for repeat in repeats]
    assert originals == [packet(12), packet(10)]


def test_not_twice_within_three_quarters_of_a_round_trip() -> None:
    kept = history()
    kept.handle_sent(packet(1), 0.0, 0.1)
    assert len(ask(kept, 1, 1, now=0.1)) == 1
    assert ask(kept, 1, now=0.17) == []
    assert len(ask(kept, 1, now=0.18)) > 0
    assert kept.refused == 2


def test_what_is_asked_for_a_second_time_is_sent_twice_the_copies_last() -> None:
    kept = history()
    for number in (1, 2, 3):
        kept.handle_sent(packet(number), 0.0, 0.1)
    assert len(ask(kept, 1, 2, now=0.1)) == 2
    repeats = ask(kept, 1, 2, 3, now=0.2)
    originals = [unwrap_rtx(repeat, payload_type=96, ssrc=5) for repeat in repeats]
    assert [original.sequence_number for original in originals] == [1, 2, 3, 1, 2]
    assert len({repeat.sequence_number for repeat in repeats}) == 5


def test_no_copy_goes_where_it_would_hold_up_the_rest() -> None:
    kept = history()
    kept.handle_sent(packet(1), 0.0, 0.1)
    kept.handle_sent(packet(2, size=300), 0.0, 0.1)
    assert len(ask(kept, 1, 2, now=0.1, target=300_000)) == 2
    # At 300 kbit/s the large one takes 27 ms, the small one 8.
    repeats = ask(kept, 1, 2, now=0.2, target=300_000)
    assert [len(repeat.payload) for repeat in repeats] == [1_002, 302, 302]


def test_copies_count_as_retransmissions_do() -> None:
    kept = history(RtxConfig(burst=0.01))  # 3500 bytes
    for number in (1, 2, 3):
        kept.handle_sent(packet(number), 0.0, 0.1)
    assert len(ask(kept, 1, 2, 3, now=0.1, target=8_000_000)) == 3
    assert len(ask(kept, 1, 2, 3, now=0.2, target=8_000_000)) == 4


def test_what_was_never_sent_is_refused() -> None:
    kept = history()
    assert ask(kept, 1, now=0.0) == []
    assert kept.refused == 1


def test_history_is_bounded_in_time_and_count() -> None:
    kept = history(RtxConfig(max_packets=3, copies=1))
    for number in range(5):
        kept.handle_sent(packet(number), number * 0.01, 0.1)
    assert len(ask(kept, 0, 1, 2, 3, 4, now=0.1)) == 3
    kept.handle_sent(packet(5), 1.02, 0.1)
    assert len(ask(kept, 2, 3, 4, 5, now=1.3)) == 3  # 2 is over a second old
    kept.handle_sent(packet(6), 2.0, 0.5)  # a long round trip keeps more
    assert len(ask(kept, 5, now=2.0)) == 1


def test_retransmissions_stay_within_their_share() -> None:
    kept = history()
    for number in range(100):
        kept.handle_sent(packet(number), 0.0, 0.1)
    # 35 % of 400 kbit/s for half a second are 8750 bytes: the packet that overdraws is the last.
    assert len(ask(kept, *range(100), now=0.1, target=400_000)) == 9
    assert ask(kept, *range(9, 100), now=0.105, target=400_000) == []
    # 0.1 s later 1750 more bytes, of which 250 were owed.
    assert len(ask(kept, *range(9, 100), now=0.205, target=400_000)) == 2


def test_without_a_stream_of_its_own_the_packet_itself_is_repeated() -> None:
    kept = history(stream=False)
    kept.handle_sent(packet(1), 0.0, 0.1)
    assert ask(kept, 1, now=0.1) == [packet(1)]
    assert not kept.can_pad
    assert kept.padding(500) is None


def test_padding_copies_the_largest_recent_packet_that_fits() -> None:
    kept = history()
    assert kept.padding(500) is None
    for number, size in ((1, 300), (2, 450), (3, 900)):
        kept.handle_sent(packet(number, size), 0.0, 0.1)
    copy = kept.padding(500)
    assert copy is not None
    assert unwrap_rtx(copy, payload_type=96, ssrc=5) == packet(2, 450)


def test_padding_is_empty_bytes_where_no_packet_fits() -> None:
    kept = history()
    kept.handle_sent(packet(1, 1_000), 0.0, 0.1)
    empty = kept.padding(150)
    assert empty == RtpPacket(97, 65_535, 3_000, 6, padding=150)
    largest = kept.padding(900)
    assert largest is not None
    assert (largest.padding, largest.sequence_number) == (255, 0)


def test_it_tells_how_often_parts_of_a_picture_were_asked_for() -> None:
    kept = history()
    for number in (1, 2, 3):
        kept.handle_sent(packet(number), 0.0, 0.1)
    other = packet(4)
    other.timestamp = 6_000
    kept.handle_sent(other, 0.0, 0.1)
    assert kept.requests([1, 4, 99]) == {}
    ask(kept, 1, 2, 4, now=0.1)
    ask(kept, 2, 4, now=0.15)  # too soon: refused, not counted
    ask(kept, 2, now=0.3)  # with a copy, counted once
    assert kept.requests([1, 2, 3, 4]) == {3_000: 2, 6_000: 1}
    assert kept.requests([1]) == {3_000: 1}
