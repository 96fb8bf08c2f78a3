"""E-model: how good a conversation sounds, from what the network did to it (ITU-T G.107).

A rating R of 0 to 100 starts at 93.2, a call with nothing wrong, and loses for delay, for the
codec, and for what was lost and had to be made up::

    R = 93.2 - Idd - Ie,eff      Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl / BurstR + Bpl)

G.107 has no values for Opus.  Ours are fitted to PESQ scores of speech at 48 kHz through this very
codec, with random losses of 0 to 40 % and bitrates of 8 to 24 kbit/s: the model meets them within
0.15.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["SoundConditions", "SoundRating", "mean_opinion", "rate_sound"]

_BEST: Final = 93.2
"""R0 - Is + A at the defaults of G.107, table 3: no noise, no echo, no side tone."""

_ROBUSTNESS: Final = 7.5
"""Bpl of Opus' own concealment.  PESQ 2.68, 2.05, 1.41 and 1.22 at 5, 10, 20 and 30 % of random
loss ask for 6.6, 7.9, 7.5 and 8.0."""

_BITRATE_IMPAIRMENT: Final = (
    (6_000.0, 55.0),
    (8_000.0, 42.0),
    (12_000.0, 25.0),
    (16_000.0, 16.0),
    (24_000.0, 1.0),
    (32_000.0, 0.0),
)
"""Ie by net bitrate: PESQ 2.63, 3.51, 3.92 and 4.37 at 8, 12, 16 and 24 kbit/s."""

_BURST_LOSS: Final = 0.02
"""Loss up to which bursts count in full.  G.107 allows BurstR for low loss only; beyond, burst or
not makes no difference to PESQ at equal loss, and the formula would make it all the difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundConditions:
    """What a listener is given.

    Attributes:
        loss: Share of the sound that was made up, after all repair, 0 to 1.
        burst_ratio: Mean length of a gap over that of random loss; 1 where it is random.
        bitrate: Of the codec, net, bits per second; :obj:`None` where it is not known.
        mouth_to_ear: Seconds.

    """

    loss: float = 0.0
    burst_ratio: float = 1.0
    bitrate: float | None = None
    mouth_to_ear: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundRating:
    """R, and what it lost where.

    Attributes:
        delay: Idd.
        codec: Ie.
        loss: Ie,eff - Ie.

    """

    delay: float
    codec: float
    loss: float

    @property
    def r(self) -> float:
        """The rating, 0 to 93.2."""
        return max(0.0, _BEST - self.delay - self.codec - self.loss)

    @property
    def score(self) -> float:
        """The opinion that people would have, 1 to 5, where 5 is nothing to complain of.

        The model itself ends at 4.41; it was made for telephones.
        """
        return 1.0 + 4.0 * (mean_opinion(self.r) - 1.0) / (mean_opinion(_BEST) - 1.0)


def rate_sound(conditions: SoundConditions) -> SoundRating:
    """Return the rating under these conditions."""
    codec = 0.0 if conditions.bitrate is None else _bitrate_impairment(conditions.bitrate)
    percent = 100.0 * min(max(conditions.loss, 0.0), 1.0)
    burst_ratio = max(1.0, conditions.burst_ratio)
    if percent > 100.0 * _BURST_LOSS:
        burst_ratio = 1.0 + (burst_ratio - 1.0) * 100.0 * _BURST_LOSS / percent
    loss = (95.0 - codec) * percent / (percent / burst_ratio + _ROBUSTNESS)
    return SoundRating(delay=_delay_impairment(conditions.mouth_to_ear), codec=codec, loss=loss)


def mean_opinion(r: float) -> float:
    """Return the mean opinion score of a rating, 1 to 4.5 (G.107 annex B)."""
    if r <= 0.0:
        return 1.0
    if r >= 100.0:
        return 4.5
    # The polynomial dips below 1 for ratings under 6.5.
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)


def _delay_impairment(seconds: float) -> float:
    """Idd: nothing up to 100 ms, 24 at 400 ms."""
    if seconds <= 0.1:
        return 0.0
    x = math.log2(seconds / 0.1)
    near, far = math.pow(1.0 + x**6, 1 / 6), math.pow(1.0 + (x / 3.0) ** 6, 1 / 6)
    return 25.0 * (near - 3.0 * far + 2.0)


def _bitrate_impairment(bitrate: float) -> float:
    (low_rate, low), *rest = _BITRATE_IMPAIRMENT
    if bitrate <= low_rate:
        return low
    for rate, impairment in rest:
        if bitrate <= rate:
            share = (bitrate - low_rate) / (rate - low_rate)
            return low + share * (impairment - low)
        low_rate, low = rate, impairment
    return low
