"""Record: what was seen and heard in a call, without ever holding the call up.

::

    handle_*_frame ──> queue (bounded) ──> thread: place, scale, encode, write
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from pathlib import Path
from typing import Final

import av

from ringline.media.errors import RecordingError
from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.io_record_file import RecordConfig, RecordingFile

__all__ = ["Recorder"]

logger = logging.getLogger(__name__)


class Recorder:
    """An audio and video sink that writes a file.

    Opens the file at once, so a path that cannot be written is known before the call.

    Args:
        path: To write; an existing file is replaced.
        video: Make a track for pictures; one that comes in mid-call needs it, too.
        config: How to write.

    Raises:
        RecordingError: If the file cannot be created.

    """

    def __init__(
        self, path: str | Path, *, video: bool = True, config: RecordConfig | None = None
    ) -> None:
        self._path: Final = Path(path)
        self._config: Final = config or RecordConfig()
        self._writer: Final = RecordingFile(self._path, self._config, video=video)
        self._queue: Final[deque[tuple[AudioFrame | VideoFrame, float]]] = deque()
        self._pictures = 0
        self._changed: Final = threading.Condition()
        self._closing = False
        self._error: str | None = None
        self.dropped_pictures = 0
        """Pictures that came faster than they could be written."""
        self.dropped_sounds = 0
        """Blocks of sound likewise; they are silence in the recording."""
        self._thread: Final = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Frames that are not yet written; near 0 while the disk and the processor keep up."""
        return len(self._queue)

    def handle_audio_frame(self, frame: AudioFrame, now: float) -> None:
        """Record 20 ms heard at ``now``."""
        with self._changed:
            if self._closing or self._error is not None:
                return
            if len(self._queue) - self._pictures >= self._config.max_sounds:
                self.dropped_sounds += 1
                return
            self._queue.append((frame, now))
            self._changed.notify()

    def handle_video_frame(self, frame: VideoFrame, now: float) -> None:
        """Record a picture shown at ``now``."""
        with self._changed:
            if self._closing or self._error is not None:
                return
            if self._pictures >= self._config.max_pictures:
                self.dropped_pictures += 1
                return
            self._pictures += 1
            self._queue.append((frame, now))
            self._changed.notify()

    async def close(self) -> None:
        """Write what waits and end the file.

        Raises:
            RecordingError: If the recording failed on the way, or nothing ever came.

        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)
        if self._error is not None:
            raise RecordingError(self._error)

    def _run(self) -> None:
        try:
            while (item := self._next_item()) is not None:
                frame, now = item
                if isinstance(frame, AudioFrame):
                    self._writer.write_sound(frame.samples, now)
                else:
                    self._writer.write_picture(frame.planes, now)
            self._writer.close()
        except RecordingError as error:
            self._fail(str(error))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._fail(f"recording to {self._path} stopped: {error}")

    def _next_item(self) -> tuple[AudioFrame | VideoFrame, float] | None:
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                self._changed.wait()
            item = self._queue.popleft()
            if isinstance(item[0], VideoFrame):
                self._pictures -= 1
            return item

    def _fail(self, reason: str) -> None:
        with self._changed:
            if not self._closing:  # else close() raises it
                logger.warning("%s", reason)
            self._error = reason
            self._queue.clear()
