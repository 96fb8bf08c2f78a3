from __future__ import annotations

import pytest

from ringline.media.send.cpu_budget import CpuBudget, CpuBudgetConfig, CpuLimits
from ringline.media.send.scale import Scaling

WHOLE = CpuLimits(-6, Scaling(8, 30.0))
RATE = 30.0


class Machine:
    """Encodes what the budget allows; a picture of full size at full care takes ``seconds``."""

    def __init__(self, seconds: float, *, config: CpuBudgetConfig | None = None) -> None:
        self.budget = CpuBudget(config, now=0.0)
        self.seconds = seconds
        self.rate_alone = Scaling()  # what the network would take
        self.source_rate = RATE
        self.now = 0.0
        self.changes: list[tuple[float, CpuLimits]] = []
        self.pauses: list[tuple[float, bool]] = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            limits = self.budget.limits
            present = Scaling(
                min(limits.ceiling.numerator, self.rate_alone.numerator),
                min(limits.ceiling.frame_rate, self.rate_alone.frame_rate),
            )
            interval = 1 / min(present.frame_rate, self.source_rate)
            whole = WHOLE.cost(Scaling(8, 1.0))
            away = self.seconds * limits.cost(Scaling(present.numerator, 1.0)) / whole
            was_paused = self.budget.paused
            if was_paused:
                self.now += 1 / self.source_rate
            else:
                self.now += max(interval, away)
                self.budget.handle_picture(away, interval, self.now)
            if self.budget.update(present, self.source_rate, self.now):
                if self.budget.paused is not was_paused:
                    self.pauses.append((self.now, self.budget.paused))
                else:
                    self.changes.append((self.now, self.budget.limits))


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.022])
def test_what_is_within_the_budget_is_left_alone(seconds: float) -> None:
    machine = Machine(seconds)
    machine.run(60.0)
    assert machine.changes == []
    assert machine.budget.limits == WHOLE
    assert not machine.budget.limits.reduces


def test_haste_comes_first() -> None:
    machine = Machine(0.028)
    machine.run(30.0)
    assert [limits for _, limits in machine.changes] == [CpuLimits(-8, Scaling(8, 30.0))]
    assert not machine.budget.limits.reduces


def test_then_come_fewer_pictures_and_then_smaller_ones() -> None:
    machine = Machine(0.045)
    machine.run(30.0)
    fewer = machine.budget.limits
    assert (fewer.ceiling.numerator, fewer.ceiling.frame_rate < 30) == (8, True)
    assert fewer.reduces
    machine.seconds = 0.2
    machine.run(30.0)
    smaller = machine.budget.limits
    assert smaller.ceiling.numerator < 8
    assert machine.budget.load <= 0.7


def test_a_computer_that_is_far_too_slow_is_met_at_once() -> None:
    machine = Machine(0.5)
    machine.run(6.0)
    assert len(machine.changes) <= 2
    assert machine.budget.load <= 0.7


def test_one_stall_changes_nothing() -> None:
    machine = Machine(0.005)
    machine.run(5.0)
    machine.budget.handle_picture(2.0, 1 / RATE, machine.now)
    machine.now += 2.0
    machine.budget.handle_picture(0.005, 1 / RATE, machine.now)
    machine.run(5.0)
    assert machine.changes == []


def test_it_comes_back_when_the_load_goes() -> None:
    machine = Machine(0.2)
    machine.run(10.0)
    assert machine.budget.limits.reduces
    machine.seconds = 0.005
    machine.run(15.0)
    assert machine.budget.limits == WHOLE


def test_a_load_on_the_edge_does_not_swing() -> None:
    machine = Machine(0.035)
    machine.run(300.0)
    assert len(machine.changes) <= 3


def test_what_has_to_be_undone_is_tried_again_ever_more_rarely() -> None:
    machine = Machine(0.06)
    machine.run(5.0)
    for _ in range(40):  # light work while there is little to do, too much at once when there is
        machine.seconds = 0.005 if machine.budget.limits.reduces else 0.06
        machine.run(10.0)
    ups = [
        when
        for (when, limits), (_, before) in zip(machine.changes[1:], machine.changes, strict=False)
        if limits.cost(Scaling()) > before.cost(Scaling())
    ]
    assert ups[-1] - ups[-2] > 2 * (ups[1] - ups[0])


