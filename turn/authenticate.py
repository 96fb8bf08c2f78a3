"""Authenticate: does this request come from whom it says (RFC 8489 §9.2.4).

The steps are the RFC's, in its order; each ends with the code that it is refused with:

1. No MESSAGE-INTEGRITY: 401, which carries realm and nonce for the next try.
2. USERNAME, REALM or NONCE missing: 400.
3. Unknown user, or MESSAGE-INTEGRITY made with another password: 401.
4. Nonce too old, or not made for this socket: 438.
5. Only on a new Allocate: credential expired, or not to be trusted that long: 401.

None of it stores anything.  A live allocation keeps the key that it was made with, so that its
owner is recognised after the secret was rotated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ringline.turn.addresses import ClientSocket
from ringline.turn.allocation import Allocation
from ringline.turn.attributes import NONCE, REALM, USERNAME
from ringline.turn.credentials import Credentials
from ringline.turn.error_codes import ErrorCode
from ringline.turn.nonces import Nonces
from ringline.turn.respond import Request
from ringline.turn.stun import Message, Method, long_term_key

__all__ = ["Authenticator"]


class Authenticator:
    """Checks requests against the credentials.

    Args:
        wall_clock: Seconds since 1970, which credentials expire by.

    """

    def __init__(
        self,
        credentials: Credentials,
        nonces: Nonces,
        *,
        realm: str,
        wall_clock: Callable[[], float],
    ) -> None:
        self._credentials: Final = credentials
        self._nonces: Final = nonces
        self._realm: Final = realm
        self._wall_clock: Final = wall_clock

    def authenticate(
        self, message: Message, client: ClientSocket, allocation: Allocation | None, now: float
    ) -> Request | ErrorCode:
        """Return the request with who made it, or the code to refuse it with.

        ``allocation`` is the client's, if it has one.

        Raises:
            ParseError: If an attribute that is needed here is malformed.

        """
        if not message.has_integrity:
            return ErrorCode.UNAUTHENTICATED
        username, nonce = message.get(USERNAME), message.get(NONCE)
        if username is None or nonce is None or message.get(REALM) is None:
            return ErrorCode.BAD_REQUEST
        key = self._find_key(message, username, allocation)
        if key is None:
            return ErrorCode.UNAUTHENTICATED
        if not self._nonces.is_fresh(nonce, client, now):
            return ErrorCode.STALE_NONCE
        if message.method == Method.ALLOCATE and allocation is None:
            wall_clock = self._wall_clock()
            if not self._credentials.may_allocate(username, wall_clock):
                return ErrorCode.UNAUTHENTICATED
        return Request(message, client, username, key)

    def _find_key(
        self, message: Message, username: str, allocation: Allocation | None
    ) -> bytes | None:
        """Return the key that MESSAGE-INTEGRITY was made with, if the user has such a one."""
        if allocation is not None and allocation.username == username:
            return allocation.key if message.verify_integrity(allocation.key) else None
        for password in self._credentials.passwords(username):
            key = long_term_key(username, self._realm, password)
            if message.verify_integrity(key):
                return key
        return None
