"""Arrival delay: how much later than the fastest ones do packets come, and how late is usual.

A packet's *relative delay* is its way's time minus that of the fastest packet of the last two
seconds.  No clock need be shared: arrival minus media time is the way's time plus a constant.
The window forgets, so a clock that drifts or a path that grows longer becomes the new normal.

After NetEq (webrtc ``modules/audio_coding/neteq``: ``packet_arrival_history``, ``histogram``,
``underrun_optimizer``, October 2024).
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["DelayHistogram", "RelativeDelay"]

_WINDOW: Final = 2.0
"""Seconds in which the fastest packet is looked for."""

_MAX_SHIFT: Final = 2.0
"""Seconds by which a packet may be off before its sender's clock is taken to have restarted:
longer than any play-out delay that we would ever follow."""

_MAX_POINTS: Final = 1_024
"""Bound of the window in packets.  Only minima are kept, so this many mean a steadily rising
delay, of which the newest tell enough."""


_LEAST_KEPT: Final = 0.1
"""Of the past, however new: the very first observation is no more worth than the second."""


class RelativeDelay:
    """The sliding minimum of arrival minus media time, for one stream.

    Attributes:
        base: That minimum in seconds, or :obj:`None` before the first packet.

    """

    def __init__(self) -> None:
        self.base: float | None = None
        self._minima: Final[deque[tuple[float, float]]] = deque(maxlen=_MAX_POINTS)

    def handle_arrival(self, media_time: float, now: float) -> float | None:
        """Take a packet and return its relative delay in seconds, 0 or more.

        Args:
            media_time: Of the packet on its stream's clock, seconds, not wrapped.
            now: When it came.

        Returns:
            :obj:`None` if the stream's clock has restarted, at this packet or before: the
            window starts again with it.

        """
        way = now - media_time
        minima = self._minima
        # The bound is on the last way too: after a rest the minimum is long out of date.
        restarted = bool(minima) and abs(way - minima[-1][1]) > _MAX_SHIFT
        if restarted:
            minima.clear()
        while minima and minima[0][0] < now - _WINDOW:
            minima.popleft()
        while minima and minima[-1][1] >= way:
            minima.pop()
        minima.append((now, way))
        self.base = minima[0][1]
        return None if restarted else way - self.base


class DelayHistogram:
    """Which delay covers a share of what comes; older observations count ever less.

    Args:
        bin_width: Seconds of one bin.
        bins: How many; what is beyond goes to the last.
        forget: Weight that the past keeps at each observation, below 1.
        settle: How much faster the first ones are forgotten: their share falls with this power of
            how many have come, until that is slower than ``forget``; 0 for not at all.

    """

    def __init__(
        self, *, bin_width: float, bins: int = 100, forget: float = 0.983, settle: float = 0.0
    ) -> None:
        self._bin_width: Final = bin_width
        self._weights: Final = [0.0] * bins
        self._forget: Final = forget
        self._settle: Final = settle
        self._unit = 1.0  # weight of the last observation; grows instead of all others shrinking
        self._total = 0.0
        self._added = 0.0
        self.observations = 0

    def add(self, delay: float, weight: float = 1.0) -> None:
        """Count one delay, in seconds, as so many observations."""
        self._added += weight
        keep = self._forget**weight
        if self._settle:
            keep = min(keep, max(_LEAST_KEPT, 1.0 - self._settle * weight / self._added))
        self._unit /= keep
        self._weights[self._index(delay)] += self._unit * weight
        self._total += self._unit * weight
        self.observations += 1
        if self._unit > 1e100:
            self._weights[:] = [weight / self._unit for weight in self._weights]
            self._total /= self._unit
            self._unit = 1.0

    def fill(self, delay: float, observations: int) -> None:
        """Forget all, and take ``delay`` to have been observed so often."""
        self._weights[:] = [0.0] * len(self._weights)
        self._unit = 1.0
        self._total = self._weights[self._index(delay)] = float(observations)

    def cheapest(self, price: float) -> float:
        """Return the delay, an upper edge of a bin, that with what it leaves out costs least.

        The first bin is no delay at all: what lies in it comes without waiting.

        Args:
            price: Seconds that it is worth to have all instead of none.

        """
        if self._total <= 0.0:
            return 0.0
        left = 1.0
        best, least = 0.0, float("inf")
        for index, weight in enumerate(self._weights):
            left -= weight / self._total
            delay = (index + 1) * self._bin_width if index else 0.0
            if delay >= least:
                break  # longer ones cost more by themselves
            cost = delay + price * max(0.0, left)
            if cost < least:
                best, least = delay, cost
        return best

    def quantile(self, share: float) -> float:
        """Return the upper edge of the bin up to which ``share`` of all lies; 0 if none came."""
        if self.observations == 0:
            return 0.0
        missing = share * self._total
        for index, weight in enumerate(self._weights):
            missing -= weight
            if missing <= 0.0:
                return (index + 1) * self._bin_width
        return len(self._weights) * self._bin_width

    def _index(self, delay: float) -> int:
        return min(max(int(delay / self._bin_width), 0), len(self._weights) - 1)
