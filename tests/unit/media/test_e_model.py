from __future__ import annotations

import pytest

from ringline.media.e_model import SoundConditions, mean_opinion, rate_sound


def test_a_call_with_nothing_wrong_is_the_best_there_is() -> None:
    rating = rate_sound(SoundConditions(bitrate=32_000))
    assert rating.r == pytest.approx(93.2)
    assert rating.score == pytest.approx(5.0)
    assert mean_opinion(rating.r) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("loss", "pesq"), [(0.0, 4.37), (0.05, 2.68), (0.1, 2.05), (0.2, 1.41), (0.3, 1.22)]
)
def test_random_loss_costs_what_pesq_says(loss: float, pesq: float) -> None:
    rating = rate_sound(SoundConditions(loss=loss, bitrate=24_000))
    assert mean_opinion(rating.r) == pytest.approx(pesq, abs=0.15)


@pytest.mark.parametrize(("bitrate", "pesq"), [(8_000, 2.63), (12_000, 3.51), (16_000, 3.92)])
def test_a_low_bitrate_costs_what_pesq_says(bitrate: float, pesq: float) -> None:
    rating = rate_sound(SoundConditions(bitrate=bitrate))
    assert mean_opinion(rating.r) == pytest.approx(pesq, abs=0.05)
    assert rating.loss == rating.delay == 0.0


@pytest.mark.parametrize(
    ("seconds", "impairment"), [(0.0, 0.0), (0.1, 0.0), (0.2, 3.0), (0.4, 24.1), (1.0, 43.8)]
)
def test_delay_is_free_up_to_a_tenth_of_a_second(seconds: float, impairment: float) -> None:
    rating = rate_sound(SoundConditions(mouth_to_ear=seconds))
    assert rating.delay == pytest.approx(impairment, abs=0.1)


def test_bursts_are_worse_than_single_losses_where_losses_are_few() -> None:
    single = rate_sound(SoundConditions(loss=0.02))
    bursts = rate_sound(SoundConditions(loss=0.02, burst_ratio=3.0))
    assert bursts.r < single.r - 2.0
    many = rate_sound(SoundConditions(loss=0.4))
    many_bursts = rate_sound(SoundConditions(loss=0.4, burst_ratio=3.0))
    assert abs(many.score - many_bursts.score) < 0.15


def test_nothing_is_worse_than_one() -> None:
    rating = rate_sound(SoundConditions(loss=1.0, bitrate=0.0, mouth_to_ear=10.0))
    assert (rating.r, rating.score) == (0.0, 1.0)
    assert mean_opinion(3.0) == 1.0
    assert mean_opinion(100.0) == 4.5
