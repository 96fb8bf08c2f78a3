from __future__ import annotations

import pytest

from ringline.media.congestion.feedback import SendLog, SentPacket
from ringline.media.rtp.transport_cc import TransportFeedback

CLOCK_MODULUS = (1 << 24) * 0.064


def feedback(base: int, arrivals: list[float | None], count: int = 0) -> TransportFeedback:
    return TransportFeedback(1, 2, base & 0xFFFF, count, arrivals)


def sent(log: SendLog, first: int, count: int, *, at: float = 0.0) -> None:
    for index in range(count):
        log.handle_sent(SentPacket(first + index, at + index * 0.01, 1_000))


def test_a_report_gives_what_arrived_with_its_times_and_sizes() -> None:
    log = SendLog()
    sent(log, 0, 2)
    report = log.handle_feedback(feedback(0, [5.0, 5.01]), now=0.1)
    assert [(p.number, p.sent_at, p.size, p.arrived_at) for p in report.arrived] == [
        (0, 0.0, 1_000, 5.0),
        (1, 0.01, 1_000, 5.01),
    ]
    assert report.lost == []
    assert report.round_trip == pytest.approx(0.09)
    assert log.in_flight == 0


def test_a_missing_packet_is_lost_only_when_a_later_report_still_misses_it() -> None:
    log = SendLog()
    sent(log, 0, 3)
    first = log.handle_feedback(feedback(0, [5.0, None]), now=0.1)
    assert [p.number for p in first.arrived] == [0]
    assert first.lost == []
    second = log.handle_feedback(feedback(2, [5.1], 1), now=0.2)
    assert [p.number for p in second.lost] == [1]
    assert log.in_flight == 0


def test_a_reordered_packet_is_not_lost() -> None:
    log = SendLog()
    sent(log, 0, 2)
    log.handle_feedback(feedback(0, [None, 5.0]), now=0.1)
    late = log.handle_feedback(feedback(0, [5.02], 1), now=0.2)
    assert [p.number for p in late.arrived] == [0]
    assert late.lost == []
    after = log.handle_feedback(feedback(0, [5.02], 2), now=0.5)
    assert (after.arrived, after.lost, after.round_trip) == ([], [], None)


def test_numbers_go_on_beyond_sixteen_bits() -> None:
    log = SendLog()
    sent(log, 65_534, 4)
    report = log.handle_feedback(feedback(65_534, [1.0, 1.01, 1.02, 1.03]), now=0.1)
    assert [p.number for p in report.arrived] == [65_534, 65_535, 65_536, 65_537]


def test_arrivals_go_on_when_the_reference_time_wraps() -> None:
    log = SendLog()
    sent(log, 0, 3)
    last = CLOCK_MODULUS - 0.05
    before = log.handle_feedback(feedback(0, [last]), now=0.1)
    after = log.handle_feedback(feedback(1, [0.05], 1), now=0.2)
    assert after.arrived[0].arrived_at - before.arrived[0].arrived_at == pytest.approx(0.1)
    back = log.handle_feedback(feedback(2, [last + 0.01], 2), now=0.3)  # a straggler
    assert back.arrived[0].arrived_at - before.arrived[0].arrived_at == pytest.approx(0.01)


def test_a_report_on_packets_never_sent_changes_nothing() -> None:
    log = SendLog()
    sent(log, 10, 1)
    report = log.handle_feedback(feedback(500, [1.0] * 20), now=0.1)
    assert (report.arrived, report.lost, report.round_trip) == ([], [], None)
    assert log.in_flight == 1_000


def test_the_log_forgets_after_ten_seconds() -> None:
    log = SendLog()
    sent(log, 0, 1)
    sent(log, 1, 1, at=10.5)
    assert log.in_flight == 1_000
    assert log.handle_feedback(feedback(0, [1.0]), now=10.6).arrived == []


def test_gaps_in_the_count_of_reports_are_lost_reports() -> None:
    log = SendLog()
    for count in (254, 255, 1, 1, 0, 2):  # 0 was lost, came late; 1 came twice
        log.handle_feedback(feedback(0, [], count), now=0.0)
    assert log.reports_lost == 1
