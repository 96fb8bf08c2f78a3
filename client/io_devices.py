"""Devices of a call: the real microphone and camera where there are any, synthetic ones where not.

A machine without devices (a server, a test) can make calls that are heard and seen all the same.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass

from ringline.client.source_choice import Origin, SourceChoice
from ringline.media.errors import DeviceError, SourceError
from ringline.media.io_camera import Camera
from ringline.media.io_file import FileSource
from ringline.media.io_microphone import Microphone
from ringline.media.io_synthetic import SyntheticVideo, SyntheticVoice
from ringline.media.source import AudioSource, VideoSource

__all__ = ["OpenSources", "default_camera", "default_microphone", "open_sources"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenSources:
    """What a call sends.

    Attributes:
        notes: What a person should know, one line each: a device that is missing, for one.

    """

    audio: AudioSource | None
    video: VideoSource | None
    notes: tuple[str, ...]

    async def close(self) -> None:
        """Let go of files and devices."""
        for source in (self.audio, self.video):
            if source is not None:
                await source.close()


def default_microphone() -> AudioSource:
    """Return the best microphone, or a synthetic voice where there is none."""
    try:
        return Microphone()
    except DeviceError as error:
        logger.info("%s; a synthetic voice speaks instead", error)
        return SyntheticVoice()


def default_camera() -> VideoSource:
    """Return the best camera, or a synthetic moving picture where there is none."""
    try:
        return Camera()
    except DeviceError as error:
        logger.info("%s; a moving picture is shown instead", error)
        return SyntheticVideo()


def open_sources(audio: SourceChoice, video: SourceChoice, *, name: str) -> OpenSources:
    """Open what was chosen.  May block for some milliseconds: files are looked into.

    Args:
        audio: The sound; ``auto`` and a film without sound fall back to a synthetic voice.
        video: The picture; ``auto`` falls back to a synthetic one.
        name: Whose they are: synthetic sources of two people differ.

    Raises:
        SourceError: If a file is not there, or has nothing of the kind asked for.
        DeviceError: If a device was asked for by name or kind and is not there.

    """
    notes: list[str] = []
    films: dict[str, FileSource] = {}
    seed = zlib.crc32(name.encode()) & 0xFFFF
    picture = _open_video(video, films, notes, seed)
    sound = _open_audio(audio, films, notes, seed, of_film=audio == video)
    return OpenSources(sound, picture, tuple(notes))


def _open_audio(
    choice: SourceChoice,
    films: dict[str, FileSource],
    notes: list[str],
    seed: int,
    *,
    of_film: bool,
) -> AudioSource | None:
    match choice.origin:
        case Origin.NONE:
            return None
        case Origin.SYNTHETIC:
            return SyntheticVoice(seed)
        case Origin.DEVICE:
            return Microphone(choice.name or None)
        case Origin.FILE:
            film = _open_film(choice.name, films)
            if film.has_audio or not of_film:
                return film.audio
            notes.append(f"no sound in {choice.name}; a synthetic voice speaks instead")
            return SyntheticVoice(seed)
        case Origin.AUTO:
            try:
                return Microphone()
            except DeviceError as error:
                notes.append(f"{error}; a synthetic voice speaks instead")
                return SyntheticVoice(seed)


def _open_video(
    choice: SourceChoice, films: dict[str, FileSource], notes: list[str], seed: int
) -> VideoSource | None:
    match choice.origin:
        case Origin.NONE:
            return None
        case Origin.SYNTHETIC:
            return SyntheticVideo(seed=seed)
        case Origin.DEVICE:
            return Camera(choice.name or None)
        case Origin.FILE:
            film = _open_film(choice.name, films)
            if not film.has_video:
                raise SourceError(
                    f"no picture in {choice.name}; to send its sound alone: "
                    f"--audio {choice.name} --video none"
                )
            return film.video
        case Origin.AUTO:
            try:
                return Camera()
            except DeviceError as error:
                notes.append(f"{error}; a moving picture is shown instead")
                return SyntheticVideo(seed=seed)


def _open_film(path: str, films: dict[str, FileSource]) -> FileSource:
    """Return one source for one file, so that its sound and picture keep one time."""
    if path not in films:
        films[path] = FileSource(path)
    return films[path]
