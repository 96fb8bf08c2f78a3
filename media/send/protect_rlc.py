"""Protect by a sliding-window code: repair packets over the video packets that left last.

Stage beside the pacer: media comes in as it leaves (:meth:`RlcProtection.handle_sent`), and a
repair packet is made at the moment when it leaves itself.  So its window ends with the newest
packet on the way, however the pacer mixed them, and what never left is in no equation.

How many follow a picture is :mod:`.protection`'s to say; they are counted out here, fractions
carried on from picture to picture.  Each covers the pictures before as well, as long as these are
still of use: after a burst that ate a picture and its repairs those of the next one bring it back.

Invariants:

1. A window is consecutive numbers, at most 128, and ends with the newest packet.
2. Two repair packets with the same key have no packet in common that a receiver still lacks: keys
   go round in 128.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from ringline.media.rtp.gf256 import accumulate
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import (
    MAX_WINDOW,
    RLC_OVERHEAD,
    RlcRepair,
    make_symbol,
    rlc_coefficient,
)
from ringline.media.units import PayloadType, Ssrc

__all__ = ["RlcConfig", "RlcProtection"]

_SIZE_WEIGHT: Final = 0.02
"""Of a new packet in the mean sizes: they settle within a second or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RlcConfig:
    """How far back repair packets reach."""

    window: float = 0.15
    """Seconds after which a packet is covered no more: repaired later it would be a freeze all
    the same, and a shorter window costs less to compute.  At 30 pictures a second it is the last
    four or five."""

    min_pictures: int = 2
    """Pictures that are covered at least, where they are further apart than that."""

    max_age: float = 0.5
    """Seconds, at most, for which ``min_pictures`` holds: behind a pause nobody waits any more."""


@dataclass(slots=True)
class _Sent:
    sequence_number: int
    timestamp: int
    sent_at: float
    symbol: bytes


class RlcProtection:
    """Makes the repair packets of one stream.

    Args:
        config: How far back they reach.
        payload_type: Of repair packets.
        ssrc: Of repair packets.

    """

    def __init__(self, config: RlcConfig, *, payload_type: PayloadType, ssrc: Ssrc) -> None:
        self._config: Final = config
        self._payload_type: Final = payload_type
        self._ssrc: Final = ssrc
        self._window: Final[deque[_Sent]] = deque()
        self._key = 0
        self._credit = 0.0  # repair packets owed, a fraction of one
        self._media_size = 0.0  # mean, of late
        self._repair_size = 0.0

    @property
    def relative_size(self) -> float:
        """Size of repair packets over that of what they protect, 1.0 or more.

        They are as long as the longest of their window.
        """
        if not self._media_size or not self._repair_size:
            return 1.0
        return max(self._repair_size / self._media_size, 1.0)

    def owed(self, packets: int, ratio: float) -> int:
        """Return how many repair packets are to follow a picture.

        Args:
            packets: Of the picture.
            ratio: Repair packets wanted for each of them.

        """
        self._credit = self._credit + packets * ratio if ratio > 0.0 else 0.0
        count = int(self._credit)
        self._credit -= count
        return count

    def handle_sent(self, packet: RtpPacket, now: float) -> None:
        """Remember a media packet that has just left, with its number."""
        window = self._window
        symbol = make_symbol(packet)
        self._media_size = _smoothed(self._media_size, len(symbol))
        window.append(_Sent(packet.sequence_number, packet.timestamp, now, symbol))
        while len(window) > MAX_WINDOW or self._is_over(window[0], now):
            window.popleft()

    def make_repair(self, now: float) -> RtpPacket | None:
        """Return a repair packet over what left last; :obj:`None` if nothing did of late.

        Its sequence number is for the caller to give.
        """
        window = self._window
        while window and now - window[0].sent_at > self._config.max_age:
            window.popleft()
        if not window:
            return None
        total = bytearray(max(len(sent.symbol) for sent in window))
        self._repair_size = _smoothed(self._repair_size, len(total))
        for sent in window:
            accumulate(total, sent.symbol, rlc_coefficient(self._key, sent.sequence_number))
        repair = RlcRepair(window[0].sequence_number, len(window), self._key, bytes(total))
        self._key = (self._key + 1) % MAX_WINDOW
        return RtpPacket(
            payload_type=self._payload_type,
            sequence_number=0,
            timestamp=window[-1].timestamp,
            ssrc=self._ssrc,
            payload=repair.serialize(),
        )

    def make_placeholder(self, size: int) -> RtpPacket:
        """Return a packet that keeps a repair packet's place in a queue.

        Args:
            size: Bytes of the largest payload that it will cover.

        """
        return RtpPacket(
            payload_type=self._payload_type,
            sequence_number=0,
            timestamp=0,
            ssrc=self._ssrc,
            payload=bytes(size + RLC_OVERHEAD),
        )

    def _is_over(self, sent: _Sent, now: float) -> bool:
        age, config = now - sent.sent_at, self._config
        if age <= config.window:
            return False
        return age > config.max_age or sent.sent_at < self._oldest_picture(config.min_pictures)

    def _oldest_picture(self, pictures: int) -> float:
        """Return when the first packet left of the last ``pictures`` pictures."""
        timestamp: int | None = None
        sent_at = 0.0
        for sent in reversed(self._window):
            if sent.timestamp != timestamp:
                if pictures == 0:
                    break
                pictures -= 1
                timestamp = sent.timestamp
            sent_at = sent.sent_at
        return sent_at


def _smoothed(mean: float, size: int) -> float:
    return mean + _SIZE_WEIGHT * (size - mean) if mean else float(size)
