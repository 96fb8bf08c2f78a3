from __future__ import annotations

import pytest

from ringline.media.send.difficulty import COARSEST, Difficulty, quantizer_for


def watched(*, quantizer: int | None, bitrate: int = 100_000, told: int = 100_000) -> Difficulty:
    difficulty = Difficulty()
    for _ in range(100):
        difficulty.handle_picture(bitrate // 20, 1 / 20, quantizer, told)
    return difficulty


def test_a_few_pictures_tell_nothing() -> None:
    difficulty = Difficulty()
    for _ in range(9):
        difficulty.handle_picture(5_000, 0.05, 60, 100_000)
        assert difficulty.quantizer_at(100_000) is None
    difficulty.handle_picture(5_000, 0.05, 60, 100_000)
    assert difficulty.quantizer_at(100_000) == pytest.approx(60)


def test_half_the_rate_is_coarser_and_half_the_pixels_finer() -> None:
    difficulty = watched(quantizer=60)
    assert difficulty.quantizer_at(50_000) == pytest.approx(94)
    assert difficulty.quantizer_at(100_000, 0.5) == pytest.approx(40)


def test_where_it_is_fine_the_rate_matters_less() -> None:
    assert watched(quantizer=20).quantizer_at(50_000) == pytest.approx(40)
    assert watched(quantizer=40).quantizer_at(25_000) == pytest.approx(50 + 1.5 * 34)
    assert watched(quantizer=67).quantizer_at(400_000) == pytest.approx(50 - 1.5 * 20)


def test_what_exceeds_the_rate_at_its_coarsest_needs_more_than_there_is() -> None:
    difficulty = watched(quantizer=COARSEST, bitrate=200_000)
    needed = difficulty.quantizer_at(100_000)
    assert needed is not None
    assert needed > COARSEST + 30


def test_pictures_that_mend_a_key_frame_do_not_count() -> None:
    difficulty = watched(quantizer=60)
    difficulty.handle_key_frame()
    for _ in range(8):
        difficulty.handle_picture(50_000, 0.05, COARSEST, 100_000)
    assert difficulty.quantizer_at(100_000) == pytest.approx(60)


def test_another_frame_rate_shifts_what_is_expected() -> None:
    difficulty = watched(quantizer=60)
    difficulty.handle_frame_rate(-8.0)
    assert difficulty.quantizer_at(100_000) == pytest.approx(52)


def test_another_size_is_expected_to_need_what_was_predicted() -> None:
    difficulty = watched(quantizer=60)
    difficulty.handle_size(2.0)
    assert difficulty.quantizer_at(100_000) == pytest.approx(80)


def test_an_encoder_that_tells_nothing_is_judged_by_the_rate_that_it_keeps() -> None:
    keeps = watched(quantizer=None).quantizer_at(100_000)
    exceeds = watched(quantizer=None, bitrate=200_000).quantizer_at(100_000)
    assert keeps is not None
    assert exceeds is not None
    assert keeps < COARSEST < exceeds


def test_a_usual_picture_needs_half_a_bit_for_each_pixel_and_second() -> None:
    assert quantizer_for(115_200, 640 * 360) == pytest.approx(COARSEST)
    assert quantizer_for(230_400, 640 * 360) == pytest.approx(COARSEST - 34)
