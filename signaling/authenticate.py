"""Authenticate: whom a hello makes of its sender.

With keys, a signed token says it (:mod:`ringline.signaling.tokens`).  In ``dev`` mode the client
does: any name, as long as nobody else has it; that check is the hub's, who knows the sessions.
"""

from __future__ import annotations

from collections.abc import Callable

from ringline.signaling.codes import ErrorCode
from ringline.signaling.errors import HelloRefusedError, TokenError, TokenExpiredError
from ringline.signaling.messages import Hello
from ringline.signaling.tokens import NAME_PATTERN, TokenKeys, verify_token

__all__ = ["Authenticate", "authenticate_by_name", "authenticate_by_token"]

Authenticate = Callable[[Hello], str]
"""Takes a hello, returns the user's name; raises :exc:`HelloRefusedError`."""


def authenticate_by_token(keys: TokenKeys, wallclock: Callable[[], float]) -> Authenticate:
    """Return what checks tokens.

    Args:
        keys: Those that are good.
        wallclock: Gives Unix seconds.

    """

    def authenticate(hello: Hello) -> str:
        if hello.token is None:
            raise HelloRefusedError(ErrorCode.UNAUTHORIZED, "this server wants a token")
        try:
            return verify_token(keys, hello.token, wallclock=wallclock())
        except TokenExpiredError as error:
            raise HelloRefusedError(ErrorCode.TOKEN_EXPIRED, str(error)) from None
        except TokenError as error:
            raise HelloRefusedError(ErrorCode.UNAUTHORIZED, str(error)) from None

    return authenticate


def authenticate_by_name(hello: Hello) -> str:
    """Take the client's word for its name: ``dev`` mode."""
    if hello.name is None or not NAME_PATTERN.fullmatch(hello.name):
        raise HelloRefusedError(
            ErrorCode.NAME_INVALID,
            "expected a name of 1 to 64 letters, digits and . _ @ + -, beginning with a letter "
            f"or digit, got {'none' if hello.name is None else repr(hello.name[:80])}",
        )
    return hello.name
