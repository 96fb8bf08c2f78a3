"""Packetize: an encoded frame becomes RTP packets.

Third stage of the road.  Packets leave here without sequence number and header extensions: these
are stamped at departure (:mod:`.transmit`), so that what the pacer drops leaves no gap behind for
which the receiver would ask in vain.
"""

from __future__ import annotations

from typing import Final

from ringline.media.frames import EncodedPicture
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import HEADER_SIZE, RtpPacket
from ringline.media.rtp.vp8 import ReferenceMark, Vp8Descriptor
from ringline.media.units import PayloadType, Ssrc

__all__ = ["OpusPacketizer", "Vp8Packetizer", "header_size"]

_RTX_NUMBER: Final = 2
"""Bytes that a retransmission adds (RFC 4588 §4): room is left for them."""

_LEAST_PART: Final = 150
"""Bytes below which a picture is not cut finer than it must be."""


def header_size(ids: ExtensionIds, mid: str) -> int:
    """Return the most bytes that header and extensions of a packet take."""
    size = 0
    if ids.mid is not None:
        size += 1 + len(mid.encode()[:16])
    if ids.audio_level is not None:
        size += 2
    if ids.absolute_send_time is not None:
        size += 4
    if ids.transport_sequence_number is not None:
        size += 3
    if ids.playout_delay is not None:
        size += 4
    return HEADER_SIZE + (4 + (size + 3) // 4 * 4 if size else 0)


class Vp8Packetizer:
    """Cuts VP8 frames to packets (RFC 7741 §4).

    Args:
        payload_type: As negotiated.
        ssrc: Ours.
        first_picture_id: 15 bits; should be random.
        max_payload: Most bytes of payload, descriptor included; from packet size and headers.
        layered: Tell the temporal layer, of which there is one, and its count of pictures.  Where
            sequence numbers are used for more than pictures, a receiver that has lost some cannot
            know by the numbers whether it has all pictures; libwebrtc does by these.
        reserve: Bytes that a packet made of it may be longer.

    """

    def __init__(
        self,
        *,
        payload_type: PayloadType,
        ssrc: Ssrc,
        first_picture_id: int,
        max_payload: int,
        layered: bool = False,
        reserve: int = _RTX_NUMBER,
    ) -> None:
        self._payload_type: Final = payload_type
        self._ssrc: Final = ssrc
        self._picture_id = first_picture_id & 0x7FFF
        self._max_payload: Final = max_payload - max(reserve, _RTX_NUMBER)
        self._layered: Final = layered

    @property
    def next_picture_id(self) -> int:
        """The picture number that the next frame gets, 15 bits."""
        return self._picture_id

    def packetize(
        self,
        picture: EncodedPicture,
        timestamp: int,
        reference: ReferenceMark = ReferenceMark.LAST,
        *,
        split: int = 1,
    ) -> list[RtpPacket]:
        """Return the packets of one frame, the marker on the last.

        There are ``split`` times as many as there must be, unless they would be tiny.

        They are of equal size within a byte: a small last packet would cost a whole header, and
        a frame whose packets differ little spreads evenly through the pacer.
        """
        descriptor = Vp8Descriptor(picture_id=self._picture_id, reference=reference)
        if self._layered:
            descriptor.tl0_picture_index = self._picture_id & 0xFF
            descriptor.temporal_layer = (0, False)
        later = descriptor.serialize()
        descriptor.start = True
        first = descriptor.serialize()
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        data = picture.data
        least = -(-len(data) // (self._max_payload - len(first)))
        count = max(least, min(least * split, len(data) // _LEAST_PART))
        size, larger = divmod(len(data), count)
        packets = []
        position = 0
        for index in range(count):
            end = position + size + (index < larger)
            packets.append(
                RtpPacket(
                    payload_type=self._payload_type,
                    sequence_number=0,
                    timestamp=timestamp,
                    ssrc=self._ssrc,
                    marker=index == count - 1,
                    payload=(later if index else first) + data[position:end],
                )
            )
            position = end
        return packets


class OpusPacketizer:
    """Puts each Opus packet into an RTP packet (RFC 7587 §4.2).

    Args:
        payload_type: As negotiated.
        ssrc: Ours.

    """

    def __init__(self, *, payload_type: PayloadType, ssrc: Ssrc) -> None:
        self._payload_type: Final = payload_type
        self._ssrc: Final = ssrc
        self._talking = False

    def packetize(self, data: bytes, timestamp: int, level: tuple[bool, int]) -> RtpPacket | None:
        """Return the packet, or :obj:`None` when the encoder had nothing to say (DTX).

        The marker is on the first packet after silence (RFC 3551 §4.1).
        """
        if not data:
            self._talking = False
            return None
        marker, self._talking = not self._talking, True
        return RtpPacket(
            payload_type=self._payload_type,
            sequence_number=0,
            timestamp=timestamp,
            ssrc=self._ssrc,
            marker=marker,
            payload=data,
            extensions=HeaderExtensions(audio_level=level),
        )
