"""Nonces: proof that a client receives at the address it claims, without remembering it.

A nonce is ``cookie || features || base64(time || MAC(key, time || client socket))``.  Whoever
presents one that verifies has received an answer of ours at that very socket not long ago.
Nothing is stored, so asking for nonces costs us no memory (RFC 8489 §9.2.1).

Cookie and features say what we can do, and come back to us in every request: somebody in between
who takes the better algorithms out of an answer cannot take them out of the nonce (§9.2).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from enum import IntFlag
from typing import Final

from ringline.turn.addresses import ClientSocket

__all__ = ["Nonces", "SecurityFeature"]

_COOKIE: Final = "obMatJos2"  # RFC 8489 §9.2
_TIME_SIZE: Final = 6  # bytes: milliseconds for the next 8,900 years
_PROOF_SIZE: Final = 12  # 96 bits: beyond guessing, and short in what a stranger is sent


class SecurityFeature(IntFlag):
    """A bit of the features (RFC 8489 §18.1), counted from the right as its erratum 6290 says."""

    PASSWORD_ALGORITHMS = 1
    USERNAME_ANONYMITY = 2


class Nonces:
    """Makes and checks nonces.

    Args:
        key: 32 random bytes; a new key ends every nonce made with the old one.
        lifetime: How long a nonce is good, in seconds.
        features: What a client is told that we can do.

    """

    def __init__(
        self,
        key: bytes,
        *,
        lifetime: float,
        features: SecurityFeature = SecurityFeature.PASSWORD_ALGORITHMS,
    ) -> None:
        self._key: Final = key
        self._lifetime: Final = lifetime
        self._prefix: Final = _COOKIE + base64.b64encode(int(features).to_bytes(3, "big")).decode()

    def make(self, client: ClientSocket, now: float) -> str:
        """Return a nonce for the client at that socket."""
        made = (int(now * 1000) & 0xFFFFFFFFFFFF).to_bytes(_TIME_SIZE, "big")
        return self._prefix + base64.b64encode(made + self._proof(client, made)).decode()

    def is_fresh(self, nonce: str, client: ClientSocket, now: float) -> bool:
        """Tell whether we made this nonce for this socket within the lifetime."""
        if not nonce.startswith(self._prefix):
            return False
        try:
            data = base64.b64decode(nonce[len(self._prefix) :], validate=True)
        except (binascii.Error, ValueError):
            return False
        made, proof = data[:_TIME_SIZE], data[_TIME_SIZE:]
        if not hmac.compare_digest(self._proof(client, made), proof):
            return False
        age = now - int.from_bytes(made, "big") / 1000
        return age < self._lifetime

    def _proof(self, client: ClientSocket, made: bytes) -> bytes:
        # Keyed BLAKE2b is a MAC by itself (RFC 7693), in a third of the time that an HMAC takes.
        text = f"{client.transport} {client.host} {client.port}".encode()
        return hashlib.blake2b(made + text, digest_size=_PROOF_SIZE, key=self._key).digest()
