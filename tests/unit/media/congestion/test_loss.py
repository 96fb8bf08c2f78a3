from __future__ import annotations

import random

import pytest

from ringline.media.congestion.feedback import ArrivedPacket, FeedbackReport, SentPacket
from ringline.media.congestion.loss import LossModel


class Path:
    """Loses ``inherent`` at random and what is above ``bandwidth``; reports every 100 ms."""

    def __init__(self, *, inherent: float, bandwidth: float | None = None, seed: int = 1) -> None:
        self.model = LossModel()
        self._inherent = inherent
        self._bandwidth = bandwidth
        self._rng = random.Random(seed)
        self._now = 0.0

    def send(self, rate: float, seconds: float, *, queue: float = 0.0) -> None:
        for _ in range(round(seconds / 0.1)):
            count = max(2, round(rate * 0.1 / 8 / 1_000))
            report = FeedbackReport()
            for index in range(count):
                at = self._now + index * 0.1 / count
                excess = 0.0
                if self._bandwidth is not None and rate > self._bandwidth:
                    excess = 1 - self._bandwidth / rate
                lost = self._rng.random() < self._inherent + (1 - self._inherent) * excess
                if lost:
                    report.lost.append(SentPacket(0, at, 1_000))
                else:
                    report.arrived.append(ArrivedPacket(0, at, 1_000, at))
            self._now += 0.1
            self.model.handle_report(report, queue)


def test_a_clean_path_has_no_limit() -> None:
    path = Path(inherent=0.0)
    path.send(1e6, 5)
    assert (path.model.limit, path.model.inherent, path.model.fraction) == (None, 0.0, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_loss_that_does_not_follow_the_rate_is_inherent(seed: int) -> None:
    path = Path(inherent=0.2, seed=seed)
    for rate in (1e6, 2e6, 0.7e6, 1.5e6):
        path.send(rate, 2)
        assert path.model.limit is None
    assert path.model.inherent == pytest.approx(0.2, abs=0.06)
    assert path.model.fraction == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_loss_that_follows_the_rate_is_a_limit(seed: int) -> None:
    path = Path(inherent=0.0, bandwidth=500_000, seed=seed)
    path.send(400_000, 2)
    path.send(900_000, 1)
    assert path.model.limit is not None
    assert 400_000 <= path.model.limit <= 650_000
    assert path.model.inherent < 0.05


def test_a_limit_is_found_beside_inherent_loss() -> None:
    path = Path(inherent=0.1, bandwidth=600_000)
    path.send(400_000, 3)
    path.send(1_200_000, 2)
    assert path.model.limit is not None
    assert 450_000 <= path.model.limit <= 800_000
    assert path.model.inherent == pytest.approx(0.1, abs=0.07)


def test_more_loss_than_any_path_has_is_over_use_at_once() -> None:
    path = Path(inherent=0.7)
    path.send(1e6, 2)
    assert path.model.limit is not None
    assert path.model.limit < 1e6


def test_losses_of_a_full_queue_are_left_to_the_delay() -> None:
    path = Path(inherent=0.3)
    path.send(1e6, 3, queue=0.3)
    assert (path.model.limit, path.model.inherent) == (None, 0.0)
    assert path.model.fraction == pytest.approx(0.3, abs=0.1)


def test_losses_of_an_outage_can_be_discarded() -> None:
    path = Path(inherent=1.0)
    path.send(1e5, 0.2)
    path.model.discard_observation()
    assert path.model.fraction == 0.0
