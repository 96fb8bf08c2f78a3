from __future__ import annotations

from dataclasses import replace

from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.receive.arrive import ArriveConfig, Demultiplexer
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import RlcRepair
from ringline.media.rtp.rtx import wrap_rtx
from ringline.media.units import PayloadType, Ssrc

AUDIO = StreamParameters(kind="audio", mid="a", payload_type=PayloadType(111), ssrc=Ssrc(1))
VIDEO = StreamParameters(
    kind="video",
    mid="v",
    payload_type=PayloadType(96),
    rtx_payload_type=PayloadType(97),
    nack=True,
)
PARAMETERS = SessionParameters(
    cname="x", local_ssrc=Ssrc(9), receive=(AUDIO, VIDEO), extension_ids=ExtensionIds(mid=1)
)


def video(sequence: int, ssrc: int = 20, mid: str | None = None) -> RtpPacket:
    extensions = HeaderExtensions(mid=mid)
    return RtpPacket(96, sequence, 0, ssrc, payload=b"\x10x", extensions=extensions)


def test_an_announced_source_is_known_at_once() -> None:
    arrive = Demultiplexer(PARAMETERS)
    arrival = arrive.handle_packet(RtpPacket(111, 5, 0, 1, payload=b"x"), 0.0)
    assert arrival is not None
    assert (arrival.stream, arrival.sequence, arrival.restarted) == (AUDIO, 5, True)
    assert arrive.media_ssrc("a") == 1
    assert arrive.mid_of(1) == "a"


def test_an_unknown_source_is_placed_by_its_mid_or_its_payload_type() -> None:
    by_mid, by_type = Demultiplexer(PARAMETERS), Demultiplexer(PARAMETERS)
    assert by_mid.media_ssrc("v") is None
    for arrive, packet in ((by_mid, video(5, mid="v")), (by_type, video(5))):
        arrival = arrive.handle_packet(packet, 0.0)
        assert arrival is not None
        assert arrival.stream is VIDEO
        assert arrive.media_ssrc("v") == 20


def test_a_payload_type_of_two_streams_places_nothing() -> None:
    other = StreamParameters(kind="video", mid="w", payload_type=PayloadType(96))
    parameters = SessionParameters(cname="x", local_ssrc=Ssrc(9), receive=(VIDEO, other))
    arrive = Demultiplexer(parameters)
    assert arrive.handle_packet(video(5), 0.0) is None
    assert arrive.counters.unknown_source == 1


def test_skipped_numbers_are_counted_where_they_are_skipped() -> None:
    arrive = Demultiplexer(PARAMETERS)
    skipped = []
    for sequence in (5, 6, 9, 7, 10):
        arrival = arrive.handle_packet(video(sequence), 0.0)
        assert arrival is not None
        skipped.append(arrival.skipped)
    assert skipped == [0, 0, 2, 0, 0]


def test_a_retransmission_comes_out_as_the_packet_it_repeats() -> None:
    arrive = Demultiplexer(PARAMETERS)
    for sequence in (65_534, 0):
        arrive.handle_packet(video(sequence), 0.0)
    lost = video(65_535)
    again = wrap_rtx(lost, payload_type=97, sequence_number=1, ssrc=21)
    arrival = arrive.handle_packet(again, 0.1)
    assert arrival is not None
    assert arrival.packet == lost
    assert (arrival.sequence, arrival.retransmitted, arrival.restarted) == (65_535, True, False)
    (reception,) = arrive.statistics()
    assert (reception.received, reception.retransmitted, reception.lost) == (2, 1, 1)


def test_a_retransmission_that_repairs_nothing_is_dropped() -> None:
    arrive = Demultiplexer(PARAMETERS)
    again = wrap_rtx(video(5), payload_type=97, sequence_number=1, ssrc=21)
    assert arrive.handle_packet(again, 0.0) is None  # nothing to repair yet
    arrive.handle_packet(video(5), 0.0)
    assert arrive.handle_packet(RtpPacket(97, 2, 0, 21, payload=b""), 0.0) is None  # padding
    assert arrive.handle_packet(RtpPacket(97, 3, 0, 21, payload=b"x"), 0.0) is None
    far = wrap_rtx(video(30_000), payload_type=97, sequence_number=4, ssrc=21)
    assert arrive.handle_packet(far, 0.0) is None
    assert (arrive.counters.malformed, arrive.counters.out_of_range) == (1, 1)


def test_a_source_is_replaced_only_when_it_is_silent() -> None:
    arrive = Demultiplexer(PARAMETERS)
    arrive.handle_packet(video(5), 0.0)
    assert arrive.handle_packet(video(900, ssrc=50), 0.4) is None
    arrival = arrive.handle_packet(video(901, ssrc=50), 0.5)
    assert arrival is not None
    assert arrival.restarted
    assert arrive.media_ssrc("v") == 50
    assert arrive.mid_of(20) is None
    assert arrive.handle_packet(video(6), 0.6) is None
    back = arrive.handle_packet(video(7), 1.1)  # and back, as a new beginning
    assert back is not None
    assert back.restarted


