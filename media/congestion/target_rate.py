"""Target rate: what the path takes, from everything that the stages before found out.

Additive increase, multiplicative decrease around the measured capacity, as in
draft-ietf-rmcat-gcc-02 §5.5, with three departures:

* On over-use the rate falls far enough to empty the queue within two thirds of a second, not by
  a fixed 15 %, and comes back to just under the measured capacity once the queue is empty.
* A bottleneck that is measured to pass clearly less than we send is over-use at once, without a
  trend to wait for, and whenever it is measured anew.
* A throughput measured behind random loss is scaled up by that loss: it is no sign of a full path.

::

            over-use                       queue empty, or time over
    INCREASE ──────> DRAIN (below capacity) ──────> INCREASE (from 0.92 of capacity)

While the queue is neither empty nor growing the rate is held.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ringline.media.congestion.delay_trend import Usage

__all__ = ["PathState", "RateConfig", "TargetRate"]

_MAX_BETA: Final = 0.85
_MIN_BETA: Final = 0.5
"""Bounds of the decrease against the measured throughput: 0.85 is the draft's beta; at a half the
picture still moves and audio is untouched."""

_BURST_BETA: Final = 0.92
_FITS: Final = 0.97
"""The upper bound where the bottleneck is measured and passes this share of the rate and more: then
it was a burst that queues, a large picture for one, and hardly the rate."""

_COLLAPSE_BETA: Final = 0.3
"""The same while far more is under way than the path has room for: to empty that is then worth
more than the picture, which stands anyway."""

_DRAIN_SECONDS: Final = 0.65
"""Time in which a decrease should empty the queue: at a half of capacity 0.3 s of queue."""

_NEWS: Final = 0.85
"""Share of the rate that a bottleneck must pass less than to be news, which is over-use at once."""

_GREAT_NEWS: Final = 0.6
"""And from which the rate is cut without waiting for what the last cut does, since what comes out
does not depend on what we send.  Beside other flows it does a little."""

_COLLAPSE: Final = 0.5
_COLLAPSE_BACKLOG: Final = 0.3
_COLLAPSE_WAIT: Final = 0.3
"""A cut to less than this share, with more seconds than these under way to the bottleneck: it has
no room for that, usually, and loses it.  It shows within so many seconds of the first cut."""

_GUESS: Final = 0.6
"""A first measurement below this share of the rate that a call started from: what was chosen for
that rate, the picture's size first of all, is wrong."""

_BELOW: Final = 0.9
"""Share of the measured throughput that a rate must be below for the queue to empty."""

_MAX_DRAIN: Final = 2.0
_PROGRESS: Final = 0.7
"""A queue that in two seconds has not shrunk to this share, though we send less than comes out, is
not ours: to go on braking would starve us beside a flow that only backs off on loss."""

_MAX_BRAKING: Final = 6.0
"""Seconds in which the rate may be cut again and again for one queue, for the same reason."""

_SAME_QUEUE: Final = 1.0
"""Seconds after braking that ended by the clock in which it is still the same queue."""

_QUEUE_EMPTY: Final = 0.025
_QUEUE_STANDS: Final = 0.06
"""Seconds of queue below which it counts as empty, and from which the rate is held.  Jitter is
added to both: what is left of it after the minimum filter is of its size."""

_AFTER_DRAIN: Final = 0.92
"""Share of the measured capacity to go on with: the rest is what growth finds out again."""

_GROWTH: Final = 0.08
"""Per second, far from any known capacity; the draft's eta of 1.08 (§5.5)."""

_MIN_GROWTH: Final = 4_000.0
"""Bits per second per second, near it: libwebrtc's floor."""

_FRAME_RATE: Final = 30.0
_MAX_PACKET_BITS: Final = 9_600.0
"""Near capacity the rate grows by half a packet per response time, one of those that pictures at
this rate come in (§5.5)."""

_DETECTION_SECONDS: Final = 0.1
"""Response time is the round trip and the time that over-use needs to show (§5.5)."""

_NEAR: Final = (0.75, 1.3)
"""Rates between these shares of the last measured capacity are near it; above, it is void."""

