"""ChannelData: four bytes in front of a payload instead of a whole STUN message (RFC 8656 §12.4).

::

    |  channel number 0x4000-0x7FFF  |  length of the payload  |  payload ...

The two first bits, 01, tell it from STUN on the same port.  Over UDP the end of the datagram
bounds it; padding after the payload is allowed and ignored.
"""

from __future__ import annotations

import struct
from typing import Final

from ringline.turn.errors import ParseError

__all__ = [
    "CHANNEL_HEADER",
    "FIRST_CHANNEL",
    "LAST_CHANNEL",
    "is_channel_data",
    "parse_channel_data",
    "serialize_channel_data",
]

CHANNEL_HEADER: Final = struct.Struct("!HH")  # the data path in server.py uses it directly
FIRST_CHANNEL: Final = 0x4000
LAST_CHANNEL: Final = 0x7FFF
"""RFC 8656 §12 ends at 0x4FFF, to share a port with other protocols (RFC 7983).  On ours there is
none, and clients of its predecessor, RFC 5766, use numbers up to here."""


def is_channel_data(data: bytes) -> bool:
    """Tell ChannelData from everything else by its first byte."""
    return len(data) >= 4 and 0x40 <= data[0] <= 0x7F


def parse_channel_data(data: bytes) -> tuple[int, bytes]:
    """Return channel number and payload of a datagram.

    Raises:
        ParseError: If it is no ChannelData or cut short.

    """
    if not is_channel_data(data):
        raise ParseError(f"ChannelData: {len(data)} bytes do not begin with a channel number")
    number, length = CHANNEL_HEADER.unpack_from(data)
    if 4 + length > len(data):
        raise ParseError(f"ChannelData: {length} bytes announced, {len(data) - 4} came")
    return number, data[4 : 4 + length]


def serialize_channel_data(number: int, payload: bytes) -> bytes:
    """Return the datagram, without padding, which UDP does not need."""
    return CHANNEL_HEADER.pack(number, len(payload)) + payload
