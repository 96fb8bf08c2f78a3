"""Credentials: who may ask the server for a relay.

Two kinds, side by side:

* *time-limited*: the user name is ``<expiry>:<user>:<call>`` and the password is the base64
  HMAC-SHA1 of it under a secret that signaling and TURN share.  Signaling mints them per call
  (:func:`mint`); the server needs no list of users.  Several secrets at once let one be rotated:
  the server takes all of them, signaling mints with the newest.
* *static*: names and passwords that an operator configured.

The expiry is looked at when an allocation is made and never again: a call that outlives its
credential keeps its relay; one that ends before it can lose it
(:meth:`~ringline.turn.io_service.TurnService.end_call`).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ringline.turn.long_term import user_hash

__all__ = ["Credential", "Credentials", "mint"]

_EXPIRY_DIGITS: Final = 12  # seconds since 1970 need ten; more is nonsense


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client puts into its TURN configuration."""

    username: str
    password: str = field(repr=False)


def mint(secret: str, *, user: str, call: str, expires_at: float) -> Credential:
    """Return a time-limited credential.

    Args:
        secret: The newest of the server's secrets.
        user: Whose it is; the server's quota counts by it.  No colon.
        call: What it is for, so that each call has credentials of its own.  No colon.
        expires_at: Wall-clock time, seconds since 1970, after which no allocation is made with
            it; rounded up.

    Raises:
        ValueError: If ``secret`` is empty or ``user`` or ``call`` holds a colon.

    """
    if not secret:
        raise ValueError("secret: empty, so that anybody could mint")
    for name, value in (("user", user), ("call", call)):
        if ":" in value:
            raise ValueError(f"{name}: {value!r} holds a colon, which separates the parts")
    username = f"{-int(-expires_at // 1)}:{user}:{call}"
    return Credential(username, _time_limited_password(secret, username))


class Credentials:
    """Every credential that the server accepts.

    Args:
        users: Static ones, name to password.
        secrets: What time-limited ones may be minted with.
        max_lifetime: Seconds that a time-limited one may still have to live when it is used; one
            with more was minted by mistake, and would be as good as a static one.
        realm: Part of what a user name is hashed with.

    """

    def __init__(
        self, *, users: Mapping[str, str], secrets: Sequence[str], max_lifetime: float, realm: str
    ) -> None:
        self._users: Final = dict(users)
        self._secrets: Final = tuple(secrets)
        self._max_lifetime: Final = max_lifetime
        self._by_hash: Final = {user_hash(user, realm): user for user in users}

    @property
    def can_be_hashed(self) -> bool:
        """Whether every user is found by a hash; those of minted credentials are not."""
        return not self._secrets

    def find_hashed(self, hashed: bytes) -> str | None:
        """Return the static user whose USERHASH this is."""
        return self._by_hash.get(hashed)

    def passwords(self, username: str) -> tuple[str, ...]:
        """Return the passwords that prove this user name; none if nobody has that name."""
        if username in self._users:
            return (self._users[username],)
        if _split(username) is None:
            return ()
        return tuple(_time_limited_password(secret, username) for secret in self._secrets)

    def may_allocate(self, username: str, wall_clock: float) -> bool:
        """Tell whether a name that proved itself is within its time."""
        if username in self._users:
            return True
        parts = _split(username)
        return parts is not None and 0 < parts[0] - wall_clock <= self._max_lifetime

    def call_of(self, username: str) -> str | None:
        """Return the call that a time-limited credential was minted for, if it says so."""
        if username in self._users or _split(username) is None:
            return None
        return username.split(":", 2)[2] if username.count(":") > 1 else None

    def quota_name(self, username: str) -> str:
        """Return the name that allocations are counted under: the user, whatever the call."""
        if username in self._users:
            return username
        parts = _split(username)
        return username if parts is None else parts[1]


def _split(username: str) -> tuple[int, str] | None:
    """Return expiry and user of a time-limited name; the call is optional and not looked at."""
    expiry, colon, rest = username.partition(":")
    if not colon or not expiry.isascii() or not expiry.isdecimal() or len(expiry) > _EXPIRY_DIGITS:
        return None
    return int(expiry), rest.partition(":")[0]


def _time_limited_password(secret: str, username: str) -> str:
    # SHA-1 is what coturn and every service that mints such credentials agreed on; as an HMAC
    # it is not touched by SHA-1's collisions.
    return base64.b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()
