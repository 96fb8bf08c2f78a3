"""Demo screen: what the demo prints while it runs and when it is over.

On a terminal a table that renews itself, elsewhere a line for each direction and second; and a line
for each change of a picture that network or device make.  With ``--json`` objects with a ``type``:
``progress``, ``state``, ``stats``, ``picture`` (``direction``; ``state`` and ``cause`` as
:mod:`.talk_output` has them) and, at the end, ``report``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from ringline.client.demo_stats import DirectionStats

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["DemoScreen", "format_row"]

_HEADER: Final = (
    f"{'second':>6}  {'direction':<13} {'path':<7} {'size':>9} {'fps':>4} {'kbit/s':>11} "
    f"{'loss':>6} {'rtt':>7} {'latency':>8} {'frozen':>7} {'score':>5}"
)


_PICTURES: Final = {
    "full": "picture is back",
    "coarser": "picture becomes coarser: {cause}",
    "smaller": "picture becomes smaller: {cause}",
    "paused": "picture is paused: {cause}",
}


class DemoScreen:
    """Prints.

    Args:
        stream: Where to.
        json_lines: For scripts.

    """

    def __init__(self, stream: TextIO, *, json_lines: bool) -> None:
        self._stream: Final = stream
        self._json: Final = json_lines
        self._live: Live | None = None
        self._printed: Final[dict[str, int]] = {}
        self._states: Final[dict[str, str]] = {}

    def progress(self, text: str) -> None:
        """Tell what is being done."""
        self._write({"type": "progress", "text": text}, text)

    def handle_state(self, name: str, state: str) -> None:
        """Tell where a peer's call stands."""
        if self._states.get(name) == state:
            return
        self._states[name] = state
        self._write({"type": "state", "name": name, "state": state}, "")

    def handle_picture(self, direction: str, state: str, cause: str) -> None:
        """Tell that the sender of a direction changed its picture, and why."""
        text = _PICTURES.get(state, f"picture is {state}: {{cause}}").format(cause=cause)
        entry = {"type": "picture", "direction": direction, "state": state, "cause": cause}
        self._write(entry, f"{'':>6}  {direction:<13} {text}")

    def show_rows(
        self, directions: Mapping[str, Sequence[DirectionStats]], *, title: str = ""
    ) -> None:
        """Show the newest second of each direction, under a title if there is a table."""
        if self._json or not self._stream.isatty():
            self._print_rows(directions)
        else:
            self._show_live(directions, title)

    def end_table(self) -> None:
        """Let the table stand as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show_log(self, name: str, lines: Sequence[str]) -> None:
        """Show the end of a process's log."""
        if self._json or not lines:
            return
        self._print(f"the last lines of {name}'s log:")
        for line in lines:
            self._print(f"  {line}")

    def show_result(
        self,
        sentences: Sequence[str],
        problems: Sequence[str],
        folder: Path,
        report: Mapping[str, object],
    ) -> None:
        """Tell how it went.

        Args:
            sentences: Each direction in words.
            problems: Why it counts as failed; none if it went well.
            folder: What is left there.
            report: All of it in numbers.

        """
        directions = report["directions"]
        assert isinstance(directions, dict)  # noqa: S101 - make_report's
        brief = {name: entry["summary"] for name, entry in directions.items()}
        if self._json:
            entry = {**report, "directions": brief}
            self._write({"type": "report", "folder": str(folder), **entry}, "")
            return
        self._print("")
        for sentence in sentences:
            self._print(sentence)
        self._print("")
        if problems:
            self._print("The demo failed:")
            for problem in problems:
                self._print(f"  * {problem}")
        else:
            self._print("Both sides saw and heard each other.")
        files = [
            ("callee.mkv", "what the callee saw and heard"),
            ("report.json", "every second in numbers"),
            ("plots.png", "the same as curves"),
            ("*.log", "of the three processes"),
        ]
        self._print(f"Left in {folder}/:")
        for name, what in files:
            if any(folder.glob(name)):
                self._print(f"  {name:<12} {what}")

    # Private

    def _show_live(self, directions: Mapping[str, Sequence[DirectionStats]], title: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.live import Live  # noqa: PLC0415

        from ringline.client.demo_table import make_table  # noqa: PLC0415

        table = make_table(directions, title=title or None)
        if self._live is None:
            self._live = Live(table, console=Console(file=self._stream), auto_refresh=False)
            self._live.start(refresh=True)
        else:
            self._live.update(table, refresh=True)

    def _print_rows(self, directions: Mapping[str, Sequence[DirectionStats]]) -> None:
        if not self._printed and not self._json and any(directions.values()):
            self._print(_HEADER)
        for name, rows in directions.items():
            for row in rows[self._printed.get(name, 0) :]:
                self._write(
                    {"type": "stats", "direction": name, **asdict(row)}, format_row(name, row)
                )
                self._printed[name] = self._printed.get(name, 0) + 1

    def _write(self, entry: Mapping[str, Any], text: str) -> None:
        if self._json:
            self._print(json.dumps(entry))
        elif text:
            self._print(text)

    def _print(self, text: str) -> None:
        if self._live is not None:  # above the table
            self._live.console.print(text, markup=False, highlight=False)
            return
        self._stream.write(text + "\n")
        self._stream.flush()


def format_row(name: str, row: DirectionStats) -> str:
    """Return a second of a direction in columns."""
    size = f"{row.width}x{row.height}" if row.width else "-"
    rate = f"{row.bitrate / 1000:.0f}/{row.target_bitrate / 1000:.0f}"
    return (
        f"{row.second:>6.1f}  {name:<13} {row.path or 'none':<7} {size:>9} "
        f"{row.frames_per_second:>4.0f} {rate:>11} {row.loss * 100:>4.1f} % "
        f"{_milliseconds(row.round_trip):>7} {_milliseconds(row.latency):>8} "
        f"{row.frozen_seconds:>5.1f} s {'-' if row.score is None else f'{row.score:.1f}':>5}"
        f"{f'  {row.cause}' if row.cause != 'none' else ''}"
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
