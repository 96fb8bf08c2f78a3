from __future__ import annotations

from dataclasses import replace

import pytest

from ringline.media.congestion.delay_trend import Usage
from ringline.media.congestion.target_rate import PathState, RateConfig, TargetRate

CALM = PathState(
    usage=Usage.NORMAL,
    acknowledged=1_000_000.0,
    quick_acknowledged=1_000_000.0,
    bottleneck=None,
    in_flight=0.0,
    inherent_loss=0.0,
    loss_limit=None,
    queue_delay=0.0,
    jitter=0.0,
    round_trip=0.1,
    application_limited=False,
)


def rate_at(bitrate: float) -> TargetRate:
    rate = TargetRate(RateConfig(), now=0.0)
    rate.set_bitrate(bitrate)
    return rate


def test_bounds_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="min_bitrate"):
        RateConfig(min_bitrate=500_000)


def test_far_from_capacity_it_grows_by_8_percent_a_second() -> None:
    rate = rate_at(1_000_000)
    assert not rate.update(CALM, 1.0)
    assert rate.bitrate == pytest.approx(1_080_000)


def test_growth_stops_where_nothing_confirms_it() -> None:
    rate = rate_at(1_000_000)
    rate.update(replace(CALM, acknowledged=600_000.0), 1.0)
    assert rate.bitrate == 1_000_000
    rate.update(replace(CALM, application_limited=True), 2.0)
    assert rate.bitrate == 1_000_000


def test_a_standing_queue_holds_the_rate() -> None:
    rate = rate_at(1_000_000)
    rate.update(replace(CALM, queue_delay=0.07), 1.0)
    assert rate.bitrate == 1_000_000


def test_over_use_brakes_the_harder_the_fuller_the_queue() -> None:
    for queue, share in ((0.05, 0.85), (0.26, 0.6), (0.6, 0.5)):
        rate = rate_at(1_000_000)
        path = replace(CALM, usage=Usage.OVERUSING, queue_delay=queue, quick_acknowledged=500_000.0)
        assert rate.update(path, 1.0)
        assert rate.bitrate == pytest.approx(500_000 * share)
        assert rate.draining
        assert rate.capacity == 500_000


def test_when_the_queue_is_empty_it_goes_on_just_below_capacity() -> None:
    rate = rate_at(1_000_000)
    braking = replace(CALM, usage=Usage.OVERUSING, queue_delay=0.3, quick_acknowledged=500_000.0)
    rate.update(braking, 1.0)
    rate.update(replace(CALM, queue_delay=0.01), 1.05)  # sooner than a round trip: old news
    assert rate.draining
    rate.update(replace(CALM, queue_delay=0.01), 1.2)
    assert not rate.draining
    assert rate.bitrate == pytest.approx(460_000)


def test_a_shrinking_queue_is_not_braked_for_again() -> None:
    rate = rate_at(1_000_000)
    braking = replace(CALM, usage=Usage.OVERUSING, queue_delay=0.3, quick_acknowledged=500_000.0)
    rate.update(braking, 1.0)
    before = rate.bitrate
    assert not rate.update(replace(braking, queue_delay=0.25), 2.0)
    assert rate.bitrate == before


def test_a_queue_that_does_not_empty_is_foreign() -> None:
    rate = rate_at(1_000_000)
    rate.update(replace(CALM, usage=Usage.OVERUSING, queue_delay=0.15), 1.0)
    rate.update(replace(CALM, queue_delay=0.12), 2.9)
    assert not rate.queue_is_foreign
    rate.update(replace(CALM, queue_delay=0.12), 3.1)
    assert rate.queue_is_foreign
    assert not rate.draining
    rate.update(CALM, 3.2)
    assert not rate.queue_is_foreign


def test_cutting_again_for_one_queue_ends_after_six_seconds() -> None:
    rate = rate_at(2_000_000)
    now = 1.0
    while not rate.queue_is_foreign:
        # Another flow takes whatever we leave: less comes out the less we send.
        throughput = 0.8 * rate.bitrate
        rate.update(replace(CALM, queue_delay=0.3, quick_acknowledged=throughput), now)
        now += 0.1
    assert 6.5 < now < 7.5


