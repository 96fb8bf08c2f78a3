"""What is heard of a voice on networks that lose packets."""

from __future__ import annotations

import pytest

from ringline.media.simulate import CallConfig, SimulatedCall, find_network

SEEDS = (1, 2)


def call_on(network: str, *, seed: int, until: float, video: bool = True) -> SimulatedCall:
    config = CallConfig(video=video, answering_video=False)
    call = SimulatedCall(find_network(network), seed=seed, config=config)
    call.run(until=until)
    return call


def concealed_share(network: str, *, video: bool = True) -> float:
    """Return the share of sound that was made up after the first 3 s, over some calls."""
    total = 0.0
    for seed in SEEDS:
        call = call_on(network, seed=seed, until=15.0, video=video)
        total += call.a_to_b.observe(3.0, 15.0).concealed_ms_per_minute
    return total / len(SEEDS) / 60_000


@pytest.mark.parametrize(
    ("network", "most"),
    [
        ("rate=600,delay=60,loss=5", 0.006),
        ("rate=1000,delay=100,loss=10", 0.012),
        ("rate=800,delay=20,loss=20", 0.02),
        ("rate=600,delay=40,ge=2/25", 0.03),
    ],
)
def test_lost_sound_comes_back_with_later_packets(network: str, most: float) -> None:
    assert concealed_share(network) <= most


@pytest.mark.parametrize(
    ("network", "most"), [("rate=500,delay=40,loss=10", 0.02), ("rate=500,delay=40,ge=2/25", 0.05)]
)
def test_a_voice_alone_is_protected_as_well(network: str, most: float) -> None:
    assert concealed_share(network, video=False) <= most


def test_what_copies_did_is_counted_on_both_sides() -> None:
    call = call_on("loss20", seed=1, until=15.0)
    sent, received = call.stats()
    (outbound,) = (stream for stream in sent.send.streams if stream.kind == "audio")
    inbound = received.receive.audio
    assert inbound is not None
    assert outbound.fec_packets_sent > inbound.fec_packets_received > 500
    recovered = inbound.fec_packets_received - inbound.fec_packets_discarded
    assert recovered == inbound.repairs.red > 60
    assert inbound.fec_bytes_received > inbound.bytes_received / 3


def test_copies_begin_within_a_second_of_the_first_losses_and_end_after_the_last() -> None:
    call = SimulatedCall(find_network("rate=2000,delay=40;6:loss=10;12:loss=0"), seed=1)

    def copies() -> int:
        return call.stats()[0].send.streams[0].fec_packets_sent

    call.run(until=6.0)
    assert copies() == 0
    call.run(until=7.0)
    assert copies() > 0
    call.run(until=36.0)
    before = copies()
    call.run(until=39.0)
    assert copies() == before


@pytest.mark.parametrize(("rate", "packets"), [(70, 60), (130, 40)])
def test_a_thin_link_has_long_packets_and_whole_sound(rate: int, packets: int) -> None:
    call = call_on(f"rate={rate},delay=40", seed=1, until=30.0)
    before = call.stats()[0].send.streams[0].packets_sent
    call.run(until=40.0)
    sent = call.stats()[0].send.streams[0].packets_sent - before
    assert sent == pytest.approx(10_000 / packets, rel=0.05)
    seen = call.a_to_b.observe(20.0, 40.0)
    assert seen.concealed_ms_per_minute <= 600  # 1 %; what is lost is the queue's overflow
    assert seen.silent_gaps == 0


def test_a_thin_and_lossy_link_is_heard() -> None:
    assert concealed_share("rate=150,delay=60,loss=10") <= 0.04
