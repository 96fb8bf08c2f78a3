"""Stream edge: clients that reach the server by TCP or TLS, for networks that pass no UDP.

Each connection is a client socket of its own; what leaves its relay is UDP like everybody's.  A
connection costs memory before anybody has proved anything, so there are limits: connections in
all and per source, handshakes of TLS among them (:mod:`~ringline.turn.io_accept`), the size of a
stranger's message, the time that it has to become a client.

No decisions about TURN are made here: messages go to :class:`~ringline.turn.server.TurnServer`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol, cast

from ringline.turn.addresses import ClientSocket, format_address, source_of
from ringline.turn.config import TurnConfig
from ringline.turn.errors import ListenError, ParseError
from ringline.turn.io_accept import Acceptor
from ringline.turn.io_socket import open_tcp
from ringline.turn.metrics import DropReason
from ringline.turn.stream import MAX_MESSAGE, StreamReader, pad

__all__ = ["DataConnection", "StreamListener"]

logger = logging.getLogger(__name__)

_MAX_UNSENT: Final = 256 * 1024
"""Bytes that wait for a slow connection; what comes then is dropped, as a full queue of UDP drops
it.  A second of good video: older is worth nothing."""

_LINGER: Final = 30.0  # seconds that a closed connection has to take what waits for it
_SWEEP: Final = 5.0  # seconds between two looks for strangers that have stayed too long


class DataConnection(Protocol):
    """A client's connection that carries bytes to and from a peer (RFC 6062)."""

    def join(self, on_data: Callable[[bytes], None], on_full: Callable[[bool], None]) -> None:
        """Give what comes to ``on_data``, and tell ``on_full`` when writing is too much."""

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""

    def pause_reading(self) -> None:
        """Read nothing for now."""

    def resume_reading(self) -> None:
        """Read on."""

    def close(self) -> None:
        """Close when what waits has gone."""


