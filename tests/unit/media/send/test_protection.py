from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from ringline.media.send.protection import (
    Protection,
    ProtectionConfig,
    ProtectionPolicy,
    VideoPath,
    _LossChain,
)

PATH = VideoPath(
    loss=0.1,
    burst=1.1,
    round_trip=0.1,
    bitrate=1_500_000,
    frame_rate=30.0,
    packet_size=1_218,
    retransmission=True,
)


def decide(path: VideoPath) -> Protection:
    return ProtectionPolicy().update(path, 0.0)


def share(**changes: float) -> float:
    return decide(replace(PATH, **changes)).share  # type: ignore[arg-type] # fields by name


def test_without_loss_there_is_no_protection() -> None:
    assert decide(replace(PATH, loss=0.0)) == Protection()
    assert decide(replace(PATH, loss=0.002)) == Protection()
    assert Protection().ratio == Protection().key_ratio == 0.0


@pytest.mark.parametrize("bitrate", [300e3, 1.5e6, 5e6])
def test_more_loss_is_more_protection_up_to_half(bitrate: float) -> None:
    shares = [share(loss=loss, bitrate=bitrate) for loss in (0.0, 0.03, 0.06, 0.12, 0.25, 0.4)]
    assert shares == sorted(shares)
    assert 0.3 < shares[-1] <= ProtectionConfig().max_share


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.1])
def test_where_retransmission_is_quick_there_is_less(loss: float) -> None:
    slow = share(loss=loss, round_trip=0.3, bitrate=300e3)
    quick = share(loss=loss, round_trip=0.01, bitrate=300e3)
    assert quick < slow
    never = decide(replace(PATH, loss=loss, bitrate=300e3, retransmission=False)).share
    assert never >= slow


def test_losses_in_a_row_ask_for_more_where_they_fit_the_window() -> None:
    assert share(loss=0.06, burst=4.0) > share(loss=0.06, burst=1.1)


def test_a_few_packets_a_picture_are_protected_too() -> None:
    low = decide(replace(PATH, bitrate=100_000, frame_rate=15.0, round_trip=0.3, loss=0.05))
    assert low.share > 0.1


def test_the_coarser_pictures_are_the_less_of_their_rate_is_spent() -> None:
    narrow = {"bitrate": 100_000, "frame_rate": 15.0, "round_trip": 0.3, "loss": 0.02}
    shares = [share(**narrow, quantizer=quantizer) for quantizer in (20.0, 55.0, 80.0, 100.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1] == 0.0
    known = share(**narrow, quantizer=ProtectionConfig().rate_price_at)
    assert known == share(**narrow)  # nothing is known: the price as it is written


def test_packets_are_cut_finer_only_where_a_picture_has_few() -> None:
    assert decide(replace(PATH, bitrate=800_000)).split > 1
    assert decide(replace(PATH, bitrate=5_000_000)).split == 1
    assert decide(replace(PATH, bitrate=60_000, frame_rate=30.0)).split == 1  # mere headers


def test_key_frames_get_twice_as_much_up_to_half() -> None:
    for loss in (0.01, 0.05, 0.2):
        decision = decide(replace(PATH, loss=loss))
        twice = min(2.0 * decision.ratio, 1.0)
        assert decision.key_ratio >= 0.9 * twice
        assert decision.key_share <= ProtectionConfig().max_key_share


def test_what_is_left_to_retransmission_is_said() -> None:
    assert decide(replace(PATH, loss=0.0)).residual == 1.0
    assert decide(replace(PATH, loss=0.05)).residual < 0.1


def test_protection_grows_at_once_and_shrinks_after_a_while() -> None:
    policy = ProtectionPolicy()
    low = policy.update(replace(PATH, loss=0.02), 0.0)
    assert policy.update(replace(PATH, loss=0.2), 0.1) == low  # not yet time to decide
    high = policy.update(replace(PATH, loss=0.2), 0.5)
    assert high.share > low.share
    clean = replace(PATH, loss=0.0)
    assert [policy.update(clean, when) for when in (1.0, 2.0, 3.0, 3.9)] == [high] * 4
    assert policy.update(clean, 4.5) == Protection()


def test_a_path_that_hardly_changes_changes_nothing() -> None:
    policy = ProtectionPolicy()
    chance = random.Random(5)
    decisions = [
        policy.update(replace(PATH, loss=0.1 * chance.uniform(0.9, 1.1)), 0.5 * step)
        for step in range(60)
    ]
    changes = sum(a != b for a, b in pairwise(decisions))
    assert changes <= 6


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1.0), (0.2, 1.25), (0.07, 4.0), (0.3, 8.0)])
def test_the_chain_loses_as_many_as_a_simulated_one(loss: float, burst: float) -> None:
    chain = _LossChain(loss, burst)
    chance = random.Random(1)
    leave = 1 / max(burst, 1 / (1 - loss))
    enter = loss * leave / (1 - loss)
    runs, packets, most, exceeded = 20_000, 12, 2, 0
    for _ in range(runs):
        bad = chance.random() < loss
        lost = 0
        for _ in range(packets):
            lost += bad
            bad = chance.random() >= leave if bad else chance.random() < enter
        exceeded += lost > most
    assert chain.exceeds(packets, most) == pytest.approx(exceeded / runs, abs=0.01)


def test_the_chain_interpolates_and_knows_its_ends() -> None:
    chain = _LossChain(0.1, 1.0)
    assert chain.exceeds(0, 0) == 0.0
    assert chain.exceeds(1, 0) == pytest.approx(0.1)
    assert chain.exceeds(2, 0) == pytest.approx(0.19)
    assert chain.exceeds(2, 1) == pytest.approx(0.01)
    assert chain.exceeds(2, 0.5) == pytest.approx(0.10)
    assert chain.exceeds(1.5, 0) == pytest.approx(0.145)
    assert chain.exceeds(4, 4) == 0.0
