from __future__ import annotations

from dataclasses import replace

import pytest

from ringline.media.congestion.allocate import Demand, allocate

SOUND = 46_400
BOTH = Demand(audio=SOUND, video=True, repair=True, loss=0.0, frame_rate=30.0, packet_size=1_180)


@pytest.mark.parametrize("budget", [100e3, 150e3, 500e3, 2e6])
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5])
def test_the_parts_with_their_headers_are_the_budget(budget: float, loss: float) -> None:
    parts = allocate(budget, replace(BOTH, loss=loss))
    assert SOUND + parts.video_gross + parts.repair == pytest.approx(budget, abs=2)
    assert parts.video < parts.video_gross


def test_repair_takes_what_the_loss_needs_and_at_most_a_quarter() -> None:
    assert allocate(1e6, BOTH).repair == 0
    tenth = allocate(1e6, replace(BOTH, loss=0.1))
    assert tenth.repair == pytest.approx(0.12 * tenth.video_gross, rel=0.01)
    half = allocate(1e6, replace(BOTH, loss=0.5))
    assert half.repair == pytest.approx(0.3 * half.video_gross, rel=0.01)
    assert allocate(1e6, replace(BOTH, loss=0.1, repair=False)).repair == 0


def test_small_frames_pay_a_header_each() -> None:
    slow = allocate(120e3, replace(BOTH, frame_rate=10.0))
    fast = allocate(120e3, BOTH)
    assert slow.video - fast.video == pytest.approx(20 * 66 * 8, abs=2)


def test_without_sound_the_picture_gets_all() -> None:
    parts = allocate(100e3, replace(BOTH, audio=0))
    assert parts.video_gross == 100_000


def test_too_little_for_a_picture_is_nothing_and_not_less() -> None:
    assert allocate(20e3, BOTH).video == 0


def test_protection_is_paid_by_the_picture() -> None:
    parts = allocate(1e6, replace(BOTH, protection=0.25))
    plain = allocate(1e6, BOTH)
    assert parts.protection == pytest.approx(0.25 * parts.video_gross, rel=0.001)
    assert parts.video_gross + parts.protection == pytest.approx(plain.video_gross, abs=2)


@pytest.mark.parametrize("budget", [100e3, 150e3, 500e3, 2e6])
def test_forward_error_correction_takes_its_share_and_spares_retransmissions(
    budget: float,
) -> None:
    lossy = replace(BOTH, loss=0.1)
    parts = allocate(budget, replace(lossy, protection=0.6, residual=0.1))
    whole = BOTH.audio + parts.video_gross + parts.repair + parts.protection
    assert whole == pytest.approx(budget, abs=3)
    assert parts.protection == pytest.approx(parts.video_gross * 0.6, abs=2)
    assert parts.repair < 0.1 * allocate(budget, lossy).repair
