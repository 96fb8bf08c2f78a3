"""Comfort noise: what a gap ends in, instead of dead silence.

A listener takes digital silence for a lost call.  So once made-up sound has faded, noise goes on
that is as loud as the background was in the pauses between words, and coloured as it was: white
noise through a filter whose frequency response is their mean spectrum.

The packets of a sender's own comfort noise (Opus sends some in silence) are sound like any other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ComfortNoise"]

_Samples = NDArray[np.int16]

_TAPS: Final = 128
"""Of the filter: a resolution of 375 Hz, finer than which a room's noise is not told apart."""

_WINDOW: Final = np.hanning(_TAPS)
_WINDOW_POWER: Final = np.square(_WINDOW).sum()

_DOWN: Final = 0.2
_UP: Final = 0.02
"""Weight of a quieter pause and of a louder one: the background is what is there between all
words, and the end of a word is louder."""

_LOUDEST: Final = 1_000.0
"""Root mean square (of 32767), -30 dBFS: louder than that no background is imitated."""

_MAX_PAUSES: Final = 50
"""Pieces kept, 20 ms each as a rule: 100 kB."""


class ComfortNoise:
    """Learns a background and makes noise like it.

    Args:
        rng: Where the noise comes from; which does not matter, so there is a default.

    """

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        self._rng: Final = rng or np.random.default_rng(0)
        self._power: NDArray[np.float64] | None = None  # spectrum of what was heard
        self._filter: NDArray[np.float64] | None = None  # made of it when it is asked for
        self._pauses: list[_Samples] = []  # not yet looked at
        self._past: NDArray[np.float64] = self._rng.standard_normal(_TAPS - 1)

    def learn(self, samples: _Samples) -> None:
        """Take a piece of a pause: ``int16`` of shape ``(n,)``; less than 2.7 ms tells nothing.

        It is only kept, and not copied: looking at many in one go takes less time, and noise is
        seldom wanted.
        """
        if len(samples) >= _TAPS:
            self._pauses.append(samples)
            if len(self._pauses) >= _MAX_PAUSES:
                self._look()

    def make(self, count: int) -> NDArray[np.float64]:
        """Return so many samples that go on from the last; zeros before any pause was heard."""
        self._look()
        if self._power is None:
            return np.zeros(count)
        if self._filter is None:
            self._filter = _filter(self._power)
        white = np.concatenate((self._past, self._rng.standard_normal(count)))
        self._past = white[len(white) - _TAPS + 1 :]
        return np.convolve(white, self._filter, "valid")

    def _look(self) -> None:
        """Learn from the pauses that were kept."""
        if not self._pauses:
            return
        counts = np.array([len(samples) // _TAPS for samples in self._pauses])
        whole = [samples[: len(samples) // _TAPS * _TAPS] for samples in self._pauses]
        pieces = np.concatenate(whole).reshape(-1, _TAPS).astype(np.float64)
        begins = np.cumsum(counts) - counts
        means = np.add.reduceat(np.add.reduce(pieces, axis=1), begins) / (_TAPS * counts)
        pieces -= np.repeat(means, counts)[:, np.newaxis]
        spectra = np.square(np.abs(np.fft.rfft(pieces * _WINDOW, axis=1)))
        powers = np.add.reduceat(spectra, begins, axis=0) / counts[:, np.newaxis]
        mean = powers[0] if self._power is None else self._power
        for power, total in zip(powers, np.add.reduce(powers, axis=1), strict=True):
            weight = _DOWN if total < np.add.reduce(mean) else _UP
            mean = mean + weight * (power - mean)
        self._power = mean
        self._pauses.clear()
        self._filter = None


def _filter(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the impulse response that gives white noise of variance 1 such a power spectrum."""
    level = np.sqrt(power / _WINDOW_POWER)
    response: NDArray[np.float64] = np.roll(np.fft.irfft(level, _TAPS), _TAPS // 2)
    loudness = float(np.sqrt(np.square(response).sum()))
    return response * min(1.0, _LOUDEST / loudness) if loudness > 0.0 else response
