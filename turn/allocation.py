"""Allocations: a relay that belongs to one client, and the table of all of them.

Life of an allocation::

    Allocate ──> (relay being opened: allocate.py) ──> live ──> ended

* opened -> live: :meth:`Allocations.add`, when the edge has the socket.
* live -> live: a Refresh moves ``expires_at``: :meth:`Allocations.extend`.
* live -> ended: Refresh with lifetime 0, or time: :meth:`Allocations.remove`,
  :meth:`Allocations.pop_expired`.  The server then closes the relay and gives back port and quota.

Invariant: the three indices and the deadlines hold the same allocations, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.turn.addresses import Address, ClientSocket
from ringline.turn.channel_binding import ChannelBindings
from ringline.turn.deadlines import Deadlines
from ringline.turn.long_term import Keys
from ringline.turn.permission import Permissions

__all__ = ["Allocation", "Allocations"]


@dataclass(slots=True)
class Allocation:
    """A live relay.

    Attributes:
        client: Whose socket it serves; with our listener it is the five-tuple.
        relay_port: The port of its socket.
        local: The address that its socket is bound to.
        relayed: The address that peers see, which is another one behind a NAT.
        username: Who may refresh and use it (RFC 8656 §5: nobody else, 441).
        quota_name: What it is counted under.
        keys: Of its owner's password; kept, so that the credential may expire and its secret be
            rotated while the allocation lives.
        transaction_id: Of the Allocate that made it; the same one again is a retransmission.
        response: The answer to that Allocate.
        expires_at: When it ends, unless refreshed.

    """

    client: ClientSocket
    relay_port: int
    local: Address
    relayed: Address
    username: str
    quota_name: str
    keys: Keys
    transaction_id: bytes
    response: bytes
    expires_at: float
    permissions: Permissions
    channels: ChannelBindings


class Allocations:
    """All live allocations, found by client, by relay port and by relayed address.

    The three dictionaries are read by the data path in server.py and changed only here.
    """

    def __init__(self) -> None:
        self.by_client: Final[dict[ClientSocket, Allocation]] = {}
        self.by_port: Final[dict[int, Allocation]] = {}
        self.by_relayed: Final[dict[Address, Allocation]] = {}
        self._deadlines: Final[Deadlines[int]] = Deadlines()

    def __len__(self) -> int:
        return len(self.by_client)

    def add(self, allocation: Allocation) -> None:
        """Take in a new one; neither its client nor its port has another."""
        self.by_client[allocation.client] = allocation
        self.by_port[allocation.relay_port] = allocation
        self.by_relayed[allocation.relayed] = allocation
        self._deadlines.schedule(allocation.relay_port, allocation.expires_at)

    def extend(self, allocation: Allocation, expires_at: float) -> None:
        """Move the end of one."""
        allocation.expires_at = expires_at
        self._deadlines.schedule(allocation.relay_port, expires_at)

    def remove(self, allocation: Allocation) -> None:
        """Take one out before its time."""
        self._deadlines.cancel(allocation.relay_port)
        self._forget(allocation)

    def pop_expired(self, now: float) -> list[Allocation]:
        """Take out and return those whose time is over."""
        expired = [self.by_port[port] for port in self._deadlines.pop_due(now)]
        for allocation in expired:
            self._forget(allocation)
        return expired

    def next_expiry(self) -> float | None:
        """Return when :meth:`pop_expired` should be called next."""
        return self._deadlines.next_due()

    def _forget(self, allocation: Allocation) -> None:
        del self.by_client[allocation.client]
        del self.by_port[allocation.relay_port]
        del self.by_relayed[allocation.relayed]
