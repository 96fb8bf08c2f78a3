from __future__ import annotations

import itertools

import pytest

from ringline.media.send.playout_delay import PlayoutDelay, PlayoutDelayConfig

NO_LIMIT = 1000


def repeating(every: float, *, round_trip: float = 0.2, until: float = 30.0) -> PlayoutDelay:
    """A delay on a path where parts of a picture are asked for again that often."""
    delay = PlayoutDelay()
    for step in range(1, int(until / every) + 1):
        delay.handle_repeated(1, round_trip, step * every)
    return delay


def test_nothing_is_said_where_nothing_is_asked_for() -> None:
    assert PlayoutDelay().poll_limits(5.0) is None


def test_rare_losses_are_a_short_stop_each() -> None:
    delay = repeating(20.0, until=60.0)
    assert delay.poll_limits(60.1) == (0, NO_LIMIT)


def test_frequent_ones_are_worth_a_round_trip() -> None:
    delay = repeating(2.0)
    assert delay.poll_limits(30.1) == (26, NO_LIMIT)
    assert delay.delay == pytest.approx(0.26)


def test_no_path_is_worth_more_than_the_bound() -> None:
    assert repeating(2.0, round_trip=2.0).poll_limits(30.1) == (40, NO_LIMIT)


def test_it_is_said_again_and_again_and_taken_back_when_losses_have_become_rare() -> None:
    delay = repeating(2.0)
    said = [delay.poll_limits(30.0 + second) for second in range(60)]
    assert said[0] == said[20] == (26, NO_LIMIT)
    assert said[-1] == (0, NO_LIMIT)
    assert sum(before != after for before, after in itertools.pairwise(said)) == 1


def test_a_round_trip_that_wavers_changes_nothing() -> None:
    delay = repeating(2.0)
    delay.poll_limits(30.0)
    for step in range(20):
        delay.handle_repeated(1, 0.2 + (step % 2) * 0.02, 31.0 + step)
        assert delay.poll_limits(31.0 + step) == (26, NO_LIMIT)
    delay.handle_repeated(1, 0.3, 52.0)
    assert delay.poll_limits(52.0) == (36, NO_LIMIT)


def test_a_burst_that_hits_many_pictures_at_once_counts_each() -> None:
    delay = PlayoutDelay(PlayoutDelayConfig(habit=0.2))
    delay.handle_repeated(2, 0.1, 1.0)
    assert delay.poll_limits(1.0) == (0, NO_LIMIT)
    delay.handle_repeated(2, 0.1, 2.0)
    assert delay.poll_limits(2.0) == (16, NO_LIMIT)
