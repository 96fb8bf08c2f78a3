"""Loss bursts: how much of a transport is lost of late, and how many packets in a row.

What forward error correction has to be dimensioned by: the same share lost one by one, or as
whole pictures, asks for quite different protection.  The two numbers are those of the two-state
chain that Gilbert put behind bursts: the share of packets lost, and the mean length of a run.

Runs are counted by transport-wide numbers, so over all streams in the order of sending: the packets
of a picture leave together.  For sound, whose packets are far apart, see :mod:`.loss_pattern`.
"""

from __future__ import annotations

import math
from typing import Final

from ringline.media.congestion.feedback import FeedbackReport

__all__ = ["LossBursts"]

_MEMORY: Final = 6.0
"""Seconds after which a packet weighs a third.  At 30 packets a second 20 % of loss are then
36 packets, in 10 bursts or more."""

_QUICK_MEMORY: Final = 1.0
"""The same for noticing that a path has turned bad: protection that comes late is a freeze."""

_DOUBT: Final = 1.0
"""Standard deviations by which the quick share must exceed the slow one to be believed."""

_MIN_PACKETS: Final = 10.0
"""Packets below which nothing is said."""

_ASSUMED_PACKETS: Final = 100.0
_ASSUMED_LOST: Final = 1.0
"""What a path is taken to have done before anything is known of it, where caution is called for.
The first loss comes before protection that waits for it; one of a hundred costs a call without
losses a little of the rate until it has had as many packets."""

_CERTAIN_RUNS: Final = 2.0
"""Runs seen that weigh as much as the assumption that packets are lost one by one."""


class LossBursts:
    """Watches losses of one transport."""

    def __init__(self) -> None:
        self._packets = 0.0
        self._lost = 0.0
        self._runs = 0.0
        self._assumed = 1.0  # weight of the assumption
        self._quick_packets = 0.0
        self._quick_lost = 0.0
        self._last_lost: int | None = None
        self._updated_at: float | None = None

    @property
    def loss(self) -> float:
        """Share of packets lost, 0.0 to 1.0: of seconds, or of the last one if that is worse."""
        if self._packets < _MIN_PACKETS:
            return 0.0
        share = self._lost / self._packets
        if self._quick_packets < _MIN_PACKETS:
            return share
        quick = self._quick_lost / self._quick_packets
        deviation = math.sqrt(quick * (1.0 - quick) * self.burst / self._quick_packets)
        return max(share, quick - _DOUBT * deviation)

    @property
    def cautious_loss(self) -> float:
        """The same, but one packet of a hundred is lost until the path has shown otherwise."""
        packets = self._packets + self._assumed * _ASSUMED_PACKETS
        return max(self.loss, (self._lost + self._assumed * _ASSUMED_LOST) / packets)

    @property
    def burst(self) -> float:
        """Packets lost in a row, the mean of all runs: 1.0 or more."""
        return (self._lost + _CERTAIN_RUNS) / (self._runs + _CERTAIN_RUNS)

    def handle_report(self, report: FeedbackReport, now: float) -> None:
        """Take the results of one report."""
        self._forget(now)
        count = len(report.arrived) + len(report.lost)
        self._packets += count
        self._quick_packets += count
        self._lost += len(report.lost)
        self._quick_lost += len(report.lost)
        for packet in report.lost:
            if self._last_lost is None or packet.number != self._last_lost + 1:
                self._runs += 1.0
            self._last_lost = packet.number

    def _forget(self, now: float) -> None:
        if self._updated_at is not None:
            elapsed = max(0.0, now - self._updated_at)
            keep, quick = math.exp(-elapsed / _MEMORY), math.exp(-elapsed / _QUICK_MEMORY)
            self._packets *= keep
            self._lost *= keep
            self._runs *= keep
            self._assumed *= keep
            self._quick_packets *= quick
            self._quick_lost *= quick
        self._updated_at = now
