"""Synthetic sources: :mod:`ringline.media.synthetic` and its voice, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame, VideoFrame
from ringline.media.source import Cadence
from ringline.media.synthetic import MovingPicture
from ringline.media.synthetic_voice import Voice
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["SyntheticVideo", "SyntheticVoice"]

_FRAME_INTERVAL: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE


class SyntheticVideo:
    """The moving picture as a camera; the numbers of frames that came too late are left out.

    Args:
        width: Pixels across, even, at least 64.
        height: Pixels down, even, at least 64.
        frame_rate: Pictures a second.
        seed: Decides what it looks like.

    Raises:
        ValueError: If the size or rate does not fit.

    """

    def __init__(
        self, width: int = 640, height: int = 360, *, frame_rate: float = 30.0, seed: int = 0
    ) -> None:
        self.width: Final = width
        self.height: Final = height
        self.frame_rate: Final = frame_rate
        self._picture: Final = MovingPicture(width, height, frame_rate=frame_rate, seed=seed)
        self._number = 0
        self._closed = False

    async def frames(self) -> AsyncIterator[VideoFrame]:
        """Give the pictures; a second iterator goes on where the first one stopped."""
        loop = asyncio.get_running_loop()
        interval = 1 / self.frame_rate
        cadence, first = Cadence(interval=interval), self._number
        while not self._closed:
            departure = cadence.schedule((self._number - first) * interval, loop.time())
            if departure is not None:
                planes = self._picture.draw(self._number)
                await asyncio.sleep(max(0.0, departure - loop.time()))
                now = loop.time()
                cadence.handle_departure(now)
                self._number += 1
                yield VideoFrame(planes, now)
            else:
                self._number += 1

    async def close(self) -> None:
        """End the stream."""
        self._closed = True


class SyntheticVoice:
    """The voice as a microphone.

    Args:
        seed: Decides what is said, and how high the voice lies.

    """

    def __init__(self, seed: int = 0) -> None:
        self._voice: Final = Voice(seed)
        self._closed = False

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Give the sound; a second iterator goes on where the first one stopped."""
        loop = asyncio.get_running_loop()
        cadence, index = Cadence(interval=_FRAME_INTERVAL), 0
        while not self._closed:
            departure = cadence.schedule(index * _FRAME_INTERVAL, loop.time())
            index += 1
            if departure is not None:
                await asyncio.sleep(max(0.0, departure - loop.time()))
                now = loop.time()
                cadence.handle_departure(now)
                yield AudioFrame(self._voice.next_block(), now)

    async def close(self) -> None:
        """End the stream."""
        self._closed = True
