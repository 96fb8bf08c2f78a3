from __future__ import annotations

import random

import pytest

from ringline.media.congestion.loss_pattern import LossPattern, residual_loss


def gilbert(rate: float, burst: float, count: int, seed: int) -> list[bool]:
    """Return a stretch of fates with losses in runs of ``burst`` on average."""
    rng = random.Random(seed)
    fates, lost = [], False
    for _ in range(count):
        lost = rng.random() >= 1 / burst if lost else rng.random() < rate / (1 - rate) / burst
        fates.append(lost)
    return fates


def feed(pattern: LossPattern, fates: list[bool]) -> None:
    for index, lost in enumerate(fates):
        pattern.handle_fate(index, lost, index * 0.02)


def test_a_path_that_loses_nothing_has_no_loss() -> None:
    pattern = LossPattern()
    feed(pattern, [False] * 500)
    assert (pattern.rate, pattern.burst_length) == (0.0, 1.0)


def test_the_first_loss_is_heard_at_once_and_not_overrated() -> None:
    pattern = LossPattern()
    feed(pattern, [False, False, True])
    assert 0.05 < pattern.rate < 0.2


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_new_loss_rate_is_known_within_a_second(rate: float) -> None:
    estimates = []
    for seed in range(30):
        pattern = LossPattern()
        feed(pattern, [False] * 500 + gilbert(rate, 1 / (1 - rate), 50, seed))
        estimates.append(pattern.rate)
    assert rate * 0.55 < sum(estimates) / len(estimates) < rate * 1.5


def test_losses_are_not_forgotten_between_two() -> None:
    pattern = LossPattern()
    feed(pattern, ([True] + [False] * 49) * 8)
    assert pattern.rate > 0.01


def test_loss_that_has_ended_fades_over_seconds() -> None:
    pattern = LossPattern()
    feed(pattern, gilbert(0.2, 1.25, 500, 1) + [False] * 100)
    assert pattern.rate > 0.05
    feed_later = [False] * 1_500
    for index, lost in enumerate(feed_later):
        pattern.handle_fate(600 + index, lost, (600 + index) * 0.02)
    assert pattern.rate < 0.01


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 3.0), (0.05, 4.0), (0.2, 5.0)])
def test_bursts_are_told_from_chance(rate: float, burst: float) -> None:
    bursts, chance = [], []
    for seed in range(20):
        pattern = LossPattern()
        feed(pattern, gilbert(rate, burst, 1_000, seed))
        bursts.append(pattern.burst_length)
        pattern = LossPattern()
        feed(pattern, gilbert(rate, 1 / (1 - rate), 1_000, seed))
        chance.append(pattern.burst_length)
    assert sum(bursts) / 20 == pytest.approx(burst, rel=0.3)
    assert sum(chance) / 20 == pytest.approx(1 / (1 - rate), rel=0.15)


def test_the_order_in_which_fates_come_does_not_matter() -> None:
    fates = gilbert(0.2, 3.0, 60, 1)
    forward, backward = LossPattern(), LossPattern()
    for index, lost in enumerate(fates):
        forward.handle_fate(index, lost, 1.0)
    for index, lost in reversed(list(enumerate(fates))):
        backward.handle_fate(index, lost, 1.0)
    assert forward.rate == pytest.approx(backward.rate)
    assert forward.cohesion == pytest.approx(backward.cohesion, abs=0.2)


def test_fates_that_never_come_leave_no_pair() -> None:
    pattern = LossPattern()
    for index in range(0, 200, 2):
        pattern.handle_fate(index, index % 8 == 0, index * 0.02)
    assert pattern.cohesion == 0.0


def test_what_is_left_of_chance_is_the_product_of_the_rates() -> None:
    assert residual_loss(0.2, 0.0, (1, 2)) == pytest.approx(0.008)
    assert residual_loss(0.2, 0.0, ()) == 0.2
    assert residual_loss(0.0, 0.0, (1,)) == 0.0


def test_what_is_left_of_bursts_is_as_in_the_gilbert_model() -> None:
    rate, burst = 0.1, 3.0
    cohesion = 1 - 1 / burst / (1 - rate)
    fates = gilbert(rate, burst, 400_000, 3)
    for distances in ((1,), (1, 2), (1, 3), (2, 4)):
        gone = sum(
            all(fates[index + distance] for distance in (0, *distances))
            for index in range(len(fates) - 4)
        )
        expected = residual_loss(rate, cohesion, distances)
        assert gone / len(fates) == pytest.approx(expected, rel=0.1)
