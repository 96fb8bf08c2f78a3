"""Reports: a rate for peers that give no transport-wide feedback.

Two older ways, used only while no transport-wide feedback has come:

* Receiver reports (RFC 3550 §6.4.2): the loss-based controller of draft-ietf-rmcat-gcc-02 §6, and
  a cut when the round trip grows, which is all that reports tell of a queue.
* REMB (draft-alvestrand-rmcat-remb-03): the receiver's own estimate of the path.  It caps the
  rate, and growth up to it is quick since somebody measured it.
"""

from __future__ import annotations

from typing import Final

from ringline.media.congestion.target_rate import RateConfig

__all__ = ["ReportRate"]

_LOW_LOSS: Final = 0.02
_HIGH_LOSS: Final = 0.10
"""Below the first the rate grows, above the second it falls by half the loss (§6)."""

_GROWTH: Final = 0.08
"""Per report, about a second (§6: 1.05; libwebrtc: 1.08)."""

_GROWTH_TO_ESTIMATE: Final = 0.5
"""Per report while the receiver's estimate is higher."""

_QUEUE_SECONDS: Final = 0.15
"""Growth of the round trip over its minimum that is taken for a queue."""

_QUEUE_CUT: Final = 0.85

_ESTIMATE_LIFETIME: Final = 10.0
"""Seconds that a REMB holds; senders repeat it every second or so."""

_MIN_INTERVAL: Final = 0.3
"""Seconds between two changes (libwebrtc's decrease interval): audio and video each report."""

_PATIENCE: Final = 5.0
"""Seconds without any report until the rate is reduced: reports come every 0.5 to 5 s."""

_PATIENCE_CUT: Final = 0.8
_FLOOR: Final = 100_000.0
"""Not lower for mere silence: audio and a small picture, enough to get reports going again."""


class ReportRate:
    """Holds the rate for such peers."""

    def __init__(self, config: RateConfig, *, now: float) -> None:
        self._config: Final = config
        self._bitrate = float(config.start_bitrate)
        self._estimate: tuple[float, float] | None = None  # (REMB, when it came)
        self._changed_at = now
        self._heard_at = now
        self._min_round_trip: float | None = None

    @property
    def bitrate(self) -> float:
        """Bits per second."""
        return self._bitrate

    def start_from(self, bitrate: float, now: float) -> None:
        """Begin at this rate rather than the configured one; before anything was heard."""
        self._set(bitrate, now)

    def restart(self, now: float) -> None:
        """Begin to listen: only now can reports come."""
        self._heard_at = self._changed_at = now
        self._min_round_trip = None

    def handle_loss(self, fraction: float, round_trip: float | None, now: float) -> None:
        """Take the share lost since the last report, 0.0 to 1.0, and the round trip if known."""
        self._heard_at = now
        if round_trip is not None:
            smallest = self._min_round_trip
            self._min_round_trip = round_trip if smallest is None else min(smallest, round_trip)
        if now - self._changed_at < _MIN_INTERVAL:
            return
        self._changed_at = now
        queue = (
            round_trip - self._min_round_trip
            if round_trip is not None and self._min_round_trip is not None
            else 0.0
        )
        if fraction > _HIGH_LOSS:
            self._set(self._bitrate * (1 - 0.5 * fraction), now)
        elif queue > _QUEUE_SECONDS:
            self._set(self._bitrate * _QUEUE_CUT, now)
        elif fraction < _LOW_LOSS:
            estimate = self._current_estimate(now)
            known = estimate is not None and estimate > self._bitrate
            self._set(self._bitrate * (1 + (_GROWTH_TO_ESTIMATE if known else _GROWTH)), now)

    def handle_estimate(self, bitrate: int, now: float) -> None:
        """Take the receiver's estimate, in bits per second."""
        self._heard_at = now
        self._estimate = (float(bitrate), now)
        self._set(self._bitrate, now)

    def handle_timeout(self, now: float) -> None:
        """Reduce if nobody has reported for long."""
        if now - self._heard_at >= _PATIENCE:
            self._heard_at = now - _PATIENCE + 1.0  # again in a second
            self._set(max(self._bitrate * _PATIENCE_CUT, min(self._bitrate, _FLOOR)), now)

    def poll_timeout(self) -> float:
        """Return when :meth:`handle_timeout` is due."""
        return self._heard_at + _PATIENCE

    def _current_estimate(self, now: float) -> float | None:
        if self._estimate is None or now - self._estimate[1] > _ESTIMATE_LIFETIME:
            return None
        return self._estimate[0]

    def _set(self, bitrate: float, now: float) -> None:
        estimate = self._current_estimate(now)
        if estimate is not None:
            bitrate = min(bitrate, estimate)
        self._bitrate = min(max(bitrate, self._config.min_bitrate), self._config.max_bitrate)
