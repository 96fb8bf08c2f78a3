"""Demo: a server and two peers as processes of their own, one call between them, and a verdict.

::

    serve --dev  <── lab (calls, sends the film)  ── media ──>  desk (answers, records)
         └──────────────── their lines of JSON ──> this process: table, report, plots

What is shown and judged comes from the peers' own lines; this process sees no media.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ringline.client.demo_plot import draw_plots
from ringline.client.demo_report import make_report
from ringline.client.demo_rows import DirectionRows, row_from_json
from ringline.client.demo_screen import DemoScreen
from ringline.client.demo_verdict import describe_direction, find_problems
from ringline.client.errors import LocalError
from ringline.client.exit_codes import ExitCode
from ringline.client.io_processes import Child
from ringline.client.verify_recording import RecordingFacts, inspect_recording
from ringline.client.witness import Impression
from ringline.media.errors import RecordingError

if TYPE_CHECKING:
    from ringline.media.simulate.profile import NetworkProfile

__all__ = ["DemoOptions", "run_demo"]

_CALLER: Final = "lab"
_CALLEE: Final = "desk"

_START_PATIENCE: Final = 60.0
"""Seconds for a process to be ready: Python and its libraries from a cold, slow disk."""

_CALL_PATIENCE: Final = 60.0
"""Seconds beside the talk itself: ringing, the search for a path, writing the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the command line says about a demo.

    Attributes:
        seconds: How long they talk.
        play: File that the caller sends instead of a synthetic picture and voice.
        relay: Go through the TURN relay.
        network: A bad network between the two, or :obj:`None`.
        out: Folder for what the demo leaves; must not hold another demo's.
        json_lines: For scripts.
        verbose: Let the processes log everything.

    """

    seconds: float
    play: Path | None
    relay: bool
    network: NetworkProfile | None
    out: Path
    json_lines: bool
    verbose: bool


async def run_demo(options: DemoOptions) -> ExitCode:
    """Run it; return whether both sides really saw and heard each other.

    Raises:
        LocalError: If it cannot begin: no such file, a folder that cannot be written.

    """
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"cannot make the folder {options.out}: {error.strerror}") from None
    demo = _Demo(options, DemoScreen(sys.stdout, json_lines=options.json_lines))
    with _signals_cancel():
        return await demo.run()


class _ChildFailedError(Exception):
    """One of the processes ended before its work was done."""

    def __init__(self, child: Child, text: str) -> None:
        super().__init__(text)
        self.child = child


class _Demo:
    """One run."""

    def __init__(self, options: DemoOptions, screen: DemoScreen) -> None:
        self._options: Final = options
        self._screen: Final = screen
        self._children: Final[list[Child]] = []
        self._directions: Final = {
            f"{_CALLER} -> {_CALLEE}": DirectionRows(),
            f"{_CALLEE} -> {_CALLER}": DirectionRows(),
        }
        self._impressions: Final[dict[str, Impression | None]] = {_CALLER: None, _CALLEE: None}
        self._get_stats: Final[dict[str, object]] = {_CALLER: {}, _CALLEE: {}}
        self._recording: Final = options.out / "callee.mkv"

    async def run(self) -> ExitCode:
        """Start, watch, end, judge."""
        problems: list[str] = []
        with contextlib.suppress(OSError):
            self._recording.unlink()  # an older run's must not be taken for ours
        try:
            await self._run_processes()
        except _ChildFailedError as error:
            problems.append(str(error))
            self._screen.end_table()
            self._screen.show_log(error.child.name, error.child.last_lines())
        finally:
            self._screen.end_table()
            await asyncio.gather(*(child.stop() for child in reversed(self._children)))
        return await self._judge(problems)

    async def _run_processes(self) -> None:
        screen, options = self._screen, self._options
        screen.progress("starting the server ...")
        arguments = ["serve", "--dev", "--host", "127.0.0.1", "--port", "0", "--turn-port", "0"]
        server = await self._start("server", [*arguments, "--json"])
        listening = await self._first(server, server.entries(), "listening")
        url = str(listening["server"])

        screen.progress(f"starting {_CALLEE}, who waits for a call ...")
        common = ["--server", url, "--local", "--json", "--no-show", "--audio", "voice"]
        common += ["--video", "pattern"]
        if options.relay:
            common.append("--relay")
        if options.network is not None:
            named = options.network.name != "custom"
            common += ["--network", options.network.name if named else options.network.text]
        arguments = ["answer", "--as", _CALLEE, "--once", "--record", str(self._recording)]
        callee = await self._start(_CALLEE, arguments + common)
        callee_lines = callee.entries()
        await self._first(callee, callee_lines, "ready")

        network = f" over {options.network.name}" if options.network is not None else ""
        screen.progress(f"starting {_CALLER}, who calls {_CALLEE}{network} ...")
        if options.play is not None:
            common = common[: common.index("--audio")] + common[common.index("--video") + 2 :]
            common += ["--play", str(options.play)]
        arguments = ["call", _CALLEE, "--as", _CALLER, "--seconds", f"{options.seconds:g}"]
        caller = await self._start(_CALLER, arguments + common)
        watching = [
            asyncio.create_task(self._watch(_CALLER, caller, caller.entries())),
            asyncio.create_task(self._watch(_CALLEE, callee, callee_lines)),
            asyncio.create_task(self._guard(server)),
        ]
        try:
            await self._wait_for_peers(watching)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _wait_for_peers(self, watching: list[asyncio.Task[None]]) -> None:
        """Wait until both peers are done; whatever fails first is raised."""
        caller, callee, guard = watching
        pending: set[asyncio.Task[None]] = {caller, callee, guard}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.seconds + _CALL_PATIENCE
        while not (caller.done() and callee.done()):
            done, pending = await asyncio.wait(
                pending,
                timeout=max(0.0, deadline - loop.time()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                late = self._children[-1] if not caller.done() else self._children[-2]
                raise _ChildFailedError(late, f"{late.name} did not come to an end")
            for task in done:
                task.result()

    async def _start(self, name: str, arguments: list[str]) -> Child:
        verbose = ["--verbose"] if self._options.verbose else []
        log = self._options.out / f"{name}.log"
        child = Child(name, [*arguments, *verbose], log)
        self._children.append(child)
        try:
            await child.start()
        except OSError as error:
            raise LocalError(f"cannot start {name}: {error}") from None
        return child

    async def _first(
        self, child: Child, entries: AsyncIterator[dict[str, Any]], kind: str
    ) -> dict[str, Any]:
        """Return a child's first line of a type.

        Raises:
            _ChildFailedError: If it ends or fails before.

        """
        try:
            async with asyncio.timeout(_START_PATIENCE):
                async for entry in entries:
                    if entry.get("type") == kind:
                        return entry
                    if entry.get("type") == "error":
                        raise _ChildFailedError(child, f"{child.name}: {entry.get('text')}")
                code = await child.wait()
        except TimeoutError:
            raise _ChildFailedError(child, f"{child.name} did not get ready") from None
        raise _ChildFailedError(child, f"{child.name} ended at once (exit code {code})")

    async def _watch(self, name: str, child: Child, entries: AsyncIterator[dict[str, Any]]) -> None:
        """Follow one peer to its end.

        Raises:
            _ChildFailedError: If it fails.

        """
        error_text = ""
        async for entry in entries:
            match entry.get("type"):
                case "stats":
                    self._handle_row(name, entry)
                case "state":
                    self._screen.handle_state(name, str(entry.get("state")))
                case "picture" if entry.get("direction") == "sending":  # the other hears the same
                    self._screen.handle_picture(
                        f"{name} -> {_other(name)}",
                        str(entry.get("state")),
                        str(entry.get("cause")),
                    )
                case "ended":
                    if entry.get("impression") is not None:
                        self._impressions[name] = Impression(**entry["impression"])
                        self._get_stats[name] = entry.get("get_stats", {})
                case "error":
                    error_text = f": {entry.get('text')}"
        code = await child.wait()
        if code != ExitCode.OK:
            raise _ChildFailedError(child, f"{name} ended with exit code {code}{error_text}")

    async def _guard(self, server: Child) -> None:
        code = await server.wait()
        raise _ChildFailedError(server, f"the server ended in mid-call (exit code {code})")

    def _handle_row(self, name: str, entry: dict[str, Any]) -> None:
        row = row_from_json(entry)
        other = _other(name)
        self._directions[f"{name} -> {other}"].handle_sender(row)
        self._directions[f"{other} -> {name}"].handle_receiver(row)
        network = f" over {self._options.network.name}" if self._options.network else ""
        self._screen.show_rows(
            {direction: rows.rows for direction, rows in self._directions.items()},
            title=f"{_CALLER} calls {_CALLEE}{network}: "
            f"{row.second:.0f} of {self._options.seconds:g} s",
        )

    # Afterwards

    async def _judge(self, problems: list[str]) -> ExitCode:
        options, screen = self._options, self._screen
        screen.progress("looking at the recording ...")
        recording: RecordingFacts | None = None
        try:
            recording = await asyncio.to_thread(inspect_recording, self._recording)
        except RecordingError as error:
            if not problems:
                problems.append(str(error))
        problems += find_problems(
            self._impressions, recording, recorder=_CALLEE, seconds=options.seconds
        )
        rows = {name: direction.rows for name, direction in self._directions.items()}
        name, summary = "none", "nothing between the two"
        if options.network is not None:
            name, summary = options.network.name, options.network.summary
        report = make_report(rows, network=name, recording=recording, problems=problems)
        report["relay"] = options.relay
        report["impressions"] = {
            side: None if impression is None else asdict(impression)
            for side, impression in self._impressions.items()
        }
        report["get_stats"] = self._get_stats
        (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        network = f"{name}: {summary}"
        plots = draw_plots(rows, title=f"{_CALLER} calls {_CALLEE}", network=network)
        plots.save(options.out / "plots.png")
        sentences = [
            describe_direction(
                watcher, watched, rows[f"{watched} -> {watcher}"], self._impressions[watcher]
            )
            for watcher, watched in ((_CALLEE, _CALLER), (_CALLER, _CALLEE))
        ]
        screen.show_result(sentences, problems, options.out, report)
        return ExitCode.ERROR if problems else ExitCode.OK


def _other(name: str) -> str:
    return _CALLEE if name == _CALLER else _CALLER


@contextlib.contextmanager
def _signals_cancel() -> Iterator[None]:
    """Cancel this task on Ctrl-C, SIGTERM and SIGHUP, so that every child is ended."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None or sys.platform == "win32":  # no such handlers: asyncio's own for Ctrl-C
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
