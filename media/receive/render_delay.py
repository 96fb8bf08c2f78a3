"""Render delay: how long is it worth to hold every picture, so that repairs are not seen?

A repaired picture comes a round trip late, and all behind it wait for it.  Held back by as much,
no picture would ever be missed; but then each is as late as the latest, and latency counts for
more than evenness.  So each delay has a price, by the pictures of the last seconds::

    mean lateness at which they would have been shown + freeze_price * share of time frozen

and the cheapest is taken.  Rare losses thereby cost a short stop each, frequent ones a delay, and
where pictures are late anyway to wait for them costs little.

A picture may come ``hidden`` late without a freeze as webrtc-stats counts it (a distance of three
times the usual one, or of that and 150 ms).  And since the renderer spreads what it holds over
the wait (:mod:`.render`), each picture held covers as much again: a delay of two pictures hides a
repair of 300 ms.

Invariants:

1. The delay stays within ``0 .. max_delay``, and is 0 where nothing is late.
2. It changes by at most ``slew`` seconds a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["RenderDelay", "RenderDelayConfig"]

_BIN: Final = 0.01
_BINS: Final = 160  # up to 1.6 s, longer than any repair is waited for
_MIDDLES: Final = np.arange(_BINS) + 0.5

_Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderDelayConfig:
    """How a :class:`RenderDelay` behaves."""

    freeze_price: float = 2.0
    """Seconds of latency that freezing all the time would be worth.  One percent of the time
    frozen is then as bad as 20 ms more delay.  From 1 to 4 the choice hardly differs: a delay
    that holds one picture more makes freezes rare at once, or not at all."""

    forgiven: float = 1.0
    """Stops that have no price: one tells nothing of the next."""

    dead_zone: float = 0.02
    """Seconds of lateness that are let go: pictures of different sizes take different times, and
    half a frame of unevenness is not seen."""

    max_delay: float = 0.25
    """Bound in seconds.  With the path's own time, more is no conversation."""

    max_round_trips: float = 1.5
    """The same in round trips, where that is shorter: more would help only pictures whose repair
    was lost as well, and make all others late for them."""

    min_bound: float = 0.1
    """Seconds to which that bound may fall: jitter does not go by round trips."""

    memory: float = 15.0
    """Seconds after which an observation weighs a third: a few losses make a delay, and it goes
    some tens of seconds after the last of them."""

    decide_every: float = 0.25
    """Seconds between decisions."""

    slew: float = 0.1
    """Seconds by which the delay changes in a second (libwebrtc's bound): at a tenth faster or
    slower nobody sees that time is stretched."""

    hidden: float = 0.14
    """Seconds by which a picture may come late before that is a freeze, just short of the 150 ms
    that make one; at less than 13 pictures a second twice the usual distance."""

    spread: float = 0.12
    """Seconds likewise for each picture that is held: :attr:`RenderConfig.max_stretch` less the
    distance at 30 pictures a second."""

    notice: float = 0.01
    """Seconds from a picture's usual time until its loss is noticed: at once by its own packets,
    or within 20 ms by the sound that passes it."""


class RenderDelay:
    """Chooses the delay of one stream.

    Args:
        config: Tuning.

    Attributes:
        delay: Seconds by which the fastest pictures are to be held.

    """

    def __init__(self, config: RenderDelayConfig | None = None) -> None:
        self._config: Final = config or RenderDelayConfig()
        self._bound = self._config.max_delay
        self.delay = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget what was observed; the delay stays, the path is the same."""
        self._wanted = self.delay
        self._pictures = np.zeros(_BINS)  # by lateness at which they could be shown
        self._timely = np.zeros(_BINS)  # of these, those that neither waited nor were waited for
        self._stops = np.zeros(_BINS)  # of these, those that were waited for
        self._last_late = 0.0
        self._seconds = 0.0  # observed, as far as remembered
        self._decided_at: float | None = None
        self._moved_at: float | None = None

    def handle_round_trip(self, round_trip: float) -> None:
        """Take a new measurement, in seconds."""
        config = self._config
        bound = max(config.min_bound, config.max_round_trips * round_trip)
        self._bound = min(bound, config.max_delay)

    def handle_picture(self, late: float, now: float, *, waited_for: bool) -> None:
        """Take a picture that could be shown at ``now``.

        Args:
            late: Seconds after the fastest would have come.
            now: The present.
            waited_for: It was not held up by one before it.

        """
        index = min(max(int(late / _BIN), 0), _BINS - 1)
        self._pictures[index] += 1.0
        # A queue that grows makes each picture a little later than the one before, and none stops.
        if late - self._last_late > self._config.hidden / 2:
            self._stops[index] += 1.0
        elif waited_for:
            self._timely[index] += 1.0
        self._last_late = late
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
        count = float(self._pictures.cumsum()[-1])
        period = self._seconds / count
        # Until more was seen, what came before is taken to have been fine.
        seconds = max(self._seconds, 0.7 * config.memory)
        # Sums from the top: so each candidate costs one step.
        last = min(int(self._bound / _BIN), _BINS - 1)
        stops, stop_seconds = self._tails(self._stops)
        timely = self._tails(self._timely)[0]
        usual = _BIN * next(index for index in range(_BINS) if timely[index + 1] <= timely[0] / 2)
        pictures, picture_seconds = self._tails(self._pictures)
        best, best_price = 0.0, float("inf")
        for index in range(last + 1):
            delay = index * _BIN
            shown_late = delay * (count - pictures[index]) + picture_seconds[index]
            uncovered = min(int(self._covered(delay, usual, period) / _BIN), _BINS)
            frozen = stop_seconds[uncovered] - stops[uncovered] * (delay - period)
            frozen *= max(0.0, 1.0 - config.forgiven / max(stops[uncovered], 1e-9))
            price = shown_late / count + config.freeze_price * frozen / seconds
            if price < best_price - 1e-9:
                best, best_price = delay, price
        return best if best > config.dead_zone else 0.0

    def _covered(self, delay: float, usual: float, period: float) -> float:
        """Return the longest lateness that makes no freeze at a delay."""
        config = self._config
        hidden = max(config.hidden, 2 * period - 0.01)
        held = int(max(0.0, delay - usual - config.notice) / period)
        return max(delay, usual) + hidden + config.spread * held

    def _tails(self, weights: _Weights) -> tuple[list[float], list[float]]:
        """Return for each bin how many, and how many seconds together, are in it or above."""
        tails = np.zeros((2, _BINS + 1))
        tails[0, :-1] = weights[::-1].cumsum()[::-1]
        tails[1, :-1] = (weights * _MIDDLES * _BIN)[::-1].cumsum()[::-1]
        counts, sums = tails.tolist()
        return counts, sums

    def _forget(self, elapsed: float) -> None:
        keep = max(0.0, 1.0 - elapsed / self._config.memory)
        self._pictures *= keep
        self._timely *= keep
        self._stops *= keep
        self._seconds *= keep
