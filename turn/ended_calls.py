"""Ended calls: what the signaling server says is over loses its relays.

A time-limited credential is minted for one call (:mod:`~ringline.turn.credentials`), so that who
knows when calls end can say which allocations are of no more use.  They go on for a short grace,
in which clients hang up properly and the last words arrive; new ones are refused at once, as long
as the credential could still be good.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ringline.turn.deadlines import Deadlines, earliest

__all__ = ["EndedCalls"]


REMEMBERED: Final = 65_536
"""Ended calls that new allocations are refused for; with more the oldest is forgotten, and its
credentials end by their own time."""


class EndedCalls:
    """The calls that have ended.

    Args:
        grace: Seconds that their allocations go on.
        remembered: Seconds after which no credential of theirs is good any more.

    """

    def __init__(self, *, grace: float, remembered: float) -> None:
        self._grace: Final = grace
        self._remembered: Final = remembered
        self._due: Final[Deadlines[bytes]] = Deadlines()
        self._forget: Final[Deadlines[bytes]] = Deadlines()
        self._known: Final[dict[str, None]] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __contains__(self, call: str | None) -> bool:
        return call in self._known

    def add(self, call: str, now: float) -> None:
        """Take one in, once."""
        if call in self._known:
            return
        self._known[call] = None
        if len(self._known) > REMEMBERED:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._forget.cancel(oldest.encode())
        self._due.schedule(call.encode(), now + self._grace)
        self._forget.schedule(call.encode(), now + max(self._grace, self._remembered))

    def pop_due(self, now: float) -> list[str]:
        """Return the calls whose grace is over, each once; forget what is long gone."""
        due = [key.decode() for key in self._due.pop_due(now)]
        for key in self._forget.pop_due(now):
            self._known.pop(key.decode(), None)
        return due

    def next_due(self) -> float | None:
        """Return when :meth:`pop_due` should be called next."""
        return earliest(self._due.next_due(), self._forget.next_due())
