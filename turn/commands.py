"""Commands: what the server wants done, a closed union (:data:`Command`).

The core decides, the edge does.  After each input the edge drains
:meth:`~ringline.turn.server.TurnServer.poll_command` and performs the commands in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ringline.turn.addresses import Address, AddressFamily, ClientSocket
from ringline.turn.bandwidth import Bucket

__all__ = [
    "ClosePeer",
    "CloseRelay",
    "Command",
    "ConnectPeer",
    "JoinPeer",
    "OpenFlow",
    "OpenRelay",
    "SendToClient",
    "SendToPeer",
    "SetChannel",
    "TellWorker",
]


@dataclass(slots=True)
class SendToClient:
    """Send a datagram from the listening socket."""

    client: ClientSocket
    data: bytes


@dataclass(slots=True)
class SendToPeer:
    """Send a datagram from the relay socket of port ``relay_port``, that of the peer's family.

    Attributes:
        dont_fragment: Whether the client asked for the DF bit on this one (RFC 8656 §15).

    """

    relay_port: int
    peer: Address
    data: bytes
    dont_fragment: bool = False


@dataclass(slots=True)
class OpenRelay:
    """Open a socket on ``relay_port``, then call ``handle_relay_opened`` or ``_failed``.

    A port names an allocation, and has at most one socket of each family.

    Attributes:
        client: Whom it is for: where no address is configured, the relay is opened on that
            address of ours which faces this client.
        transport: Over TCP it listens, and each connection is told by ``handle_peer_accepted``.

    """

    relay_port: int
    client: ClientSocket
    family: AddressFamily = AddressFamily.IPV4
    transport: Literal["udp", "tcp"] = "udp"


@dataclass(slots=True)
class CloseRelay:
    """Close what is open on ``relay_port``.

    Attributes:
        family: Only the socket of this family; :obj:`None`: all there is.

    """

    relay_port: int
    family: AddressFamily | None = None


@dataclass(slots=True)
class ConnectPeer:
    """Connect by TCP from a relay, then call ``handle_peer_connected`` or ``_closed``."""

    number: int
    relay_port: int
    to: Address


@dataclass(slots=True)
class JoinPeer:
    """Pass on as they are the bytes between a peer's connection and a client's, from now on.

    Attributes:
        client: Its connection; what has been sent to it by :class:`SendToClient` goes first.
        buckets: What limits the bandwidth.

    """

    number: int
    client: ClientSocket
    buckets: tuple[Bucket, ...]


@dataclass(slots=True)
class ClosePeer:
    """Close a peer's connection and the client's that it is joined to; what waits goes first."""

    number: int


@dataclass(slots=True)
class OpenFlow:
    """A data plane may now pass on by itself what channels of this relay allow.

    Only of a server with ``offload``.  The flow ends with :class:`CloseRelay`.

    Attributes:
        client: Whose it is.
        relayed: Its relayed addresses, one of each family at most, by which other flows reach it
            inside the server.
        buckets: What limits its bandwidth.

    """

    relay_port: int
    client: ClientSocket
    relayed: tuple[Address, ...]
    buckets: tuple[Bucket, ...] = ()


@dataclass(slots=True)
class SetChannel:
    """A channel is bound, or bound longer; only of a server with ``offload``.

    Attributes:
        expires_at: On the clock of ``now``.
        relayed_only: The peer is an address of ours: good for another flow and nothing else.

    """

    relay_port: int
    number: int
    peer: Address
    expires_at: float
    relayed_only: bool


@dataclass(slots=True)
class TellWorker:
    """Send a message to another worker (:mod:`~ringline.turn.fleet`); only of a server with some.

    Attributes:
        relay_port: The relay whose socket goes along and is the other worker's from then on.
        is_data: Whether it is a client's datagram, which may be lost; anything else may not.

    """

    worker: int
    message: bytes
    relay_port: int | None = None
    is_data: bool = False


Command: TypeAlias = (
    SendToClient
    | SendToPeer
    | OpenRelay
    | CloseRelay
    | ConnectPeer
    | JoinPeer
    | ClosePeer
    | OpenFlow
    | SetChannel
    | TellWorker
)
