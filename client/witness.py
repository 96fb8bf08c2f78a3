"""Witness: what one side really saw and heard in a call, as a person would judge it.

It looks at the frames that were played, not at counters: a still picture is not seen, silence and
what concealment made up are not heard.  The words and limits are those of
:mod:`.verify_recording`, which judges a file after the call.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringline.media.frames import AudioFrame, VideoFrame

__all__ = ["Impression", "Latencies", "Witness"]

_GRID: Final = (90, 160)
"""Rows and columns that a picture is brought down to: enough to see a mouth move."""

_PIXEL_STEP: Final = 10
"""Luma by which a cell must differ: above what coding a still picture again gives."""

_CHANGED_SHARE: Final = 0.001
"""Of the cells: 15 of them."""

_FREEZE: Final = 0.5
"""Seconds without change that count as frozen and not as moving."""

_SOUND_LEVEL: Final = 10 ** (-45 / 20) * 32768
"""Root mean square of 20 ms that are heard: 45 dB below full scale, above room noise."""

_PAUSE: Final = 1.0
"""Seconds of quiet that belong to speech: between sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impression:
    """What was seen and heard.

    Attributes:
        pictures: That were shown.
        moving_seconds: Time in which pictures changed at least each half second.
        longest_still: Longest time between two pictures that differ, in seconds.
        heard_seconds: Time with sound above -45 dBFS, pauses of up to a second included.
        first_picture: Seconds from the start to the first picture; :obj:`None` without any.
        first_sound: Likewise to the first sound.

    """

    pictures: int
    moving_seconds: float
    longest_still: float
    heard_seconds: float
    first_picture: float | None
    first_sound: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """How late things were, median, in seconds.

    Attributes:
        picture: Capture to display; :obj:`None` if none was shown or clocks are not compared yet.
        sound: Capture to play-out, likewise.

    """

    picture: float | None = None
    sound: float | None = None


class Witness:
    """Watches and listens: a sink for both kinds.

    Args:
        started_at: When the call began, on the clock of ``now``.

    """

    def __init__(self, started_at: float) -> None:
        self._started_at: Final = started_at
        self._pictures = 0
        self._first_picture: float | None = None
        self._cells: NDArray[np.int16] | None = None
        self._changed_at = started_at
        self._moving = 0.0
        self._longest_still = 0.0
        self._first_sound: float | None = None
        self._heard_at = started_at
        self._heard = 0.0
        self._picture_latencies: Final[list[float]] = []
        self._sound_latencies: Final[list[float]] = []

    def handle_video_frame(self, frame: VideoFrame, now: float) -> None:
        """Look at a picture shown at ``now``."""
        self._pictures += 1
        if self._first_picture is None:
            self._first_picture = now - self._started_at
        if frame.captured_at is not None:
            self._picture_latencies.append(now - frame.captured_at)
        cells = _shrink(frame.luma)
        if self._cells is not None:
            still = now - self._changed_at
            self._longest_still = max(self._longest_still, still)
            if cells.shape == self._cells.shape:
                changed = np.abs(cells - self._cells) > _PIXEL_STEP
                if changed.mean() < _CHANGED_SHARE:
                    return
            if still <= _FREEZE:
                self._moving += still
        self._cells, self._changed_at = cells, now

    def handle_audio_frame(self, frame: AudioFrame, now: float) -> None:
        """Listen to a piece of sound heard at ``now``."""
        if frame.captured_at is not None:
            self._sound_latencies.append(now - frame.captured_at)
        if frame.concealed >= len(frame.samples):
            return
        level = float(np.sqrt(np.mean(frame.samples.astype(np.float64) ** 2)))
        if level <= _SOUND_LEVEL:
            return
        if self._first_sound is None:
            self._first_sound = now - self._started_at
            self._heard = frame.duration
        else:
            gap = now - self._heard_at
            self._heard += gap if gap <= _PAUSE else frame.duration
        self._heard_at = now

    async def close(self) -> None:
        """Do nothing: a witness holds nothing, but a sink can be closed."""

    def take_latencies(self) -> Latencies:
        """Return how late pictures and sound were since the last call of this."""
        latencies = Latencies(
            picture=_median(self._picture_latencies), sound=_median(self._sound_latencies)
        )
        self._picture_latencies.clear()
        self._sound_latencies.clear()
        return latencies

    def sum_up(self, now: float) -> Impression:
        """Return what was seen and heard until ``now``."""
        longest = self._longest_still
        if self._pictures:
            longest = max(longest, now - self._changed_at)
        return Impression(
            pictures=self._pictures,
            moving_seconds=self._moving,
            longest_still=longest,
            heard_seconds=self._heard,
            first_picture=self._first_picture,
            first_sound=self._first_sound,
        )


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _shrink(luma: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the means of a grid of cells; of every pixel if the picture is smaller than it."""
    rows, columns = (max(1, size // cells) for size, cells in zip(luma.shape, _GRID, strict=True))
    height, width = luma.shape[0] // rows, luma.shape[1] // columns
    cut = luma[: height * rows, : width * columns]
    # Sums of rows first: they are contiguous, which makes this several times faster.
    sums = cut.reshape(height, rows, width * columns).sum(axis=1, dtype=np.uint32)
    means = sums.reshape(height, width, columns).sum(axis=2) // (rows * columns)
    cells: NDArray[np.int16] = means.astype(np.int16)
    return cells
