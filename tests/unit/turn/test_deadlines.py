from __future__ import annotations

from ringline.turn.deadlines import Deadlines, earliest


def test_keys_come_when_due_and_the_earliest_first() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for key, at in ((1, 30.0), (2, 10.0), (3, 20.0)):
        deadlines.schedule(key, at)
    assert deadlines.next_due() == 10.0
    assert deadlines.pop_due(9.9) == []
    assert deadlines.pop_due(20.0) == [2, 3]
    assert deadlines.next_due() == 30.0
    assert deadlines.pop_due(99.0) == [1]
    assert deadlines.next_due() is None


def test_a_deadline_can_be_put_off_and_brought_forward() -> None:
    deadlines: Deadlines[int] = Deadlines()
    deadlines.schedule(1, 10.0)
    deadlines.schedule(1, 50.0)
    assert deadlines.pop_due(10.0) == []
    deadlines.schedule(1, 20.0)
    assert deadlines.pop_due(19.9) == []
    assert deadlines.pop_due(20.0) == [1]
    assert deadlines.pop_due(99.0) == []


def test_a_cancelled_key_never_comes() -> None:
    deadlines: Deadlines[int] = Deadlines()
    deadlines.schedule(1, 10.0)
    deadlines.cancel(1)
    deadlines.cancel(1)
    assert deadlines.pop_due(99.0) == []
    assert len(deadlines) == 0


def test_a_key_that_comes_back_has_its_new_deadline_only() -> None:
    deadlines: Deadlines[int] = Deadlines()
    deadlines.schedule(1, 10.0)
    deadlines.cancel(1)
    deadlines.schedule(1, 30.0)
    assert deadlines.pop_due(10.0) == []
    assert deadlines.pop_due(30.0) == [1]


def test_churn_leaves_nothing_behind() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for turn in range(20_000):
        deadlines.schedule(turn % 7, turn + 600.0)
        deadlines.schedule(turn % 7, turn + 3600.0)
        deadlines.cancel(turn % 7)
    assert len(deadlines) == 0
    assert len(deadlines._heap) < 20


def test_endless_moving_does_not_grow_the_heap() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for turn in range(20_000):
        deadlines.schedule(1, turn + (3600.0 if turn % 2 else 600.0))
    assert len(deadlines._heap) < 20


def test_the_earliest_of_times_is_none_only_where_there_are_none() -> None:
    assert earliest() is earliest(None, None) is None
    assert earliest(None, 3.0, 2.0, None, 2.5) == 2.0
