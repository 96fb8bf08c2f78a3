"""The link is shared: with a download, with another call, with both ways of this one."""

from __future__ import annotations

import pytest

from ringline.media.simulate import (
    CallConfig,
    NetworkProfile,
    SimulatedCall,
    start_greedy_flow,
)

ONE_WAY = CallConfig(answering_video=False)


def test_a_call_lives_beside_a_download() -> None:
    """A queue of 200 ms that another keeps full: the call is late, but it goes on."""
    network = NetworkProfile.parse("rate=2000,delay=20,queue=200|rate=2000,delay=20")
    call = SimulatedCall(network, seed=1, config=ONE_WAY)
    start_greedy_flow(call.simulation, call.up, call.down, start=8.0, end=28.0)
    call.run(until=40.0)
    beside = call.a_to_b.observe(10.0, 28.0)
    assert beside.bitrate > 100_000
    assert beside.frames_per_second > 8
    assert beside.silent_gaps <= 2
    assert beside.concealed_ms_per_minute < 3000
    assert beside.sound_delay_p95 is not None
    assert beside.sound_delay_p95 < 0.6
    after = call.a_to_b.observe(37.0, 40.0)
    assert after.bitrate > 1_000_000


def test_a_download_lives_beside_a_call() -> None:
    """It is not the call's to take it all."""
    network = NetworkProfile.parse("rate=2000,delay=20,queue=200|rate=2000,delay=20")
    call = SimulatedCall(network, seed=2, config=ONE_WAY)
    sender, _ = start_greedy_flow(call.simulation, call.up, call.down, start=5.0, end=25.0)
    call.run(until=25.0)
    assert sender.acknowledged * 8 / 20 > 400_000


def test_a_short_download_is_ridden_out() -> None:
    """A page that loads takes the link for two seconds, again and again."""
    network = NetworkProfile.parse("rate=3000,delay=20,queue=150|rate=3000,delay=20")
    call = SimulatedCall(network, seed=3, config=ONE_WAY)
    for start in (6.0, 12.0, 18.0):
        start_greedy_flow(call.simulation, call.up, call.down, start=start, end=start + 2.0)
    call.run(until=24.0)
    seen = call.a_to_b.observe(5.0, 24.0)
    assert seen.frames_per_second > 20
    assert seen.longest_gap < 1.0
    assert seen.silent_gaps <= 1


@pytest.mark.parametrize("seed", [1, 2])
def test_two_calls_get_something_alike(seed: int) -> None:
    network = NetworkProfile.parse("rate=1500,delay=30,queue=300|rate=1500,delay=30")
    first = SimulatedCall(network, seed=seed, config=ONE_WAY)
    first.run(until=5.0)
    second = SimulatedCall(network, config=ONE_WAY, beside=first)
    first.run(until=35.0)
    shares = sorted(call.a_to_b.observe(20.0, 35.0).bitrate for call in (first, second))
    assert shares[0] > 0.15 * sum(shares)
    assert sum(shares) > 1_000_000


def test_both_ways_send_pictures_over_a_network_that_is_bad_both_ways() -> None:
    network = NetworkProfile.parse("rate=600,delay=60,jitter=20,loss=3,queue=300")
    call = SimulatedCall(network, seed=1)
    call.run(until=20.0)
    for seen in call.observe(5.0):
        assert seen.frames_per_second > 25
        assert seen.frozen_seconds / seen.seconds < 0.15
        assert seen.silent_gaps == 0
        assert seen.concealed_ms_per_minute < 1500
        assert seen.picture_delay_p95 is not None
        assert seen.picture_delay_p95 < 0.45
        assert seen.link_share is not None
        assert seen.link_share > 0.75