class StreamListener:
    """Accepts connections of one kind.

    Args:
        config: Limits and address.
        transport: What the clients' sockets are called.
        on_dropped: Called when something goes no further.
        on_message: Called with each message and the client socket it came from.
        on_closed: Called when a client socket is gone.
        has_allocation: Tells who is no stranger any more.

    """

    def __init__(
        self,
        config: TurnConfig,
        transport: Literal["tcp", "tls"],
        *,
        on_dropped: Callable[[DropReason], None],
        on_message: Callable[[bytes, ClientSocket], None],
        on_closed: Callable[[ClientSocket], None],
        has_allocation: Callable[[ClientSocket], bool],
    ) -> None:
        self._config: Final = config
        self.transport: Final = transport
        self.on_dropped: Final = on_dropped
        self.on_message: Final = on_message
        self.on_closed: Final = on_closed
        self.has_allocation: Final = has_allocation
        self._connections: Final[dict[ClientSocket, _Connection]] = {}
        self._per_source: Final[dict[str, int]] = {}
        self._acceptor: Acceptor | None = None
        self._loop: Final = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing = False

    async def open(
        self,
        port: int,
        tls: ssl.SSLContext | None = None,
        *,
        bound: Mapping[str, socket.socket] | None = None,
    ) -> None:
        """Listen, on sockets that are bound already if there are some, by host.

        Raises:
            ListenError: If the port is taken or the address is not ours.

        """
        acceptor = self._acceptor = Acceptor(
            self._config,
            tls,
            make_protocol=lambda: _Connection(self),
            has_room=self._has_room,
            on_dropped=self.on_dropped,
        )
        for host in self._config.hosts:
            try:
                acceptor.listen(open_tcp(host, port) if bound is None else bound[host])
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                address = format_address((host, port))
                where = ("host", "port" if tls is None else "tls_port")
                raise ListenError(
                    f"TURN: cannot listen on {address}/tcp: {reason}", *where
                ) from None
            port = self.port  # where any would do, the first one decides
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        assert self._acceptor is not None  # noqa: S101 - open
        return self._acceptor.port

    def send(self, client: ClientSocket, message: bytes) -> None:
        """Send a message, unless the client is gone or does not read."""
        connection = self._connections.get(client)
        if connection is None or not connection.send(message):
            self.on_dropped(DropReason.SOCKET)

    async def close(self) -> None:
        """Close the listener and every connection."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._acceptor is not None:
            await self._acceptor.close()
        for connection in list(self._connections.values()):
            connection.abort()
        await asyncio.sleep(0)  # they hear of it in the next turn of the loop

    # For connections

    def admit(self, connection: _Connection, client: ClientSocket) -> bool:
        """Take in a connection, for which there was room when it came."""
        # Listening on a wildcard, one address and port can reach two addresses of ours.
        if self._closing or client in self._connections:
            return False
        source = source_of(client.host)
        self._per_source[source] = self._per_source.get(source, 0) + 1
        self._connections[client] = connection
        return True

    def forget(self, client: ClientSocket) -> None:
        """Let a connection that was admitted go."""
        del self._connections[client]
        source = source_of(client.host)
        left = self._per_source.pop(source) - 1
        if left:
            self._per_source[source] = left
        if not self._closing:
            self.on_closed(client)

    def data_connection(self, client: ClientSocket) -> DataConnection | None:
        """Return a connection that is to carry bytes, if it is still there."""
        return self._connections.get(client)

    def abort_later(self, transport: asyncio.Transport) -> None:
        """Close a connection that takes nothing any more."""
        self._loop.call_later(_LINGER, transport.abort)

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def _has_room(self, source: str, coming: int, all_coming: int) -> bool:
        """Tell whether there is room for one more, besides those that are on the way."""
        config = self._config
        return (
            len(self._connections) + all_coming < config.max_connections
            and self._per_source.get(source, 0) + coming < config.max_connections_per_source
        )

    def _sweep(self) -> None:
        """Close the connections of strangers that have had their time."""
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)
        before = self.now() - self._config.stranger_patience
        for client, connection in list(self._connections.items()):
            if connection.idle_since < before and not self.has_allocation(client):
                connection.abort()


class _Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, listener: StreamListener) -> None:
        self._listener: Final = listener
        self._reader: Final = StreamReader()
        self._transport: asyncio.Transport | None = None
        self._client: ClientSocket | None = None
        self._on_data: Callable[[bytes], None] | None = None
        self._on_full: Callable[[bool], None] | None = None
        self.idle_since = listener.now()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        host, port = transport.get_extra_info("peername")[:2]
        client = ClientSocket(host, port, self._listener.transport)
        if self._listener.admit(self, client):
            self._client = client
        else:
            self._listener.on_dropped(DropReason.RATE_LIMITED)
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        client, listener = self._client, self._listener
        if client is None or self._transport is None:
            return
        if self._on_data is not None:
            self._on_data(data)
            return
        self._reader.push(data)
        has_message = False
        try:
            while (message := self._reader.pop()) is not None:
                has_message = True
                listener.on_message(message, client)
                if self._on_data is not None:  # joined by this message: no other follows
                    self._on_data(self._reader.take_rest())
                    return
        except ParseError as error:
            listener.on_dropped(DropReason.MALFORMED)
            logger.debug("TURN: connection closed: %s", error)
            self._transport.abort()
            return
        if not has_message:
            return
        is_known = listener.has_allocation(client)
        if is_known:
            self._reader.limit = MAX_MESSAGE
            self.idle_since = listener.now()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            logger.debug("TURN: connection lost: %s", exc)
        if self._client is not None:
            client, self._client = self._client, None
            self._listener.forget(client)

    # As a data connection of RFC 6062

    def join(self, on_data: Callable[[bytes], None], on_full: Callable[[bool], None]) -> None:
        """Carry no messages any more but bytes."""
        self._on_data, self._on_full = on_data, on_full

    def write(self, data: bytes) -> None:
        """Send bytes as they are; ``on_full`` says when it is too much."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Read nothing for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        if self._on_full is not None:
            self._on_full(True)

    def resume_writing(self) -> None:
        if self._on_full is not None:
            self._on_full(False)

    def close(self) -> None:
        """Close when what waits has gone, or half a minute later."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._listener.abort_later(self._transport)

    def send(self, message: bytes) -> bool:
        """Send a message; return whether there was room for it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _MAX_UNSENT:
            return False
        transport.write(pad(message))
        return True

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
