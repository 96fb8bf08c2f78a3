from __future__ import annotations

import numpy as np
import pytest

from ringline.media.codecs.video_codec import Planes
from ringline.media.receive.damage import DamageConfig, MotionMeter, patience


def picture(level: int, width: int = 64, height: int = 64) -> Planes:
    return np.full((height * 3 // 2, width), level, np.uint8)


def test_light_damage_may_be_shown_for_long_and_heavy_for_a_blink() -> None:
    config = DamageConfig()
    assert patience(0.0, config) == patience(8.0, config) == 0.4
    assert patience(20.0, config) == pytest.approx(0.275)
    assert patience(32.0, config) == patience(1e9, config) == 0.15


def test_the_pace_is_the_change_of_luma_a_second() -> None:
    meter = MotionMeter(DamageConfig())
    for number in range(5):
        meter.handle_picture(picture(10 + 2 * number), number * 3_000)
    assert meter.pace == pytest.approx(60.0)
    assert meter.missed(0.5) == pytest.approx(30.0)
    assert meter.missed(-1.0) == 0.0


def test_it_follows_the_scene() -> None:
    meter = MotionMeter(DamageConfig())
    for number in range(10):
        meter.handle_picture(picture(number), number * 3_000)
    for number in range(10, 60):
        meter.handle_picture(picture(9), number * 3_000)
    assert 0.0 < meter.pace < 1.0


def test_a_stop_a_new_size_or_a_clock_set_back_tell_nothing_of_the_pace() -> None:
    meter = MotionMeter(DamageConfig())
    meter.handle_picture(picture(0), 0)
    meter.handle_picture(picture(200), 90_000)
    meter.handle_picture(picture(0), 80_000)
    meter.handle_picture(picture(200, width=32), 83_000)
    assert meter.pace == 0.0
