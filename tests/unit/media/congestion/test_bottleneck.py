from __future__ import annotations

import random

import pytest

from ringline.media.congestion.bottleneck import Bottleneck


class Path:
    """Packets of 1000 bytes over a queue; what is given is their wait in it."""

    def __init__(self) -> None:
        self.bottleneck = Bottleneck()
        self.now = 0.0  # of sending
        self.free_at = 0.0
        self.arrived_at = 0.0
        self.rng = random.Random(1)

    def send(self, seconds: float, *, bitrate: float, capacity: float, jitter: float = 0.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 8_000 / bitrate
            start = max(self.now, self.free_at)
            self.free_at = start + 8_000 / capacity
            delayed = self.free_at + self.rng.random() * jitter
            self.arrived_at = max(self.arrived_at, delayed)  # none overtakes another
            waited = self.arrived_at - self.now - 8_000 / capacity
            self.bottleneck.handle_arrival(self.arrived_at, 1_000, waited)


def test_an_empty_path_tells_nothing() -> None:
    path = Path()
    path.send(5.0, bitrate=500_000, capacity=5_000_000)
    assert path.bottleneck.rate is None
    assert Bottleneck().rate is None


def test_a_capacity_that_falls_shows_in_a_tenth_of_a_second() -> None:
    path = Path()
    path.send(5.0, bitrate=1_500_000, capacity=2_000_000)
    assert path.bottleneck.rate is None
    path.send(0.025, bitrate=1_500_000, capacity=300_000)
    assert path.free_at - path.now < 0.15
    assert path.bottleneck.rate == pytest.approx(300_000, rel=0.1)


def test_what_comes_out_does_not_depend_on_what_is_sent() -> None:
    for bitrate, seconds in ((500_000, 0.3), (1_000_000, 0.1), (3_000_000, 0.04)):
        path = Path()
        path.send(4.0, bitrate=100_000, capacity=300_000)
        path.send(seconds, bitrate=bitrate, capacity=300_000)
        assert path.bottleneck.rate == pytest.approx(300_000, rel=0.05)


def test_at_the_start_a_burst_on_a_slow_path_tells_its_rate() -> None:
    path = Path()
    path.send(0.05, bitrate=2_000_000, capacity=150_000)
    assert path.bottleneck.rate == pytest.approx(150_000, rel=0.05)


def test_jitter_is_no_bottleneck() -> None:
    path = Path()
    seen = 0
    for _ in range(200):
        path.send(0.05, bitrate=500_000, capacity=5_000_000, jitter=0.1)
        seen += path.bottleneck.rate is not None
    assert seen <= 2


def test_a_queue_that_has_gone_is_forgotten() -> None:
    path = Path()
    path.send(4.0, bitrate=100_000, capacity=300_000)
    path.send(0.3, bitrate=800_000, capacity=300_000)
    assert path.bottleneck.rate is not None
    path.now = path.free_at + 1.0
    path.send(0.2, bitrate=100_000, capacity=5_000_000)
    assert path.bottleneck.rate is None
