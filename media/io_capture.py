"""Capture: the thread that reads a camera or microphone, since FFmpeg's reads block."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import av
from av.container import InputContainer

from ringline.media.errors import DeviceError
from ringline.media.io_devices import Device, input_name
from ringline.media.io_push import Mailbox

__all__ = ["Capture"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_OPEN_TIMEOUT: Final = 10.0
"""Seconds: a camera may have to wake up."""

_READ_TIMEOUT: Final = 5.0
"""Seconds without a frame after which a device counts as gone."""


class Capture(Generic[T]):
    """Reads one device until closed; starts with the first :meth:`start`.

    Args:
        device: What to open.
        wishes: FFmpeg options asked for; a device that refuses them is opened without.
        convert: Turns a decoded frame into what goes into the mailbox; runs on the thread.
        limit: Items that wait at most; the oldest are dropped.

    """

    def __init__(
        self,
        device: Device,
        wishes: dict[str, str],
        convert: Callable[[object], list[T]],
        *,
        limit: int,
    ) -> None:
        self._device: Final = device
        self._wishes: Final = wishes
        self._convert: Final = convert
        self.mailbox: Final[Mailbox[T]] = Mailbox(limit)
        self._closing: Final = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the device on the thread; a failure comes out of the mailbox."""
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._run, name=self._device.kind, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Let go of the device after the frame that is being read."""
        self._closing.set()
        self.mailbox.close()

    def _run(self) -> None:
        device = self._device
        try:
            with self._open() as container:
                for packet in container.demux():
                    for frame in packet.decode():
                        for item in self._convert(frame):
                            self.mailbox.put(item)
                    if self._closing.is_set():
                        return
            reason = "it ended"
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        logger.warning("%s %s stopped: %s", device.kind, device.name, reason)
        self.mailbox.close(DeviceError(f"{device.kind} {device.name} stopped: {reason}"))

    def _open(self) -> InputContainer:
        device = self._device
        name, timeout = input_name(device), (_OPEN_TIMEOUT, _READ_TIMEOUT)
        try:
            return av.open(name, format=device.format, options=self._wishes, timeout=timeout)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            logger.debug("%s refuses %s: %s", device.name, self._wishes, error)
            return av.open(name, format=device.format, timeout=timeout)
