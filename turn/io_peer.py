"""Peer edge: the TCP sockets of relays (RFC 6062), and the bytes between peers and clients.

A relay listens, and connects from the same port.  A peer's connection is not read until it is
joined to a client's, so that the kernel holds what comes too early, but for one read: not every
loop can be told so before it reads first.  Then each side is read as fast as the other one takes
it: what waits is one read and one full buffer a direction.

Over its bandwidth a pair is not read for a while, which TCP passes on to who sends.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final, cast

from ringline.turn.addresses import Address
from ringline.turn.bandwidth import Bucket
from ringline.turn.io_socket import open_tcp
from ringline.turn.io_stream import DataConnection
from ringline.turn.server import TurnServer

__all__ = ["PeerStreams"]

logger = logging.getLogger(__name__)

_BACKLOG: Final = 16
_CAN_SHARE: Final = hasattr(socket, "SO_REUSEPORT")  # a relay listens and connects from one port
_MAX_EARLY: Final = 1 << 20
"""Bytes of a peer that wait for a client; several times one read of any loop."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_PAUSE: Final = 1.0  # seconds until a relay tries again to accept
_THROTTLED: Final = 0.05  # seconds until a pair over its bandwidth is looked at again
_LINGER: Final = 30.0  # seconds that a closed connection has to take what waits for it


