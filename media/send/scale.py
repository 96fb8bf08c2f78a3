"""Scale: which size and frame rate of picture a bitrate is worth.

Beside encoding.  The larger picture looks better (by 1 to 4 dB a rung, measured on four kinds of
pictures) as long as the encoder can make it at all at this rate, coarse as it may be.  So the
size is the largest whose quantizer is not expected at its coarsest; :mod:`.difficulty` tells.

Where it is at its coarsest and still exceeds the rate, pictures would have to be left out, more
and more of them; then a smaller size is the better answer.  A change of size costs a key frame, so
going up needs some margin and patience, twice as much each time that it had to be undone.  Where
a key frame is due anyway a change is free, and is made at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ringline.media.send.difficulty import COARSEST, Difficulty, quantizer_for

__all__ = ["ScaleConfig", "ScalePolicy", "Scaling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleConfig:
    """When the picture changes.

    Quantizers are 0 (finest) to 127; beyond :data:`~ringline.media.send.difficulty.COARSEST` they
    are what would be needed.
    """

    down_above: float = 112.0
    """Quantizer needed from which the picture is too large: an eighth over the rate at coarsest."""

    small_down_above: float = 122.0
    """The same for small pictures: half over the rate.  Of those it is better to leave some out
    than to make them smaller yet."""

    small: int = 60_000
    """Pixels of a small picture: 320x180 and less."""

    fits_below: float = 105.0
    """Quantizer to be expected of the size that a key frame which is due anyway is made in."""

    restarts_below: float = 85.0
    """The same after a collapse: nobody sees anything until that key frame is through, so it is to
    be small."""

    far_too_large: float = 130.0
    """Quantizer to be expected of the next smaller size from which it is passed over, too: what
    is expected is the less certain the further away."""

    up_below: float = 105.0
    """Quantizer to be expected of a larger size that is to be gone up to."""

    up_bits_per_pixel: float = 0.5
    """Bits per second for each pixel of a larger size that it must have, however easy the pictures
    are: with less its key frames, one for the change and one for each loss that nothing else
    mends, stand in the way for half a second each."""

    up_patience: float = 3.0
    """Seconds that the rate must have been there: a key frame's cost is earned back in less."""

    max_up_patience: float = 48.0
    """The most that it is doubled to for pictures that turn out harder than expected."""

    undone_within: float = 15.0
    """Seconds within which going down means that it was wrong to go up."""

    bitrate_seconds: float = 2.0
    """Time constant of the mean of the rate by which sizes are chosen: congestion control goes up
    and down within it all the time."""

    fall_seconds: float = 1.0
    """The same where it falls: what is too large for the rate is late meanwhile."""

    down_patience: float = 1.0
    """Seconds that the rate must have been too low; a shorter dip the encoder bridges."""

    frame_rates: tuple[tuple[int, float], ...] = ((150_000, 30.0), (75_000, 20.0), (45_000, 15.0))
    """Least bitrate and the frame rate that it may be worth, best first."""

    slow_above: float = 100.0
    """Quantizer needed from which fewer pictures are made, before they are made smaller; down to
    the rate that still looks like motion:"""

    motion: float = 15.0
    """Pictures a second."""

    least_frame_rate: float = 10.0
    """Below all of these; under 10 lips no longer match the voice."""

    frame_rate_hysteresis: float = 1.15
    """Of a rate bound before the higher frame rate is taken."""

    slow_hysteresis: float = 10.0
    """Steps that the quantizer must be finer than ``slow_above`` before it is."""


