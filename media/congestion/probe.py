"""Probe: finds out quickly that the path takes more, by sending a few packets faster for a moment.

A *cluster* is a handful of packets that leave at a rate above the target, filled up with padding
or with copies of packets already sent.  What comes out at the other end, and how fast, is a
measurement of the path that costs some milliseconds of queue; waiting for additive increase would
cost many seconds.  libwebrtc probes at 3 and 6 times the start rate and then doubles while a
result reaches 0.7 of what was tried; here one cluster is out at a time, so that a thin path gets
one surplus, not two, and it is the second of them.

::

    idle ──poll_cluster──> out ──results complete──> idle, next at once (success)
      ^                     │                        idle, next after a pause (failure)
      ├──── no result ──────┤
      └─ its report lost ───┘  once more at once, a few times
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ringline.media.congestion.feedback import ArrivedPacket, SentPacket

__all__ = ["ProbeCluster", "ProbePlanner"]

_START_FACTOR: Final = 6.0
"""First cluster against the start rate: libwebrtc's second.  The first picture leaves within this
cluster, and at libwebrtc's first factor of 3 a person would wait for it 20 ms longer."""

_FACTOR: Final = 2.0
"""Every later one against the target."""

_SUCCESS: Final = 0.7
"""Share of the tried rate that must come out for the next to follow at once; libwebrtc's."""

_EXPECTED_FACTOR: Final = 1.25
"""First cluster against what the network is known to take: over it by what a measurement misses,
and success, which finds out more, is 0.7 of it."""

_DURATION: Final = 0.02
"""Seconds of a cluster: libwebrtc's 15 ms and a frame interval of slack between its packets."""

_JITTER_DURATION: Final = 4.0
"""Seconds more per second of mean jitter, so that noise does not pass for bandwidth."""

_MAX_DURATION: Final = 0.1
_MIN_PACKETS: Final = 6
"""One more than libwebrtc's five: the first only opens the span."""

_USABLE_SHARE: Final = 0.6
"""Share of the packets that must arrive.  libwebrtc wants 80 %; with 20 % random loss that would
throw away every other cluster."""

_MAX_SPEED_UP: Final = 2.0
"""Packets cannot come out more than this much faster than they left, but after a stall that let
them all go at once: such a result says nothing (libwebrtc's valid ratio)."""

_SQUEEZED: Final = 0.85
"""Share of the rate at which a cluster left below which it came out of a bottleneck.  Above, it is
our own timers that limit it, and nothing is known of the path."""

_USEFUL: Final = 0.9
"""Share of the ceiling from which growth gets there soon enough by itself."""

_RESULT_WAIT: Final = 1.0
"""Seconds until a cluster without result is given up; libwebrtc's."""

_RETRIES: Final = 3
"""Clusters in a row of which the report was lost, that are tried again without a pause.  Where
30 % of the reports are lost, one in 40 clusters has that many; each is a surplus for the path."""

_FIRST_PAUSE: Final = 1.0
_MAX_PAUSE: Final = 3.0
"""Pauses between clusters in seconds: doubling after each failure.  Three, so that a path that
widens again is found within it."""

_MAX_KNOWN_PAUSE: Final = 24.0
"""Where clusters come out of the same bottleneck again and again.  Each fills its queue, by up to
0.1 s at 150 kbit/s, which sound then waits for; the path that widens is told by other signs."""

_CLEAR: Final = 0.25
"""Jitter, as a share of the time in which a cluster came out, up to which that is a measurement."""

