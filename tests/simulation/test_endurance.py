"""Long calls: clocks that drift apart, and memory that must not grow.

An hour is not simulated whole: what a session holds is bounded by windows of seconds, so it is
counted after a minute and again after several; what wraps or drifts is made to do so sooner.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall, find_network

BytesHeld = Callable[[object], int]

SMALL = CallConfig(width=160, height=90, frame_rate=10.0)


def test_what_a_session_holds_does_not_grow(bytes_held: BytesHeld) -> None:
    """On a network that keeps all repairs busy, over six minutes instead of an hour."""
    network = NetworkProfile.parse("rate=400,delay=50,jitter=30,loss=5,ge=1/40,reorder=2")
    call = SimulatedCall(network, seed=1, config=SMALL)
    held = []
    for minute in range(1, 7):
        call.run(until=60.0 * minute)
        held.append(max(bytes_held(call.session(node)) for node in (call.a, call.b)))
    # Records of what was never acknowledged fill to their bounds within the first minutes.
    assert max(held[4:]) < 1.2 * max(held[2:4])
    assert max(held) < 1_500_000


def test_what_is_held_during_an_outage_is_bounded_and_given_back(
    bytes_held: BytesHeld,
) -> None:
    network = NetworkProfile.parse("rate=2000,delay=40;10:loss=100;40:loss=0")
    call = SimulatedCall(network, seed=1, config=SMALL)
    call.run(until=9.9)
    before = bytes_held(call.session(call.a))
    during = []
    for second in range(11, 40, 4):
        call.run(until=float(second))
        during.append(max(bytes_held(call.session(node)) for node in (call.a, call.b)))
    call.run(until=50.0)
    after = bytes_held(call.session(call.a))
    assert max(during) < 1_500_000
    assert max(during[4:]) < 1.25 * max(during[:4])
    assert after < 3 * before


@pytest.mark.parametrize("drift", [300e-6, -300e-6], ids=["fast", "slow"])
def test_clocks_that_drift_apart_are_followed(drift: float) -> None:
    """300 ppm are 54 ms in three minutes: they must show in no delay, and hardly be heard."""
    config = CallConfig(width=160, height=90, frame_rate=10.0, drift=drift)
    call = SimulatedCall(find_network("clean"), seed=1, config=config)
    call.run(until=180.0)
    for observer in (call.a_to_b, call.b_to_a):
        early, late = observer.observe(5.0, 35.0), observer.observe(150.0, 180.0)
        assert early.sound_delay_p95 is not None
        assert late.sound_delay_p95 is not None
        assert abs(late.sound_delay_p95 - early.sound_delay_p95) < 0.06
        assert early.picture_delay_p95 is not None
        assert late.picture_delay_p95 is not None
        assert abs(late.picture_delay_p95 - early.picture_delay_p95) < 0.06
        whole = observer.observe(5.0, 180.0)
        assert whole.concealed_ms_per_minute < 60
        assert whole.silent_gaps == 0
        assert whole.freezes == 0


def test_clocks_that_drift_apart_on_a_network_with_jitter_are_followed() -> None:
    """3000 ppm for half a minute are 300 ppm for five."""
    network = NetworkProfile.parse("rate=1000,delay=60,jitter=40,loss=1")
    config = CallConfig(width=160, height=90, frame_rate=10.0, drift=3000e-6)
    call = SimulatedCall(network, seed=1, config=config)
    call.run(until=40.0)
    for seen in call.observe(5.0):
        assert seen.sound_delay_p95 is not None
        assert seen.sound_delay_p95 < 0.28
        assert seen.concealed_ms_per_minute < 900
        assert seen.silent_gaps == 0
