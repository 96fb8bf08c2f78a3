"""Delay trend: is the queue at the bottleneck growing?

Third stage of the delay-based part: a line through the last groups' accumulated delay (libwebrtc's
trendline, which took the place of the draft's Kalman filter of §5.3) and the over-use detector
with its adaptive threshold (draft-ietf-rmcat-gcc-02 §5.4).  The constants are libwebrtc's; they
work on milliseconds, so this module does too inside.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

from ringline.media.congestion.arrival_groups import GroupDelta

__all__ = ["DelayTrend", "Usage"]

_WINDOW: Final = 20
"""Groups the line goes through: 0.4 to 0.7 s of a call."""

_SMOOTHING: Final = 0.9
"""Share of the old value when the accumulated delay is smoothed."""

_GAIN: Final = 4.0
"""Brings the slope into the range for which the threshold was tuned."""

_MAX_COUNT: Final = 60
"""The slope weighs more the more groups stand behind it, up to this many."""

_OVERUSE_MS: Final = 10.0
"""The trend must stay above the threshold this long (overuse_time_th of §5.4)."""

_THRESHOLD_MS: Final = 12.5
"""Where the threshold starts (del_var_th(0) of §5.4)."""
_THRESHOLD_RANGE_MS: Final = (6.0, 600.0)
_UP: Final = 0.0087
"""K_u of §5.4: how fast the threshold rises to a trend above it, so that we are not starved by a
flow that only backs off on loss."""
_DOWN: Final = 0.039
"""K_d: how fast it falls."""
_OUTLIER_MS: Final = 15.0
"""A trend so far above the threshold is a spike, not noise to get used to."""
_MAX_STEP_MS: Final = 100.0
"""Time that one group can move the threshold for."""

_JITTER_SMOOTHING: Final = 0.95


class Usage(Enum):
    """What the trend says about the bottleneck."""

    NORMAL = auto()
    OVERUSING = auto()
    """The queue grows: we send more than the path takes."""
    UNDERUSING = auto()
    """The queue empties."""


class DelayTrend:
    """Watches the delay of arrival groups."""

    def __init__(self) -> None:
        self.usage = Usage.NORMAL
        """The verdict on the last group."""
        self.jitter = 0.0
        """Mean size of the step in delay from group to group, seconds."""
        self._points: Final[deque[tuple[float, float]]] = deque(maxlen=_WINDOW)
        self._count = 0
        self._first_arrival: float | None = None
        self._accumulated = 0.0
        self._smoothed = 0.0
        self._threshold = _THRESHOLD_MS
        self._last_update: float | None = None
        self._over_for = 0.0  # ms above the threshold; below 0 when it is not
        self._over_count = 0
        self._previous_trend = 0.0

    def handle_group(self, delta: GroupDelta) -> Usage:
        """Take the step to the next group; return the verdict."""
        variation = delta.variation * 1000
        if self.usage is Usage.NORMAL:  # what a queue adds as it grows is no jitter
            self.jitter += (1 - _JITTER_SMOOTHING) * (abs(delta.variation) - self.jitter)
        self._count = min(self._count + 1, _MAX_COUNT)
        if self._first_arrival is None:
            self._first_arrival = delta.arrived_at
        self._accumulated += variation
        self._smoothed = _SMOOTHING * self._smoothed + (1 - _SMOOTHING) * self._accumulated
        moment = (delta.arrived_at - self._first_arrival) * 1000
        self._points.append((moment, self._smoothed))
        slope = _slope(self._points) if len(self._points) == _WINDOW else None
        self._detect(self._previous_trend if slope is None else slope, delta.sent * 1000)
        self._adapt(delta.arrived_at * 1000)
        return self.usage

    def _detect(self, trend: float, step_ms: float) -> None:
        self._modified = self._count * trend * _GAIN
        if self._modified > self._threshold:
            # The first time above counts half a step: it crossed somewhere in between.
            self._over_for += step_ms if self._over_count else step_ms / 2
            self._over_count += 1
            if (
                self._over_for > _OVERUSE_MS
                and self._over_count > 1
                and trend >= self._previous_trend
            ):
                self._over_for = 0.0
                self._over_count = 0
                self.usage = Usage.OVERUSING
        else:
            self._over_for = 0.0
            self._over_count = 0
            below = self._modified < -self._threshold
            self.usage = Usage.UNDERUSING if below else Usage.NORMAL
        self._previous_trend = trend

    def _adapt(self, now_ms: float) -> None:
        last, self._last_update = self._last_update, now_ms
        size = abs(self._modified)
        if last is None or size > self._threshold + _OUTLIER_MS:
            return
        gain = _DOWN if size < self._threshold else _UP
        step = min(now_ms - last, _MAX_STEP_MS)
        low, high = _THRESHOLD_RANGE_MS
        self._threshold += gain * (size - self._threshold) * step
        self._threshold = min(max(self._threshold, low), high)


def _slope(points: deque[tuple[float, float]]) -> float | None:
    """Return the slope of the least-squares line, or :obj:`None` if all stand at one moment."""
    count = len(points)
    moments, delays = zip(*points, strict=True)
    mean_x, mean_y = sum(moments) / count, sum(delays) / count
    above = below = 0.0
    for x, y in points:
        above += (x - mean_x) * (y - mean_y)
        below += (x - mean_x) ** 2
    return above / below if below else None
