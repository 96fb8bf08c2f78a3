"""What a loss costs that retransmission does not mend: with our own peers, and with browsers."""

from __future__ import annotations

from functools import cache
from statistics import mean

import pytest

from ringline.media.receive.stats import VideoReceiveStats
from ringline.media.send.protection import Protection, ProtectionPolicy, VideoPath
from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall

SEEDS = (1, 2, 3)
START, END = 3.0, 20.0
NETWORKS = {
    "heavy loss": "rate=2000,delay=40,loss=30|rate=2000,delay=40,loss=10",
    "a far place": "rate=1000,delay=300,loss=5",
}


@cache
def simulate(network: str, *, rpsi: bool) -> tuple[float, float, float, int]:
    """Shares frozen and damaged, key frames asked for, and losses ended by a reference frame."""
    profile = NetworkProfile.parse(network)
    rows = []
    for seed in SEEDS:
        config = CallConfig(answering_video=False, rpsi=rpsi, rlc=False)
        call = SimulatedCall(profile, seed=seed, config=config)
        call.run(until=END)
        seen = call.a_to_b.observe(START, END)
        (stats,) = (
            stream
            for stream in call.stats()[1].receive.streams
            if isinstance(stream, VideoReceiveStats)
        )
        frozen = seen.frozen_seconds / seen.seconds
        mended = stats.repairs.reference_frame
        rows.append((frozen, seen.damaged_share, stats.pli_count, mended))
    return (
        mean(row[0] for row in rows),
        mean(row[1] for row in rows),
        mean(row[2] for row in rows),
        sum(row[3] for row in rows),
    )


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_reference_frames_mend_losses_for_which_key_frames_were_asked(network: str) -> None:
    with_them, without = simulate(network, rpsi=True), simulate(network, rpsi=False)
    assert with_them[3] > 0
    assert without[3] == 0
    assert with_them[2] < without[2] / 2
    assert with_them[0] + with_them[1] < without[0] + without[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_an_outage_the_picture_goes_on_without_a_key_frame(seed: int) -> None:
    profile = NetworkProfile.parse("rate=2000,delay=40;8:loss=100;11:loss=0")
    call = SimulatedCall(profile, seed=seed, config=CallConfig(answering_video=False))
    call.run(until=14.0)
    (stats,) = (s for s in call.stats()[1].receive.streams if isinstance(s, VideoReceiveStats))
    assert stats.key_frames_decoded == 1
    assert stats.repairs.reference_frame >= 1
    assert call.a_to_b.picture_after(11.0, within=0.5) is not None


def test_protection_is_chosen_by_how_coarse_pictures_are(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[VideoPath] = []
    update = ProtectionPolicy.update

    def watched(policy: ProtectionPolicy, path: VideoPath, now: float) -> Protection:
        paths.append(path)
        return update(policy, path, now)

    monkeypatch.setattr(ProtectionPolicy, "update", watched)
    network = NetworkProfile.parse("rate=300,delay=30,loss=2|rate=300,delay=30")
    call = SimulatedCall(network, seed=1, config=CallConfig(answering_video=False))
    call.run(until=8.0)
    assert paths[0].quantizer is None
    assert paths[-1].quantizer is not None
    assert 30 < paths[-1].quantizer <= 127
