from __future__ import annotations

import pytest

from ringline.media.receive.arrival_delay import DelayHistogram, RelativeDelay


def test_the_fastest_packet_has_no_delay_and_others_are_measured_by_it() -> None:
    delays = RelativeDelay()
    assert delays.handle_arrival(100.0, 5.0) == 0.0
    assert delays.handle_arrival(100.02, 5.05) == pytest.approx(0.03)
    assert delays.handle_arrival(100.04, 5.03) == 0.0
    assert delays.base == pytest.approx(5.03 - 100.04)


def test_after_two_seconds_a_longer_path_is_the_new_normal() -> None:
    delays = RelativeDelay()
    delays.handle_arrival(0.0, 0.0)
    late = [delays.handle_arrival(n * 0.02, n * 0.02 + 0.1) for n in range(1, 150)]
    assert late[0] == pytest.approx(0.1)
    assert late[90] == pytest.approx(0.1)
    assert late[105] == pytest.approx(0.0)


def test_a_clock_that_jumps_starts_the_window_again() -> None:
    delays = RelativeDelay()
    delays.handle_arrival(0.0, 0.0)
    assert delays.handle_arrival(50_000.0, 0.02) is None
    assert delays.handle_arrival(50_000.02, 0.05) == pytest.approx(0.01)


def test_a_path_that_slows_down_steadily_keeps_a_bounded_window() -> None:
    delays = RelativeDelay()
    for n in range(5_000):
        delays.handle_arrival(n * 0.0001, n * 0.0002)
    assert len(delays._minima) <= 1_024


def test_the_quantile_is_the_edge_of_its_bin() -> None:
    histogram = DelayHistogram(bin_width=0.02)
    assert histogram.quantile(0.95) == 0.0
    for _ in range(100):
        histogram.add(0.001)
    assert histogram.quantile(0.95) == pytest.approx(0.02)
    for _ in range(10):
        histogram.add(0.05)
    assert histogram.quantile(0.95) == pytest.approx(0.06)
    assert histogram.quantile(0.5) == pytest.approx(0.02)


def test_old_observations_fade() -> None:
    histogram = DelayHistogram(bin_width=0.02)
    for _ in range(100):
        histogram.add(0.3)
    for _ in range(200):
        histogram.add(0.0)
    assert histogram.quantile(0.95) == pytest.approx(0.02)


def test_delays_out_of_range_go_to_the_last_bin_and_weights_never_overflow() -> None:
    histogram = DelayHistogram(bin_width=0.02, bins=10, forget=0.5)
    for _ in range(2_000):
        histogram.add(99.0)
    assert histogram.quantile(0.95) == pytest.approx(0.2)
    histogram.add(-1.0)
    assert histogram.quantile(0.4) == pytest.approx(0.02)


def test_the_first_observations_fade_by_how_many_have_come() -> None:
    plain, settling = DelayHistogram(bin_width=0.02), DelayHistogram(bin_width=0.02, settle=2.0)
    for histogram in (plain, settling):
        for _ in range(4):
            histogram.add(0.19)
        for _ in range(16):
            histogram.add(0.01)
    assert plain.quantile(0.9) == pytest.approx(0.2)
    assert settling.quantile(0.9) == pytest.approx(0.02)


def test_an_observation_of_a_part_counts_for_that_part() -> None:
    histogram = DelayHistogram(bin_width=0.02)
    for _ in range(5):
        histogram.add(0.19, 0.2)
    for _ in range(9):
        histogram.add(0.01)
    assert histogram.quantile(0.85) == pytest.approx(0.02)
    assert histogram.quantile(0.95) == pytest.approx(0.2)
