"""Processes: the demo's children, each with its lines of JSON and its log file.

Invariant: no child outlives :meth:`Child.stop`: first it is asked, then it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["Child"]

_LINE_LIMIT: Final = 1 << 20  # bytes of one line of JSON; a row has 600


class Child:
    """A ``ringline`` command as a process of its own.

    Args:
        name: For people.
        arguments: Of the command line, behind ``ringline``.
        log: File for its log.

    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name: Final = name
        self.log: Final = log
        self._arguments: Final = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begin."""
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ringline.client",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=_LINE_LIMIT,
                # Ctrl-C in a terminal goes to all of a group: ending them is our task alone.
                start_new_session=True,
            )

    async def entries(self) -> AsyncIterator[dict[str, Any]]:
        """Give each line of JSON that it prints, until it ends; other lines go to the log."""
        assert self._process is not None  # noqa: S101 - started before
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry
                    continue
            with self.log.open("ab") as log:
                log.write(line)

    async def wait(self) -> int:
        """Wait for its end; return its exit code."""
        assert self._process is not None  # noqa: S101 - started before
        return await self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """How it ended; :obj:`None` while it runs."""
        return None if self._process is None else self._process.returncode

    async def stop(self, *, patience: float = 5.0) -> None:
        """End it, by force after ``patience`` seconds; nothing happens if it has ended."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            await process.wait()

    def last_lines(self, count: int = 8) -> list[str]:
        """Return the end of its log."""
        try:
            return self.log.read_text(errors="replace").splitlines()[-count:]
        except OSError:
            return []
