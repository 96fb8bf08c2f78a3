"""Link: one direction of a network, sans I/O.

::

    handle_datagram -> lost? -> queue -> bottleneck -> delay, jitter -> twice? -> poll_datagram

A link is a time machine of known faults: what comes out is what went in, later, or never.  All
chance is drawn from one generator given by the caller, so a seed repeats a run exactly.

Invariants:

1. Without ``reorder`` datagrams leave in the order they came.
2. The bottleneck never passes more than its rate: what it passes in any second, headers
   included, is at most one second of the rate and one datagram.
3. What waits before the bottleneck is bounded by the queue.
4. Every datagram is counted once as lost, dropped, waiting or delivered; copies apart.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ringline.media.simulate.profile import LinkConditions, LinkProfile

__all__ = ["Link", "LinkStats"]

Tag = TypeVar("Tag")


@dataclass(slots=True)
class LinkStats:
    """What has happened to datagrams so far.

    Attributes:
        handled: That came.
        lost: That the link lost at random or in a burst.
        dropped: That found the queue full.
        delivered: That went out, copies included.
        duplicated: Copies made.
        bytes_handled: Of all that came, headers included.
        bytes_delivered: Of all that went out, headers included.

    """

    handled: int = 0
    lost: int = 0
    dropped: int = 0
    delivered: int = 0
    duplicated: int = 0
    bytes_handled: int = 0
    bytes_delivered: int = 0


class Link(Generic[Tag]):
    """One direction of a network.

    Args:
        profile: What it does, and when.
        rng: The only source of chance.
        started_at: When the profile's time is 0, on the caller's clock.
        overhead: Bytes that each datagram takes on the wire beside its own: the headers of IPv4
            and UDP by default.

    """

    def __init__(
        self,
        profile: LinkProfile,
        *,
        rng: random.Random,
        started_at: float = 0.0,
        overhead: int = 28,
    ) -> None:
        self._profile = profile
        self._rng: Final = rng
        self._started_at = started_at
        self._overhead: Final = overhead
        self._is_bad = False  # the state of Gilbert and Elliott
        self._queue: Final[deque[tuple[bytes, Tag | None, float]]] = deque()  # with their arrival
        self._queued_bytes = 0
        self._free_at = started_at  # when the bottleneck has passed what it was given
        self._last_due = started_at  # of those that keep their order
        self._serial = 0  # keeps the order of those due at the same time
        self._flying: Final[list[tuple[float, int, bytes, Tag | None]]] = []
        self.stats: Final = LinkStats()

    # Inputs

    def handle_datagram(self, data: bytes, now: float, tag: Tag | None = None) -> None:
        """Put a datagram on the link.

        Args:
            data: It.
            now: The present.
            tag: Comes out with it: where it is to go, for one.

        """
        self._advance(now)
        conditions = self._profile.at(now - self._started_at)
        size = len(data) + self._overhead
        self.stats.handled += 1
        self.stats.bytes_handled += size
        if self._loses(conditions):
            self.stats.lost += 1
        elif self._is_full(conditions, size, now):
            self.stats.dropped += 1
        else:
            self._queue.append((data, tag, now))
            self._queued_bytes += size
            self._advance(now)

    def set_profile(self, profile: LinkProfile, now: float) -> None:
        """Be another link from now on, its time 0 is ``now``; what is on the way goes on."""
        self._advance(now)
        self._profile, self._started_at = profile, now

    # Time

    def poll_timeout(self) -> float | None:
        """Return when :meth:`poll_datagram` should next be called, or :obj:`None` if idle."""
        arrival = self._flying[0][0] if self._flying else None
        if not self._queue:
            return arrival
        return self._free_at if arrival is None else min(arrival, self._free_at)

    # Outputs

    def poll_datagram(self, now: float) -> tuple[bytes, Tag | None] | None:
        """Return a datagram that arrives by ``now`` and its tag, or :obj:`None`."""
        self._advance(now)
        if not self._flying or self._flying[0][0] > now:
            return None
        _, _, data, tag = heapq.heappop(self._flying)
        self.stats.delivered += 1
        self.stats.bytes_delivered += len(data) + self._overhead
        return data, tag

    def queue_delay(self, now: float) -> float:
        """Return how long a datagram that came now would wait before the bottleneck, in seconds."""
        self._advance(now)
        rate = self._profile.at(now - self._started_at).rate
        waiting = self._queued_bytes * 8 / rate if rate else 0.0
        return max(0.0, self._free_at - now) + waiting

    # What the link does

    def _loses(self, conditions: LinkConditions) -> bool:
        if conditions.burst_enter > 0:
            turn = conditions.burst_leave if self._is_bad else conditions.burst_enter
            if self._rng.random() < turn:
                self._is_bad = not self._is_bad
        else:
            self._is_bad = False
        return self._is_bad or (conditions.loss > 0 and self._rng.random() < conditions.loss)

    def _is_full(self, conditions: LinkConditions, size: int, now: float) -> bool:
        if conditions.rate is None:
            return False
        if conditions.queue_bytes is not None:
            return bool(self._queue) and self._queued_bytes + size > conditions.queue_bytes
        waiting = max(0.0, self._free_at - now) + self._queued_bytes * 8 / conditions.rate
        return waiting > conditions.queue

    def _advance(self, now: float) -> None:
        """Start every datagram through the bottleneck whose turn has come by ``now``."""
        queue = self._queue
        while queue and self._free_at <= now:
            data, tag, came_at = queue.popleft()
            size = len(data) + self._overhead
            self._queued_bytes -= size
            start = max(self._free_at, came_at)
            conditions = self._profile.at(start - self._started_at)
            if conditions.rate is not None:
                self._free_at = start + size * 8 / conditions.rate
                start = self._free_at
            self._launch(data, tag, start, conditions)
            if conditions.duplicate and self._rng.random() < conditions.duplicate:
                self.stats.duplicated += 1
                self._launch(data, tag, start, conditions)

    def _launch(
        self, data: bytes, tag: Tag | None, passed_at: float, conditions: LinkConditions
    ) -> None:
        due = passed_at + conditions.delay
        if conditions.jitter:
            due += self._rng.random() * conditions.jitter
        if not (conditions.reorder and self._rng.random() < conditions.reorder):
            due = self._last_due = max(due, self._last_due)
        self._serial += 1
        heapq.heappush(self._flying, (due, self._serial, data, tag))
