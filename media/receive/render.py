"""Render: show each picture when it is due, evenly where the path is uneven.

A picture is due at its media time on our clock, by the fastest one of the last two seconds, plus
a delay (:mod:`.render_delay`).  On a clean link that delay is nothing and a picture is shown the
moment it is decoded.  What is shown is then kept smooth around a loss::

    nominal    1   2   3   4   5   6   7   8   9  10  11  12
    ready      1   2   3                   4...9  10  11  12      4 was repaired
    shown      . 1   2     3      .        4  5 7 9  10  11  12
                         └ stretch ┘       └ catch up ┘

*Stretch*: once a loss is known, the pictures still held are spread over the time that its repair
will take.  *Catch up*: the pictures behind a stop are shown in quick motion that fades within
tenths of a second; those that would be too close to be seen are left out.

Invariants:

1. Pictures are shown in order of media time, none twice.
2. No picture waits longer than the delay and what lip sync adds, but while one behind it is
   missing, and then no longer than ``max_stretch`` after the one before it or the delay's reserve.
3. Pictures are at least ``min_interval`` apart; of those that are closer the last is shown.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ringline.media.frames import VideoFrame
from ringline.media.receive.arrival_delay import RelativeDelay
from ringline.media.receive.render_delay import RenderDelay, RenderDelayConfig
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = ["RenderConfig", "RenderedFrame", "Renderer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderConfig:
    """How a :class:`Renderer` behaves."""

    delay: RenderDelayConfig = field(default_factory=RenderDelayConfig)
    """How long pictures are held."""

    slack: float = 0.015
    """Seconds by which one picture may be shown earlier, by the path's time, than the one before:
    unevenness of half a frame is not seen, and not paid for with latency."""

    catch_up: float = 0.03
    """Time constant in seconds of getting rid of lag after a stop.  The eye takes it as one quick
    movement; more would make a second's pictures late for each loss."""

    catch_up_share: float = 0.1
    """Added to it for each second of lag: the longer the stop, the more there is to be seen."""

    min_interval: float = 0.014
    """Seconds between two pictures: a screen shows 60 a second."""

    max_stretch: float = 0.155
    """Longest time in seconds that one picture is shown for while others are held and a repair is
    awaited; beyond 150 ms and the usual distance it would count as a freeze itself."""

    reserve: float = 0.25
    """Share of the delay that is added to it while a repair is awaited, to have pictures left if
    it is lost as well.  That is but possible, so it may cost little."""

    max_queue: int = 30
    """Pictures waiting: a second, some 10 MB at 640x360."""


