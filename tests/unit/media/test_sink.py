from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.sink import Placement, RecordingTimeline


def test_uneven_calls_leave_the_sound_continuous() -> None:
    timeline = RecordingTimeline()
    times = [7.0, 7.031, 7.032, 7.06, 7.1, 7.1]
    assert [timeline.place_sound(now) for now in times] == [Placement(n, 0) for n in range(6)]


def test_missing_sound_is_filled_with_silence() -> None:
    timeline = RecordingTimeline()
    assert timeline.place_sound(0.0) == Placement(0, 0)
    assert timeline.place_sound(1.0) == Placement(50, 49)
    assert timeline.place_sound(1.02) == Placement(51, 0)


def test_a_long_hole_is_jumped_over() -> None:
    timeline = RecordingTimeline()
    timeline.place_sound(0.0)
    assert timeline.place_sound(60.0) == Placement(3000, 0)


def test_sound_that_runs_ahead_of_the_clock_is_left_out() -> None:
    timeline = RecordingTimeline()
    placed = [timeline.place_sound(0.0) for _ in range(20)]
    assert placed == [*(Placement(n, 0) for n in range(11)), *[None] * 9]


def test_pictures_stand_where_they_were_shown() -> None:
    timeline = RecordingTimeline()
    timeline.place_sound(10.0)
    assert [timeline.place_picture(now) for now in (10.1, 10.1334, 13.0)] == [100, 133, 3000]


def test_two_pictures_of_one_moment_get_times_of_their_own() -> None:
    timeline = RecordingTimeline()
    assert [timeline.place_picture(now) for now in (1.0, 1.0, 0.5, 1.002)] == [0, 1, 2, 3]


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_sound_only_grows_and_stays_near_the_clock(steps: list[float]) -> None:
    timeline = RecordingTimeline()
    now, last = 0.0, -1
    timeline.place_picture(0.0)
    for step in steps:
        now += step
        placement = timeline.place_sound(now)
        if placement is None:
            continue
        assert placement.block - placement.silence > last
        last = placement.block
        assert -0.12 <= last * 0.02 - now <= 0.2 + 1e-9
