"""RTP and RTCP: what is written is read back, and no bytes make a parser raise another error."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import (
    ExtensionIds,
    HeaderExtensions,
    parse_extensions,
    serialize_extensions,
)
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import RedBlock, parse_red, serialize_red
from ringline.media.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    ReferencePictureSelection,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialize_compound,
)
from ringline.media.rtp.rtx import unwrap_rtx, wrap_rtx
from ringline.media.rtp.transport_cc import TransportFeedback
from ringline.media.rtp.vp8 import Vp8Descriptor, frame_size
from ringline.media.rtp.vp8_header import read_quantizer
from ringline.media.units import Unwrapper, is_newer

IDS = ExtensionIds(mid=1, audio_level=2, absolute_send_time=3, transport_sequence_number=14)

bits = {n: st.integers(0, 2**n - 1) for n in (3, 5, 7, 8, 15, 16, 24, 32, 64)}
mids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=16)
extensions = st.builds(
    HeaderExtensions,
    mid=st.none() | mids,
    audio_level=st.none() | st.tuples(st.booleans(), bits[7]),
    absolute_send_time=st.none() | bits[24],
    transport_sequence_number=st.none() | bits[16],
)
packets = st.builds(
    RtpPacket,
    payload_type=bits[7],
    sequence_number=bits[16],
    timestamp=bits[32],
    ssrc=bits[32],
    marker=st.booleans(),
    payload=st.binary(max_size=64),
    extensions=extensions,
    padding=bits[8],
)
blocks = st.builds(
    ReportBlock,
    ssrc=bits[32],
    fraction_lost=st.integers(0, 255).map(lambda share: share / 256),
    packets_lost=st.integers(-0x800000, 0x7FFFFF),
    highest_sequence=bits[32],
    jitter=bits[32],
    last_sr=bits[32],
    delay_since_last_sr=bits[32],
)
reports = st.lists(blocks, max_size=31)
ssrcs = st.lists(bits[32], max_size=31)
rtcp_packets: st.SearchStrategy[RtcpPacket] = st.one_of(
    st.builds(SenderReport, bits[32], bits[64], bits[32], bits[32], bits[32], reports),
    st.builds(ReceiverReport, bits[32], reports),
    st.builds(SourceDescription, bits[32], st.text(max_size=60)),
    st.builds(Bye, ssrcs),
    st.builds(PictureLossIndication, bits[32], bits[32]),
    st.builds(ReferencePictureSelection, bits[32], bits[32], bits[7], bits[15]),
    st.builds(FullIntraRequest, bits[32], ssrcs),
    st.builds(ReceiverEstimatedMaxBitrate, bits[32], st.integers(0, 2**18 - 1), ssrcs),
)
descriptors = st.builds(
    Vp8Descriptor,
    start=st.booleans(),
    partition=bits[3],
    non_reference=st.booleans(),
    picture_id=st.none() | bits[15],
    tl0_picture_index=st.none() | bits[8],
    temporal_layer=st.none() | st.tuples(st.integers(0, 3), st.booleans()),
    key_index=st.none() | bits[5],
)
arrivals = st.lists(st.none() | st.integers(0, 30_000), max_size=300)


@given(packets)
def test_a_packet_is_read_back(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.serialize(IDS), IDS) == packet


@given(extensions)
def test_extensions_are_read_back(values: HeaderExtensions) -> None:
    data = serialize_extensions(values, IDS)
    assert len(data) % 4 == 0
    profile = int.from_bytes(data[:2], "big")
    assert parse_extensions(profile, data[4:], IDS) == values


@given(st.lists(rtcp_packets, max_size=4))
def test_a_compound_is_read_back(compound: list[RtcpPacket]) -> None:
    assert parse_compound(serialize_compound(compound)) == compound


@given(st.lists(bits[16], unique=True, max_size=100))
def test_all_numbers_of_a_nack_are_read_back(numbers: list[int]) -> None:
    (parsed,) = parse_compound(serialize_compound([Nack(1, 2, numbers)]))
    assert isinstance(parsed, Nack)
    assert sorted(parsed.sequence_numbers) == sorted(numbers)


@given(bits[64].map(lambda rate: rate >> 1))
def test_an_estimate_loses_no_more_than_its_last_bits(bitrate: int) -> None:
    (parsed,) = parse_compound(serialize_compound([ReceiverEstimatedMaxBitrate(1, bitrate, [])]))
    assert isinstance(parsed, ReceiverEstimatedMaxBitrate)
    assert parsed.bitrate <= bitrate <= parsed.bitrate * (1 + 2**-17) + 1


@given(bits[16], arrivals, bits[32])
def test_arrivals_are_read_back_to_a_quarter_of_a_millisecond(
    base: int, ticks: list[int | None], start: int
) -> None:
    times = [None if tick is None else (start % 10**6 + tick) * 0.00025 for tick in ticks]
    parsed = TransportFeedback.parse(TransportFeedback(1, 2, base, 3, times).serialize())
    assert parsed.base_sequence == base
    assert [a is None for a in parsed.arrivals] == [a is None for a in times]
    came = [
        (a, b)
        for a, b in zip(times, parsed.arrivals, strict=True)
        if a is not None and b is not None
    ]
    for (sent, read), (next_sent, next_read) in itertools.pairwise(came):
        assert abs((next_sent - sent) - (next_read - read)) < 1e-6


@given(descriptors, st.binary(max_size=4))
def test_a_descriptor_is_read_back(descriptor: Vp8Descriptor, payload: bytes) -> None:
    data = descriptor.serialize()
    assert Vp8Descriptor.parse(data + payload) == (descriptor, len(data))


@given(packets, bits[16])
def test_a_retransmission_is_unwrapped(packet: RtpPacket, number: int) -> None:
    packet.padding = 0
    again = wrap_rtx(packet, payload_type=97, sequence_number=number, ssrc=5)
    read = RtpPacket.parse(again.serialize(IDS), IDS)
    assert unwrap_rtx(read, payload_type=packet.payload_type, ssrc=packet.ssrc) == packet


@given(st.binary(max_size=80))
def test_no_bytes_make_the_packet_parser_raise_another_error(data: bytes) -> None:
    for first in (data[:1], b"\x80", b"\x90", b"\xb3"):
        with contextlib.suppress(ParseError):
            RtpPacket.parse(first + data[1:], IDS)


@given(st.sampled_from([0xBEDE, 0x1000, 0x100F, 0]), st.binary(max_size=40))
def test_no_bytes_make_the_extension_parser_raise_another_error(profile: int, data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_extensions(profile, data, IDS)


@given(st.binary(max_size=80))
def test_no_bytes_make_the_rtcp_parser_raise_another_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_compound(data)


@given(st.integers(0, 31), st.sampled_from([200, 201, 202, 203, 205, 206]), st.binary(max_size=80))
def test_no_body_makes_the_rtcp_parser_raise_another_error(
    count: int, kind: int, body: bytes
) -> None:
    body += bytes(-len(body) % 4)
    for padding in (0, 0x20):
        head = bytes([0x80 | padding | count, kind]) + (len(body) // 4).to_bytes(2, "big")
        with contextlib.suppress(ParseError):
            parse_compound(head + body)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_feedback_parser_raise_another_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        feedback = TransportFeedback.parse(data)
        assert len(feedback.arrivals) == int.from_bytes(data[10:12], "big")


@given(st.binary(max_size=20))
def test_no_bytes_make_the_vp8_parser_raise_another_error(data: bytes) -> None:
    frame_size(data)
    with contextlib.suppress(ParseError):
        _, length = Vp8Descriptor.parse(data)
        assert length <= len(data)


@given(st.integers(0, 2**20), st.lists(st.integers(-30_000, 30_000), max_size=50))
def test_numbers_that_step_less_than_half_a_circle_are_unwrapped(
    start: int, steps: list[int]
) -> None:
    unwrapper = Unwrapper()
    true = start
    offset = unwrapper.unwrap(start & 0xFFFF) - start
    for step in steps:
        true += step
        assert unwrapper.unwrap(true & 0xFFFF) == true + offset
        assert is_newer(true & 0xFFFF, (true - step) & 0xFFFF) == (step > 0)


redundant_blocks = st.builds(
    RedBlock,
    payload_type=bits[7],
    timestamp_offset=st.integers(0, 2**14 - 1),
    payload=st.binary(max_size=32),
)


@given(
    st.lists(redundant_blocks, max_size=15),
    st.builds(
        RedBlock, payload_type=bits[7], timestamp_offset=st.just(0), payload=st.binary(max_size=64)
    ),
)
def test_red_is_read_back(redundant: list[RedBlock], primary: RedBlock) -> None:
    blocks = [*redundant, primary]
    assert parse_red(serialize_red(blocks)) == blocks


@given(st.binary(max_size=96))
def test_no_bytes_make_red_raise_another_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_red(data)


@given(st.sampled_from([b"", b"\x10\x00\x00", b"\x11\x00\x00"]), st.binary(max_size=100))
def test_any_frame_has_a_quantizer_or_none(tag: bytes, rest: bytes) -> None:
    quantizer = read_quantizer(tag + rest)
    assert quantizer is None or 0 <= quantizer <= 127
