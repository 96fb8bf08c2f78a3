"""Long-term: the keys of long-term credentials, and what a user may be called instead of a name.

A key is a digest of user name, realm and password (RFC 8489 §9.2.2); which digest is a *password
algorithm*, and client and server agree on one per request (§9.2.4, §18.5):

=========  ======  ==========================================================
algorithm  number  digest
=========  ======  ==========================================================
MD5        1       what every client computes that knows nothing of the others
SHA-256    2       what the server asks for first
=========  ======  ==========================================================

A user name may travel as *USERHASH*, a digest of name and realm, so that who listens does not
learn it (§14.4).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

__all__ = ["PASSWORD_ALGORITHMS", "Keys", "PasswordAlgorithm", "long_term_key", "user_hash"]


class PasswordAlgorithm(IntEnum):
    """How a password becomes a key (RFC 8489 §18.5)."""

    MD5 = 1
    SHA256 = 2


PASSWORD_ALGORITHMS: Final = (PasswordAlgorithm.SHA256, PasswordAlgorithm.MD5)
"""What is offered, best first."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one password, by algorithm."""

    md5: bytes = field(repr=False)
    sha256: bytes = field(repr=False)

    @classmethod
    def derive(cls, username: str, realm: str, password: str) -> Keys:
        """Return the keys of a user's password."""
        return cls(
            long_term_key(username, realm, password, PasswordAlgorithm.MD5),
            long_term_key(username, realm, password, PasswordAlgorithm.SHA256),
        )

    def get(self, algorithm: PasswordAlgorithm) -> bytes:
        """Return the key by one algorithm."""
        return self.md5 if algorithm is PasswordAlgorithm.MD5 else self.sha256


def long_term_key(
    username: str,
    realm: str,
    password: str,
    algorithm: PasswordAlgorithm = PasswordAlgorithm.MD5,
) -> bytes:
    """Return the key that messages are signed with (RFC 8489 §18.5.1): 16 or 32 bytes.

    The password hashed here is either an operator's or the HMAC of a secret, never one that a
    person chose elsewhere, so a fast digest gives nothing away.
    """
    text = f"{username}:{realm}:{password}".encode()
    if algorithm is PasswordAlgorithm.MD5:
        return hashlib.md5(text, usedforsecurity=False).digest()
    return hashlib.sha256(text).digest()


def user_hash(username: str, realm: str) -> bytes:
    """Return the 32 bytes of USERHASH (RFC 8489 §14.4)."""
    return hashlib.sha256(f"{username}:{realm}".encode()).digest()
