"""The rate finds what the network can carry, and follows it."""

from __future__ import annotations

from functools import cache

import pytest

from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall, find_network

ONE_WAY = CallConfig(answering_video=False)


@cache
def simulate(network: str, end: float) -> SimulatedCall:
    call = SimulatedCall(find_network(network), seed=1, config=ONE_WAY)
    call.run(until=end)
    return call


def test_an_open_link_is_used_within_seconds() -> None:
    call = simulate("clean", 6.0)
    assert call.a_to_b.observe(4.0, 6.0).bitrate > 1_500_000


def test_the_first_picture_comes_at_once() -> None:
    call = simulate("clean", 6.0)
    first = call.a_to_b.observe(0.0, 1.0).first_picture
    assert first is not None
    assert first < 0.2


def test_a_drop_of_capacity_is_followed_before_it_hurts_long() -> None:
    call = simulate("step", 45.0)
    dropping = call.a_to_b.observe(15.0, 25.0)
    settled = call.a_to_b.observe(18.0, 25.0)
    assert dropping.longest_gap < 2.0
    assert settled.picture_delay_p95 is not None
    assert settled.picture_delay_p95 < 0.5
    assert settled.link_share is not None
    assert settled.link_share > 0.6


def test_returned_capacity_is_found_again() -> None:
    call = simulate("step", 45.0)
    assert call.a_to_b.observe(40.0, 45.0).bitrate > 1_200_000


def test_the_queue_of_a_narrow_link_stays_short() -> None:
    call = SimulatedCall(find_network("g3"), seed=1, config=ONE_WAY)
    call.run(until=5.0)
    waits = []
    for tenth in range(51, 250):
        call.run(until=tenth / 10)
        waits.append(call.up.queue_delay(call.simulation.now))
    assert sum(waits) / len(waits) < 0.15


@pytest.mark.parametrize("kbps", [60, 100, 250, 1000])
def test_sound_goes_on_at_any_rate(kbps: int) -> None:
    """Audio goes on above all else: whatever becomes of the picture, people talk."""
    network = NetworkProfile.parse(f"rate={kbps},delay=50,queue=400|rate=2000,delay=50")
    call = SimulatedCall(network, seed=1, config=ONE_WAY)
    call.run(until=25.0)
    seen = call.a_to_b.observe(10.0, 25.0)
    assert seen.silent_gaps == 0
    assert seen.sound_delay_p95 is not None
    assert seen.sound_delay_p95 < 0.8


def test_two_calls_share_a_bottleneck_and_neither_starves() -> None:
    """The second starts when the first has taken the link."""
    network = NetworkProfile.parse("rate=2000,delay=30,queue=300|delay=30")
    first = SimulatedCall(network, seed=1, config=ONE_WAY)
    first.run(until=5.0)
    second = SimulatedCall(network, config=ONE_WAY, beside=first)
    first.run(until=30.0)
    shares = [call.a_to_b.observe(20.0, 30.0) for call in (first, second)]
    assert sum(seen.bitrate for seen in shares) > 1_300_000
    for seen in shares:
        assert seen.bitrate > 250_000
        assert seen.frames_per_second > 20
