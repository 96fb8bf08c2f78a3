"""Material: what the two people of a measured call look and sound like.

Pictures are drawn or from a film, voice is synthetic or from a file; each picture carries its
number in the strip over its top, so that what is shown can be held against what was sent.
"""

# ruff: noqa: INP001 - scripts beside each other, no package

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.convert import SoundConverter, fit_into, i420_planes
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.synthetic import MovingPicture, draw_frame_number
from ringline.media.synthetic_voice import Voice

__all__ = ["Picture", "draw_pictures", "file_voice", "film_pictures", "synthetic_voice"]

Picture = Callable[[int], NDArray[np.uint8]]
"""Gives picture ``number``: I420 planes, to be left as they are."""

_LONGEST_FILM: Final = 20.0
"""Seconds that are kept of a film, in memory and raw: 207 MB at 640x360; it then repeats."""


_SENSOR_NOISE: Final = 2.0
"""Standard deviation, in steps of luma: what a webcam has indoors.  Without it a drawing is so
easy to code that all rates look alike."""


def draw_pictures(width: int, height: int, frame_rate: float) -> Picture:
    """Return the synthetic picture, as a camera would see it: with noise."""
    painter = MovingPicture(width, height, frame_rate=frame_rate)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, _SENSOR_NOISE, (height * 2, width)).round().astype(np.int16)

    def picture(number: int) -> NDArray[np.uint8]:
        planes = painter.draw(number)
        shift = number * 7919 % height  # never the same two in a row
        noisy = planes[:height] + noise[shift : shift + height]
        planes[:height] = noisy.clip(0, 255)
        return planes

    return picture


def film_pictures(path: Path, width: int, height: int, frame_rate: float) -> Picture:
    """Return the pictures of a film, scaled to fit, numbered, over and over.

    Raises:
        OSError: If there is no such file, or no pictures in it.

    """
    film: list[NDArray[np.uint8]] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if len(film) >= _LONGEST_FILM * frame_rate:
                break
            planes = fit_into(
                i420_planes(frame, frame.width // 2 * 2, frame.height // 2 * 2), width, height
            )
            seconds = len(film) / frame_rate if frame.pts is None else frame.time
            while len(film) <= seconds * frame_rate + 1e-6:
                film.append(planes)
    if not film:
        raise OSError(f"no pictures in {path.name}")

    def picture(number: int) -> NDArray[np.uint8]:
        planes = film[number % len(film)].copy()
        draw_frame_number(planes, number)
        return planes

    return picture


def synthetic_voice(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    """Return a voice that says nothing, ``int16`` mono at 48 kHz."""
    voice = Voice(seed)
    blocks = round(seconds * 48_000 / AUDIO_FRAME_SAMPLES)
    return np.concatenate([voice.next_block() for _ in range(blocks)])


def file_voice(path: Path, seconds: float) -> NDArray[np.int16]:
    """Return the sound of a file, over and over until it is long enough: as above.

    Raises:
        OSError: If there is no such file, or no sound in it.

    """
    converter = SoundConverter()
    with av.open(str(path)) as container:
        pieces = [converter.convert(frame) for frame in container.decode(audio=0)]
    sound = np.concatenate([*pieces, converter.flush()])
    if not len(sound):
        raise OSError(f"no sound in {path.name}")
    return np.resize(sound, round(seconds * 48_000))
