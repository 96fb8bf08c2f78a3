"""Synthetic voice: sound with what makes speech speech, from nothing but a seed.

A voice is a source and a filter (Fant 1960): the vocal folds give a harmonic series, the mouth
weighs it by resonances, the formants.  Here the harmonics are summed directly, each weighed by
the formants where it happens to lie, so pitch and mouth can glide as in speech.  Syllables of
consonant and vowel make phrases, with the pitch falling, and pauses between them.

It means nothing, but codecs, concealment, speech detectors and PESQ treat it as speech.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringline.media.convert import SampleGrouper
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["Voice"]

_Sound = NDArray[np.float32]

_VOWELS: Final = (
    (730, 1090, 2440),
    (660, 1720, 2410),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
    (440, 1020, 2240),
)
"""First three formants in Hz of American English vowels (Peterson and Barney 1952, men)."""

_NASAL: Final = (250, 1100, 2300)
_BANDWIDTHS: Final = np.array([70.0, 95.0, 140.0, 220.0], np.float32)
_FORMANT_GAINS: Final = np.array([1.0, 0.55, 0.28, 0.12], np.float32)
_FOURTH_FORMANT: Final = 3500
_CONTROL_STEP: Final = 240
"""Samples between two settings of the mouth: 5 ms; between them all moves in straight lines."""

_MAX_HARMONICS: Final = 40
_TOP_FREQUENCY: Final = 5000.0
_BREATH: Final = 1.5
"""Noise in voiced sound, as a multiple of the mean harmonic: some 13 dB below the voice."""

_LEVEL: Final = 0.09
"""Of a harmonic: gives speech 25 dB below full scale, near where telephones put it (-26 dB,
ITU-T P.56), and peaks just below full scale."""


class Voice:
    """Endless voice-like sound.

    Args:
        seed: Decides what is said, and how high the voice lies.

    """

    def __init__(self, seed: int = 0) -> None:
        self._rng: Final = np.random.default_rng(seed)
        self._pitch: Final = float(self._rng.uniform(95, 190))
        self._phase = 0.0
        self._mouth = np.array(_VOWELS[0], np.float32)
        self._grouper: Final = SampleGrouper()
        self._syllables_left = 0
        self._declination = 1.0

    def next_block(self) -> NDArray[np.int16]:
        """Return the next 20 ms, ``int16`` of shape ``(960,)``."""
        while (block := self._grouper.poll()) is None:
            sound = self._next_piece()
            self._grouper.push((sound.clip(-1, 1) * 32767).astype(np.int16))
        return block

    def _next_piece(self) -> _Sound:
        rng = self._rng
        if self._syllables_left == 0:
            self._syllables_left = int(rng.integers(4, 10))
            self._declination = float(rng.uniform(1.1, 1.25))
            return self._room(float(rng.uniform(0.25, 0.7)))
        self._syllables_left -= 1
        self._declination *= 0.95
        return np.concatenate([self._consonant(), self._vowel()])

    def _consonant(self) -> _Sound:
        """Return a hiss, a burst after a silence, a hum, or nothing."""
        kind = self._rng.integers(4)
        if kind == 0:
            return self._noise(0.09, low=float(self._rng.uniform(2500, 4500)), high=7500) * 0.35
        if kind == 1:
            burst = self._noise(0.025, low=1200, high=5000)
            burst *= np.exp(-np.arange(len(burst), dtype=np.float32) / 350)
            return np.concatenate([self._room(0.05), burst * 0.7])
        if kind == 2:
            return self._voiced(0.07, _NASAL, level=0.35)
        return np.zeros(0, np.float32)

    def _vowel(self) -> _Sound:
        rng = self._rng
        target = _VOWELS[int(rng.integers(len(_VOWELS)))]
        length = float(rng.uniform(0.11, 0.24)) * (1.5 if self._syllables_left == 0 else 1.0)
        return self._voiced(length, target, level=float(rng.uniform(0.7, 1.0)))

    def _voiced(self, seconds: float, target: tuple[int, int, int], *, level: float) -> _Sound:
        """Return sound of the vocal folds while the mouth moves from where it is to a target."""
        rng = self._rng
        steps = max(8, round(seconds * AUDIO_CLOCK_RATE / _CONTROL_STEP))
        samples = steps * _CONTROL_STEP
        grid = np.linspace(0, 1, steps + 1, dtype=np.float32)
        pitch = self._pitch * self._declination * (1 + rng.uniform(-0.12, 0.12) * grid)
        pitch += self._pitch * 0.08 * np.sin(np.pi * grid) + rng.normal(0, 0.5, steps + 1)
        every = np.arange(samples, dtype=np.float32) / _CONTROL_STEP
        phase = self._phase + np.cumsum(np.interp(every, np.arange(steps + 1), pitch)) * (
            2 * np.pi / AUDIO_CLOCK_RATE
        )
        self._phase = float(phase[-1] % (2 * np.pi))

        goal = np.array(target, np.float32)
        reach = np.clip(grid * 2.2, 0, 1)[:, None]  # the mouth is there before the vowel's middle
        mouth = self._mouth + (goal - self._mouth) * reach
        self._mouth = goal
        weights = _harmonic_weights(pitch.astype(np.float32), mouth)
        weights *= (np.minimum(1, np.minimum(grid / 0.15, (1 - grid) / 0.3)) * level)[:, None]

        # Harmonic k by the recurrence cos(kx) = 2 cos(x) cos((k-1)x) - cos((k-2)x): one
        # multiplication for each instead of a cosine.
        ramp = np.arange(_CONTROL_STEP, dtype=np.float32) / _CONTROL_STEP
        once = np.cos(phase).astype(np.float32).reshape(steps, _CONTROL_STEP)
        twice, before, current = 2 * once, np.ones_like(once), once
        total = np.zeros_like(once)
        for k in range(weights.shape[1]):
            start, change = weights[:-1, k, None], np.diff(weights[:, k])[:, None]
            total += current * (start + change * ramp)
            before, current = current, twice * current - before
        # No throat is a clockwork: breath flows with the voice.
        breath = self._rng.normal(0, _BREATH, samples).astype(np.float32)
        swell = np.interp(every, np.arange(steps + 1), weights.sum(axis=1) / weights.shape[1])
        sound: _Sound = (total.reshape(-1) + breath * swell.astype(np.float32)) * _LEVEL
        return sound

    def _noise(self, seconds: float, *, low: float, high: float) -> _Sound:
        """Return noise of one band that swells and fades."""
        samples = round(seconds * AUDIO_CLOCK_RATE)
        spectrum = np.fft.rfft(self._rng.normal(0, 1, samples))
        frequencies = np.fft.rfftfreq(samples, 1 / AUDIO_CLOCK_RATE)
        spectrum[(frequencies < low) | (frequencies > high)] = 0
        sound = np.fft.irfft(spectrum, samples)
        sound *= np.sin(np.linspace(0, np.pi, samples)) * _LEVEL / max(1e-9, float(sound.std()))
        return sound.astype(np.float32)

    def _room(self, seconds: float) -> _Sound:
        """Return near-silence: a room is never without noise."""
        samples = round(seconds * AUDIO_CLOCK_RATE)
        return self._rng.normal(0, 1e-4, samples).astype(np.float32)


def _harmonic_weights(pitch: _Sound, mouth: _Sound) -> _Sound:
    """Return how strong each harmonic is at each step, of shape ``(steps, harmonics)``.

    Each formant is a resonance curve over frequency; the folds' own spectrum falls by about
    12 dB an octave and the lips give 6 back.
    """
    harmonics = min(_MAX_HARMONICS, int(_TOP_FREQUENCY / float(pitch.max())))
    orders = np.arange(1, harmonics + 1, dtype=np.float32)
    frequencies = pitch[:, None] * orders
    fourth = np.full((len(mouth), 1), _FOURTH_FORMANT, np.float32)
    formants = np.concatenate([mouth, fourth], axis=1)
    distance = (frequencies[:, :, None] - formants[:, None, :]) / _BANDWIDTHS
    curve = (_FORMANT_GAINS / np.sqrt(1 + distance * distance)).sum(axis=2)
    weights: _Sound = curve * np.sqrt(100 / frequencies) * 1.6
    return weights
