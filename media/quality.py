"""Quality: how good the call is, each way, and what keeps it from being better, on whose side.

::

    stats, once a second ─> window of 6 s ─┬─ receiving: measured ─┬─> score, cause, side
                                           └─ sending: estimated ──┘   QualityChanged

What we receive is measured where it is played.  What we send is played far away: it is estimated
from what the other side reports and from what left here, so it is the less certain of the two.

A score is 1 (bad) to 5 (nothing to complain of): sound by the E-model, pictures by
:mod:`.picture_score`, and both together with the greater weight on sound and on the worse one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from ringline.media.quality_judge import (
    Cause,
    DirectionQuality,
    Side,
    judge_receiving,
    judge_sending,
)
from ringline.media.quality_window import QualityWindow, Sample

__all__ = [
    "CallQuality",
    "Cause",
    "DirectionQuality",
    "QualityChanged",
    "QualityConfig",
    "QualityMeter",
    "Side",
]


@dataclass(frozen=True, slots=True)
class CallQuality:
    """Both ways; :obj:`None` for one on which nothing was sent or measured yet."""

    receiving: DirectionQuality | None = None
    sending: DirectionQuality | None = None


@dataclass(frozen=True, slots=True)
class QualityChanged:
    """Event: a direction is notably better or worse than when this was last said, or otherwise so.

    Before it is first said a direction is taken to be good.
    """

    direction: Literal["receiving", "sending"]
    quality: DirectionQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityConfig:
    """How a :class:`QualityMeter` judges."""

    interval: float = 1.0
    """Seconds between judgements."""

    window: float = 6.0
    """Seconds that a judgement is about: a sentence or two, after which a trouble is forgotten."""

    good: float = 4.0
    """Score from which nothing needs a cause."""

    notable: float = 0.5
    """Change of a score that is worth an event."""

    judgements: int = 2
    """In a row that must agree on a change: one bad second passes unseen."""


class QualityMeter:
    """Judges one session.

    Args:
        config: Tuning.

    Attributes:
        quality: The newest judgement.

    """

    def __init__(self, config: QualityConfig | None = None) -> None:
        self._config: Final = config or QualityConfig()
        self._window: Final = QualityWindow(self._config.window)
        self._due: float | None = None
        self._watches: Final = (
            _Watch("receiving", self._config),
            _Watch("sending", self._config),
        )
        self._events: Final[deque[QualityChanged]] = deque(maxlen=8)
        self.quality = CallQuality()

    def start(self, now: float) -> None:
        """Begin to judge, if it has not begun yet."""
        if self._due is None:
            self._due = now + self._config.interval

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_sample` wants the next one, or :obj:`None` before the start."""
        return self._due

    def handle_sample(self, sample: Sample, now: float) -> None:
        """Take the counters of this moment and judge."""
        self._due = now + self._config.interval
        window = self._window
        window.add(sample)
        self.quality = CallQuality(
            receiving=judge_receiving(
                window.received_sound(), window.received_picture(), self._config.good
            ),
            sending=judge_sending(window.sent_sound(), window.sent_picture(), self._config.good),
        )
        for watch, quality in zip(
            self._watches, (self.quality.receiving, self.quality.sending), strict=True
        ):
            event = watch.handle_quality(quality)
            if event is not None:
                self._events.append(event)

    def poll_event(self) -> QualityChanged | None:
        """Return what changed."""
        return self._events.popleft() if self._events else None


class _Watch:
    """Decides when a direction's change is worth telling."""

    def __init__(self, direction: Literal["receiving", "sending"], config: QualityConfig) -> None:
        self._direction: Final = direction
        self._config: Final = config
        self._told_score = 5.0
        self._told_cause: tuple[Cause, Side | None] = (Cause.NONE, None)
        self._agreeing = 0

    def handle_quality(self, quality: DirectionQuality | None) -> QualityChanged | None:
        if quality is None:
            self._agreeing = 0
            return None
        cause = (quality.cause, quality.side)
        is_other = abs(quality.score - self._told_score) >= self._config.notable
        if not is_other and (cause == self._told_cause or quality.cause is Cause.NONE):
            self._agreeing = 0
            return None
        self._agreeing += 1
        if self._agreeing < self._config.judgements:
            return None
        self._agreeing = 0
        self._told_score, self._told_cause = quality.score, cause
        return QualityChanged(self._direction, quality)
