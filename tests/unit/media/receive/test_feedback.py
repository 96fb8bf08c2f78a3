from __future__ import annotations

import pytest

from ringline.media.receive.feedback import FeedbackConfig, FeedbackGenerator
from ringline.media.rtp.transport_cc import TransportFeedback
from ringline.media.units import Ssrc


def drain(generator: FeedbackGenerator, now: float) -> list[TransportFeedback]:
    return list(iter(lambda: generator.poll_feedback(now), None))


def arrive(generator: FeedbackGenerator, number: int, now: float, size: int = 1_200) -> int:
    return generator.handle_arrival(number & 0xFFFF, ssrc=5, size=size, now=now)


def test_arrivals_are_told_once_with_losses_between_them() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    for number, now in ((65_534, 0.0), (65_535, 0.001), (65_537, 0.002)):
        arrive(generator, number, now)
    (feedback,) = drain(generator, 0.3)
    assert feedback == TransportFeedback(9, 5, 65_534, 0, [0.0, 0.001, None, 0.002])
    assert generator.poll_timeout() is None
    arrive(generator, 65_538, 0.31)
    (feedback,) = drain(generator, 0.9)
    assert feedback == TransportFeedback(9, 5, 2, 1, [0.31])


def test_the_interval_is_a_share_of_the_rate_within_bounds() -> None:
    def interval(size: int) -> float:
        generator = FeedbackGenerator(Ssrc(9))
        for number in range(100):
            arrive(generator, number, number * 0.01, size)
        drain(generator, 1.0)
        arrive(generator, 100, 1.0, size)
        due = generator.poll_timeout()
        assert due is not None
        return due - 1.0

    assert interval(1_200) == pytest.approx(0.05)
    assert interval(187) == pytest.approx(68 * 8 / (0.05 * 150_000), rel=0.02)
    assert interval(20) == pytest.approx(0.25)


def test_the_first_half_second_is_told_as_often_as_at_high_rates() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    for number, (now, due) in enumerate([(0.0, 0.05), (0.06, 0.1), (0.49, 0.15), (0.55, 0.74)]):
        arrive(generator, number, now, 20)
        assert generator.poll_timeout() == pytest.approx(due)  # counted from the last one sent
        drain(generator, max(now, due))


def test_a_loss_is_told_soon() -> None:
    generator = FeedbackGenerator(Ssrc(9), FeedbackConfig(eager_seconds=0.0))
    arrive(generator, 0, 0.0, 20)
    drain(generator, 0.25)
    arrive(generator, 1, 0.26, 20)
    assert generator.poll_timeout() == pytest.approx(0.5)
    assert arrive(generator, 3, 0.3, 20) == 1
    assert generator.poll_timeout() == pytest.approx(0.32)


def test_a_late_packet_is_told_after_all() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    arrive(generator, 0, 0.0)
    arrive(generator, 2, 0.01)
    drain(generator, 0.1)
    assert arrive(generator, 1, 0.11) == 0
    (feedback,) = drain(generator, 0.4)
    assert (feedback.base_sequence, feedback.arrivals) == (1, [0.11, 0.01])


def test_duplicates_are_told_once() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    arrive(generator, 0, 0.0)
    arrive(generator, 0, 0.01)
    (feedback,) = drain(generator, 0.3)
    assert feedback.arrivals == [0.0]


def test_what_does_not_fit_one_feedback_is_split() -> None:
    generator = FeedbackGenerator(Ssrc(9), FeedbackConfig(max_statuses=400))
    for number in range(1_000):
        arrive(generator, number, number * 0.0001)
    parts = drain(generator, 0.5)
    assert [len(part.arrivals) for part in parts] == [400, 400, 200]
    assert [part.base_sequence for part in parts] == [0, 400, 800]
    assert [part.feedback_count for part in parts] == [0, 1, 2]


def test_arrivals_too_far_apart_for_the_format_are_split() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    arrive(generator, 0, 0.0)
    arrive(generator, 1, 9.0)
    parts = drain(generator, 9.5)
    assert [part.arrivals for part in parts] == [[0.0], [9.0]]
    for part in parts:
        TransportFeedback.parse(part.serialize())


def test_a_jump_of_the_count_starts_anew() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    arrive(generator, 0, 0.0)
    assert arrive(generator, 30_000, 0.01) == 0
    (feedback,) = drain(generator, 0.3)
    assert (feedback.base_sequence, feedback.arrivals) == (30_000, [0.01])


def test_memory_is_bounded() -> None:
    generator = FeedbackGenerator(Ssrc(9), FeedbackConfig(max_packets=100))
    for number in range(5_000):
        arrive(generator, number, number * 0.00001)
    assert len(generator._arrivals) <= 101
    parts = drain(generator, 1.0)
    assert sum(len(part.arrivals) for part in parts) <= 101


def test_a_packet_older_than_what_is_remembered_does_not_call_others_lost() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    for number in range(1, 200):
        arrive(generator, number, number * 0.01)
        drain(generator, number * 0.01)
    drain(generator, 2.5)
    arrive(generator, 0, 2.6)
    assert drain(generator, 3.0) == []


def test_after_the_path_was_gone_nothing_old_is_told() -> None:
    generator = FeedbackGenerator(Ssrc(9))
    arrive(generator, 0, 0.0)
    generator.restart()
    assert generator.poll_timeout() is None
    arrive(generator, 500, 5.0)
    (feedback,) = drain(generator, 5.5)
    assert feedback.arrivals == [5.0]
