"""Reservations: odd ports kept open for the second half of an RTP and RTCP pair (RFC 8656 §7.2).

An Allocate with EVEN-PORT and its bit set gets a token; an Allocate with that token, by the same
user and within 30 seconds, gets the port.  After that it is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.turn.deadlines import Deadlines

__all__ = ["Reservation", "Reservations"]

LIFETIME: Final = 30.0  # RFC 8656 §7.2: at least 30 s


@dataclass(slots=True)
class Reservation:
    """An open relay that waits for its allocation.

    Attributes:
        host: The local address that its socket is bound to.
        username: Who may claim it.
        quota_name: What it is counted under until then.

    """

    token: bytes
    relay_port: int
    host: str
    username: str
    quota_name: str


class Reservations:
    """All reservations, by token."""

    def __init__(self) -> None:
        self._by_token: Final[dict[bytes, Reservation]] = {}
        self._deadlines: Final[Deadlines[bytes]] = Deadlines()

    def __len__(self) -> int:
        return len(self._by_token)

    def add(self, reservation: Reservation, now: float) -> None:
        """Keep one for its lifetime."""
        self._by_token[reservation.token] = reservation
        self._deadlines.schedule(reservation.token, now + LIFETIME)

    def claim(self, token: bytes, username: str) -> Reservation | None:
        """Take out the reservation of that token; :obj:`None` if it is not this user's or gone."""
        reservation = self._by_token.get(token)
        if reservation is None or reservation.username != username:
            return None
        del self._by_token[token]
        self._deadlines.cancel(token)
        return reservation

    def pop_expired(self, now: float) -> list[Reservation]:
        """Take out and return those that nobody claimed in time."""
        return [self._by_token.pop(token) for token in self._deadlines.pop_due(now)]

    def next_expiry(self) -> float | None:
        """Return when :meth:`pop_expired` should be called next."""
        return self._deadlines.next_due()
