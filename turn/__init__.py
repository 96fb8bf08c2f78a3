"""TURN: a STUN and TURN server for when no direct road exists (RFC 8489, RFC 8656).

::

    client ─UDP, TCP, TLS─> io_data_path ──> TurnServer ──> commands ─> io_data_path ──UDP──> peer
                               │ stun, attributes, channel_data        bytes <-> messages
                               │ authenticate: credentials, nonces     who asks
                               │ allocate: ports, quota, reservation   a relay of one's own
                               │ maintain: permission, channel_binding to and from whom
                               │ mobility: ticket                      from another address
                               │ peer_connections                      by TCP, where that is on
                               │ peer_policy, new_peers                and to whom never
                               │ bandwidth                             how much
                               └ respond: reply_limit, metrics         answers, counted

``server`` and all below it do no I/O and read no clock; ``io_data_path`` and ``io_stream`` have the
sockets, the timer and no decisions; ``io_service`` opens and closes them.  Where it was built,
``_relay`` (C) passes on what the channels allow, and leaves the rest to ``server``.  ``io_workers``
runs several processes on one port, which share what ``fleet`` says and hand over to each other by
``io_link``.  Run one inside an asyncio program::

    config = TurnConfig(host="192.0.2.1", secrets=(secret,))
    async with TurnService(config) as server:
        print(server.port, server.metrics.allocations)

and give each call a credential of its own::

    credential = mint(secret, user="ann", call="3f2a", expires_at=time.time() + 600)

and when a call is over tell the server (``server.end_call("3f2a")``), which then lets its relays
go; one on another machine lets them go when nobody refreshes them, and makes no new ones once the
credential has expired.

What it serves: Binding, Allocate, Refresh, CreatePermission, ChannelBind, Send and Data
indications, ChannelData; EVEN-PORT, RESERVATION-TOKEN, DONT-FRAGMENT; passwords by SHA-256; from
clients over UDP, TCP and TLS to peers over UDP; IPv4 and IPv6, relays of one family or of both at
once; ICMP messages about what a client has sent.  What it refuses unless told otherwise:
every special-purpose peer address (``peer_policy``).

Names are loaded when they are first used: who only calls needs no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringline.turn.addresses import Address, ClientSocket
    from ringline.turn.commands import CloseRelay, Command, OpenRelay, SendToClient, SendToPeer
    from ringline.turn.config import TurnConfig
    from ringline.turn.credentials import Credential, mint
    from ringline.turn.error_codes import ErrorCode
    from ringline.turn.errors import ConfigError, ListenError, ParseError, TurnError
    from ringline.turn.io_service import TurnService
    from ringline.turn.metrics import DropReason, TurnMetrics
    from ringline.turn.server import TurnServer
    from ringline.turn.stun import Message

__all__ = [
    "Address",
    "ClientSocket",
    "CloseRelay",
    "Command",
    "ConfigError",
    "Credential",
    "DropReason",
    "ErrorCode",
    "ListenError",
    "Message",
    "OpenRelay",
    "ParseError",
    "SendToClient",
    "SendToPeer",
    "TurnConfig",
    "TurnError",
    "TurnMetrics",
    "TurnServer",
    "TurnService",
    "mint",
]

_HOMES = {
    "Address": "addresses",
    "ClientSocket": "addresses",
    "CloseRelay": "commands",
    "Command": "commands",
    "ConfigError": "errors",
    "Credential": "credentials",
    "DropReason": "metrics",
    "ErrorCode": "error_codes",
    "ListenError": "errors",
    "Message": "stun",
    "OpenRelay": "commands",
    "ParseError": "errors",
    "SendToClient": "commands",
    "SendToPeer": "commands",
    "TurnConfig": "config",
    "TurnError": "errors",
    "TurnMetrics": "metrics",
    "TurnServer": "server",
    "TurnService": "io_service",
    "mint": "credentials",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
