from __future__ import annotations

import pytest

from ringline.media.receive.report import ReceptionStatistics, ReportConfig, ReportTimer
from ringline.media.rtp.rtcp import SenderReport
from ringline.media.units import Ssrc


def test_loss_is_what_was_expected_and_did_not_come() -> None:
    reception = ReceptionStatistics(Ssrc(5), 48_000)
    for sequence in (10, 11, 13, 14):
        reception.handle_packet(sequence, sequence * 960, sequence * 0.02)
    block = reception.make_block(1.0)
    assert (block.ssrc, block.packets_lost, block.highest_sequence) == (5, 1, 14)
    assert block.fraction_lost == pytest.approx(0.2)
    reception.handle_packet(12, 12 * 960, 0.3)  # late, but there
    block = reception.make_block(2.0)
    assert (block.packets_lost, block.fraction_lost) == (0, 0.0)


def test_a_packet_before_the_first_widens_what_was_expected() -> None:
    reception = ReceptionStatistics(Ssrc(5), 48_000)
    for sequence in (10, 8):
        reception.handle_packet(sequence, 0, 0.0)
    assert reception.lost == 1


def test_duplicates_can_make_loss_negative() -> None:
    reception = ReceptionStatistics(Ssrc(5), 48_000)
    for _ in range(3):
        reception.handle_packet(10, 0, 0.0)
    block = reception.make_block(0.0)
    assert (block.packets_lost, block.fraction_lost) == (-2, 0.0)


def test_jitter_follows_the_formula_of_rfc_3550() -> None:
    reception = ReceptionStatistics(Ssrc(5), 48_000)
    reception.handle_packet(1, 0, 0.0)
    reception.handle_packet(2, 960, 0.036)  # 16 ms late
    assert reception.jitter == pytest.approx(0.001)
    reception.handle_packet(3, 1920, 0.056)  # late by as much: no difference
    assert reception.jitter == pytest.approx(0.001 * 15 / 16)
    assert reception.make_block(0.1).jitter == 45


def test_packets_of_one_picture_are_no_jitter_and_a_wrap_is_none_either() -> None:
    reception = ReceptionStatistics(Ssrc(5), 90_000)
    reception.handle_packet(1, 2**32 - 100, 0.0)
    reception.handle_packet(2, 2**32 - 100, 0.01)
    reception.handle_packet(3, 2_900, 0.04)
    assert reception.jitter == 0.0


def test_a_restart_keeps_the_totals() -> None:
    reception = ReceptionStatistics(Ssrc(5), 48_000)
    for sequence in (1, 3):
        reception.handle_packet(sequence, 0, 0.0)
    reception.restart()
    for sequence in (40_000, 40_002):
        reception.handle_packet(sequence, 0, 1.0)
    assert (reception.lost, reception.received) == (2, 4)


def test_the_last_sender_report_is_echoed_with_its_age() -> None:
    reception = ReceptionStatistics(Ssrc(5), 48_000)
    reception.handle_packet(1, 0, 0.0)
    assert reception.make_block(1.0).last_sr == 0
    reception.handle_sender_report(SenderReport(5, 0x1122334455667788, 0, 0, 0), 1.0)
    block = reception.make_block(1.5)
    assert (block.last_sr, block.delay_since_last_sr) == (0x33445566, 32_768)


def test_reports_start_soon_after_the_first_packet_and_go_each_second() -> None:
    timer = ReportTimer(Ssrc(9), ReportConfig(first=0.3, interval=1.0))
    reception = ReceptionStatistics(Ssrc(5), 48_000)
    assert timer.poll_timeout() is None
    assert timer.poll_report([reception], 10.0) is None
    timer.handle_packet(10.0)
    timer.handle_packet(10.2)
    assert timer.poll_timeout() == pytest.approx(10.3)
    assert timer.poll_report([reception], 10.2) is None
    report = timer.poll_report([reception], 10.3)
    assert report is not None
    assert (report.ssrc, len(report.reports)) == (9, 1)
    assert timer.poll_report([reception], 10.3) is None
    assert timer.poll_timeout() == pytest.approx(11.3)


def test_with_nothing_to_report_on_the_timer_still_moves() -> None:
    timer = ReportTimer(Ssrc(9))
    timer.handle_packet(0.0)
    assert timer.poll_report([], 0.3) is None
    assert timer.poll_timeout() == pytest.approx(1.3)