_SAME_LIMIT: Final = 0.25
"""Share by which two measurements of one bottleneck differ at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCluster:
    """An order to the pacer.

    Attributes:
        number: Names the cluster in the send log.
        bitrate: At which its packets leave, bits per second.
        size: Bytes that it takes at least.
        packets: Packets that it takes at least.

    """

    number: int
    bitrate: int
    size: int
    packets: int


class ProbePlanner:
    """Decides when to probe and reads the results.

    Attributes:
        limit: Bits per second at which the last cluster came out of a bottleneck that was too
            narrow for it; :obj:`None` if it passed, or nothing is known.

    """

    def __init__(self) -> None:
        self.limit: float | None = None
        self._next_number = 0
        self._out: ProbeCluster | None = None
        self._arrived: Final[list[ArrivedPacket]] = []
        self._lost: Final[list[SentPacket]] = []
        self._last_number: int | None = None  # of its packets, once the last one has left
        self._left = 0  # packets
        self._left_size = 0
        self._retries = 0
        self._gives_up_at = 0.0
        self._next_at: float | None = None
        self._ended_at = -math.inf  # the last one's result
        self._known_limit: float | None = None  # which the last ones met
        self._pause = _FIRST_PAUSE
        self._tried_any = False
        self._jitter = 0.0  # when the cluster left
        self._expected: float | None = None

    def expect(self, bitrate: float) -> None:
        """Let the first cluster try a rate that is known of this network, rather than a guess."""
        self._expected = bitrate

    def start(self, now: float) -> None:
        """Begin: the path is there, or there again, and nothing better is known of it."""
        self._next_at = now
        self._pause = _FIRST_PAUSE
        self._out = None
        self.limit = self._known_limit = None

    def hurry(self, now: float) -> None:
        """Note a sign that the path takes more than the last clusters found."""
        self._known_limit = None
        self._pause = min(self._pause, _MAX_PAUSE)
        if self._next_at is not None:
            self._next_at = min(self._next_at, max(now, self._ended_at + _MAX_PAUSE))

    def handle_decrease(self, now: float) -> None:
        """Note that the rate was cut: what is out is void, and the next waits for calm."""
        self._out = None
        if self._next_at is not None:
            self._next_at = max(self._next_at, now + min(self._pause, _MAX_PAUSE))

    def is_due(self, now: float, *, target: float, ceiling: float) -> bool:
        """Tell whether :meth:`poll_cluster` has anything to decide; if not, it need not be asked.

        Args:
            now: The present.
            target: Rate in force.
            ceiling: Rate beyond which nobody has a use for more.

        """
        if self._out is not None:
            return now >= self._gives_up_at
        return self._next_at is not None and now >= self._next_at and target < _USEFUL * ceiling

    def poll_cluster(
        self, now: float, *, target: float, ceiling: float, calm: bool, jitter: float
    ) -> ProbeCluster | None:
        """Return a cluster to send now, if it is time for one.

        Args:
            now: The present.
            target: Rate in force.
            ceiling: Rate beyond which nobody has a use for more.
            calm: Whether the path shows neither a queue nor over-use.
            jitter: Mean step of the delay, seconds.

        """
        if not self.is_due(now, target=target, ceiling=ceiling):
            return None
        if self._out is not None:
            self._fail(now)
            return None
        if not calm:
            return None
        factor = _FACTOR if self._tried_any else _START_FACTOR
        self._tried_any = True
        # A little over what is wanted: the result is what comes out, which never is all of it.
        bitrate = min(target * factor, ceiling * 1.1)
        if self._expected is not None:
            bitrate = min(bitrate, max(self._expected * _EXPECTED_FACTOR, target * _FACTOR))
            self._expected = None
        duration = min(_DURATION + _JITTER_DURATION * jitter, _MAX_DURATION)
        self._out = ProbeCluster(
            number=self._next_number,
            bitrate=int(bitrate),
            size=int(bitrate * duration / 8),
            packets=_MIN_PACKETS,
        )
        self._next_number += 1
        self._arrived.clear()
        self._lost.clear()
        self._last_number = None
        self._left = self._left_size = 0
        self._gives_up_at = now + _RESULT_WAIT
        self._jitter = jitter
        return self._out

    def handle_sent(self, packet: SentPacket) -> None:
        """Take a departure of a packet that belongs to a cluster."""
        if self._out is None or packet.probe != self._out.number:
            return
        self._left += 1
        self._left_size += packet.size
        if self._left >= self._out.packets and self._left_size >= self._out.size:
            self._last_number = packet.number

    def handle_results(
        self,
        arrived: Sequence[ArrivedPacket],
        lost: Sequence[SentPacket],
        now: float,
        *,
        report_lost: bool = False,
    ) -> float | None:
        """Take what became of packets; return the measured rate when a cluster is complete.

        Args:
            arrived: That arrived, by this report.
            lost: That are lost, by this report.
            now: The present.
            report_lost: Whether a report before this one never came.

        """
        cluster = self._out
        if cluster is None:
            return None
        self._arrived.extend(packet for packet in arrived if packet.probe == cluster.number)
        self._lost.extend(packet for packet in lost if packet.probe == cluster.number)
        seen: list[ArrivedPacket | SentPacket] = [*self._arrived, *self._lost]
        size = sum(packet.size for packet in seen)
        if len(seen) < cluster.packets or size < cluster.size:
            if not (report_lost and self._is_behind(arrived)):
                return None
            # No later report will tell the rest.  What is known may do.
            if _Span.of(self._arrived, self._left) is None:
                self._try_again(now)
                return None
        self._retries = 0
        span = _Span.of(self._arrived, len(seen))
        rate = None if span is None else span.rate(self._jitter)
        self._out = None
        self.limit = None
        if span is None or rate is None or rate < _SUCCESS * cluster.bitrate:
            limit = None
            if span is not None and span.arrival_rate < _SQUEEZED * span.sent_rate:
                self.limit = span.most(self._jitter)
                if self._jitter < _CLEAR * span.seconds:
                    limit = span.arrival_rate
            self._fail(now, limit)
        else:
            self._pause = _FIRST_PAUSE
            self._next_at = now
        return rate

    def _is_behind(self, arrived: Sequence[ArrivedPacket]) -> bool:
        """Tell whether a report is about what left after the whole cluster."""
        last = self._last_number
        return last is not None and any(packet.number > last for packet in arrived)

    def _try_again(self, now: float) -> None:
        """Do without the result of a cluster, which is nobody's failure."""
        self._retries += 1
        if self._retries > _RETRIES:
            self._retries = 0
            self._fail(now)
        else:
            self._out = None
            self._next_at = now

    def _fail(self, now: float, limit: float | None = None) -> None:
        """Pause, the longer the more clusters met the same limit, in bits per second."""
        known, self._known_limit = self._known_limit, limit
        is_same = known is not None and limit is not None and _are_close(known, limit)
        self._out = None
        self._ended_at = now
        self._pause = min(self._pause, _MAX_KNOWN_PAUSE if is_same else _MAX_PAUSE)
        self._next_at = now + self._pause
        self._pause = self._pause * 2


