"""Sockets: where a generation sends from and hears of the world.

A :class:`HostSocket` is a UDP socket of this machine; an allocation on a TURN server is in
:mod:`.io_relay`.  Both are what aioice calls a protocol: they have a local candidate and take STUN
messages to send.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation, candidate_priority

from ringline.client.io_udp import LinkDriver, UdpSocket
from ringline.client.transport import Address

__all__ = [
    "MALFORMED",
    "MAX_PEERS",
    "BaseSocket",
    "HostSocket",
    "SocketOwner",
    "make_candidate",
]

MALFORMED: Final = (
    ValueError,
    LookupError,
    TypeError,
    AssertionError,
    OverflowError,
    struct.error,
)
"""What the STUN, TURN and SCTP parsers raise on bytes that break their form."""

MAX_PEERS: Final = 256
"""Remote addresses of one socket that passed a check, and channels of one allocation."""


def make_candidate(
    kind: str,
    address: Address,
    preference: int,
    *,
    related: Address | None = None,
    server: Address | None = None,
) -> Candidate:
    """Return a local candidate (RFC 8445 §5.1); a relayed one's foundation is its server's."""
    base = address if related is None or kind == "relay" else related
    origin = base[0] if server is None else f"{server[0]}:{server[1]}"
    return Candidate(
        foundation=candidate_foundation(kind, "udp", origin),
        component=1,
        transport="udp",
        priority=candidate_priority(1, kind, preference),
        host=address[0],
        port=address[1],
        type=kind,
        related_address=None if related is None else related[0],
        related_port=None if related is None else related[1],
    )


class SocketOwner(Protocol):
    """The generation that a socket belongs to."""

    @property
    def dropped(self) -> Counter[str]:
        """Counts by reason."""

    def datagram_arrived(
        self, socket: BaseSocket, data: bytes, source: Address, arrived_at: float
    ) -> None:
        """Take what a peer sent to the socket's candidate."""

    def note_answer(self, socket: BaseSocket, message: stun.Message, address: Address) -> None:
        """See a STUN message that goes out by aioice's hand."""

    def socket_lost(self, socket: BaseSocket) -> None:
        """Hear that the socket is of no more use."""

    def socket_refused(self, socket: BaseSocket) -> None:
        """Hear a report that what the socket sends reaches nobody."""

    def socket_leaving(self, socket: BaseSocket) -> None:
        """Hear that the socket will go, as soon as another can take its place."""

    def can_spare(self, socket: BaseSocket) -> bool:
        """Tell whether another socket has taken its place."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with the generation."""


class BaseSocket(Protocol):
    """A local base: what candidates stand for.

    Attributes:
        relay: The TURN server that it is an allocation on, or :obj:`None`.
        quiet: It answers no checks any more, so that the other side leaves it.

    """

    local_candidate: Candidate
    local_preference: int
    authenticated: set[Address]
    protocol: str
    relay: Address | None
    quiet: bool

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram to a peer."""

    def sender(self, address: Address) -> Callable[[bytes], None]:
        """Return what sends a datagram to that peer, made for being called often."""

    def send_stun(self, message: stun.Message, address: Address) -> None:
        """Send a STUN message to a peer."""

    async def close(self) -> None:
        """Let go of what it holds."""


class HostSocket:
    """A UDP socket on one of this machine's addresses."""

    def __init__(
        self,
        owner: SocketOwner,
        address: str,
        local_preference: int,
        *,
        link: LinkDriver | None,
    ) -> None:
        self._owner: Final = owner
        self._udp: Final = UdpSocket(self, owner.dropped, local=(address, 0), link=link)
        self.local_preference = local_preference
        host, port = self._udp.address
        self.local_candidate = make_candidate("host", (host, port), local_preference)
        self.authenticated: set[Address] = set()
        self.protocol = "udp"
        self.relay: Address | None = None
        self.quiet = False

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram to a peer."""
        self._udp.send(data, address)

    def sender(self, address: Address) -> Callable[[bytes], None]:
        """Return what sends a datagram to that peer."""
        return self._udp.sender(address)

    def send_stun(self, message: stun.Message, address: Address) -> None:
        """Send a STUN message to a peer."""
        self._owner.note_answer(self, message, address)
        self._udp.send(bytes(message), address)

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        """Take what was read."""
        self._owner.datagram_arrived(self, data, source, arrived_at)

    async def close(self) -> None:
        """Let go of it."""
        self._udp.close()
