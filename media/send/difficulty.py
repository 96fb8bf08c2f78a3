"""Difficulty: how coarse the encoder has to be for these pictures, and would be at another rate.

Beside :mod:`.scale`.  A talking head and a football match need a different rate for the same
picture, so bits per pixel say little; the encoder's own quantizer says it.  What it would be at
another rate or size is read off two slopes, fitted to libvpx on four kinds of pictures (cartoon,
traffic, talking head, scrolling text) of 90 to 360 lines at 30 to 700 kbit/s: half the rate is 34
steps of 127 coarser where it is coarse already and 20 where it is fine, half the pixels 20 steps
finer.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["COARSEST", "Difficulty", "quantizer_for"]

COARSEST: Final = 106
"""Quantizer, of 127, at which our encoders stop: beyond it they exceed their rate."""

_STEPS_BY_RATE: Final = 34.0
"""Per halving of the rate, where it is coarse ..."""

_STEPS_WHERE_FINE: Final = 20.0
_FINE: Final = 50.0
"""... and up to this quantizer."""

_STEPS_BY_PIXELS: Final = 20.0
"""Per doubling of the pixels."""

_COARSEST_BITS: Final = 0.5
"""Bits per second and pixel that a usual picture takes at the coarsest, where nothing is known."""

_SMOOTHING: Final = 0.06
"""Weight of a new picture: settles in a second at 15 pictures a second, so that one gesture does
not decide."""

_LEAST_PICTURES: Final = 10

_MENDING: Final = 8
"""Pictures after a key frame that still mend it: they say nothing of those that follow."""


def quantizer_for(bitrate: float, pixels: float) -> float:
    """Return the quantizer to expect of a usual picture; above :data:`COARSEST` it does not fit."""
    share = max(bitrate, 1.0) / (pixels * _COARSEST_BITS)
    return COARSEST - _STEPS_BY_RATE * math.log2(share)


class Difficulty:
    """Watches what comes out of an encoder."""

    def __init__(self) -> None:
        self._quantizer = 0.0
        self._bitrate = 0.0
        self._pictures = 0
        self._mending = 0

    def handle_picture(self, bits: int, seconds: float, quantizer: int | None, told: int) -> None:
        """Take a picture that is no key frame.

        Args:
            bits: Its size.
            seconds: For which it is shown, as the encoder was told.
            quantizer: 0 to 127, or :obj:`None` if the encoder does not tell.
            told: Bits per second that the encoder was told.

        """
        if self._mending:
            self._mending -= 1
            return
        bitrate = bits / seconds
        if quantizer is None:
            # An encoder that keeps to its rate is taken to be well off.
            quantizer = COARSEST if self._bitrate > told else COARSEST // 2
        self._pictures += 1
        weight = max(_SMOOTHING, 1 / self._pictures)
        self._quantizer += weight * (quantizer - self._quantizer)
        self._bitrate += weight * (bitrate - self._bitrate)

    def handle_key_frame(self) -> None:
        """Take a key frame: what follows is judged again when it is mended."""
        self._mending = _MENDING

    def handle_frame_rate(self, steps: float) -> None:
        """Expect another quantizer from now on, by so many steps: the frame rate changed."""
        self._quantizer += steps

    def handle_size(self, pixels: float) -> None:
        """Expect what another size needs, as a multiple of the pixels so far, until it shows."""
        self._quantizer += _STEPS_BY_PIXELS * math.log2(pixels)

    @property
    def quantizer(self) -> float | None:
        """What the encoder needs of late, 0 to 127; :obj:`None` before enough is known."""
        return self._quantizer if self._pictures >= _LEAST_PICTURES else None

    def quantizer_at(self, bitrate: float, pixels: float = 1.0) -> float | None:
        """Return the quantizer that the same pictures would need.

        Args:
            bitrate: Bits per second.
            pixels: Their number, as a multiple of what they have now.

        Returns:
            Above :data:`COARSEST` what cannot be had; :obj:`None` before enough is known.

        """
        quantizer = self.quantizer
        if quantizer is None:
            return None
        halvings = math.log2(max(self._bitrate, 1.0) / max(bitrate, 1.0))
        return _coarser(quantizer, halvings) + _STEPS_BY_PIXELS * math.log2(pixels)


def _coarser(quantizer: float, halvings: float) -> float:
    """Return the quantizer at a rate that is halved so many times, below 0 doubled."""
    room = (_FINE - quantizer) / _STEPS_WHERE_FINE  # halvings up to the bend
    if room > 0:
        fine = min(halvings, room)
        return quantizer + _STEPS_WHERE_FINE * fine + _STEPS_BY_RATE * (halvings - fine)
    coarse = max(halvings, room * _STEPS_WHERE_FINE / _STEPS_BY_RATE)
    return quantizer + _STEPS_BY_RATE * coarse + _STEPS_WHERE_FINE * (halvings - coarse)
