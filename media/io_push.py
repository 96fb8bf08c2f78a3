"""Push: sources whose frames a program sends, and the mailbox they share with devices.

A program's own loop, of any thread, decides when there is a frame; what is not taken in time is
dropped, the oldest first, for an old picture is worth less than a new one.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ringline.media.convert import SampleGrouper
from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame, PixelFormat, VideoFrame
from ringline.media.source import Cadence
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["Mailbox", "NumpyAudio", "NumpyVideo"]

T = TypeVar("T")

_FRAME_INTERVAL: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE


class Mailbox(Generic[T]):
    """A bounded queue from any thread to one loop; when full it forgets its oldest item.

    Args:
        limit: Items that wait at most.

    """

    def __init__(self, limit: int) -> None:
        self._items: Final[deque[T]] = deque()
        self._limit: Final = limit
        self._lock: Final = threading.Lock()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._closed = False
        self._error: Exception | None = None
        self.dropped = 0
        """Items that nobody took in time."""

    def put(self, item: T) -> None:
        """Append an item; never blocks.  After :meth:`close` it is ignored."""
        with self._lock:
            if self._closed:
                return
            if len(self._items) >= self._limit:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
        self._wake()

    def close(self, error: Exception | None = None) -> None:
        """End the iterator once the waiting items are taken; raise ``error`` there if given."""
        with self._lock:
            self._closed = True
            self._error = self._error or error
        self._wake()

    async def take(self) -> T | None:
        """Wait for the next item; :obj:`None` after the last one."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if self._items:
                    return self._items.popleft()
                if self._error is not None:
                    raise self._error
                if self._closed:
                    return None
                event = asyncio.Event()
                self._waiter = (loop, event)
            await event.wait()

    def _wake(self) -> None:
        with self._lock:
            waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter[0].is_closed():
            waiter[0].call_soon_threadsafe(waiter[1].set)


class NumpyVideo:
    """A source of the pictures that a program sends.

    Args:
        width: A hint for whoever asks before the first picture; each may have its own size.
        height: Likewise.
        frame_rate: The most pictures a second that the program means to send.
        limit: Pictures that wait at most; 2 keeps the delay below two frames.

    """

    def __init__(
        self, width: int = 640, height: int = 360, *, frame_rate: float = 30.0, limit: int = 2
    ) -> None:
        self.width: Final = width
        self.height: Final = height
        self.frame_rate: Final = frame_rate
        self._mailbox: Final[Mailbox[VideoFrame]] = Mailbox(limit)

    @property
    def dropped(self) -> int:
        """Pictures that were not taken in time."""
        return self._mailbox.dropped

    def send(
        self,
        array: NDArray[np.uint8],
        *,
        format: PixelFormat = "rgb24",  # noqa: A002 - PyAV's word
    ) -> None:
        """Send a picture now; from any thread, never blocks.

        Args:
            array: ``uint8`` pixels of shape ``(height, width, 3)``, for ``gray`` without the 3;
                even sides.  It is converted before this returns and may be used again.
            format: What the last axis means.

        Raises:
            ValueError: If the array does not fit.

        """
        self._mailbox.put(VideoFrame.from_ndarray(array, format=format))

    async def frames(self) -> AsyncIterator[VideoFrame]:
        """Give the pictures as they come."""
        loop = asyncio.get_running_loop()
        while (frame := await self._mailbox.take()) is not None:
            yield VideoFrame(frame.planes, loop.time())

    async def close(self) -> None:
        """End the stream after the pictures that wait."""
        self._mailbox.close()


class NumpyAudio:
    """A source of the sound that a program sends, in pieces of any length.

    It is given on 20 ms at a time in real time, however it comes.  When the program falls behind
    there is a hole, as with a microphone that was pulled out.

    Args:
        limit: Seconds of sound that wait at most; what comes above drops the oldest.

    """

    def __init__(self, *, limit: float = 2.0) -> None:
        self._mailbox: Final[Mailbox[NDArray[np.int16]]] = Mailbox(
            max(1, round(limit / _FRAME_INTERVAL))
        )
        self._grouper: Final = SampleGrouper()
        self._lock: Final = threading.Lock()

    @property
    def dropped(self) -> int:
        """Blocks of 20 ms that were not taken in time."""
        return self._mailbox.dropped

    def send(self, samples: NDArray[np.int16]) -> None:
        """Send sound: ``int16``, mono, 48 kHz, of shape ``(n,)``; from any thread, never blocks.

        Raises:
            ValueError: If type or shape do not fit.

        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise ValueError(f"expected int16 of shape (n,), got {samples.dtype} {samples.shape}")
        with self._lock:
            self._grouper.push(samples.copy())
            while (block := self._grouper.poll()) is not None:
                self._mailbox.put(block)

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Give the sound 20 ms at a time."""
        loop = asyncio.get_running_loop()
        cadence, index = Cadence(interval=_FRAME_INTERVAL), 0
        while (block := await self._mailbox.take()) is not None:
            departure = cadence.schedule(index * _FRAME_INTERVAL, loop.time())
            if departure is None:  # the program paused; time goes on from this block
                cadence, index = Cadence(interval=_FRAME_INTERVAL), 0
                departure = cadence.schedule(0.0, loop.time())
            if departure is not None and departure > loop.time():
                await asyncio.sleep(departure - loop.time())
            index += 1
            cadence.handle_departure(loop.time())
            yield AudioFrame(block, loop.time())

    async def close(self) -> None:
        """End the stream after the sound that waits."""
        self._mailbox.close()
