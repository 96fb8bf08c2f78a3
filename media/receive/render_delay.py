"""Render delay: how long is it worth to hold every picture, so that repairs are not seen?

A repaired picture comes a round trip late, and all behind it wait for it.  Held back by as much,
no picture would ever be missed; but then each is as late as the latest, and latency counts for
more than evenness.  So a delay is priced, by the pictures of the last seconds:

``mean lateness at which pictures would be shown + freeze_price * share of time frozen``

and the cheapest delay is taken.  Rare losses thereby cost a short stop each, frequent ones a
delay, and where pictures are late anyway waiting for them costs little.

A stop is no freeze yet when a picture comes ``tolerance`` late: that is below what webrtc-stats
counts as one (three times the usual distance, and the usual distance and 150 ms).  And where the
renderer knows of the loss in time, it spreads what it still holds over the wait
(:mod:`.render`), so that each picture held covers as much again.  A delay of two pictures thus
hides a repair of 250 ms.

Invariants:

1. The delay stays within ``0 .. max_delay``, and is 0 where nothing is late.
2. It changes by at most ``slew`` seconds a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["RenderDelay", "RenderDelayConfig"]

_BIN: Final = 0.01
_BINS: Final = 160  # up to 1.6 s, longer than any repair is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderDelayConfig:
    """How a :class:`RenderDelay` behaves."""

    freeze_price: float = 1.0
    """Seconds of latency that freezing all the time would be worth.  One percent of the time
    frozen is then as bad as 40 ms more delay."""

    dead_zone: float = 0.02
    """Seconds of lateness that are let go: pictures of different sizes take different times, and
    half a frame of unevenness is not seen."""

    max_delay: float = 0.25
    """Bound in seconds.  With the path's own time, more is no conversation."""

    memory: float = 10.0
    """Seconds after which an observation weighs a third: a few losses make a delay, and it goes
    some tens of seconds after the last of them."""

    decide_every: float = 0.25
    """Seconds between decisions."""

    slew: float = 0.1
    """Seconds by which the delay changes in a second (libwebrtc's bound): at a tenth faster or
    slower nobody sees that time is stretched."""

    hidden: float = 0.12
    """Seconds by which a picture may come late before that is a freeze, with a margin of 40 ms;
    at less than 20 pictures a second twice the usual distance less that margin."""

    notice: float = 0.01
    """Seconds from a picture's usual time until its loss is noticed: half by its own packets, half
    by the sound that passes it."""


class RenderDelay:
    """Chooses the delay of one stream.

    Args:
        config: Tuning.

    Attributes:
        delay: Seconds by which the fastest pictures are to be held.

    """

    def __init__(self, config: RenderDelayConfig | None = None) -> None:
        self._config: Final = config or RenderDelayConfig()
        self.delay = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget what was observed; the delay stays, the path is the same."""
        self._wanted = self.delay
        self._pictures = [0.0] * _BINS  # by lateness at which they could be shown
        self._stops = [0.0] * _BINS  # by lateness of the picture that was waited for
        self._seconds = 0.0  # observed, as far as remembered
        self._decided_at: float | None = None
        self._moved_at: float | None = None

    def handle_picture(self, late: float, now: float, *, waited_for: bool) -> None:
        """Take a picture that could be shown at ``now``.

        Args:
            late: Seconds after the fastest would have come.
            now: The present.
            waited_for: It was itself late, not held up by one before it.

        """
        index = min(max(int(late / _BIN), 0), _BINS - 1)
        self._pictures[index] += 1.0
        if waited_for:
            self._stops[index] += 1.0
        if self._decided_at is None:
            self._decided_at = now
        elapsed = now - self._decided_at
        if elapsed >= self._config.decide_every:
            self._decided_at = now
            self._seconds += elapsed
            self._wanted = self._cheapest()
            self._forget(elapsed)

    def advance(self, now: float) -> float:
        """Move the delay to what is wanted, as far as time has passed, and return it."""
        if self._moved_at is not None:
            step = self._config.slew * min(max(0.0, now - self._moved_at), 1.0)
            self.delay += min(max(self._wanted - self.delay, -step), step)
        self._moved_at = now
        return self.delay

    def _cheapest(self) -> float:
        config = self._config
        count = sum(self._pictures)
        period = self._seconds / count
        # Until more was seen, what came before is taken to have been fine.
        seconds = max(self._seconds, 0.7 * config.memory)
        # Sums from the top: so each candidate costs one step.
        last = min(int(config.max_delay / _BIN), _BINS - 1)
        stops, stop_seconds = self._tails(self._stops)
        half = stops[0] / 2
        usual = _BIN * next(index for index in range(_BINS) if stops[index + 1] <= half)
        pictures, picture_seconds = self._tails(self._pictures)
        best, best_price = 0.0, float("inf")
        for index in range(last + 1):
            delay = index * _BIN
            shown_late = delay * (count - pictures[index]) + picture_seconds[index]
            uncovered = min(int(self._covered(delay, usual, period) / _BIN), _BINS)
            frozen = stop_seconds[uncovered] - stops[uncovered] * (delay - period)
            price = shown_late / count + config.freeze_price * frozen / seconds
            if price < best_price - 1e-9:
                best, best_price = delay, price
        return best if best > config.dead_zone else 0.0

    def _covered(self, delay: float, usual: float, period: float) -> float:
        """Return the longest lateness that makes no freeze at a delay."""
        hidden = max(self._config.hidden, 2 * period - 0.04)
        held = int(max(0.0, delay - usual - self._config.notice) / period)
        return delay + hidden * (1 + held)

    def _tails(self, weights: list[float]) -> tuple[list[float], list[float]]:
        """Return for each bin how many, and how many seconds together, are in it or above."""
        count = seconds = 0.0
        counts, sums = [0.0], [0.0]
        for index in range(_BINS - 1, -1, -1):
            count += weights[index]
            seconds += weights[index] * (index + 0.5) * _BIN
            counts.append(count)
            sums.append(seconds)
        counts.reverse()
        sums.reverse()
        return counts, sums

    def _forget(self, elapsed: float) -> None:
        keep = max(0.0, 1.0 - elapsed / self._config.memory)
        self._pictures = [weight * keep for weight in self._pictures]
        self._stops = [weight * keep for weight in self._stops]
        self._seconds *= keep
