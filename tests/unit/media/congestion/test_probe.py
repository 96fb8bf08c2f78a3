from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ringline.media.congestion.feedback import ArrivedPacket, SentPacket
from ringline.media.congestion.probe import ProbeCluster, ProbePlanner


def poll(planner: ProbePlanner, now: float, **changes: Any) -> ProbeCluster | None:
    path = {"target": 300_000.0, "ceiling": 2_500_000.0, "calm": True, "jitter": 0.0, **changes}
    return planner.poll_cluster(now, **path)


def packets(cluster: ProbeCluster, capacity: float) -> list[ArrivedPacket]:
    size = -(-cluster.size // cluster.packets)
    return [
        ArrivedPacket(
            number,
            number * size * 8 / cluster.bitrate,
            size,
            50 + number * size * 8 / min(capacity, cluster.bitrate),
            cluster.number,
        )
        for number in range(cluster.packets)
    ]


def started() -> tuple[ProbePlanner, ProbeCluster]:
    planner = ProbePlanner()
    planner.start(0.0)
    cluster = poll(planner, 0.0)
    assert cluster is not None
    return planner, cluster


def test_nothing_is_probed_before_the_start() -> None:
    assert poll(ProbePlanner(), 1.0) is None


def test_the_first_cluster_tries_six_times_the_start_rate_for_20_ms() -> None:
    planner, cluster = started()
    assert cluster == ProbeCluster(number=0, bitrate=1_800_000, size=4_500, packets=6)
    assert poll(planner, 0.01) is None  # one at a time


def test_a_success_is_followed_at_once() -> None:
    planner, cluster = started()
    rate = planner.handle_results(packets(cluster, 10e6), [], 0.1)
    assert rate == pytest.approx(1_800_000)
    following = poll(planner, 0.1, target=1_100_000.0)
    assert following is not None
    assert following.bitrate == 2_200_000


def test_a_failure_measures_the_path_and_waits_longer_each_time() -> None:
    planner, cluster = started()
    assert planner.handle_results(packets(cluster, 400_000), [], 0.1) == pytest.approx(400_000)
    assert poll(planner, 1.05) is None
    second = poll(planner, 1.15)
    assert second is not None
    planner.handle_results(packets(second, 400_000), [], 1.2)
    assert poll(planner, 3.1) is None
    assert poll(planner, 3.3) is not None


def test_a_cluster_that_a_bottleneck_squeezed_tells_what_the_path_takes_at_most() -> None:
    planner, cluster = started()
    assert planner.limit is None
    planner.handle_results(packets(cluster, 400_000), [], 0.1)
    assert planner.limit == pytest.approx(400_000)
    second = poll(planner, 1.2)
    assert second is not None
    planner.handle_results(packets(second, 10e6), [], 1.3)
    assert planner.limit is None  # it passed


def test_a_cluster_that_our_own_timers_held_up_tells_nothing_of_the_path() -> None:
    planner, cluster = started()
    late = [
        replace(packet, sent_at=3 * packet.sent_at, arrived_at=50 + 3 * packet.sent_at)
        for packet in packets(cluster, 10e6)
    ]
    assert planner.handle_results(late, [], 0.2) == pytest.approx(600_000)
    assert planner.limit is None


def test_lost_packets_complete_a_cluster() -> None:
    planner, cluster = started()
    arrived = packets(cluster, 10e6)
    lost = arrived.pop(2)
    rate = planner.handle_results(arrived, [], 0.1)
    assert rate is None
    rate = planner.handle_results([], [SentPacket(2, lost.sent_at, lost.size, 0)], 0.2)
    assert rate == pytest.approx(1_440_000)  # four spans of five packets


def test_a_cluster_that_mostly_vanished_measures_nothing() -> None:
    planner, cluster = started()
    arrived = packets(cluster, 10e6)
    lost = [SentPacket(p.number, p.sent_at, p.size, p.probe) for p in arrived[2:]]
    assert planner.handle_results(arrived[:2], lost, 0.1) is None
    assert poll(planner, 0.2) is None  # a failure


def test_a_cluster_released_at_once_measures_nothing() -> None:
    planner, cluster = started()
    assert planner.handle_results(packets(cluster, 10e6)[:1], [], 0.1) is None
    squeezed = [
        ArrivedPacket(p.number, p.sent_at, p.size, 50 + p.number * 1e-4, p.probe)
        for p in packets(cluster, 10e6)[1:]
    ]
    assert planner.handle_results(squeezed, [], 0.1) is None


def test_without_results_it_is_given_up() -> None:
    planner, _ = started()
    assert poll(planner, 0.99) is None
    assert poll(planner, 1.0) is None
    assert poll(planner, 2.01) is not None


def send(planner: ProbePlanner, cluster: ProbeCluster) -> list[ArrivedPacket]:
    """Let a cluster leave; return its packets as they arrive."""
    arrived = packets(cluster, 10e6)
    for each in arrived:
        planner.handle_sent(SentPacket(each.number, each.sent_at, each.size, each.probe))
    return arrived


def later(number: int = 100) -> ArrivedPacket:
    return ArrivedPacket(number, 0.1, 1000, 50.1)


def test_a_cluster_whose_report_was_lost_is_tried_again_at_once_but_not_for_ever() -> None:
    planner, cluster = started()
    for attempt in range(4):
        arrived = send(planner, cluster)
        now = 0.2 * (attempt + 1)
        assert planner.handle_results(arrived[4:], [], now) is None
        assert poll(planner, now) is None  # the report on the others may be late
        assert planner.handle_results([later()], [], now + 0.1, report_lost=True) is None
        again = poll(planner, now + 0.1)
        if attempt == 3:
            assert again is None
            assert poll(planner, now + 1.2) is not None
        else:
            assert again is not None
            cluster = again


def test_what_the_other_reports_tell_of_a_cluster_may_be_enough() -> None:
    planner, cluster = started()
    arrived = send(planner, cluster)
    assert planner.handle_results(arrived[:4], [], 0.1) is None
    rate = planner.handle_results([later()], [], 0.2, report_lost=True)
    assert rate == pytest.approx(1_800_000)
    following = poll(planner, 0.2, target=1_100_000.0)
    assert following is not None
    assert following.bitrate == 2_200_000


def test_a_lost_report_from_before_the_cluster_had_left_decides_nothing() -> None:
    planner, cluster = started()
    arrived = packets(cluster, 10e6)
    for each in arrived[:5]:
        planner.handle_sent(SentPacket(each.number, each.sent_at, each.size, each.probe))
    assert planner.handle_results([*arrived[:1], later()], [], 0.1, report_lost=True) is None
    assert poll(planner, 0.1) is None
    last = arrived[5]
    planner.handle_sent(SentPacket(last.number, last.sent_at, last.size, last.probe))
    assert planner.handle_results(arrived[1:], [], 0.2) == pytest.approx(1_800_000)


def test_jitter_makes_it_longer_and_the_result_smaller() -> None:
    planner = ProbePlanner()
    planner.start(0.0)
    cluster = poll(planner, 0.0, jitter=0.005)
    assert cluster is not None
    assert cluster.size == 9_000  # 40 ms
    rate = planner.handle_results(packets(cluster, 10e6), [], 0.1)
    assert rate is not None
    assert 1_200_000 < rate < 1_600_000


@pytest.mark.parametrize("reason", [{"calm": False}, {"target": 2_300_000.0}])
def test_no_probe_into_a_queue_or_beyond_use(reason: dict[str, Any]) -> None:
    planner = ProbePlanner()
    planner.start(0.0)
    assert poll(planner, 0.0, **reason) is None


def test_a_cut_of_the_rate_voids_what_is_out() -> None:
    planner, cluster = started()
    planner.handle_decrease(0.05)
    assert planner.handle_results(packets(cluster, 10e6), [], 0.1) is None
    assert poll(planner, 1.0) is None
    assert poll(planner, 1.1) is not None


def test_the_planner_says_when_it_need_not_be_asked() -> None:
    planner = ProbePlanner()
    path = {"target": 300_000.0, "ceiling": 2_500_000.0}
    assert not planner.is_due(1.0, **path)
    planner.start(2.0)
    assert not planner.is_due(1.9, **path)
    assert planner.is_due(2.0, **path)
    assert not planner.is_due(2.0, target=2_300_000.0, ceiling=2_500_000.0)

    assert poll(planner, 2.0) is not None
    assert not planner.is_due(2.9, **path)  # its result is awaited
    assert planner.is_due(3.0, target=2_300_000.0, ceiling=2_500_000.0)  # to be given up
    assert poll(planner, 3.0) is None
    assert not planner.is_due(3.9, **path)
    assert planner.is_due(4.0, **path)


def until_next(planner: ProbePlanner, now: float) -> tuple[float, ProbeCluster]:
    """Return when the next cluster is sent, to a tenth of a second, and it."""
    for tenth in range(1, 400):
        cluster = poll(planner, now + tenth / 10)
        if cluster is not None:
            return now + tenth / 10, cluster
    raise AssertionError("none in 40 seconds")


def pauses(planner: ProbePlanner, cluster: ProbeCluster, limits: list[float]) -> list[float]:
    now, seconds = 0.1, []
    for limit in limits:
        planner.handle_results(packets(cluster, limit), [], now)
        before = now
        now, cluster = until_next(planner, now)
        seconds.append(round(now - before, 1))
    return seconds


def test_the_same_bottleneck_is_looked_for_ever_more_rarely() -> None:
    planner, cluster = started()
    assert pauses(planner, cluster, [2e5] * 7) == [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 24.0]


def test_another_bottleneck_is_looked_for_as_often_as_an_unknown_one() -> None:
    planner, cluster = started()
    limits = [2e5, 2e5, 2e5, 1.2e5, 1.2e5]
    assert pauses(planner, cluster, limits) == [1.0, 2.0, 4.0, 3.0, 6.0]


def test_a_measurement_that_jitter_blurs_tells_of_no_bottleneck() -> None:
    planner, cluster = started()
    for _ in range(5):
        planner.handle_results(packets(cluster, 200_000), [], 0.0)
        blurred = poll(planner, 100.0, jitter=0.1)
        assert blurred is not None
        planner.handle_results(packets(blurred, 200_000), [], 100.0)
        assert poll(planner, 103.1) is not None
        planner, cluster = started()


def test_a_sign_of_more_room_ends_a_long_pause() -> None:
    planner, cluster = started()
    now = 0.1
    for _ in range(5):
        planner.handle_results(packets(cluster, 200_000), [], now)
        now, cluster = until_next(planner, now)
    planner.handle_results(packets(cluster, 200_000), [], now)
    planner.hurry(now + 1.0)
    assert poll(planner, now + 2.9) is None  # but no sooner than on an unknown path
    assert poll(planner, now + 3.0) is not None
