"""Demo table: the live view of a demo call, a row for each direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from ringline.client.demo_stats import DirectionStats

__all__ = ["make_table"]


def make_table(
    directions: Mapping[str, Sequence[DirectionStats]], *, title: str | None = None
) -> Table:
    """Return the newest second of each direction; freezes are of the whole call so far.

    Fits into a terminal of 80 columns.

    Args:
        directions: Rows second by second, by a name for people such as ``lab -> desk``.
        title: Above the table, such as the network's name and the time left.

    """
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold underline",
    )
    table.add_column("direction", no_wrap=True)
    table.add_column("path", no_wrap=True)
    for name in (
        *("size", "fps", "kbit/s\nof target", "loss", "round\ntrip", "latency"),
        *("freezes", "score"),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for name, rows in directions.items():
        if not rows:
            table.add_row(name, Text("waiting", style="yellow"), *["-"] * 8)
            continue
        last = rows[-1]
        freezes = sum(row.freezes for row in rows)
        frozen = sum(row.frozen_seconds for row in rows)
        table.add_row(
            name,
            last.path or Text("none", style="red"),
            f"{last.width}x{last.height}" if last.width else "-",
            _graded(f"{last.frames_per_second:.0f}", bad=last.frames_per_second < 10),
            f"{last.bitrate / 1000:.0f}/{last.target_bitrate / 1000:.0f}",
            _graded(f"{last.loss * 100:.1f} %", bad=last.loss > 0.05),
            _milliseconds(last.round_trip, bad_above=0.4),
            _milliseconds(last.latency, bad_above=0.4),
            _graded(f"{freezes}, {frozen:.1f} s" if freezes else "0", bad=last.frozen_seconds > 0),
            Text("-") if last.score is None else _graded(f"{last.score:.1f}", bad=last.score < 3),
        )
    return table


def _milliseconds(seconds: float | None, *, bad_above: float) -> Text:
    if seconds is None:
        return Text("-")
    return _graded(f"{seconds * 1000:.0f} ms", bad=seconds > bad_above)


def _graded(text: str, *, bad: bool) -> Text:
    return Text(text, style="red" if bad else "")
