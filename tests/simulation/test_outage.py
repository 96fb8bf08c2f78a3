"""Three seconds of nothing, and what follows."""

from __future__ import annotations

from functools import cache

import pytest

from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall, find_network

GONE, BACK, END = 12.0, 15.0, 25.0


@cache
def simulate_outage() -> SimulatedCall:
    call = SimulatedCall(find_network("outage"), seed=1)
    call.run(until=END)
    return call


def test_picture_and_sound_move_again_within_a_second() -> None:
    call = simulate_outage()
    for seen in (call.a_to_b, call.b_to_a):
        assert seen.picture_after(BACK, within=1.0) is not None
        assert seen.sound_after(BACK, within=1.0) is not None


def test_before_and_after_are_as_without_it() -> None:
    call = simulate_outage()
    for start, end in ((5.0, GONE), (BACK + 2.0, END)):
        for seen in call.observe(start, end):
            assert (seen.freezes, seen.silent_gaps) == (0, 0)
            assert seen.frames_per_second > 29
            assert seen.picture_delay_p95 is not None
            assert seen.picture_delay_p95 < 0.25


def test_no_sound_of_before_is_played_after() -> None:
    """What waited is thrown away: a talk goes on with what is said now."""
    call = simulate_outage()
    for seen in call.observe(BACK + 0.5, END):
        assert seen.sound_delay_p95 is not None
        assert seen.sound_delay_p95 < 0.25


def test_the_rate_comes_back() -> None:
    call = simulate_outage()
    before = call.a_to_b.observe(5.0, GONE).bitrate
    after = call.a_to_b.observe(BACK + 4.0, END).bitrate
    assert after > 0.7 * before


def test_during_it_sound_fades_and_the_picture_stands() -> None:
    call = simulate_outage()
    for seen in call.observe(GONE + 0.5, BACK):
        assert seen.frames_per_second == 0
        assert seen.concealed_ms_per_minute == pytest.approx(60_000, rel=0.02)
        assert seen.longest_silence > 2.0


@pytest.mark.parametrize("length", [0.3, 1.0, 10.0, 30.0])
def test_shorter_and_longer_ones_are_survived_alike(length: float) -> None:
    back = 6.0 + length
    network = NetworkProfile.parse(f"rate=2000,delay=40;6:loss=100;{back}:loss=0")
    call = SimulatedCall(network, seed=2, config=CallConfig(answering_video=False))
    call.run(until=back + 4.0)
    assert call.a_to_b.picture_after(back, within=1.0) is not None
    for seen in (call.a_to_b, call.b_to_a):
        assert seen.sound_after(back, within=1.0) is not None


def test_one_way_alone_may_die_too() -> None:
    """The way back carries feedback: without it the sender must not go on blindly, nor stop."""
    network = NetworkProfile.parse("rate=2000,delay=40|rate=2000,delay=40;6:loss=100;9:loss=0")
    call = SimulatedCall(network, seed=3, config=CallConfig(answering_video=False))
    call.run(until=15.0)
    during = call.a_to_b.observe(6.5, 9.0)
    assert during.frames_per_second > 10
    assert during.silent_gaps == 0
    after = call.a_to_b.observe(10.0, 15.0)
    assert after.frames_per_second > 28
