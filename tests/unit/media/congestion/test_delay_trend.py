from __future__ import annotations

import random

import pytest

from ringline.media.congestion.arrival_groups import GroupDelta
from ringline.media.congestion.delay_trend import DelayTrend, Usage


def feed(trend: DelayTrend, count: int, growth: float, *, start: float = 0.0) -> list[Usage]:
    """Groups 20 ms apart, each ``growth`` seconds later than the one before."""
    step = 0.02 + growth
    return [
        trend.handle_group(GroupDelta(0.02, step, start + (index + 1) * step))
        for index in range(count)
    ]


def test_a_steady_path_is_normal() -> None:
    trend = DelayTrend()
    assert set(feed(trend, 200, 0.0)) == {Usage.NORMAL}
    assert trend.jitter == 0.0


def test_a_growing_queue_is_over_use_within_half_a_second() -> None:
    trend = DelayTrend()
    feed(trend, 50, 0.0)
    usages = feed(trend, 25, 0.004, start=1.0)  # 20 % over capacity
    assert Usage.OVERUSING in usages
    assert usages[0] is Usage.NORMAL


def test_a_queue_that_empties_is_under_use() -> None:
    trend = DelayTrend()
    feed(trend, 50, 0.0)
    feed(trend, 40, 0.004, start=1.0)
    assert Usage.UNDERUSING in feed(trend, 60, -0.004, start=2.0)


def test_jitter_alone_is_not_over_use_for_long() -> None:
    rng = random.Random(3)
    trend = DelayTrend()
    noise = [rng.uniform(0, 0.02) for _ in range(1_001)]
    usages = [
        trend.handle_group(
            GroupDelta(0.02, 0.02 + noise[i + 1] - noise[i], 0.02 * (i + 1) + noise[i + 1])
        )
        for i in range(1_000)
    ]
    assert usages[100:].count(Usage.OVERUSING) < 20
    assert trend.jitter == pytest.approx(0.0067, abs=0.003)