@dataclass(slots=True)
class RenderedFrame:
    """A picture on its way to be shown.

    Attributes:
        media_time: At 90 kHz, not wrapped.
        started_at: When its first packet came.
        fastest_at: When it would have been here as one of the fastest.

    """

    frame: VideoFrame
    media_time: int
    started_at: float
    fastest_at: float = 0.0


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
        self._delay: Final = RenderDelay(self._config.delay)
        self._extra_delay = 0.0
        self._resumption: tuple[float, float] | None = None
        self._last_media_time: int | None = None
        self._shown_at: float | None = None
        self._lag = 0.0  # of the picture shown last, behind the fastest
        self.dropped = 0
        self.restart()

    def restart(self) -> None:
        """Expect another source's pictures; those that wait are shown no more."""
        self._clear()
        self._delays = RelativeDelay()
        self._delay.restart()
        self._ready_at = 0.0  # when the newest picture could be shown

    def set_extra_delay(self, delay: float) -> None:
        """Show each picture this many seconds later (lip sync)."""
        self._extra_delay = delay

    def handle_round_trip(self, round_trip: float) -> None:
        """Take a new measurement, in seconds."""
        self._delay.handle_round_trip(round_trip)

    def set_resumption(self, when: tuple[float, float] | None) -> None:
        """Tell when the picture behind those that are here is expected.

        Args:
            when: The moment, and the one in case that this repair is lost; :obj:`None` if nothing
                is known to be missing.

        """
        self._resumption = when

    @property
    def path_delay(self) -> float:
        """Seconds of :attr:`delay` that the path alone asks for."""
        return self._delay.delay

    @property
    def delay(self) -> float:
        """Seconds that the fastest pictures are held back, lip sync included."""
        return self._delay.delay + self._extra_delay

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
        if late is None:  # the sender's clock jumped
            self._clear()
            self._delay.restart()
            late = 0.0
        newest = self._queue[-1].media_time if self._queue else self._last_media_time
        if newest is not None and media_time <= newest:
            self.dropped += 1
            return
        fastest_at = completed_at - late
        waited_for = completed_at >= self._ready_at
        self._ready_at = max(self._ready_at, completed_at)
        self._delay.handle_picture(
            self._ready_at - fastest_at, self._ready_at, waited_for=waited_for
        )
        self._queue.append(RenderedFrame(frame, media_time, started_at, fastest_at))
        if len(self._queue) > self._config.max_queue:
            self._queue.popleft()
            self.dropped += 1

    def poll_timeout(self) -> float | None:
        """Return when the next picture is due, or :obj:`None` if none waits."""
        return self._due_at(0) if self._queue else None

    def poll_frame(self, now: float) -> RenderedFrame | None:
        """Return the picture to show at ``now``, or :obj:`None`."""
        self._delay.advance(now)
        queue = self._queue
        if not queue or (due := self._due_at(0)) > now:
            return None
        # Behind a stop all are overdue, and the first of them starts the catching up.
        is_resumed = self._shown_at is not None and now - due > self._config.slack
        while not is_resumed and len(queue) > 1 and self._due_at(1) <= now:
            queue.popleft()
            self.dropped += 1
        shown = queue.popleft()
        self._lag = now - shown.fastest_at
        self._shown_at = now
        self._last_media_time = shown.media_time
        return shown

    # Private

    def _clear(self) -> None:
        self.dropped += len(self._queue)
        self._queue.clear()
        self._last_media_time = None
        self._shown_at = None
        self._lag = 0.0
        self._resumption = None

    def _due_at(self, index: int) -> float:
        """Return when the picture at this place of the queue is due, as things are now."""
        picture = self._queue[index]
        due = picture.fastest_at + self.delay
        shown_at = self._shown_at
        if shown_at is None:
            return due
        config = self._config
        excess = self._lag - self.delay - config.slack
        if excess > 0.0:
            due = max(due, self._caught_up_at(picture.fastest_at, excess))
        if self._resumption is not None:
            due = self._stretched_at(index, due, shown_at, self._resumption)
        elif index == len(self._queue) - 1 and self._delay.delay > 0.0:
            due += config.slack  # what keeps the one behind it will soon be known
        return max(due, shown_at + config.min_interval)

    def _stretched_at(
        self, index: int, due: float, shown_at: float, resumption: tuple[float, float]
    ) -> float:
        """Return when a picture is due while one behind it is missing."""
        config = self._config
        expected_at, retried_at = resumption
        share = (index + 1) / (len(self._queue) + 1)
        wait = min((expected_at - shown_at) * share, config.max_stretch * (index + 1))
        reserve = shown_at + (retried_at - shown_at) * share
        delay = self._delay.delay * (1.0 + config.reserve) + self._extra_delay
        latest = self._queue[index].fastest_at + delay
        return max(due, shown_at + wait, min(reserve, latest))

    def _caught_up_at(self, fastest_at: float, excess: float) -> float:
        """Return when a picture is due while lag is on its way down."""
        shown_at = self._shown_at
        if shown_at is None:
            return fastest_at
        # Lag is allowed to be excess * exp(-(t - shown_at) / fade).  Newton's steps towards
        # the moment when the picture's lag is that come from below, and stay there.
        lag = shown_at - fastest_at - self.delay
        fade = self._config.catch_up + excess * self._config.catch_up_share
        waited = 0.0
        for _ in range(3):
            allowed = excess * math.exp(-waited / fade)
            missing = allowed - lag - waited
            if missing <= 0.0:
                break
            waited += missing / (1.0 + allowed / fade)
        return shown_at + waited
