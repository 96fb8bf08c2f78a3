"""Upkeep: keep an allocation on a TURN server alive, and see when it is gone (RFC 8656 §8).

::

    KEPT ── every refresh_every, or when it does not answer us: Refresh ──> KEPT
      │ 300, or a word in the answer that the server drains                   │ 437, 441: it knows
      v                                                                       v of none; or its
    LEAVING: kept, but to be left for another relay                          LOST time ran out

A server that is silent for a while has not lost anything: after an outage the allocation is still
there.  One that was started again answers, and knows nothing of it.

Sans I/O: send a Refresh when :meth:`Upkeep.is_due`, tell what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Upkeep", "UpkeepConfig"]

_ALLOCATION_MISMATCH: Final = 437
_WRONG_CREDENTIALS: Final = 441


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepConfig:
    """Times in seconds."""

    refresh_every: float = 30.0
    """Between Refresh requests.  The allocation would live for minutes without; this is how soon
    we hear that the server drains, and keeps the NAT's binding to it open."""

    quiet_after: float = 5.0
    """Nothing came from the server for so long after something was sent to it: ask whether the
    allocation is still there.  As long between two such questions, and the most that anybody may
    wait before telling what was sent (:meth:`Upkeep.handle_sent`)."""

    answer_within: float = 2.0
    """How long to wait for an answer: three transmissions (RFC 8489 §6.2.1)."""


class Upkeep:
    """Of one allocation.

    Args:
        config: Times.
        lifetime: What the server granted, seconds.
        now: The present.

    Attributes:
        lost: The server has no such allocation any more.

    """

    def __init__(self, config: UpkeepConfig, lifetime: float, now: float) -> None:
        self._config: Final = config
        self._heard_at = self._asked_at = self._refreshed_at = self._sent_at = now
        self._lifetime = lifetime
        self.lost = False

    def handle_heard(self, now: float) -> None:
        """Take when anything last came from the server."""
        self._heard_at = max(self._heard_at, now)

    def handle_sent(self, now: float) -> None:
        """Take when the first datagram left since anything came."""
        self._sent_at = now

    def handle_asked(self, now: float) -> None:
        """Take that a Refresh was sent."""
        self._asked_at = now

    def handle_refreshed(self, lifetime: float, now: float) -> None:
        """Take the answer to a Refresh: it lives so many seconds more."""
        self._refreshed_at = now
        self._lifetime = lifetime
        self.handle_heard(now)

    def handle_refused(self, code: int | None, now: float) -> None:
        """Take an error; only some say that there is no allocation."""
        self.handle_heard(now)
        self.lost = self.lost or code in (_ALLOCATION_MISMATCH, _WRONG_CREDENTIALS)

    def is_due(self, now: float) -> bool:
        """Tell whether to send a Refresh; notices that the time has run out."""
        if now >= self._refreshed_at + self._lifetime:
            self.lost = True
        return not self.lost and now >= self.poll_timeout()

    def poll_timeout(self) -> float:
        """Return when to ask :meth:`is_due`."""
        config = self._config
        every = min(config.refresh_every, self._lifetime * 5 / 6)
        regular = max(self._refreshed_at, self._asked_at) + every
        if max(self._sent_at, self._asked_at) <= self._heard_at:
            return regular  # it owes nothing
        return min(regular, max(self._sent_at, self._asked_at) + config.quiet_after)
