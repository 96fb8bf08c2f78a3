"""What the tests of codecs look at and listen to: made by numpy, seeded, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.codecs.registry import CodecRegistry

Planes = NDArray[np.uint8]
Samples = NDArray[np.int16]


def _texture(rng: np.random.Generator, side: int) -> Planes:
    """Return a square with detail of every size, as natural pictures have."""
    field = np.full((side, side), 128.0)
    for octave in range(2, 8):
        cells = 2**octave
        coarse = rng.normal(0.0, 60.0 / octave, (cells, cells))
        field += coarse.repeat(side // cells, axis=0).repeat(side // cells, axis=1)
    texture: Planes = np.clip(field, 16, 235).astype(np.uint8)
    return texture


@pytest.fixture
def make_scene() -> Callable[..., Callable[[int], Planes]]:
    """Give ``make_scene(width, height, seed)``: a textured square swings before another texture.

    What it returns gives the I420 picture of a number; sensor noise differs from one to the next.
    """

    def make(width: int, height: int, seed: int = 1) -> Callable[[int], Planes]:
        rng = np.random.default_rng(seed)
        wall, head = _texture(rng, 1024), _texture(rng, 256)
        side = min(height // 2, width // 2, 256)

        def picture(number: int) -> Planes:
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            luma = wall[:height, :width].astype(np.float64)
            left = int((width - side) / 2 * (1 + 0.5 * np.sin(number / 15)))
            top = int((height - side) / 2 * (1 + 0.2 * np.sin(number / 9)))
            luma[top : top + side, left : left + side] = head[:side, :side]
            noise = np.random.default_rng((seed, number)).normal(0.0, 1.5, luma.shape)
            planes[:height] = np.clip(luma + noise, 0, 255)
            planes[height : height + height // 4] = 118
            return planes

        return picture

    return make


@pytest.fixture
def psnr() -> Callable[[Planes, Planes], float]:
    """Give the likeness of two pictures' luma, in dB."""

    def measure(one: Planes, other: Planes) -> float:
        height = one.shape[0] * 2 // 3
        difference = one[:height].astype(np.float64) - other[:height]
        return float(10 * np.log10(255**2 / max(1e-9, (difference**2).mean())))

    return measure


@pytest.fixture(scope="session")
def voice() -> Samples:
    """Give 4 s of a voice-like sound at 48 kHz: a wandering pitch with overtones, in syllables."""
    time = np.arange(4 * 48_000) / 48_000
    pitch = 2 * np.pi * (140 * time + 5 * np.sin(2 * np.pi * 0.7 * time))
    tone = sum(np.sin(pitch * overtone) / overtone for overtone in range(1, 12))
    syllables = np.clip(0.55 + 0.6 * np.sin(2 * np.pi * 3 * time), 0, 1)
    breath = np.random.default_rng(7).normal(0.0, 0.01, time.size)
    sound: Samples = ((tone * syllables + breath) * 6_000).astype(np.int16)
    return sound


@pytest.fixture(scope="session")
def codecs() -> CodecRegistry:
    """Give the codecs as a call has them."""
    return CodecRegistry()
