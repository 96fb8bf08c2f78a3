"""A call on each named network: what a person notices stays within bounds.

The bounds are promises, with room for chance, not records; a change that breaks one made calls
worse for somebody.  *a* sends picture and sound, *b* sound; what *b* notices is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest

from ringline.media.simulate import PROFILES, CallConfig, SimulatedCall, find_network

SETTLED = 5.0
"""Seconds until a call has found its rate; what is before is judged by tests of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is promised on a network, from ``SETTLED`` to ``end``.

    Delays and gaps are in seconds, from device to device; ``frozen`` is a share of the time.
    """

    network: str
    end: float = 20.0
    frames_per_second: float
    frozen: float
    longest_gap: float
    picture_delay_p95: float
    sound_delay_p95: float
    concealed_ms_per_minute: float
    link_share: float = 0.0


# fmt: off
BOUNDS = [
    Bounds(network="perfect", end=10, frames_per_second=29.5, frozen=0, longest_gap=0.1,
           picture_delay_p95=0.03, sound_delay_p95=0.06, concealed_ms_per_minute=0),
    Bounds(network="clean", end=15, frames_per_second=29.5, frozen=0, longest_gap=0.1,
           picture_delay_p95=0.06, sound_delay_p95=0.08, concealed_ms_per_minute=0),
    Bounds(network="loss5", frames_per_second=28, frozen=0.12, longest_gap=0.7,
           picture_delay_p95=0.3, sound_delay_p95=0.2, concealed_ms_per_minute=1000,
           link_share=0.7),
    Bounds(network="loss20", frames_per_second=20, frozen=0.5, longest_gap=2.5,
           picture_delay_p95=0.6, sound_delay_p95=0.3, concealed_ms_per_minute=5000,
           link_share=0.6),
    Bounds(network="burst", frames_per_second=27, frozen=0.25, longest_gap=1.0,
           picture_delay_p95=0.4, sound_delay_p95=0.25, concealed_ms_per_minute=2500,
           link_share=0.6),
    Bounds(network="g3", frames_per_second=27, frozen=0.3, longest_gap=0.8,
           picture_delay_p95=0.5, sound_delay_p95=0.35, concealed_ms_per_minute=1500,
           link_share=0.7),
    Bounds(network="g2", end=35, frames_per_second=8, frozen=0.3, longest_gap=2.0,
           picture_delay_p95=1.0, sound_delay_p95=0.8, concealed_ms_per_minute=4000,
           link_share=0.6),
    Bounds(network="step", end=45, frames_per_second=24, frozen=0.15, longest_gap=2.0,
           picture_delay_p95=0.5, sound_delay_p95=0.5, concealed_ms_per_minute=3000,
           link_share=0.6),
    Bounds(network="wifi", end=12, frames_per_second=29.5, frozen=0, longest_gap=0.15,
           picture_delay_p95=0.08, sound_delay_p95=0.1, concealed_ms_per_minute=500),
    Bounds(network="wifi_lossy", frames_per_second=27, frozen=0.1, longest_gap=0.8,
           picture_delay_p95=0.25, sound_delay_p95=0.2, concealed_ms_per_minute=4000),
    Bounds(network="wifi_congested", end=35, frames_per_second=25, frozen=0.2, longest_gap=1.5,
           picture_delay_p95=0.6, sound_delay_p95=0.7, concealed_ms_per_minute=3000,
           link_share=0.5),
    Bounds(network="mobile", end=35, frames_per_second=25, frozen=0.15, longest_gap=1.5,
           picture_delay_p95=0.7, sound_delay_p95=0.9, concealed_ms_per_minute=3500,
           link_share=0.5),
    Bounds(network="moderate", frames_per_second=25, frozen=0.75, longest_gap=2.0,
           picture_delay_p95=1.2, sound_delay_p95=0.4, concealed_ms_per_minute=1500),
    Bounds(network="international", frames_per_second=5, frozen=0.95, longest_gap=4.0,
           picture_delay_p95=2.0, sound_delay_p95=0.8, concealed_ms_per_minute=9000),
    Bounds(network="spiky_loss", end=25, frames_per_second=15, frozen=0.6,
           longest_gap=5.0, picture_delay_p95=0.8, sound_delay_p95=0.3,
           concealed_ms_per_minute=6000),
    Bounds(network="satellite", frames_per_second=24, frozen=0.7, longest_gap=1.5,
           picture_delay_p95=1.3, sound_delay_p95=0.6, concealed_ms_per_minute=1500),
    Bounds(network="reordering", end=15, frames_per_second=29, frozen=0.05, longest_gap=0.3,
           picture_delay_p95=0.25, sound_delay_p95=0.2, concealed_ms_per_minute=500),
]
# fmt: on


@cache
def simulate(network: str, end: float) -> SimulatedCall:
    call = SimulatedCall(find_network(network), seed=1, config=CallConfig(answering_video=False))
    call.run(until=end)
    return call


def test_every_network_has_bounds() -> None:
    """Outage has tests of its own: its bounds are before and after, not on average."""
    assert {bounds.network for bounds in BOUNDS} | {"outage"} == set(PROFILES)


@pytest.mark.parametrize("bounds", BOUNDS, ids=lambda bounds: bounds.network)
def test_a_call_stays_within_bounds(bounds: Bounds) -> None:
    call = simulate(bounds.network, bounds.end)
    seen, _ = call.observe(SETTLED)
    assert seen.picture_delay_p95 is not None
    assert seen.sound_delay_p95 is not None
    found = {
        "frames_per_second": seen.frames_per_second >= bounds.frames_per_second,
        "frozen": seen.frozen_seconds / seen.seconds <= bounds.frozen,
        "longest_gap": seen.longest_gap <= bounds.longest_gap,
        "picture_delay_p95": seen.picture_delay_p95 <= bounds.picture_delay_p95,
        "sound_delay_p95": seen.sound_delay_p95 <= bounds.sound_delay_p95,
        "concealed": seen.concealed_ms_per_minute <= bounds.concealed_ms_per_minute,
        "link_share": seen.link_share is None or seen.link_share >= bounds.link_share,
    }
    assert [name for name, is_kept in found.items() if not is_kept] == [], seen


@pytest.mark.parametrize("bounds", BOUNDS, ids=lambda bounds: bounds.network)
def test_nothing_ever_stops_for_good(bounds: Bounds) -> None:
    """In any five seconds somebody is seen moving and heard speaking, both ways."""
    call = simulate(bounds.network, bounds.end)
    start = 0.0
    while start + 5.0 <= bounds.end:
        up, down = call.observe(start, start + 5.0)
        assert up.frames_per_second > 0, f"no picture from {start} s on"
        for seen in (up, down):
            assert seen.sound_delay_p50 is not None, f"no sound from {start} s on"
            assert seen.longest_silence < 1.0, f"silence from {start} s on"
        start += 2.5


@pytest.mark.parametrize("bounds", BOUNDS, ids=lambda bounds: bounds.network)
def test_sound_is_played_without_a_break(bounds: Bounds) -> None:
    """Every 20 ms there is a frame to play, sent or made up; only stretching moves the grid."""
    seen, _ = simulate(bounds.network, bounds.end).observe(SETTLED)
    assert seen.played_seconds == pytest.approx(seen.seconds, abs=0.05)
