"""ULPFEC at the receiver: what parity gives back, and that nothing else is made up."""

from __future__ import annotations

from collections.abc import Sequence

from ringline.media.parameters import StreamParameters
from ringline.media.receive.arrive import Arrival
from ringline.media.receive.recover_ulpfec import UlpFecConfig, UlpFecRecovery
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.ulpfec import UlpFec, image_of, serialize_ulpfec, xor_images
from ringline.media.units import PayloadType, Ssrc

IDS = ExtensionIds(mid=1, absolute_send_time=2, transport_sequence_number=3)
STREAM = StreamParameters(
    kind="video",
    mid="v",
    payload_type=PayloadType(96),
    ssrc=Ssrc(5),
    red_payload_type=PayloadType(116),
    ulpfec_payload_type=PayloadType(117),
)


def red(number: int, block: int, payload: bytes) -> RtpPacket:
    """Return a RED packet as it leaves."""
    return RtpPacket(
        payload_type=116,
        sequence_number=number & 0xFFFF,
        timestamp=3000,
        ssrc=5,
        payload=bytes([block]) + payload,
        extensions=HeaderExtensions(
            mid="v", absolute_send_time=number, transport_sequence_number=number
        ),
    )


def media(number: int) -> RtpPacket:
    return red(number, 96, f"picture {number}".encode() * (number % 7 + 1))


def parity(number: int, over: Sequence[int]) -> RtpPacket:
    images = (image_of(media(n).serialize(IDS), IDS, 116) for n in over)
    offsets = tuple(n - over[0] for n in over)
    fec = UlpFec(over[0] & 0xFFFF, offsets, xor_images(images))
    return red(number, 117, serialize_ulpfec(fec))


class Receiver:
    """Takes packets; each answer is the numbers and payloads that come out."""

    def __init__(self, config: UlpFecConfig | None = None) -> None:
        self.fec = UlpFecRecovery(STREAM, IDS, config)

    def take(
        self, number: int, packet: RtpPacket, now: float = 0.0, *, again: bool = False
    ) -> list[tuple[int, bytes, bool]]:
        data = packet.serialize(IDS)
        arrival = Arrival(STREAM, RtpPacket.parse(data, IDS), number, retransmitted=again)
        arrivals = self.fec.handle_arrival(arrival, data, now)
        return [(each.sequence, each.packet.payload, each.recovered) for each in arrivals]


def plain(number: int, *, recovered: bool = False) -> tuple[int, bytes, bool]:
    return number, media(number).payload[1:], recovered


def test_red_is_taken_off_and_parity_is_a_packet_of_nothing() -> None:
    receiver = Receiver()
    assert receiver.take(10, media(10)) == [plain(10)]
    assert receiver.take(11, parity(11, [10])) == [(11, b"", False)]
    assert (receiver.fec.packets, receiver.fec.discarded, receiver.fec.recovered) == (1, 1, 0)


def test_the_one_packet_that_is_missing_comes_back_with_the_parity() -> None:
    receiver = Receiver()
    for number in (10, 12):
        receiver.take(number, media(number))
    assert receiver.take(13, parity(13, [10, 11, 12])) == [
        plain(11, recovered=True),
        (13, b"", False),
    ]
    assert (receiver.fec.recovered, receiver.fec.discarded) == (1, 0)


def test_parity_waits_for_what_comes_late() -> None:
    receiver = Receiver()
    receiver.take(13, parity(13, [10, 11, 12]))
    assert receiver.take(12, media(12)) == [plain(12)]
    assert receiver.take(10, media(10)) == [plain(11, recovered=True), plain(10)]


def test_two_parity_packets_over_two_losses_mend_both() -> None:
    receiver = Receiver()
    receiver.take(13, parity(13, [10, 11]))
    assert receiver.take(14, parity(14, [11])) == [
        plain(10, recovered=True),
        plain(11, recovered=True),
        (14, b"", False),
    ]


def test_losses_that_no_parity_packet_holds_alone_are_solved_for_together() -> None:
    receiver = Receiver()
    for number, over in ((20, [10, 11]), (21, [11, 12]), (22, [12, 13])):
        assert receiver.take(number, parity(number, over)) == [(number, b"", False)]
    recovered = receiver.take(23, parity(23, [10, 11, 12]))
    assert recovered == [*(plain(n, recovered=True) for n in (10, 11, 12, 13)), (23, b"", False)]
    assert receiver.fec.discarded == 0


