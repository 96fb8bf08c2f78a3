from __future__ import annotations

import pytest

from ringline.media.receive.recover_nack import NackConfig, NackRecovery, recovery_deadline


def make(round_trip: float = 0.1, deadline: float = 0.4) -> NackRecovery:
    nack = NackRecovery()
    nack.handle_round_trip(round_trip)
    nack.set_deadline(deadline)
    return nack


def test_a_gap_is_asked_for_at_once() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    assert nack.poll_timeout() is None
    nack.handle_packet(13, 0.03)
    assert nack.poll_timeout() == pytest.approx(0.03)
    assert nack.poll_request(0.03) == [11, 12]
    assert nack.poll_request(0.03) == []
    assert nack.requests == 2


def test_it_is_asked_for_again_each_round_trip_until_it_comes() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    assert nack.poll_request(0.0) == [11]
    assert nack.poll_timeout() == pytest.approx(0.11)
    assert nack.poll_request(0.1) == []
    assert nack.poll_request(0.11) == [11]
    nack.handle_packet(11, 0.2, retransmitted=True)
    assert nack.poll_request(0.3) == []
    assert nack.poll_timeout() is None
    assert nack.recovered == 1


def test_a_round_trip_of_nothing_still_leaves_time_to_answer() -> None:
    nack = make(round_trip=0.001)
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    assert nack.poll_request(0.0) == [11]
    assert nack.poll_timeout() == pytest.approx(0.03)


def test_it_is_given_up_at_its_deadline() -> None:
    nack = make(deadline=0.2)
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    times = []
    while (due := nack.poll_timeout()) is not None:
        if nack.poll_request(due):
            times.append(round(due, 3))
    assert times == [0.0, 0.11]


def test_sound_that_passes_a_lost_tail_reveals_it() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_transport_gap(2, 0.02)
    assert nack.poll_request(0.02) == [11, 12]
    nack.handle_packet(11, 0.12, retransmitted=True)
    nack.handle_packet(12, 0.13, retransmitted=True)
    nack.handle_packet(13, 0.14)
    assert nack.poll_request(1.0) == []


def test_a_suspicion_before_the_first_packet_is_none() -> None:
    nack = make()
    nack.handle_transport_gap(2, 0.0)
    assert nack.poll_timeout() is None


def test_a_suspicion_asks_for_no_more_than_a_few() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_transport_gap(500, 0.02)
    assert nack.poll_request(0.02) == list(range(11, 27))


def test_where_packets_are_reordered_they_are_waited_for() -> None:
    nack = make()
    now = 0.0
    sequence = 0
    for _ in range(20):  # each second packet comes 12 ms after the one behind it
        nack.handle_packet(sequence, now)
        nack.handle_packet(sequence + 2, now + 0.001)
        nack.poll_request(now + 0.001)
        nack.handle_packet(sequence + 1, now + 0.013)
        sequence, now = sequence + 3, now + 0.04
    nack.handle_packet(sequence, now)
    nack.handle_packet(sequence + 2, now)
    assert nack.poll_request(now) == []
    assert nack.poll_timeout() == pytest.approx(now + 0.015)


def test_after_an_outage_nothing_is_asked_for() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.01)
    nack.handle_packet(700, 3.0)
    assert nack.poll_timeout() is None
    assert nack.poll_request(3.0) == []


def test_what_is_remembered_and_asked_for_at_a_time_is_bounded() -> None:
    nack = NackRecovery(NackConfig(max_missing=300, max_request=100))
    nack.handle_packet(0, 0.0)
    nack.handle_packet(251, 0.001)
    assert nack.poll_request(0.001) == list(range(1, 101))
    assert nack.poll_request(0.001) == list(range(101, 201))
    assert nack.poll_request(0.001) == list(range(201, 251))
    assert nack.poll_request(0.001) == []
    nack.handle_packet(400, 0.002)
    assert len(nack._missing) == 300
    nack.handle_packet(5_000, 0.003)
    assert nack.poll_timeout() is None


def test_a_restart_forgets() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    nack.restart()
    assert nack.poll_request(0.0) == []
    nack.handle_packet(5_000, 0.1)
    assert nack.poll_timeout() is None


def test_the_deadline_is_some_round_trips_within_bounds() -> None:
    config = NackConfig()
    assert recovery_deadline(config, 0.02) == 0.3
    assert recovery_deadline(config, 0.15) == pytest.approx(0.9)
    assert recovery_deadline(config, 5.0) == 1.0
    assert recovery_deadline(config, None) == pytest.approx(0.6)


