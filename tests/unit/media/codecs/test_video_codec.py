from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ringline.media.codecs.video_codec import (
    Vp8Config,
    check_planes,
    check_received,
    check_times,
    join_planes,
)
from ringline.media.errors import CodecError


def test_a_picture_tells_its_size() -> None:
    assert check_planes(np.zeros((360, 320), np.uint8)) == (320, 240)
    assert check_planes(np.zeros((3, 2), np.uint8)) == (2, 2)


@pytest.mark.parametrize(
    "planes",
    [
        np.zeros((360, 320), np.int16),
        np.zeros((360, 320, 1), np.uint8),
        np.zeros((360, 640), np.uint8)[:, ::2],
        np.zeros((361, 320), np.uint8),
        np.zeros((360, 321), np.uint8),
        np.zeros((0, 320), np.uint8),
        np.zeros((360, 0), np.uint8),
        np.zeros((3, 16_384), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(planes: Any) -> None:
    with pytest.raises(ValueError):
        check_planes(planes)


@pytest.mark.parametrize(("time", "duration", "last"), [(5, 1, 5), (4, 1, 5), (6, 0, 5)])
def test_time_that_stands_still_is_refused(time: int, duration: int, last: int) -> None:
    with pytest.raises(ValueError):
        check_times(time, duration, last)


def test_the_first_time_may_be_any() -> None:
    check_times(-1, 1, None)


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 321},
        {"height": 239},
        {"width": 0},
        {"height": 16_384},
        {"bitrate": 0},
        {"cpu_used": 0},
        {"cpu_used": -17},
        {"min_quantizer": 57},
        {"max_quantizer": 64},
    ],
)
def test_a_configuration_out_of_range_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Vp8Config(**({"width": 320, "height": 240} | settings))


def test_a_key_frame_may_not_claim_a_huge_picture() -> None:
    huge = b"\x10\x00\x00\x9d\x01\x2a\xff\x3f\xff\x3f"
    with pytest.raises(CodecError, match="16383x16383"):
        check_received(huge, 3840 * 2160)
    check_received(huge, 16_383 * 16_383)


def test_odd_sides_lose_a_pixel_and_strides_do_not_matter() -> None:
    wide = np.arange(5 * 16, dtype=np.uint8).reshape(5, 16)
    blue, red = wide[:3, 8:10] + 100, wide[:3, 10:12] + 100
    planes = join_planes(wide[:5, :3], blue, red)
    assert planes.shape == (6, 2)
    assert planes.flags.c_contiguous
    assert planes[:4].tolist() == wide[:4, :2].tolist()
    assert planes[4].tolist() == blue[:2, 0].tolist()
    assert planes[5].tolist() == red[:2, 0].tolist()