class PeerStreams:
    """The TCP sockets of all relays.

    Args:
        core: Decides.
        settle: Does what the core commands; to be called after each input to it.

    """

    def __init__(self, core: TurnServer, settle: Callable[[], None]) -> None:
        self._core: Final = core
        self._settle: Final = settle
        self._loop: Final = asyncio.get_running_loop()
        self._relays: Final[dict[int, socket.socket]] = {}
        self._peers: Final[dict[int, _Peer]] = {}

    def open_relay(self, port: int, host: str) -> None:
        """Listen on a relayed address.

        Raises:
            OSError: If that cannot be.

        """
        self.close_relay(port)  # one of a port: what is forgotten here is closed by nobody
        relay = open_tcp(host, port, shared=_CAN_SHARE)
        try:
            relay.listen(_BACKLOG)
        except OSError:
            relay.close()
            raise
        self._relays[port] = relay
        self._loop.add_reader(relay, self._accept, port, relay)

    def close_relay(self, port: int) -> None:
        """Listen no more, if it is one of ours."""
        relay = self._relays.pop(port, None)
        if relay is not None:
            self._loop.remove_reader(relay)
            relay.close()

    def connect(self, number: int, relay_port: int, to: Address) -> None:
        """Connect from a relay to a peer."""
        host = self._relays[relay_port].getsockname()[0]
        peer = self._peers[number] = _Peer(self, number)
        peer.task = self._loop.create_task(self._connect(peer, (host, relay_port), to))

    def join(self, number: int, client: DataConnection, buckets: tuple[Bucket, ...]) -> None:
        """Pass on all that comes from a peer to a client's connection, and the other way round."""
        peer = self._peers.get(number)
        if peer is None:
            client.close()
        else:
            peer.join(client, buckets)

    def close_peer(self, number: int) -> None:
        """Close a peer's connection, and the client's that it is joined to."""
        peer = self._peers.pop(number, None)
        if peer is not None:
            peer.close()

    def close(self) -> None:
        """Close everything."""
        for port in list(self._relays):
            self.close_relay(port)
        for number in list(self._peers):
            self._peers.pop(number).abort()

    # For peers

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something later."""
        self._loop.call_later(seconds, call)

    def count(self, size: int, *, to_client: bool) -> None:
        """Count bytes that were passed on."""
        metrics = self._core.metrics
        if to_client:
            metrics.peer_to_client_bytes += size
        else:
            metrics.client_to_peer_bytes += size

    def lost(self, number: int) -> None:
        """Hear of a connection that is gone."""
        if self._peers.pop(number, None) is not None:
            self._core.handle_peer_closed(number)
            self._settle()

    def _accept(self, port: int, relay: socket.socket) -> None:
        try:
            accepted, source = relay.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:  # it stays acceptable: to try at once would be to spin
                self._loop.remove_reader(relay)
                self._loop.call_later(_EXHAUSTED_PAUSE, self._listen_again, port, relay)
            return  # else it has given up already
        accepted.setblocking(False)
        number = self._core.handle_peer_accepted(port, source[:2], self.now())
        if number is None:
            accepted.close()
            return
        peer = self._peers[number] = _Peer(self, number)
        peer.task = self._loop.create_task(self._attach(peer, accepted))
        self._settle()

    def _listen_again(self, port: int, relay: socket.socket) -> None:
        if self._relays.get(port) is relay:
            self._loop.add_reader(relay, self._accept, port, relay)

    async def _attach(self, peer: _Peer, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: peer, accepted)
        except OSError:
            accepted.close()
            self.lost(peer.number)
        except asyncio.CancelledError:
            accepted.close()
            raise

    async def _connect(self, peer: _Peer, local: Address, to: Address) -> None:
        opened: socket.socket | None = None
        try:
            opened = open_tcp(*local, shared=_CAN_SHARE)
            await self._loop.sock_connect(opened, to)
            await self._loop.create_connection(lambda: peer, sock=opened)
        except OSError as error:
            logger.debug("TURN: a peer cannot be connected to: %s", error.strerror or "")
            if opened is not None:
                opened.close()
            self.lost(peer.number)
        except asyncio.CancelledError:
            if opened is not None:
                opened.close()
            raise
        else:
            self._core.handle_peer_connected(peer.number, self.now())
            self._settle()


class _Valve:
    """Stops the reading of a connection while there is a reason to."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause, self._resume = pause, resume
        self._reasons: Final[set[str]] = set()

    def shut(self, reason: str) -> None:
        if not self._reasons:
            self._pause()
        self._reasons.add(reason)

    def open(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.remove(reason)
            if not self._reasons:
                self._resume()


class _Peer(asyncio.Protocol):
    """A peer's connection."""

    def __init__(self, streams: PeerStreams, number: int) -> None:
        self._streams: Final = streams
        self.number: Final = number
        self.task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._client: DataConnection | None = None
        self._buckets: tuple[Bucket, ...] = ()
        self._from_peer: _Valve | None = None
        self._from_client: _Valve | None = None
        self._early = bytearray()  # came before there was a client
        self._throttled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._from_peer = _Valve(self._transport.pause_reading, self._transport.resume_reading)
        self._from_peer.shut("not joined")
        self._begin()

    def join(self, client: DataConnection, buckets: tuple[Bucket, ...]) -> None:
        self._client, self._buckets = client, buckets
        self._from_client = _Valve(client.pause_reading, client.resume_reading)
        self._from_client.shut("not connected")
        client.join(self.take, self.client_is_full)
        self._begin()

    def _begin(self) -> None:
        if self._from_peer is not None and self._from_client is not None:
            early, self._early = bytes(self._early), bytearray()
            if early:
                self.data_received(early)
            self._from_peer.open("not joined")
            self._from_client.open("not connected")

    def take(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self._pay(len(data), to_client=False)

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            self._client.write(data)
            self._pay(len(data), to_client=True)
        elif self._transport is not None:
            # uvloop begins to read after connection_made, whatever was said there.
            self._transport.pause_reading()
            self._early += data
            if len(self._early) > _MAX_EARLY:
                self._transport.abort()

    def client_is_full(self, is_full: bool) -> None:
        """Read the peer no further than the client takes."""
        if self._from_peer is not None:
            (self._from_peer.shut if is_full else self._from_peer.open)("the client is full")

    def pause_writing(self) -> None:
        if self._from_client is not None:
            self._from_client.shut("the peer is full")

    def resume_writing(self) -> None:
        if self._from_client is not None:
            self._from_client.open("the peer is full")

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            logger.debug("TURN: a peer's connection is lost")
        if self._client is not None:
            self._client.close()
        self._streams.lost(self.number)

    def close(self) -> None:
        """Close both, when what waits has gone."""
        if self._transport is None:
            if self.task is not None:
                self.task.cancel()
        else:
            self._transport.close()
            self._streams.later(_LINGER, self._transport.abort)
        if self._client is not None:
            self._client.close()

    def abort(self) -> None:
        """Close at once."""
        if self.task is not None:
            self.task.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _pay(self, size: int, *, to_client: bool) -> None:
        self._streams.count(size, to_client=to_client)
        for bucket in self._buckets:
            bucket.take(size)  # it has come: what is owed is waited for
        if self._buckets and not self._throttled:
            self._throttle()

    def _throttle(self) -> None:
        """Read neither side while something is owed."""
        now = self._streams.now()
        self._throttled = any(not bucket.has(0.0, now) for bucket in self._buckets)
        for valve in (self._from_peer, self._from_client):
            if valve is not None:
                (valve.shut if self._throttled else valve.open)("over the bandwidth")
        is_open = self._transport is not None and not self._transport.is_closing()
        if self._throttled and is_open:
            self._streams.later(_THROTTLED, self._throttle)
