from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from ringline.media.receive.render_delay import RenderDelay, RenderDelayConfig

PERIOD = 1 / 30


def play(
    delay: RenderDelay,
    seconds: float,
    *,
    stop: float = 0.0,
    each: int = 30,
    start: float = 0.0,
    on_step: Callable[[float], None] = lambda _: None,
) -> float:
    """Let one picture of ``each`` be ``stop`` late and hold those behind it up; return the end."""
    ready_at = start
    now = start
    for number in range(round(seconds / PERIOD)):
        usual_at = start + number * PERIOD
        own = usual_at + (stop if number % each == each - 1 else 0.0)
        waited_for = own >= ready_at
        ready_at = now = max(own, ready_at)
        delay.handle_picture(now - usual_at, now, waited_for=waited_for)
        on_step(delay.advance(now))
    return now


def test_where_nothing_is_late_there_is_no_delay() -> None:
    delay = RenderDelay()
    seen: list[float] = []
    play(delay, 30.0, on_step=seen.append)
    assert set(seen) == {0.0}


def test_repairs_that_make_no_freeze_cost_no_latency() -> None:
    delay = RenderDelay()
    play(delay, 30.0, stop=0.13)
    assert delay.delay == 0.0


def test_repairs_that_would_freeze_make_a_delay_that_holds_a_picture() -> None:
    delay = RenderDelay()
    play(delay, 30.0, stop=0.25)
    assert delay.delay == pytest.approx(0.05)


def test_longer_repairs_make_more_delay() -> None:
    delay = RenderDelay()
    play(delay, 30.0, stop=0.45)
    assert 0.08 <= delay.delay <= 0.12


def test_no_more_than_some_round_trips_are_held() -> None:
    delay = RenderDelay(RenderDelayConfig(min_bound=0.02))
    play(delay, 30.0, stop=0.25)
    assert delay.delay == pytest.approx(0.05)
    delay.handle_round_trip(0.02)
    play(delay, 30.0, stop=0.25, start=31.0)
    assert delay.delay <= 0.03


def test_a_queue_that_grows_is_late_and_stops_nothing() -> None:
    delay = RenderDelay()
    for number in range(900):
        now = number * PERIOD
        late = 0.02 * (number % 30)
        delay.handle_picture(late, now + late, waited_for=True)
        assert delay.advance(now + late) == 0.0


def test_one_loss_is_let_stop_the_picture() -> None:
    delay = RenderDelay()
    seen: list[float] = []
    play(delay, 60.0, stop=0.2, each=900, on_step=seen.append)
    assert set(seen) == {0.0}


def test_a_few_losses_raise_it_and_it_goes_when_they_end() -> None:
    delay = RenderDelay()
    end = play(delay, 4.0, stop=0.25)
    assert delay.delay == pytest.approx(0.05)
    play(delay, 40.0, start=end + PERIOD)
    assert delay.delay == 0.0


def test_it_changes_by_a_tenth_of_the_time_that_passes() -> None:
    delay = RenderDelay()
    values: list[float] = []
    play(delay, 20.0, stop=0.4, each=15, on_step=values.append)
    assert max(values) > 0.05
    # Between two pictures the 0.4 s of a stop pass at most.
    assert max(after - before for before, after in pairwise(values)) <= 0.1 * (0.4 + PERIOD) + 1e-9


def test_a_restart_keeps_the_delay_and_forgets_the_losses() -> None:
    delay = RenderDelay()
    end = play(delay, 20.0, stop=0.25)
    before = delay.delay
    delay.restart()
    assert delay.advance(end) == before > 0.0
    play(delay, 5.0, start=end + PERIOD)
    assert delay.delay == 0.0
