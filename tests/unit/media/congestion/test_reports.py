from __future__ import annotations

import pytest

from ringline.media.congestion.reports import ReportRate
from ringline.media.congestion.target_rate import RateConfig


def fresh() -> ReportRate:
    return ReportRate(RateConfig(), now=0.0)


def test_little_loss_lets_it_grow_by_8_percent_a_report() -> None:
    rate = fresh()
    rate.handle_loss(0.0, 0.1, 1.0)
    assert rate.bitrate == pytest.approx(324_000)


def test_reports_of_two_streams_at_once_count_once() -> None:
    rate = fresh()
    rate.handle_loss(0.0, 0.1, 1.0)
    rate.handle_loss(0.0, 0.1, 1.01)
    assert rate.bitrate == pytest.approx(324_000)


def test_some_loss_holds_and_much_loss_cuts() -> None:
    rate = fresh()
    rate.handle_loss(0.05, None, 1.0)
    assert rate.bitrate == 300_000
    rate.handle_loss(0.4, None, 2.0)
    assert rate.bitrate == pytest.approx(240_000)


def test_a_growing_round_trip_cuts() -> None:
    rate = fresh()
    rate.handle_loss(0.05, 0.1, 1.0)
    rate.handle_loss(0.0, 0.3, 2.0)
    assert rate.bitrate == pytest.approx(255_000)


def test_a_receivers_estimate_caps_at_once_and_is_reached_quickly() -> None:
    rate = fresh()
    rate.handle_estimate(200_000, 0.5)
    assert rate.bitrate == 200_000
    rate.handle_estimate(1_000_000, 1.0)
    for second in range(2, 8):
        rate.handle_loss(0.0, 0.1, float(second))
    assert rate.bitrate == 1_000_000


def test_an_old_estimate_is_forgotten() -> None:
    rate = fresh()
    rate.handle_estimate(300_000, 0.0)
    rate.handle_loss(0.0, 0.1, 5.0)
    assert rate.bitrate == 300_000
    rate.handle_loss(0.0, 0.1, 11.0)
    assert rate.bitrate == pytest.approx(324_000)


def test_silence_reduces_it_to_100_kbit_and_no_further() -> None:
    rate = fresh()
    now = 0.0
    for _ in range(60):
        now = rate.poll_timeout()
        rate.handle_timeout(now)
    assert rate.bitrate == 100_000
    assert now == pytest.approx(64.0)
    rate.restart(now)
    assert rate.poll_timeout() == now + 5.0
