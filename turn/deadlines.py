"""Deadlines: what ends when, for things whose end is put off again and again.

A heap with at most a few stale entries per key: putting a deadline *off* touches nothing, the
entry is looked at when its old time comes and moves on.  So a refresh costs no heap operation,
and a client that refreshes without pause does not grow the heap.
"""

from __future__ import annotations

import heapq
from typing import Final, Generic, TypeVar

__all__ = ["Deadlines", "earliest"]

K = TypeVar("K", int, bytes)


class Deadlines(Generic[K]):
    """Keys with the time at which each is due.

    Invariant: every key in ``_due_at`` has exactly one heap entry that carries the time noted in
    ``_entry_at``, and that time is not later than its deadline.
    """

    def __init__(self) -> None:
        self._heap: Final[list[tuple[float, K]]] = []
        self._due_at: Final[dict[K, float]] = {}
        self._entry_at: Final[dict[K, float]] = {}

    def __len__(self) -> int:
        return len(self._due_at)

    def schedule(self, key: K, at: float) -> None:
        """Set or move the deadline of ``key``."""
        self._due_at[key] = at
        entry = self._entry_at.get(key)
        if entry is None or at < entry:
            self._push(key, at)

    def cancel(self, key: K) -> None:
        """Forget ``key``, if it is there."""
        self._due_at.pop(key, None)
        self._entry_at.pop(key, None)
        # Its entries are stale now.  When they are more than half, sweep them out.
        if len(self._heap) > 2 * len(self._due_at) + 8:
            self._heap[:] = [(at, key) for key, at in self._entry_at.items()]
            heapq.heapify(self._heap)

    def next_due(self) -> float | None:
        """Return the time to call :meth:`pop_due` at; it may then find nothing, which is fine."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[K]:
        """Remove and return the keys that are due, the earliest first."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._entry_at.get(key) != at:
                continue  # stale
            if self._due_at[key] > now:
                self._push(key, self._due_at[key])
                continue
            del self._due_at[key], self._entry_at[key]
            due.append(key)
        return due

    def _push(self, key: K, at: float) -> None:
        self._entry_at[key] = at
        heapq.heappush(self._heap, (at, key))


def earliest(*times: float | None) -> float | None:
    """Return the least of those that are times."""
    first = None
    for time in times:  # a few, after each wake-up: min() and a generator take thrice as long
        if time is not None and (first is None or time < first):
            first = time
    return first
