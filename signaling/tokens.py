"""Tokens: who somebody is, signed by whoever runs the service.

A short JSON Web Token (RFC 7519), HS256, with ``sub`` (the user's name), ``exp`` and, in its
header, ``kid`` (which of the keys).  Several keys may be good at once, so that one can be
replaced while tokens of the old one are about.  PyJWT compares signatures in constant time.
Tokens go into ``hello``, never into a URL, where proxies log them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import jwt

from ringline.signaling.errors import TokenError, TokenExpiredError

__all__ = ["NAME_PATTERN", "TokenKeys", "mint_token", "verify_token"]

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
"""The pattern of :data:`ringline.signaling.messages.Name`, for full matches."""

_ALGORITHM: Final = "HS256"
_ISSUED_BY: Final = "ringline"
_MIN_KEY_BYTES: Final = 32
"""As long as the hash, as RFC 7518 §3.2 requires of HS256."""
_MAX_LIFETIME: Final = 3600.0
"""A stolen token is good for an hour at most; sessions outlive it."""
_LEEWAY: Final = 10.0
"""Clocks of servers and of the issuer may differ this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKeys:
    """The keys that are good, by ``kid``; the first one mints.

    Raises:
        ValueError: If there is no key, or one is too short.

    """

    keys: Mapping[str, bytes] = field(repr=False)  # keys must not reach a log

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("expected at least one token key, got none")
        for kid, key in self.keys.items():
            if len(key) < _MIN_KEY_BYTES:
                raise ValueError(
                    f"token key {kid!r} has {len(key)} bytes, expected at least {_MIN_KEY_BYTES}"
                )
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))


def mint_token(keys: TokenKeys, name: str, *, wallclock: float, lifetime: float = 3600.0) -> str:
    """Return a token for a name.

    Args:
        keys: The first of them signs.
        name: The user's name.
        wallclock: Now, in Unix seconds.
        lifetime: Seconds that it is good for, at most an hour.

    Raises:
        ValueError: If the name or the lifetime is not possible.

    """
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(f"{name!r} is no possible name: letters, digits and . _ @ + - are")
    if not 0 < lifetime <= _MAX_LIFETIME:
        raise ValueError(f"lifetime must be within (0, {_MAX_LIFETIME:.0f}] s, got {lifetime}")
    kid, key = next(iter(keys.keys.items()))
    claims = {
        "iss": _ISSUED_BY,
        "sub": name,
        "iat": int(wallclock),
        "exp": int(wallclock + lifetime),
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": kid})


def verify_token(keys: TokenKeys, token: str, *, wallclock: float) -> str:
    """Return the name that a token stands for.

    Raises:
        TokenExpiredError: If it was good once.
        TokenError: If it is not good.

    """
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = keys.keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise TokenError("the token is signed with a key that this server does not have")
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],  # never the header's word: it could say "none"
            issuer=_ISSUED_BY,
            # Times are compared below: PyJWT reads the machine's clock, which a core must not.
            options={"require": ["sub", "exp", "iss"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.PyJWTError as error:
        raise TokenError(f"the token is not valid: {error}") from None
    name, expires, issued = claims["sub"], claims["exp"], claims.get("iat", 0)
    if not isinstance(expires, int | float) or not isinstance(issued, int | float):
        raise TokenError("the token's times are no numbers")
    if wallclock >= expires + _LEEWAY:
        raise TokenExpiredError("the token has expired")
    if issued > wallclock + _LEEWAY or expires > wallclock + _MAX_LIFETIME + _LEEWAY:
        raise TokenError("the token's times are too far in the future")
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise TokenError("the token's 'sub' is no possible name")
    return name


Verifier = Callable[[str], str]
"""Takes a token, returns the name; raises :exc:`TokenError`."""
