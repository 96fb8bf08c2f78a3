"""RLC: the repair packets of a sliding-window linear code over GF(256), in the manner of RFC 8681.

Only our own peers speak it.  A repair packet is one equation about the media packets of a window:
the sum of ``coefficient * symbol`` over them.  A symbol is what a receiver cannot know otherwise::

    symbol   | payload size, 16 bits | M, payload type | timestamp, 32 bits | payload |
    repair   | first number, 16 bits |0| count - 1 |0| key | the sum, as long as the longest symbol

The window is ``count`` media packets in a row from ``first number`` on: at most 128, as sequence
numbers of the media have no holes.

RFC 8681 draws its coefficients at random.  Ours are those of a Cauchy matrix, ``1 / (x + y)`` with
``x`` from the key and ``y`` from the packet's number: of any ``e`` repair packets over one window
*every* ``e`` lost ones can be found, where random ones fail once in 250 times.  Windows that
overlap only in part leave zeros in the matrix, and then it is as good as random.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.rtp.gf256 import inverse
from ringline.media.rtp.packet import RtpPacket

__all__ = [
    "MAX_WINDOW",
    "RLC_OVERHEAD",
    "RlcRepair",
    "make_symbol",
    "read_symbol",
    "rlc_coefficient",
]

MAX_WINDOW: Final = 128
"""Packets of a window, and keys: together they are the 256 different elements that Cauchy's
matrix needs."""

_HEADER: Final = struct.Struct("!HBB")
_SYMBOL: Final = struct.Struct("!HBI")

RLC_OVERHEAD: Final = _HEADER.size + _SYMBOL.size
"""Bytes by which the payload of a repair packet is longer than the longest that it protects."""


def rlc_coefficient(key: int, sequence_number: int) -> int:
    """Return the factor of a media packet in the repair packet with a key: 1 to 255."""
    return inverse(0x80 ^ (key & 0x7F) ^ (sequence_number & 0x7F))


def make_symbol(packet: RtpPacket) -> bytes:
    """Return what a repair packet protects of a media packet."""
    head = _SYMBOL.pack(
        len(packet.payload), packet.marker << 7 | packet.payload_type, packet.timestamp
    )
    return head + packet.payload


def read_symbol(symbol: bytes, *, sequence_number: int, ssrc: int) -> RtpPacket:
    """Return the media packet that a symbol, which may be followed by zeros, stands for.

    Raises:
        ParseError: If it is none: then some repair packet was not made of what we received.

    """
    if len(symbol) < _SYMBOL.size:
        raise ParseError(f"RLC: a symbol of {len(symbol)} bytes")
    size, kind, timestamp = _SYMBOL.unpack_from(symbol)
    end = _SYMBOL.size + size
    if end > len(symbol) or any(symbol[end:]):
        raise ParseError(f"RLC: a symbol of {len(symbol)} bytes says that it has {end}")
    return RtpPacket(
        payload_type=kind & 0x7F,
        sequence_number=sequence_number & 0xFFFF,
        timestamp=timestamp,
        ssrc=ssrc,
        marker=kind >> 7 == 1,
        payload=bytes(symbol[_SYMBOL.size : end]),
    )


@dataclass(slots=True)
class RlcRepair:
    """The payload of a repair packet.

    Attributes:
        first: Sequence number of the first media packet that it covers, 16 bits.
        count: How many it covers, 1 to 128.
        key: 0 to 127; no two over the same packets have the same.
        symbol: The sum.

    """

    first: int
    count: int
    key: int
    symbol: bytes

    def serialize(self) -> bytes:
        """Return the payload."""
        return _HEADER.pack(self.first & 0xFFFF, self.count - 1, self.key) + self.symbol

    @classmethod
    def parse(cls, payload: bytes) -> RlcRepair:
        """Read a payload.

        Raises:
            ParseError: If it has no room for a symbol, or a bit is set that we do not know.

        """
        if len(payload) < RLC_OVERHEAD:
            raise ParseError(f"RLC: {len(payload)} bytes, the headers have {RLC_OVERHEAD}")
        first, count, key = _HEADER.unpack_from(payload)
        if (count | key) & 0x80:
            raise ParseError("RLC: a reserved bit is set")
        return cls(first, count + 1, key, payload[_HEADER.size :])
