"""Acknowledged rate: what verifiably comes out at the other end.

Measured on the receiver's clock over the last half second, so that bursts of reports do not count
as bursts of media.  libwebrtc's estimator is a Bayesian one with windows of 150 and 500 ms; two
plain windows give the same two answers: a calm one and a quick one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["AcknowledgedRate"]

_WINDOW: Final = 0.5
"""Seconds of the calm answer: about 15 video frames."""

_QUICK_WINDOW: Final = 0.2
"""Seconds of the quick answer, for when the path has just shrunk: behind a full queue packets come
out evenly, so that a short window is exact just then."""

_MIN_PACKETS: Final = 6
_MIN_SPAN: Final = 0.08


class AcknowledgedRate:
    """Counts arrivals; feed it in order of arrival."""

    def __init__(self) -> None:
        self._arrivals: Final[deque[tuple[float, int]]] = deque()

    def handle_arrival(self, arrived_at: float, size: int) -> None:
        """Take a packet of ``size`` bytes."""
        self._arrivals.append((arrived_at, size))
        while arrived_at - self._arrivals[0][0] > _WINDOW:
            self._arrivals.popleft()

    def reset(self) -> None:
        """Forget everything: the path is another one, or was gone."""
        self._arrivals.clear()

    @property
    def rate(self) -> float | None:
        """Bits per second over half a second, or :obj:`None` while too little came."""
        return self._over(_WINDOW)

    @property
    def quick_rate(self) -> float | None:
        """The same over a fifth of a second."""
        return self._over(_QUICK_WINDOW)

    def _over(self, window: float) -> float | None:
        if not self._arrivals:
            return None
        last = self._arrivals[-1][0]
        total = count = 0
        first, first_size = last, 0
        for arrived_at, size in reversed(self._arrivals):
            if last - arrived_at > window:
                break
            total += size
            count += 1
            first, first_size = arrived_at, size
        if count < _MIN_PACKETS or last - first < _MIN_SPAN:
            return None
        # The first packet only opens the span: its own bytes took time before it.
        return (total - first_size) * 8 / (last - first)
