"""Peer connections: TCP between a relay and its peers, each joined to a connection of the client.

RFC 6062.  A client has a *control connection*, on which it allocated, and for each peer a *data
connection* of its own, which carries nothing but the peer's bytes::

    Connect ──policy──> CONNECTING ──the peer took it──┐
                             └─ refused, or 30 s: 447  ├──> PENDING ──ConnectionBind──> BOUND
    the peer connects ──permission──> ConnectionAttempt┘       └─ 30 s: closed

Invariants:

1. To where a client has us connect :class:`~ringline.turn.peer_policy.PeerPolicy` has allowed it.
2. Who has no permission is closed at once and the client hears nothing of it (§5.3).
3. An id is bound once, within its time, by the user whose allocation it is (§5.4).
4. No connection outlives its allocation; there are never more of one than the limit.

Bytes are moved by :mod:`~ringline.turn.io_peer`; here is who may.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ringline.turn.addresses import Address, ClientSocket
from ringline.turn.allocation import Allocation, Allocations
from ringline.turn.attributes import CONNECTION_ID, XOR_PEER_ADDRESS
from ringline.turn.commands import ClosePeer, Command, ConnectPeer, JoinPeer, SendToClient
from ringline.turn.deadlines import Deadlines
from ringline.turn.error_codes import ErrorCode
from ringline.turn.metrics import DropReason, TurnMetrics
from ringline.turn.peer_policy import PeerPolicy, Verdict
from ringline.turn.respond import Request, Responder
from ringline.turn.stun import Message, MessageClass, Method

__all__ = ["PeerConnections"]

PATIENCE: Final = 30.0  # seconds, for a peer and for a client: RFC 6062 §5.2, §5.3


class _State(Enum):
    CONNECTING = "connecting"
    PENDING = "pending"
    BOUND = "bound"


@dataclass(slots=True)
class _PeerConnection:
    """One of them.

    Attributes:
        request: The Connect that it is the answer to, while it connects.
        client: The data connection that it is joined to, once it is.

    """

    number: int
    allocation: Allocation
    peer: Address
    state: _State
    request: Request | None = None
    client: ClientSocket | None = None


class PeerConnections:
    """All of them, by the number in CONNECTION-ID.

    Args:
        limit: How many one allocation may have, in any state.
        random_bytes: Makes numbers, which nobody else should guess.

    """

    def __init__(
        self,
        allocations: Allocations,
        responder: Responder,
        policy: PeerPolicy,
        commands: deque[Command],
        metrics: TurnMetrics,
        *,
        limit: int,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._allocations: Final = allocations
        self._responder: Final = responder
        self._policy: Final = policy
        self._commands: Final = commands
        self._metrics: Final = metrics
        self._limit: Final = limit
        self._random_bytes: Final = random_bytes
        self._by_number: Final[dict[int, _PeerConnection]] = {}
        self._by_client: Final[dict[ClientSocket, _PeerConnection]] = {}
        self._by_port: Final[dict[int, dict[int, _PeerConnection]]] = {}
        self._deadlines: Final[Deadlines[int]] = Deadlines()

    def __len__(self) -> int:
        return len(self._by_number)

    def holds(self, client: ClientSocket) -> bool:
        """Tell whether a client's connection is joined to a peer's."""
        return client in self._by_client

    def owner(self, message: Message) -> Allocation | None:
        """Return the allocation that a ConnectionBind is about, whoever sent it.

        Raises:
            ParseError: If CONNECTION-ID is malformed.

        """
        number = message.get(CONNECTION_ID)
        connection = None if number is None else self._by_number.get(number)
        return None if connection is None else connection.allocation

    # Inputs

    def handle_connect(
        self, request: Request, allocation: Allocation | None, now: float
    ) -> ErrorCode | None:
        """Begin to connect, or return why not (RFC 6062 §5.2).

        Raises:
            ParseError: If an attribute is malformed.

        """
        if allocation is None:
            return ErrorCode.ALLOCATION_MISMATCH
        if request.username != allocation.username:
            return ErrorCode.WRONG_CREDENTIALS
        peer = request.message.get(XOR_PEER_ADDRESS)
        if peer is None or peer[1] == 0 or allocation.transport != "tcp":
            return ErrorCode.BAD_REQUEST
        target, code = self._target(allocation, peer)
        if code is not None:
            return code
        of_allocation = self._by_port.get(allocation.relay_port, {})
        if any(connection.peer == peer for connection in of_allocation.values()):
            return ErrorCode.CONNECTION_ALREADY_EXISTS
        if len(of_allocation) >= self._limit or not allocation.new_peers.admit((peer,), now):
            return ErrorCode.INSUFFICIENT_CAPACITY
        connection = self._add(allocation, peer, _State.CONNECTING, now)
        connection.request = request
        self._commands.append(ConnectPeer(connection.number, allocation.relay_port, target))
        return None

    def handle_bind(self, request: Request) -> ErrorCode | None:
        """Join a client's connection to a peer's, or return why not (RFC 6062 §5.4).

        A number that is somebody else's is told apart from none by nothing.

        Raises:
            ParseError: If an attribute is malformed.

        """
        number = request.message.get(CONNECTION_ID)
        connection = None if number is None else self._by_number.get(number)
        client = request.client
        if (
            connection is None
            or connection.state is not _State.PENDING
            or connection.allocation.username != request.username
            or client.transport == "udp"
            or client in self._by_client
            or client in self._allocations.by_client
        ):
            return ErrorCode.BAD_REQUEST
        connection.state = _State.BOUND
        connection.client = client
        self._by_client[client] = connection
        self._deadlines.cancel(connection.number)
        self._responder.succeed(request)
        buckets = connection.allocation.buckets
        self._commands.append(JoinPeer(connection.number, client, buckets))
        return None

    def handle_accepted(self, relay_port: int, source: Address, now: float) -> int | None:
        """Take a connection that a peer made; :obj:`None`: close it (RFC 6062 §5.3)."""
        allocation = self._allocations.by_port.get(relay_port)
        if allocation is None or allocation.transport != "tcp":
            self._drop(DropReason.NO_ALLOCATION)
            return None
        inside = self._relayed_of(source)
        peer = inside or source
        permission = allocation.permissions.find(peer[0], now)
        if permission is None or (permission.relayed_only and inside is None):
            self._drop(DropReason.NO_PERMISSION)
            return None
        if len(self._by_port.get(relay_port, {})) >= self._limit:
            self._drop(DropReason.CONNECTIONS)
            return None
        connection = self._add(allocation, peer, _State.PENDING, now)
        attempt = Message(
            Method.CONNECTION_ATTEMPT, MessageClass.INDICATION, self._random_bytes(12)
        )
        attempt.add(XOR_PEER_ADDRESS, peer).add(CONNECTION_ID, connection.number)
        self._commands.append(SendToClient(allocation.client, attempt.serialize()))
        return connection.number

    def handle_connected(self, number: int, now: float) -> None:
        """The peer has taken the connection of a :class:`ConnectPeer`."""
        connection = self._by_number.get(number)
        if connection is None or connection.request is None:
            return  # it ended meanwhile, and its ClosePeer is on the way
        request, connection.request = connection.request, None
        connection.state = _State.PENDING
        self._deadlines.schedule(number, now + PATIENCE)
        self._responder.succeed(request, (CONNECTION_ID, number))

    def handle_closed(self, number: int) -> None:
        """A peer's connection is gone, or could not be made; what it is joined to goes with it."""
        connection = self._by_number.get(number)
        if connection is not None:
            self._fail(connection)
            self._remove(connection)

    def handle_client_closed(self, client: ClientSocket) -> None:
        """A client's connection is gone; if it was a data connection its peer's goes with it."""
        connection = self._by_client.get(client)
        if connection is not None:
            self._close(connection)

    def handle_timeout(self, now: float) -> None:
        """End what has had its time."""
        for number in self._deadlines.pop_due(now):
            self._close(self._by_number[number])

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` has something to do."""
        return self._deadlines.next_due()

    def close_all(self, relay_port: int) -> None:
        """End those of an allocation that ends."""
        for connection in list(self._by_port.get(relay_port, {}).values()):
            connection.request = None  # the allocation's end says it all
            self._close(connection)

    # Parts

    def _target(self, allocation: Allocation, peer: Address) -> tuple[Address, ErrorCode | None]:
        """Return where a connection to ``peer`` goes, or why it may not.

        What leads to a relay of ours goes to where that is bound, whatever a NAT makes of it.
        """
        verdict = self._policy.judge(peer)
        if verdict is Verdict.DENIED:
            return peer, ErrorCode.FORBIDDEN
        relay = allocation.relay_to(peer[0])
        if relay is None:
            return peer, ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH
        if peer == relay.relayed:
            return peer, ErrorCode.FORBIDDEN  # itself
        other = self._allocations.by_relayed_tcp.get(peer)
        if other is None:
            is_ours = verdict is Verdict.RELAYED_ONLY
            return peer, ErrorCode.FORBIDDEN if is_ours else None
        theirs = other.relay_to(peer[0])
        return peer if theirs is None else theirs.local, None

    def _relayed_of(self, source: Address) -> Address | None:
        """Return the relayed address of that relay of ours which a connection comes from."""
        allocation = self._allocations.by_port.get(source[1])
        if allocation is None or allocation.transport != "tcp":
            return None
        relay = allocation.relay_to(source[0])
        return relay.relayed if relay is not None and relay.local == source else None

    def _add(
        self, allocation: Allocation, peer: Address, state: _State, now: float
    ) -> _PeerConnection:
        number = int.from_bytes(self._random_bytes(4), "big")
        while number in self._by_number:
            number = int.from_bytes(self._random_bytes(4), "big")
        connection = _PeerConnection(number, allocation, peer, state)
        self._by_number[number] = connection
        self._by_port.setdefault(allocation.relay_port, {})[number] = connection
        self._deadlines.schedule(number, now + PATIENCE)
        self._metrics.peer_connections = len(self._by_number)
        return connection

    def _close(self, connection: _PeerConnection) -> None:
        self._fail(connection)
        self._commands.append(ClosePeer(connection.number))
        self._remove(connection)

    def _fail(self, connection: _PeerConnection) -> None:
        """Answer the Connect that waits, if one does."""
        if connection.request is not None:
            self._responder.refuse(connection.request, ErrorCode.CONNECTION_TIMEOUT_OR_FAILURE)
            connection.request = None

    def _remove(self, connection: _PeerConnection) -> None:
        del self._by_number[connection.number]
        of_allocation = self._by_port[connection.allocation.relay_port]
        del of_allocation[connection.number]
        if not of_allocation:
            del self._by_port[connection.allocation.relay_port]
        if connection.client is not None:
            del self._by_client[connection.client]
        self._deadlines.cancel(connection.number)
        self._metrics.peer_connections = len(self._by_number)

    def _drop(self, reason: DropReason) -> None:
        self._metrics.dropped[reason] += 1