@dataclass(slots=True)
class Scaling:
    """What to encode.

    Attributes:
        numerator: Sides of the picture are this part of the source's, in eighths.
        frame_rate: At most, pictures a second.

    """

    numerator: int = 8
    frame_rate: float = 30.0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the sides to encode for a source of this size: even, at least 2."""
        if self.numerator == 8:
            return width, height
        return (
            max(2, width * self.numerator // 16 * 2),
            max(2, height * self.numerator // 16 * 2),
        )


_STEPS_BY_FRAME_RATE: Final = 20.0
"""Of the quantizer per doubling: less than by the rate, as pictures further apart differ more."""

_NUMERATORS: Final = (8, 6, 4, 3, 2)
"""640x360, 480x270, 320x180, 240x135, 160x90."""


class ScalePolicy:
    """Follows the bitrate with the size of the picture.

    Attributes:
        difficulty: Of the pictures at their present size; feed it what is encoded.

    """

    def __init__(self, config: ScaleConfig, *, now: float) -> None:
        self.difficulty: Final = Difficulty()
        self._config: Final = config
        self._scaling = Scaling()
        self._up_patience = config.up_patience
        self._went_up_at = now - config.undone_within
        self._since: float | None = None  # since when a change is due
        self._goal = 0  # the rung that it would go to, the mildest of the time
        self._begun = False
        self._restarting = False
        self._bitrate = 0.0  # the mean of the last while
        self._updated_at = now

    @property
    def scaling(self) -> Scaling:
        """What to encode now."""
        return self._scaling

    def update(
        self,
        bitrate: int,
        width: int,
        height: int,
        now: float,
        *,
        key_due: bool = False,
        ceiling: Scaling | None = None,
    ) -> bool:
        """Reconsider for the next picture; return whether the size changed.

        Args:
            bitrate: Net, for the picture, that is to be expected for a while.
            width: Of the source, pixels.
            height: Likewise.
            now: The present.
            key_due: The next picture is a key frame whatever its size.
            ceiling: What this computer can make at most (:mod:`.cpu_budget`); holds at once.

        """
        if not self._begun:
            self._bitrate = float(bitrate)
        falls = bitrate < self._bitrate
        seconds = self._config.fall_seconds if falls else self._config.bitrate_seconds
        share = min((now - self._updated_at) / seconds, 1.0)
        self._updated_at = now
        self._bitrate += share * (bitrate - self._bitrate)
        if self._restarting:
            self._bitrate = min(self._bitrate, float(bitrate))
        bitrate = int(self._bitrate)
        ceiling = ceiling or Scaling()
        self._set_frame_rate(bitrate, ceiling.frame_rate)
        rung = _NUMERATORS.index(self._scaling.numerator)
        highest = _NUMERATORS.index(ceiling.numerator)
        goal = max(self._wanted(rung, bitrate, width * height, key_due=key_due), highest)
        self._restarting = False
        if not self._begun or rung < highest:
            self._begun = True
            return self._go(goal, rung)
        if goal == rung:
            self._since = None
            return False
        is_down = goal > rung
        if self._since is None or is_down is not (self._goal > rung):
            self._since, self._goal = now, goal
        # A moment's extreme must not decide how far to go: the mildest of the time does.
        self._goal = min(self._goal, goal) if is_down else max(self._goal, goal)
        patience = self._config.down_patience if is_down else self._up_patience
        if now - self._since < patience and not (is_down and key_due):
            return False
        if is_down and now - self._went_up_at < self._config.undone_within:
            self._up_patience = min(2 * self._up_patience, self._config.max_up_patience)
        elif not is_down:
            self._went_up_at = now
        return self._go(self._goal, rung)

    def begin_again(self) -> None:
        """Choose the next picture's size as the first one's was: by the rate, without patience."""
        self._begun = False

    def restart(self) -> None:
        """Make the next picture, which is a key frame, small enough to be through soon."""
        self._restarting = True

    def _go(self, goal: int, rung: int) -> bool:
        self._since = None
        if goal == rung:
            return False
        # Straight to the rung that fits: each one in between would cost a key frame of its own.
        self._scaling = Scaling(_NUMERATORS[goal], self._scaling.frame_rate)
        self.difficulty.handle_size((_NUMERATORS[goal] / _NUMERATORS[rung]) ** 2)
        return True

    def _wanted(self, rung: int, bitrate: int, source: int, *, key_due: bool) -> int:
        """Return the rung that the bitrate is worth, given that we are on one."""
        config = self._config
        last = len(_NUMERATORS) - 1
        if not self._begun:
            goal = 0
            while goal < last and self._expected(goal, rung, bitrate, source) > COARSEST:
                goal += 1
            return goal
        goal = rung
        # A key frame that is due anyway is not spent on a size that hardly fits.
        at_once = config.restarts_below if self._restarting else config.fits_below
        limit = at_once if key_due else self._too_coarse(rung, source)
        while goal < last and self._expected(goal, rung, bitrate, source) > limit:
            goal += 1
            limit = at_once if key_due else config.far_too_large
        while (
            goal <= rung
            and goal
            and bitrate >= config.up_bits_per_pixel * source * (_NUMERATORS[goal - 1] / 8) ** 2
            and self._expected(goal - 1, rung, bitrate, source) < config.up_below
        ):
            goal -= 1
        return goal

    def _too_coarse(self, rung: int, source: int) -> float:
        small = source * (_NUMERATORS[rung] / 8) ** 2 <= self._config.small
        return self._config.small_down_above if small else self._config.down_above

    def _expected(self, goal: int, rung: int, bitrate: int, source: int) -> float:
        pixels = (_NUMERATORS[goal] / _NUMERATORS[rung]) ** 2
        known = self.difficulty.quantizer_at(bitrate, pixels)
        if known is not None:
            return known
        return quantizer_for(bitrate, source * (_NUMERATORS[goal] / 8) ** 2)

    def _set_frame_rate(self, bitrate: int, ceiling: float) -> None:
        config = self._config
        current = self._scaling.frame_rate
        needed = self.difficulty.quantizer_at(bitrate)
        for least, frame_rate in config.frame_rates:
            is_up = frame_rate > current
            if bitrate < least * (config.frame_rate_hysteresis if is_up else 1.0):
                continue
            if needed is not None and frame_rate > config.motion:
                then = needed + _steps_by_frame_rate(frame_rate / current)
                if then > config.slow_above - (config.slow_hysteresis if is_up else 0.0):
                    continue
            break
        else:
            frame_rate = config.least_frame_rate
        frame_rate = min(frame_rate, ceiling)
        if frame_rate != current:
            self._scaling.frame_rate = frame_rate
            self.difficulty.handle_frame_rate(_steps_by_frame_rate(frame_rate / current))


def _steps_by_frame_rate(factor: float) -> float:
    return _STEPS_BY_FRAME_RATE * math.log2(factor)
