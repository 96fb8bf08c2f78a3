"""A person makes a call.

::

    async with Client("ws://localhost:8080", name="lab") as me:
        call = await me.call("desk", audio=True, video=True)
        async for frame in call.video:
            ...
        await call.hang_up()

The road of a call::

    Client ── signaling ──> ringline.signaling server ── rings ──> the other Client
      │
    Call ── negotiate ──> offer, answer
      ├──── PeerTransport (io_aiortc) ──> ICE path, DTLS-SRTP, data channel
      ├──── CallMedia ──> ringline.media, both ways
      └──── Reconnector ──> another path when this one is lost

Names are loaded when they are first used, so that ``ringline --help`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringline.client.call import Call, CallConfig, CallStats
    from ringline.client.call_state import CallState
    from ringline.client.client import Client, ClientConfig, IncomingCall
    from ringline.client.errors import (
        BusyError,
        CallEndedError,
        CallFailedError,
        DeclinedError,
        NameTakenError,
        NoAnswerError,
        OfflineError,
        RinglineError,
        ServerUnreachableError,
        UnauthorizedError,
    )
    from ringline.client.events import (
        CallEvent,
        Ended,
        PathChanged,
        PictureChanged,
        QualityChanged,
        RemoteMuted,
        StateChanged,
        VideoRequested,
    )

__all__ = [
    "BusyError",
    "Call",
    "CallConfig",
    "CallEndedError",
    "CallEvent",
    "CallFailedError",
    "CallState",
    "CallStats",
    "Client",
    "ClientConfig",
    "DeclinedError",
    "Ended",
    "IncomingCall",
    "NameTakenError",
    "NoAnswerError",
    "OfflineError",
    "PathChanged",
    "PictureChanged",
    "QualityChanged",
    "RemoteMuted",
    "RinglineError",
    "ServerUnreachableError",
    "StateChanged",
    "UnauthorizedError",
    "VideoRequested",
]

_HOMES = {
    **dict.fromkeys(("Call", "CallConfig", "CallStats"), "call"),
    "CallState": "call_state",
    **dict.fromkeys(("Client", "ClientConfig", "IncomingCall"), "client"),
    **dict.fromkeys(
        (
            "CallEvent",
            "Ended",
            "PathChanged",
            "PictureChanged",
            "QualityChanged",
            "RemoteMuted",
            "StateChanged",
            "VideoRequested",
        ),
        "events",
    ),
    **dict.fromkeys((name for name in __all__ if name.endswith("Error")), "errors"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
