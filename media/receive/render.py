"""Render: show each picture as soon as it may be, evenly where the path is uneven.

A picture's time is its media time on our clock, by the fastest one of the last two seconds, plus
a delay.  On a clean link that delay is nothing and a picture is shown the moment it is decoded.
Where most pictures come late by much, waiting a little for each makes them even; a picture that
needed a retransmission is later than that and shown at once, since latency counts for more than
evenness.

Invariants:

1. Pictures are shown in order of media time, none twice.
2. No picture waits longer than ``max_delay`` and what lip sync adds.
3. Of pictures due at the same moment only the last is shown: nobody would see the others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from ringline.media.frames import VideoFrame
from ringline.media.receive.arrival_delay import DelayHistogram, RelativeDelay
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = ["RenderConfig", "RenderedFrame", "Renderer"]

_BIN: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderConfig:
    """How a :class:`Renderer` behaves."""

    quantile: float = 0.7
    """Share of pictures that should be in time.  The rest are those that were repaired, and to
    wait for them would make all pictures as late as the latest."""

    dead_zone: float = 0.015
    """Seconds of lateness that are let go: pictures of different sizes take different times, and
    half a frame of unevenness is not seen."""

    max_delay: float = 0.06
    """Bound of the delay in seconds: two frames at 30 a second."""

    max_queue: int = 30
    """Pictures waiting: a second, some 10 MB at 640x360."""


@dataclass(slots=True)
class RenderedFrame:
    """A picture on its way to be shown.

    Attributes:
        media_time: At 90 kHz, not wrapped.
        started_at: When its first packet came.

    """

    frame: VideoFrame
    media_time: int
    started_at: float
    due_at: float = 0.0


class Renderer:
    """Times the pictures of one stream.

    Args:
        config: Tuning.

    Attributes:
        dropped: Decoded pictures that were not shown.

    """

    def __init__(self, config: RenderConfig | None = None) -> None:
        self._config: Final = config or RenderConfig()
        self._queue: Final[deque[RenderedFrame]] = deque()
        self._extra_delay = 0.0
        self._last_shown: int | None = None
        self.dropped = 0
        self.restart()

    def restart(self) -> None:
        """Expect another source's pictures; those that wait are shown no more."""
        self.dropped += len(self._queue)
        self._queue.clear()
        self._delays = RelativeDelay()
        self._histogram = DelayHistogram(bin_width=_BIN)
        self._last_shown = None

    def set_extra_delay(self, delay: float) -> None:
        """Show each picture this many seconds later (lip sync)."""
        self._extra_delay = delay

    @property
    def delay(self) -> float:
        """Seconds that the fastest pictures are held back, lip sync included."""
        late = self._histogram.quantile(self._config.quantile) - self._config.dead_zone
        return min(max(late, 0.0), self._config.max_delay) + self._extra_delay

    def handle_frame(
        self, frame: VideoFrame, media_time: int, *, started_at: float, completed_at: float
    ) -> None:
        """Take a decoded picture.

        Args:
            frame: The picture.
            media_time: At 90 kHz, not wrapped.
            started_at: When its first packet came.
            completed_at: When its last packet came; measures the path, as decoding does not.

        """
        late = self._delays.handle_arrival(media_time / VIDEO_CLOCK_RATE, completed_at)
        if late is not None:
            self._histogram.add(late)
        else:
            self._last_shown = None  # the sender's clock jumped
            self.dropped += len(self._queue)
            self._queue.clear()
        newest = self._queue[-1].media_time if self._queue else self._last_shown
        if newest is not None and media_time <= newest:
            self.dropped += 1
            return
        # What it would have been as one of the fastest, plus the delay.
        due_at = completed_at - (late or 0.0) + self.delay
        self._queue.append(RenderedFrame(frame, media_time, started_at, due_at))
        if len(self._queue) > self._config.max_queue:
            self._queue.popleft()
            self.dropped += 1

    def poll_timeout(self) -> float | None:
        """Return when the next picture is due, or :obj:`None` if none waits."""
        return self._queue[0].due_at if self._queue else None

    def poll_frame(self, now: float) -> RenderedFrame | None:
        """Return the picture to show at ``now``, or :obj:`None`."""
        shown: RenderedFrame | None = None
        while self._queue and self._queue[0].due_at <= now:
            self.dropped += shown is not None
            shown = self._queue.popleft()
        if shown is not None:
            self._last_shown = shown.media_time
        return shown
