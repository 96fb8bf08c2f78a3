"""RED: several blocks of media in one packet (RFC 2198).

::

    1|type  |timestamp offset, 14 bits|length, 10 bits      for each redundant block, oldest first
    0|type                                                  for the primary block, which has no end
    redundant blocks, then the primary

Sound is sent with copies of the packets before it; pictures use the form without redundant
blocks, one byte before each packet, so that media and forward error correction share a payload
type (RFC 5109 §14.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ringline.media.errors import ParseError

__all__ = ["MAX_BLOCK_SIZE", "MAX_TIMESTAMP_OFFSET", "RedBlock", "parse_red", "serialize_red"]

MAX_BLOCK_SIZE: Final = (1 << 10) - 1
"""Bytes of a redundant block: its length has 10 bits.  The primary is not bounded."""

MAX_TIMESTAMP_OFFSET: Final = (1 << 14) - 1
"""How far back a redundant block may be, in ticks: 341 ms of sound at 48 kHz."""

_MAX_BLOCKS: Final = 16
"""Blocks of one packet that are read.  Nobody sends more than a handful; a packet that claims
hundreds of empty ones is not worth the memory."""


@dataclass(slots=True)
class RedBlock:
    """One block.

    Attributes:
        payload_type: Of the media in it.
        timestamp_offset: How much older than the packet it is, in ticks; 0 for the primary.
        payload: As in a packet of its own.

    """

    payload_type: int
    timestamp_offset: int
    payload: bytes


def serialize_red(blocks: Sequence[RedBlock]) -> bytes:
    """Return the payload of a RED packet.

    Args:
        blocks: The redundant ones, oldest first, then the primary.

    Raises:
        ValueError: If there is no block, or a redundant one is too large or too old.

    """
    if not blocks:
        raise ValueError("a RED packet has at least its primary block")
    *redundant, primary = blocks
    header = bytearray()
    for block in redundant:
        size, offset = len(block.payload), block.timestamp_offset
        if size > MAX_BLOCK_SIZE or not 0 <= offset <= MAX_TIMESTAMP_OFFSET:
            raise ValueError(f"no room for {size} bytes of {offset} ticks ago in a RED header")
        header += (1 << 31 | block.payload_type << 24 | offset << 10 | size).to_bytes(4, "big")
    header.append(primary.payload_type)
    return b"".join((header, *(block.payload for block in blocks)))


def parse_red(payload: bytes) -> list[RedBlock]:
    """Read the payload of a RED packet.

    Returns:
        The redundant blocks in the order of the packet, then the primary; none of them shares
        memory with ``payload``.

    Raises:
        ParseError: If the headers have no end, or promise more than there is.

    """
    sizes: list[tuple[int, int, int]] = []
    position = 0
    while True:
        if position >= len(payload):
            raise ParseError("RED: the headers have no end")
        if not payload[position] & 0x80:
            break
        if position + 4 > len(payload):
            raise ParseError("RED: a header is cut off")
        if len(sizes) == _MAX_BLOCKS - 1:
            raise ParseError(f"RED: more than {_MAX_BLOCKS} blocks")
        word = int.from_bytes(payload[position : position + 4], "big")
        sizes.append((word >> 24 & 0x7F, word >> 10 & 0x3FFF, word & 0x3FF))
        position += 4
    primary_type = payload[position] & 0x7F
    position += 1
    blocks = []
    for payload_type, offset, size in sizes:
        if position + size > len(payload):
            raise ParseError("RED: a block is cut off")
        blocks.append(RedBlock(payload_type, offset, payload[position : position + size]))
        position += size
    blocks.append(RedBlock(primary_type, 0, payload[position:]))
    return blocks
