from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.media.convert import (
    SampleGrouper,
    SoundConverter,
    fit_into,
    fit_size,
    i420_planes,
    rotate,
)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 360), (640, 360)),
        ((1920, 1080), (1280, 720)),
        ((1080, 1920), (404, 720)),
        ((641, 361), (640, 360)),
        ((1, 1), (2, 2)),
        ((4000, 10), (1280, 4)),
    ],
)
def test_sizes_are_even_and_within_the_limits(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fit_size(*size, max_width=1280, max_height=720) == expected


def test_a_coloured_picture_becomes_i420_of_the_size_asked_for() -> None:
    pixels = np.full((90, 160, 3), (255, 0, 0), np.uint8)
    planes = i420_planes(av.VideoFrame.from_ndarray(pixels, format="rgb24"), 80, 44)
    assert planes.shape == (66, 80)
    assert planes.dtype == np.uint8
    luma, red = int(planes[:44].mean()), int(planes[55:].mean())
    assert (luma, red) == (81, 240)  # red in BT.601, studio range


def test_i420_of_the_right_size_passes_unchanged() -> None:
    planes = np.arange(96 * 64, dtype=np.uint32).astype(np.uint8).reshape(96, 64)
    assert np.array_equal(
        i420_planes(av.VideoFrame.from_ndarray(planes, format="yuv420p"), 64, 64), planes
    )


def test_a_quarter_turn_moves_the_right_edge_up() -> None:
    planes = np.full((6, 8), 16, np.uint8)  # 8x4
    planes[:4, 7] = 200
    planes[4:] = np.array([[1, 2, 3, 4, 5, 6, 7, 8], [11, 12, 13, 14, 15, 16, 17, 18]])
    turned = rotate(planes, 1)
    assert turned.shape == (12, 4)
    assert np.array_equal(turned[0], [200] * 4)
    assert np.array_equal(turned[8:10].reshape(4, 2), [[4, 8], [3, 7], [2, 6], [1, 5]])
    assert np.array_equal(rotate(turned, 3), planes)
    assert rotate(planes, 4) is planes


def test_a_picture_of_another_shape_gets_black_edges() -> None:
    white = np.full((96, 64), 235, np.uint8)  # 64x64
    white[64:] = 128
    fitted = fit_into(white, 128, 64)
    assert fitted.shape == (96, 128)
    assert (fitted[:64, :32] == 16).all()
    assert (fitted[:64, 32:96] == 235).all()
    assert (fitted[:64, 96:] == 16).all()
    assert (fitted[64:] == 128).all()


def test_a_picture_of_the_same_shape_fills_the_frame() -> None:
    gray = np.full((90 * 3 // 2, 160), 128, np.uint8)
    assert (fit_into(gray, 320, 180) == 128).all()
    assert fit_into(gray, 160, 90) is gray


@given(st.lists(st.integers(0, 3000), max_size=20))
def test_blocks_hold_the_same_samples_in_the_same_order(lengths: list[int]) -> None:
    grouper = SampleGrouper()
    total = sum(lengths)
    samples = np.arange(total, dtype=np.int64).astype(np.int16)
    blocks, start = [], 0
    for length in lengths:
        grouper.push(samples[start : start + length])
        start += length
        while (block := grouper.poll()) is not None:
            assert block.shape == (960,)
            blocks.append(block)
    assert len(blocks) == total // 960
    if blocks:
        assert np.array_equal(np.concatenate(blocks), samples[: len(blocks) * 960])


def _tone(rate: int, channels: int, count: int) -> av.AudioFrame:
    wave = (np.sin(np.arange(count) * 2 * np.pi * 440 / rate) * 12000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(
        np.repeat(wave, channels)[None, :],
        format="s16",
        layout="stereo" if channels == 2 else "mono",
    )
    frame.sample_rate = rate
    return frame


def test_stereo_at_another_rate_becomes_mono_at_48_khz() -> None:
    converter = SoundConverter()
    out = np.concatenate([converter.convert(_tone(44100, 2, 44100)), converter.flush()])
    assert out.dtype == np.int16
    assert abs(len(out) - 48000) <= 32
    spectrum = np.abs(np.fft.rfft(out[:48000].astype(float), 48000))
    assert int(spectrum.argmax()) == 440
    assert abs(int(np.abs(out).max()) - 12000) < 300


def test_the_format_may_change_on_the_way_and_nothing_is_lost() -> None:
    converter = SoundConverter()
    pieces = [converter.convert(_tone(44100, 2, 4410)), converter.convert(_tone(16000, 1, 1600))]
    pieces.append(converter.flush())
    assert abs(sum(len(piece) for piece in pieces) - 9600) <= 64
    assert len(converter.flush()) == 0
