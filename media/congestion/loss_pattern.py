"""Loss pattern: how often packets of one stream are lost, and how much losses keep together.

Redundancy is chosen by this: a copy one packet behind mends single losses, and is lost with its
original in a burst.  The losses of the whole transport do not tell, for a burst of four packets
among those of a picture takes one packet of sound; so each stream's own packets are watched.

Fates come in any order, and some never do: feedback is lost as well.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ["LossPattern", "residual_loss"]

_QUICK: Final = 0.7
_SLOW: Final = 5.0
"""Seconds of memory.  The quick one hears the first losses, which hurt most; the slow one keeps
the rate up through the gaps between them."""

_QUICK_PRIOR: Final = 6.0
"""Packets that arrived, assumed before any is known: one loss in the first three is not 33 %."""

_FORGET: Final = 0.98
"""Per loss, of what is known about bursts: some 50 losses are remembered."""

_BURST_PRIOR: Final = 2.0
"""Losses assumed to have fallen singly, at the average rate."""

_REMEMBERED: Final = 64
"""Packets whose fate waits for that of the one before or behind: over a second."""

_MAX_COHESION: Final = 0.95


class LossPattern:
    """Watches one stream's packets.

    Attributes:
        packets: Whose fate is known.

    """

    def __init__(self) -> None:
        self.packets = 0
        self._updated_at = 0.0
        self._quick = [0.0, 0.0]  # packets, lost; fading
        self._slow = [0.0, 0.0]
        self._fates: Final[dict[int, bool]] = {}  # by index, whether lost
        self._order: Final[deque[int]] = deque()
        self._followed = 0.0  # losses whose successor's fate is known; fading
        self._followed_by_loss = 0.0

    def handle_fate(self, index: int, lost: bool, now: float) -> None:
        """Take what became of a packet.

        Args:
            index: Its place in the stream, counted in packets, not wrapped; each comes once.
            lost: Whether it never arrived.
            now: The present; does not go back.

        """
        self._fade(now)
        self.packets += 1
        for window in (self._quick, self._slow):
            window[0] += 1
            window[1] += lost
        before, behind = self._fates.get(index - 1), self._fates.get(index + 1)
        if before is not None:
            self._learn(before, lost)
        if behind is not None:
            self._learn(lost, behind)
        self._fates[index] = lost
        self._order.append(index)
        if len(self._order) > _REMEMBERED:
            del self._fates[self._order.popleft()]

    @property
    def rate(self) -> float:
        """Share lost of late, 0.0 to 1.0: quick to rise, slow to fall."""
        quick = self._quick[1] / (self._quick[0] + _QUICK_PRIOR)
        slow = self._slow[1] / max(self._slow[0], _QUICK_PRIOR)
        return max(quick, slow)

    @property
    def cohesion(self) -> float:
        """How much losses keep together: 0 for chance, 0.95 at most.

        In a Gilbert model, what of one packet's fate is still true of the next one's.
        """
        rate = min(self.rate, 0.9)
        follows = (self._followed_by_loss + _BURST_PRIOR * rate) / (self._followed + _BURST_PRIOR)
        return min(max((follows - rate) / (1 - rate), 0.0), _MAX_COHESION)

    @property
    def burst_length(self) -> float:
        """Packets lost in a row, on average, at least 1."""
        rate = min(self.rate, 0.9)
        return 1 / ((1 - rate) * (1 - self.cohesion))

    def _learn(self, first: bool, second: bool) -> None:
        if first:
            self._followed = self._followed * _FORGET + 1
            self._followed_by_loss = self._followed_by_loss * _FORGET + second

    def _fade(self, now: float) -> None:
        elapsed, self._updated_at = max(0.0, now - self._updated_at), now
        if elapsed:
            for window, memory in ((self._quick, _QUICK), (self._slow, _SLOW)):
                share = math.exp(-elapsed / memory)
                window[0] *= share
                window[1] *= share


def residual_loss(rate: float, cohesion: float, distances: tuple[int, ...]) -> float:
    """Return the share of packets of which neither they nor any copy arrive.

    Args:
        rate: Share lost.
        cohesion: As :attr:`LossPattern.cohesion`.
        distances: How many packets behind the copies are sent, ascending.

    """
    residual, last = rate, 0
    for distance in distances:
        residual *= rate + (1 - rate) * cohesion ** (distance - last)
        last = distance
    return residual
