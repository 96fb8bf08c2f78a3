"""Exit codes: what a script learns from how a command ended.

The numbers are a promise: a script may switch over them for ever.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ringline.client.errors import (
    BusyError,
    CallFailedError,
    ConnectionFailedError,
    DeclinedError,
    NameTakenError,
    NoAnswerError,
    OfflineError,
    ServerUnreachableError,
    UnauthorizedError,
)

__all__ = ["ExitCode", "code_of_end_reason", "code_of_error"]


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    ERROR = 1
    """Anything that has no number of its own; the line on standard error says what."""
    USAGE = 2
    """The command line cannot be meant so."""
    BUSY = 3
    """They are in another call."""
    DECLINED = 4
    """They said no."""
    NO_ANSWER = 5
    """It rang, and nobody answered."""
    NOT_ALLOWED = 6
    """The server does not let us call them."""
    NETWORK = 7
    """No server, nobody of that name there, or no path for media."""
    AUTH = 8
    """The token is wrong, or somebody else has the name."""
    INTERRUPTED = 130
    """Ctrl-C before there was anything to end; the shell's number for it."""


_OF_REASON: Final[dict[str, ExitCode]] = {
    "hangup": ExitCode.OK,
    "busy": ExitCode.BUSY,
    "declined": ExitCode.DECLINED,
    "declined_elsewhere": ExitCode.DECLINED,
    "no_answer": ExitCode.NO_ANSWER,
    "need_permission": ExitCode.NOT_ALLOWED,
    "blocked": ExitCode.NOT_ALLOWED,
    "policy_ended": ExitCode.NOT_ALLOWED,
    "operator_ended": ExitCode.NOT_ALLOWED,
    "offline": ExitCode.NETWORK,
    "connect_timeout": ExitCode.NETWORK,
    "ice_failed": ExitCode.NETWORK,
    "connection_lost": ExitCode.NETWORK,
    "signaling_failed": ExitCode.NETWORK,
    "server_shutdown": ExitCode.NETWORK,
}

_OF_ERROR: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (BusyError, ExitCode.BUSY),
    (DeclinedError, ExitCode.DECLINED),
    (NoAnswerError, ExitCode.NO_ANSWER),
    (OfflineError, ExitCode.NETWORK),
    (ConnectionFailedError, ExitCode.NETWORK),
    (ServerUnreachableError, ExitCode.NETWORK),
    (UnauthorizedError, ExitCode.AUTH),
    (NameTakenError, ExitCode.AUTH),
)


def code_of_end_reason(reason: str) -> ExitCode:
    """Return the code for a call that ended, by its reason in ``ringline.v1``."""
    return _OF_REASON.get(reason, ExitCode.ERROR)


def code_of_error(error: Exception) -> ExitCode:
    """Return the code for an error that ended a command."""
    for kind, code in _OF_ERROR:
        if isinstance(error, kind):
            return code
    if isinstance(error, CallFailedError):
        return code_of_end_reason(error.reason)
    return ExitCode.ERROR
