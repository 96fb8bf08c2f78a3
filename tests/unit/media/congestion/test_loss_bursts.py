from __future__ import annotations

import random

import pytest

from ringline.media.congestion.feedback import ArrivedPacket, FeedbackReport, SentPacket
from ringline.media.congestion.loss_bursts import LossBursts


class Path:
    """200 packets a second, reported each 50 ms."""

    def __init__(self, seed: int = 1) -> None:
        self.pattern = LossBursts()
        self._rng = random.Random(seed)
        self._number = 0
        self._now = 0.0
        self._bad = False

    def send(self, seconds: float, *, loss: float, burst: float = 0.0) -> None:
        leave = 1 / burst if burst else 1 - loss
        enter = loss * leave / (1 - loss)
        for _ in range(round(seconds / 0.05)):
            report = FeedbackReport()
            for _ in range(10):
                draw = self._rng.random()
                self._bad = draw >= leave if self._bad else draw < enter
                if self._bad:
                    report.lost.append(SentPacket(self._number, self._now, 1000))
                else:
                    report.arrived.append(ArrivedPacket(self._number, self._now, 1000, self._now))
                self._number += 1
            self._now += 0.05
            self.pattern.handle_report(report, self._now)


def test_before_anything_is_known_nothing_is_lost() -> None:
    pattern = LossBursts()
    assert (pattern.loss, pattern.burst) == (0.0, 1.0)
    pattern.handle_report(FeedbackReport(lost=[SentPacket(0, 0.0, 1000)]), 0.0)
    assert pattern.loss == 0.0


def test_caution_takes_one_packet_of_a_hundred_for_lost_until_the_path_has_shown_what_it_does() -> (
    None
):
    path = Path()
    assert path.pattern.cautious_loss == 0.01
    path.send(2.0, loss=0.0)
    assert 0.0 < path.pattern.cautious_loss < 0.003
    path.send(600.0, loss=0.0)
    assert path.pattern.cautious_loss < 1e-9
    path.send(10.0, loss=0.1)
    assert path.pattern.cautious_loss == pytest.approx(path.pattern.loss)


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.2])
def test_losses_one_by_one_are_told_from_bursts(loss: float) -> None:
    alone, rows = Path(), Path()
    alone.send(30.0, loss=loss)
    rows.send(30.0, loss=loss, burst=4.0)
    assert alone.pattern.loss == pytest.approx(loss, rel=0.4)
    assert rows.pattern.loss == pytest.approx(loss, rel=0.6)
    assert alone.pattern.burst < 1.5
    assert rows.pattern.burst > 2.0


def test_a_run_may_span_reports() -> None:
    pattern = LossBursts()
    pattern.handle_report(FeedbackReport(lost=[SentPacket(n, 0.0, 1) for n in (7, 8, 9)]), 0.0)
    pattern.handle_report(FeedbackReport(lost=[SentPacket(n, 0.0, 1) for n in (10, 11)]), 0.0)
    assert pattern.burst == pytest.approx((5 + 2) / (1 + 2))


def test_a_path_that_turns_bad_is_seen_within_a_second() -> None:
    path = Path()
    path.send(20.0, loss=0.0)
    assert path.pattern.loss == 0.0
    path.send(1.0, loss=0.3)
    assert path.pattern.loss > 0.1


def test_a_path_that_has_become_good_is_believed_in_time() -> None:
    path = Path()
    path.send(10.0, loss=0.2)
    path.send(4.0, loss=0.0)
    assert path.pattern.loss > 0.05
    path.send(26.0, loss=0.0)
    assert path.pattern.loss < 0.003
