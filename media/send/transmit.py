"""Transmit: the last stage: numbers, stamps and bytes, at the moment of departure.

Sequence numbers are given here and not earlier, so that what never leaves leaves no gap; the
transport-wide number and the send time mean nothing unless they are of this very moment.
"""

from __future__ import annotations

from typing import Final

from ringline.media.parameters import StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket

__all__ = ["TransmitStream", "Transmitter"]


class TransmitStream:
    """Counts what leaves on one SSRC.

    Args:
        parameters: Of the stream of media; a stream of retransmissions shares them.
        ssrc: Of this stream.
        first_sequence_number: 16 bits, should be random (RFC 3550 §5.1).

    Attributes:
        packets: Sent so far.
        payload_bytes: Sent so far, as sender reports count them: without headers and padding.
        header_bytes: Sent so far in headers and padding.

    """

    def __init__(
        self, parameters: StreamParameters, ssrc: int, *, first_sequence_number: int
    ) -> None:
        self.parameters: Final = parameters
        self.ssrc: Final = ssrc
        self.packets = 0
        self.payload_bytes = 0
        self.header_bytes = 0
        self._next_number = first_sequence_number

    def number(self, packet: RtpPacket) -> None:
        """Give a packet the next sequence number; retransmissions come numbered."""
        packet.sequence_number = self._next_number & 0xFFFF
        self._next_number += 1

    def count(self, packet: RtpPacket, size: int) -> None:
        """Count a packet of ``size`` bytes."""
        self.packets += 1
        self.payload_bytes += len(packet.payload)
        self.header_bytes += size - len(packet.payload)


class Transmitter:
    """Stamps and serializes packets.

    Args:
        ids: The negotiated header extensions.

    """

    def __init__(self, ids: ExtensionIds) -> None:
        self._ids: Final = ids
        self._next_transport_number = 0

    def transmit(
        self, packet: RtpPacket, stream: TransmitStream, now: float
    ) -> tuple[bytes, int | None]:
        """Return the bytes of a packet that leaves now, and its transport-wide number.

        The number does not wrap; it is :obj:`None` if the stream gives no such feedback.  The mid
        is on every packet: whether a receiver has bound the SSRC yet cannot be known for sure, and
        a lost binding costs the whole stream.
        """
        number = None
        extensions = HeaderExtensions(
            mid=stream.parameters.mid,
            audio_level=packet.extensions.audio_level,
            absolute_send_time=int(now * 0x40000) & 0xFFFFFF,  # 6.18 fixed point
            playout_delay=packet.extensions.playout_delay,
        )
        if stream.parameters.transport_cc and self._ids.transport_sequence_number is not None:
            number = self._next_transport_number
            self._next_transport_number += 1
            extensions.transport_sequence_number = number & 0xFFFF
        packet.extensions = extensions
        data = packet.serialize(self._ids)
        stream.count(packet, len(data))
        return data, number
