"""Camera: pictures from a device, by FFmpeg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.convert import fit_size, i420_planes
from ringline.media.frames import VideoFrame
from ringline.media.io_capture import Capture
from ringline.media.io_devices import choose_device

__all__ = ["Camera"]


class Camera:
    """A camera as a source; opened when the first frame is asked for.

    Args:
        name: As :func:`~ringline.media.io_devices.list_devices` has it; :obj:`None` for the best.
        width: Asked for; the device may give something else, which is scaled down into this.
        height: Likewise.
        frame_rate: Asked for.

    Raises:
        DeviceError: If there is no camera.

    """

    def __init__(
        self,
        name: str | None = None,
        *,
        width: int = 640,
        height: int = 360,
        frame_rate: float = 30.0,
    ) -> None:
        self.width: Final = width
        self.height: Final = height
        self.frame_rate: Final = frame_rate
        device = choose_device("camera", name)
        wishes = {"video_size": f"{width}x{height}", "framerate": f"{frame_rate:g}"}
        self._capture: Final[Capture[NDArray[np.uint8]]] = Capture(
            device, wishes, self._convert, limit=2
        )

    async def frames(self) -> AsyncIterator[VideoFrame]:
        """Give the pictures as they come.

        Raises:
            DeviceError: If the camera cannot be opened or stops.

        """
        loop = asyncio.get_running_loop()
        self._capture.start()
        while (planes := await self._capture.mailbox.take()) is not None:
            yield VideoFrame(planes, loop.time())

    async def close(self) -> None:
        """Let go of the camera."""
        self._capture.close()

    def _convert(self, frame: object) -> list[NDArray[np.uint8]]:
        if not isinstance(frame, av.VideoFrame):
            return []
        size = fit_size(frame.width, frame.height, max_width=self.width, max_height=self.height)
        return [i420_planes(frame, *size)]
