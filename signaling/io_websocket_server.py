"""WebSocketServer: the hub's sockets, clock and timer, on aiohttp.

No decisions here: each text frame goes to :class:`~ringline.signaling.hub.Hub`, and what comes
of it is sent before the next one is read.  One timer for everything.

A receiver that does not read must not hold up a sender: frames for it wait in a queue of its own,
and when that is longer than a session's outbox its socket is closed; it may resume.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Final

from aiohttp import WSMsgType, web

from ringline.signaling.codes import CloseCode
from ringline.signaling.config import ServerConfig
from ringline.signaling.connection import CloseSocket, Transmit
from ringline.signaling.hub import Hub
from ringline.signaling.messages import SUBPROTOCOL
from ringline.signaling.origin import host_without_port, origin_allowed

__all__ = ["WebSocketServer"]

_log = logging.getLogger(__name__)

_FULL: Final = 32_768
"""Bytes in a socket's send buffer from which on writing to it is left to a task of its own; below
asyncio's high-water mark of 64 KiB a write never waits."""
_CLOSE_TIMEOUT: Final = 2.0
"""Seconds for the other side's close frame."""


class _Socket:
    """One WebSocket with the frames that wait for it."""

    __slots__ = ("closing", "queue", "queued_bytes", "transport", "websocket", "writer")

    def __init__(
        self, websocket: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        self.websocket: Final = websocket
        self.transport: Final = transport
        self.queue: Final[deque[Transmit | CloseSocket]] = deque()
        self.queued_bytes = 0
        self.writer: asyncio.Task[None] | None = None
        self.closing = False

    @property
    def congested(self) -> bool:
        """Whether a write might have to wait."""
        transport = self.transport
        return transport is not None and transport.get_write_buffer_size() > _FULL

    def cut(self) -> None:
        """Drop the connection without a word; the reading side ends."""
        self.queue.clear()
        self.queued_bytes = 0
        if self.transport is not None:
            self.transport.abort()

    async def flush(self) -> None:
        """Write what waits."""
        while self.queue:
            item = self.queue.popleft()
            try:
                if isinstance(item, Transmit):
                    self.queued_bytes -= len(item.data)
                    await self.websocket.send_str(item.data.decode())
                else:
                    await self.websocket.close(code=item.code, message=item.reason.encode()[:120])
            except (ConnectionError, RuntimeError) as error:
                # Gone, or going: the reading side tells the hub.
                _log.debug("connection %d: not sent: %s", item.connection, error)
                self.queue.clear()
                self.queued_bytes = 0


class WebSocketServer:
    """Runs a hub on real sockets.

    Args:
        hub: The core.
        config: Limits.

    """

    def __init__(self, hub: Hub, config: ServerConfig) -> None:
        self.hub: Final = hub
        self._config: Final = config
        self._sockets: Final[dict[int, _Socket]] = {}
        self._writers: Final[set[asyncio.Task[None]]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None  # when that is; uvloop's own does not tell if it is now
        self._empty: Final = asyncio.Event()  # no socket is open
        self._empty.set()

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket from its upgrade to its end; the handler of the route ``/ws``."""
        host = request.headers.get("Host")
        origin = request.headers.get("Origin")
        if not origin_allowed(origin, host, self._config.allowed_origins):
            raise web.HTTPForbidden(text="pages of this origin may not connect\n")
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in (protocol.strip() for protocol in offered.split(",")):
            raise web.HTTPBadRequest(text=f"expected a WebSocket of subprotocol {SUBPROTOCOL}\n")
        loop = asyncio.get_running_loop()
        number = self.hub.handle_open(_reached_host(request), loop.time())
        if number is None:
            raise web.HTTPServiceUnavailable(text="too many connections, or stopping\n")
        websocket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,  # 116 kB of memory a socket instead of 16 (measured), to save little
            max_msg_size=self._config.max_message_bytes,
            heartbeat=None,  # the protocol has pings of its own, which browsers can see
            timeout=_CLOSE_TIMEOUT,
        )
        code: int | None = None
        try:
            await websocket.prepare(request)
            self._sockets[number] = _Socket(websocket, request.transport)
            self._empty.clear()
            self._arm(loop)
            await self._read(number, websocket, loop)
            # What the client sent; 1006 and our own codes are not a client's leave.
            code = websocket.close_code
        finally:
            socket = self._sockets.pop(number, None)
            if not self._sockets:
                self._empty.set()
            ours = socket is not None and socket.closing
            self.hub.handle_closed(number, None if ours else code, loop.time())
            self._distribute(loop)
        return websocket

    async def _read(
        self, number: int, websocket: web.WebSocketResponse, loop: asyncio.AbstractEventLoop
    ) -> None:
        hub = self.hub
        async for message in websocket:
            if message.type is WSMsgType.TEXT:
                hub.handle_text(number, message.data, loop.time())
            elif message.type is WSMsgType.BINARY:
                hub.handle_binary(number, loop.time())
            else:  # ERROR: aiohttp has closed it, a message above the limit with 1009
                break
            for socket in self._take_out():
                # Mostly done in this very step; only a receiver that does not read takes longer.
                if socket.congested:
                    self._write_later(socket, loop)
                else:
                    await socket.flush()
            self._arm(loop)

    async def drain(self) -> None:
        """Tell all clients that the server is about to stop, wait for them, close the rest."""
        loop = asyncio.get_running_loop()
        if not self.hub.draining:
            self.hub.handle_drain(loop.time())
            self._distribute(loop)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.drain_time):
                await self._empty.wait()
        sockets = list(self._sockets.values())
        for socket in sockets:
            socket.closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await asyncio.gather(
                    *(
                        socket.websocket.close(
                            code=CloseCode.GOING_AWAY, message=b"the server stops"
                        )
                        for socket in sockets
                    ),
                    return_exceptions=True,
                )
        for socket in sockets:
            socket.cut()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._due = None

    # ---------------------------------------------------------------- output

    def _take_out(self) -> list[_Socket]:
        """Move what the hub has to send to its sockets' queues; return those idle till now."""
        touched: dict[int, _Socket] = {}
        while (item := self.hub.poll_transmit()) is not None:
            socket = self._sockets.get(item.connection)
            if socket is None or socket.closing:
                continue
            if isinstance(item, CloseSocket):
                socket.closing = True
            else:
                socket.queued_bytes += len(item.data)
                socket.closing = socket.queued_bytes > self._config.max_outbox_bytes
            if socket.closing and socket.writer is not None:
                # It does not read, so a close frame would not get through either.
                _log.debug("connection %d: cut, it reads too slowly", item.connection)
                socket.cut()
                continue
            socket.queue.append(item)
            if socket.writer is None:
                touched[item.connection] = socket
        return list(touched.values())

    def _distribute(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what the hub has to send, from outside of a reader."""
        for socket in self._take_out():
            self._write_later(socket, loop)
        self._arm(loop)

    def _write_later(self, socket: _Socket, loop: asyncio.AbstractEventLoop) -> None:
        async def write() -> None:
            try:
                await socket.flush()
            finally:
                socket.writer = None

        socket.writer = loop.create_task(write())
        self._writers.add(socket.writer)
        socket.writer.add_done_callback(self._writers.discard)

    # ---------------------------------------------------------------- time

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        due = self.hub.poll_timeout()
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = None if due is None else loop.call_at(due, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = self._due = None
        self.hub.handle_timeout(loop.time())
        self._distribute(loop)


def _reached_host(request: web.Request) -> str:
    """Return the host that the client reached us by, for URLs that it is given."""
    host = host_without_port(request.headers.get("Host"))
    if host is None or host.lower() == "localhost":
        # "localhost" may mean ::1 to the client, while TURN listens on IPv4.
        transport = request.transport
        local = None if transport is None else transport.get_extra_info("sockname")
        address = local[0] if local else "127.0.0.1"
        return "127.0.0.1" if address == "::1" else str(address)
    return host
