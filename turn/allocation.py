"""Allocations: the relays that belong to one client, and the table of all of them.

An allocation has a relay of one family or, where the client asked for both, of each (RFC 8656
§7.2).  The two share their port, so that the port names the allocation everywhere, and the family
of a peer says which relay is meant.  Each ends on its own; the allocation ends with the last one.

Life of an allocation::

    Allocate ──> (relays being opened: allocate.py) ──> live ──> ended

* opened -> live: :meth:`Allocations.add`, when the edge has the sockets.
* live -> live: a Refresh moves the end of one relay or both: :meth:`Allocations.extend`.
* live -> live or ended: Refresh with lifetime 0, or time, ends relays: :meth:`Allocations.end`,
  :meth:`Allocations.pop_expired`.  The server then closes them; with the last one it gives back
  port and quota.

Invariants:

1. The indices by port and relayed address and the deadlines hold the same allocations, always;
   that by client lacks those alone whose client is expected to come back (RFC 8016).
2. Permissions and channels are of families that the allocation has a relay of.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from ringline.turn.addresses import Address, AddressFamily, ClientKey, ClientSocket, family_of
from ringline.turn.bandwidth import Bucket
from ringline.turn.channel_binding import ChannelBindings
from ringline.turn.deadlines import Deadlines
from ringline.turn.long_term import Keys
from ringline.turn.new_peers import NewPeers
from ringline.turn.permission import Permissions

__all__ = ["Allocation", "Allocations", "Mobile", "PendingMove", "Relay"]


@dataclass(slots=True)
class Relay:
    """A relayed address and its socket.

    Attributes:
        local: The address that the socket is bound to.
        relayed: The address that peers see, which is another one behind a NAT.
        expires_at: When it ends, unless refreshed.

    """

    local: Address
    relayed: Address
    expires_at: float

    @property
    def family(self) -> AddressFamily:
        """Of its peers, too."""
        return family_of(self.relayed[0])


@dataclass(slots=True)
class PendingMove:
    """A client that has asked to be served at another socket, and was not heard there yet.

    Attributes:
        epoch: Of the ticket that it was given.
        expires_at: When it is no longer expected.

    """

    client: ClientSocket
    epoch: int
    expires_at: float


@dataclass(slots=True)
class Mobile:
    """What an allocation has whose client may move (RFC 8016).

    Attributes:
        identity: Which allocation a ticket is about.
        epoch: Of the ticket in force; earlier ones are void.
        last_epoch: Of the last ticket that was given out.
        answered: Who last came with a ticket, and the transaction id of that Refresh.
        response: The answer to it, for retransmissions.

    """

    identity: bytes
    epoch: int = 0
    last_epoch: int = 0
    answered: tuple[ClientSocket, bytes] | None = None
    response: bytes = b""
    pending: PendingMove | None = None


@dataclass(slots=True)
class Allocation:
    """What one client has.

    Attributes:
        client: Whose socket it serves; with our listener it is the five-tuple.
        relay_port: The port of its relays.
        ipv4, ipv6: Its relays; one of them at least is there while it lives.
        username: Who may refresh and use it (RFC 8656 §5: nobody else, 441).
        quota_name: What it is counted under.
        keys: Of its owner's password; kept, so that the credential may expire and its secret be
            rotated while the allocation lives.
        transaction_id: Of the Allocate that made it; the same one again is a retransmission.
        response: The answer to that Allocate.
        buckets: What limits its bandwidth; empty if nothing does.
        new_peers: What limits how quickly it turns to peers.
        icmp: What limits how many ICMP messages its client is told of.
        transport: Between relay and peers.
        mobile: What moving takes; :obj:`None` if the client did not ask for it.

    """

    client: ClientSocket
    relay_port: int
    ipv4: Relay | None
    ipv6: Relay | None
    username: str
    quota_name: str
    keys: Keys
    transaction_id: bytes
    response: bytes
    permissions: Permissions
    channels: ChannelBindings
    buckets: tuple[Bucket, ...]
    new_peers: NewPeers
    icmp: Bucket
    transport: Literal["udp", "tcp"] = "udp"
    mobile: Mobile | None = None

    @property
    def relays(self) -> tuple[Relay, ...]:
        """Those that are live, IPv4 first."""
        return tuple(relay for relay in (self.ipv4, self.ipv6) if relay is not None)

    def relay_to(self, host: str) -> Relay | None:
        """Return the relay that reaches a host, which is that of its family."""
        return self.ipv6 if ":" in host else self.ipv4


class Allocations:
    """All live allocations, found by client, by relay port and by relayed address.

    The public dictionaries are read by the data path in server.py and changed only here.
    """

    def __init__(self) -> None:
        self.by_client: Final[dict[ClientKey, Allocation]] = {}
        self.by_port: Final[dict[int, Allocation]] = {}
        self.by_relayed: Final[dict[Address, Allocation]] = {}  # over UDP
        self.by_relayed_tcp: Final[dict[Address, Allocation]] = {}
        self.by_identity: Final[dict[bytes, Allocation]] = {}  # those whose client may move
        self._by_pending: Final[dict[ClientKey, Allocation]] = {}  # where a client is expected
        self._deadlines: Final[Deadlines[int]] = Deadlines()

    def __len__(self) -> int:
        return len(self.by_port)

    def find_pending(self, client: ClientKey, now: float) -> Allocation | None:
        """Return the allocation whose client is expected at that socket."""
        allocation = self._by_pending.get(client)
        if allocation is None or allocation.mobile is None or allocation.mobile.pending is None:
            return None
        return allocation if allocation.mobile.pending.expires_at > now else None

    def add(self, allocation: Allocation) -> None:
        """Take in a new one; neither its client nor its port has another."""
        self.by_client[allocation.client] = allocation
        self.by_port[allocation.relay_port] = allocation
        for relay in allocation.relays:
            self._of_transport(allocation)[relay.relayed] = allocation
        if allocation.mobile is not None:
            self.by_identity[allocation.mobile.identity] = allocation
        self._schedule(allocation)

    def expect(self, allocation: Allocation, move: PendingMove) -> None:
        """Expect its client at another socket, and nowhere else that is not where it is."""
        assert allocation.mobile is not None  # noqa: S101 - the caller has looked
        self.forget_move(allocation)
        self.forget_expected(move.client)
        allocation.mobile.pending = move
        self._by_pending[move.client] = allocation

    def forget_move(self, allocation: Allocation) -> None:
        """Expect its client where it is."""
        if allocation.mobile is not None and allocation.mobile.pending is not None:
            del self._by_pending[allocation.mobile.pending.client]
            allocation.mobile.pending = None

    def forget_expected(self, client: ClientSocket) -> None:
        """Expect nobody at a socket."""
        allocation = self._by_pending.get(client)
        if allocation is not None:
            self.forget_move(allocation)

    def move(self, allocation: Allocation) -> None:
        """Let its client be where it was expected; nothing else had that socket."""
        mobile = allocation.mobile
        assert mobile is not None  # noqa: S101 - expected before
        assert mobile.pending is not None  # noqa: S101 - likewise
        move = mobile.pending
        self.forget_move(allocation)
        mobile.epoch = move.epoch
        self.by_client.pop(allocation.client, None)
        self.by_client[move.client] = allocation
        allocation.client = move.client

    def detach(self, allocation: Allocation) -> None:
        """Let its client be nowhere: its connection is gone, and it may come by another one."""
        del self.by_client[allocation.client]
        allocation.client = ClientSocket("", 0, allocation.client.transport)  # nobody's

    def extend(
        self, allocation: Allocation, families: Collection[AddressFamily], expires_at: float
    ) -> None:
        """Move the end of its relays of some families."""
        for relay in allocation.relays:
            if relay.family in families:
                relay.expires_at = expires_at
        self._schedule(allocation)

    def end(self, allocation: Allocation, families: Collection[AddressFamily]) -> None:
        """End its relays of some families, and with the last one the allocation."""
        for relay in allocation.relays:
            if relay.family not in families:
                continue
            del self._of_transport(allocation)[relay.relayed]
            if relay is allocation.ipv4:
                allocation.ipv4 = None
            else:
                allocation.ipv6 = None
            allocation.permissions.forget(relay.family)
            allocation.channels.forget(relay.family)
        if allocation.relays:
            self._schedule(allocation)
        else:
            self.by_client.pop(allocation.client, None)
            if allocation.mobile is not None:
                self.forget_move(allocation)
                del self.by_identity[allocation.mobile.identity]
            del self.by_port[allocation.relay_port]
            self._deadlines.cancel(allocation.relay_port)

    def pop_expired(self, now: float) -> list[tuple[Allocation, tuple[AddressFamily, ...]]]:
        """End the relays whose time is over; return them by allocation and family."""
        expired = []
        for port in self._deadlines.pop_due(now):
            allocation = self.by_port[port]
            families = tuple(r.family for r in allocation.relays if r.expires_at <= now)
            self.end(allocation, families)
            expired.append((allocation, families))
        return expired

    def next_expiry(self) -> float | None:
        """Return when :meth:`pop_expired` should be called next."""
        return self._deadlines.next_due()

    def _of_transport(self, allocation: Allocation) -> dict[Address, Allocation]:
        return self.by_relayed if allocation.transport == "udp" else self.by_relayed_tcp

    def _schedule(self, allocation: Allocation) -> None:
        due = min(relay.expires_at for relay in allocation.relays)
        self._deadlines.schedule(allocation.relay_port, due)
