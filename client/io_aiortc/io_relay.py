"""Relay: an allocation on a TURN server (RFC 8656) as a socket, reached over UDP, TCP or TLS.

aioice has the transactions of the client; channels, upkeep, and what follows when a server drains
or has lost the allocation are ours::

    KEPT ──── the server drains ────> LEAVING ── another pair carries the call ──> QUIET
     │                                                  nothing comes any more, or for 10 s
     └── the server knows nothing of it, TCP closed ──> gone  <──────────────────────┘

A QUIET socket still takes what comes, but answers no check: that revokes consent (RFC 7675 §5.2),
so the other side, whoever it is, moves to a pair of another relay and loses nothing meanwhile.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from aioice import stun, turn

from ringline.client.io_aiortc.io_sockets import (
    MALFORMED,
    MAX_PEERS,
    SocketOwner,
    make_candidate,
)
from ringline.client.transport import Address
from ringline.client.upkeep import Upkeep, UpkeepConfig

__all__ = ["CHANNEL_REFRESH", "RelayKeeper", "RelaySocket", "TurnTcp", "TurnUdp", "know_attributes"]

logger = logging.getLogger(__name__)

CHANNEL_REFRESH: Final = 240.0
"""Seconds.  A permission lives 300 s (RFC 8656 §9), and a strict server does not let a channel
extend it; aioice's 500 s would lose it."""

_TRY_ALTERNATE: Final = 300
_LOST_CODES: Final = (437, 441)  # no such allocation; not ours
_CHANNEL_RETRY: Final = 2.0  # seconds until a peer whose channel was refused is tried again
_LEAVE_CHECK: Final = 0.2  # seconds between looks whether a relay can be spared
_SILENCE_TO_GO: Final = 3.0  # seconds without data until a quiet socket goes: the peer has left
_LONGEST_QUIET: Final = 10.0  # seconds: a peer that goes on has no consent any more

_ATTRIBUTES: Final[tuple[stun.AttributeEntry, ...]] = (
    (0x8023, "ALTERNATE-SERVER", stun.pack_address, stun.unpack_address),
    (0xC0DA, "DRAIN-AWARE", stun.pack_none, stun.unpack_none),
)
"""What aioice's STUN does not know: an address, and our word that we take a 300 for a Refresh.
Servers of other hands ignore that (RFC 8489 §14: its number is comprehension-optional)."""


def know_attributes() -> None:
    """Teach aioice's STUN the attributes of a drain; harmless if it knows them."""
    for row in _ATTRIBUTES:
        stun.ATTRIBUTES_BY_TYPE.setdefault(row[0], row)
        stun.ATTRIBUTES_BY_NAME.setdefault(row[1], row)


class RelayKeeper(Protocol):
    """Sees to it that there is a relay."""

    def relay_lost(self, relay: RelaySocket) -> None:
        """Hear that an allocation is gone."""

    def relay_leaving(self, relay: RelaySocket, alternate: Address | None) -> None:
        """Hear that a server drains, and whom it names instead."""

    def relay_left(self, relay: RelaySocket) -> None:
        """Hear that the allocation there was ended: the call goes elsewhere."""


class _Kept:
    """What both clients do otherwise than aioice's."""

    relay: RelaySocket | None = None
    granted = float(turn.DEFAULT_ALLOCATION_LIFETIME)

    async def refresh(self, time_to_expiry: int) -> None:
        """Only take the lifetime of a new allocation: the upkeep is the socket's."""
        self.granted = float(time_to_expiry)


class TurnUdp(_Kept, turn.TurnClientUdpProtocol):
    """The TURN client over UDP, with a short way for channel data."""

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        """Take what was read."""
        relay = self.relay
        if relay is not None:
            relay.heard_at = arrived_at
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

    def refused(self) -> None:
        """Hear that nobody listens at the server."""
        if self.relay is not None:
            self.relay.refused()


class TurnTcp(_Kept, turn.TurnClientTcpProtocol):
    """The TURN client over TCP or TLS."""

    def datagram_received(self, data: bytes | str, addr: Address) -> None:
        """Take a message, whole or not."""
        if self.relay is not None:
            self.relay.heard_at = asyncio.get_running_loop().time()
        try:
            super().datagram_received(data, addr)
        except MALFORMED:
            logger.debug("malformed message of a TURN server", exc_info=True)


