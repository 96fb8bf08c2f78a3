from __future__ import annotations

import pytest

from ringline.media.simulate import (
    GreedySender,
    Link,
    LinkProfile,
    Node,
    Simulation,
    start_greedy_flow,
)


class Network:
    """One flow over a bottleneck, from 1 s to 11 s."""

    def __init__(self, way: str, *, back: str = "delay=20") -> None:
        self.simulation = Simulation(seed=1)
        self.way: Link[Node] = self.simulation.add_link(LinkProfile.parse(way))
        self.back: Link[Node] = self.simulation.add_link(LinkProfile.parse(back))
        self.sender, _ = start_greedy_flow(
            self.simulation, self.way, self.back, start=1.0, end=11.0
        )

    def goodput(self, start: float, end: float) -> float:
        self.simulation.run(start)
        before = self.sender.acknowledged
        self.simulation.run(end)
        return (self.sender.acknowledged - before) * 8 / (end - start)


def test_it_takes_the_whole_link() -> None:
    network = Network("rate=2000,delay=20,queue=200")
    assert network.goodput(3.0, 11.0) == pytest.approx(2_000_000 * 1410 / 1448, rel=0.03)


def test_it_fills_the_queue_and_overflows_it() -> None:
    network = Network("rate=2000,delay=20,queue=200")
    waits = []
    for tenth in range(30, 110):
        network.simulation.run(tenth / 10)
        waits.append(network.way.queue_delay(tenth / 10))
    assert sum(waits) / len(waits) > 0.08
    assert network.way.stats.dropped > 0


def test_it_is_silent_before_and_after_its_time() -> None:
    network = Network("rate=2000,delay=20")
    network.simulation.run(0.99)
    assert network.way.stats.handled == 0
    network.simulation.run(11.0)
    sent = network.way.stats.handled
    assert sent > 1000
    network.simulation.run(30.0)
    assert network.way.stats.handled == sent
    assert network.simulation.now == 30.0


def test_loss_makes_it_slow_but_never_stops_it() -> None:
    lossy = Network("rate=20000,delay=20,loss=2").goodput(3.0, 11.0)
    clean = Network("rate=20000,delay=20").goodput(3.0, 11.0)
    assert 200_000 < lossy < clean / 3


def test_it_goes_on_after_an_outage() -> None:
    network = Network("rate=2000,delay=20;3:loss=100;5:loss=0")
    assert network.goodput(8.0, 11.0) > 1_500_000


def test_two_flows_share_fairly() -> None:
    network = Network("rate=2000,delay=20,queue=200")
    second, _ = start_greedy_flow(
        network.simulation, network.way, network.back, start=1.5, end=11.0
    )
    network.simulation.run(11.0)
    shares = sorted([network.sender.acknowledged, second.acknowledged])
    assert shares[0] > 0.25 * sum(shares)


def test_a_flow_must_last() -> None:
    with pytest.raises(ValueError, match="nothing is between 5 s and 5 s"):
        GreedySender(start=5, end=5)


def test_what_it_sends_is_as_long_as_a_segment_of_tcp() -> None:
    network = Network("rate=2000,delay=20")
    network.simulation.run(1.0)
    stats = network.way.stats
    assert stats.bytes_handled == 1448 * stats.handled
    assert network.sender.acknowledged == 0
