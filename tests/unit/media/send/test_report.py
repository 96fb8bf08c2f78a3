from __future__ import annotations

import random
from itertools import pairwise

import pytest

from ringline.media.parameters import StreamParameters
from ringline.media.rtp.rtcp import ReportBlock
from ringline.media.send.report import ReportSchedule, SenderReports
from ringline.media.send.transmit import TransmitStream
from ringline.media.units import PayloadType, Ssrc


def stream() -> TransmitStream:
    parameters = StreamParameters(kind="video", mid="1", payload_type=PayloadType(96))
    return TransmitStream(parameters, Ssrc(5), first_sequence_number=0)


def test_a_report_ties_the_wall_clock_to_media_time() -> None:
    reports = SenderReports(lambda: 1_000.0, now=10.0)
    report = reports.make(stream(), (1 << 32) + 90_000, 12.5)
    assert report.ntp_time == int((1_000 + 2_208_988_800 + 2.5) * (1 << 32))
    assert report.rtp_timestamp == 90_000
    assert (report.ssrc, report.packet_count, report.octet_count) == (5, 0, 0)


def test_the_wall_clock_is_read_once() -> None:
    times = iter([1_000.0])
    reports = SenderReports(lambda: next(times), now=0.0)
    first = reports.make(stream(), 0, 1.0)
    second = reports.make(stream(), 0, 2.0)
    assert second.ntp_time - first.ntp_time == 1 << 32


def test_the_echo_of_a_report_gives_the_round_trip() -> None:
    reports = SenderReports(lambda: 1_000.0, now=0.0)
    report = reports.make(stream(), 0, 1.0)
    middle = report.ntp_time >> 16 & 0xFFFFFFFF
    block = ReportBlock(5, 0.25, 0, 100, 0, middle, int(0.5 * 65_536))
    assert reports.handle_blocks([block], 1.62) == 0.25
    assert reports.round_trip == pytest.approx(0.12, abs=1e-4)
    reports.handle_blocks([block], 1.72)
    assert reports.round_trip == pytest.approx(0.15, abs=1e-4)  # smoothed


def test_what_the_other_side_reports_is_kept_in_the_words_of_webrtc_stats() -> None:
    reports = SenderReports(lambda: 1_000.0, now=0.0)
    assert reports.remote(5) is None
    report = reports.make(stream(), 0, 1.0)
    middle = report.ntp_time >> 16 & 0xFFFFFFFF
    reports.handle_blocks([ReportBlock(5, 0.25, 7, 100, 900, middle, 0)], 1.5)
    reports.handle_blocks([ReportBlock(5, 0.0, 8, 110, 450, middle, 0)], 1.75)
    remote = reports.remote(5)
    assert remote is not None
    assert (remote.packets_lost, remote.fraction_lost) == (8, 0.0)
    assert remote.jitter == pytest.approx(0.005)  # 450 ticks of 90 kHz
    assert remote.round_trip_time == pytest.approx(0.75, abs=1e-4)
    assert remote.total_round_trip_time == pytest.approx(1.25, abs=1e-4)
    assert remote.round_trip_time_measurements == 2


@pytest.mark.parametrize(("last_sr", "delay"), [(0, 0), (12345, 0), (None, 0x7FFFFFFF)])
def test_an_echo_of_nothing_we_sent_tells_nothing(last_sr: int | None, delay: int) -> None:
    reports = SenderReports(lambda: 1_000.0, now=0.0)
    report = reports.make(stream(), 0, 1.0)
    middle = report.ntp_time >> 16 & 0xFFFFFFFF if last_sr is None else last_sr
    reports.handle_blocks([ReportBlock(5, 0.0, 0, 1, 0, middle, delay)], 1.1)
    assert reports.round_trip is None


def test_losses_are_weighted_by_packets() -> None:
    reports = SenderReports(lambda: 0.0, now=0.0)
    assert reports.handle_blocks([], 0.0) is None
    reports.handle_blocks([ReportBlock(5, 0.0, 0, 100), ReportBlock(6, 0.0, 0, 100)], 0.0)
    loss = reports.handle_blocks([ReportBlock(5, 0.5, 0, 110), ReportBlock(6, 0.0, 0, 190)], 1.0)
    assert loss == pytest.approx(0.05)


def test_the_first_reports_come_quickly_then_each_second() -> None:
    schedule = ReportSchedule(random.Random(1))
    assert schedule.due is None
    schedule.handle_sent(5.0)
    schedule.handle_sent(5.3)
    times: list[float] = []
    for _ in range(6):
        assert schedule.due is not None
        times.append(schedule.due)
        schedule.handle_report(schedule.due)
    assert times[0] == 5.0
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for gap, middle in zip(gaps, (0.2, 0.3, 0.5, 1.0, 1.0), strict=True):
        assert 0.8 * middle <= gap <= 1.2 * middle
