from __future__ import annotations

import pytest

from ringline.media.receive.freeze import FreezeDetector


def film(detector: FreezeDetector, start: float, frames: int, rate: float = 30.0) -> float:
    now = start
    for number in range(frames):
        now = start + number / rate
        detector.handle_frame(now)
    return now


def test_an_even_film_has_no_freeze() -> None:
    detector = FreezeDetector()
    last = film(detector, 0.0, 100)
    assert (detector.count, detector.duration) == (0, 0.0)
    assert detector.lasting(last + 0.1) == 0.0


def test_a_pause_of_150_ms_more_than_usual_is_a_freeze() -> None:
    detector = FreezeDetector()
    last = film(detector, 0.0, 60)
    detector.handle_frame(last + 0.18)
    assert detector.count == 0
    detector.handle_frame(last + 0.18 + 0.3)
    assert detector.count == 1
    assert detector.duration == pytest.approx(0.3)


def test_at_a_low_rate_it_takes_three_times_the_usual() -> None:
    detector = FreezeDetector()
    last = film(detector, 0.0, 40, rate=5.0)
    detector.handle_frame(last + 0.55)
    assert detector.count == 0
    last = film(detector, last + 0.75, 40, rate=5.0)
    detector.handle_frame(last + 0.61)
    assert detector.count == 1


def test_a_freeze_that_lasts_is_told() -> None:
    detector = FreezeDetector()
    last = film(detector, 0.0, 60)
    assert detector.lasting(last + 2.0) == pytest.approx(2.0)
    assert detector.count == 0


def test_too_few_frames_tell_nothing() -> None:
    detector = FreezeDetector()
    assert detector.lasting(5.0) == 0.0
    film(detector, 0.0, 5)
    detector.handle_frame(9.0)
    assert detector.count == 0


def test_five_seconds_are_a_pause_and_a_freeze() -> None:
    detector = FreezeDetector()
    last = film(detector, 0.0, 60)
    assert detector.pausing(last + 5.0) == 0.0
    assert detector.pausing(last + 6.0) == pytest.approx(6.0)
    detector.handle_frame(last + 6.0)
    assert (detector.count, detector.pauses) == (1, 1)
    assert detector.pause_duration == pytest.approx(6.0)


def test_the_sums_give_mean_and_variance_of_the_distances() -> None:
    detector = FreezeDetector()
    for now in (0.0, 0.1, 0.4):
        detector.handle_frame(now)
    assert detector.total_distance == pytest.approx(0.4)
    assert detector.total_squared_distance == pytest.approx(0.01 + 0.09)