def test_it_tells_when_a_repair_should_come_and_when_if_that_is_lost_too() -> None:
    nack = make(round_trip=0.1)
    assert nack.expected_at(0.0) is None
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    assert nack.poll_request(0.0) == [11]
    assert nack.expected_at(0.0) == pytest.approx((0.12, 0.23))
    assert nack.expected_at(0.115) == pytest.approx((0.12, 0.23))
    assert nack.poll_request(0.11) == [11]
    assert nack.expected_at(0.2) == pytest.approx((0.23, 0.34))
    nack.handle_packet(11, 0.22, retransmitted=True)
    assert nack.expected_at(0.22) is None


def test_how_long_a_repair_takes_is_learned_from_packets_asked_for_once() -> None:
    nack = make(round_trip=0.1)
    nack.handle_packet(0, 0.0)
    nack.handle_packet(2, 0.0)
    nack.poll_request(0.0)
    nack.handle_packet(1, 0.08, retransmitted=True)
    nack.handle_packet(4, 1.0)
    assert nack.poll_request(1.0) == [3]
    assert nack.expected_at(1.0) == pytest.approx((1.09, 1.2))
    assert nack.poll_request(1.11) == [3]
    nack.handle_packet(3, 1.12, retransmitted=True)  # the answer to which of the two?
    nack.handle_packet(6, 2.0)
    nack.poll_request(2.0)
    assert nack.expected_at(2.0) == pytest.approx((2.09, 2.2))


def test_a_request_without_an_answer_counts_as_lost() -> None:
    nack = make(round_trip=0.1)
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    nack.poll_request(0.0)
    assert nack.expected_at(0.125) == pytest.approx((0.245, 0.355))


def test_what_the_stream_has_gone_on_without_is_not_asked_for() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_packet(14, 0.0)
    nack.handle_passed(13)
    assert nack.poll_request(0.0) == [13]
    nack.handle_passed(14)
    assert nack.expected_at(0.0) is None


def test_what_was_recovered_otherwise_is_not_asked_for() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_packet(13, 0.01)
    nack.handle_recovered(11, 0.01)
    assert nack.poll_request(0.01) == [12]
    nack.handle_recovered(12, 0.02)
    assert nack.poll_request(0.2) == []
    assert nack.recovered == 0  # not by retransmission


def test_a_recovered_packet_can_be_the_newest() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_recovered(12, 0.0)
    nack.handle_packet(13, 0.0)
    assert nack.poll_request(0.0) == [11]


def test_a_packet_asked_for_in_vain_becomes_doubtful() -> None:
    nack = make(round_trip=0.1)
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    doubts = []
    for due in (0.0, 0.11, 0.22):
        assert nack.poll_request(due) == [11]
        doubts.append(nack.is_doubtful(due))
    assert doubts == [False, False, True]
    nack.handle_packet(11, 0.3, retransmitted=True)
    assert not nack.is_doubtful(0.4)


def test_where_round_trips_are_long_a_second_request_is_enough_for_doubt() -> None:
    nack = make(round_trip=0.5, deadline=2.0)
    nack.handle_packet(10, 0.0)
    nack.handle_packet(12, 0.0)
    assert nack.poll_request(0.0) == [11]
    assert not nack.is_doubtful(0.5)
    assert nack.poll_request(0.51) == [11]
    assert nack.is_doubtful(0.51)


def test_forward_error_correction_has_a_moment_before_a_packet_is_asked_for() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_repair(10, 0.0)
    nack.handle_packet(13, 0.01)
    assert nack.poll_timeout() == pytest.approx(0.045)
    assert nack.expected_at(0.01) == pytest.approx((0.045, 0.165))
    nack.handle_recovered(11, 0.02)
    assert nack.poll_request(0.046) == [12]
    assert nack.recovered == 0


def test_a_repair_packet_tells_of_a_lost_tail() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_repair(12, 0.01)
    nack.handle_recovered(11, 0.01)
    assert nack.poll_request(0.1) == [12]
    nack.handle_packet(13, 0.11)
    assert nack.expected_at(0.11) is not None


def test_how_long_forward_error_correction_takes_is_learned() -> None:
    nack = make()
    nack.handle_packet(0, 0.0)
    now = 0.0
    for number in range(1, 60, 2):
        now += 0.05
        nack.handle_packet(number + 1, now)
        nack.handle_repair(number + 1, now)
        nack.handle_recovered(number, now + 0.018)
    nack.handle_packet(62, now + 0.1)
    assert nack.poll_request(now + 0.119) == []
    assert nack.poll_request(now + 0.121) == [61]


def test_without_repair_packets_of_late_a_packet_is_asked_for_at_once() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_repair(10, 0.0)
    nack.handle_packet(12, 1.0)
    assert nack.poll_request(1.0) == [11]


def test_a_suspicion_makes_no_picture_wait_while_repair_packets_come() -> None:
    nack = make()
    nack.handle_packet(10, 0.0)
    nack.handle_repair(10, 0.0)
    nack.handle_transport_gap(1, 0.01)
    assert nack.expected_at(0.01) is None
    assert nack.poll_request(0.046) == [11]
    assert nack.expected_at(0.05) is not None
