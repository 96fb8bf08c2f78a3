"""Synthetic: a moving picture and a voice-like sound from nothing but a seed.

For the demo, for machines without camera and microphone, and for tests that must know what was
sent: each picture carries its number in a strip that survives coding and scaling.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MovingPicture", "draw_frame_number", "read_frame_number"]

_STRIP_BLOCKS: Final = 16
_WHITE: Final = 235
_BLACK: Final = 16
_GLYPHS: Final = "0123456789:. #"


def _strip_rows(height: int) -> int:
    """Rows of the strip: 16 of 360, in proportion, so that a scaled picture reads the same."""
    return max(4, height * 16 // 360)


def draw_frame_number(planes: NDArray[np.uint8], number: int) -> None:
    """Write the low 16 bits of a number over the top of I420 planes.

    16 blocks side by side over the top 16 of 360 rows, most significant bit first, white (235)
    for one and black (16) for zero.
    """
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    rows = _strip_rows(height)
    bits = number >> np.arange(_STRIP_BLOCKS - 1, -1, -1) & 1
    columns = np.arange(width) * _STRIP_BLOCKS // width
    planes[:rows] = np.where(bits[columns], _WHITE, _BLACK)
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    chroma[:, : (rows + 1) // 2] = 128


def read_frame_number(luma: NDArray[np.uint8]) -> int | None:
    """Read the number back from a Y plane of shape ``(height, width)``, of any size.

    Returns:
        0 to 65535, or :obj:`None` where a block is neither white nor black: no strip is there.

    """
    height, width = luma.shape
    rows = _strip_rows(height)
    if width < _STRIP_BLOCKS * 4 or height < rows:
        return None
    middle = luma[rows // 4 : max(rows // 4 + 1, rows * 3 // 4)]
    number = 0
    for block in range(_STRIP_BLOCKS):
        left, right = block * width // _STRIP_BLOCKS, (block + 1) * width // _STRIP_BLOCKS
        quarter = (right - left) // 4
        level = float(middle[:, left + quarter : right - quarter].mean())
        if 90 < level < 160:
            return None
        number = number << 1 | (level >= 160)
    return number


class MovingPicture:
    """A landscape that drifts by, a bouncing ball, a clock: pretty, cheap and hard enough to code.

    All that is slow is drawn once; a frame is a handful of copies (see ``draw``).

    Args:
        width: Pixels across, even, at least 64.
        height: Pixels down, even, at least 64.
        frame_rate: For the clock and the speed of things.
        seed: Of hills, clouds and colours.

    Raises:
        ValueError: If the size or rate does not fit.

    """

    def __init__(self, width: int, height: int, *, frame_rate: float = 30.0, seed: int = 0) -> None:
        if width % 2 or height % 2 or width < 64 or height < 64:
            raise ValueError(f"expected even sides of at least 64, got {width}x{height}")
        if frame_rate <= 0:
            raise ValueError(f"frame rate must be positive, got {frame_rate}")
        self._width: Final = width
        self._height: Final = height
        self._frame_rate: Final = frame_rate
        rng = np.random.default_rng(seed)
        self._sky: Final = _Layer(_paint_sky(rng, width * 2, height))
        hills, mask = _paint_hills(rng, width * 2, height // 2 // 2 * 2)
        self._hills: Final = _Layer(hills, mask)
        self._ball: Final = _Sprite(*_paint_ball(rng, max(8, height // 5 // 2 * 2)))
        self._phase: Final = float(rng.uniform(0, 2 * math.pi))
        self._glyphs: Final = _paint_glyphs(max(10, height // 16))

    def draw(self, number: int) -> NDArray[np.uint8]:
        """Return picture ``number`` as fresh I420 planes (``VideoFrame.planes``)."""
        width, height = self._width, self._height
        out = np.empty((height * 3 // 2, width), np.uint8)
        chroma = out[height:].reshape(2, height // 2, width // 2)
        seconds = number / self._frame_rate
        self._sky.copy_to(out[:height], chroma, int(seconds * width / 40))
        ground = self._hills.height
        self._hills.copy_to(
            out[height - ground : height], chroma[:, -ground // 2 :], int(seconds * width / 8)
        )
        self._draw_ball(out, chroma, seconds)
        self._draw_clock(out, number, seconds)
        draw_frame_number(out, number)
        return out

    def _draw_ball(self, out: NDArray[np.uint8], chroma: NDArray[np.uint8], seconds: float) -> None:
        size = self._ball.size
        across = 0.5 + 0.5 * math.sin(seconds * 0.9 + self._phase)
        bounce = abs(math.sin(seconds * 2.6 + self._phase))
        top_edge = _strip_rows(self._height) + 2
        left = int(across * (self._width - size)) // 2 * 2
        top = int(top_edge + (1 - bounce) * (self._height - size - top_edge)) // 2 * 2
        self._ball.copy_to(out[: self._height], chroma, left, top)

    def _draw_clock(self, out: NDArray[np.uint8], number: int, seconds: float) -> None:
        minutes, rest = divmod(seconds, 60)
        text = f"{int(minutes) % 100:02d}:{int(rest):02d}.{int(rest * 10) % 10} #{number % 65536}"
        glyphs = [self._glyphs[letter] for letter in text]
        left, top = self._width // 40, self._height // 13
        for glyph in glyphs:
            rows, columns = glyph.shape
            window = out[top : top + rows, left : left + columns]
            if window.shape != glyph.shape:  # a picture too narrow for the whole text
                return
            np.maximum(window, glyph, out=window)
            left += columns


class _Layer:
    """A painting that repeats across; a window of it is copied at any place."""

    def __init__(self, rgb: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> None:
        self.height: Final = rgb.shape[0]
        self._period: Final = rgb.shape[1]
        luma, chroma = _to_yuv(rgb)
        self._luma: Final = np.concatenate([luma, luma], axis=1)
        self._chroma: Final = np.concatenate([chroma, chroma], axis=2)
        self._mask: Final = None if mask is None else np.concatenate([mask, mask], axis=1)

    def copy_to(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8], shift: int) -> None:
        """Copy the window that starts ``shift`` pixels in."""
        shift = shift % self._period
        half = shift // 2
        window = self._luma[:, shift : shift + luma.shape[1]]
        chroma_window = self._chroma[:, :, half : half + chroma.shape[2]]
        if self._mask is None:
            luma[:] = window
            chroma[:] = chroma_window
            return
        mask = self._mask[:, shift : shift + luma.shape[1]]
        np.copyto(luma, window, where=mask)
        chroma_mask = self._mask[::2, half * 2 : half * 2 + luma.shape[1] : 2]
        np.copyto(chroma, chroma_window, where=chroma_mask)


class _Sprite:
    """A small painting with a shape, put at even places."""

    def __init__(self, rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        self.size: Final = rgb.shape[0]
        self._luma, self._chroma = _to_yuv(rgb)
        self._mask: Final = mask

    def copy_to(
        self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8], left: int, top: int
    ) -> None:
        size, half = self.size, self.size // 2
        np.copyto(luma[top : top + size, left : left + size], self._luma, where=self._mask)
        window = chroma[:, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
        np.copyto(window, self._chroma, where=self._mask[::2, ::2])


def _to_yuv(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return Y ``(h, w)`` and UV ``(2, h/2, w/2)`` of BT.601, studio range."""
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    chroma = np.stack([u, v])
    quarter = (
        chroma[:, ::2, ::2] + chroma[:, 1::2, ::2] + chroma[:, ::2, 1::2] + chroma[:, 1::2, 1::2]
    )
    return luma.round().astype(np.uint8), (quarter / 4).round().astype(np.uint8)


