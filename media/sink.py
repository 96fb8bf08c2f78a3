"""Sink: where frames go: a recording, a speaker, a window.

A sink takes frames at the moment they are to be heard or seen and returns at once; what is slow
it does on a thread of its own.  A sink in trouble loses frames, never a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame, VideoFrame
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["AudioSink", "Placement", "RecordingTimeline", "VideoSink"]

_INTERVAL: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE


class AudioSink(Protocol):
    """Takes sound."""

    def handle_audio_frame(self, frame: AudioFrame, now: float) -> None:
        """Take 20 ms that are due at ``now``; never blocks, never raises."""
        ...

    async def close(self) -> None:
        """Finish; may be called twice.

        Raises:
            MediaError: If the sink failed on the way.

        """
        ...


class VideoSink(Protocol):
    """Takes pictures."""

    def handle_video_frame(self, frame: VideoFrame, now: float) -> None:
        """Take a picture that is due at ``now``; never blocks, never raises."""
        ...

    async def close(self) -> None:
        """Finish; may be called twice.

        Raises:
            MediaError: If the sink failed on the way.

        """
        ...


@dataclass(slots=True)
class Placement:
    """Where 20 ms of sound go in a recording.

    Attributes:
        block: Number of the 20 ms since the recording began.
        silence: Blocks of silence to write before it, so that the track has no hole.

    """

    block: int
    silence: int


class RecordingTimeline:
    """Gives what was played its place in a recording: when it was heard and seen, not sent.

    Sound is continuous: the playing clock gives a frame each 20 ms, and a little unevenness of
    the thread that calls must not tear it.  Pictures stand where they were shown, so a freeze in
    the call is a freeze in the film.

    Invariants:

    1. Blocks and picture times only grow.
    2. Sound is never more than ``max_behind`` behind or ``max_ahead`` ahead of ``now``.
    """

    def __init__(
        self, *, max_behind: float = 0.1, max_ahead: float = 0.2, max_silence: float = 5.0
    ) -> None:
        self._max_behind: Final = max_behind
        self._max_ahead: Final = max_ahead
        self._max_silence: Final = max_silence
        self._origin: float | None = None
        self._next_block = 0
        self._last_picture = -1

    def place_sound(self, now: float) -> Placement | None:
        """Place the 20 ms heard at ``now``; :obj:`None` to leave them out, for they are too many.

        A hole longer than ``max_silence`` is not filled: its block number jumps.
        """
        ideal = self._since_start(now) / _INTERVAL
        lead = (self._next_block - ideal) * _INTERVAL
        if lead > self._max_ahead:
            return None
        silence = 0
        if -lead > self._max_behind:
            hole = int(ideal) - self._next_block
            self._next_block += hole
            silence = hole if hole * _INTERVAL <= self._max_silence else 0
        placement = Placement(self._next_block, silence)
        self._next_block += 1
        return placement

    def place_picture(self, now: float) -> int:
        """Return the time of the picture shown at ``now``, in ms since the recording began."""
        self._last_picture = max(self._last_picture + 1, round(self._since_start(now) * 1000))
        return self._last_picture

    def _since_start(self, now: float) -> float:
        if self._origin is None:
            self._origin = now
        return max(0.0, now - self._origin)
