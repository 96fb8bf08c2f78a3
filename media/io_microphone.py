"""Microphone: sound from a device, by FFmpeg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.convert import SampleGrouper, SoundConverter
from ringline.media.frames import AudioFrame
from ringline.media.io_capture import Capture
from ringline.media.io_devices import choose_device
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["Microphone"]


class Microphone:
    """A microphone as a source; opened when the first frame is asked for.

    Args:
        name: As :func:`~ringline.media.io_devices.list_devices` has it; :obj:`None` for the best.

    Raises:
        DeviceError: If there is no microphone.

    """

    def __init__(self, name: str | None = None) -> None:
        device = choose_device("microphone", name)
        wishes = {"sample_rate": str(AUDIO_CLOCK_RATE), "channels": "1"}
        if device.format != "alsa":
            wishes = {}  # the others have no such options; what they give is resampled
        self._converter: Final = SoundConverter()
        self._grouper: Final = SampleGrouper()
        self._capture: Final[Capture[NDArray[np.int16]]] = Capture(
            device, wishes, self._convert, limit=10
        )

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Give the sound 20 ms at a time, at the device's own pace.

        Raises:
            DeviceError: If the microphone cannot be opened or stops.

        """
        loop = asyncio.get_running_loop()
        self._capture.start()
        while (block := await self._capture.mailbox.take()) is not None:
            yield AudioFrame(block, loop.time())

    async def close(self) -> None:
        """Let go of the microphone."""
        self._capture.close()

    def _convert(self, frame: object) -> list[NDArray[np.int16]]:
        blocks: list[NDArray[np.int16]] = []
        if isinstance(frame, av.AudioFrame):
            self._grouper.push(self._converter.convert(frame))
            while (block := self._grouper.poll()) is not None:
                blocks.append(block)
        return blocks