def _are_close(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME_LIMIT * max(one, other)


@dataclass(slots=True)
class _Span:
    """How a cluster left and came out.

    Attributes:
        arrived_bits: That came after the first packet, which only opens the span.
        seconds: In which they came.
        sent_rate: At which they left, bits per second.

    """

    arrived_bits: int
    seconds: float
    sent_rate: float

    @classmethod
    def of(cls, arrived: Sequence[ArrivedPacket], sent: int) -> _Span | None:
        """Return it for what arrived of so many packets; :obj:`None` if it cannot be told."""
        if len(arrived) < max(_USABLE_SHARE * sent, 3):
            return None
        total = sum(packet.size for packet in arrived)
        by_departure = sorted(arrived, key=lambda packet: packet.sent_at)
        by_arrival = sorted(arrived, key=lambda packet: packet.arrived_at)
        sent_span = by_departure[-1].sent_at - by_departure[0].sent_at
        arrival_span = by_arrival[-1].arrived_at - by_arrival[0].arrived_at
        if sent_span <= 0 or arrival_span <= 0:
            return None
        # Departures are spaced by the packet before each, arrivals by the packet itself.
        sent_rate = (total - by_departure[-1].size) * 8 / sent_span
        span = cls((total - by_arrival[0].size) * 8, arrival_span, sent_rate)
        return span if span.arrival_rate <= _MAX_SPEED_UP * sent_rate else None

    @property
    def arrival_rate(self) -> float:
        """At which they came out, bits per second."""
        return self.arrived_bits / self.seconds

    def most(self, jitter: float) -> float:
        """Return the rate that the path may take at most: the other end of the doubt."""
        return self.arrived_bits / max(self.seconds - 2 * jitter, self.seconds / 8)

    def rate(self, jitter: float) -> float:
        """Return the rate that the path is sure to take, in bits per second.

        Either end of the span may be off by the jitter, and to take a lucky span for bandwidth
        costs more than to miss some, so it is added.
        """
        return min(self.sent_rate, self.arrived_bits / (self.seconds + 2 * jitter))
