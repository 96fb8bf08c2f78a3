from __future__ import annotations

from ringline.media.parameters import StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.send.transmit import TransmitStream, Transmitter
from ringline.media.units import PayloadType, Ssrc

IDS = ExtensionIds(mid=1, audio_level=2, absolute_send_time=3, transport_sequence_number=4)


def stream(*, transport_cc: bool = True, first: int = 65_535) -> TransmitStream:
    parameters = StreamParameters(
        kind="audio",
        mid="0",
        payload_type=PayloadType(111),
        ssrc=Ssrc(5),
        transport_cc=transport_cc,
    )
    return TransmitStream(parameters, 5, first_sequence_number=first)


def packet() -> RtpPacket:
    return RtpPacket(
        111, 0, 960, 5, payload=b"abc", extensions=HeaderExtensions(audio_level=(True, 40))
    )


def test_departure_stamps_everything() -> None:
    transmitter, sender = Transmitter(IDS), stream()
    out = packet()
    sender.number(out)
    data, number = transmitter.transmit(out, sender, 65.5)  # 64 s is where the stamp wraps
    assert number == 0
    parsed = RtpPacket.parse(data, IDS)
    assert parsed.sequence_number == 65_535
    assert parsed.payload == b"abc"
    assert parsed.extensions == HeaderExtensions("0", (True, 40), int(1.5 * (1 << 18)), 0)


def test_sequence_numbers_wrap_and_one_count_spans_all_streams() -> None:
    transmitter, one, two = Transmitter(IDS), stream(), stream(first=3)
    seen = []
    for sender in (one, two, one):
        out = packet()
        sender.number(out)
        seen.append((transmitter.transmit(out, sender, 0.0)[1], out.sequence_number))
    assert seen == [(0, 65_535), (1, 3), (2, 0)]


def test_a_stream_without_such_feedback_takes_no_transport_wide_number() -> None:
    transmitter = Transmitter(IDS)
    data, number = transmitter.transmit(packet(), stream(transport_cc=False), 0.0)
    assert number is None
    assert RtpPacket.parse(data, IDS).extensions.transport_sequence_number is None
    assert Transmitter(ExtensionIds()).transmit(packet(), stream(), 0.0)[1] is None


def test_it_counts_payload_as_reports_do() -> None:
    transmitter, sender = Transmitter(IDS), stream()
    data, _ = transmitter.transmit(packet(), sender, 0.0)
    assert (sender.packets, sender.payload_bytes) == (1, 3)
    assert sender.header_bytes == len(data) - 3
