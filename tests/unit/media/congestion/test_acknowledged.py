from __future__ import annotations

import pytest

from ringline.media.congestion.acknowledged import AcknowledgedRate


def test_too_little_gives_no_rate() -> None:
    acknowledged = AcknowledgedRate()
    assert acknowledged.rate is None
    for index in range(5):
        acknowledged.handle_arrival(index * 0.1, 1_000)
    assert acknowledged.rate is None  # five packets
    assert acknowledged.quick_rate is None


def test_the_rate_is_what_arrived_over_the_time_it_took() -> None:
    acknowledged = AcknowledgedRate()
    for index in range(101):
        acknowledged.handle_arrival(index * 0.01, 1_000)
    assert acknowledged.rate == pytest.approx(800_000)
    assert acknowledged.quick_rate == pytest.approx(800_000)


def test_the_quick_rate_sees_a_drop_first() -> None:
    acknowledged = AcknowledgedRate()
    for index in range(50):
        acknowledged.handle_arrival(index * 0.01, 1_000)
    for index in range(12):
        acknowledged.handle_arrival(0.5 + index * 0.02, 500)
    assert acknowledged.quick_rate == pytest.approx(200_000, rel=0.05)
    assert acknowledged.rate is not None
    assert acknowledged.rate > 400_000


def test_after_a_reset_nothing_is_known() -> None:
    acknowledged = AcknowledgedRate()
    for index in range(100):
        acknowledged.handle_arrival(index * 0.01, 1_000)
    acknowledged.reset()
    assert acknowledged.rate is None
