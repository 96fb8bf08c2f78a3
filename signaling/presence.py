"""Presence: who is there, and who wants to know.

A subscriber gets everybody once (``full``), then changes, at once.
"""

from __future__ import annotations

from typing import Final, Literal

from ringline.signaling.messages import Person, PresenceUpdate

__all__ = ["Presence", "PresenceState"]

PresenceState = Literal["online", "in_call", "offline"]


class Presence:
    """The people who are there."""

    def __init__(self) -> None:
        self._states: Final[dict[str, PresenceState]] = {}

    def __len__(self) -> int:
        return len(self._states)

    def handle_state(self, user: str, state: PresenceState) -> PresenceUpdate | None:
        """Take a user's state; return what subscribers are to be told if it is a change."""
        if self._states.get(user, "offline") == state:
            return None
        if state == "offline":
            del self._states[user]
        else:
            self._states[user] = state
        return PresenceUpdate(people=(Person(name=user, state=state),))

    def everybody(self) -> PresenceUpdate:
        """Return what a new subscriber is told."""
        people = (Person(name=name, state=state) for name, state in sorted(self._states.items()))
        return PresenceUpdate(people=tuple(people), full=True)
