from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from rich.console import Console

from ringline.client.demo_stats import DirectionStats
from ringline.client.demo_table import make_table


def row(second: float, **changed: object) -> DirectionStats:
    values: dict[str, object] = {
        "path": "direct",
        "width": 640,
        "height": 360,
        "frames_per_second": 29.6,
        "bitrate": 1_714_000,
        "target_bitrate": 1_900_000,
        "loss": 0.008,
        "round_trip": 0.045,
        "latency": 0.0561,
        "freezes": 0,
        "frozen_seconds": 0.0,
        "concealed_ms": 0.0,
        "score": 4.3,
    }
    return DirectionStats(second=second, **(values | changed))  # type: ignore[arg-type] # by name


def lines(directions: Mapping[str, Sequence[DirectionStats]], *, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(make_table(directions, title="demo, network g3"))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_newest_second_is_shown_with_the_freezes_of_the_whole_call() -> None:
    rows = [row(1.0, freezes=1, frozen_seconds=0.7), row(2.0, frozen_seconds=1.0), row(3.0)]
    out = lines({"lab -> desk": rows})
    assert out[0] == "demo, network g3"
    expected = "lab -> desk direct 640x360 30 1714/1900 0.8 % 45 ms 56 ms 1, 1.7 s 4.3"
    assert " ".join(out[-1].split()) == expected


def test_what_is_not_known_yet_is_a_dash() -> None:
    out = lines(
        {"a -> b": [], "b -> a": [row(1.0, width=0, round_trip=None, latency=None, score=None)]}
    )
    assert out[-2].split() == ["a", "->", "b", "waiting", *["-"] * 8]
    assert " ".join(out[-1].split()[4:]) == "- 30 1714/1900 0.8 % - - 0 -"


def test_the_table_fits_into_80_columns() -> None:
    worst = row(9.0, path="direct", bitrate=12_000_000, target_bitrate=12_500_000, loss=0.123)
    out = lines({"lab -> desk": [worst], "desk -> lab": [worst]})
    assert all("…" not in line and len(line) <= 80 for line in out)
