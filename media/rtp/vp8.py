"""VP8: the payload descriptor of RFC 7741 §4.2 and what the first bytes of a frame tell.

Which pictures a frame is predicted from can only be read by decoding it.  Where both sides have
agreed on the selection of reference pictures (``nack rpsi``, RFC 4585 §4.2), the four reserved
bits of the descriptor tell; all others ignore them, as RFC 7741 asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ringline.media.errors import ParseError

__all__ = ["ReferenceMark", "Vp8Descriptor", "frame_size", "is_key_frame"]


class ReferenceMark(IntEnum):
    """What a frame says of its references, in the descriptor's reserved bits."""

    LAST = 0
    """From the picture before; also what everybody else's frames say."""

    REFRESH_GOLDEN = 1
    """Likewise, and kept as the golden picture."""

    REFRESH_ALTERNATE = 2
    """Likewise, and kept as the alternate one."""

    GOLDEN_ONLY = 3
    """From the golden picture and nothing else."""

    ALTERNATE_ONLY = 4
    """From the alternate picture and nothing else."""


@dataclass(slots=True)
class Vp8Descriptor:
    """What stands before the VP8 data in each packet.

    Attributes:
        start: This packet starts a partition (S).
        partition: Number of that partition (PID); a frame starts where S is set and PID is 0.
        non_reference: No other frame refers to this one (N).
        picture_id: 15 bits, one up a frame; :obj:`None` if not sent.
        tl0_picture_index: 8 bits, one up a frame of the base layer.
        temporal_layer: ``(id, synced)`` (TID, Y).
        key_index: 5 bits (KEYIDX).
        reference: 4 bits, a :class:`ReferenceMark`; goes only with a picture number.

    """

    start: bool = False
    partition: int = 0
    non_reference: bool = False
    picture_id: int | None = None
    tl0_picture_index: int | None = None
    temporal_layer: tuple[int, bool] | None = None
    key_index: int | None = None
    reference: int = 0

    def serialize(self) -> bytes:
        """Return 1 to 6 bytes; the picture number always in its 15-bit form."""
        first = self.non_reference << 5 | self.start << 4 | (self.partition & 7)
        has_tk = self.temporal_layer is not None or self.key_index is not None
        if self.picture_id is None and self.tl0_picture_index is None and not has_tk:
            return bytes([first])
        second = (
            (self.picture_id is not None) << 7
            | (self.tl0_picture_index is not None) << 6
            | (self.temporal_layer is not None) << 5
            | (self.key_index is not None) << 4
            | self.reference & 15
        )
        out = bytearray([first | 0x80, second])
        if self.picture_id is not None:
            out += (0x8000 | self.picture_id & 0x7FFF).to_bytes(2, "big")
        if self.tl0_picture_index is not None:
            out.append(self.tl0_picture_index & 0xFF)
        if has_tk:
            layer, synced = self.temporal_layer or (0, False)
            out.append((layer & 3) << 6 | synced << 5 | (self.key_index or 0) & 31)
        return bytes(out)

    @classmethod
    def parse(cls, payload: bytes) -> tuple[Vp8Descriptor, int]:
        """Read a descriptor; return it and its length in bytes.

        Raises:
            ParseError: If the payload ends within it.

        """
        try:
            return cls._parse(payload)
        except IndexError:
            raise ParseError(f"VP8: {len(payload)} bytes end within the descriptor") from None

    @classmethod
    def _parse(cls, payload: bytes) -> tuple[Vp8Descriptor, int]:
        first = payload[0]
        descriptor = cls(
            start=bool(first & 0x10), partition=first & 7, non_reference=bool(first & 0x20)
        )
        position = 1
        if first & 0x80:
            flags = payload[1]
            position = 2
            descriptor.reference = flags & 15
            if flags & 0x80:
                descriptor.picture_id = payload[position] & 0x7F
                if payload[position] & 0x80:
                    descriptor.picture_id = descriptor.picture_id << 8 | payload[position + 1]
                    position += 1
                position += 1
            if flags & 0x40:
                descriptor.tl0_picture_index = payload[position]
                position += 1
            if flags & 0x30:
                byte = payload[position]
                if flags & 0x20:
                    descriptor.temporal_layer = (byte >> 6, bool(byte & 0x20))
                if flags & 0x10:
                    descriptor.key_index = byte & 31
                position += 1
        return descriptor, position


def is_key_frame(data: bytes) -> bool:
    """Tell whether a VP8 frame is a key frame (RFC 6386 §9.1: bit 0 of the first byte is 0)."""
    return bool(data) and not data[0] & 1


def frame_size(data: bytes) -> tuple[int, int] | None:
    """Return ``(width, height)`` of a key frame, or :obj:`None` for any other data."""
    if len(data) < 10 or not is_key_frame(data) or data[3:6] != b"\x9d\x01\x2a":
        return None
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF
