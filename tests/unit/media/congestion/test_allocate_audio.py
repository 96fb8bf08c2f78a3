from __future__ import annotations

from itertools import pairwise

import pytest

from ringline.media.congestion.allocate_audio import AudioDemand, AudioPlan, AudioPlanner
from ringline.media.congestion.loss_pattern import residual_loss

FRAMES = (960, 1_920, 2_880)
BUDGETS = (40e3, 60e3, 80e3, 100e3, 150e3, 250e3, 500e3, 1e6, 2e6)


def plan(
    budget: float,
    loss: float = 0.0,
    cohesion: float = 0.0,
    *,
    picture: bool = True,
    red: bool = True,
    frames: tuple[int, ...] = FRAMES,
) -> AudioPlan:
    planner = AudioPlanner(overhead=66, red=red, frame_samples=frames)
    return planner.update(AudioDemand(budget, picture, loss, cohesion), 0.0)


@pytest.mark.parametrize("picture", [True, False])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05, 0.2, 0.4, 1.0])
@pytest.mark.parametrize("cohesion", [0.0, 0.5, 0.9])
def test_what_is_chosen_fits_the_budget(
    budget: float, loss: float, cohesion: float, *, picture: bool
) -> None:
    chosen = plan(budget, loss, cohesion, picture=picture)
    assert chosen.gross <= 0.9 * budget
    packets = 48_000 / chosen.frame_samples
    copies = len(chosen.distances)
    red = 1 + 4 * copies if copies else 0
    expected = chosen.bitrate * (1 + copies) + packets * (66 + red) * 8
    assert chosen.gross == pytest.approx(expected, abs=1)


def test_the_least_is_sent_even_if_it_is_over_the_budget() -> None:
    assert plan(10e3) == AudioPlan(12_000, 2_880, (), 12_000 + 66 * 8 * 48_000 // 2_880)


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_path_that_loses_nothing_carries_no_copies(budget: float) -> None:
    assert plan(budget).distances == ()


def test_more_budget_is_never_worse_sound_in_shorter_packets() -> None:
    chosen = [plan(budget) for budget in BUDGETS]
    assert all(a.bitrate <= b.bitrate for a, b in pairwise(chosen))
    assert all(a.frame_samples >= b.frame_samples for a, b in pairwise(chosen))
    assert chosen[-1].frame_samples == 960
    assert chosen[-1].bitrate == 64_000  # what a listener can still tell, on a wide link
    assert plan(250e3).bitrate <= 32_000  # the picture needs it more


def test_150_kbit_with_a_picture_buy_20_of_sound_at_40_ms() -> None:
    chosen = plan(150e3)
    assert (chosen.bitrate, chosen.frame_samples) == (20_000, 1_920)


def test_without_a_picture_sound_takes_what_it_can_use() -> None:
    assert plan(100e3, picture=False).bitrate > plan(100e3).bitrate
    assert plan(150e3, 0.2, picture=False).gross > plan(150e3, 0.2).gross


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1, 0.2, 0.3])
def test_where_there_is_room_loss_is_answered_with_copies(loss: float) -> None:
    assert residual_loss(loss, 0.0, plan(1e6, loss).distances) <= 0.01


def test_bursts_are_answered_with_copies_further_back() -> None:
    assert plan(1e6, 0.1).distances == (1, 2)
    assert plan(1e6, 0.1, 0.6).distances in {(2, 4), (2, 4, 6)}


def test_a_picture_gives_way_to_sound_that_is_lost() -> None:
    assert plan(150e3, 0.2).gross > plan(150e3).gross
    assert plan(150e3, 0.2).distances != ()


def test_who_takes_no_copies_gets_none() -> None:
    assert plan(2e6, 0.3, red=False).distances == ()


def test_packet_lengths_that_the_other_side_does_not_take_are_not_used() -> None:
    assert plan(40e3, frames=(960,)).frame_samples == 960
    assert plan(2e6, frames=(2_880,)).frame_samples == 2_880


def test_no_copy_is_further_back_than_red_can_say() -> None:
    for budget in BUDGETS:
        for frame in FRAMES:
            assert plan(budget, 0.3, 0.8, frames=(frame,)).reach <= 16_383


def run(
    planner: AudioPlanner, demand: AudioDemand, start: float, seconds: float
) -> list[AudioPlan]:
    steps = round(seconds / 0.1)
    return [planner.update(demand, start + index * 0.1) for index in range(steps)]


def test_copies_come_at_once_and_go_after_a_while() -> None:
    planner = AudioPlanner(overhead=66, red=True, frame_samples=FRAMES)
    clean, lossy = AudioDemand(1e6, True, 0.0), AudioDemand(1e6, True, 0.1)
    run(planner, clean, 0.0, 5.0)
    during = run(planner, lossy, 5.0, 5.0)
    assert during[3].distances == (1, 2)
    after = run(planner, clean, 10.0, 10.0)
    assert after[30].distances == (1, 2)
    assert after[-1].distances == ()


def test_a_budget_that_falls_is_heeded_at_once() -> None:
    planner = AudioPlanner(overhead=66, red=True, frame_samples=FRAMES)
    run(planner, AudioDemand(2e6, True, 0.05), 0.0, 5.0)
    chosen = planner.update(AudioDemand(100e3, True, 0.05), 5.0)
    assert chosen.gross <= 90e3


def test_a_budget_that_wavers_changes_nothing() -> None:
    planner = AudioPlanner(overhead=66, red=True, frame_samples=FRAMES)
    seen = set()
    for index in range(600):
        budget = 150e3 if index // 20 % 2 else 200e3
        seen.add(planner.update(AudioDemand(budget, True, 0.02), index * 0.1))
    assert len(seen) == 1
