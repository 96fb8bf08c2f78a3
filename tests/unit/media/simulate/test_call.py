from __future__ import annotations

import pytest

from ringline.media.simulate.call import CallConfig, SimulatedCall, session_parameters
from ringline.media.simulate.profiles import find_network

CLEAN = find_network("clean")


def test_both_sides_see_and_hear_each_other() -> None:
    call = SimulatedCall(CLEAN)
    call.run(until=2.0)
    for seen in call.observe(1.0):
        assert seen.frames_per_second == pytest.approx(30, abs=1)
        assert seen.damaged_share == 0
        assert seen.concealed_ms_per_minute == 0
        assert seen.picture_delay_p50 is not None
        assert seen.picture_delay_p50 >= 0.02  # what the link takes
        assert seen.bitrate > 100_000


def test_who_has_no_camera_sends_no_picture() -> None:
    call = SimulatedCall(CLEAN, config=CallConfig(answering_video=False))
    call.run(until=1.0)
    up, down = call.observe(0.0)
    assert up.frames_per_second > 0
    assert down.frames_per_second == 0
    assert down.played_seconds > 0


def test_statistics_are_those_of_the_sessions() -> None:
    call = SimulatedCall(CLEAN)
    call.run(until=3.0)
    for stats in call.stats():
        assert stats.malformed_datagrams == 0
        assert stats.round_trip == pytest.approx(0.04, abs=0.01)


def test_each_side_receives_what_the_other_sends() -> None:
    first, second = session_parameters(0), session_parameters(1)
    assert (first.send, first.receive) == (second.receive, second.send)
    ssrcs = [stream.ssrc for stream in (*first.send, *second.send)]
    assert len(set(ssrcs)) == 4


def test_a_call_beside_another_shares_its_network() -> None:
    first = SimulatedCall(CLEAN)
    first.run(until=1.0)
    second = SimulatedCall(CLEAN, beside=first)
    assert (second.up, second.down) == (first.up, first.down)
    first.run(until=2.0)
    assert second.a_to_b.observe(1.0, 2.0).frames_per_second > 20
    with pytest.raises(ValueError, match="the other call is on clean, not g3"):
        SimulatedCall(find_network("g3"), beside=first)
