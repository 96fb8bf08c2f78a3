from __future__ import annotations

from ringline.media.receive.sequence import SequenceTracker


def test_numbers_go_on_across_the_wrap() -> None:
    tracker = SequenceTracker()
    assert tracker.handle_number(65_535) == (65_535, False)
    assert tracker.handle_number(0) == (65_536, False)
    assert tracker.handle_number(65_534) == (65_534, False)
    assert tracker.highest == 65_536


def test_one_number_far_away_is_dropped_and_changes_nothing() -> None:
    tracker = SequenceTracker()
    tracker.handle_number(10)
    assert tracker.handle_number(30_000) is None
    assert tracker.handle_number(11) == (11, False)
    assert tracker.handle_number(30_001) is None
    assert tracker.highest == 11


def test_a_second_number_behind_the_far_one_is_a_restart() -> None:
    tracker = SequenceTracker()
    tracker.handle_number(10)
    assert tracker.handle_number(30_000) is None
    assert tracker.handle_number(30_001) == (30_001, True)
    assert tracker.handle_number(30_002) == (30_002, False)


def test_a_restart_is_confirmed_across_the_wrap() -> None:
    tracker = SequenceTracker()
    tracker.handle_number(20_000)
    assert tracker.handle_number(65_535) is None
    assert tracker.handle_number(0) == (0, True)


def test_a_retransmission_is_placed_before_and_behind_the_highest() -> None:
    tracker = SequenceTracker()
    assert tracker.locate(5) is None
    tracker.handle_number(65_000)
    tracker.handle_number(65_530)
    tracker.handle_number(2)
    assert tracker.locate(65_530) == 65_530
    assert tracker.locate(4) == 65_540
    assert tracker.locate(30_000) is None
    assert tracker.highest == 65_538
