"""Opus packets: what their first bytes tell without a decoder (RFC 6716 §3.1, §3.2, §4.2).

libopus can tell as well, but only newer ones know of redundancy (``opus_packet_has_lbrr`` is in
1.6 and not in 1.3), and the jitter buffer asks before any decoder is involved.
"""

from __future__ import annotations

from typing import Final

from ringline.media.errors import ParseError

__all__ = ["MAX_PACKET_SAMPLES", "frame_samples", "has_redundancy", "packet_samples"]

MAX_PACKET_SAMPLES: Final = 5_760
"""120 ms at 48 kHz: the longest that a packet may be (RFC 6716 §3.2.5)."""

# Samples at 48 kHz of one frame, by the five configuration bits (RFC 6716 §3.1, table 2).
_SILK: Final = (480, 960, 1_920, 2_880)
_HYBRID: Final = (480, 960)
_CELT: Final = (120, 240, 480, 960)
_FRAME_SAMPLES: Final = _SILK * 3 + _HYBRID * 2 + _CELT * 4

_FIRST_CELT_CONFIG: Final = 16
_SILK_FRAME: Final = 960  # a SILK frame is 20 ms, longer Opus frames hold two or three of them


def packet_samples(packet: bytes) -> int:
    """Return how much sound a packet holds, in samples at 48 kHz.

    Raises:
        ParseError: If it is empty, ends early, or claims no frame or more than 120 ms.

    """
    if not packet:
        raise ParseError("Opus: an empty packet")
    code = packet[0] & 3
    if code == 3 and len(packet) < 2:
        raise ParseError("Opus: no frame count")
    frames = (1, 2, 2)[code] if code < 3 else packet[1] & 0x3F
    samples = frames * _FRAME_SAMPLES[packet[0] >> 3]
    if not 0 < samples <= MAX_PACKET_SAMPLES:
        raise ParseError(f"Opus: {frames} frames, {samples} samples")
    return samples


def frame_samples(packet: bytes) -> int:
    """Return how much sound each frame of a packet holds, in samples at 48 kHz.

    Where the packet has redundancy, that is how much of it: the frame before its first.

    Raises:
        ParseError: If it is empty.

    """
    if not packet:
        raise ParseError("Opus: an empty packet")
    return _FRAME_SAMPLES[packet[0] >> 3]


def has_redundancy(packet: bytes) -> bool:
    """Tell whether a packet repeats the frame before it, coarser (in-band FEC, "LBRR").

    The flag stands in the first byte of the first frame: a SILK frame opens with a voice activity
    flag for each of its 20 ms, then the redundancy flag, once per channel (RFC 6716 §4.2.3).
    These bits have even odds, so they can be read without the range decoder.

    Raises:
        ParseError: As :func:`packet_samples`.

    """
    packet_samples(packet)
    config = packet[0] >> 3
    if config >= _FIRST_CELT_CONFIG:
        return False  # CELT has none
    first = _first_frame(packet)
    if first is None:
        return False
    flags = max(1, _FRAME_SAMPLES[config] // _SILK_FRAME)
    middle = packet[first] >> (7 - flags) & 1
    is_stereo = packet[0] & 4
    side = packet[first] >> (6 - 2 * flags) & 1 if is_stereo else 0
    return bool(middle or side)


def _first_frame(packet: bytes) -> int | None:
    """Return where the first frame starts, or :obj:`None` if it is empty (DTX)."""
    try:
        match packet[0] & 3:
            case 0 | 1:
                start, length = 1, len(packet) - 1
            case 2:
                length, start = _length(packet, 1)
            case _:
                start, length = _first_of_many(packet)
    except IndexError:
        raise ParseError(f"Opus: {len(packet)} bytes end within the header") from None
    if length == 0:
        return None
    if start >= len(packet):
        raise ParseError("Opus: no byte left for the first frame")
    return start


def _first_of_many(packet: bytes) -> tuple[int, int]:
    """Return start and length of the first frame of a packet of code 3 (RFC 6716 §3.2.5)."""
    position, padding = 2, 0
    if packet[1] & 0x40:
        while packet[position] == 255:
            padding += 254
            position += 1
        padding += packet[position]
        position += 1
    count = packet[1] & 0x3F
    if packet[1] & 0x80:  # each frame but the last has its length written
        length: int | None = None
        for _ in range(count - 1):
            this, position = _length(packet, position)
            length = this if length is None else length
        if length is not None:
            return position, length
    return position, (len(packet) - padding - position) // count


def _length(packet: bytes, position: int) -> tuple[int, int]:
    """Read a frame length of one or two bytes (RFC 6716 §3.2.1); return it and what follows."""
    first = packet[position]
    if first < 252:
        return first, position + 1
    return packet[position + 1] * 4 + first, position + 2
