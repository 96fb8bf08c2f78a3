"""Stretch: play the same sound in a little less or a little more time, at the same pitch.

Voiced sound repeats itself each 2.5 to 15 ms.  One repetition more or less is not heard if the
seam lies where two neighbours are alike, and if one is faded into the other over its whole length
(waveform similarity overlap-add; Verhelst and Roelands, ICASSP 1993)::

    shorten                     a b c d      lengthen                     a b c d
      fade from a to b          (ab) c d       fade from b back to a      a (ba) b c d

Where two neighbours are not alike, a consonant's noise or its onset, nothing is done.  In quiet
sound there is nothing to hear, so any two will do.

The period is looked for at 4 kHz and refined at 48 kHz: 40 microseconds, against 130 at full rate.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_PERIOD", "MIN_PERIOD", "cross_fade", "lengthen", "shorten"]

_Samples = NDArray[np.int16]
_Values = NDArray[np.float32]

MIN_PERIOD: Final = 120
"""Samples: 2.5 ms, a child's voice."""

MAX_PERIOD: Final = 720
"""Samples: 15 ms, lower than any man's voice."""

_WINDOW: Final = 480
"""Samples that are compared: 10 ms hold at least one whole period of most voices."""

_COARSE: Final = 12
"""48 kHz by this is 4 kHz: above the pitch and the first two formants."""

_QUIET_PERIOD: Final = 240
"""Samples: where any period will do, one of at least 5 ms is taken, so that fewer are needed."""


def shorten(
    sound: _Samples, *, min_likeness: float, max_period: int = MAX_PERIOD
) -> _Samples | None:
    """Take one period out of the start of a piece of sound.

    Args:
        sound: ``int16`` of shape ``(n,)``; 20 ms give periods of up to 10 ms a chance, 30 ms all.
        min_likeness: Normalized correlation, -1 to 1, from which two periods count as alike.
            Below 0 the sound is taken to be quiet: anything will do.
        max_period: Samples to take out at most.

    Returns:
        The sound without one period, begun as it began; :obj:`None` if no two are alike.

    """
    longest = min(max_period, len(sound) // 2, len(sound) - _WINDOW)
    values = sound[: longest + max(longest, _WINDOW)].astype(np.float32)
    period = _find_period(values, 0, longest, min_likeness, forward=True)
    if period is None:
        return None
    faded = cross_fade(values[:period], values[period : 2 * period])
    return np.concatenate((faded, sound[2 * period :]))


def lengthen(
    before: _Samples, sound: _Samples, *, min_likeness: float, max_period: int = MAX_PERIOD
) -> _Samples | None:
    """Put one more period before a piece of sound.

    Args:
        before: The sound that is played right before it; more than 15 ms of it is not used.
        sound: ``int16`` of shape ``(n,)``.
        min_likeness: As for :func:`shorten`.
        max_period: Samples to insert at most.

    Returns:
        The sound with a period in front, joined to what was before; :obj:`None` if that does not
        continue itself.

    """
    longest = min(max_period, len(before), len(sound))
    if len(sound) < _WINDOW:
        return None
    history = before[-longest:] if longest else before[:0]
    values = np.concatenate((history, sound[: max(longest, _WINDOW)])).astype(np.float32)
    period = _find_period(values, longest, longest, min_likeness, forward=False)
    if period is None:
        return None
    now = values[longest : longest + period]
    return np.concatenate((cross_fade(now, values[longest - period : longest]), sound))


def cross_fade(old: _Values, new: _Values) -> _Samples:
    """Return a fade from one sound to another of the same length, at an even level.

    Two that are alike add up to themselves; of two that are not, half and half have half the
    power, so the middle is raised by as much as they are unlike.
    """
    length = len(old)
    weight = np.arange(1, length + 1, dtype=np.float32) / (length + 1)
    rest = 1.0 - weight
    likeness = max(0.0, _likeness(old, new))
    mixed = old * rest + new * weight
    if likeness < 1.0:
        mixed /= np.sqrt(1.0 - 2.0 * (1.0 - likeness) * weight * rest)
    return np.clip(np.rint(mixed), -32_768, 32_767).astype(np.int16)


def _likeness(one: _Values, other: _Values) -> float:
    """Return the normalized correlation of two sounds, -1 to 1; of silence it is 1."""
    energy = float(one @ one) * float(other @ other)
    return float(one @ other) / energy**0.5 if energy > 0.0 else 1.0


def _find_period(
    values: _Values, anchor: int, longest: int, min_likeness: float, *, forward: bool
) -> int | None:
    """Return after how many samples the sound repeats itself best, if well enough.

    Compares the window at ``anchor`` with those up to ``longest`` after it, or before it.
    """
    shortest = MIN_PERIOD if min_likeness >= 0.0 else min(_QUIET_PERIOD, longest)
    if longest < MIN_PERIOD:
        return None
    values = values - values.mean()
    # Coarse: each value the mean of 12, counted from the anchor.
    start = anchor % _COARSE
    count = (len(values) - start) // _COARSE
    coarse = values[start : start + count * _COARSE].reshape(count, _COARSE).sum(axis=1)
    at, window = anchor // _COARSE, _WINDOW // _COARSE
    low, high = shortest // _COARSE, longest // _COARSE
    lag = _best_lag(coarse, at, window, low, high, forward=forward)[0] * _COARSE
    low, high = max(shortest, lag - _COARSE), min(longest, lag + _COARSE)
    period, likeness = _best_lag(values, anchor, _WINDOW, low, high, forward=forward)
    if likeness <= min_likeness:
        return None
    # The window may be longer than the period; what will be faded has to be alike by itself.
    other = anchor + period if forward else anchor - period
    likeness = _likeness(values[anchor : anchor + period], values[other : other + period])
    return period if likeness > min_likeness else None


def _best_lag(
    values: _Values, anchor: int, window: int, low: int, high: int, *, forward: bool
) -> tuple[int, float]:
    """Return the lag of ``low .. high`` with the highest normalized correlation, and that."""
    template = values[anchor : anchor + window]
    start = anchor + low if forward else anchor - high
    others = values[start : start + window + high - low]
    products = np.correlate(others, template, "valid")
    squares = np.concatenate((np.zeros(1), np.cumsum(others * others, dtype=np.float64)))
    energies = (squares[window:] - squares[:-window]) * float(template @ template)
    likeness = products / np.sqrt(np.maximum(energies, 1.0))
    best = int(likeness.argmax())
    return (low + best if forward else high - best), float(likeness[best])
