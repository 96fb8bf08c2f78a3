"""Talk output: what a call on the command line prints: for people, or lines of JSON for scripts.

With ``--json`` each line is an object with a ``type``:

============ ===================================================================================
``ready``    ``name``, ``server``: we are on the server; for ``answer``, calls are taken now
``note``     ``text``: something to know, a missing device for one
``state``    ``state``: calling, ringing, incoming, connecting, connected, reconnecting, ended;
             ``peer``
``path``     ``path``: direct or relay; ``kind``: host, srflx or relay
``muted``    ``kind``, ``muted``: the other side stopped sending sound or picture, or went on
``picture``  network or device make a picture worse, or let it be good again: ``direction``
             (sending or receiving), ``state`` (full, coarser, smaller or paused), ``cause``
             (network or device)
``quality``  a direction is notably better or worse: ``direction`` (receiving or sending),
             ``score``, ``sound``, ``picture`` (1 to 5), ``cause`` (none, loss, delay, bandwidth
             or cpu), ``side`` (whose: our upload, their upload, our device, their device)
``message``  ``text``: from the other side
``stats``    each second: ``second``, ``path``, ``received``, ``sent``
             (fields of :class:`~.call_rows.ReceivedRow` and :class:`~.call_rows.SentRow`)
``ended``    ``reason``, ``detail``, ``seconds`` (of connected talk), ``impression`` (fields of
             :class:`~.witness.Impression`), or null if it never connected; ``get_stats``:
             the call in the end, as :meth:`.Call.get_stats` gives it
``error``    ``text``, ``code``: the exit code
============ ===================================================================================
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.live import Live

    from ringline.client.call_rows import CallRow

__all__ = ["JsonOutput", "Output", "PersonOutput", "describe_row", "make_output"]


class Output(Protocol):
    """Where a call tells what happens."""

    def tell(self, kind: str, text: str, /, **fields: object) -> None:
        """Tell something: ``text`` for people, type ``kind`` and ``fields`` for scripts."""

    def show_row(self, row: CallRow) -> None:
        """Tell how the last second was."""

    def close(self) -> None:
        """Leave the screen in order."""


class JsonOutput:
    """Lines of JSON, each written out at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream

    def tell(self, kind: str, text: str, /, **fields: object) -> None:  # noqa: ARG002 - Output
        """Write a line of that type."""
        self._write({"type": kind, **fields})

    def show_row(self, row: CallRow) -> None:
        """Write a ``stats`` line."""
        self._write({"type": "stats", **asdict(row)})

    def close(self) -> None:
        """Do nothing: every line is out already."""

    def _write(self, entry: dict[str, Any]) -> None:
        self._stream.write(json.dumps(_rounded(entry)) + "\n")
        self._stream.flush()


class PersonOutput:
    """Sentences, and below them on a terminal one line that changes each second.

    Elsewhere, in a log, the line is printed every ten seconds.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream
        self._terminal: Final = stream.isatty()
        self._live: Live | None = None
        self._rows = 0

    def tell(self, kind: str, text: str, /, **fields: object) -> None:  # noqa: ARG002 - Output
        """Print the sentence, if there is one."""
        if kind == "ended":
            self.close()
        if not text:
            return
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()

    def show_row(self, row: CallRow) -> None:
        """Renew the line."""
        line = describe_row(row)
        if self._terminal:
            self._show_live(line)
        elif self._rows % 10 == 0:
            self._stream.write(line + "\n")
            self._stream.flush()
        self._rows += 1

    def close(self) -> None:
        """Let the line go."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show_live(self, line: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - tens of ms that --help does not need
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        text = Text(line, no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = Live(
                text, console=Console(file=self._stream), auto_refresh=False, transient=True
            )
            self._live.start(refresh=True)
        else:
            self._live.update(text, refresh=True)


def make_output(*, json_lines: bool) -> Output:
    """Return the output for scripts or for people, on standard output."""
    return JsonOutput(sys.stdout) if json_lines else PersonOutput(sys.stdout)


def describe_row(row: CallRow) -> str:
    """Return one second of a call in one line for people."""
    minutes, seconds = divmod(int(row.second), 60)
    parts = [f"{minutes}:{seconds:02d}", row.path or "no path"]
    received, sent = row.received, row.sent
    if received.width:
        parts.append(
            f"in {received.width}x{received.height} {received.frames_per_second:.0f} fps "
            f"{received.bitrate / 1000:.0f} kbit/s"
        )
    else:
        parts.append(f"in {received.bitrate / 1000:.0f} kbit/s")
    if received.loss:
        parts.append(f"{received.loss * 100:.1f} % lost")
    size = f"{sent.width}x{sent.height} " if sent.width else ""
    parts.append(f"out {size}{sent.bitrate / 1000:.0f} kbit/s")
    if sent.round_trip is not None:
        parts.append(f"round trip {sent.round_trip * 1000:.0f} ms")
    if received.latency is not None:
        parts.append(f"latency {received.latency * 1000:.0f} ms")
    if received.frozen_seconds:
        parts.append("picture frozen")
    if received.score is not None:
        parts.append(f"score {received.score:.1f}")
    return " | ".join(parts)


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return a value with floats cut to what was really measured: six digits behind the point."""
    match value:
        case float():
            return round(value, 6)
        case dict():
            return {key: _rounded(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_rounded(entry) for entry in value]
        case _:
            return value