def test_a_payload_type_that_was_not_negotiated_is_counted_by_number_and_dropped() -> None:
    arrive = Demultiplexer(PARAMETERS)
    arrive.handle_packet(RtpPacket(111, 5, 0, 1, payload=b"x"), 0.0)
    assert arrive.handle_packet(RtpPacket(126, 6, 0, 1, payload=b"x"), 0.0) is None
    arrival = arrive.handle_packet(RtpPacket(111, 7, 0, 1, payload=b"x"), 0.0)
    assert arrival is not None
    assert arrival.skipped == 0
    assert arrive.counters.unknown_payload_type == 1


def test_a_flood_of_sources_costs_bounded_memory_and_no_stream() -> None:
    arrive = Demultiplexer(PARAMETERS, ArriveConfig(max_sources=8))
    arrive.handle_packet(RtpPacket(111, 5, 0, 1, payload=b"x"), 0.0)
    for index in range(1_000):
        arrive.handle_packet(video(index, ssrc=1_000 + index), float(index))
    assert len(arrive._sources) <= 8
    arrival = arrive.handle_packet(RtpPacket(111, 6, 0, 1, payload=b"x"), 1_000.0)
    assert arrival is not None
    assert not arrival.restarted


def test_a_datagram_that_is_no_packet_is_counted() -> None:
    arrive = Demultiplexer(PARAMETERS)
    assert arrive.parse(b"nonsense") is None
    assert arrive.counters.malformed == 1


def test_red_and_its_retransmissions_are_placed() -> None:
    stream = StreamParameters(
        kind="video",
        mid="v",
        payload_type=PayloadType(96),
        rtx_payload_type=PayloadType(97),
        red_payload_type=PayloadType(116),
        red_rtx_payload_type=PayloadType(118),
        nack=True,
    )
    arrive = Demultiplexer(SessionParameters(cname="x", local_ssrc=Ssrc(9), receive=(stream,)))
    lost = RtpPacket(116, 6, 0, 20, payload=b"\x60\x10x")
    for packet in (RtpPacket(116, 5, 0, 20, payload=b"\x60\x10x"), video(7)):
        arrival = arrive.handle_packet(packet, 0.0)
        assert arrival is not None
        assert arrival.packet == packet
    again = arrive.handle_packet(wrap_rtx(lost, payload_type=118, sequence_number=1, ssrc=21), 0.1)
    assert again is not None
    assert (again.packet, again.sequence, again.retransmitted) == (lost, 6, True)
    plain = arrive.handle_packet(wrap_rtx(lost, payload_type=97, sequence_number=2, ssrc=21), 0.1)
    assert plain is not None
    assert plain.packet.payload_type == 96
    assert arrive.counters.unknown_payload_type == 0


PROTECTED = replace(VIDEO, ssrc=Ssrc(20), repair_payload_type=PayloadType(98), repair_ssrc=Ssrc(22))


def repair(sequence: int, first: int, payload_type: int = 98) -> RtpPacket:
    payload = RlcRepair(first, 3, 0, bytes(8)).serialize()
    return RtpPacket(payload_type, sequence, 0, 22, payload=payload)


def test_a_repair_packet_says_in_the_medias_numbers_what_it_is_about() -> None:
    arrive = Demultiplexer(SessionParameters(cname="x", local_ssrc=Ssrc(9), receive=(PROTECTED,)))
    assert arrive.handle_packet(repair(7, 65_535), 0.0) is None  # no media yet
    arrive.handle_packet(video(65_534), 0.0)
    arrive.handle_packet(video(1), 0.0)
    arrival = arrive.handle_packet(repair(10, 65_535), 0.0)
    assert arrival is not None
    assert arrival.repair == RlcRepair(65_535, 3, 0, bytes(8))
    assert (arrival.sequence, arrival.skipped, arrival.restarted) == (65_535, 2, False)
    assert arrive.mid_of(22) is None
    assert [one.ssrc for one in arrive.statistics()] == [20]


def test_what_is_no_repair_packet_is_dropped_and_counted() -> None:
    arrive = Demultiplexer(SessionParameters(cname="x", local_ssrc=Ssrc(9), receive=(PROTECTED,)))
    arrive.handle_packet(video(5), 0.0)
    assert arrive.handle_packet(RtpPacket(98, 1, 0, 22, payload=b"short"), 0.0) is None
    assert arrive.handle_packet(repair(2, 5, payload_type=99), 0.0) is None
    assert arrive.handle_packet(repair(3, 30_000), 0.0) is None
    counters = arrive.counters
    assert (counters.malformed, counters.unknown_payload_type, counters.out_of_range) == (1, 1, 1)


def test_a_repair_stream_that_was_not_announced_is_known_by_its_payload_type() -> None:
    unannounced = replace(PROTECTED, repair_ssrc=None)
    arrive = Demultiplexer(SessionParameters(cname="x", local_ssrc=Ssrc(9), receive=(unannounced,)))
    arrive.handle_packet(video(5), 0.0)
    arrival = arrive.handle_packet(repair(1, 4), 0.0)
    assert arrival is not None
    assert arrival.repair is not None
    assert arrive.media_ssrc("v") == 20
