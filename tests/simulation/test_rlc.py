"""Pictures between our own peers on networks that lose: repair packets mend before anybody asks.

The one who shows the pictures is silent: where sound needs longer than pictures, lip sync would
make these wait for it, which is another matter.
"""

from __future__ import annotations

import pytest

from ringline.media.receive.stats import VideoReceiveStats
from ringline.media.send.stats import SendStreamStats
from ringline.media.simulate import CallConfig, Observation, SimulatedCall, find_network

_SETTLED = 3.0


def talk(
    network: str, *, seed: int = 1, seconds: float = 18.0, rlc: bool = True
) -> tuple[Observation, VideoReceiveStats, SendStreamStats]:
    config = CallConfig(answering_video=False, rlc=rlc)
    call = SimulatedCall(find_network(network), seed=seed, config=config)
    call.session(call.a).set_muted("audio", muted=True, now=0.0)
    call.a.drain()
    call.run(until=seconds)
    sender, receiver = call.stats()
    received = receiver.receive.video
    assert received is not None
    (sent,) = (stream for stream in sender.send.streams if stream.kind == "video")
    return call.observe(_SETTLED)[0], received, sent


def delays(seen: Observation) -> tuple[float, float]:
    assert seen.picture_delay_p50 is not None
    assert seen.picture_delay_p95 is not None
    return seen.picture_delay_p50, seen.picture_delay_p95


def test_without_loss_nothing_is_spent() -> None:
    _, received, sent = talk("rate=2000,delay=40", seconds=10.0)
    assert (sent.fec_packets_sent, received.fec_packets_received) == (0, 0)


@pytest.mark.parametrize(
    ("loss", "p50", "p95", "frozen"),
    [
        ("loss=5", 0.10, 0.15, 0.0),
        ("loss=10", 0.10, 0.15, 0.01),
        ("loss=20", 0.15, 0.25, 0.01),
        ("loss=30", 0.15, 0.25, 0.02),
        ("ge=2/25", 0.13, 0.25, 0.02),
    ],
)
@pytest.mark.parametrize("seed", [11, 12])
def test_losses_neither_freeze_the_picture_nor_make_it_wait(
    loss: str, p50: float, p95: float, frozen: float, seed: int
) -> None:
    seen, received, sent = talk(f"rate=2000,delay=40,{loss}|rate=2000,delay=40", seed=seed)
    median, late = delays(seen)
    assert median < p50
    assert late < p95
    assert seen.frozen_seconds <= frozen * seen.seconds
    assert received.repairs.fec > 10 * received.repairs.retransmission
    assert 0 < received.fec_packets_discarded < received.fec_packets_received
    assert received.fec_packets_received < sent.fec_packets_sent


@pytest.mark.parametrize("round_trip", [20, 80, 300])
@pytest.mark.parametrize("rate", [250, 700])
def test_at_any_round_trip_and_rate_it_is_better_than_without(round_trip: int, rate: int) -> None:
    delay = round_trip // 2
    network = f"rate={rate},delay={delay},loss=8|rate={rate},delay={delay}"
    with_it, without = talk(network, seed=3)[0], talk(network, seed=3, rlc=False)[0]
    assert with_it.frozen_seconds <= without.frozen_seconds + 0.1
    assert sum(delays(with_it)) <= sum(delays(without)) + 0.02


def test_a_slow_path_with_few_packets_a_picture_is_protected_where_round_trips_are_long() -> None:
    network = "rate=150,delay=150,loss=10,queue=600|rate=150,delay=150,queue=600"
    seen, received, sent = talk(network, seed=4, seconds=25.0)
    plain, _, _ = talk(network, seed=4, seconds=25.0, rlc=False)
    assert sent.fec_packets_sent > 50
    assert received.repairs.fec > received.repairs.retransmission
    assert seen.frozen_seconds <= plain.frozen_seconds
    assert delays(seen)[1] < delays(plain)[1]
