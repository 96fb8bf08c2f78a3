"""SignalingConnection: a session with a signaling server, on aiohttp.

The socket, the clock and the timer of a :class:`~ringline.client.signaling_link.SignalingLink`,
which has all the decisions.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from ringline.client.errors import LocalError, ServerUnreachableError, SignalingError
from ringline.client.signaling_link import (
    CloseSocket,
    LinkConfig,
    LinkState,
    OpenSocket,
    Received,
    SendText,
    SignalingLink,
    StateChanged,
)
from ringline.signaling import messages as wire

__all__ = ["SignalingConnection", "websocket_url"]

_log = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES: Final = 1 << 20
"""A server's messages are bounded by what it lets clients send, but for its list of people."""
_CLOSE_TIMEOUT: Final = 2.0  # seconds for the other side's close frame
_CLOSED: Final = "the connection to the server is closed"

MessageHandler = Callable[[wire.ServerMessage], None]
StateHandler = Callable[[StateChanged], None]


def websocket_url(url: str) -> str:
    """Return the WebSocket's URL for what a person may type for a server.

    ``ws``, ``wss``, ``http``, ``https`` and no scheme at all are understood; the path is ``/ws``
    unless another is given.

    Raises:
        LocalError: If it is no such URL.

    """
    text = url if "://" in url else f"ws://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port  # raises if it is none
    except ValueError:
        parts, port = urlsplit(""), None
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname or port == 0:
        raise LocalError(f"expected a server like ws://host:8080, got {url!r}")
    path = parts.path if parts.path not in ("", "/") else "/ws"
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


