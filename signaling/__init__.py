"""Signaling: two people find each other, ring, accept and hang up (protocol ``ringline.v1``).

::

    WebSocket ──> io_websocket_server ──> hub.Hub ──> switchboard ──> call.Call
                                           │ wire, messages, codes     bytes <-> messages
                                           │ authenticate: tokens      who somebody is
                                           │ session: reliable         what survives a socket
                                           │ token_bucket, timers      limits and deadlines
                                           │ presence, counters        who is there, how much
                                           └ call_state                where a call stands

``hub`` and all below it do no I/O and read no clock; ``io_websocket_server`` has the sockets and
the timer, ``io_server`` puts page, signaling and TURN into one process::

    async with RinglineServer(ServerConfig(dev=True)) as server:
        print(server.url)
        await server.wait_stopped()

The messages are in :mod:`ringline.signaling.messages`, their JSON Schema in
``docs/protocol/v1.schema.json``.

Names are loaded when they are first used: who only calls needs no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringline.signaling.codes import CloseCode, EndReason, ErrorCode
    from ringline.signaling.config import ServerConfig
    from ringline.signaling.errors import (
        ParseError,
        ServerStartError,
        SignalingServerError,
        TokenError,
        TokenExpiredError,
    )
    from ringline.signaling.hub import Hub, IceServerMinter
    from ringline.signaling.io_server import RinglineServer
    from ringline.signaling.tokens import TokenKeys, mint_token, verify_token

__all__ = [
    "CloseCode",
    "EndReason",
    "ErrorCode",
    "Hub",
    "IceServerMinter",
    "ParseError",
    "RinglineServer",
    "ServerConfig",
    "ServerStartError",
    "SignalingServerError",
    "TokenError",
    "TokenExpiredError",
    "TokenKeys",
    "mint_token",
    "verify_token",
]

_HOMES = {
    "CloseCode": "codes",
    "EndReason": "codes",
    "ErrorCode": "codes",
    "Hub": "hub",
    "IceServerMinter": "hub",
    "ParseError": "errors",
    "RinglineServer": "io_server",
    "ServerConfig": "config",
    "ServerStartError": "errors",
    "SignalingServerError": "errors",
    "TokenError": "errors",
    "TokenExpiredError": "errors",
    "TokenKeys": "tokens",
    "mint_token": "tokens",
    "verify_token": "tokens",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
