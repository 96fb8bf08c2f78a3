"""Key file: the keys that tokens are signed with, as text.

One key a line, 64 or more hexadecimal digits; the first one mints, all are good, so that a key is
replaced by putting a new line on top and deleting the old one an hour later.  Lines that begin
with ``#`` are comments.  A key's ``kid`` is made of the key, so the file needs no names.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from ringline.client.errors import LocalError
from ringline.signaling.tokens import TokenKeys

__all__ = ["make_key_file", "parse_key_file"]

_KEY_BYTES = 32
"""As long as the hash of HS256 (RFC 7518 §3.2)."""


def make_key_file(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return the text of a file with one fresh key."""
    comment = "# Signs the tokens of a Ringline server. Keep it secret."
    return f"{comment}\n{random_bytes(_KEY_BYTES).hex()}\n"


def parse_key_file(text: str, *, where: str) -> TokenKeys:
    """Read the keys.

    Args:
        text: Of the file.
        where: Its name, for messages.

    Raises:
        LocalError: If there is no key or one cannot be read; the message never quotes it.

    """
    keys: dict[str, bytes] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            key = bytes.fromhex(line)
        except ValueError:
            raise LocalError(f"{where}, line {number}: expected hexadecimal digits") from None
        keys[hashlib.sha256(key).hexdigest()[:8]] = key
    try:
        return TokenKeys(keys=keys)
    except ValueError as error:
        raise LocalError(f"{where}: {error}") from None
