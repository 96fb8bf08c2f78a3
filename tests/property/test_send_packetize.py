from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import Vp8Descriptor
from ringline.media.send.packetize import Vp8Packetizer
from ringline.media.units import PayloadType, Ssrc


@given(st.binary(min_size=1, max_size=5_000), st.integers(20, 1_200), st.integers(0, 0x7FFF))
def test_packets_join_to_the_frame_and_fit(data: bytes, max_payload: int, picture_id: int) -> None:
    packetizer = Vp8Packetizer(
        payload_type=PayloadType(96),
        ssrc=Ssrc(1),
        first_picture_id=picture_id,
        max_payload=max_payload,
    )
    packets = packetizer.packetize(EncodedPicture(data, key=False), 0)
    joined = b""
    for index, packet in enumerate(packets):
        assert len(packet.payload) <= max_payload - 2  # room for a retransmission's number
        descriptor, length = Vp8Descriptor.parse(packet.payload)
        assert descriptor == Vp8Descriptor(start=index == 0, picture_id=picture_id)
        assert len(packet.payload) > length
        joined += packet.payload[length:]
    assert joined == data
    assert [packet.marker for packet in packets] == [False] * (len(packets) - 1) + [True]
    sizes = [len(packet.payload) for packet in packets]
    assert max(sizes) - min(sizes) <= 1
