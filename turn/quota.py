"""Quota: how many relays one user may hold, and all users together.

A relay is one port.  A reserved port counts from its reservation on, so that reserving over and
over holds no more ports than allocating does.

With several workers a user is counted at all of them (:mod:`~ringline.turn.fleet`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final

from ringline.turn.fleet import Fleet

__all__ = ["AllocationQuota"]


class AllocationQuota:
    """Counts relays by user.

    Args:
        per_user: The most that one user may hold.
        total: The most that all may hold.
        fleet: The other workers, if there are any.

    """

    def __init__(self, *, per_user: int, total: int, fleet: Fleet | None = None) -> None:
        self._fleet: Final = fleet
        self._per_user: Final = per_user
        self._total: Final = total
        self._held: Final[dict[str, int]] = {}
        self._all = 0

    @property
    def held(self) -> int:
        """How many relays are held in all, here."""
        return self._all

    def exclusive(self) -> AbstractContextManager[object]:
        """Return what keeps other workers from counting between a question and :meth:`take`."""
        return nullcontext() if self._fleet is None else self._fleet.lock

    def user_has_room(self, user: str, count: int) -> bool:
        """Tell whether this user may hold ``count`` more."""
        elsewhere = 0 if self._fleet is None else self._fleet.held_elsewhere(user)
        return elsewhere + self._held.get(user, 0) + count <= self._per_user

    def has_room(self, count: int) -> bool:
        """Tell whether there may be ``count`` more, whoever holds them."""
        elsewhere = 0 if self._fleet is None else self._fleet.all_elsewhere()
        return elsewhere + self._all + count <= self._total

    def take(self, user: str, count: int) -> None:
        """Count ``count`` more; the caller has asked both questions above."""
        self._held[user] = self._held.get(user, 0) + count
        self._all += count
        self._tell(user)

    def release(self, user: str, count: int) -> None:
        """Count ``count`` fewer; users who hold nothing are forgotten."""
        left = self._held[user] - count
        self._all -= count
        if left:
            self._held[user] = left
        else:
            del self._held[user]
        self._tell(user)

    def _tell(self, user: str) -> None:
        if self._fleet is not None:
            self._fleet.note(user, self._held.get(user, 0), self._all)
