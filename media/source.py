"""Source: where frames come from: a file, a device, a program, or nothing but arithmetic.

A source gives frames in real time, as a camera would: each leaves when it is due on the running
loop's clock and carries that moment as ``captured_at``.  The files named ``io_*.py`` beside this
one are the sources; here is what they share: the two protocols and the cadence.

Nobody has to read a source.  One that is not read, or read too slowly, throws frames away; it
never queues without bound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from ringline.media.frames import AudioFrame, VideoFrame

__all__ = ["AudioSource", "Cadence", "Timeline", "VideoSource"]


class AudioSource(Protocol):
    """Gives sound: mono, 48 kHz, 960 samples each 20 ms."""

    def frames(self) -> AsyncIterator[AudioFrame]:
        """Give frames as they are due, until the source ends or is closed.

        Raises:
            MediaError: While iterating, if the file or device fails; one line for a person.

        """
        ...

    async def close(self) -> None:
        """Let go of the file or device; may be called twice.  Iterators of it end."""
        ...


class VideoSource(Protocol):
    """Gives pictures.

    Attributes:
        width: Pixels across, even.  A hint: frames tell their own size, and a program's may vary.
        height: Pixels down, even.
        frame_rate: The most frames a second that come.

    """

    @property
    def width(self) -> int: ...  # noqa: D102 - documented on the class

    @property
    def height(self) -> int: ...  # noqa: D102

    @property
    def frame_rate(self) -> float: ...  # noqa: D102

    def frames(self) -> AsyncIterator[VideoFrame]:
        """Give frames as they are due, until the source ends or is closed.

        Raises:
            MediaError: While iterating, if the file or device fails; one line for a person.

        """
        ...

    async def close(self) -> None:
        """Let go of the file or device; may be called twice.  Iterators of it end."""
        ...


@dataclass(slots=True)
class Timeline:
    """Where media time 0 lies on the loop's clock; shared by the sound and picture of one film.

    Attributes:
        origin: Seconds on the loop's clock; :obj:`None` until the first frame of either is there.

    """

    origin: float | None = None

    def position(self, now: float) -> float:
        """Return the media time at ``now``, in seconds: 0 before the start."""
        return 0.0 if self.origin is None else max(0.0, now - self.origin)


class Cadence:
    """Decides when each frame of a stream leaves, and which are too late to leave at all.

    The schedule is absolute, so errors of single waits do not add up.  Invariants:

    1. A frame never leaves before it is due.
    2. Two frames never leave closer than half an interval: a stall is caught up, not burst out.
    3. A frame that could only leave ``max_lag`` after it was due is skipped and counted.
    4. Nothing is skipped for good: after a stall longer than ``max_stall`` the timeline moves.

    Args:
        interval: Between two frames, in seconds.
        max_lag: Lateness that is caught up rather than skipped, in seconds.
        max_stall: Lateness after which the film goes on from where it stopped, in seconds.
        timeline: Shared with the film's other stream, or :obj:`None` for one of its own.

    """

    def __init__(
        self,
        *,
        interval: float,
        max_lag: float = 0.06,
        max_stall: float = 5.0,
        timeline: Timeline | None = None,
    ) -> None:
        self._interval: Final = interval
        self._max_lag: Final = max_lag
        self._max_stall: Final = max_stall
        self._timeline: Final = timeline or Timeline()
        self._departed_at: float | None = None
        self.skipped = 0
        """Frames that were too late."""

    def schedule(self, media_time: float, now: float) -> float | None:
        """Return when the frame of ``media_time`` is to leave, or :obj:`None` to skip it.

        The first frame that is ready at all starts the timeline.
        """
        timeline = self._timeline
        if timeline.origin is None or now - timeline.origin - media_time > self._max_stall:
            timeline.origin = now - media_time
        due = timeline.origin + media_time
        departure = max(due, now)
        if self._departed_at is not None:
            departure = max(departure, self._departed_at + self._interval / 2)
        if departure - due > self._max_lag:
            self.skipped += 1
            return None
        return departure

    def handle_departure(self, now: float) -> None:
        """Note that a frame left at ``now``."""
        self._departed_at = now
