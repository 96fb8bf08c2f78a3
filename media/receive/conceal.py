"""Conceal: make sound for each answer of the jitter buffer, whatever came.

In this order of preference: the packet itself; the coarse copy in the packet behind it (Opus
in-band FEC, RFC 6716 §2.1.7); the codec's own concealment, which goes on from the sound so far
and fades out after 60 ms, since a held vowel turns into a buzz; noise like the background's
(:mod:`.comfort_noise`).

When sound comes back, the decoder joins it to what it made up.  NetEq's *merge*, which looks for
the lag at which the two fit and fades there, is for codecs that do not: behind Opus it gained
nothing and mostly cost some PESQ.  What is left to us is the level, where ours has faded.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ringline.media.errors import CodecError
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.receive.comfort_noise import ComfortNoise

__all__ = [
    "AudioDecoder",
    "ConcealConfig",
    "Concealer",
    "Samples",
    "mean_square",
]

logger = logging.getLogger(__name__)

Samples = NDArray[np.int16]

_FRAME: Final = AUDIO_FRAME_SAMPLES
_STEP: Final = 120  # the shortest frame of Opus


class AudioDecoder(Protocol):
    """What is asked of a decoder: see :class:`ringline.media.codecs.opus.OpusDecoder`."""

    def decode(self, packet: bytes) -> Samples:
        """Decode a packet."""
        ...

    def decode_redundancy(self, next_packet: bytes, samples: int = ...) -> Samples | None:
        """Decode a lost frame from the packet after it; :obj:`None` if that has no copy."""
        ...

    def conceal(self, samples: int = ...) -> Samples:
        """Make up a lost frame."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcealConfig:
    """How a :class:`Concealer` behaves."""

    fade_after: int = 2_880
    """Samples (60 ms) made up at full level: about a syllable's steady part."""

    fade_over: int = 1_920
    """Samples (40 ms) in which it then fades to comfort noise."""

    ramp: int = 240
    """Samples (5 ms) over which sound comes back from what it had faded to: short enough to keep
    a consonant's onset, long enough not to click."""

    quiet_level: float = 150.0
    """Root mean square (of 32767) below which a frame is always quiet: -47 dBFS, room noise."""

    quiet_share: float = 0.2
    """Share of the usual level below which a frame is quiet: the pauses between words."""


class Concealer:
    """Turns answers of the jitter buffer into sound, with one decoder.

    Args:
        decoder: Of the stream.
        config: Tuning.

    Attributes:
        recovered_frames: Lost frames that in-band FEC gave back.
        failed_packets: Packets that the decoder refused.
        is_silent: What :meth:`conceal` gave last was silence or comfort noise.

    """

    def __init__(self, decoder: AudioDecoder, config: ConcealConfig | None = None) -> None:
        self._decoder: Final = decoder
        self._config: Final = config or ConcealConfig()
        self._made_up = 0  # samples since the last real sound
        self._noise: Final = ComfortNoise()
        self._level = 0.0  # the usual level of sound that is not quiet
        self.recovered_frames = 0
        self.failed_packets = 0
        self.is_silent = False

    def decode(self, payload: bytes) -> Samples | None:
        """Return the sound of a packet, or :obj:`None` if it is damaged: it is lost then."""
        try:
            samples = self._decoder.decode(payload)
        except CodecError as error:
            self.failed_packets += 1
            logger.debug("Opus packet dropped: %s", error)
            return None
        if len(samples) == 0:
            return None
        return self._come_back(samples)

    def recover(self, next_payload: bytes, samples: int = _FRAME) -> Samples | None:
        """Return what is lost before a packet, or :obj:`None` if that has no copy of it."""
        length = _rounded(samples)
        try:
            copy = self._decoder.decode_redundancy(next_payload, length)
        except CodecError as error:
            logger.debug("in-band FEC failed: %s", error)
            return None
        if copy is None:
            return None
        self.recovered_frames += 1
        return self._come_back(copy[length - samples :])

    def conceal(self, samples: int = _FRAME) -> Samples:
        """Return so many samples that are made up: less and less, then comfort noise."""
        begun = self._made_up
        self._made_up += samples
        silent_after = self._config.fade_after + self._config.fade_over
        self.is_silent = begun >= silent_after
        if self.is_silent:
            return _to_samples(self._noise.make(samples))
        try:
            sound = self._decoder.conceal(_rounded(samples))[:samples]
        except CodecError as error:
            logger.debug("concealment failed: %s", error)
            return _to_samples(self._noise.make(samples))
        if begun + samples <= self._config.fade_after:
            return sound
        return self._mix(sound, self._gain(np.arange(begun, begun + samples)))

    def is_quiet(self, samples: Samples) -> bool:
        """Tell whether a seam within these samples is not heard; learns levels and background."""
        level = _deviation(samples)
        if level > self._config.quiet_level:
            # Up at once, down slowly: the level of speech, not of the pauses in it.
            self._level = max(level, self._level + 0.02 * (level - self._level))
        threshold = max(self._config.quiet_level, self._config.quiet_share * self._level)
        is_quiet = bool(level < threshold)
        if is_quiet:
            self._noise.learn(samples)
        return is_quiet

    def _come_back(self, samples: Samples) -> Samples:
        """Return real sound at the level that what was made up has faded to, rising to its own.

        The decoder goes on from what it made up, not from what we faded of it.
        """
        made_up, self._made_up = self._made_up, 0
        if made_up <= self._config.fade_after:  # as nearly always; nothing has faded
            return samples
        start = float(self._gain(np.array([made_up]))[0])
        length = min(self._config.ramp, len(samples))
        risen = self._mix(samples[:length], np.linspace(start, 1.0, length))
        return np.concatenate((risen, samples[length:]))

    def _gain(self, position: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the share of the decoder's sound so many samples after the last real one."""
        silent_after = self._config.fade_after + self._config.fade_over
        return np.clip((silent_after - position) / self._config.fade_over, 0.0, 1.0)

    def _mix(self, sound: Samples, gain: NDArray[np.float64]) -> Samples:
        """Fade between sound and comfort noise: they are not alike, so their powers add up."""
        return _to_samples(sound * gain + self._noise.make(len(sound)) * np.sqrt(1.0 - gain * gain))


def mean_square(samples: Samples) -> float:
    """Return the mean of the squared samples; 2**30 is full scale."""
    values = samples.astype(np.float32)
    return float(values @ values) / max(1, len(values))


def _to_samples(values: NDArray[np.float64]) -> Samples:
    return np.clip(values, -32_768, 32_767).astype(np.int16)


def _deviation(samples: Samples) -> float:
    """Return the standard deviation; a third of the time that numpy's takes for integers."""
    values = samples.astype(np.float32)
    count = max(1, len(values))
    mean = float(np.add.reduce(values)) / count
    return math.sqrt(max(0.0, float(values @ values) / count - mean * mean))


def _rounded(samples: int) -> int:
    """Return the next length that a decoder makes up: a multiple of 2.5 ms."""
    return -(-samples // _STEP) * _STEP
