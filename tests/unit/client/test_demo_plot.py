from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ringline.client.demo_plot import draw_plots
from ringline.client.demo_stats import DirectionStats

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def rows(*, frozen: float = 0.0, loss: float = 0.0, seconds: int = 15) -> list[DirectionStats]:
    return [
        DirectionStats(
            second=float(second),
            path="direct",
            width=640,
            height=360,
            frames_per_second=30.0,
            bitrate=1_500_000,
            target_bitrate=1_800_000,
            loss=loss,
            round_trip=None if second == 5 else 0.04,
            latency=0.06,
            freezes=int(frozen > 0),
            frozen_seconds=frozen,
            concealed_ms=0.0,
        )
        for second in range(1, seconds + 1)
    ]


def near(pixels: Pixels, color: tuple[int, int, int]) -> int:
    """How many pixels have about this colour."""
    return int((np.abs(pixels.astype(int) - color).max(axis=-1) <= 6).sum())


def draw(directions: dict[str, list[DirectionStats]]) -> Pixels:
    return np.asarray(draw_plots(directions, title="Demo call, 15 s", network="clean"))


def test_there_is_a_column_for_each_direction() -> None:
    one, two = draw({"a -> b": rows()}), draw({"a -> b": rows(), "b -> a": rows()})
    assert one.shape[0] == two.shape[0]
    assert two.shape[1] > 1.8 * one.shape[1]
    assert near(two, (37, 99, 235)) > 1.8 * near(one, (37, 99, 235)) > 0  # the bitrate's blue


def test_frozen_seconds_are_shaded_in_proportion() -> None:
    legend = near(draw({"a": rows()}), (253, 213, 213))
    half = near(draw({"a": rows(frozen=0.5)}), (253, 213, 213)) - legend
    whole = near(draw({"a": rows(frozen=1.0)}), (253, 213, 213)) - legend
    assert half > 20_000
    assert 1.7 < whole / half < 2.3


def test_loss_stands_as_bars_and_no_loss_as_nothing() -> None:
    red = (220, 38, 38)
    legend = near(draw({"a": rows()}), red)
    assert near(draw({"a": rows(loss=0.2)}), red) > legend + 10_000


def test_repairs_stand_on_one_another_by_mechanism() -> None:
    repaired = {"retransmission": 4, "red": 2, "key_frame": 0}
    one = [replace(row, repairs={"retransmission": 6}) for row in rows()]
    two = [replace(row, repairs=repaired) for row in rows()]
    blue, orange = (37, 99, 235), (217, 119, 6)
    alone, stacked, none = draw({"a": one}), draw({"a": two}), draw({"a": rows()})
    whole = near(alone, blue) - near(none, blue)
    assert near(stacked, blue) - near(none, blue) == pytest.approx(whole * 4 / 6, rel=0.1)
    assert near(stacked, orange) - near(none, orange) == pytest.approx(whole * 2 / 6, rel=0.1)


def test_the_score_is_drawn_from_its_own_scale() -> None:
    def ink(score: float) -> int:
        pixels = draw({"a": [replace(row, score=score) for row in rows()]})
        dark = (pixels.max(axis=-1) < 90).sum(axis=1)
        return int(np.argmax(dark))  # the line's height

    assert ink(5.0) < ink(3.0) < ink(2.0)
    assert ink(3.0) - ink(5.0) == pytest.approx(2 * (ink(2.0) - ink(3.0)), abs=3)


def test_scales_are_shared_between_directions() -> None:
    alone = draw({"a": rows()})
    beside_loss = draw({"a": rows(), "b": rows(loss=1.0)})
    assert not np.array_equal(alone[-220:, :688], beside_loss[-220:, :688])


@pytest.mark.parametrize("seconds", [0, 1, 2, 3600])
def test_calls_of_any_length_can_be_drawn(seconds: int) -> None:
    assert draw({"a": rows(seconds=seconds, loss=0.01), "b": []}).shape[2] == 3


def test_no_direction_at_all_can_be_drawn() -> None:
    assert draw({}).shape[2] == 3
