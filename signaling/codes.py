"""Codes: the closed lists of ``ringline.v1``: end reasons, error codes, WebSocket close codes.

A program may switch over these for ever: a new value is a new protocol version.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

__all__ = ["CLIENT_END_REASONS", "CloseCode", "EndReason", "ErrorCode"]


class EndReason(StrEnum):
    """Why a call ended; the server decides, both sides are told the same."""

    HANGUP = "hangup"
    """A member of an accepted call hung up."""
    CANCELLED = "cancelled"
    """The caller gave up before anybody accepted."""
    DECLINED = "declined"
    """The callee said no."""
    DECLINED_ELSEWHERE = "declined_elsewhere"
    """Another device of the same callee said no; told to the callee's other devices only."""
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    """Another device of the same callee accepted; told to the callee's other devices only."""
    BUSY = "busy"
    """The callee is in another call."""
    NO_ANSWER = "no_answer"
    """The ring time ran out."""
    OFFLINE = "offline"
    """No device of the callee is there."""
    NEED_PERMISSION = "need_permission"
    """The callee wants to be asked before this caller may ring."""
    BLOCKED = "blocked"
    """The callee blocks the caller; never told to the caller, who gets ``no_answer``."""
    GLARE_REPLACED = "glare_replaced"
    """Both called each other at once and the other call won; ``replaced_by`` names it."""
    REPLACED = "replaced"
    """The same device called the same person anew; ``replaced_by`` names that call."""
    CONNECT_TIMEOUT = "connect_timeout"
    """Accepted, but no media path was ever found."""
    ICE_FAILED = "ice_failed"
    """ICE tried all pairs and found none."""
    CONNECTION_LOST = "connection_lost"
    """The media path was lost and did not come back."""
    MEDIA_FAILED = "media_failed"
    """A device or a codec failed."""
    SIGNALING_FAILED = "signaling_failed"
    """Every member's session has expired, or the caller's has while it rang."""
    UNSUPPORTED = "unsupported"
    """Offer and answer have nothing in common."""
    EXPIRED = "expired"
    """The invite was too old when it came."""
    POLICY_ENDED = "policy_ended"
    """A rule of the service ended the call."""
    OPERATOR_ENDED = "operator_ended"
    """A person running the service ended the call."""
    SERVER_SHUTDOWN = "server_shutdown"
    """The server went away while it rang; accepted calls go on without it."""
    APP_ERROR = "app_error"
    """The program of a member failed."""


CLIENT_END_REASONS: Final = frozenset(
    {
        EndReason.HANGUP,
        EndReason.CONNECT_TIMEOUT,
        EndReason.ICE_FAILED,
        EndReason.CONNECTION_LOST,
        EndReason.MEDIA_FAILED,
        EndReason.SIGNALING_FAILED,
        EndReason.UNSUPPORTED,
        EndReason.APP_ERROR,
    }
)
"""What a client may give in ``call.end``; any other is taken as ``app_error``."""


class ErrorCode(StrEnum):
    """What an ``error`` message is about."""

    BAD_MESSAGE = "bad_message"
    """Not JSON, a field is missing, or a value is out of its bounds."""
    UNSUPPORTED = "unsupported"
    """A message type that this server does not know; it was ignored."""
    UNAUTHORIZED = "unauthorized"
    """The token is missing or wrong."""
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - the name of a code
    """The token was good once."""
    NAME_INVALID = "name_invalid"
    """The name is empty, too long or has characters that are not allowed."""
    NAME_TAKEN = "name_taken"
    """Somebody else is there under that name."""
    HELLO_EXPECTED = "hello_expected"
    """The first message was no hello, or none came in time."""
    RESUME_REFUSED = "resume_refused"
    """That session is unknown, expired, or cannot be replayed; say hello without ``resume``."""
    REPLACED = "replaced"
    """The same device came with a newer session."""
    RATE_LIMITED = "rate_limited"
    """Too many messages."""
    OVERLOADED = "overloaded"
    """Too many connections or calls."""
    DRAINING = "draining"
    """The server is about to stop; it takes no new calls."""
    UNKNOWN_CALL = "unknown_call"
    """No call of that id, or this user is no member of it."""
    CALL_EXISTS = "call_exists"
    """An invite with the id of somebody else's call."""
    WRONG_STATE = "wrong_state"
    """The call is in no state for that message."""
    NOT_ALLOWED = "not_allowed"
    """This member may not do that, for instance call oneself."""


class CloseCode(IntEnum):
    """WebSocket close codes (RFC 6455 §7.4; 4000-4999 are ours)."""

    NORMAL = 1000
    """The client is done: its session ends at once."""
    GOING_AWAY = 1001
    """The server stops; come back later."""
    POLICY = 1008
    """Binary frames, or too many unreadable ones."""
    TOO_BIG = 1009
    """A message above the limit."""
    OVERLOADED = 1013
    """Too many connections; come back later."""
    AUTH_FAILED = 4001
    """The error message before it says why; coming back with the same words is of no use."""
    TOKEN_EXPIRED = 4002
    """Come back with a fresh token."""
    REPLACED = 4003
    """A newer socket or session of the same device took over."""
    RATE_LIMITED = 4008
    """Too many messages, for too long."""
    RESUME_REFUSED = 4009
    """Come back without ``resume``."""
    GAP = 4010
    """A numbered message is missing; come back with ``resume``, and all unacknowledged are sent
    again."""
    DEAD = 4011
    """Nothing came for too long, no ping either; come back with ``resume``."""
