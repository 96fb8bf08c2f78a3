"""Sockets: where a generation sends from and hears of the world.

A :class:`HostSocket` is a UDP socket of this machine; a :class:`RelaySocket` is an allocation on
a TURN server (RFC 8656), reached over UDP, TCP or TLS.  Both are what aioice calls a protocol:
they have a local candidate and take STUN messages to send.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import struct
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from aioice import Candidate, stun, turn
from aioice.candidate import candidate_foundation, candidate_priority

from ringline.client.io_udp import LinkDriver, UdpSocket
from ringline.client.transport import Address

__all__ = [
    "CHANNEL_REFRESH",
    "MALFORMED",
    "MAX_PEERS",
    "BaseSocket",
    "HostSocket",
    "RelaySocket",
    "SocketOwner",
    "TurnTcp",
    "TurnUdp",
    "make_candidate",
]

logger = logging.getLogger(__name__)

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

CHANNEL_REFRESH: Final = 240.0
"""Seconds.  A permission lives 300 s (RFC 8656 §9), and a strict server does not let a channel
extend it; aioice's 500 s would lose it."""


def make_candidate(
    kind: str, address: Address, preference: int, *, related: Address | None = None
) -> Candidate:
    """Return a local candidate (RFC 8445 §5.1)."""
    base = address if related is None or kind == "relay" else related
    return Candidate(
        foundation=candidate_foundation(kind, "udp", base[0]),
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

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with the generation."""


class BaseSocket(Protocol):
    """A local base: what candidates stand for."""

    local_candidate: Candidate
    local_preference: int
    authenticated: set[Address]
    protocol: str

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


class TurnUdp(turn.TurnClientUdpProtocol):
    """The TURN client over UDP, with a short way for channel data."""

    relay: RelaySocket | None = None

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        """Take what was read."""
        relay = self.relay
        if relay is not None and data[0] & 0xC0 == 0x40 and len(data) >= 4:
            peer = self.channel_to_peer.get(int.from_bytes(data[:2], "big"))
            end = 4 + int.from_bytes(data[2:4], "big")
            if peer is not None and 4 < end <= len(data):
                relay.datagram_arrived(data[4:end], peer, arrived_at)
            return
        try:
            self.datagram_received(data, source)
        except MALFORMED:
            logger.debug("malformed message of a TURN server", exc_info=True)


class TurnTcp(turn.TurnClientTcpProtocol):
    """The TURN client over TCP or TLS."""

    def datagram_received(self, data: bytes | str, addr: Address) -> None:
        """Take a message, whole or not."""
        try:
            super().datagram_received(data, addr)
        except MALFORMED:
            logger.debug("malformed message of a TURN server", exc_info=True)


class RelaySocket:
    """An allocation on a TURN server, used through channels only (RFC 8656 §12).

    A channel is bound when the first datagram for a peer comes; until the server has confirmed
    it a few datagrams wait.
    """

    _WAITING = 16

    def __init__(
        self,
        owner: SocketOwner,
        client: TurnUdp | TurnTcp,
        protocol: str,
        local_preference: int,
        *,
        hide_related: bool,
    ) -> None:
        self._owner: Final = owner
        self._client: Final = client
        self._loop: Final = asyncio.get_running_loop()
        self._channels: Final[dict[Address, int]] = {}  # the confirmed ones
        self._waiting: Final[dict[Address, deque[bytes]]] = {}
        self._next_channel = 0x4000
        self.local_preference = local_preference
        assert client.relayed_address is not None  # noqa: S101 - connect() has returned
        mapped = ("0.0.0.0", 9) if hide_related else client.mapped_address  # noqa: S104
        self.local_candidate = make_candidate(
            "relay", client.relayed_address, local_preference, related=mapped
        )
        self.authenticated: set[Address] = set()
        self.protocol = protocol
        client.receiver = self  # type: ignore[assignment] # takes data, nothing else is asked
        if isinstance(client, TurnUdp):
            client.relay = self

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram to a peer."""
        channel = self._channels.get(address)
        if channel is not None:
            if self._client.transport.is_closing():
                self._owner.dropped["relay closed"] += 1
            else:
                self._client._send(struct.pack("!HH", channel, len(data)) + data)  # noqa: SLF001
        elif address in self._waiting:
            self._waiting[address].append(data)
        elif len(self._waiting) + len(self._channels) < MAX_PEERS:
            self._waiting[address] = deque([data], maxlen=self._WAITING)
            self._owner.spawn(self._keep_channel(address))
        else:
            self._owner.dropped["too many peers"] += 1

    def sender(self, address: Address) -> Callable[[bytes], None]:
        """Return what sends a datagram to that peer."""
        return functools.partial(self.send, address=address)

    def send_stun(self, message: stun.Message, address: Address) -> None:
        """Send a STUN message to a peer."""
        self._owner.note_answer(self, message, address)
        self.send(bytes(message), address)

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        """Take what was read."""
        self._owner.datagram_arrived(self, data, source, arrived_at)

    async def close(self) -> None:
        """Let go of it."""
        try:
            # One round trip frees the allocation now instead of at the end of its lifetime.
            await asyncio.wait_for(self._client.delete(), timeout=0.5)
        except (TimeoutError, OSError):
            pass
        finally:
            self._client.transport.close()

    # As aioice's TURN client calls its receiver

    def datagram_received(self, data: bytes, source: Address) -> None:
        """Take a message, whole or not."""
        self.datagram_arrived(data, source, self._loop.time())

    def connection_lost(self, _: Exception | None) -> None:
        """Hear that the server closed the connection."""
        self._owner.spawn(self._client.delete())  # ends its refreshing; nothing is left to delete
        self._owner.socket_lost(self)

    async def _keep_channel(self, address: Address) -> None:
        channel = self._next_channel
        self._next_channel += 1
        # The server may use the channel before its answer has come.
        self._client.channel_to_peer[channel] = address
        self._client.peer_to_channel[address] = channel
        try:
            while True:
                await self._client.channel_bind(channel, address)
                if address not in self._channels:
                    self._channels[address] = channel
                    for data in self._waiting.pop(address):
                        self.send(data, address)
                await asyncio.sleep(CHANNEL_REFRESH)
        except (stun.TransactionError, OSError, *MALFORMED) as error:
            logger.debug("TURN channel refused: %s", error)
            self._owner.dropped["channel refused"] += 1
            self._channels.pop(address, None)
            await asyncio.sleep(2.0)  # before the next check may ask again
            self._waiting.pop(address, None)
