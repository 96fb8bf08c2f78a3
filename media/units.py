"""Units: the wire numbers of RTP as types of their own, and arithmetic on the two that wrap.

Everything else is in seconds, bits per second and bytes, so that most names need no unit.
"""

from __future__ import annotations

from typing import Final, NewType

__all__ = [
    "AUDIO_CLOCK_RATE",
    "VIDEO_CLOCK_RATE",
    "PayloadType",
    "RtpTimestamp",
    "SequenceNumber16",
    "Ssrc",
    "Unwrapper",
    "is_newer",
]

Ssrc = NewType("Ssrc", int)
"""Synchronization source, 32 bits (RFC 3550 §3)."""

PayloadType = NewType("PayloadType", int)
"""RTP payload type, 7 bits."""

SequenceNumber16 = NewType("SequenceNumber16", int)
"""A sequence number as it stands in the packet, 16 bits; it wraps."""

RtpTimestamp = NewType("RtpTimestamp", int)
"""Media time as it stands in the packet, 32 bits in the clock rate of its kind; it wraps."""

AUDIO_CLOCK_RATE: Final = 48_000
"""Opus always counts at 48 kHz (RFC 7587 §4.1)."""

VIDEO_CLOCK_RATE: Final = 90_000
"""VP8 counts at 90 kHz (RFC 7741 §4.1)."""


def is_newer(a: int, b: int, *, bits: int = 16) -> bool:
    """Tell whether ``a`` comes after ``b`` on a circle of ``2**bits`` (RFC 1982 §3.2)."""
    distance = (a - b) & ((1 << bits) - 1)
    return 0 < distance < (1 << (bits - 1))


class Unwrapper:
    """Turns numbers that wrap into numbers that only grow (and may step back a little).

    The first number is returned as it is; each later one as the value nearest to the last.

    Args:
        bits: Width of the wrapping number: 16 for sequence numbers, 32 for timestamps.

    """

    def __init__(self, *, bits: int = 16) -> None:
        self._modulus: Final = 1 << bits
        self._last: int | None = None

    def unwrap(self, value: int) -> int:
        """Return ``value`` continued without wrapping; negative only before the first number."""
        value &= self._modulus - 1
        if self._last is None:
            self._last = value
            return value
        step = (value - self._last) & (self._modulus - 1)
        if step >= self._modulus >> 1:
            step -= self._modulus
        self._last += step
        return self._last
