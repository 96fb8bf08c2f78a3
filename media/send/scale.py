"""Scale: which size and frame rate of picture a bitrate is worth.

Beside encoding.  Below about one bit per pixel and second VP8 reaches its coarsest quantizer and
overshoots; a smaller picture at the same rate then looks better.  The rule, fitted to measurements
of 640x360 and to libwebrtc's table of limits: a rung needs at least 1.08 bits per second for each
pixel (640x360: 250 kbit/s, 480x270: 140, 320x180: 62, 1280x720: 1000).

What is hard to encode needs more: an encoder at its coarsest overshoots, and what it overshoots by
is taken off the rate.  Only trying tells whether a larger size would do again, so after going
down for that going up takes twice the patience each time.

A change of size costs a key frame, so going up needs more than going down and some patience.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ScaleConfig", "ScalePolicy", "Scaling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleConfig:
    """When the picture changes."""

    bits_per_pixel: float = 1.08
    """Per second; see the module's docstring."""

    up_factor: float = 1.35
    """Of what the larger size needs before it is taken: hysteresis."""

    up_patience: float = 3.0
    """Seconds that the rate must have been there: a key frame's cost is earned back in less."""

    max_up_patience: float = 48.0
    """The most that it is doubled to for pictures that are hard to encode."""

    overshoot: float = 1.3
    """Of its rate that an encoder must exceed to count; key frames and scene changes do for a
    moment."""

    down_patience: float = 1.0
    """Seconds that the rate must have been too low; a shorter dip the encoder bridges."""

    start_grace: float = 3.0
    """Seconds at the start without going down: the rate is a guess until probing is through."""

    frame_rates: tuple[tuple[int, float], ...] = ((180_000, 30.0), (90_000, 20.0), (45_000, 15.0))
    """Least bitrate and the frame rate that it is worth, best first."""

    least_frame_rate: float = 10.0
    """Below all of these; under 10 lips no longer match the voice."""

    frame_rate_hysteresis: float = 1.15
    """Of a rate bound before the higher frame rate is taken."""


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


_NUMERATORS: Final = (8, 6, 4, 3, 2)
"""640x360, 480x270, 320x180, 240x135, 160x90."""


class ScalePolicy:
    """Follows the bitrate with the size of the picture."""

    def __init__(self, config: ScaleConfig, *, now: float) -> None:
        self._config: Final = config
        self._scaling = Scaling()
        self._started_at = now
        self._up_patience = config.up_patience
        self._is_hard = False
        self._since: float | None = None  # since when a change is due
        self._direction = 0
        self._judged = 0  # bitrate that decides how far to go

    @property
    def scaling(self) -> Scaling:
        """What to encode now."""
        return self._scaling

    def update(
        self, bitrate: int, width: int, height: int, now: float, *, overshoot: float = 1.0
    ) -> bool:
        """Reconsider for the next picture; return whether the size changed.

        Args:
            bitrate: Net, for the picture.
            width: Of the source, pixels.
            height: Likewise.
            now: The present.
            overshoot: What the encoder makes of late, as a multiple of what it was told.

        """
        self._set_frame_rate(bitrate)
        self._is_hard = overshoot > self._config.overshoot
        if self._is_hard:
            bitrate = int(bitrate / overshoot)
        rung = _NUMERATORS.index(self._scaling.numerator)
        if bitrate < self._needs(rung, width, height) and rung + 1 < len(_NUMERATORS):
            return self._consider(1, bitrate, (width, height), now=now)
        if rung and bitrate >= self._needs(rung - 1, width, height) * self._config.up_factor:
            return self._consider(-1, bitrate, (width, height), now=now)
        self._since = None
        return False

    def _consider(
        self, direction: int, bitrate: int, source: tuple[int, int], *, now: float
    ) -> bool:
        config = self._config
        width, height = source
        if self._since is None or direction != self._direction:
            self._since, self._direction = now, direction
            self._judged = bitrate
        # A moment's extreme must not decide how far to go: the mildest of the time does.
        self._judged = max(self._judged, bitrate) if direction > 0 else min(self._judged, bitrate)
        patience = config.down_patience if direction > 0 else self._up_patience
        if now - self._since < patience:
            return False
        if direction > 0 and now - self._started_at < config.start_grace:
            return False
        # Straight to the rung that fits: each one in between would cost a key frame of its own.
        margin = 1.0 if direction > 0 else config.up_factor
        goal = _NUMERATORS.index(self._scaling.numerator) + direction
        while 0 <= goal + direction < len(_NUMERATORS):
            asked = goal if direction > 0 else goal - 1
            fits = self._judged >= self._needs(asked, width, height) * margin
            if fits is (direction > 0):
                break
            goal += direction
        self._scaling = Scaling(_NUMERATORS[goal], self._scaling.frame_rate)
        self._since = None
        if direction > 0 and self._is_hard:
            self._up_patience = min(2 * self._up_patience, config.max_up_patience)
        return True

    def _needs(self, rung: int, width: int, height: int) -> float:
        part = _NUMERATORS[rung] / 8
        return width * height * part * part * self._config.bits_per_pixel

    def _set_frame_rate(self, bitrate: int) -> None:
        current = self._scaling.frame_rate
        for least, frame_rate in self._config.frame_rates:
            needed = least * (self._config.frame_rate_hysteresis if frame_rate > current else 1.0)
            if bitrate >= needed:
                self._scaling.frame_rate = frame_rate
                return
        self._scaling.frame_rate = self._config.least_frame_rate
