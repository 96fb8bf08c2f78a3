"""Clock: an event loop's time now, to the microsecond, and timers that are never early.

asyncio's own loops do both.  uvloop tells whole milliseconds, as of when the turn of the loop
began, and rounds timers to the nearest: what arrives would be stamped up to some milliseconds off,
and whoever is called before his time asks again and again until it has come.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

__all__ = ["LoopClock"]

_SAME: Final = 1.0
"""Seconds that the loop's time may be behind the system's clock that it is read from: how long a
turn lasts.  Where both differ by more they are two clocks (on macOS one stands still while the
computer sleeps), and the coarse time is better than a wrong one."""


class LoopClock:
    """Tells time and sets timers for those who share an event loop.

    Args:
        loop: Theirs.

    Attributes:
        now: Returns the present in seconds, on the clock of ``loop.time()``.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._is_exact: Final = isinstance(loop, asyncio.BaseEventLoop)
        is_same = abs(loop.time() - time.monotonic()) < _SAME
        self.now: Final[Callable[[], float]] = (
            time.monotonic if not self._is_exact and is_same else loop.time
        )

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call back once it is ``when``; cancel by the handle."""
        if not self._is_exact:
            when = math.ceil(when * 1e3) / 1e3
        return self._loop.call_at(when, callback)
