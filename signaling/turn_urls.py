"""TURN URLs: the form of the servers that an operator names (RFC 7065)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_turn_url"]

_FORM: Final = re.compile(
    r"turns?:(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?"
    r"(\?transport=(udp|tcp))?"
)


def is_turn_url(url: str) -> bool:
    """Tell whether this names a TURN server.

    >>> is_turn_url("turn:relay.example:3478?transport=udp")
    True
    >>> is_turn_url("relay.example:3478")
    False
    """
    found = _FORM.fullmatch(url)
    return found is not None and 0 < int(found["port"] or 3478) < 1 << 16