class SignalingConnection:
    """A session with a signaling server, which survives the loss of its socket.

    Args:
        url: The server; see :func:`websocket_url`.
        name: Who we are, on a server in development mode.
        token: Who we are, on any other: a token, or what gives a fresh one each time (at once,
            and without raising).
        device: Names this device among the user's; a random one if absent.
        on_message: Called with each message, in order.  Without it iterate over the connection.
        on_state: Called when the connection is there, gone for a while, or closed.
        config: Times.

    Raises:
        LocalError: If the URL cannot be one.

    """

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        token: str | Callable[[], str] | None = None,
        device: str | None = None,
        on_message: MessageHandler | None = None,
        on_state: StateHandler | None = None,
        config: LinkConfig | None = None,
    ) -> None:
        self.url: Final = websocket_url(url)
        self._config: Final = config or LinkConfig()
        self._link: Final = SignalingLink(
            device=device or secrets.token_hex(8),
            name=name,
            token=(lambda: token) if isinstance(token, str) else token,
            config=self._config,
        )
        self._on_message: Final = on_message
        self._on_state: Final = on_state
        self._http: aiohttp.ClientSession | None = None
        self._frames: deque[SendText | CloseSocket] = deque()  # for that socket
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None  # when that is; uvloop's own does not tell if it is now
        self._inbox: Final[deque[wire.ServerMessage]] = deque()
        self._news: Final = asyncio.Event()  # something is in the inbox, or the state changed
        self._closed: Final = asyncio.Event()
        self._telling = False  # a handler of the program is running
        self._error: SignalingError | None = None
        self._tasks: Final[set[asyncio.Task[None]]] = set()

    # ---------------------------------------------------------------- life

    @property
    def name(self) -> str:
        """Who the server takes us for; empty before :meth:`connect` returned."""
        return self._link.name

    @property
    def state(self) -> LinkState:
        """Where the connection stands."""
        return self._link.state

    async def connect(self) -> None:
        """Enter the server.

        Raises:
            ServerUnreachableError: If nobody answers there, or no Ringline server does.
            UnauthorizedError: If the token is wrong or has expired.
            NameTakenError: If somebody else is there under that name.
            SignalingError: If the server refuses for another reason.

        """
        self._http = aiohttp.ClientSession()
        self._link.handle_start(self._now())
        self._drain()
        try:
            while self._link.state is LinkState.CONNECTING:
                self._news.clear()
                await self._news.wait()
        except asyncio.CancelledError:
            await self.close()
            raise
        if self._link.state is LinkState.CLOSED:
            error = self._error or SignalingError(_CLOSED)
            await self.close()
            raise error

    async def close(self) -> None:
        """Leave the server; harmless when closed already."""
        opening = not self._link.socket_open
        self._link.close()
        self._drain()
        tasks = list(self._tasks)
        if tasks and not opening:  # let it close in good order
            await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT + 0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def wait_closed(self) -> None:
        """Wait until the connection is over.

        Raises:
            SignalingError: Why, unless :meth:`close` was called.

        """
        await self._closed.wait()
        if self._error is not None:
            raise self._error

    # ---------------------------------------------------------------- messages

    def send(self, message: wire.Message) -> None:
        """Send a message, at once if there is a socket, else as soon as there is.

        After the end of the connection it is dropped.
        """
        self._link.send(message, self._now())
        self._drain()

    async def __aiter__(self) -> AsyncIterator[wire.ServerMessage]:
        """Give each message, in order, until the connection is over."""
        while True:
            while self._inbox:
                yield self._inbox.popleft()
            if self._link.state is LinkState.CLOSED:
                return
            self._news.clear()
            await self._news.wait()

    def handle_network_changed(self) -> None:
        """Take another socket at once: this machine's addresses are other ones."""
        self._link.handle_network_changed(self._now())
        self._drain()

    # ---------------------------------------------------------------- driver

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _drain(self) -> None:
        """Do what the link wants done."""
        while (action := self._link.poll_action()) is not None:
            if isinstance(action, OpenSocket):
                self._frames = deque()
                self._wake = asyncio.Event()
                self._spawn(self._run_socket(self._frames, self._wake))
            else:
                self._frames.append(action)
                self._wake.set()
        self._arm()
        if self._telling:
            return  # a handler has sent something: its own event is to be over first
        self._telling = True
        try:
            while (event := self._link.poll_event()) is not None:
                self._tell(event)
        finally:
            self._telling = False

    def _tell(self, event: Received | StateChanged) -> None:
        self._news.set()
        if isinstance(event, Received):
            if self._on_message is None:
                self._inbox.append(event.message)
            else:
                self._on_message(event.message)
            return
        _log.info("signaling: %s", event.state.value)
        if event.state is LinkState.CLOSED:
            self._error = event.error
            self._closed.set()
        if self._on_state is not None:
            self._on_state(event)

    def _arm(self) -> None:
        due = self._link.poll_timeout()
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._due = due
        self._timer = None if due is None else loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._due = None
        self._link.handle_timeout(self._now())
        self._drain()

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---------------------------------------------------------------- one socket

    async def _run_socket(self, frames: deque[SendText | CloseSocket], wake: asyncio.Event) -> None:
        """Run one socket from its opening to its end."""
        try:
            websocket = await self._open_socket()
        except SignalingError as error:
            if frames is self._frames:
                self._link.handle_failed(error, self._now())
                self._drain()
            return
        writer = asyncio.get_running_loop().create_task(_write(websocket, frames, wake))
        try:
            self._link.handle_opened(self._now())
            self._drain()
            async for message in websocket:
                if frames is not self._frames:
                    break  # the link has gone on to another socket
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._link.handle_text(message.data, self._now())
                    self._drain()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await websocket.close()
        if frames is self._frames:
            self._link.handle_closed(websocket.close_code, self._now())
            self._drain()

    async def _open_socket(self) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket.

        Raises:
            ServerUnreachableError: If that did not work; one line that says why.

        """
        http = self._http
        if http is None:
            raise ServerUnreachableError(_CLOSED)
        timeout = self._config.welcome_timeout
        try:
            async with asyncio.timeout(timeout):
                websocket = await http.ws_connect(
                    self.url,
                    protocols=(wire.SUBPROTOCOL,),
                    max_msg_size=_MAX_MESSAGE_BYTES,
                    compress=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT),
                )
        except TimeoutError:
            raise ServerUnreachableError(
                f"{self.url} did not answer within {timeout:.0f} s"
            ) from None
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 503:
                raise ServerUnreachableError(f"{self.url} is full or about to stop") from None
            raise ServerUnreachableError(
                f"{self.url} is no Ringline server: HTTP {error.status}"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise ServerUnreachableError(
                f"nobody answers at {self.url}: {error.os_error.strerror or error.os_error}"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ServerUnreachableError(f"{self.url} is no Ringline server: {error}") from None
        if websocket.protocol != wire.SUBPROTOCOL:
            await websocket.close()
            raise ServerUnreachableError(
                f"{self.url} is no Ringline server: it does not speak {wire.SUBPROTOCOL}"
            )
        return websocket


async def _write(
    websocket: aiohttp.ClientWebSocketResponse,
    frames: deque[SendText | CloseSocket],
    wake: asyncio.Event,
) -> None:
    """Send frames as they come, until one says to close."""
    while True:
        while frames:
            frame = frames.popleft()
            if isinstance(frame, CloseSocket):
                await websocket.close(code=frame.code)
                return
            try:
                await websocket.send_str(frame.data.decode())
            except (ConnectionError, RuntimeError) as error:
                _log.debug("not sent: %s", error)  # the reading side sees the loss
                return
        wake.clear()
        await wake.wait()
