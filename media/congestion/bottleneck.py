"""Bottleneck: what it passes of ours, measured while packets of ours wait before it.

Beside :mod:`.queue_delay`.  As long as each packet waits, the bottleneck is busy with our packets
(and those of others) without a pause: the distance at which ours come out is its speed, whatever
we send.  So three packets tell a capacity that has just fallen, where counting what arrives in a
window still counts what came before the fall.

Jitter looks the same for a moment: a packet is held up, and those behind it.  So a wait counts
only where it grows, is longer than waits on this path usually are, and the packets come out as
evenly as a bottleneck lets them out.  While the usual is not known yet, at the start, more packets
are wanted.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Bottleneck"]

_WAIT: Final = 0.012
"""Seconds beyond the empty path from which a packet is taken to have waited: more than one packet
ahead of it explains at 1 Mbit/s."""

_DEVIATIONS: Final = 3.0
"""Mean deviations above the mean from which a wait is longer than usual: jitter that is spread
evenly stays below two."""

_MEMORY: Final = 4.0
"""Seconds of waits that are the usual: a queue that stood once does not count for long."""

_WARM_UP: Final = 2.0
"""Seconds until the usual is known."""

_WINDOW: Final = 0.5
"""Seconds of arrivals that are looked at."""

_LEAST_PACKETS: Final = 3
_LEAST_SPAN: Final = 0.06
"""Seconds that these must span."""

_LEAST_GROWTH: Final = 0.2
"""Seconds that the wait must have grown by for each second of them: of what goes in that much does
not come out.  A flow beside ours that only backs off on loss fills the queue more slowly; to yield
to it at once would be to yield for good."""

_UNEVEN: Final = 0.25
"""Share of their span by which one of them may be early or late.  A spike of delay holds up one
packet for long and those behind it not at all."""

_COLD_PACKETS: Final = 6
_COLD_GROWTH: Final = 0.5
_COLD_UNEVEN: Final = 0.15
"""The same while warming up, and how many packets are wanted and what growth.  The first picture
leaves as a burst, and a slow path lets it out much more slowly."""

_CHANGED: Final = 0.7
"""Share of the rate over the window below which the shortest span that is enough counts."""


class Bottleneck:
    """Measures the rate that comes out behind a standing queue."""

    def __init__(self) -> None:
        # Arrivals since the queue stands, with their sizes and waits.
        self._run: Final[deque[tuple[float, int, float]]] = deque()
        self._began_at: float | None = None
        self._last_at = 0.0
        self._waited = 0.0
        self._mean = 0.0  # of waits
        self._deviation = 0.0

    def handle_arrival(self, arrived_at: float, size: int, waited: float) -> None:
        """Take a packet, in order of arrival.

        Args:
            arrived_at: On the receiver's clock.
            size: Bytes on the wire.
            waited: Seconds longer under way than on the empty path.

        """
        if self._began_at is None:
            self._began_at = self._last_at = arrived_at
        age = arrived_at - self._began_at
        weight = min((arrived_at - self._last_at) / max(min(age, _MEMORY), 0.05), 1.0)
        self._last_at = arrived_at
        self._deviation += weight * (abs(waited - self._mean) - self._deviation)
        self._mean += weight * (waited - self._mean)
        self._waited = waited
        run = self._run
        if waited < _WAIT:
            run.clear()
        # The first of a run opens it: it may be the one that the others wait for.
        run.append((arrived_at, size, waited))
        while arrived_at - run[0][0] > _WINDOW:
            run.popleft()

    def interrupt(self) -> None:
        """Forget the packets that wait: of some that came with them nothing is known."""
        self._run.clear()

    @property
    def rate(self) -> float | None:
        """Bits per second, or :obj:`None` while no queue stands or too few waited in it.

        Over all that waited in the last half second, which is exact; but of the last few alone
        where they are so much slower that the path must have changed.
        """
        run = self._run
        if self._began_at is None or len(run) < _LEAST_PACKETS:
            return None
        is_warm = self._last_at - self._began_at >= _WARM_UP
        if is_warm and self._waited < self._mean + _DEVIATIONS * self._deviation:
            return None
        last, total, quick, start = run[-1][0], 0, None, 0
        for index in range(len(run) - 1, -1, -1):
            arrived_at, size, _ = run[index]
            span = last - arrived_at
            if quick is None and len(run) - index >= _LEAST_PACKETS and span >= _LEAST_SPAN:
                quick, start = total * 8 / span, index
            total += size
        if quick is None:
            return None
        rate = (total - run[0][1]) * 8 / (last - run[0][0])
        if is_warm and quick < _CHANGED * rate:
            rate = quick
        elif is_warm or len(run) >= _COLD_PACKETS:
            start = 0
        else:
            return None
        return rate if self._is_paced(start, rate, is_warm=is_warm) else None

    def _is_paced(self, start: int, rate: float, *, is_warm: bool) -> bool:
        """Tell whether a queue that grows let these packets out at a steady rate."""
        run = self._run
        first, _, waited = run[start]
        span = run[-1][0] - first
        if self._waited - waited < (_LEAST_GROWTH if is_warm else _COLD_GROWTH) * span:
            return False
        slack = (_UNEVEN if is_warm else _COLD_UNEVEN) * span
        passed = 0
        for index in range(start + 1, len(run)):
            arrived_at, size, _ = run[index]
            passed += size * 8
            if abs(arrived_at - first - passed / rate) > slack:
                return False
        return True
