"""Connection: one socket, from its opening to its end."""

from __future__ import annotations

from dataclasses import dataclass

from ringline.signaling.session import Session
from ringline.signaling.token_bucket import TokenBucket

__all__ = ["CloseSocket", "Connection", "Transmit"]


@dataclass(slots=True)
class Connection:
    """What the hub knows of a socket.

    Attributes:
        reached_host: Host part of where the client connected to, without port.
        bucket: How much it may send.
        last_heard: When anything came last.
        session: Set by its hello.
        pinged: A ping of ours is unanswered.
        bad_messages: Unreadable ones so far.
        refusing: Messages are being refused for coming too fast; the client was told.

    """

    number: int
    reached_host: str
    bucket: TokenBucket
    last_heard: float
    session: Session | None = None
    pinged: bool = False
    bad_messages: int = 0
    refusing: bool = False


@dataclass(slots=True)
class Transmit:
    """Send this text frame."""

    connection: int
    data: bytes


@dataclass(slots=True)
class CloseSocket:
    """Close the socket, after what was transmitted before."""

    connection: int
    code: int
    reason: str
