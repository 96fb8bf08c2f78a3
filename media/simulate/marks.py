"""Marks: pictures and sounds that carry their number.

So what arrives can be told from what was sent, whatever codec was between.

A picture has its number in a strip along its top, 2/45 of its height (16 rows of 360): 16 blocks
from left to right, the highest bit first, white for 1.  Under it a second strip says whether the
picture is whole: a simulated decoder paints it white where it decoded over a hole.  Both survive
scaling and a real codec, as blocks are large and read in their middle.

A sound of 20 ms has its number as its level.  Concealment made of it has the level below zero,
silence is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringline.media.frames import AUDIO_FRAME_SAMPLES

__all__ = [
    "PICTURE_NUMBERS",
    "SOUND_NUMBERS",
    "PictureMark",
    "make_picture",
    "make_sound",
    "read_picture",
    "read_sound",
]

PICTURE_NUMBERS: Final = 1 << 16
"""Picture numbers wrap here: after 36 minutes at 30 a second."""

SOUND_NUMBERS: Final = 32_000
"""Sound numbers wrap here: after 10 minutes."""

_BITS: Final = 16
_STRIP: Final = 2 / 45  # of the height
_BLACK, _WHITE = 16, 235  # the limits of video luma (ITU-R BT.601)
_MIDDLE: Final = 126


@dataclass(slots=True, frozen=True)
class PictureMark:
    """What a picture says of itself.

    Attributes:
        number: 0 to 65535.
        intact: Everything that it was predicted from had arrived.

    """

    number: int
    intact: bool = True


def make_picture(
    number: int, width: int = 640, height: int = 360, *, intact: bool = True
) -> NDArray[np.uint8]:
    """Return I420 planes as :class:`~ringline.media.frames.VideoFrame` has them, marked.

    Args:
        number: Of the picture; it wraps.
        width: At least 32, even.
        height: At least 64, even.
        intact: What the second strip says.

    Raises:
        ValueError: If the sides do not fit.

    """
    if width < 32 or height < 64 or width % 2 or height % 2:
        raise ValueError(f"sides must be even and at least 32x64, got {width}x{height}")
    planes = np.zeros((height * 3 // 2, width), np.uint8)
    number %= PICTURE_NUMBERS
    first, second = round(height * _STRIP), round(height * _STRIP * 2)
    edges = [width * bit // _BITS for bit in range(_BITS + 1)]
    for bit in range(_BITS):
        is_one = number >> (_BITS - 1 - bit) & 1
        planes[:first, edges[bit] : edges[bit + 1]] = _WHITE if is_one else _BLACK
    planes[first:second] = _BLACK if intact else _WHITE
    return planes


def read_picture(planes: NDArray[np.uint8]) -> PictureMark:
    """Read the mark of a picture, perhaps scaled and roughened by a codec since it was made."""
    rows, width = planes.shape
    height = rows * 2 // 3
    row = planes[int(height * _STRIP * 0.5)]
    number = 0
    for bit in range(_BITS):
        middle = (2 * bit + 1) * width // (2 * _BITS)
        number = number << 1 | int(row[middle] > _MIDDLE)
    intact = planes[int(height * _STRIP * 1.5), width // 2] <= _MIDDLE
    return PictureMark(number, bool(intact))


def make_sound(number: int) -> NDArray[np.int16]:
    """Return 20 ms at the level of ``number``, which wraps: ``int16`` of shape ``(960,)``."""
    return np.full(AUDIO_FRAME_SAMPLES, 1 + number % SOUND_NUMBERS, np.int16)


def read_sound(samples: NDArray[np.int16]) -> int | None:
    """Return the number of a sound, or :obj:`None` if most of it is concealment or silence."""
    level = int(samples[len(samples) // 2])
    return level - 1 if level > 0 else None
