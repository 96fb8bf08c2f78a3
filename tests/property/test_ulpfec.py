"""ULPFEC: what is written is read back, parity mends any one loss, and no bytes break a reader."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.ulpfec import (
    MAX_SPAN,
    UlpFec,
    image_of,
    packet_of,
    parse_ulpfec,
    serialize_ulpfec,
    ulpfec_overhead,
    xor_images,
)

IDS = ExtensionIds(mid=1, audio_level=2, absolute_send_time=3, transport_sequence_number=14)
RED = 116

numbers = st.integers(0, 0xFFFF)
packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127).filter(lambda number: number != RED),
    sequence_number=numbers,
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.just(5),
    marker=st.booleans(),
    payload=st.binary(max_size=100),
    extensions=st.builds(HeaderExtensions, mid=st.none() | st.just("v")),
    padding=st.integers(0, 255),
)
offsets = st.sets(st.integers(0, MAX_SPAN - 1), min_size=1).map(lambda s: tuple(sorted(s)))


@given(st.builds(UlpFec, numbers, offsets, st.binary(min_size=8, max_size=200)))
def test_a_parity_packet_is_read_back(fec: UlpFec) -> None:
    fec.image = bytes((fec.image[0] & 0x3F, *fec.image[1:]))
    data = serialize_ulpfec(fec)
    assert parse_ulpfec(data) == fec
    assert len(data) == len(fec.image) - 8 + ulpfec_overhead(fec.offsets[-1] + 1)


@given(st.lists(packets, min_size=1, max_size=10), st.data())
def test_any_one_lost_packet_comes_back(sent: list[RtpPacket], data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, len(sent) - 1))
    images = [image_of(packet.serialize(IDS), IDS, RED) for packet in sent]
    parity = xor_images(images)
    image = xor_images([parity, *images[:lost], *images[lost + 1 :]])
    number = sent[lost].sequence_number
    assert packet_of(image, sequence_number=number, ssrc=5) == sent[lost].serialize(IDS)


@given(packets)
def test_an_image_of_what_red_holds_is_the_image_of_the_packet(packet: RtpPacket) -> None:
    plain = image_of(packet.serialize(IDS), IDS, RED)
    packet.payload = bytes([packet.payload_type]) + packet.payload
    packet.payload_type = RED
    assert image_of(packet.serialize(IDS), IDS, RED) == plain


@given(st.binary(max_size=100))
def test_any_bytes_are_a_parity_packet_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        fec = parse_ulpfec(data)
        assert fec.offsets[-1] < MAX_SPAN
        assert len(fec.image) <= len(data)


@given(st.sampled_from([b"", b"\x90\x74", b"\x90\xf4", b"\x8f\x74"]), st.binary(max_size=100))
def test_any_bytes_have_an_image_or_are_a_parse_error(start: bytes, data: bytes) -> None:
    with contextlib.suppress(ParseError):
        image = image_of(start + data, IDS, RED)
        assert len(image) <= len(start + data)
        assert len(packet_of(image, sequence_number=1, ssrc=1)) == len(image) + 4


@given(st.binary(max_size=40))
def test_any_bytes_are_an_image_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert len(packet_of(data, sequence_number=1, ssrc=1)) <= len(data) + 4