def test_a_rung_that_takes_nothing_away_is_passed_over() -> None:
    machine = Machine(0.6)
    machine.source_rate = 15.0
    machine.rate_alone = Scaling(4, 30.0)  # the network takes no more than 320x180
    machine.run(5.0)
    assert machine.budget.limits.ceiling.frame_rate <= 10
    slowed = [limits for _, limits in machine.changes]
    assert all(
        limits.ceiling.frame_rate < 15 or limits.ceiling.numerator < 4 or limits.cpu_used < -6
        for limits in slowed
    )


def test_slow_decoding_makes_our_own_picture_smaller_step_by_step() -> None:
    machine = Machine(0.003)
    for _ in range(20 * 30):
        machine.budget.handle_decoding(0.032, machine.now)
        machine.run(1 / 30)
    assert machine.budget.limits.reduces
    assert len(machine.changes) >= 3
    reduced = machine.budget.limits
    for _ in range(8 * 30):
        machine.budget.handle_decoding(0.004, machine.now)
        machine.run(1 / 30)
    assert machine.budget.limits.cost(Scaling()) > reduced.cost(Scaling())


def test_an_event_loop_that_runs_late_does_too() -> None:
    machine = Machine(0.003)
    for _ in range(10 * 30):
        machine.budget.handle_lateness(0.08, machine.now)
        machine.run(1 / 30)
    assert machine.budget.limits.reduces
    for _ in range(30 * 30):
        machine.budget.handle_lateness(0.001, machine.now)
        machine.run(1 / 30)
    assert machine.budget.limits == WHOLE


def test_a_timer_that_is_late_now_and_then_does_not() -> None:
    machine = Machine(0.003)
    for index in range(60 * 30):
        machine.budget.handle_lateness(0.2 if index % 90 == 0 else 0.002, machine.now)
        machine.run(1 / 30)
    assert machine.changes == []


def test_where_even_the_least_picture_takes_too_long_there_is_none() -> None:
    machine = Machine(3.0)  # 118 ms for the least, of which there would be ten a second
    machine.run(25.0)
    assert [paused for _, paused in machine.pauses] == [True]
    assert machine.budget.limits.ceiling == Scaling(2, 10.0)


def test_a_least_picture_that_is_only_over_the_budget_goes_on() -> None:
    machine = Machine(2.2)  # 87 ms of the 100
    machine.run(60.0)
    assert machine.budget.limits.ceiling == Scaling(2, 10.0)
    assert machine.pauses == []


def test_a_pause_is_tried_to_be_ended_ever_more_rarely() -> None:
    machine = Machine(3.0)
    machine.run(500.0)
    lengths = [
        round(until - since)
        for (since, paused), (until, _) in zip(machine.pauses, machine.pauses[1:], strict=False)
        if paused
    ]
    assert lengths[:5] == [10, 20, 40, 80, 80]
    tries = [
        since - until
        for (until, paused), (since, _) in zip(machine.pauses, machine.pauses[1:], strict=False)
        if not paused
    ]
    assert all(2.0 <= length < 3.5 for length in tries)


def test_after_a_pause_the_picture_comes_back_whole_and_the_next_pause_is_short() -> None:
    machine = Machine(3.0)
    machine.run(60.0)  # by now they are of 40 s
    machine.seconds = 0.005
    machine.run(80.0)
    assert not machine.budget.paused
    assert machine.budget.limits == WHOLE
    seen = len(machine.pauses)
    machine.seconds = 3.0
    machine.run(45.0)
    (since, _), (until, _) = machine.pauses[seen : seen + 2]
    assert until - since == pytest.approx(10.0, abs=0.2)


def test_no_picture_is_tried_while_the_event_loop_runs_late() -> None:
    machine = Machine(3.0)
    machine.run(25.0)
    for _ in range(30 * 30):
        machine.budget.handle_lateness(0.05, machine.now)
        machine.run(1 / 30)
    assert machine.budget.paused
    calm_since = machine.now
    while machine.budget.paused:
        machine.budget.handle_lateness(0.001, machine.now)
        machine.run(1 / 30)
    assert 10.0 < machine.now - calm_since < 12.0


def test_what_is_no_longer_decoded_takes_no_time() -> None:
    machine = Machine(0.003)
    for _ in range(5 * 30):
        machine.budget.handle_decoding(0.032, machine.now)
        machine.run(1 / 30)
    assert machine.budget.limits.reduces
    machine.run(30.0)  # the other side has put its camera off
    assert machine.budget.limits == WHOLE
