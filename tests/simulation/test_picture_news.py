"""What is told of the picture, before it is seen: the word comes ahead of the first freeze."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ringline.media.frames import VideoFrame
from ringline.media.send.events import SentPictureState
from ringline.media.send.picture_state import PictureState
from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall
from ringline.media.simulate.observe import find_freezes

BACK = "|rate=2000,delay=40"
STEP = "rate=2000,delay=40;10:rate=300;20:rate=2000"
RAMP = "rate=2000,delay=40;8:rate=1400;10:rate=1000;12:rate=700;14:rate=450;16:rate=300"
NOTICED = 0.03 + 0.15
"""Seconds of standing still that make a freeze, at 30 pictures a second (webrtc-stats)."""


def watch(way: str, until: float) -> tuple[list[tuple[float, PictureState]], list[float]]:
    """Return what was told, and when pictures were shown."""
    network = NetworkProfile.parse(way + BACK)
    call = SimulatedCall(network, seed=1, config=CallConfig(answering_video=False))
    told: list[tuple[float, PictureState]] = []
    shown: list[float] = []
    show = call.b.on_video
    assert show is not None

    def on_event(event: object, now: float) -> None:
        if isinstance(event, SentPictureState):
            told.append((now, event.state))
            assert event.reason == "bandwidth"

    def on_video(frame: VideoFrame, now: float) -> None:
        shown.append(now)
        show(frame, now)

    call.a.on_event, call.b.on_video = on_event, on_video
    call.run(until=until)
    return told, shown


@pytest.mark.parametrize("way", [STEP, RAMP])
def test_the_word_comes_before_the_first_freeze(way: str) -> None:
    told, shown = watch(way, 20.0)
    assert told
    assert told[0][1] is PictureState.COARSER
    assert 8.0 < told[0][0] < 16.0
    freezes = [freeze for freeze in find_freezes(shown) if freeze.start > 5.0]
    assert all(told[0][0] < freeze.start + NOTICED for freeze in freezes)


def test_what_is_told_does_not_flicker_and_ends_when_the_link_is_back() -> None:
    told, _ = watch(STEP, 32.0)
    times = [when for when, _ in told]
    assert len(told) <= 5
    assert all(after - before >= 1.9 for before, after in pairwise(times))
    assert told[-1][1] is PictureState.FULL