def test_two_losses_under_one_parity_packet_stay_lost() -> None:
    receiver = Receiver()
    receiver.take(10, media(10))
    assert receiver.take(13, parity(13, [10, 11, 12])) == [(13, b"", False)]
    assert receiver.fec.recovered == 0


def test_numbers_may_wrap_between_the_packets() -> None:
    receiver = Receiver()
    receiver.take(65_535, media(65_535))
    recovered = receiver.take(65_537, parity(65_537, [65_535, 65_536]))
    assert recovered[0] == plain(65_536, recovered=True)


def test_a_retransmission_is_not_recovered_again_nor_reckoned_with() -> None:
    receiver = Receiver()
    original = media(11)
    original.payload_type, original.payload = 96, original.payload[1:]
    assert receiver.take(11, original, again=True) == [plain(11)]
    # With 10 lost as well, 11 as it was retransmitted cannot stand for what was protected.
    assert receiver.take(13, parity(13, [10, 11])) == [(13, b"", False)]
    assert receiver.take(14, parity(14, [11])) == [plain(10, recovered=True), (14, b"", False)]
    assert receiver.fec.recovered == 1


def test_what_comes_after_it_was_recovered_disturbs_nothing() -> None:
    receiver = Receiver()
    receiver.take(12, parity(12, [11]))
    assert receiver.take(11, media(11), again=True)[-1][0] == 11
    assert receiver.take(11, media(11)) == [plain(11)]
    assert receiver.fec.recovered == 1


def test_old_parity_is_forgotten() -> None:
    receiver = Receiver()
    receiver.take(12, parity(12, [10, 11]))
    receiver.take(13, media(13), now=1.5)
    assert receiver.take(10, media(10), now=1.5) == [plain(10)]
    assert (receiver.fec.recovered, receiver.fec.discarded) == (0, 1)


def test_parity_of_far_away_packets_is_of_no_use() -> None:
    receiver = Receiver(UlpFecConfig(max_packets=50))
    assert receiver.take(100, parity(100, [49])) == [(100, b"", False)]
    assert receiver.fec.discarded == 1
    assert receiver.take(101, parity(101, [60])) == [plain(60, recovered=True), (101, b"", False)]


def test_only_so_much_parity_waits() -> None:
    receiver = Receiver(UlpFecConfig(max_parity=2))
    for number, over in ((20, [10, 11]), (21, [12, 13]), (22, [14, 15])):
        receiver.take(number, parity(number, over))
    assert receiver.take(10, media(10)) == [plain(10)]
    assert receiver.take(14, media(14)) == [plain(15, recovered=True), plain(14)]


def test_what_is_no_packet_of_this_stream_is_not_given_out() -> None:
    receiver = Receiver()
    fec = UlpFec(10, (0,), image_of(RtpPacket(100, 10, 3000, 5, payload=b"x").serialize(IDS), IDS))
    assert receiver.take(11, red(11, 117, serialize_ulpfec(fec))) == [(11, b"", False)]
    short = UlpFec(10, (0,), b"\x00\x60\x00\x00\x00\x00\x00\x09abc")
    assert receiver.take(12, red(12, 117, serialize_ulpfec(short))) == [(12, b"", False)]
    assert (receiver.fec.malformed, receiver.fec.discarded) == (2, 2)


def test_what_does_not_parse_is_a_packet_of_nothing() -> None:
    receiver = Receiver()
    assert receiver.take(10, red(10, 117, b"no parity")) == [(10, b"", False)]
    assert receiver.take(11, red(11, 0xFF, b"no end")) == [(11, b"", False)]
    assert receiver.take(12, red(12, 101, b"some other block")) == [(12, b"", False)]
    assert receiver.fec.malformed == 2


def test_another_stream_begins_without_what_was() -> None:
    receiver = Receiver()
    receiver.take(13, parity(13, [10, 11]))
    receiver.fec.restart()
    assert receiver.take(10, media(10)) == [plain(10)]
