"""Runs ``ringline`` as a process of its own, as a person or a script would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "ringline.client")


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["type"] == kind]


def environment(home: Path | None = None) -> dict[str, str]:
    """Return an environment that no setting of this machine's user reaches into."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RINGLINE_")}
    if home is not None:
        kept["XDG_CONFIG_HOME"] = str(home)
    return kept


def ringline(*arguments: str, home: Path | None = None, limit: float = 60) -> Outcome:
    """Run a command to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
        env=environment(home),
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that goes on; its output is lines of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.entries: list[dict[str, Any]] = []

    def wait_for(self, kind: str, **fields: object) -> dict[str, Any]:
        """Return the next line of that type with these fields."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            entry: dict[str, Any] = json.loads(line)
            self.entries.append(entry)
            if entry["type"] == kind and fields.items() <= entry.items():
                return entry
        raise AssertionError(f"no {kind} came; it ended with {self.process.wait()}")

    def finish(self, number: signal.Signals | None = None) -> Outcome:
        """Send a signal, if given, and wait for the end."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        before = "".join(json.dumps(entry) + "\n" for entry in self.entries)
        return Outcome(self.process.returncode, before + out, err)


@contextmanager
def running(*arguments: str, home: Path | None = None) -> Iterator[Running]:
    """Run a command until the end of the block, at the latest."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
        preexec_fn=_take_signals,  # noqa: PLW1509 - nothing but this runs there
    ) as process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()


def _take_signals() -> None:
    """Undo what a shell does to jobs in the background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def serving(*arguments: str, home: Path | None = None) -> Iterator[tuple[str, Running]]:
    """Run a server on free ports; give its URL and itself."""
    ports = ("--port", "0", "--turn-port", "0", "--json")
    with running("serve", *ports, *arguments, home=home) as server:
        yield server.wait_for("listening")["server"], server
