"""Packet: the RTP packet of RFC 3550 §5.1."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import (
    ExtensionIds,
    HeaderExtensions,
    parse_extensions,
    serialize_extensions,
)

__all__ = ["HEADER_SIZE", "RtpPacket", "is_rtcp"]

HEADER_SIZE: Final = 12
_HEADER: Final = struct.Struct("!BBHII")
_EXTENSION_HEADER: Final = struct.Struct("!HH")


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP on one port: packet types 192 to 223 (RFC 5761 §4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


@dataclass(slots=True)
class RtpPacket:
    """One packet, not yet or no longer encrypted.

    Attributes:
        payload: Without padding.
        padding: Bytes of padding that the packet ends with, 0 to 255; a packet of padding alone
            probes the path.

    """

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    marker: bool = False
    payload: bytes = b""
    extensions: HeaderExtensions = field(default_factory=HeaderExtensions)
    padding: int = 0

    def serialize(self, ids: ExtensionIds) -> bytes:
        """Return the bytes of the packet, its extensions by the negotiated numbers."""
        extensions = serialize_extensions(self.extensions, ids)
        first = 0x80 | (0x10 if extensions else 0) | (0x20 if self.padding else 0)
        header = _HEADER.pack(
            first,
            self.marker << 7 | self.payload_type,
            self.sequence_number & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc,
        )
        if self.padding:
            tail = bytes(self.padding - 1) + bytes([self.padding])
            return header + extensions + self.payload + tail
        return header + extensions + self.payload

    @classmethod
    def parse(cls, data: bytes, ids: ExtensionIds) -> RtpPacket:
        """Read a packet.

        Raises:
            ParseError: If it is no RTP packet or says more than it holds.

        """
        if len(data) < HEADER_SIZE:
            raise ParseError(f"RTP: {len(data)} bytes, a header has {HEADER_SIZE}")
        first, second, sequence_number, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != 2:
            raise ParseError(f"RTP: version {first >> 6}, expected 2")
        position, end = HEADER_SIZE + 4 * (first & 15), len(data)
        extensions = None
        if first & 0x10:
            if position + 4 > end:
                raise ParseError("RTP: no room for the extension header")
            profile, words = _EXTENSION_HEADER.unpack_from(data, position)
            position += 4
            if position + 4 * words > end:
                raise ParseError(f"RTP: an extension of {words} words does not fit")
            extensions = parse_extensions(profile, data[position : position + 4 * words], ids)
            position += 4 * words
        padding = 0
        if first & 0x20:
            padding = data[-1]
            if padding == 0:
                raise ParseError("RTP: padding of 0 bytes")
            end -= padding
        if position > end:
            raise ParseError("RTP: header and padding are longer than the packet")
        return cls(
            payload_type=second & 127,
            sequence_number=sequence_number,
            timestamp=timestamp,
            ssrc=ssrc,
            marker=second >> 7 == 1,
            payload=data[position:end],
            extensions=extensions or HeaderExtensions(),
            padding=padding,
        )
