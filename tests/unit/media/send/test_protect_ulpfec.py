"""ULPFEC at the sender: how much parity leaves, and over what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringline.media.parameters import StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import parse_red
from ringline.media.rtp.ulpfec import UlpFec, parse_ulpfec
from ringline.media.rtp.vp8 import Vp8Descriptor
from ringline.media.send.protect_ulpfec import (
    PARITY_OVERHEAD,
    UlpFecProtection,
    ulpfec_protection,
    ulpfec_types,
)
from ringline.media.units import PayloadType, Ssrc

IDS = ExtensionIds(mid=1, absolute_send_time=2, transport_sequence_number=3)
STREAM = StreamParameters(
    kind="video",
    mid="v",
    payload_type=PayloadType(96),
    ssrc=Ssrc(5),
    rtx_payload_type=PayloadType(97),
    rtx_ssrc=Ssrc(6),
    red_payload_type=PayloadType(116),
    ulpfec_payload_type=PayloadType(117),
    nack=True,
)
TYPES = PayloadType(116), PayloadType(117)


class Sender:
    """Sends pictures of packets of about 1000 bytes; parity takes numbers behind them."""

    def __init__(self, protection: float, window: float = 0.1) -> None:
        self.fec = UlpFecProtection(STREAM, TYPES, IDS)
        self.fec.set_protection(protection, window)
        self.number = 65_530
        self.timestamp = 0
        self.media_bytes = 0

    def send(
        self,
        packets: int,
        now: float = 0.0,
        *,
        key: bool = False,
        ends: bool = True,
        size: int = 980,
    ) -> list[UlpFec]:
        self.timestamp += 3000
        made: list[RtpPacket] = []
        for index in range(packets):
            assert not made, "parity came before the end of the picture"
            start = Vp8Descriptor(start=index == 0, picture_id=1).serialize()
            packet = RtpPacket(
                payload_type=96,
                sequence_number=self._take_number(),
                timestamp=self.timestamp,
                ssrc=5,
                marker=ends and index == packets - 1,
                payload=start + (b"\x10" if key else b"\x11") + bytes(size),
                extensions=HeaderExtensions(mid="v"),
            )
            sent = self.fec.wrap(packet)
            assert (sent.payload_type, sent.payload) == (116, b"\x60" + packet.payload)
            assert packet.payload_type == 96
            data = sent.serialize(IDS)
            self.media_bytes += len(data)
            made = self.fec.handle_sent(packet, data, now)
        for parity in made:
            self._take_number()
            assert (parity.payload_type, parity.ssrc, parity.marker) == (116, 5, False)
        blocks = [parse_red(parity.payload)[-1] for parity in made]
        assert all(block.payload_type == 117 for block in blocks)
        return [parse_ulpfec(block.payload) for block in blocks]

    def _take_number(self) -> int:
        number, self.number = self.number, (self.number + 1) & 0xFFFF
        return number


def numbers(fec: UlpFec) -> list[int]:
    return [(fec.first_number + offset) & 0xFFFF for offset in fec.offsets]


def test_without_protection_nothing_is_made() -> None:
    sender = Sender(0.0)
    assert [sender.send(3), sender.send(40, key=True)] == [[], []]


def test_parity_follows_the_last_packet_of_a_picture_and_is_over_all_of_it() -> None:
    sender = Sender(0.25)
    (fec,) = sender.send(4)
    assert numbers(fec) == [65_530, 65_531, 65_532, 65_533]
    (fec,) = sender.send(4)  # 65 534 was the parity
    assert numbers(fec) == [65_535, 0, 1, 2]


def test_a_key_frame_gets_twice_the_parity() -> None:
    assert len(Sender(0.25).send(12)) == 3
    assert len(Sender(0.25).send(12, key=True)) == 6


def test_small_pictures_share_parity() -> None:
    sender = Sender(0.34)
    assert [len(sender.send(1, now=n * 0.03)) for n in range(6)] == [0, 1, 0, 0, 1, 0]
    sender = Sender(0.34)
    assert [numbers(fec) for n in range(2) for fec in sender.send(1, now=n * 0.03)] == [
        [65_530, 65_531]
    ]


def test_what_is_older_than_the_window_is_not_protected_any_more() -> None:
    sender = Sender(0.3, window=0.05)
    assert sender.send(1, now=0.0) == []
    (fec,) = sender.send(1, now=0.1)
    assert numbers(fec) == [65_531]


@pytest.mark.parametrize("packets", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("protection", [0.05, 0.1, 0.3, 0.5, 1.0])
def test_parity_keeps_to_its_share(packets: int, protection: float) -> None:
    sender = Sender(protection)
    for count in range(100):
        sender.send(packets, now=count * 0.03)
    assert abs(sender.fec.bytes - protection * sender.media_bytes) < 1200 + 0.02 * sender.fec.bytes


def test_what_large_packets_overdrew_is_paid_back_by_small_ones() -> None:
    sender = Sender(0.2)
    assert len(sender.send(3)) == 1  # more than they earned
    made = [len(sender.send(1, size=10)) for _ in range(100)]
    assert 1 not in made[:15]
    assert 1 in made


def test_more_packets_than_a_mask_can_tell_are_protected_in_parts() -> None:
    parity = Sender(0.1).send(100, key=True)
    assert len(parity) == 20
    assert {number for fec in parity for number in numbers(fec)} == {
        (65_530 + index) & 0xFFFF for index in range(100)
    }


def test_a_picture_whose_end_was_dropped_is_not_protected() -> None:
    sender = Sender(0.5)
    assert sender.send(3, ends=False) == []
    parity = sender.send(2)
    assert {number for fec in parity for number in numbers(fec)} == {65_533, 65_534}


def test_parity_is_no_larger_than_was_reserved_for_it() -> None:
    sender = Sender(1.0)
    largest = 0
    for packets in (1, 5, 20, 60):
        for fec in sender.send(packets):
            largest = max(largest, len(fec.image) - 8)
    assert largest == sender.media_bytes // 86 - 1 - 12  # behind the header, RED taken off
    assert PARITY_OVERHEAD == 19


def test_a_lost_parity_packet_is_answered_by_an_empty_one() -> None:
    parity = RtpPacket(116, 77, 3000, 5, payload=b"parity")
    assert UlpFecProtection(STREAM, TYPES, IDS).stand_in(parity) == RtpPacket(96, 77, 3000, 5)


def test_pictures_are_protected_where_both_types_are_known() -> None:
    assert ulpfec_types(STREAM) == TYPES
    assert ulpfec_types(replace(STREAM, kind="audio")) is None
    assert ulpfec_types(replace(STREAM, red_payload_type=None)) is None
    assert ulpfec_types(replace(STREAM, ulpfec_payload_type=None)) is None
    assert ulpfec_types(replace(STREAM, rtx_ssrc=None)) is None
    assert ulpfec_types(replace(STREAM, rtx_ssrc=None, nack=False)) == TYPES


def test_protection_is_for_losses_that_retransmission_mends_too_late() -> None:
    assert ulpfec_protection(0.0, 0.2) == (0.0, 0.0)
    assert ulpfec_protection(0.1, 0.02) == (0.0, 0.0)
    assert ulpfec_protection(0.1, 0.1) == (0.2, 0.1)
    assert ulpfec_protection(0.1, 0.5) == (0.4, 0.15)
    assert ulpfec_protection(0.6, 0.5) == (0.5, 0.15)
