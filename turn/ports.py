"""Ports: which relay ports are free, and which one is next.

The next port is drawn at random: a port that can be guessed lets a stranger inject into a relay
before the call has begun (CVE-2025-69217).
"""

from __future__ import annotations

import random
from typing import Final

__all__ = ["PortPool"]

_ATTEMPTS: Final = 16  # with half of the pool taken, all fail once in 65,000 draws


class PortPool:
    """The relay ports, ``first`` to ``last``, both included.

    Args:
        rng: Where randomness comes from; :class:`random.SystemRandom` outside of tests.

    """

    def __init__(self, first: int, last: int, rng: random.Random) -> None:
        self._first: Final = first
        self._last: Final = last
        self._rng: Final = rng
        self._taken: Final[set[int]] = set()

    def __len__(self) -> int:
        """Return how many ports are taken."""
        return len(self._taken)

    def take(self) -> int | None:
        """Take any port, or return :obj:`None` if there is none."""
        return self._take(range(self._first, self._last + 1), 1)

    def take_even(self) -> int | None:
        """Take an even port (RFC 8656 §7.2, EVEN-PORT without reservation)."""
        return self._take(range(self._first + self._first % 2, self._last + 1, 2), 1)

    def take_pair(self) -> int | None:
        """Take an even port and the next higher one; return the even one."""
        return self._take(range(self._first + self._first % 2, self._last, 2), 2)

    def take_exactly(self, port: int) -> bool:
        """Take this very port; tell whether it was free, and one of ours."""
        if not self._first <= port <= self._last or port in self._taken:
            return False
        self._taken.add(port)
        return True

    def release(self, port: int) -> None:
        """Give a port back."""
        self._taken.remove(port)

    def _take(self, candidates: range, count: int) -> int | None:
        if not candidates:
            return None
        for _ in range(_ATTEMPTS):
            port = candidates[self._rng.randrange(len(candidates))]
            if self._is_free(port, count):
                break
        else:
            # Nearly full: now it is worth listing what is left.
            free = [port for port in candidates if self._is_free(port, count)]
            if not free:
                return None
            port = free[self._rng.randrange(len(free))]
        self._taken.update(range(port, port + count))
        return port

    def _is_free(self, port: int, count: int) -> bool:
        return all(p not in self._taken for p in range(port, port + count))
