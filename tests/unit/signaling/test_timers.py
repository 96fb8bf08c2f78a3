from __future__ import annotations

from ringline.signaling.timers import Timers


def test_deadlines_come_up_in_order_and_once() -> None:
    timers: Timers[str] = Timers()
    timers.set("late", 3.0)
    timers.set("early", 1.0)
    assert timers.next() == 1.0
    assert timers.pop_due(0.9) is None
    assert [timers.pop_due(3.0), timers.pop_due(3.0), timers.pop_due(3.0)] == [
        "early",
        "late",
        None,
    ]
    assert timers.next() is None


def test_a_moved_deadline_comes_up_at_its_last_time_only() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.set("a", 5.0)
    assert timers.pop_due(4.0) is None
    assert timers.next() == 5.0
    assert timers.pop_due(5.0) == "a"
    assert timers.pop_due(9.0) is None


def test_a_cancelled_deadline_never_comes_up() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.set("a", None)
    timers.set("never was", None)
    assert timers.next() is None
    assert timers.pop_due(9.0) is None
    assert len(timers) == 0


def test_setting_the_same_deadline_again_adds_nothing() -> None:
    timers: Timers[str] = Timers()
    for _ in range(100):
        timers.set("a", 1.0)
    assert timers.pop_due(1.0) == "a"
    assert timers.pop_due(1.0) is None
