from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.source import Cadence, Timeline


def test_the_first_frame_leaves_at_once_and_the_rest_on_an_absolute_schedule() -> None:
    cadence = Cadence(interval=0.02)
    left = []
    now = 5.0
    for index in range(4):
        departure = cadence.schedule(index * 0.02, now)
        assert departure is not None
        now = departure + 0.003  # each wait is 3 ms too long: the errors do not add up
        cadence.handle_departure(now)
        left.append(round(departure, 3))
    assert left == [5.0, 5.02, 5.04, 5.06]


def test_a_short_stall_is_caught_up_at_half_the_interval() -> None:
    cadence = Cadence(interval=0.02)
    assert cadence.schedule(0.0, 1.0) == 1.0
    cadence.handle_departure(1.0)
    now = 1.07  # frames due at 1.02, 1.04 and 1.06 are still here
    left = []
    for index in range(1, 7):
        departure = cadence.schedule(index * 0.02, now)
        assert departure is not None
        cadence.handle_departure(departure)
        now = departure
        left.append(round(departure, 3))
    assert left == [1.07, 1.08, 1.09, 1.1, 1.11, 1.12]
    assert cadence.skipped == 0


def test_frames_that_are_too_late_are_skipped_and_counted() -> None:
    cadence = Cadence(interval=0.02, max_lag=0.065)
    cadence.schedule(0.0, 1.0)
    cadence.handle_departure(1.0)
    departures = [cadence.schedule(index * 0.02, 2.0) for index in range(1, 51)]
    assert departures[:46] == [None] * 46
    assert departures[46] == 2.0  # it was due at 1.94
    assert cadence.skipped == 46


def test_after_a_long_stall_the_film_goes_on_from_where_it_stopped() -> None:
    timeline = Timeline()
    cadence = Cadence(interval=0.02, max_stall=5.0, timeline=timeline)
    cadence.schedule(0.0, 1.0)
    cadence.handle_departure(1.0)
    assert cadence.schedule(0.02, 1000.0) == 1000.0
    assert cadence.skipped == 0
    assert round(timeline.position(1000.0), 6) == 0.02


def test_two_cadences_of_one_film_keep_one_time() -> None:
    timeline = Timeline()
    sound = Cadence(interval=0.02, timeline=timeline)
    picture = Cadence(interval=0.04, timeline=timeline)
    assert timeline.position(3.0) == 0.0
    assert sound.schedule(0.0, 3.0) == 3.0
    assert picture.schedule(0.04, 3.01) == 3.04
    assert timeline.position(3.5) == 0.5


@given(st.lists(st.floats(0, 0.3), max_size=100))
def test_frames_never_leave_early_nor_closer_than_half_an_interval(stalls: list[float]) -> None:
    timeline = Timeline()
    cadence = Cadence(interval=0.02, timeline=timeline)
    now, previous = 0.0, None
    for index, stall in enumerate(stalls):
        now += stall
        departure = cadence.schedule(index * 0.02, now)
        if departure is None:
            continue
        assert timeline.origin is not None
        assert departure >= max(now, timeline.origin + index * 0.02)
        assert previous is None or departure - previous >= 0.01 - 1e-9
        cadence.handle_departure(departure)
        now = previous = departure
