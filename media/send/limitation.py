"""Limitation: what keeps the picture below what its source gives, and for how long it has."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["LimitationReason", "QualityLimitation"]

LimitationReason = Literal["none", "cpu", "bandwidth", "other"]
"""The words of webrtc-stats' ``RTCQualityLimitationReason``."""


class QualityLimitation:
    """Keeps the books of one stream.

    Args:
        now: The present.

    Attributes:
        reason: The present one.
        resolution_changes: Times that the size changed while there was a reason.

    """

    def __init__(self, now: float) -> None:
        self.reason: LimitationReason = "none"
        self.resolution_changes = 0
        self._since = now
        self._durations: Final[dict[LimitationReason, float]] = {
            "none": 0.0,
            "cpu": 0.0,
            "bandwidth": 0.0,
            "other": 0.0,
        }
        self._size = (0, 0)

    def update(self, reason: LimitationReason, size: tuple[int, int], now: float) -> None:
        """Take the present reason and size; zeros before the first picture."""
        if size != self._size:
            was_limited = self.reason != "none" or reason != "none"
            if self._size != (0, 0) and was_limited:
                self.resolution_changes += 1
            self._size = size
        if reason != self.reason:
            self._durations[self.reason] += now - self._since
            self._since = now
            self.reason = reason

    def durations(self, now: float) -> dict[LimitationReason, float]:
        """Return the seconds of each reason until ``now``."""
        durations = dict(self._durations)
        durations[self.reason] += now - self._since
        return durations