class RelaySocket:
    """An allocation on a TURN server, used through channels only (RFC 8656 §12).

    A channel is bound when the first datagram for a peer comes; until the server has confirmed
    it a few datagrams wait.

    Args:
        owner: Of the socket.
        client: That has just allocated.
        keeper: Told when it goes.
        url: Of the server, as it was given.
        protocol: To the server: ``udp``, ``tcp`` or ``tls``.
        local_preference: RFC 8445 §5.1.2.1.
        hide_related: Say nothing of the address behind it.
        upkeep: Times.

    """

    _WAITING = 16

    def __init__(
        self,
        owner: SocketOwner,
        client: TurnUdp | TurnTcp,
        *,
        keeper: RelayKeeper,
        url: str,
        protocol: str,
        local_preference: int,
        hide_related: bool,
        upkeep: UpkeepConfig,
    ) -> None:
        self._owner: Final = owner
        self._client: Final = client
        self._keeper: Final = keeper
        self._upkeep: Final = upkeep
        self._loop: Final = asyncio.get_running_loop()
        self._channels: Final[dict[Address, int]] = {}  # the confirmed ones
        self._waiting: Final[dict[Address, deque[bytes]]] = {}
        self._next_channel = 0x4000
        self._gone = False
        self.url: Final = url
        self.local_preference = local_preference
        assert client.relayed_address is not None  # noqa: S101 - connect() has returned
        mapped = ("0.0.0.0", 9) if hide_related else client.mapped_address  # noqa: S104
        self.local_candidate = make_candidate(
            "relay",
            client.relayed_address,
            local_preference,
            related=mapped,
            server=client.server,
        )
        self.authenticated: set[Address] = set()
        self.protocol = protocol
        self.relay: Address | None = client.server
        self.quiet = False
        self.leaving = False
        self.heard_at = self._loop.time()  # anything of the server
        self._sent_at = self.heard_at  # the first time since then
        self._data_at = self.heard_at  # of a peer
        client.receiver = self  # type: ignore[assignment] # takes data, nothing else is asked
        client.relay = self
        owner.spawn(self._keep_allocation())

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram to a peer."""
        channel = self._channels.get(address)
        if channel is not None:
            if self._client.transport.is_closing():
                self._owner.dropped["relay closed"] += 1
            else:
                if self._sent_at <= self.heard_at:
                    self._sent_at = self._loop.time()
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
        if data[0] > 3:  # not a check
            self._data_at = arrived_at
        self._owner.datagram_arrived(self, data, source, arrived_at)

    def refused(self) -> None:
        """Hear that nobody listens at the server."""
        self._owner.socket_refused(self)

    async def close(self) -> None:
        """Let go of it."""
        self._gone = True
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
        self._lose()

    # Channels

    async def _keep_channel(self, address: Address) -> None:
        channel = self._client.peer_to_channel.get(address)
        if channel is None:  # else it keeps its number: the server may have it (RFC 8656 §12)
            channel = self._next_channel
            self._next_channel += 1
        # The server may use the channel before its answer has come.
        self._client.channel_to_peer[channel] = address
        self._client.peer_to_channel[address] = channel
        try:
            while not self._gone:
                await self._client.channel_bind(channel, address)
                if address not in self._channels:
                    self._channels[address] = channel
                    for data in self._waiting.pop(address, ()):
                        self.send(data, address)
                await asyncio.sleep(CHANNEL_REFRESH)
        except (stun.TransactionError, OSError, *MALFORMED) as error:
            logger.debug("TURN channel refused: %s", error)
            self._owner.dropped["channel refused"] += 1
            self._channels.pop(address, None)
            # What comes meanwhile waits, and begins no second task.
            self._waiting.setdefault(address, deque(maxlen=self._WAITING))
            if isinstance(error, stun.TransactionFailed) and (
                error.response.error_code in _LOST_CODES
            ):
                self._lose()
                return
            await asyncio.sleep(_CHANNEL_RETRY)  # before the next check may ask again
            self._waiting.pop(address, None)

    # Upkeep

    async def _keep_allocation(self) -> None:
        await asyncio.sleep(0)  # the client learns the lifetime in a task of its own
        now = self._loop.time
        upkeep = Upkeep(self._upkeep, self._client.granted, now())
        while not (upkeep.lost or self._gone):
            upkeep.handle_heard(self.heard_at)
            upkeep.handle_sent(self._sent_at)
            if upkeep.is_due(now()):
                await self._refresh(upkeep)
            elif not upkeep.lost:
                wait = min(upkeep.poll_timeout() - now(), self._upkeep.quiet_after)
                await asyncio.sleep(max(0.01, wait))
        if upkeep.lost:
            self._lose()

    async def _refresh(self, upkeep: Upkeep, *, aware: bool = True) -> None:
        """Ask once; with our word that we can move, unless the answer was that we should."""
        request = stun.Message(stun.Method.REFRESH, stun.Class.REQUEST)
        request.attributes["LIFETIME"] = self._client.lifetime
        if aware:
            request.attributes["DRAIN-AWARE"] = None
        upkeep.handle_asked(self._loop.time())
        try:
            async with asyncio.timeout(self._upkeep.answer_within):
                answer, _ = await self._client.request_with_retry(request)
            upkeep.handle_refreshed(float(answer.attributes["LIFETIME"]), self._loop.time())
        except stun.TransactionFailed as error:
            code = error.response.error_code
            upkeep.handle_refused(code, self._loop.time())
            if code == _TRY_ALTERNATE and aware:
                self._leave(error.response.attributes.get("ALTERNATE-SERVER"))
                # It must live until another relay has taken over.
                await self._refresh(upkeep, aware=False)
        except (TimeoutError, stun.TransactionError, OSError, *MALFORMED) as error:
            logger.debug("TURN server does not answer: %s", error)
        else:
            if "DRAIN-AWARE" in answer.attributes:
                self._leave(None)

    # The end

    def _leave(self, alternate: Address | None) -> None:
        if not (self.leaving or self._gone):
            self.leaving = True
            logger.info("a TURN server drains: looking for another relay")
            self._keeper.relay_leaving(self, alternate)
            self._owner.spawn(self._go_when_spared())

    async def _go_when_spared(self) -> None:
        now = self._loop.time
        while not (self._gone or self._owner.can_spare(self)):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_LEAVE_CHECK)
        self.quiet = True
        since = now()
        while now() < min(max(since, self._data_at) + _SILENCE_TO_GO, since + _LONGEST_QUIET):  # noqa: ASYNC110
            await asyncio.sleep(_LEAVE_CHECK)
        if self._gone:
            return  # lost meanwhile
        logger.info("left a TURN server that drains")
        self._gone = True
        self._owner.socket_lost(self)
        self._keeper.relay_left(self)
        await self.close()

    def _lose(self) -> None:
        if not self._gone:
            self._gone = True
            self._client.transport.close()
            self._owner.socket_lost(self)
            self._keeper.relay_lost(self)
