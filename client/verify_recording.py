"""Verify a recording: did picture and sound really come through?

The demo decides its exit code by this, tests assert on it.  It looks at what a person would
notice: pictures that change, and sound that rises and falls as speech does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.convert import SampleGrouper, SoundConverter
from ringline.media.errors import RecordingError
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["RecordingFacts", "inspect_recording"]

_THUMBNAIL: Final = (160, 90)
_PIXEL_STEP: Final = 10
"""Luma by which a pixel must differ to count as changed: above what recoding a still picture
gives."""

_CHANGED_SHARE: Final = 0.001
"""Of the thumbnail's pixels: 15, a mouth that moves."""

_FREEZE: Final = 0.5
"""Seconds without change that count as frozen and not as moving."""

_SOUND_LEVEL: Final = 10 ** (-45 / 20) * 32768
"""Root mean square of a block that is heard: 45 dB below full scale, above room noise."""

_PAUSE: Final = 1.0
"""Seconds of quiet that belong to speech: between sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """What is in a recording.

    Attributes:
        duration: Seconds from the first frame of either kind to the end of the last.
        width: Pixels; 0 without pictures.
        height: Likewise.
        frames: Pictures.
        moving_frames: Pictures that differ from the one before.
        moving_seconds: Time in which pictures changed at least each half second.
        longest_freeze: Longest time between two pictures that differ, in seconds.
        sound_seconds: Sum of all 20 ms that are heard (above -45 dBFS).
        speech_seconds: Likewise with pauses of up to a second counted in; 0 for sound as even as
            a tone or a hum: its level (100 ms) must vary by 6 dB or more.
        level_variation: How far the level of 100 ms pieces swings while sound is heard, in dB
            (5th to 95th percentile): 0 for a tone, 15 to 40 for speech.

    """

    duration: float
    width: int
    height: int
    frames: int
    moving_frames: int
    moving_seconds: float
    longest_freeze: float
    sound_seconds: float
    speech_seconds: float
    level_variation: float


def inspect_recording(path: str | Path) -> RecordingFacts:
    """Decode a whole recording; takes about a second for each minute.  Blocks.

    Raises:
        RecordingError: If the file is missing or cannot be decoded; one line.

    """
    motion, sound = _Motion(), _Sound()
    width, height, end, begin = 0, 0, 0.0, float("inf")
    try:
        with av.open(f"file:{path}") as container:
            for packet in container.demux():
                if packet.stream.type not in {"audio", "video"}:
                    continue
                for frame in packet.decode():
                    if isinstance(frame, av.VideoFrame):
                        width, height = frame.width, frame.height
                        motion.handle_picture(frame)
                        length = 0.0
                    elif isinstance(frame, av.AudioFrame):
                        length = frame.samples / frame.sample_rate
                        sound.handle_sound(frame)
                    else:
                        continue
                    if frame.time is not None:
                        begin, end = min(begin, frame.time), max(end, frame.time + length)
    except FileNotFoundError:
        raise RecordingError(f"no such recording: {path}") from None
    except (av.error.FFmpegError, OSError) as error:
        raise RecordingError(f"cannot decode the recording {path}: {error}") from None
    return RecordingFacts(
        duration=max(0.0, end - begin),
        width=width,
        height=height,
        frames=motion.frames,
        moving_frames=motion.moving_frames,
        moving_seconds=motion.moving_seconds,
        longest_freeze=motion.longest_freeze,
        sound_seconds=sound.seconds(),
        speech_seconds=sound.speech_seconds(),
        level_variation=sound.variation(),
    )


class _Motion:
    """Compares each picture with the last one that differed, so slow motion adds up."""

    def __init__(self) -> None:
        self.frames = 0
        self.moving_frames = 0
        self.moving_seconds = 0.0
        self.longest_freeze = 0.0
        self._last: NDArray[np.int16] | None = None
        self._last_time = 0.0

    def handle_picture(self, frame: av.VideoFrame) -> None:
        self.frames += 1
        time = self._last_time if frame.pts is None else frame.time
        small = frame.reformat(width=_THUMBNAIL[0], height=_THUMBNAIL[1], format="gray")
        luma = small.to_ndarray().astype(np.int16)
        if self._last is not None:
            gap = time - self._last_time
            self.longest_freeze = max(self.longest_freeze, gap)
            changed = np.abs(luma - self._last) > _PIXEL_STEP
            if changed.mean() < _CHANGED_SHARE:
                return
            self.moving_frames += 1
            if gap <= _FREEZE:
                self.moving_seconds += gap
        self._last, self._last_time = luma, time


class _Sound:
    """Collects the level of each 20 ms."""

    def __init__(self) -> None:
        self._converter: Final = SoundConverter()
        self._grouper: Final = SampleGrouper()
        self._levels: Final[list[float]] = []

    def handle_sound(self, frame: av.AudioFrame) -> None:
        self._grouper.push(self._converter.convert(frame))
        while (block := self._grouper.poll()) is not None:
            self._levels.append(float(np.sqrt(np.mean(block.astype(np.float64) ** 2))))

    def seconds(self) -> float:
        return float((np.array(self._levels) > _SOUND_LEVEL).sum() * _BLOCK_SECONDS)

    def speech_seconds(self) -> float:
        if self.variation() < 6:
            return 0.0
        heard = np.flatnonzero(np.array(self._levels) > _SOUND_LEVEL)
        gaps = np.diff(heard) * _BLOCK_SECONDS
        return float(gaps[gaps <= _PAUSE].sum() + _BLOCK_SECONDS)

    def variation(self) -> float:
        """Return the swing of the level between the first and the last block that is heard."""
        levels = np.array(self._levels)
        heard = np.flatnonzero(levels > _SOUND_LEVEL)
        if len(heard) == 0:
            return 0.0
        within = levels[heard[0] : heard[-1] + 1]
        within = within[: len(within) // 5 * 5]
        if len(within) == 0:
            return 0.0
        pieces = np.sqrt((within.reshape(-1, 5) ** 2).mean(axis=1)) + 1.0
        low, high = np.percentile(20 * np.log10(pieces), [5, 95])
        return float(high - low)


_BLOCK_SECONDS: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE
