from __future__ import annotations

from ringline.media.frames import EncodedPicture
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.vp8 import ReferenceMark, Vp8Descriptor
from ringline.media.send.packetize import OpusPacketizer, Vp8Packetizer, header_size
from ringline.media.units import PayloadType, Ssrc

ALL = ExtensionIds(mid=1, audio_level=2, absolute_send_time=3, transport_sequence_number=4)


def packetizer(*, first: int = 7, max_payload: int = 1_002) -> Vp8Packetizer:
    return Vp8Packetizer(
        payload_type=PayloadType(96),
        ssrc=Ssrc(5),
        first_picture_id=first,
        max_payload=max_payload,
    )


def test_a_small_frame_is_one_packet() -> None:
    (packet,) = packetizer().packetize(EncodedPicture(b"\x01frame", key=False), 1234)
    descriptor, length = Vp8Descriptor.parse(packet.payload)
    assert descriptor == Vp8Descriptor(start=True, picture_id=7)
    assert packet.payload[length:] == b"\x01frame"
    assert (packet.payload_type, packet.ssrc, packet.timestamp, packet.marker) == (
        96,
        5,
        1234,
        True,
    )


def test_a_large_frame_is_cut_evenly_and_room_is_left_for_retransmission() -> None:
    packets = packetizer().packetize(EncodedPicture(bytes(2_001), key=True), 0)
    assert [len(packet.payload) for packet in packets] == [671, 671, 671]
    assert [packet.marker for packet in packets] == [False, False, True]
    starts = [Vp8Descriptor.parse(packet.payload)[0].start for packet in packets]
    assert starts == [True, False, False]
    exact = packetizer().packetize(EncodedPicture(bytes(2 * 996), key=True), 0)
    assert [len(packet.payload) for packet in exact] == [1_000, 1_000]


def test_picture_ids_count_up_and_wrap_at_15_bits() -> None:
    cutter = packetizer(first=0x7FFF)
    ids = []
    for _ in range(2):
        (packet,) = cutter.packetize(EncodedPicture(b"x", key=False), 0)
        ids.append(Vp8Descriptor.parse(packet.payload)[0].picture_id)
    assert ids == [0x7FFF, 0]


def test_each_packet_says_what_its_frame_is_predicted_from() -> None:
    packets = packetizer().packetize(
        EncodedPicture(bytes(2_001), key=False), 0, ReferenceMark.GOLDEN_ONLY
    )
    marks = [Vp8Descriptor.parse(packet.payload)[0].reference for packet in packets]
    assert marks == [ReferenceMark.GOLDEN_ONLY] * 3


def test_sound_is_one_packet_each_with_a_marker_after_silence() -> None:
    opus = OpusPacketizer(payload_type=PayloadType(111), ssrc=Ssrc(9))
    first = opus.packetize(b"a", 960, (True, 30))
    assert first == RtpPacket(111, 0, 960, 9, True, b"a", HeaderExtensions(audio_level=(True, 30)))
    second = opus.packetize(b"b", 1_920, (True, 30))
    assert second is not None
    assert not second.marker
    assert opus.packetize(b"", 2_880, (False, 127)) is None
    third = opus.packetize(b"c", 3_840, (True, 30))
    assert third is not None
    assert third.marker


def test_the_header_size_is_what_headers_take() -> None:
    for ids in (ALL, ExtensionIds(), ExtensionIds(mid=3)):
        packet = RtpPacket(
            96, 0, 0, 1, extensions=HeaderExtensions("video", (True, 1), 0xFFFFFF, 0xFFFF)
        )
        assert header_size(ids, "video") == len(packet.serialize(ids))


def test_the_one_temporal_layer_is_told_where_numbers_do_not_tell_of_pictures() -> None:
    layered = Vp8Packetizer(
        payload_type=PayloadType(96),
        ssrc=Ssrc(5),
        first_picture_id=0x7FFF,
        max_payload=1_002,
        layered=True,
    )
    for picture_id, index in ((0x7FFF, 0xFF), (0, 0), (1, 1)):
        packets = layered.packetize(EncodedPicture(bytes(1_900), key=False), 0)
        assert [Vp8Descriptor.parse(packet.payload)[0] for packet in packets] == [
            Vp8Descriptor(
                start=start,
                picture_id=picture_id,
                tl0_picture_index=index,
                temporal_layer=(0, False),
            )
            for start in (True, False)
        ]


def test_a_frame_is_cut_finer_on_request_but_not_to_crumbs() -> None:
    def sizes(data: int, split: int) -> list[int]:
        packets = packetizer().packetize(EncodedPicture(bytes(data), key=False), 0, split=split)
        return [len(packet.payload) for packet in packets]

    assert len(sizes(2_001, 2)) == 6
    assert len(sizes(700, 3)) == 3
    assert len(sizes(400, 3)) == 2
    assert len(sizes(100, 3)) == 1
