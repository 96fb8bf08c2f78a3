from __future__ import annotations

import random
from itertools import pairwise

import pytest

from ringline.media.receive.target_delay import TargetDelay, TargetDelayConfig


def feed(target: TargetDelay, delays: list[float], start: float = 0.0) -> list[float]:
    """Let packets come 20 ms apart, each so late; return the target after each."""
    targets = []
    for number, delay in enumerate(delays):
        target.handle_arrival(delay, start + number * 0.02 + delay)
        targets.append(target.seconds)
    return targets


def test_two_seconds_of_a_clean_path_lower_it_to_the_minimum() -> None:
    target = TargetDelay()
    targets = feed(target, [0.001] * 300)
    assert targets[0] == 0.04
    assert targets[90] == 0.04
    assert targets[-1] == 0.01
    assert targets == sorted(targets, reverse=True)


def test_lateness_raises_it_within_a_moment_of_the_start() -> None:
    target = TargetDelay()
    feed(target, [0.09] * 12)
    assert target.seconds == pytest.approx(0.105)  # and half a frame more


def test_it_covers_nearly_all_of_what_jitters() -> None:
    rng = random.Random(3)
    target = TargetDelay()
    feed(target, [rng.uniform(0, 0.06) for _ in range(3_000)])
    assert 0.065 <= target.seconds <= 0.075


def test_it_is_stable_on_a_path_that_wanders() -> None:
    rng = random.Random(8)
    target = TargetDelay()
    delays = [abs(rng.gauss(0, 0.02)) + 0.01 * (number // 400 % 2) for number in range(6_000)]
    targets = feed(target, delays)[2_000:]
    changes = sum(a != b for a, b in pairwise(targets))
    assert max(targets) - min(targets) <= 0.02
    assert changes <= 20  # in 80 s


def test_a_lonely_spike_is_forgotten_and_frequent_ones_are_not() -> None:
    lonely, frequent = TargetDelay(), TargetDelay()
    feed(lonely, [0.2 if number == 2_000 else 0.005 for number in range(4_000)])
    feed(frequent, [0.2 if number % 100 == 99 else 0.005 for number in range(4_000)])
    assert lonely.seconds == pytest.approx(0.015)
    assert frequent.seconds == pytest.approx(0.215)


def test_the_start_of_a_call_is_soon_forgotten_and_never_all_at_once() -> None:
    """A sender that feels its way up fills the path's queue for a second and a half."""
    target = TargetDelay()
    targets = feed(target, [0.3 if number < 75 else 0.02 for number in range(1_000)])
    assert targets[75] == pytest.approx(0.315)
    assert targets[-1] == pytest.approx(0.0375, abs=0.006)
    falls = [a - b for a, b in zip(targets[:-50], targets[50:], strict=True)]
    assert max(falls) <= 0.046  # in a second, and what half a second may shift


def test_repair_is_waited_for_if_there_is_enough_of_it() -> None:
    for every, expected in ((1_000, 0.01), (50, 0.05), (10, 0.05)):
        target = TargetDelay()
        for number in range(3_000):
            target.handle_arrival(0.0, number * 0.02)
            if number % every == 0:
                target.handle_repair(0.045)
        assert target.seconds == pytest.approx(expected), every


def test_repair_that_comes_much_too_late_is_not_waited_for() -> None:
    target = TargetDelay()
    for number in range(3_000):
        target.handle_arrival(0.0, number * 0.02)
        if number % 20 == 0:
            target.handle_repair(0.03 if number % 40 else 0.6)
    assert target.seconds == pytest.approx(0.04)


def test_where_losses_end_repair_is_no_longer_waited_for() -> None:
    target = TargetDelay()
    for number in range(3_000):
        target.handle_arrival(0.0, number * 0.02)
        if number % 20 == 0 and number < 1_000:
            target.handle_repair(0.03)
    assert target.seconds == 0.01


def test_it_never_leaves_its_bounds() -> None:
    config = TargetDelayConfig(minimum=0.03, maximum=0.2)
    target = TargetDelay(config)
    for number in range(1_000):
        target.handle_arrival(5.0, number * 0.02)
        target.handle_repair(9.0)
    assert target.seconds == 0.2
    target = TargetDelay(config)
    feed(target, [0.0] * 300)
    assert target.seconds == 0.03
