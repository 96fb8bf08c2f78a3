from __future__ import annotations

import itertools

import pytest

from ringline.media.send.playout_delay import PlayoutDelay, PlayoutDelayConfig

NO_LIMIT = 1000


class Stream:
    """Ten pictures a second; parts of one are asked for again every so often."""

    def __init__(self, config: PlayoutDelayConfig | None = None) -> None:
        self.delay = PlayoutDelay(config, now=0.0)
        self.now = 0.0
        self.said: list[int | None] = []
        self._step = 0

    def run(self, seconds: float, *, every: float | None = None, round_trip: float = 0.2) -> None:
        for _ in range(round(seconds * 10)):
            self._step += 1
            self.now = self._step / 10
            if every is not None and self._step % round(every * 10) == 0:
                self.delay.handle_repeated([1], round_trip, self.now)
            limits = self.delay.poll_limits(self.now)
            assert limits is None or limits[1] == NO_LIMIT
            self.said.append(None if limits is None else limits[0])


def test_nothing_is_said_where_nothing_is_asked_for() -> None:
    stream = Stream()
    stream.run(60)
    assert set(stream.said) == {None}


def test_rare_losses_are_a_short_stop_each() -> None:
    stream = Stream()
    stream.run(100)
    stream.run(100, every=20)
    assert set(stream.said) == {None, 0}


def test_frequent_ones_are_worth_a_round_trip() -> None:
    stream = Stream()
    stream.run(30, every=2)
    assert stream.said[-1] == 24
    assert stream.delay.delay == pytest.approx(0.24)


def test_the_first_loss_of_a_call_begins_it_as_more_are_likely() -> None:
    stream = Stream()
    stream.run(2, every=2)
    stream.run(2)
    assert stream.said[-1] == 21


def test_what_takes_longer_than_the_bound_is_not_waited_for() -> None:
    stream = Stream()
    stream.run(30, every=2, round_trip=0.3)
    assert stream.said[-1] == 34
    stream.run(30, every=2, round_trip=0.32)
    assert stream.said[-1] == 0


def test_it_comes_and_goes_slowly_and_is_said_again_and_again() -> None:
    stream = Stream()
    stream.run(30, every=2)
    stream.run(60)
    assert stream.said[300] == stream.said[450] == 24
    assert stream.said[-1] == 0
    said = [hundredths or 0 for hundredths in stream.said]
    assert {after - before for before, after in itertools.pairwise(said)} == {-1, 0, 1}


def test_after_a_pause_it_does_not_jump() -> None:
    stream = Stream()
    stream.run(10)
    stream.delay.handle_repeated([1] * 5, 0.2, 60.0)
    assert stream.delay.poll_limits(60.1) == (10, NO_LIMIT)  # a second's worth at most


def test_a_round_trip_that_wavers_changes_nothing() -> None:
    stream = Stream()
    stream.run(30, every=2)
    for step in range(20):
        stream.run(1, every=1, round_trip=0.2 + (step % 2) * 0.02)
        assert set(stream.said[-10:]) == {24}
    stream.run(3, every=1, round_trip=0.3)
    assert stream.said[-1] == 34


def test_pictures_that_a_burst_hits_count_each() -> None:
    stream = Stream(PlayoutDelayConfig(habit=0.8))
    stream.run(3)
    stream.delay.handle_repeated([1, 1], 0.1, stream.now)
    stream.run(0.1)
    assert stream.said[-1] == 0
    stream.delay.handle_repeated([1, 1], 0.1, stream.now)
    stream.run(0.1)
    assert stream.said[-1] == 1


def test_where_retransmissions_are_lost_as_often_two_are_waited_for() -> None:
    stream = Stream()
    for _ in range(30):
        stream.run(1, every=1, round_trip=0.1)
        stream.delay.handle_repeated([2], 0.1, stream.now)
    assert stream.said[-1] == 24
    stream.run(60, every=1, round_trip=0.1)
    assert stream.said[-1] == 14


def test_a_second_long_round_trip_is_not_waited_for() -> None:
    stream = Stream()
    for _ in range(30):
        stream.run(1, every=1, round_trip=0.2)
        stream.delay.handle_repeated([2, 3], 0.2, stream.now)
    assert stream.said[-1] == 24
