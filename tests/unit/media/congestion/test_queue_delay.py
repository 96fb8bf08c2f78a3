from __future__ import annotations

import pytest

from ringline.media.congestion.queue_delay import QueueDelay


def test_nothing_is_known_at_first() -> None:
    assert QueueDelay().seconds == 0.0


def test_it_is_the_growth_over_the_empty_path() -> None:
    queue = QueueDelay()
    queue.handle_arrival(0.0, 100.0)
    queue.handle_arrival(0.2, 100.25)
    assert queue.seconds == pytest.approx(0.05)


def test_one_late_packet_is_jitter_and_no_queue() -> None:
    queue = QueueDelay()
    queue.handle_arrival(0.0, 100.0)
    queue.handle_arrival(0.02, 100.05)
    queue.handle_arrival(0.04, 100.05)
    assert queue.seconds == pytest.approx(0.0)


def test_the_empty_path_is_forgotten_after_20_seconds() -> None:
    queue = QueueDelay()
    queue.handle_arrival(0.0, 100.0)
    for tenth in range(1, 230):  # a longer route from now on
        queue.handle_arrival(tenth * 0.1, 100.08 + tenth * 0.1)
        if tenth == 100:
            assert queue.seconds == pytest.approx(0.08)
    assert queue.seconds == pytest.approx(0.0)


def test_it_tells_once_by_how_much_the_empty_path_became_shorter() -> None:
    queue = QueueDelay()
    queue.handle_arrival(0.0, 100.2)
    queue.handle_arrival(0.5, 100.65)
    assert queue.poll_fall() == pytest.approx(0.05)
    queue.handle_arrival(2.0, 102.05)  # in another of its buckets
    assert queue.poll_fall() == pytest.approx(0.1)
    assert queue.poll_fall() == 0.0
    queue.handle_arrival(2.5, 102.7)
    assert queue.poll_fall() == 0.0
