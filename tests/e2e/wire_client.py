"""WireClient: somebody who speaks ``ringline.v1`` by hand, as a foreign program would."""

from __future__ import annotations

import asyncio
import secrets
import time
from types import TracebackType
from typing import Self, TypeVar

import aiohttp

from ringline.signaling import messages as wire
from ringline.signaling.wire import WireFormat

M = TypeVar("M", bound=wire.Message)

_ULID_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_call_id() -> str:
    value = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return "".join(_ULID_LETTERS[value >> shift & 31] for shift in range(125, -1, -5))


class WireClient:
    """One WebSocket, without resuming: nothing that it sends is numbered.

    Args:
        url: Of the server, as ``http://host:port``.
        name: Who we are.

    Attributes:
        got: Every message of the server that was taken by :meth:`take`, or passed over by it.

    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._wire = WireFormat()
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.got: list[wire.Message] = []

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(f"{self._url}/ws", protocols=(wire.SUBPROTOCOL,))
        await self.send(wire.Hello(device="by-hand", name=self._name))
        await self.take(wire.Welcome)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._socket is not None
        assert self._http is not None
        await self._socket.close()
        await self._http.close()

    async def send(self, message: wire.Message) -> None:
        assert self._socket is not None
        await self._socket.send_str(self._wire.encode(message).decode())

    async def take(self, kind: type[M], within: float = 15.0) -> M:
        """Return the next message of a kind."""
        assert self._socket is not None
        async with asyncio.timeout(within):
            while True:
                frame = await self._socket.receive()
                assert frame.type is aiohttp.WSMsgType.TEXT, frame
                message = self._wire.parse_server_message(frame.data)
                self.got.append(message)
                if isinstance(message, kind):
                    return message

    async def call(self, name: str, sdp: str, *, video: bool = False) -> str:
        """Ring somebody; return the id of the call."""
        call_id = new_call_id()
        await self.send(
            wire.CallInvite(
                call=call_id,
                to=name,
                media=wire.MediaKinds(audio=True, video=video),
                offer=wire.Description(sdp=sdp),
            )
        )
        return call_id
