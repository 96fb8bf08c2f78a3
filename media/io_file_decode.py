"""Decode a file: the blocking half of :mod:`ringline.media.io_file`, run on a thread.

Each reader opens the file for itself, so that sound which nobody takes never holds up pictures.
Both wrap round after the same length, so they stay together loop after loop.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ringline.media.convert import SampleGrouper, SoundConverter, i420_planes, rotate
from ringline.media.errors import SourceError
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.io_file_inspect import (
    PictureLimits,
    find_audio,
    find_video,
    native_rate,
    open_film,
    picture_size,
)
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["FileLength", "read_pictures", "read_sound"]

logger = logging.getLogger(__name__)

_LONGEST_GAP: Final = 10 * AUDIO_CLOCK_RATE
"""Samples of silence that a hole in a file's timestamps may ask for; more is a broken file."""

_SEEK_ABOVE: Final = 2.0
"""Seconds: nearer places are reached by decoding on from the start."""

_BIG_PICTURE: Final = 1280 * 720
"""Pixels above which decoding gets threads of its own; below, one is faster than real time."""


class FileLength:
    """After how many seconds the film begins again; settled once, by whoever knows first.

    Args:
        seconds: The length if it is known from the start.

    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._lock: Final = threading.Lock()

    @property
    def seconds(self) -> float | None:
        """The settled length, or :obj:`None` before."""
        return self._seconds

    def settle(self, seconds: float) -> float:
        """Return the settled length: ``seconds`` if there was none."""
        with self._lock:
            if self._seconds is None:
                self._seconds = seconds
            return self._seconds


def read_pictures(
    path: Path, limits: PictureLimits, length: FileLength, *, loop: bool, start: float
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Decode pictures from media time ``start`` on: ``(media time, I420 planes)``.

    Raises:
        SourceError: While iterating, if the file went away or nothing in it can be decoded.

    """
    base, offset = _loops_before(start, length)
    while True:
        end, decoded = 0.0, 0
        with open_film(path) as container:
            stream = find_video(container)
            if stream is None:
                raise SourceError(f"no picture in {path}")
            if stream.width * stream.height > _BIG_PICTURE:
                stream.thread_type = "AUTO"
            width, height = picture_size(stream, limits)
            interval = 1 / native_rate(stream)
            beginning = _beginning(container)
            _seek(container, beginning, offset)
            wanted = offset
            for frame in _decode_pictures(container, stream):
                time = end if frame.pts is None else max(0.0, frame.time - beginning)
                if length.seconds is not None and time >= length.seconds:
                    break
                decoded += 1
                end = max(end, time + interval)
                if time < wanted - interval / 4:
                    continue
                wanted = max(wanted + 1 / limits.max_frame_rate, time)
                upright = rotate(i420_planes(frame, width, height), round(frame.rotation / 90))
                yield base + time, upright
        if decoded == 0 and offset == 0:
            raise SourceError(f"no picture in {path} could be decoded")
        if not loop:
            return
        base, offset = base + length.settle(end), 0.0


def read_sound(
    path: Path, length: FileLength, *, loop: bool, start: float
) -> Iterator[tuple[float, NDArray[np.int16]]]:
    """Decode sound from media time ``start`` on: ``(media time, 960 samples)``, without holes.

    Raises:
        SourceError: While iterating, if the file went away or nothing in it can be decoded.

    """
    base, offset = _loops_before(start, length)
    pending = _TimedBlocks(base + offset)
    while True:
        first = round(base * AUDIO_CLOCK_RATE)  # where this loop begins
        decoded = False
        for position, samples in _sound_once(path, offset):
            decoded = True
            skip = max(0, pending.given - first - position)  # a seek lands before its goal
            end = len(samples)
            if length.seconds is not None:
                end = round((base + length.seconds) * AUDIO_CLOCK_RATE) - first - position
            yield from pending.push(samples[skip : max(0, end)])
        if not decoded and offset == 0:
            raise SourceError(f"no sound in {path} could be decoded")
        if not loop:
            yield from pending.push(np.zeros(AUDIO_FRAME_SAMPLES - 1, np.int16))  # fill the last
            return
        base, offset = base + length.settle((pending.given - first) / AUDIO_CLOCK_RATE), 0.0
        while (missing := round(base * AUDIO_CLOCK_RATE) - pending.given) > 0:
            yield from pending.push(np.zeros(min(missing, AUDIO_FRAME_SAMPLES), np.int16))


class _TimedBlocks:
    """Groups samples into blocks and counts them.

    Args:
        start: Media time of the first sample, in seconds.

    """

    def __init__(self, start: float) -> None:
        self._grouper: Final = SampleGrouper()
        self._start: Final = start
        self._blocks = 0
        self.given: int = round(start * AUDIO_CLOCK_RATE)
        """Media time of the next sample to push, in samples."""

    def push(self, samples: NDArray[np.int16]) -> Iterator[tuple[float, NDArray[np.int16]]]:
        """Add samples; give each block that is full with its media time."""
        self._grouper.push(samples)
        self.given += len(samples)
        while (block := self._grouper.poll()) is not None:
            yield self._start + self._blocks * AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE, block
            self._blocks += 1


def _sound_once(path: Path, offset: float) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Decode the file once, from about ``offset``: ``(sample position in the film, samples)``."""
    converter = SoundConverter()
    with open_film(path) as container:
        stream = find_audio(container)
        if stream is None:
            raise SourceError(f"no sound in {path}")
        beginning = _beginning(container)
        _seek(container, beginning, offset)
        position: int | None = None
        for frame in _decode_sound(container, stream):
            time = None if frame.time is None else frame.time - beginning
            if position is None:
                position = 0 if time is None else max(0, round(time * AUDIO_CLOCK_RATE))
                if offset <= _SEEK_ABOVE:
                    yield 0, np.zeros(min(position, _LONGEST_GAP), np.int16)
            elif time is not None and time * AUDIO_CLOCK_RATE - position > AUDIO_CLOCK_RATE / 10:
                hole = min(round(time * AUDIO_CLOCK_RATE) - position, _LONGEST_GAP)
                yield position, np.zeros(hole, np.int16)
                position += hole
            samples = converter.convert(frame)
            yield position, samples
            position += len(samples)
        if position is not None:
            yield position, converter.flush()


def _loops_before(start: float, length: FileLength) -> tuple[float, float]:
    """Split a media time into the loops that are over and the place in the present one.

    While nobody knows how long the film is, it begins anew.
    """
    if length.seconds is None:
        return start, 0.0
    base = math.floor(start / length.seconds) * length.seconds
    return base, start - base


def _beginning(container: InputContainer) -> float:
    start: int | None = container.start_time
    if start is None:  # PyAV's types do not say so: the file has no timestamps
        return 0.0
    return start / av.time_base


def _seek(container: InputContainer, beginning: float, offset: float) -> None:
    """Go to the last key frame before ``offset``; where that fails, decoding starts at 0."""
    if offset > _SEEK_ABOVE:
        try:
            container.seek(int((beginning + offset) * av.time_base))
        except av.error.FFmpegError as error:
            logger.debug("cannot seek: %s", error)


def _decode_pictures(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decode pictures; damaged packets are left out."""
    for packet in container.demux(stream):
        try:
            yield from stream.decode(packet)
        except av.error.InvalidDataError as error:
            logger.debug("a damaged packet left out: %s", error)


def _decode_sound(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]:
    """Decode sound; damaged packets are left out."""
    for packet in container.demux(stream):
        try:
            yield from stream.decode(packet)
        except av.error.InvalidDataError as error:
            logger.debug("a damaged packet left out: %s", error)
