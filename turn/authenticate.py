"""Authenticate: does this request come from whom it says (RFC 8489 §9.2.4).

The steps are the RFC's, in its order; each ends with the code that it is refused with:

1. Not signed: 401, which carries realm, nonce and password algorithms for the next try.
2. Name (USERNAME or USERHASH), REALM or NONCE missing: 400.
3. PASSWORD-ALGORITHM that we did not offer, or PASSWORD-ALGORITHMS that are not our offer: 400.
   So nobody between the two can talk them into a weaker one.  Without both it is MD5.
4. Unknown user, or signed with another password: 401.
5. Nonce too old, or not made for this socket: 438.
6. Only on a new Allocate: credential expired, or not to be trusted that long: 401.  What is made
   again by a ticket of mobility is as new, which :meth:`Allocator.rebuild` sees to.

None of it stores anything.  A live allocation keeps the keys that it was made with, so that its
owner is recognised after the secret was rotated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ringline.turn.addresses import ClientSocket
from ringline.turn.allocation import Allocation
from ringline.turn.attributes import (
    NONCE,
    PASSWORD_ALGORITHM,
    REALM,
    USERHASH,
    USERNAME,
)
from ringline.turn.attributes import PASSWORD_ALGORITHMS as OFFERED_ALGORITHMS
from ringline.turn.credentials import Credentials
from ringline.turn.error_codes import ErrorCode
from ringline.turn.long_term import PASSWORD_ALGORITHMS, Keys, PasswordAlgorithm, user_hash
from ringline.turn.nonces import Nonces
from ringline.turn.respond import Request
from ringline.turn.stun import Message, Method

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

        ``allocation`` is the client's, if it has one, or that which a ConnectionBind is about.

        Raises:
            ParseError: If an attribute that is needed here is malformed.

        """
        if message.integrity is None:
            return ErrorCode.UNAUTHENTICATED
        username, hashed = message.get(USERNAME), message.get(USERHASH)
        nonce = message.get(NONCE)
        if (username is None and hashed is None) or nonce is None or message.get(REALM) is None:
            return ErrorCode.BAD_REQUEST
        algorithm = _agreed_algorithm(message)
        if algorithm is None:
            return ErrorCode.BAD_REQUEST
        if username is None and hashed is not None:
            username = self._find_user(hashed, allocation)
        keys = (
            None if username is None else self._find_keys(message, username, algorithm, allocation)
        )
        if keys is None or username is None:
            return ErrorCode.UNAUTHENTICATED
        if not self._nonces.is_fresh(nonce, client, now) and not (
            # A data connection of RFC 6062 may come with the nonce of its control connection.
            message.method == Method.CONNECTION_BIND
            and allocation is not None
            and allocation.client.host == client.host
            and self._nonces.is_fresh(nonce, allocation.client, now)
        ):
            return ErrorCode.STALE_NONCE
        if message.method == Method.ALLOCATE and allocation is None:
            wall_clock = self._wall_clock()
            if not self._credentials.may_allocate(username, wall_clock):
                return ErrorCode.UNAUTHENTICATED
        return Request(message, client, username, keys, algorithm)

    def _find_user(self, hashed: bytes, allocation: Allocation | None) -> str | None:
        """Return whose USERHASH it is.

        The name of a time-limited credential is not known before it is used, so that only the
        owner of a live allocation is found by it.
        """
        if allocation is not None and user_hash(allocation.username, self._realm) == hashed:
            return allocation.username
        return self._credentials.find_hashed(hashed)

    def _find_keys(
        self,
        message: Message,
        username: str,
        algorithm: PasswordAlgorithm,
        allocation: Allocation | None,
    ) -> Keys | None:
        """Return the keys of the password that it was signed with, if the user has such a one."""
        if allocation is not None and allocation.username == username:
            keys = allocation.keys
            return keys if message.verify_integrity(keys.get(algorithm)) else None
        for password in self._credentials.passwords(username):
            keys = Keys.derive(username, self._realm, password)
            if message.verify_integrity(keys.get(algorithm)):
                return keys
        return None


def _agreed_algorithm(message: Message) -> PasswordAlgorithm | None:
    """Return how the key was made, or :obj:`None` if that is not what we offered."""
    chosen, offered = message.get(PASSWORD_ALGORITHM), message.get(OFFERED_ALGORITHMS)
    if chosen is None and offered is None:
        return PasswordAlgorithm.MD5
    if chosen is None or offered != PASSWORD_ALGORITHMS or chosen[0] not in PASSWORD_ALGORITHMS:
        return None
    return PasswordAlgorithm(chosen[0])
