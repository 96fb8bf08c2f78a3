from __future__ import annotations

import numpy as np
import pytest

from ringline.media.frames import AudioFrame, VideoFrame


def test_a_picture_of_one_color_survives_the_way_through_planes() -> None:
    pixels = np.full((48, 64, 3), (200, 30, 60), np.uint8)
    frame = VideoFrame.from_ndarray(pixels, captured_at=1.5)
    assert (frame.width, frame.height, frame.captured_at) == (64, 48, 1.5)
    assert frame.planes.shape == (72, 64)
    back = frame.to_ndarray()
    assert back.shape == pixels.shape
    assert np.abs(back.astype(int) - pixels).max() <= 6


def test_bgr_is_rgb_backwards() -> None:
    pixels = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels[..., ::-1]), format="bgr24")
    assert np.abs(frame.to_ndarray("rgb24").astype(int) - pixels).max() <= 6
    assert np.abs(frame.to_ndarray("bgr24").astype(int) - pixels[..., ::-1]).max() <= 6


def test_gray_comes_back_as_it_was_given() -> None:
    pixels = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
    frame = VideoFrame.from_ndarray(pixels, format="gray")
    gray = frame.to_ndarray("gray")
    assert gray.shape == (16, 16)
    assert np.abs(gray.astype(int) - pixels).max() <= 1
    assert not np.shares_memory(gray, frame.planes)


def test_luma_is_a_view_of_limited_range() -> None:
    frame = VideoFrame.from_ndarray(np.full((16, 16), 255, np.uint8), format="gray")
    assert np.shares_memory(frame.luma, frame.planes)
    assert (frame.luma == 235).all()


@pytest.mark.parametrize(
    ("shape", "dtype", "format_"),
    [
        ((16, 16, 3), np.float32, "rgb24"),
        ((16, 16), np.uint8, "rgb24"),
        ((16, 16, 4), np.uint8, "rgb24"),
        ((16, 16, 3), np.uint8, "gray"),
        ((15, 16, 3), np.uint8, "rgb24"),
        ((16, 15, 3), np.uint8, "bgr24"),
        ((0, 16, 3), np.uint8, "rgb24"),
        ((16,), np.uint8, "gray"),
    ],
)
def test_what_is_no_picture_is_refused(shape: tuple[int, ...], dtype: type, format_: str) -> None:
    with pytest.raises(ValueError):
        VideoFrame.from_ndarray(np.zeros(shape, dtype), format=format_)  # type: ignore[arg-type]


def test_sound_lasts_as_long_as_its_samples() -> None:
    assert AudioFrame(np.zeros(960, np.int16)).duration == pytest.approx(0.02)
