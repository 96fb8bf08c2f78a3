"""Picture score: how good a call's picture looks, 1 to 5, from what can be counted.

Five things spoil a picture: it stands still, it is small, it jerks, it is coarse, it is late.  Each
takes a part of what the others left, so that the worst one rules and small ones add up.  The
curves are ours: they go through what a person says of a talking head at the points given beside
them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["PictureConditions", "PictureRating", "rate_picture"]

_FREEZE_STEEPNESS: Final = 6.0
"""1 point for 5 % of the time frozen, 1.8 for 10 %, 3.3 for 30 %."""

_FULL_PIXELS: Final = 640 * 360
_SIZE_POINTS: Final = 0.6
"""For each halving of width and height below that: 320x180 in a window still shows a face."""

_FULL_RATE: Final = 25.0
_RATE_POINTS: Final = 0.75
_RATE_POWER: Final = 1.5
"""0.5 points at 15 pictures a second, 1.1 at 10, 2.7 at 5: below 10 lips cannot be read."""

_FINE_QUANTIZER: Final = 30.0
_COARSE_POINTS: Final = 2.4
"""0.4 points at VP8's 60, 1.2 at 90, 2.4 at 127.  Up to 30 nothing is seen of it."""

_DELAY_BEGINS: Final = 0.15
_DELAY_POINTS: Final = 1.0
"""For each doubling beyond that: 1 point at 300 ms, 2 at 600 ms."""

_MOST_POINTS: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureConditions:
    """What a viewer is given.

    Attributes:
        frozen: Share of the time that the picture stood still, 0 to 1.
        pixels: Width times height.
        frame_rate: Pictures a second, freezes left out.
        quantizer: VP8's mean, 0 to 127; :obj:`None` where it is not known.
        delay: Capture to display, seconds.

    """

    frozen: float = 0.0
    pixels: int = _FULL_PIXELS
    frame_rate: float = 30.0
    quantizer: float | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRating:
    """The points that each trouble takes by itself, 0 to 4."""

    freezes: float
    size: float
    frame_rate: float
    coarseness: float
    delay: float

    @property
    def score(self) -> float:
        """1 to 5."""
        points = (self.freezes, self.size, self.frame_rate, self.coarseness, self.delay)
        return 1.0 + _MOST_POINTS * math.prod(1.0 - taken / _MOST_POINTS for taken in points)


def rate_picture(conditions: PictureConditions) -> PictureRating:
    """Return the rating under these conditions."""
    frozen = min(max(conditions.frozen, 0.0), 1.0)
    smaller = math.log2(_FULL_PIXELS / max(1, conditions.pixels)) / 2
    slower = math.log2(_FULL_RATE / max(0.1, conditions.frame_rate))
    coarser = ((conditions.quantizer or 0.0) - _FINE_QUANTIZER) / (127.0 - _FINE_QUANTIZER)
    later = math.log2(max(conditions.delay, _DELAY_BEGINS) / _DELAY_BEGINS)
    return PictureRating(
        freezes=_MOST_POINTS * (1.0 - math.exp(-_FREEZE_STEEPNESS * frozen)),
        size=_bounded(_SIZE_POINTS * smaller),
        frame_rate=_bounded(_RATE_POINTS * max(0.0, slower) ** _RATE_POWER),
        coarseness=_bounded(_COARSE_POINTS * max(0.0, coarser) ** _RATE_POWER),
        delay=_bounded(_DELAY_POINTS * later),
    )


def _bounded(points: float) -> float:
    return min(max(points, 0.0), _MOST_POINTS)
