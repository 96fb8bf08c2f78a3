"""The width of the link changes: how fast the picture follows, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall

ONE_WAY = CallConfig(answering_video=False)
CHANGE = 10.0
END = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of width at ``CHANGE``, in kbit/s, and what it may cost.

    Attributes:
        before: Width before.
        after: Width after.
        delay: One-way delay, in milliseconds.
        within: Seconds until 70 % of the new width is used, or 1.2 Mbit/s of a wider one.
        gap: Longest time without a new picture, in seconds.
        silences: Most silences of 60 ms or more.
        settled_delay: 95 of 100 pictures are no older 5 s after the change.

    """

    before: int
    after: int
    delay: int = 40
    within: float
    gap: float = 0.4
    silences: int = 0
    settled_delay: float

    def __str__(self) -> str:
        return f"{self.before}_to_{self.after}_at_{self.delay}_ms"


STEPS = [
    Step(before=2000, after=1000, within=2.0, settled_delay=0.35),
    Step(before=2000, after=300, within=2.0, gap=2.0, silences=2, settled_delay=0.35),
    Step(before=2000, after=120, within=3.0, gap=3.0, silences=4, settled_delay=0.7),
    Step(before=1000, after=200, delay=150, within=4.0, gap=2.5, silences=4, settled_delay=0.7),
    Step(before=300, after=2000, within=6.0, settled_delay=0.25),
    Step(before=120, after=600, within=6.0, settled_delay=0.35),
    Step(before=200, after=1000, delay=150, within=8.0, settled_delay=0.5),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_picture_follows_the_width(step: Step) -> None:
    way = f"rate={step.before},delay={step.delay};{CHANGE}:rate={step.after}"
    network = NetworkProfile.parse(f"{way}|rate=2000,delay={step.delay}")
    call = SimulatedCall(network, seed=1, config=ONE_WAY)
    call.run(until=END)
    wanted = min(0.7 * 1000 * step.after, 1_200_000)
    half_seconds = call.a_to_b.bitrates(CHANGE, END, step=0.5)
    reached = next(
        (0.5 * index for index, bitrate in enumerate(half_seconds) if bitrate >= wanted), END
    )
    during = call.a_to_b.observe(CHANGE, END)
    settled = call.a_to_b.observe(CHANGE + 5.0, END)
    assert reached <= step.within
    assert during.longest_gap <= step.gap
    assert during.silent_gaps <= step.silences
    assert settled.picture_delay_p95 is not None
    assert settled.picture_delay_p95 <= step.settled_delay


def test_a_link_that_narrows_is_not_filled_for_long() -> None:
    """The queue before the bottleneck is what delays everything behind it, the voice too.

    What is sent until the first word of it comes back is some 1.3 s of the new width.
    """
    network = NetworkProfile.parse("rate=2000,delay=40,queue=5000;10:rate=300|rate=2000,delay=40")
    call = SimulatedCall(network, seed=1, config=ONE_WAY)
    waits = []
    for tenth in range(100, 200):
        call.run(until=tenth / 10)
        waits.append(call.up.queue_delay(call.simulation.now))
    assert max(waits) < 2.6
    assert sum(wait > 0.3 for wait in waits) / 10 < 6.0  # seconds
    assert max(waits[70:]) < 0.2
