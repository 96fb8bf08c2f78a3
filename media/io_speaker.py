"""Speaker: sound to a device, by FFmpeg: ALSA on Linux, AudioToolbox on macOS, none on Windows."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from fractions import Fraction
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.errors import DeviceError
from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame
from ringline.media.io_devices import choose_device
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["Speaker"]

logger = logging.getLogger(__name__)

_LIMIT: Final = 10
"""Blocks of 20 ms that wait at most; a device that is slower than that loses sound, not time."""


class Speaker:
    """A speaker as a sink; opened with the first sound.

    Args:
        name: As :func:`~ringline.media.io_devices.list_devices` has it; :obj:`None` for the best.

    Raises:
        DeviceError: If there is no speaker, or no way to one on this system.

    """

    def __init__(self, name: str | None = None) -> None:
        self._device: Final = choose_device("speaker", name)
        self._queue: Final[queue.Queue[NDArray[np.int16] | None]] = queue.Queue()
        self._error: str | None = None
        self._closing = False
        self.dropped = 0
        """Blocks that the device was too slow for."""
        self.played = 0
        """Blocks that the device took."""
        self._thread: Final = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    def handle_audio_frame(self, frame: AudioFrame, now: float) -> None:  # noqa: ARG002 - AudioSink
        """Play 20 ms as soon as the device takes them."""
        if self._closing or self._error is not None or self._queue.qsize() >= _LIMIT:
            self.dropped += 1
            return
        self._queue.put(frame.samples)

    async def close(self) -> None:
        """Play what waits and let go of the device.

        Raises:
            DeviceError: If it failed on the way.

        """
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._error is not None:
            raise DeviceError(self._error)

    def _run(self) -> None:
        samples = self._queue.get()
        if samples is None:
            return
        try:
            with av.open(self._device.name, "w", format=self._device.format) as container:
                track = container.add_stream("pcm_s16le", rate=AUDIO_CLOCK_RATE)
                track.layout = "mono"
                while samples is not None:
                    sound = av.AudioFrame.from_ndarray(
                        samples[None, :], format="s16", layout="mono"
                    )
                    sound.sample_rate = AUDIO_CLOCK_RATE
                    sound.pts = self.played * AUDIO_FRAME_SAMPLES
                    sound.time_base = Fraction(1, AUDIO_CLOCK_RATE)
                    container.mux(track.encode(sound))
                    self.played += 1
                    samples = self._queue.get()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._error = f"speaker {self._device.name} stopped: {reason}"
            logger.warning("%s", self._error)