def _noise(rng: np.random.Generator, width: int, height: int, octaves: int) -> NDArray[np.float32]:
    """Return smooth noise in 0..1 that repeats across: value noise, finer octave by octave."""
    total = np.zeros((height, width), np.float32)
    weight = 0.0
    for octave in range(octaves):
        columns = 4 << octave
        rows = max(2, columns * height // width + 2)
        grid = rng.random((rows, columns)).astype(np.float32)
        grid = np.concatenate([grid, grid[:, :1]], axis=1)
        x = np.linspace(0, columns, width, endpoint=False)
        y = np.linspace(0, rows - 1, height, endpoint=False)
        left, upper = x.astype(int), y.astype(int)
        across, down = _ease(x - left), _ease(y - upper)[:, None]
        top = grid[upper][:, left] * (1 - across) + grid[upper][:, left + 1] * across
        bottom = grid[upper + 1][:, left] * (1 - across) + grid[upper + 1][:, left + 1] * across
        total += (top * (1 - down) + bottom * down).astype(np.float32) * 0.55**octave
        weight += 0.55**octave
    return total / np.float32(weight)


def _ease(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * x * (3 - 2 * x)


def _mix(
    low: tuple[int, int, int], high: tuple[int, int, int], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return colours between two, of shape ``share.shape + (3,)``."""
    ends = np.array([low, high], np.float32)
    mixed: NDArray[np.float32] = ends[0] + (ends[1] - ends[0]) * share[..., None]
    return mixed


def _paint_sky(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None].repeat(width, axis=1)
    sky = _mix((38, 66, 132), (240, 176, 128), down**1.3)
    clouds = np.clip((_noise(rng, width, height, 6) - 0.5) * 4, 0, 1) * (1 - down * 0.6)
    sky += (np.array([250, 244, 236], np.float32) - sky) * clouds[..., None] * 0.75
    return sky.clip(0, 255).astype(np.uint8)


def _paint_hills(
    rng: np.random.Generator, width: int, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return two rows of hills, the near one darker, and where they are."""
    texture = _noise(rng, width, height, 7)
    picture = np.zeros((height, width, 3), np.float32)
    mask = np.zeros((height, width), np.bool_)
    rows = np.arange(height)[:, None]
    for base, swing, dark, light in (
        (0.35, 0.7, (52, 84, 92), (112, 142, 118)),
        (0.6, 0.5, (24, 58, 36), (104, 128, 58)),
    ):
        profile = _noise(rng, width, 2, 4)[0]
        crest = height * (base + (profile - 0.5) * swing)
        here = rows >= crest[None, :]
        picture[here] = _mix(dark, light, np.clip(texture * 1.8 - 0.4, 0, 1))[here]
        mask |= here
    return picture.clip(0, 255).astype(np.uint8), mask


def _paint_ball(rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a shaded ball with stripes, and its disc."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x, y = axis[None, :], axis[:, None]
    radius = np.hypot(x, y)
    light = np.clip(1.05 - np.hypot(x + 0.4, y + 0.45) * 0.62, 0.15, 1)
    hue = (230, 74, 46) if rng.random() < 0.5 else (248, 178, 38)
    stripes = (np.sin((x * 2 + y) * 7) > 0.55)[..., None]
    colour = np.where(stripes, np.array([245, 240, 230]), np.array(hue)) * light[..., None]
    return colour.clip(0, 255).astype(np.uint8), radius <= 1


def _paint_glyphs(size: int) -> dict[str, NDArray[np.uint8]]:
    """Return each letter of the clock as white on black: of one height, digits of one width."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - 5 MB that a camera does not need

    font = ImageFont.load_default(size)
    digit = max(math.ceil(font.getlength(letter)) for letter in "0123456789")
    glyphs = {}
    for letter in _GLYPHS:
        width = digit if letter.isdigit() else math.ceil(font.getlength(letter)) + 1
        image = Image.new("L", (width, size + size // 3))
        ImageDraw.Draw(image).text((0, 0), letter, font=font, fill=_WHITE)
        glyphs[letter] = np.asarray(image)
    return glyphs
