"""Scenarios: one fault of a network at a time, and what a person may notice of it.

The table is the test.  *a* sends picture and sound, *b* sound; what *b* notices from second 5 on
is judged.  Every promise holds for each seed of its row, with room for chance: they are bounds on
how bad a call gets, not records.  The named networks have a table of their own
(``test_named_networks``), what happens at one moment has ``test_capacity`` and ``test_outage``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import pytest

from ringline.media.simulate import CallConfig, NetworkProfile, Observation, SimulatedCall

SETTLED = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What holds on a network.  Delays, gaps and silences are in seconds.

    Attributes:
        fps: Least pictures shown a second.
        frozen: Most of the time that the picture stands, a share (W3C's definition).
        gap: Longest time without a new picture.
        picture: 95 of 100 pictures are no older on the screen.
        sound: Likewise of the voice.
        concealed: Most milliseconds of made-up sound a minute.
        silences: Most silences of 60 ms or more.
        share: Least of what the link can carry that is used.
        switches: Most changes of the picture's size a minute.

    """

    fps: float
    frozen: float = 0.0
    gap: float = 0.3
    picture: float
    sound: float
    concealed: float = 0.0
    silences: int = 0
    share: float = 0.8
    switches: float = 0.0

    def broken(self, seen: Observation) -> list[str]:
        """Return what does not hold, in words."""
        kept = {
            "fps": seen.frames_per_second >= self.fps,
            "frozen": seen.frozen_seconds / seen.seconds <= self.frozen,
            "gap": seen.longest_gap <= self.gap,
            "picture": (seen.picture_delay_p95 or math.inf) <= self.picture,
            "sound": (seen.sound_delay_p95 or math.inf) <= self.sound,
            "concealed": seen.concealed_ms_per_minute <= self.concealed,
            "silences": seen.silent_gaps <= self.silences,
            "share": seen.link_share is None or seen.link_share >= self.share,
            "switches": seen.size_switches_per_minute <= self.switches,
        }
        return [field.name for field in fields(self) if not kept[field.name]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A network, and what is promised on it."""

    name: str
    network: str
    seeds: tuple[int, ...] = (1,)
    end: float = 15.0
    promise: Promise


def changing(text: str, times: list[tuple[float, str]]) -> str:
    """Return a link that changes: ``(when, to what)``."""
    return ";".join([text, *(f"{when:g}:{setting}" for when, setting in times)])


OPEN = "rate=2000,delay=40"
SPIKES = [
    (start + offset, f"delay={delay}")
    for start in range(3, 18, 3)
    for offset, delay in ((0, 240), (0.1, 40))
]
RATE_DOWN = [(8.0 + step, f"rate={round(2000 * 0.075 ** (step / 10))}") for step in range(11)]
RATE_UP = [(8.0 + step, f"rate={round(150 * 13.3 ** (step / 10))}") for step in range(11)]
SAW = [(4.0 * turn, f"rate={400 if turn % 2 else 1500}") for turn in range(1, 7)]

# fmt: off
SCENARIOS = [
    # Loss at random
    Scenario(name="loss_1", network=f"{OPEN},loss=1|{OPEN}", promise=Promise(
        fps=29, frozen=0.03, gap=0.25, picture=0.2, sound=0.2, concealed=300)),
    Scenario(name="loss_10", network=f"{OPEN},loss=10|{OPEN}", seeds=(1, 2), promise=Promise(
        fps=29, frozen=0.02, gap=0.35, picture=0.25, sound=0.22, concealed=500)),
    Scenario(name="loss_20", network=f"{OPEN},loss=20|{OPEN}", seeds=(1, 2), promise=Promise(
        fps=28, frozen=0.03, gap=0.35, picture=0.3, sound=0.28, concealed=900)),
    Scenario(name="loss_30", network=f"{OPEN},loss=30|{OPEN}", seeds=(1, 2), promise=Promise(
        fps=26, frozen=0.1, gap=0.6, picture=0.4, sound=0.28, concealed=1500)),
    Scenario(name="loss_40_still_talks", network=f"{OPEN},loss=40|{OPEN}", promise=Promise(
        fps=0, frozen=1, gap=math.inf, picture=math.inf, sound=0.3, concealed=4000, share=0.6)),
    Scenario(name="loss_both_ways", network=f"{OPEN},loss=5", promise=Promise(
        fps=28, frozen=0.1, gap=0.4, picture=0.35, sound=0.2, concealed=400, share=0.7)),
    Scenario(name="loss_on_a_narrow_link", end=20, promise=Promise(
        fps=14, frozen=0.05, gap=0.3, picture=0.35, sound=0.3, concealed=400, switches=2),
        network="rate=300,delay=60,loss=10|rate=300,delay=60"),
    Scenario(name="loss_on_a_very_narrow_link", end=20, promise=Promise(
        fps=9, frozen=0.35, gap=1.2, picture=1.0, sound=0.6, concealed=1200, switches=4),
        network="rate=150,delay=60,loss=20|rate=150,delay=60"),
    Scenario(name="loss_far_away", end=20, promise=Promise(
        fps=18, frozen=0.5, gap=1.0, picture=1.5, sound=0.5, concealed=800, share=0.7),
        network="rate=1500,delay=200,loss=10|rate=1500,delay=200"),
    # Loss in bursts: how often, and how long
    Scenario(name="bursts_of_2", network=f"{OPEN},ge=0.5/50|{OPEN}", promise=Promise(
        fps=29, frozen=0.05, gap=0.35, picture=0.22, sound=0.2, concealed=300)),
    Scenario(name="frequent_bursts_of_2", network=f"{OPEN},ge=5/50|{OPEN}", promise=Promise(
        fps=28, frozen=0.08, gap=0.4, picture=0.4, sound=0.25, concealed=600)),
    Scenario(name="frequent_bursts_of_4", network=f"{OPEN},ge=5/25|{OPEN}", promise=Promise(
        fps=28, frozen=0.03, gap=0.4, picture=0.35, sound=0.35, concealed=1200, share=0.7)),
    Scenario(name="bursts_of_8", network=f"{OPEN},ge=3/12|{OPEN}", end=20, promise=Promise(
        fps=20, frozen=0.25, gap=0.7, picture=0.8, sound=0.4, concealed=2000, silences=1,
        share=0.6)),
    Scenario(name="rare_bursts_of_20", network=f"{OPEN},ge=0.3/5|{OPEN}", end=20, promise=Promise(
        fps=26, frozen=0.12, gap=0.7, picture=0.5, sound=0.4, concealed=2500, silences=2,
        share=0.6)),
    # Time on the way
    Scenario(name="jitter_of_100_ms", network=f"{OPEN},jitter=100", promise=Promise(
        fps=29, gap=0.15, picture=0.25, sound=0.28, concealed=300, share=0.5)),
    Scenario(name="jitter_of_200_ms", network=f"{OPEN},jitter=200", promise=Promise(
        fps=28, frozen=0.02, gap=0.25, picture=0.36, sound=0.36, concealed=300, share=0.2)),
    Scenario(name="spikes_of_200_ms", network=changing(OPEN, SPIKES) + f"|{OPEN}", end=20,
        promise=Promise(fps=22, frozen=0.05, gap=0.35, picture=0.35, sound=0.36, concealed=1000,
                        silences=1, share=0.12, switches=16)),
    Scenario(name="out_of_order", network=f"{OPEN},jitter=60,reorder=30", promise=Promise(
        fps=26, frozen=0.02, gap=0.3, picture=0.4, sound=0.34, concealed=600)),
    Scenario(name="twice", network=f"{OPEN},duplicate=20", promise=Promise(
        fps=29.5, gap=0.1, picture=0.13, sound=0.15, concealed=150)),
    Scenario(name="satellite_of_600_ms", network="rate=2000,delay=300", promise=Promise(
        fps=29.5, gap=0.1, picture=0.45, sound=0.5, concealed=300)),
    # Width
    Scenario(name="rate_40_still_talks", end=20, promise=Promise(
        fps=0, frozen=1, gap=math.inf, picture=math.inf, sound=0.9, concealed=1500, silences=2,
        share=0.6),
        network="rate=40,delay=50,queue=400|rate=2000,delay=50"),
    Scenario(name="rate_100", end=20, promise=Promise(
        fps=8, frozen=0.2, gap=4.5, picture=0.6, sound=0.7, concealed=600, switches=12),
        network="rate=100,delay=50,queue=400|rate=2000,delay=50"),
    Scenario(name="rate_150", end=20, promise=Promise(
        fps=12, frozen=0.05, gap=0.4, picture=0.5, sound=0.6, concealed=400, switches=8),
        network="rate=150,delay=50,queue=400|rate=2000,delay=50"),
    Scenario(name="rate_250", promise=Promise(
        fps=18, gap=0.15, picture=0.3, sound=0.4, concealed=400, switches=4),
        network="rate=250,delay=50,queue=400|rate=2000,delay=50"),
    Scenario(name="rate_500", promise=Promise(
        fps=29, gap=0.2, picture=0.25, sound=0.3, concealed=400, switches=4),
        network="rate=500,delay=50,queue=400|rate=2000,delay=50"),
    Scenario(name="rate_5000", promise=Promise(
        fps=29.5, gap=0.1, picture=0.1, sound=0.1, share=0.3),
        network="rate=5000,delay=50,queue=400|rate=2000,delay=50"),
    Scenario(name="a_queue_of_2_s", promise=Promise(
        fps=29, gap=0.2, picture=0.25, sound=0.3, concealed=300),
        network="rate=500,delay=30,queue=2000|rate=500,delay=30"),
    Scenario(name="a_queue_of_25_ms", promise=Promise(
        fps=28, frozen=0.06, gap=0.5, picture=0.35, sound=0.25, concealed=3000, silences=2,
        share=0.7),
        network="rate=1000,delay=30,queue=25|rate=1000,delay=30"),
    # The way back
    Scenario(name="narrow_up_wide_down", promise=Promise(
        fps=18, gap=0.2, picture=0.25, sound=0.3, concealed=300, switches=4),
        network="rate=300,delay=30|rate=5000,delay=30"),
    Scenario(name="a_slow_way_back", promise=Promise(
        fps=29.5, gap=0.1, picture=0.12, sound=0.2),
        network="rate=2000,delay=10|rate=2000,delay=250"),
    Scenario(name="a_narrow_way_back", promise=Promise(
        fps=29, gap=0.15, picture=0.15, sound=0.2),
        network=f"{OPEN}|rate=64,delay=40"),
    Scenario(name="feedback_loss_30", network=f"{OPEN}|{OPEN},loss=30", seeds=(1, 2),
        promise=Promise(fps=29, gap=0.15, picture=0.15, sound=0.22, concealed=500, share=0.5)),
    Scenario(name="feedback_loss_60", network=f"{OPEN}|{OPEN},loss=60", seeds=(1, 2),
        promise=Promise(fps=29, gap=0.2, picture=0.2, sound=0.22, concealed=600, share=0.15,
                        switches=8)),
    # Width that wanders
    Scenario(name="width_that_shrinks", network=changing(OPEN, RATE_DOWN) + f"|{OPEN}", end=22,
        promise=Promise(fps=20, frozen=0.08, gap=0.6, picture=0.4, sound=0.5, concealed=1500,
                        switches=16)),
    Scenario(name="width_that_grows", end=22, promise=Promise(
        fps=20, gap=0.3, picture=0.5, sound=0.6, concealed=600, share=0.5, switches=16),
        network=changing("rate=150,delay=40", RATE_UP) + f"|{OPEN}"),
    Scenario(name="width_up_and_down", end=28, promise=Promise(
        fps=20, frozen=0.12, gap=1.0, picture=0.7, sound=0.5, concealed=3000, silences=3,
        share=0.4, switches=12),
        network=changing("rate=1500,delay=40", SAW) + f"|{OPEN}"),
    # Another network in the middle of the call
    Scenario(name="handover_to_worse", end=22, promise=Promise(
        fps=20, frozen=0.15, gap=0.8, picture=0.55, sound=0.5, concealed=3000, silences=2,
        share=0.65, switches=16),
        network="rate=3000,delay=20;10:rate=500,delay=120|rate=3000,delay=20;10:delay=120"),
    Scenario(name="handover_to_better", end=22, promise=Promise(
        fps=29, gap=0.15, picture=0.3, sound=0.35, concealed=100, share=0.5, switches=8),
        network="rate=400,delay=120;10:rate=3000,delay=20|rate=400,delay=120;10:delay=20"),
]
# fmt: on

RUNS = [(scenario, seed) for scenario in SCENARIOS for seed in scenario.seeds]


@pytest.mark.parametrize(
    ("scenario", "seed"), RUNS, ids=[f"{scenario.name}-{seed}" for scenario, seed in RUNS]
)
def test_what_is_promised_holds(scenario: Scenario, seed: int) -> None:
    network = NetworkProfile.parse(scenario.network)
    call = SimulatedCall(network, seed=seed, config=CallConfig(answering_video=False))
    call.run(until=scenario.end)
    seen, _ = call.observe(SETTLED)
    assert scenario.promise.broken(seen) == [], seen
