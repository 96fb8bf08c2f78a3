from __future__ import annotations

import pytest

from ringline.signaling.token_bucket import TokenBucket


def test_a_full_bucket_gives_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(10.0, 5, now=0.0)
    assert [bucket.take(0.0) for _ in range(6)] == [4, 3, 2, 1, 0, -1]
    assert bucket.retry_after() == pytest.approx(0.2)
    assert bucket.take(0.2) == pytest.approx(0.0)


def test_it_never_holds_more_than_a_burst() -> None:
    bucket = TokenBucket(10.0, 5, now=0.0)
    assert bucket.take(1000.0) == 4
    assert bucket.retry_after() == 0.0


def test_who_goes_on_although_refused_exhausts_it() -> None:
    bucket = TokenBucket(10.0, 5, now=0.0)
    for _ in range(9):
        bucket.take(0.0)
    assert not bucket.exhausted
    bucket.take(0.0)
    assert bucket.exhausted
    for _ in range(100):
        bucket.take(0.0)
    bucket.take(0.5)  # the debt is bounded: five tokens came
    assert not bucket.exhausted
