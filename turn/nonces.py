"""Nonces: proof that a client receives at the address it claims, without remembering it.

A nonce is ``time || HMAC(key, client socket || time)``, in hexadecimal.  Whoever presents one
that verifies has received an answer of ours at that very socket not long ago.  Nothing is stored,
so asking for nonces costs us no memory (RFC 8489 §9.2.1).
"""

from __future__ import annotations

import hmac
from typing import Final

from ringline.turn.addresses import ClientSocket

__all__ = ["Nonces"]

_TIME_SIZE: Final = 12  # hexadecimal digits: milliseconds for the next 8,900 years
_PROOF_SIZE: Final = 24  # hexadecimal digits, 96 bits: beyond guessing, and 12 bytes shorter


class Nonces:
    """Makes and checks nonces.

    Args:
        key: 32 random bytes; a new key ends every nonce made with the old one.
        lifetime: How long a nonce is good, in seconds.

    """

    def __init__(self, key: bytes, *, lifetime: float) -> None:
        self._key: Final = key
        self._lifetime: Final = lifetime

    def make(self, client: ClientSocket, now: float) -> str:
        """Return a nonce for the client at that socket."""
        made = f"{int(now * 1000) & 0xFFFFFFFFFFFF:0{_TIME_SIZE}x}"
        return made + self._proof(client, made)

    def is_fresh(self, nonce: str, client: ClientSocket, now: float) -> bool:
        """Tell whether we made this nonce for this socket within the lifetime."""
        made, proof = nonce[:_TIME_SIZE], nonce[_TIME_SIZE:]
        expected = self._proof(client, made)
        # Bytes, because comparing text refuses what is not ASCII.
        if not hmac.compare_digest(expected.encode(), proof.encode()):
            return False
        age = now - int(made, 16) / 1000  # digits: we made them
        return age < self._lifetime

    def _proof(self, client: ClientSocket, made: str) -> str:
        text = f"{made} {client.transport} {client.host} {client.port}".encode()
        return hmac.digest(self._key, text, "sha256").hex()[:_PROOF_SIZE]
