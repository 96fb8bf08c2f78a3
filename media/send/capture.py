"""Capture: when a frame was taken, in the media time of its kind, and whether it is still wanted.

First stage of the road.  Both kinds stamp frames so that one rule, ``captured_at`` times the clock
rate, ties media time to the clock of this process; sender reports state that rule, and a receiver
that applies it has exact lip sync.

* Video: the stamp is the capture time itself.
* Audio: the stamp counts samples, since receivers play by it and take a step other than the
  frame's length for a loss.  Devices' clocks drift, so the tie to the capture time is tracked and
  stated in the reports; only a real gap (a device that stalled, a mute) makes the stamp jump.

Invariant: stamps grow from frame to frame.
"""

from __future__ import annotations

from typing import Final

from ringline.media.units import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE

__all__ = ["AudioTiming", "VideoTiming"]

_LATE: Final = 0.2
"""Seconds old from which a picture is dropped: one that came late from its device would reach the
other side when the next is already due."""

_GAP: Final = 0.06
"""Seconds by which a sound frame must be overdue to be a gap: three frames; devices and event loops
hiccup by less."""

_TRACKING: Final = 0.05
"""Weight of a new frame in the tie between samples and capture time: settles within half a second,
smooths the jitter of capture."""

_FRAME_RATE_SLACK: Final = 0.25
"""Of a frame interval by which a picture may come early and still be taken."""


class VideoTiming:
    """Stamps pictures at 90 kHz and thins them out to a frame rate."""

    def __init__(self) -> None:
        self._last_time: int | None = None
        self._next_due: float | None = None

    def stamp(self, captured_at: float, now: float, *, max_frame_rate: float) -> int | None:
        """Return the media time of a picture, or :obj:`None` if it is not to be sent.

        Args:
            captured_at: When it was taken.
            now: The present.
            max_frame_rate: Pictures a second that are wanted.

        """
        if now - captured_at > _LATE:
            return None
        interval = 1 / max_frame_rate
        if self._next_due is not None and captured_at < self._next_due - _FRAME_RATE_SLACK * (
            interval
        ):
            return None
        media_time = self.at(captured_at)
        if self._last_time is not None and media_time <= self._last_time:
            return None
        self._last_time = media_time
        due = captured_at if self._next_due is None else self._next_due
        # Behind by more than an interval: what was not taken then is not made up for now.
        self._next_due = max(due + interval, captured_at)
        return media_time

    def at(self, moment: float) -> int:
        """Return the media time of a moment, for sender reports; not wrapped."""
        return round(moment * VIDEO_CLOCK_RATE)


class AudioTiming:
    """Stamps frames of sound at 48 kHz."""

    def __init__(self) -> None:
        self._next_time: int | None = None
        self._last_captured_at = 0.0
        self._last_duration = 0.0
        self._tie = 0.0  # media time minus capture time in samples, tracked

    def stamp(self, captured_at: float, samples: int) -> int:
        """Return the media time of a frame of ``samples`` samples."""
        if self._next_time is None:
            media_time = round(captured_at * AUDIO_CLOCK_RATE)
            self._tie = media_time - captured_at * AUDIO_CLOCK_RATE
        else:
            media_time = self._next_time
            overdue = captured_at - self._last_captured_at - self._last_duration
            if overdue > _GAP:
                # In whole frames, so that a receiver's buffer of frames stays aligned.
                missing = round(overdue * AUDIO_CLOCK_RATE / samples)
                media_time += missing * samples
            tie = media_time - captured_at * AUDIO_CLOCK_RATE
            self._tie += (1.0 if overdue > _GAP else _TRACKING) * (tie - self._tie)
        self._next_time = media_time + samples
        self._last_captured_at = captured_at
        self._last_duration = samples / AUDIO_CLOCK_RATE
        return media_time

    def at(self, moment: float) -> int:
        """Return the media time of a moment, for sender reports; not wrapped."""
        return round(moment * AUDIO_CLOCK_RATE + self._tie)