def test_a_queue_that_shrinks_slowly_gets_more_time() -> None:
    rate = rate_at(1_000_000)
    rate.update(replace(CALM, usage=Usage.OVERUSING, queue_delay=0.3), 1.0)
    rate.update(replace(CALM, queue_delay=0.15), 3.1)
    assert rate.draining
    assert not rate.queue_is_foreign


def test_a_rate_that_is_still_too_high_is_cut_again() -> None:
    rate = rate_at(1_000_000)
    unmeasured = replace(
        CALM, queue_delay=0.3, acknowledged=None, quick_acknowledged=None, usage=Usage.OVERUSING
    )
    rate.update(unmeasured, 1.0)
    standing = replace(CALM, queue_delay=0.3, quick_acknowledged=100_000.0)
    assert not rate.update(standing, 1.05)  # sooner than a round trip
    assert rate.update(standing, 1.2)
    assert rate.bitrate < 100_000


def test_over_use_without_a_queue_is_not_believed() -> None:
    rate = rate_at(1_000_000)
    assert not rate.update(replace(CALM, usage=Usage.OVERUSING, queue_delay=0.01), 1.0)
    assert rate.bitrate == 1_000_000


def test_a_full_queue_is_over_use_even_if_it_cannot_grow() -> None:
    rate = rate_at(1_000_000)
    assert rate.update(replace(CALM, queue_delay=0.4, quick_acknowledged=150_000.0), 1.0)
    assert rate.bitrate == pytest.approx(75_000)


def test_throughput_is_scaled_up_by_inherent_loss() -> None:
    rate = rate_at(1_000_000)
    path = replace(
        CALM,
        usage=Usage.OVERUSING,
        queue_delay=0.05,
        quick_acknowledged=800_000.0,
        inherent_loss=0.2,
    )
    rate.update(path, 1.0)
    assert rate.bitrate == pytest.approx(850_000)


def test_a_limit_by_loss_is_taken_at_once() -> None:
    rate = rate_at(1_000_000)
    assert rate.update(replace(CALM, loss_limit=600_000.0), 1.0)
    assert rate.bitrate == 600_000


def test_near_capacity_growth_is_additive() -> None:
    rate = rate_at(1_000_000)
    rate.capacity = 1_000_000
    rate.update(CALM, 1.0)
    packet = 1_000_000 / 30 / 4  # a picture of it takes four
    assert rate.bitrate == pytest.approx(1_000_000 + packet / 0.4)


def test_a_probe_lifts_the_rate_and_never_lowers_it_later() -> None:
    rate = rate_at(300_000)
    rate.handle_probe(900_000, CALM, 0.1)
    assert rate.bitrate == pytest.approx(828_000)
    rate.handle_probe(200_000, CALM, 0.2)
    assert rate.bitrate == pytest.approx(828_000)


def test_growth_stops_for_a_while_where_a_probe_did_not_get_through() -> None:
    rate = rate_at(1_000_000)
    rate.handle_probe(1_000_000 / 0.92, CALM, 0.05)  # the first one may cut a rate that was a guess
    rate.handle_probe(900_000, CALM, 0.1, limit=1_050_000)
    for second in (1.0, 2.0, 3.0, 4.0):
        rate.update(CALM, second)
    assert rate.bitrate == 1_050_000
    rate.update(CALM, 5.0)  # what it found is old
    assert rate.bitrate == pytest.approx(1_050_000 * 1.08)


def test_a_limit_below_the_rate_does_not_cut_it_and_a_probe_that_passes_lifts_it() -> None:
    rate = rate_at(1_000_000)
    rate.handle_probe(1_000_000 / 0.92, CALM, 0.1)
    rate.handle_probe(500_000, CALM, 0.2, limit=600_000)
    rate.update(CALM, 1.2)
    assert rate.bitrate == 1_000_000
    rate.handle_probe(500_000, CALM, 1.3)
    rate.update(CALM, 2.2)
    assert rate.bitrate == pytest.approx(1_080_000)


