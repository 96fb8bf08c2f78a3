"""Look into a file: what is in it, can it be decoded, and if not, why, in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.video.stream import VideoStream

from ringline.media.convert import fit_size
from ringline.media.errors import SourceError

__all__ = [
    "FileFacts",
    "PictureLimits",
    "find_audio",
    "find_video",
    "inspect_file",
    "native_rate",
    "open_film",
    "picture_size",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """What pictures are brought down to."""

    max_width: int = 1280
    """Pixels across: more than a call's path and a peer's processor usually carry."""

    max_height: int = 720
    """Pixels down, likewise."""

    max_frame_rate: float = 30.0
    """Pictures a second, likewise; surplus ones are left out evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What is in a file.

    Attributes:
        has_audio: There is sound that can be decoded.
        has_video: There are pictures that can be decoded; a cover picture does not count.
        width: Of pictures as they will be given, pixels, but before a film that lies on its
            side (a telephone's) is turned upright; 0 without.
        height: Likewise.
        frame_rate: Pictures a second as they will be given; 0 without.
        duration: Seconds as the container tells, or :obj:`None`.

    """

    has_audio: bool
    has_video: bool
    width: int
    height: int
    frame_rate: float
    duration: float | None


def inspect_file(path: Path, limits: PictureLimits) -> FileFacts:
    """Open a file, look what is in it and close it.

    Raises:
        SourceError: If it cannot be played; one line that says why.

    """
    with open_film(path) as container:
        video, audio = find_video(container), find_audio(container)
        for kind, stream, decodable in (
            ("picture", video, video is not None and _has_decoder(video)),
            ("sound", audio, audio is not None and _has_decoder(audio)),
        ):
            if stream is not None and not decodable:
                raise SourceError(f"no decoder here for the codec of the {kind} in {path}")
        if video is None and audio is None:
            raise SourceError(f"neither picture nor sound in {path}")
        width, height, rate = 0, 0, 0.0
        if video is not None:
            width, height = picture_size(video, limits)
            rate = min(limits.max_frame_rate, native_rate(video))
        duration = None if container.duration is None else container.duration / av.time_base
        return FileFacts(
            has_audio=audio is not None,
            has_video=video is not None,
            width=width,
            height=height,
            frame_rate=rate,
            duration=duration if duration and duration > 0 else None,
        )


@contextmanager
def open_film(path: Path) -> Iterator[InputContainer]:
    """Open a file, and close it at the end of the ``with``.

    Raises:
        SourceError: If FFmpeg cannot open it; one line that says why.

    """
    if path.is_dir():
        raise SourceError(f"expected a media file, but this is a folder: {path}")
    try:
        container = av.open(f"file:{path}", "r")  # a name like "http:x" is still a file's
    except FileNotFoundError:
        raise SourceError(f"no such file: {path}") from None
    except PermissionError:
        raise SourceError(f"not allowed to read {path}") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        logger.debug("opening failed: %s", error)
        raise SourceError(f"not a media file that FFmpeg understands: {path}") from None
    with container:
        yield container


def find_video(container: InputContainer) -> VideoStream | None:
    """Return the first stream of pictures that move."""
    attached = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & attached:
            return stream
    return None


def find_audio(container: InputContainer) -> AudioStream | None:
    """Return the first stream of sound."""
    return next(iter(container.streams.audio), None)


def _has_decoder(stream: VideoStream | AudioStream) -> bool:
    context: CodecContext | None = stream.codec_context
    if context is None:  # PyAV's types do not say so: FFmpeg knows the codec by name only
        return False
    return context.is_decoder


def native_rate(stream: VideoStream) -> float:
    """Return how many pictures a second there are, as far as the file tells; 1 to 240."""
    rate = stream.average_rate or stream.guessed_rate
    return min(240.0, max(1.0, float(rate))) if rate else 30.0


def picture_size(stream: VideoStream, limits: PictureLimits) -> tuple[int, int]:
    """Return the size to scale to, with square pixels."""
    ratio = stream.sample_aspect_ratio
    width = round(stream.width * ratio) if ratio else stream.width
    if not width or not stream.height:
        return limits.max_width, limits.max_height
    return fit_size(width, stream.height, max_width=limits.max_width, max_height=limits.max_height)
