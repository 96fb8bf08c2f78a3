"""Picture state: what a person is told of the picture that is sent, before it is seen to be worse.

::

    FULL ──> COARSER ──> SMALLER ──> PAUSED      at once, two seconds apart; to PAUSED always
      <──────────<───────────<──────────         after four seconds of nothing worse

COARSER is said on the trend: as soon as congestion control expects a rate to last that is far
below what was sent.  That is when the delay begins to rise, before pictures are late; the size
follows a second later, if at all.  So the word comes before the picture breaks.

A user interface shows each change as it comes: no more than one in two seconds, and none that
comes and goes, but for a pause.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = ["PictureState", "PictureStateConfig", "PictureWatch"]


class PictureState(IntEnum):
    """How the picture that is sent differs from what its source gives; the greater the worse."""

    FULL = 0
    COARSER = 1
    SMALLER = 2
    PAUSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureStateConfig:
    """When a change is told.  Times in seconds."""

    fallen: float = 0.6
    """Share of what was sent of late that a rate must be below to be a fall."""

    recovered: float = 0.8
    """And from which it is none any more."""

    fine_bits_per_pixel: float = 3.0
    """Bits per second for each pixel of the source from which nobody sees a fall."""

    memory: float = 20.0
    """Time constant with which what was sent before is forgotten: after a minute a rate is what
    one is used to."""

    interval: float = 2.0
    """Between two changes for the worse."""

    calm: float = 4.0
    """Without anything worse before a change for the better."""


class PictureWatch:
    """Decides what is told of one stream.

    Attributes:
        state: What was told last.

    """

    def __init__(self, config: PictureStateConfig | None = None) -> None:
        self.state = PictureState.FULL
        self._config: Final = config or PictureStateConfig()
        self._told_at = -math.inf
        self._usual = 0.0  # bits per second
        self._fallen = False
        self._updated_at: float | None = None
        self._better_since: float | None = None
        self._worst_since = PictureState.FULL

    def update(
        self, *, bitrate: int, pixels: int, smaller: bool, paused: bool, now: float
    ) -> PictureState | None:
        """Take the present; return a state that is to be told.

        Args:
            bitrate: Net, for the picture, to expect for a while.
            pixels: Of the source.
            smaller: Whether pictures are sent smaller than that.
            paused: Whether none are sent.
            now: The present.

        """
        self._follow(bitrate, pixels, now)
        if paused:
            found = PictureState.PAUSED
        elif smaller:
            found = PictureState.SMALLER
        else:
            found = PictureState.COARSER if self._fallen else PictureState.FULL
        if found > self.state:
            self._better_since = None
            is_early = now - self._told_at < self._config.interval
            if is_early and found is not PictureState.PAUSED:
                return None
            return self._tell(found, now)
        if found == self.state:
            self._better_since = None
            return None
        if self._better_since is None:
            self._better_since, self._worst_since = now, found
        self._worst_since = max(self._worst_since, found)
        if now - self._better_since < self._config.calm:
            return None
        return self._tell(self._worst_since, now)

    def _tell(self, state: PictureState, now: float) -> PictureState:
        self.state = state
        self._told_at = now
        self._better_since = None
        return state

    def _follow(self, bitrate: int, pixels: int, now: float) -> None:
        config = self._config
        elapsed = 0.0 if self._updated_at is None else now - self._updated_at
        self._updated_at = now
        self._usual += (bitrate - self._usual) * (1 - math.exp(-elapsed / config.memory))
        self._usual = max(self._usual, float(bitrate))
        limit = config.recovered if self._fallen else config.fallen
        is_fine = bitrate >= config.fine_bits_per_pixel * pixels
        self._fallen = bitrate < limit * self._usual and not is_fine
