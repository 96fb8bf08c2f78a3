from __future__ import annotations

import av
import numpy as np
import pytest

from ringline.media.simulate.marks import (
    PICTURE_NUMBERS,
    SOUND_NUMBERS,
    PictureMark,
    make_picture,
    make_sound,
    read_picture,
    read_sound,
)


@pytest.mark.parametrize("size", [(640, 360), (320, 240), (160, 90), (32, 64)])
@pytest.mark.parametrize("number", [0, 1, 0x5555, 0xAAAA, PICTURE_NUMBERS - 1])
@pytest.mark.parametrize("intact", [True, False])
def test_a_picture_tells_its_mark(number: int, intact: bool, size: tuple[int, int]) -> None:
    width, height = size
    planes = make_picture(number, width, height, intact=intact)
    assert planes.shape == (height * 3 // 2, width)
    assert read_picture(planes) == PictureMark(number, intact)


def test_numbers_of_pictures_wrap() -> None:
    assert read_picture(make_picture(PICTURE_NUMBERS + 3)).number == 3


def test_a_mark_survives_scaling() -> None:
    frame = av.VideoFrame.from_ndarray(make_picture(0xA5C3, intact=False), format="yuv420p")
    small = np.asarray(frame.reformat(width=320, height=180).to_ndarray(), np.uint8)
    assert read_picture(small) == PictureMark(0xA5C3, intact=False)


def test_a_picture_must_have_room_for_the_mark() -> None:
    for size in ((30, 64), (64, 62), (65, 64)):
        with pytest.raises(ValueError, match="sides must be even and at least 32x64"):
            make_picture(1, *size)


def test_a_sound_tells_its_number() -> None:
    for number in (0, 1, 12_345, SOUND_NUMBERS - 1):
        assert read_sound(make_sound(number)) == number
    assert read_sound(make_sound(SOUND_NUMBERS + 7)) == 7


def test_silence_and_concealment_have_no_number() -> None:
    assert read_sound(np.zeros(960, np.int16)) is None
    assert read_sound(-make_sound(5)) is None
