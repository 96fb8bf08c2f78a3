"""Loss: tells packets lost at random from packets lost because we send too much.

A radio link loses 20 % at any rate; a full queue or a policer loses what is over its capacity, so
there the loss falls when the rate falls.  Backing off helps only against the second, and starves
a call on the first.  So we keep the last observations, each a rate and what was lost at it, and
ask which explains them better:

* *open path*: every packet is lost with probability ``p``, whatever the rate;
* *limited path*: up to a bandwidth ``B`` as above; beyond it the excess is lost too, so that
  ``p(rate) = p + (1 - p) * (1 - B / rate)``.

Only if some ``B`` is clearly likelier does it limit the rate.  This is the loss model of
libwebrtc's loss-based estimator v2 with a plainer search.  Its instant bound of 75 kbit/s divided
by (loss - 5 %), which holds a link that loses 20 % to 500 kbit/s, is left out; instead losses
while the queue stands full are left to the delay-based part, which has seen them coming.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ringline.media.congestion.feedback import ArrivedPacket, FeedbackReport, SentPacket

__all__ = ["LossModel"]

_OBSERVATION_SECONDS: Final = 0.25
"""Shortest observation, libwebrtc's value."""

_OBSERVATION_PACKETS: Final = 20
"""Fewest packets of one; at 150 kbit/s that makes it 0.3 s."""

_OBSERVATIONS: Final = 20
_AGEING: Final = 0.9
"""Weight of an observation against the one after it; both libwebrtc's.  Half of what we know is
about the last two to three seconds."""

_BANDWIDTH_STEPS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.96)
"""Candidates for ``B``, as parts of the highest rate observed."""

_MAX_INHERENT: Final = 0.4
"""No path that loses more than this at any rate can carry a call; more loss is over-use."""

_MIN_LOSS: Final = 0.03
"""Less than this is never a reason to slow down (2 % in the draft's §6; a packet more here)."""

_EVIDENCE: Final = 4.0
"""Log-likelihood by which a limit must beat the open path: odds of 50 to 1."""

_FULL_QUEUE: Final = 0.08
"""Seconds of queue from which losses are put down to its overflow."""

_ROUNDS: Final = 4
"""Steps of the fixed-point search for ``p``; each starts from the last fit, which is near."""


@dataclass(slots=True)
class _Observation:
    rate: float
    packets: float
    lost: float


class LossModel:
    """Watches losses over rates.

    Attributes:
        inherent: Share lost whatever we do, 0.0 to 0.4.
        limit: Rate above which more is lost, or :obj:`None` if the path looks open.

    """

    def __init__(self) -> None:
        self.inherent = 0.0
        self.limit: float | None = None
        self._observations: Final[deque[_Observation]] = deque(maxlen=_OBSERVATIONS)
        self._recent: Final[deque[tuple[int, int]]] = deque(maxlen=8)  # (packets, lost)
        self._packets = 0
        self._lost = 0
        self._bytes = 0
        self._first_sent: float | None = None
        self._last_sent = 0.0
        self._queue = 0.0

    @property
    def fraction(self) -> float:
        """Share lost of late (2 to 4 s), whatever the cause, 0.0 to 1.0."""
        packets = sum(packets for packets, _ in self._recent)
        return sum(lost for _, lost in self._recent) / packets if packets else 0.0

    def handle_report(self, report: FeedbackReport, queue_delay: float) -> bool:
        """Take the results of one report.

        Args:
            report: From :class:`~ringline.media.congestion.feedback.SendLog`.
            queue_delay: Seconds, at the same time.

        Returns:
            Whether this completed an observation, so that ``inherent`` and ``limit`` are new.

        """
        seen: list[ArrivedPacket | SentPacket] = [*report.arrived, *report.lost]
        for packet in seen:
            if self._first_sent is None or packet.sent_at < self._first_sent:
                self._first_sent = packet.sent_at
            self._last_sent = max(self._last_sent, packet.sent_at)
            self._bytes += packet.size
        self._packets += len(report.arrived) + len(report.lost)
        self._lost += len(report.lost)
        self._queue = max(self._queue, queue_delay)
        if self._first_sent is None or self._packets < _OBSERVATION_PACKETS:
            return False
        span = self._last_sent - self._first_sent
        if span < _OBSERVATION_SECONDS:
            return False
        self._recent.append((self._packets, self._lost))
        if not (self._lost and self._queue > _FULL_QUEUE):
            rate = self._bytes * 8 / span
            self._observations.append(_Observation(rate, self._packets, self._lost))
        self._start_observation()
        self._fit()
        return True

    def discard_observation(self) -> None:
        """Forget the losses since the last observation: the path was gone, not full."""
        self._start_observation()

    def _start_observation(self) -> None:
        self._packets = self._lost = self._bytes = 0
        self._first_sent = None
        self._last_sent = self._queue = 0.0

    def _fit(self) -> None:
        seen = [
            _Observation(one.rate, one.packets * weight, one.lost * weight)
            for one, weight in zip(
                self._observations, _weights(len(self._observations)), strict=True
            )
        ]
        packets = sum(one.packets for one in seen)
        if not packets:
            return
        lost = sum(one.lost for one in seen)
        if lost / packets < _MIN_LOSS:
            self.limit, self.inherent = None, lost / packets
            return
        self.inherent = min(lost / packets, _MAX_INHERENT)
        best = _likelihood(seen, self.inherent, None) + _EVIDENCE
        self.limit = None
        highest = max(one.rate for one in seen)
        start = self.inherent
        for step in _BANDWIDTH_STEPS:
            bandwidth = highest * step
            inherent = _inherent(seen, bandwidth, start)
            likelihood = _likelihood(seen, inherent, bandwidth)
            if likelihood > best:
                best, self.limit, self.inherent = likelihood, bandwidth, inherent


def _weights(count: int) -> list[float]:
    return [_AGEING ** (count - 1 - index) for index in range(count)]


def _excess(rate: float, bandwidth: float | None) -> float:
    """Return the share of packets that are over the bandwidth."""
    return 0.0 if bandwidth is None or rate <= bandwidth else 1 - bandwidth / rate


def _inherent(seen: Sequence[_Observation], bandwidth: float, start: float) -> float:
    """Return the inherent loss that fits best beside a bandwidth.

    Expectation-maximization: each round puts down to chance the share of the losses that the
    last estimate explains.
    """
    inherent = start
    packets = sum(one.packets for one in seen)
    for _ in range(_ROUNDS):
        by_chance = 0.0
        for one in seen:
            probability = inherent + (1 - inherent) * _excess(one.rate, bandwidth)
            if probability > 0:
                by_chance += one.lost * inherent / probability
        inherent = min(by_chance / packets, _MAX_INHERENT)
    return inherent


def _likelihood(seen: Sequence[_Observation], inherent: float, bandwidth: float | None) -> float:
    total = 0.0
    for one in seen:
        probability = inherent + (1 - inherent) * _excess(one.rate, bandwidth)
        probability = min(max(probability, 0.001), 0.999)
        total += one.lost * math.log(probability)
        total += (one.packets - one.lost) * math.log(1 - probability)
    return total
