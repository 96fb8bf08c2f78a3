"""File: sound and picture of any file that FFmpeg opens, played in real time.

A film is a broadcast: it starts with the first frame that anybody takes, sound and picture keep
one common time, and who comes later (a picture added to a call that began with sound) joins where
the film is by then.  Decoding runs on threads, a few frames ahead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ringline.media.errors import SourceError
from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame, VideoFrame
from ringline.media.io_file_decode import FileLength, read_pictures, read_sound
from ringline.media.io_file_inspect import FileFacts, PictureLimits, inspect_file
from ringline.media.source import AudioSource, Cadence, Timeline, VideoSource
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["FileSource"]

T = TypeVar("T")

_FRAME_INTERVAL: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE
_PICTURES_AHEAD: Final = 6
"""Decoded at a time: 200 ms of film cover the wait for a busy thread; 8 MB at 1280x720."""

_BLOCKS_AHEAD: Final = 25
"""Half a second of sound: 48 kB, and few changes of thread."""


class FileSource:
    """A film as camera and microphone.

    Opens the file at once to look into it (some milliseconds; on the calling thread).

    Args:
        path: Any file that FFmpeg opens.
        loop: Begin again at the end, without a gap.
        limits: What pictures are brought down to.
        executor: Where decoding runs, for tests; :obj:`None` for a thread for each kind.

    Raises:
        SourceError: If the file cannot be played; one line that says why.

    """

    def __init__(
        self,
        path: str | Path,
        *,
        loop: bool = True,
        limits: PictureLimits | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._path: Final = Path(path)
        limits = limits or PictureLimits()
        self._facts: Final = inspect_file(self._path, limits)
        facts = self._facts
        # With one kind its own end is the exact one; with two both must agree beforehand.
        length = FileLength(facts.duration if facts.has_audio and facts.has_video else None)
        timeline = Timeline()
        self._audio: _FileAudio | None = None
        self._video: _FileVideo | None = None
        if facts.has_audio:
            self._audio = _FileAudio(
                lambda start: read_sound(self._path, length, loop=loop, start=start),
                Cadence(interval=_FRAME_INTERVAL, timeline=timeline),
                timeline,
                _BLOCKS_AHEAD,
                executor,
            )
        if facts.has_video:
            self._video = _FileVideo(
                lambda start: read_pictures(self._path, limits, length, loop=loop, start=start),
                Cadence(interval=1 / facts.frame_rate, timeline=timeline),
                timeline,
                _PICTURES_AHEAD,
                executor,
                facts=facts,
            )

    @property
    def has_audio(self) -> bool:
        """Whether there is sound in the file."""
        return self._audio is not None

    @property
    def has_video(self) -> bool:
        """Whether there are pictures in the file."""
        return self._video is not None

    @property
    def duration(self) -> float | None:
        """Seconds, as the file tells; :obj:`None` if it does not."""
        return self._facts.duration

    @property
    def audio(self) -> AudioSource:
        """The sound of the film.

        Raises:
            SourceError: If there is none.

        """
        if self._audio is None:
            raise SourceError(f"no sound in {self._path}")
        return self._audio

    @property
    def video(self) -> VideoSource:
        """The pictures of the film.

        Raises:
            SourceError: If there are none.

        """
        if self._video is None:
            raise SourceError(f"no picture in {self._path}")
        return self._video

    async def close(self) -> None:
        """End both parts."""
        for part in (self._audio, self._video):
            if part is not None:
                await part.close()


class _FilePart(Generic[T]):
    """One kind of a film: decodes ahead on a thread, gives frames when they are due.

    Args:
        read: Makes an endless or ending iterator of (media time, item) from a media time on.
        cadence: Of this kind.
        timeline: Of the film; also the cadence's.
        ahead: Items decoded at a time.
        executor: Where to decode, or :obj:`None` for a thread of its own.

    """

    def __init__(
        self,
        read: Callable[[float], Iterator[tuple[float, T]]],
        cadence: Cadence,
        timeline: Timeline,
        ahead: int,
        executor: Executor | None,
    ) -> None:
        self._read: Final = read
        self._cadence: Final = cadence
        self._timeline: Final = timeline
        self._ahead: Final = ahead
        self._executor: Final = executor
        self._closed = False

    @property
    def skipped(self) -> int:
        """Frames left out because this program was too slow for them."""
        return self._cadence.skipped

    async def close(self) -> None:
        """End the stream at its next frame."""
        self._closed = True

    async def _items(self) -> AsyncIterator[tuple[T, float]]:
        """Give each item when it is due, with the loop's time."""
        loop = asyncio.get_running_loop()
        executor = self._executor or ThreadPoolExecutor(1, thread_name_prefix="file")
        items = self._read(self._timeline.position(loop.time()))
        ready: deque[tuple[float, T]] = deque()
        fetch: asyncio.Future[list[tuple[float, T]]] | None = None
        try:
            while not self._closed:
                if fetch is None and len(ready) <= self._ahead // 2:
                    fetch = loop.run_in_executor(executor, self._next_items, items)
                if fetch is not None and (fetch.done() or not ready):
                    ready.extend(await fetch)
                    fetch = None
                if not ready:
                    return
                media_time, item = ready.popleft()
                departure = self._cadence.schedule(media_time, loop.time())
                if departure is None:
                    continue
                await asyncio.sleep(max(0.0, departure - loop.time()))
                now = loop.time()
                self._cadence.handle_departure(now)
                yield item, now
        finally:
            if fetch is not None:  # what it still brings, or fails with, is of no use any more
                fetch.add_done_callback(lambda done: done.cancelled() or done.exception())
            executor.submit(_close_iterator, items)
            if executor is not self._executor:
                executor.shutdown(wait=False)

    def _next_items(self, items: Iterator[tuple[float, T]]) -> list[tuple[float, T]]:
        return list(islice(items, self._ahead))


class _FileAudio(_FilePart[NDArray[np.int16]]):
    """The sound of a film; an :class:`AudioSource`."""

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Give the sound, joining the film where it is now."""
        async for samples, now in self._items():
            yield AudioFrame(samples, now)


class _FileVideo(_FilePart[NDArray[np.uint8]]):
    """The pictures of a film; a :class:`VideoSource`."""

    def __init__(
        self,
        read: Callable[[float], Iterator[tuple[float, NDArray[np.uint8]]]],
        cadence: Cadence,
        timeline: Timeline,
        ahead: int,
        executor: Executor | None,
        *,
        facts: FileFacts,
    ) -> None:
        super().__init__(read, cadence, timeline, ahead, executor)
        self.width: Final = facts.width
        self.height: Final = facts.height
        self.frame_rate: Final = facts.frame_rate

    async def frames(self) -> AsyncIterator[VideoFrame]:
        """Give the pictures, joining the film where it is now."""
        async for planes, now in self._items():
            yield VideoFrame(planes, now)


def _close_iterator(items: Iterator[object]) -> None:
    """Close a generator, and with it the file, on the thread that ran it."""
    close = getattr(items, "close", None)
    if close is not None:
        close()
