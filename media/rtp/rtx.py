"""RTX: the retransmission payload of RFC 4588 §4: the lost packet's number, then its payload."""

from __future__ import annotations

from dataclasses import replace

from ringline.media.errors import ParseError
from ringline.media.rtp.packet import RtpPacket

__all__ = ["unwrap_rtx", "wrap_rtx"]


def wrap_rtx(
    original: RtpPacket, *, payload_type: int, sequence_number: int, ssrc: int
) -> RtpPacket:
    """Return the retransmission of ``original`` on its own stream."""
    return RtpPacket(
        payload_type=payload_type,
        sequence_number=sequence_number,
        timestamp=original.timestamp,
        ssrc=ssrc,
        marker=original.marker,
        payload=original.sequence_number.to_bytes(2, "big") + original.payload,
        extensions=replace(original.extensions),  # it gets a transport-wide number of its own
    )


def unwrap_rtx(packet: RtpPacket, *, payload_type: int, ssrc: int) -> RtpPacket:
    """Return the packet that a retransmission carries.

    Args:
        packet: As received on the retransmission stream.
        payload_type: Of the media that it repairs (``apt`` in SDP).
        ssrc: Of the stream that it repairs.

    Raises:
        ParseError: If the payload has no room for the original number (padding to probe the
            path comes so: not an error of the peer, but nothing to repair with either).

    """
    if len(packet.payload) < 2:
        raise ParseError("RTX: no original sequence number")
    return RtpPacket(
        payload_type=payload_type,
        sequence_number=int.from_bytes(packet.payload[:2], "big"),
        timestamp=packet.timestamp,
        ssrc=ssrc,
        marker=packet.marker,
        payload=packet.payload[2:],
        extensions=packet.extensions,
    )
