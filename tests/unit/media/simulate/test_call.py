from __future__ import annotations

import random
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.codecs import CodecRegistry
from ringline.media.simulate.call import CallConfig, SimulatedCall, session_parameters
from ringline.media.simulate.codecs import SimulatedCodecs
from ringline.media.simulate.marks import make_picture, make_sound
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


def test_the_devices_of_a_fast_clock_give_more() -> None:
    call = SimulatedCall(CLEAN, config=CallConfig(drift=0.01))
    call.run(until=10.0)
    assert call.b.now == pytest.approx(10.1)
    assert call.a_to_b.sent_at(298) is not None
    assert call.a_to_b.sent_at(301) is None
    assert call.b_to_a.sent_at(301) is not None
    assert call.b_to_a.sent_at(304) is None
    for seen in call.observe(2.0):
        assert seen.frames_per_second > 29.5


def test_a_call_has_the_pictures_sounds_and_codecs_it_is_given() -> None:
    drawn, spoken, made = [], [], []

    def picture(number: int) -> NDArray[np.uint8]:
        drawn.append(number)
        return make_picture(number, 160, 90)

    def sound(number: int) -> NDArray[np.int16]:
        spoken.append(number)
        return make_sound(number)

    def codecs(rng: random.Random) -> CodecRegistry:
        made.append(SimulatedCodecs(rng))
        return cast("CodecRegistry", made[-1])

    config = CallConfig(codecs=codecs, pictures=picture, sounds=sound, answering_video=False)
    call = SimulatedCall(CLEAN, config=config)
    heights = set()
    call.b.on_video = lambda frame, _: heights.add(frame.height)
    call.run(until=1.0)
    assert drawn == list(range(30))
    assert sorted(spoken) == sorted([*range(50), *range(50)])  # both speak
    assert len(made) == 2
    assert heights == {90}
