"""Freeze: tells when the picture stands still, as webrtc-stats defines it."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["FreezeDetector"]

_FRAMES: Final = 30
_MIN_FRAMES: Final = 5
_FACTOR: Final = 3.0
_MARGIN: Final = 0.15
_PAUSE: Final = 5.0


class FreezeDetector:
    """Counts freezes and pauses, and measures the distances between pictures.

    A *freeze* (``freezeCount``) is a picture that stands for at least
    ``max(3 * average, average + 150 ms)``, the average being that of the last 30 distances.  A
    *pause* (``pauseCount``) is one that stands for more than 5 s; it is a freeze as well.

    Attributes:
        count: Freezes that have ended.
        duration: Their seconds.
        pauses: Pauses that have ended.
        pause_duration: Their seconds.
        total_distance: Seconds between pictures shown one after the other, summed.
        total_squared_distance: Their squares, summed.

    """

    def __init__(self) -> None:
        self.count = 0
        self.duration = 0.0
        self.pauses = 0
        self.pause_duration = 0.0
        self.total_distance = 0.0
        self.total_squared_distance = 0.0
        self._shown_at: float | None = None
        self._intervals: Final[deque[float]] = deque(maxlen=_FRAMES)

    def handle_frame(self, now: float) -> None:
        """Take note that a frame is shown."""
        if self._shown_at is not None:
            interval = now - self._shown_at
            self.total_distance += interval
            self.total_squared_distance += interval * interval
            if self._is_freeze(interval):
                self.count += 1
                self.duration += interval
            if interval > _PAUSE:
                self.pauses += 1
                self.pause_duration += interval
            self._intervals.append(interval)
        self._shown_at = now

    def lasting(self, now: float) -> float:
        """Return for how many seconds the picture has been frozen; 0 if it is not."""
        if self._shown_at is None or not self._is_freeze(now - self._shown_at):
            return 0.0
        return now - self._shown_at

    def pausing(self, now: float) -> float:
        """Return for how many seconds it has paused; 0 if it does not."""
        if self._shown_at is None or now - self._shown_at <= _PAUSE:
            return 0.0
        return now - self._shown_at

    def _is_freeze(self, interval: float) -> bool:
        intervals = self._intervals
        if len(intervals) < _MIN_FRAMES:
            return False
        if interval < _MARGIN:  # most are: an average is never negative
            return False
        average = sum(intervals) / len(intervals)
        return interval >= max(_FACTOR * average, average + _MARGIN)
