"""Counters: what the hub has seen, as plain numbers; ``/metrics`` shows them.

No user names, no addresses: a label value must be one of a small closed set.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ringline.signaling.call import Call

__all__ = ["Counters", "Histogram"]


@dataclass(slots=True)
class Histogram:
    """Counts of values up to each bound, the last one unbounded, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        index = next((i for i, bound in enumerate(self.bounds) if value <= bound), -1)
        self.counts[index] += 1
        self.total += value


_SETUP_BOUNDS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_DURATION_BOUNDS = (5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0)


@dataclass(slots=True)
class Counters:
    """All counts since the start."""

    messages_in: Counter[str] = field(default_factory=Counter)
    """By type."""
    messages_out: Counter[str] = field(default_factory=Counter)
    """By type; what is sent again after a resume is not counted again."""
    errors: Counter[str] = field(default_factory=Counter)
    """Sent, by code."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Messages not processed, by cause: duplicate, gap, shed, rate, bad."""
    resumes: Counter[str] = field(default_factory=Counter)
    """By result: resumed, refused."""
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Ended calls by media (audio, video) and end reason."""
    answer_seconds: Histogram = field(default_factory=lambda: Histogram(_SETUP_BOUNDS))
    """Invite to accept."""
    connect_seconds: Histogram = field(default_factory=lambda: Histogram(_SETUP_BOUNDS))
    """Accept to the first path."""
    call_seconds: Histogram = field(default_factory=lambda: Histogram(_DURATION_BOUNDS))
    """Accept to end."""

    def count_call(self, call: Call) -> None:
        """Count a call that has ended."""
        assert call.reason is not None  # noqa: S101 - it has ended
        assert call.ended_at is not None  # noqa: S101 - it has ended
        media = "video" if call.media.video else "audio"
        self.calls[media, call.reason.value] += 1
        if call.accepted_at is None:
            return
        self.answer_seconds.observe(call.accepted_at - call.created_at)
        self.call_seconds.observe(call.ended_at - call.accepted_at)
        if call.active_at is not None:
            self.connect_seconds.observe(call.active_at - call.accepted_at)