_OUTGROWN: Final = 1.1
"""Share of the measured capacity from which a rate that meets no queue shows that it was one: more
than measurements of it differ by."""

_HEADROOM: Final = 1.5
"""Growth stops at this much of the acknowledged rate and 10 kbit/s (§5.5): beyond, nothing
confirms the rate."""

_LIMIT_SECONDS: Final = 4.0
"""Seconds for which a probe that did not get through bounds growth: until the next, on a calm path.
A rate that grows while less is sent than it allows is confirmed by nothing else."""

_BELIEVED_QUEUE: Final = 0.02
"""Seconds of queue from which over-use is believed: our own probes and a scheduler's moods make
trends that are gone before a cut would take effect.  Jitter is added to it."""

_QUEUE_FULL: Final = 0.2
"""Seconds of queue that are over-use even if it no longer grows: a full queue cannot."""

_MIN_DECREASE_INTERVAL: Final = 0.1
_MAX_DECREASE_INTERVAL: Final = 1.0
"""Seconds, a round trip in between.  A decrease shows after a round trip; until then a further one
answers old news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConfig:
    """Bounds of the rate, bits per second on the wire for everything on one transport."""

    min_bitrate: int = 20_000
    """Below this not even the thinnest Opus stream fits; we go on all the same."""

    start_bitrate: int = 300_000
    """libwebrtc's start: nearly every path takes it, and probing makes more of it in a second."""

    max_bitrate: int = 2_500_000
    """Twice what 640x360 at 30 frames a second makes good use of, and enough for 720p."""

    def __post_init__(self) -> None:
        """Refuse bounds that are out of order."""
        if not 0 < self.min_bitrate <= self.start_bitrate <= self.max_bitrate:
            raise ValueError(
                "expected 0 < min_bitrate <= start_bitrate <= max_bitrate, got "
                f"{self.min_bitrate}, {self.start_bitrate}, {self.max_bitrate}"
            )


@dataclass(slots=True)
class PathState:
    """What the stages before say at one moment.

    Attributes:
        acknowledged: Bits per second over half a second; :obj:`None` while too little came.
        quick_acknowledged: The same over a fifth of a second.
        bottleneck: What the bottleneck passes of ours, measured behind its queue, or :obj:`None`.
        in_flight: Bits under way and not yet reported on, beyond what a round trip holds.
        inherent_loss: Share lost whatever we do.
        loss_limit: Rate above which more is lost, or :obj:`None`.
        queue_delay: Seconds.
        jitter: Mean step of the delay, seconds.
        round_trip: Seconds.
        application_limited: We send so much less than we may that arrivals confirm nothing.

    """

    usage: Usage
    acknowledged: float | None
    quick_acknowledged: float | None
    bottleneck: float | None
    in_flight: float
    inherent_loss: float
    loss_limit: float | None
    queue_delay: float
    jitter: float
    round_trip: float
    application_limited: bool