def test_a_first_probe_below_the_start_rate_is_believed() -> None:
    rate = rate_at(300_000)
    assert not rate.is_measured
    rate.handle_probe(150_000, replace(CALM, queue_delay=0.4), 0.5)
    assert rate.bitrate == pytest.approx(75_000)
    assert rate.draining
    assert rate.is_measured


@pytest.mark.parametrize(("bottleneck", "misguessed"), [(150_000.0, True), (200_000.0, False)])
def test_a_guess_is_far_off_below_six_tenths_and_only_once(
    bottleneck: float, misguessed: bool
) -> None:
    rate = rate_at(300_000)
    narrow = replace(CALM, queue_delay=0.2, bottleneck=bottleneck)
    rate.update(narrow, 0.5)
    assert rate.was_misguessed is misguessed
    rate.update(replace(narrow, bottleneck=50_000.0), 3.0)
    assert not rate.was_misguessed  # by now it is no guess


def test_a_first_probe_can_disprove_the_guess() -> None:
    rate = rate_at(300_000)
    rate.handle_probe(150_000, CALM, 0.5)
    assert rate.was_misguessed
    rate.update(CALM, 0.6)
    assert not rate.was_misguessed


def test_the_rate_stays_within_its_bounds() -> None:
    rate = rate_at(1e9)
    assert rate.bitrate == 2_500_000
    rate.set_bitrate(1)
    assert rate.bitrate == 20_000


def test_a_bottleneck_that_passes_less_is_over_use_whatever_the_trend_says() -> None:
    rate = rate_at(1_000_000)
    narrow = replace(CALM, queue_delay=0.05, bottleneck=500_000.0)
    assert rate.update(narrow, 1.0)
    assert rate.bitrate == pytest.approx(425_000)
    # Sooner than a round trip, since what it passes does not depend on what we send.
    assert rate.update(replace(narrow, bottleneck=200_000.0), 1.05)
    assert rate.bitrate == pytest.approx(170_000)


def test_a_burst_in_the_queue_of_a_path_that_is_wide_enough_is_waited_for_gently() -> None:
    rate = rate_at(1_000_000)
    path = replace(CALM, usage=Usage.OVERUSING, queue_delay=0.05, bottleneck=1_000_000.0)
    assert rate.update(path, 1.0)
    assert rate.bitrate == pytest.approx(920_000)


def test_far_more_under_way_than_the_path_takes_is_a_collapse() -> None:
    rate = rate_at(2_000_000)
    path = replace(CALM, queue_delay=0.05, bottleneck=300_000.0, in_flight=200_000.0)
    assert rate.update(path, 1.0)
    assert rate.collapsed
    assert rate.bitrate == pytest.approx(90_000)
    assert rate.settled_bitrate == pytest.approx(276_000)
    rate.update(path, 1.1)
    assert not rate.collapsed  # once


def test_less_under_way_or_a_smaller_fall_is_none() -> None:
    for bottleneck, in_flight in ((300_000.0, 60_000.0), (1_500_000.0, 800_000.0)):
        rate = rate_at(2_000_000)
        path = replace(CALM, queue_delay=0.05, bottleneck=bottleneck, in_flight=in_flight)
        assert rate.update(path, 1.0)
        assert not rate.collapsed


def test_after_a_collapse_it_goes_on_when_the_queue_must_be_empty() -> None:
    """Where a round trip is long, the report of it comes much later."""
    rate = rate_at(2_000_000)
    path = replace(CALM, queue_delay=0.3, bottleneck=300_000.0, in_flight=210_000.0, round_trip=0.6)
    rate.update(path, 1.0)
    full = replace(path, bottleneck=None)
    rate.update(full, 1.9)
    assert rate.draining
    rate.update(full, 2.05)  # 0.7 s of queue at 0.7 of capacity
    assert not rate.draining
    assert rate.bitrate == pytest.approx(276_000)


def test_a_rate_that_grows_beyond_the_capacity_says_so_once() -> None:
    rate = rate_at(1_080_000)
    rate.capacity = 1_000_000
    told = []
    for tenth in range(1, 30):
        rate.update(CALM, tenth / 10)
        told.append(rate.outgrew)
    assert told.count(True) == 1
    assert rate.bitrate > 1_100_000
