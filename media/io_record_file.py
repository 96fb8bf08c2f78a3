"""Recording file: Matroska with VP8 and Opus, written by the thread of :mod:`.io_record`.

VP8 because every FFmpeg that comes with PyAV can write it and every browser and player shows it
(with Opus it is what WebM holds).  Matroska because a file that was cut off still plays: data
is on disk about a second after it was played.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ringline.media.convert import fit_into
from ringline.media.errors import RecordingError
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.sink import RecordingTimeline
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["RecordConfig", "RecordingFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConfig:
    """How a recording writes."""

    width: int = 0
    """Of the recording, even; 0 takes the first picture's shape, at least 640 on its long side,
    because a call that begins small may grow and a recording cannot."""

    height: int = 0
    """Likewise; both or none."""

    video_bitrate: int = 3_000_000
    """Ceiling, bits per second: above what a call carries, so the recording loses little more."""

    video_quality: int = 10
    """VP8 quantizer aimed at below the ceiling, 4 to 63: a still picture costs next to nothing."""

    audio_bitrate: int = 64_000
    """Opus, mono: transparent for speech, good for music."""

    patience: float = 3.0
    """Seconds of sound after which the file begins although no picture came; the picture's track
    then has 16:9.  Also how much sound waits in memory for the first picture."""

    max_pictures: int = 30
    """Pictures that wait at most, a second; 10 MB at 640x360.  More are dropped."""

    max_sounds: int = 1500
    """Blocks of sound that wait at most, half a minute; a slow disk must cost pictures first."""


class RecordingFile:
    """Writes a recording; blocks, and is used by one thread at a time.

    Args:
        path: To write; an existing file is replaced.
        config: How to write.
        video: Make a track for pictures.

    Raises:
        RecordingError: If the file cannot be created.

    """

    def __init__(self, path: Path, config: RecordConfig, *, video: bool) -> None:
        self._path: Final = path
        self._config: Final = config
        self._video: Final = video
        self._timeline: Final = RecordingTimeline()
        self._waiting: Final[deque[tuple[int, NDArray[np.int16]]]] = deque()
        self._sound_track: AudioStream | None = None
        self._picture_track: VideoStream | None = None
        self._size = (config.width, config.height)
        self._last_picture: tuple[NDArray[np.uint8], float] | None = None
        self._last_sound = 0.0
        try:
            path.open("wb").close()  # PyAV would find out only when the first frame comes
        except OSError as error:
            raise RecordingError(f"cannot record to {path}: {error.strerror}") from None
        self._container: Final[OutputContainer] = av.open(
            f"file:{path}",
            "w",
            format="matroska",
            # A cluster is written when it is complete: a second is what a crash may cost.
            options={"cluster_time_limit": "1000", "flush_packets": "1"},
            # Sound must not wait in memory for a picture that is frozen.
            container_options={"max_interleave_delta": "500000"},
        )

    def write_sound(self, samples: NDArray[np.int16], now: float) -> None:
        """Write 20 ms heard at ``now``, and silence before if some were missing."""
        self._last_sound = now
        placement = self._timeline.place_sound(now)
        if placement is None:
            return
        for block in range(placement.block - placement.silence, placement.block):
            self._waiting.append((block, np.zeros(AUDIO_FRAME_SAMPLES, np.int16)))
        self._waiting.append((placement.block, samples))
        if self._sound_track is None:
            patience = self._config.patience * AUDIO_CLOCK_RATE / AUDIO_FRAME_SAMPLES
            if self._video and len(self._waiting) < patience:
                return
            self._begin(*((640, 360) if self._video else (0, 0)))
        self._encode_waiting()

    def write_picture(self, planes: NDArray[np.uint8], now: float) -> None:
        """Write a picture shown at ``now``, scaled to the recording's size."""
        if not self._video:
            return
        if self._sound_track is None:
            height, width = planes.shape[0] * 2 // 3, planes.shape[1]
            factor = math.ceil(640 / max(width, height))
            self._begin(width * factor, height * factor)
        self._encode_waiting()
        planes = fit_into(planes, *self._size)
        self._encode_picture(planes, now)
        self._last_picture = (planes, now)

    def close(self) -> None:
        """Hold the last picture for as long as there was sound, then end the file.

        Raises:
            RecordingError: If nothing ever came; the empty file is removed.

        """
        if self._sound_track is None:
            if not self._waiting:
                self._container.close()
                self._path.unlink(missing_ok=True)
                raise RecordingError(f"nothing to record to {self._path}: no frame ever came")
            self._begin(0, 0)
        self._encode_waiting()
        if self._last_picture is not None and self._last_sound - self._last_picture[1] > 0.1:
            self._encode_picture(self._last_picture[0], self._last_sound)
        for track in (self._picture_track, self._sound_track):
            if track is not None:
                self._container.mux(track.encode(None))
        self._container.close()

    def _begin(self, width: int, height: int) -> None:
        """Make the tracks: Matroska wants them all before the first frame."""
        config = self._config
        sound = self._container.add_stream("libopus", rate=AUDIO_CLOCK_RATE)
        sound.layout = "mono"
        sound.bit_rate = config.audio_bitrate
        sound.codec_context.time_base = Fraction(1, AUDIO_CLOCK_RATE)
        sound.options = {"compression_level": "5"}  # half the work of 10, no difference to hear
        self._sound_track = sound
        if not all(self._size):
            self._size = (width, height)
        if not all(self._size):
            return
        picture = self._container.add_stream("libvpx", rate=30)
        picture.width, picture.height = self._size
        picture.pix_fmt = "yuv420p"
        picture.bit_rate = config.video_bitrate
        picture.codec_context.time_base = Fraction(1, 1000)
        picture.codec_context.thread_count = 1  # the call needs the other cores
        picture.codec_context.gop_size = 150  # five seconds: a player can jump
        picture.options = {
            "deadline": "realtime",
            "cpu-used": "16",  # two thirds of the work of 8 for 1 dB: the call comes first
            "crf": str(config.video_quality),
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
        }
        self._picture_track = picture

    def _encode_waiting(self) -> None:
        while self._waiting:
            block, samples = self._waiting.popleft()
            sound = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
            sound.sample_rate = AUDIO_CLOCK_RATE
            sound.pts = block * AUDIO_FRAME_SAMPLES
            sound.time_base = Fraction(1, AUDIO_CLOCK_RATE)
            if self._sound_track is not None:
                self._container.mux(self._sound_track.encode(sound))

    def _encode_picture(self, planes: NDArray[np.uint8], now: float) -> None:
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
        picture.pts = self._timeline.place_picture(now)
        picture.time_base = Fraction(1, 1000)
        if self._picture_track is not None:
            self._container.mux(self._picture_track.encode(picture))