class TargetRate:
    """Holds the rate and moves it.

    Attributes:
        bitrate: Bits per second.
        capacity: Last measured capacity while the rate is near it, else :obj:`None`.
        queue_is_foreign: Whether the last update gave up emptying the queue.
        outgrew: Whether the last update brought the rate clearly over the measured capacity, and
            still nothing queues.
        collapsed: Whether the last update found far less capacity than was counted on, and more
            under way than it has room for.
        is_measured: Whether the rate is more than the guess that the call started from.
        was_misguessed: Whether the last update, or probe, found that guess far too high.

    """

    def __init__(self, config: RateConfig, *, now: float) -> None:
        self._config: Final = config
        self.bitrate = float(config.start_bitrate)
        self.capacity: float | None = None
        self._updated_at = now
        self._decreased_at = -1.0
        self._drain_until: float | None = None
        self._drain_to = 0.0
        self._drained_queue = 0.0
        self._empty_at = math.inf
        self._drain_from = 0.0
        self._drained_at = -math.inf  # when braking ended, if it was not for an empty queue
        self._gives_up_at = 0.0
        self.queue_is_foreign = False
        self.outgrew = False
        self.collapsed = False
        self.is_measured = False
        self.was_misguessed = False
        self._probed_limit = (math.inf, -math.inf)  # growth stops there, until then

    @property
    def draining(self) -> bool:
        """Whether the rate is kept low to empty the queue."""
        return self._drain_until is not None

    @property
    def settled_bitrate(self) -> float:
        """Bits per second once the queue is empty; what lasts is to be chosen by this."""
        return max(self.bitrate, self._drain_to) if self.draining else self.bitrate

    def update(self, path: PathState, now: float) -> bool:
        """Move the rate; return whether it was cut."""
        elapsed = min(max(now - self._updated_at, 0.0), 1.0)
        self._updated_at = now
        self.queue_is_foreign = self.collapsed = self.was_misguessed = self.outgrew = False
        if path.loss_limit is not None and path.loss_limit < self.bitrate:
            self.bitrate = self.capacity = path.loss_limit
            self.is_measured = True
            self._clamp()
            return True
        over = (
            path.usage is Usage.OVERUSING
            or path.queue_delay > _QUEUE_FULL + path.jitter
            or self._is_news(path, now)
        )
        if over and self._decrease(path, now):
            return True
        if self._drain_until is not None:
            self._drain(self._drain_until, path, now)
        elif (
            not over
            and path.usage is Usage.NORMAL
            and not path.application_limited
            and path.queue_delay < _QUEUE_STANDS + path.jitter
        ):
            self._increase(path, elapsed, now)
        self._clamp()
        return False

    def handle_probe(
        self, rate: float, path: PathState, now: float, *, limit: float | None = None
    ) -> None:
        """Take a measurement by a probe.

        Args:
            rate: Bits per second that the path is sure to take.
            path: Its state.
            now: The present.
            limit: Bits per second that it seems to take at most, if the probe met that bound.

        """
        self._probed_limit = (math.inf if limit is None else limit, now + _LIMIT_SECONDS)
        first = not self.is_measured
        usable = rate * (_MAX_BETA if path.usage is Usage.OVERUSING else _AFTER_DRAIN)
        if usable > self.bitrate and not self.draining:
            self.bitrate = usable
            if self.capacity is not None and usable > self.capacity * _NEAR[1]:
                self.capacity = None
        elif first and usable < self.bitrate:
            # The start rate was a guess; the first measurement is better.
            self._decreased_at = now
            self._brake(rate, path, now)
        self.is_measured = True
        self._clamp()

    def set_bitrate(self, bitrate: float) -> None:
        """Go on from another rate: the path was silent, or is back."""
        self.bitrate = bitrate
        self.capacity = None
        self._drain_until = None
        self._clamp()

    def _decrease(self, path: PathState, now: float) -> bool:
        is_news = self._is_news(path, now)  # has its own proof of a queue, and sooner
        if not is_news and path.queue_delay < _BELIEVED_QUEUE + path.jitter:
            return False
        interval = min(max(path.round_trip, _MIN_DECREASE_INTERVAL), _MAX_DECREASE_INTERVAL)
        if now - self._decreased_at < interval and not self._is_news(path, now, _GREAT_NEWS):
            return False
        # Behind a standing queue packets come out evenly, so the short window is the better one.
        bottleneck = path.bottleneck if self._is_first_look(now) else None
        measured = bottleneck or path.quick_acknowledged or path.acknowledged or self.bitrate
        throughput = measured / (1 - path.inherent_loss)
        is_below = self.bitrate < _BELOW * throughput or path.application_limited
        if self.draining and is_below and path.queue_delay <= self._drained_queue:
            return False  # it is emptying
        self._decreased_at = now
        before = self.bitrate
        self._brake(throughput, path, now)
        return self.bitrate < before

    def _is_first_look(self, now: float) -> bool:
        """Tell whether a fall is that of the path.

        What comes while we brake already is the doing of others, who take what we leave.
        """
        return not self.draining or now - self._drain_from < _COLLAPSE_WAIT

    def _is_news(self, path: PathState, now: float, share: float = _NEWS) -> bool:
        if path.bottleneck is None or not self._is_first_look(now):
            return False
        return path.bottleneck / (1 - path.inherent_loss) < share * self.bitrate

    def _brake(self, throughput: float, path: PathState, now: float) -> None:
        """Go below a measured throughput, the further the more stands in the queue."""
        beta = 1 - (path.queue_delay - path.jitter) / _DRAIN_SECONDS
        is_burst = path.bottleneck is not None and throughput > _FITS * self.bitrate
        beta = min(max(beta, _MIN_BETA), _BURST_BETA if is_burst else _MAX_BETA)
        backlog = path.in_flight / throughput if path.bottleneck is not None else 0.0
        self.collapsed = (
            self._is_first_look(now)
            and backlog > _COLLAPSE_BACKLOG
            and throughput < _COLLAPSE * self.settled_bitrate
        )
        if self.collapsed:
            beta = _COLLAPSE_BETA
        self.was_misguessed = not self.is_measured and throughput < _GUESS * self.bitrate
        self.is_measured = True
        # Sending less than comes out says nothing about the path but that it takes this much.
        confirmed = throughput if self.draining else min(throughput, self.bitrate)
        self.capacity = throughput
        self.bitrate = min(self.bitrate, throughput * beta)
        self._drain_to = _AFTER_DRAIN * confirmed
        if not self.draining:
            self._drain_from = now
            self._empty_at = math.inf
            if now - self._drained_at > _SAME_QUEUE:
                self._gives_up_at = now + _MAX_BRAKING
        self._drain_until = min(now + _MAX_DRAIN, self._gives_up_at)
        self._drained_queue = path.queue_delay
        self._clamp()
        # Where a round trip is long, to wait for the report of an empty queue leaves it empty for
        # another one.  What is under way and how fast it comes out tell when that will be.
        if self.collapsed and self.bitrate < throughput:
            self._empty_at = now + backlog / (1 - self.bitrate / throughput)

    def _drain(self, until: float, path: PathState, now: float) -> None:
        empty = path.queue_delay < _QUEUE_EMPTY + path.jitter
        # Reports about the time before the cut say nothing about what it did.
        settled = now - self._decreased_at > path.round_trip
        if now >= until:
            if path.queue_delay < _PROGRESS * self._drained_queue:
                self._drained_queue = path.queue_delay
                self._drain_until = now + _MAX_DRAIN
            else:
                self._drain_until = None
                self.queue_is_foreign = True
        elif (empty and settled) or now >= self._empty_at:
            self._drain_until = None
            self._drained_at = -math.inf if empty else now
            self.bitrate = max(self.bitrate, self._drain_to)

    def _increase(self, path: PathState, elapsed: float, now: float) -> None:
        low, high = _NEAR
        if self.capacity is not None and self.bitrate > self.capacity * high:
            self.capacity = None
        if self.capacity is not None and self.bitrate > self.capacity * low:
            response = 2 * (path.round_trip + _DETECTION_SECONDS)
            growth = max(_packet_bits(self.bitrate) / response, _MIN_GROWTH)
        else:
            growth = max(self.bitrate * _GROWTH, _MIN_GROWTH)
        grown = self.bitrate + growth * elapsed
        if path.acknowledged is not None:
            confirmed = path.acknowledged / (1 - path.inherent_loss)
            grown = min(grown, confirmed * _HEADROOM + 10_000)
        limit, until = self._probed_limit
        if now < until:
            grown = min(grown, limit)
        before, self.bitrate = self.bitrate, max(self.bitrate, grown)
        if self.capacity is not None:
            self.outgrew = before <= _OUTGROWN * self.capacity < self.bitrate

    def _clamp(self) -> None:
        low, high = self._config.min_bitrate, self._config.max_bitrate
        self.bitrate = min(max(self.bitrate, low), high)


def _packet_bits(bitrate: float) -> float:
    """Return the size of the packets of pictures at a rate."""
    picture = bitrate / _FRAME_RATE
    return picture / math.ceil(picture / _MAX_PACKET_BITS)
