"""ULPFEC: the bits of RFC 5109 §7.3 and §7.4, and images of packets."""

from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.ulpfec import (
    UlpFec,
    image_of,
    packet_of,
    parse_ulpfec,
    serialize_ulpfec,
    ulpfec_overhead,
    xor_images,
)

IDS = ExtensionIds(mid=1, absolute_send_time=2, transport_sequence_number=3)
NONE = ExtensionIds()


def packet(number: int, payload: bytes, *, marker: bool = False, stamp: int = 7) -> RtpPacket:
    return RtpPacket(
        payload_type=96,
        sequence_number=number,
        timestamp=0x01020304,
        ssrc=0xAABBCCDD,
        marker=marker,
        payload=payload,
        extensions=HeaderExtensions(
            mid="v", absolute_send_time=stamp, transport_sequence_number=stamp
        ),
    )


def test_an_image_is_the_packet_without_what_the_parity_packet_says() -> None:
    plain = RtpPacket(96, 500, 0x01020304, 9, marker=True, payload=b"abc").serialize(NONE)
    assert image_of(plain, NONE) == b"\x00\xe0\x01\x02\x03\x04\x00\x03abc"
    assert packet_of(image_of(plain, NONE), sequence_number=500, ssrc=9) == plain


def test_what_is_stamped_at_departure_does_not_matter() -> None:
    first, again = (packet(1, b"abc", stamp=stamp).serialize(IDS) for stamp in (7, 9999))
    assert first != again
    assert image_of(first, IDS) == image_of(again, IDS)
    back = RtpPacket.parse(packet_of(image_of(first, IDS), sequence_number=1, ssrc=5), IDS)
    assert (back.extensions.mid, back.extensions.absolute_send_time) == ("v", 0)


def test_what_red_holds_is_protected_not_red_itself() -> None:
    plain, wrapped = packet(1, b"abc", marker=True), packet(1, b"\x60abc", marker=True)
    wrapped.payload_type = 116
    assert image_of(wrapped.serialize(IDS), IDS, 116) == image_of(plain.serialize(IDS), IDS)


@pytest.mark.parametrize("payload", [b"", b"\xe0\x00\x00\x01\x60ab"])
def test_red_without_a_block_or_with_copies_has_no_image(payload: bytes) -> None:
    wrapped = packet(1, payload)
    wrapped.payload_type = 116
    with pytest.raises(ParseError):
        image_of(wrapped.serialize(IDS), IDS, 116)


def test_a_parity_packet_has_the_bits_of_the_rfc() -> None:
    image = b"\x10\xe0\x01\x02\x03\x04\x00\x03abc"
    fec = UlpFec(0x1234, (0, 2, 15), image)
    assert serialize_ulpfec(fec) == (
        b"\x10\xe0\x12\x34\x01\x02\x03\x04\x00\x03"  # E, L and CC of 0; X of 1
        b"\x00\x03\xa0\x01"
        b"abc"
    )
    assert parse_ulpfec(serialize_ulpfec(fec)) == fec


def test_far_packets_need_the_long_mask() -> None:
    fec = UlpFec(0xFFFF, (0, 16, 47), b"\x00\x60\x01\x02\x03\x04\x00\x01x")
    data = serialize_ulpfec(fec)
    assert data[0] == 0x40
    assert data[12:18] == b"\x80\x00\x80\x00\x00\x01"
    assert len(data) == ulpfec_overhead(48) + 1
    assert parse_ulpfec(data) == fec


@pytest.mark.parametrize("offsets", [(), (0, 48), (-1, 3)])
def test_a_mask_that_cannot_be_told_is_refused(offsets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a mask of 48 bits"):
        serialize_ulpfec(UlpFec(1, offsets, bytes(8)))


def test_a_second_level_is_passed_over() -> None:
    fec = UlpFec(5, (0, 1), b"\x00\x60\x01\x02\x03\x04\x00\x09abc")
    assert parse_ulpfec(serialize_ulpfec(fec) + b"\x00\x02\xc0\x00de") == fec


def test_what_was_not_wholly_protected_is_not_made_up() -> None:
    with pytest.raises(ParseError, match="not all protected"):
        packet_of(b"\x00\x60\x01\x02\x03\x04\x00\x09abc", sequence_number=1, ssrc=1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(13),
        bytes(14),  # nothing in the mask
        b"\x80" + bytes(12) + b"\x80\x00",  # E
        b"\x40" + bytes(12) + b"\x80\x00",  # a long mask, cut off
        bytes(10) + b"\x00\x01\x80\x00",  # one protected byte, cut off
    ],
)
def test_what_is_no_parity_packet_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_ulpfec(data)


def test_parity_gives_back_the_packet_that_is_missing() -> None:
    packets = [packet(n, bytes([n]) * (3 * n), marker=n == 4, stamp=n) for n in range(1, 5)]
    sent = [each.serialize(IDS) for each in packets]
    parity = xor_images(image_of(each, IDS) for each in sent)
    for lost in range(4):
        others = (image_of(each, IDS) for index, each in enumerate(sent) if index != lost)
        image = xor_images([parity, *others])
        back = RtpPacket.parse(packet_of(image, sequence_number=lost + 1, ssrc=0xAABBCCDD), IDS)
        packets[lost].extensions.absolute_send_time = 0
        packets[lost].extensions.transport_sequence_number = 0
        assert back == packets[lost]
