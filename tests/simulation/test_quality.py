"""What a call says of itself is what its people notice, and it names what the network did."""

from __future__ import annotations

import pytest

from ringline.media.quality import Cause, DirectionQuality, QualityChanged, Side
from ringline.media.simulate import SimulatedCall, find_network


def talk(network: str, seconds: float, *, seed: int = 1) -> tuple[SimulatedCall, list[object]]:
    """Let two talk; return the call and what the called side was told of its quality."""
    call = SimulatedCall(find_network(network), seed=seed)
    told: list[object] = []
    call.b.on_event = lambda event, _: (
        told.append(event) if isinstance(event, QualityChanged) else None
    )
    call.run(until=seconds)
    return call, told


def received(call: SimulatedCall) -> DirectionQuality:
    quality = call.stats()[1].quality.receiving
    assert quality is not None
    return quality


def sent(call: SimulatedCall) -> DirectionQuality:
    quality = call.stats()[0].quality.sending
    assert quality is not None
    return quality


@pytest.mark.parametrize("seed", [1, 2])
def test_a_clean_call_is_good_all_the_time(seed: int) -> None:
    call, told = talk("clean", 15.0, seed=seed)
    assert received(call).score > 4.8
    assert sent(call).score > 4.8
    assert told == []


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        ("delay=450", Cause.DELAY),
        ("rate=2000,delay=40,loss=45|rate=2000,delay=40", Cause.LOSS),
        ("rate=100,delay=30|rate=2000,delay=30", Cause.BANDWIDTH),
    ],
)
def test_both_ends_of_a_bad_way_name_the_same_cause(network: str, cause: Cause) -> None:
    call, _ = talk(network, 25.0)
    assert (received(call).cause, received(call).side) == (cause, Side.THEIR_UPLOAD)
    assert (sent(call).cause, sent(call).side) == (cause, Side.OUR_UPLOAD)


def test_more_loss_is_a_lower_score() -> None:
    scores = [received(talk(f"rate=3000,delay=60,loss={loss}", 12.0)[0]).score for loss in (0, 50)]
    assert scores[0] - scores[1] > 1.0


def test_an_outage_is_told_and_so_is_its_end() -> None:
    call, told = talk("outage", 30.0)
    events = [
        event.quality
        for event in told
        if isinstance(event, QualityChanged) and event.direction == "receiving"
    ]
    assert min(events, key=lambda quality: quality.score).cause is Cause.LOSS
    assert min(event.score for event in events) < 2.0
    assert received(call).score > 4.5
