"""Errors of the signaling package.

::

    SignalingServerError
    ├── ParseError             a message breaks the protocol; the peer's fault
    │   └── UnsupportedError   its type is unknown: newer than we are
    ├── TokenError             a token does not let its bearer in
    │   └── TokenExpiredError  it did, once
    ├── HelloRefusedError      a client may not come in; carries the wire's code
    └── ServerStartError       the server cannot run here: port in use, page missing ...

A bad message never ends the process: the session that sent it gets an ``error``.
"""

from __future__ import annotations

from ringline.signaling.codes import ErrorCode

__all__ = [
    "HelloRefusedError",
    "ParseError",
    "ServerStartError",
    "SignalingServerError",
    "TokenError",
    "TokenExpiredError",
    "UnsupportedError",
]


class SignalingServerError(Exception):
    """Base of every error that this package defines."""


class ParseError(SignalingServerError):
    """A message breaks the protocol.  The only error that the parsers raise.

    Attributes:
        ref: The message's ``id``, or else its ``t``, as far as these could be read.
        seq: Its number, which counts as received; 0 if there is none.

    """

    def __init__(self, message: str, *, ref: str | None = None, seq: int = 0) -> None:
        super().__init__(message)
        self.ref = ref
        self.seq = seq


class UnsupportedError(ParseError):
    """A message of unknown type; to be ignored by a client, answered with an error by a server."""


class TokenError(SignalingServerError):
    """A token does not let its bearer in.  The message never quotes the token."""


class TokenExpiredError(TokenError):
    """The token was good once."""


class HelloRefusedError(SignalingServerError):
    """A client may not come in.

    Attributes:
        code: What the client is told.

    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class ServerStartError(SignalingServerError):
    """The server cannot run here; the message is one line for a person."""
