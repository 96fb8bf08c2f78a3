"""Timers: many deadlines by key, the next of them cheap to find.

A heap with lazy deletion: a deadline that was moved or cancelled stays in the heap until it comes
up, and is dropped then.  Moving a deadline costs O(log n), asking for the next one O(1).
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

__all__ = ["Timers"]

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """One deadline per key."""

    def __init__(self) -> None:
        self._deadlines: Final[dict[K, tuple[float, int]]] = {}
        self._heap: Final[list[tuple[float, int, K]]] = []
        self._number = 0  # tells entries of one key apart; also keeps the heap off comparing keys

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: K, when: float | None) -> None:
        """Set the key's only deadline; :obj:`None` cancels it."""
        if when is None:
            self._deadlines.pop(key, None)
            return
        current = self._deadlines.get(key)
        if current is not None and current[0] == when:
            return
        self._number += 1
        self._deadlines[key] = (when, self._number)
        heapq.heappush(self._heap, (when, self._number, key))

    def next(self) -> float | None:
        """Return the earliest deadline."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> K | None:
        """Return a key whose deadline has come, each once, the earliest first."""
        self._drop_stale()
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._deadlines[key]
        return key

    def _drop_stale(self) -> None:
        heap = self._heap
        while heap and self._deadlines.get(heap[0][2]) != heap[0][:2]:
            heapq.heappop(heap)
