from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.media.synthetic import MovingPicture, draw_frame_number, read_frame_number


def _gray(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height * 3 // 2, width), 128, np.uint8)


@given(st.integers(0, 65535), st.sampled_from([(640, 360), (320, 180), (1280, 720), (160, 90)]))
def test_a_number_survives_in_any_size(number: int, size: tuple[int, int]) -> None:
    planes = _gray(*size)
    draw_frame_number(planes, number)
    assert read_frame_number(planes[: size[1]]) == number


def test_the_strip_is_sixteen_blocks_over_the_top_sixteen_rows() -> None:
    planes = _gray(640, 360)
    draw_frame_number(planes, 0b1000_0000_0000_0001)
    assert (planes[:16, :40] == 235).all()
    assert (planes[:16, 40:600] == 16).all()
    assert (planes[:16, 600:] == 235).all()
    assert (planes[16:] == 128).all()


def test_only_the_low_sixteen_bits_are_drawn() -> None:
    planes = _gray(640, 360)
    draw_frame_number(planes, 65536 + 77)
    assert read_frame_number(planes[:360]) == 77


def test_a_number_survives_scaling() -> None:
    planes = MovingPicture(640, 360).draw(1234)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    for width, height in ((320, 180), (160, 90), (854, 480), (1280, 720)):
        small = frame.reformat(width=width, height=height).to_ndarray().astype(np.uint8)
        assert read_frame_number(small[:height]) == 1234


def test_without_a_strip_there_is_no_number() -> None:
    assert read_frame_number(_gray(640, 360)[:360]) is None
    assert read_frame_number(np.zeros((2, 640), np.uint8)) is None
    assert read_frame_number(np.zeros((360, 32), np.uint8)) is None


def test_pictures_of_one_seed_are_equal_and_of_another_differ() -> None:
    one, same, other = (MovingPicture(320, 180, seed=seed).draw(5) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_pictures_move_from_one_to_the_next() -> None:
    picture = MovingPicture(320, 180)
    luma = [picture.draw(number)[20:180].astype(int) for number in range(3)]
    for before, after in pairwise(luma):
        share = (np.abs(after - before) > 4).mean()
        assert 0.005 < share < 0.6


@pytest.mark.parametrize("size", [(64, 64), (640, 360), (360, 640), (1280, 720), (66, 130)])
def test_any_even_size_of_64_or_more_can_be_drawn_at_any_time(size: tuple[int, int]) -> None:
    width, height = size
    picture = MovingPicture(width, height)
    for number in (0, 1, 999, 10**7):
        planes = picture.draw(number)
        assert planes.shape == (height * 3 // 2, width)
        assert planes.dtype == np.uint8
        assert read_frame_number(planes[:height]) == number % 65536


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (62, 64), (0, 0)])
def test_odd_and_tiny_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="even sides of at least 64"):
        MovingPicture(*size)


def test_a_frame_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        MovingPicture(64, 64, frame_rate=0)
