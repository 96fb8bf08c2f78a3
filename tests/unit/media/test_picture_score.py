from __future__ import annotations

import pytest

from ringline.media.picture_score import PictureConditions, rate_picture


def test_a_smooth_sharp_prompt_picture_is_the_best_there_is() -> None:
    assert rate_picture(PictureConditions(quantizer=30.0, delay=0.1)).score == 5.0


@pytest.mark.parametrize(
    ("conditions", "points"),
    [
        (PictureConditions(frozen=0.05), 1.0),
        (PictureConditions(frozen=0.3), 3.3),
        (PictureConditions(pixels=320 * 180), 0.6),
        (PictureConditions(frame_rate=15.0), 0.5),
        (PictureConditions(frame_rate=5.0), 2.7),
        (PictureConditions(quantizer=90.0), 1.2),
        (PictureConditions(delay=0.3), 1.0),
        (PictureConditions(frozen=1.0), 4.0),
    ],
)
def test_each_trouble_takes_its_points(conditions: PictureConditions, points: float) -> None:
    assert 5.0 - rate_picture(conditions).score == pytest.approx(points, abs=0.1)


def test_troubles_add_up_but_never_to_less_than_one() -> None:
    both = rate_picture(PictureConditions(frame_rate=10.0, quantizer=100.0))
    assert both.score < rate_picture(PictureConditions(frame_rate=10.0)).score
    worst = PictureConditions(frozen=0.9, pixels=1, frame_rate=0.0, quantizer=127.0, delay=9.0)
    assert rate_picture(worst).score >= 1.0
