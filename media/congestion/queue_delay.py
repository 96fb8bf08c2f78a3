"""Queue delay: how much longer than at best packets are under way, that is: how full the queue is.

Beside :mod:`.delay_trend`, which sees a queue grow but not one that stands.  The clocks of the two
ends do not agree, so the smallest one-way difference of the last while stands for the empty path.
The smallest of the last few is compared with it: jitter only ever adds.

Google Congestion Control has no such part; we take from it how hard to brake (a full queue must
drain, not merely stop growing) and when the brake may be let go.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["QueueDelay"]

_BASE_BUCKET: Final = 1.0
_BASE_BUCKETS: Final = 20
"""The empty path is remembered for 20 s: long enough that an increase-and-brake cycle empties the
queue once within it, short enough that clock drift (100 ppm at most: 2 ms) and a change of route
are forgotten."""

_RECENT: Final = 0.1
"""Seconds over which the smallest counts as "now": 5 audio packets, so that a jitter of 20 or
30 ms is filtered out, and a queue is still seen within one report."""


class QueueDelay:
    """Estimates the time that packets stand in the bottleneck's queue."""

    def __init__(self) -> None:
        self._base: Final[deque[tuple[float, float]]] = deque()  # (bucket's start, smallest)
        self._smallest = 0.0  # of all buckets
        self._fell = 0.0
        self._recent: Final[deque[tuple[float, float]]] = deque()  # (arrival, one-way), growing

    def handle_arrival(self, sent_at: float, arrived_at: float) -> float:
        """Take a packet, in order of arrival; the two times are on clocks of their own.

        Returns:
            Seconds that this packet took longer than the empty path: its wait, and jitter.

        """
        one_way = arrived_at - sent_at
        base = self._base
        if not base or arrived_at - base[-1][0] >= _BASE_BUCKET:
            base.append((arrived_at, one_way))
            while len(base) > _BASE_BUCKETS:
                base.popleft()
            smallest = min(smallest for _, smallest in base)
            self._fell += max(0.0, self._smallest - smallest) if len(base) > 1 else 0.0
            self._smallest = smallest
        elif one_way < base[-1][1]:
            base[-1] = (base[-1][0], one_way)
            self._fell += max(0.0, self._smallest - one_way)
            self._smallest = min(self._smallest, one_way)
        recent = self._recent
        while recent and recent[-1][1] >= one_way:
            recent.pop()
        recent.append((arrived_at, one_way))
        while arrived_at - recent[0][0] > _RECENT:
            recent.popleft()
        return max(0.0, one_way - self._smallest)

    def poll_fall(self) -> float:
        """Return, once, by how many seconds the empty path became shorter."""
        fell, self._fell = self._fell, 0.0
        return fell

    @property
    def seconds(self) -> float:
        """Time in the queue, 0.0 while nothing is known."""
        if not self._recent:
            return 0.0
        return max(0.0, self._recent[0][1] - self._smallest)
