"""Origin: which web pages may open a socket to us, and by which host a client reached us.

Browsers let any page open a WebSocket to any server and send the server's cookies along
(cross-site WebSocket hijacking); only the ``Origin`` header tells whose page it is.  Programs
send none, and are let in: they have no cookies that somebody else could use.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

__all__ = ["check_origin", "host_without_port", "origin_allowed"]

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(:[0-9]{1,5})?")


def origin_allowed(origin: str | None, host: str | None, allowed: Collection[str] = ()) -> bool:
    """Say whether a page of this origin may connect.

    Args:
        origin: The ``Origin`` header.
        host: The ``Host`` header: a page served under the same host is ours.
        allowed: Other good origins, exact (``https://app.example``).

    """
    if origin is None:
        return True
    if origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return (
        host is not None
        and parts.scheme in ("http", "https")
        and parts.netloc.lower() == host.lower()
    )


def check_origin(origin: str) -> None:
    """Refuse what no browser would ever send as an origin (RFC 6454 §6.2).

    Args:
        origin: That somebody wants to allow.

    Raises:
        ValueError: If it is not ``scheme://host`` with perhaps a port, in lower case and without
            a path: it would match nothing, silently.

    """
    try:
        parts = urlsplit(origin)
        is_origin = (
            parts.hostname is not None
            and parts.port != 0
            and not parts.username
            and origin == f"{parts.scheme}://{parts.netloc}".lower()
        )
    except ValueError:
        is_origin = False
    if not is_origin:
        raise ValueError(f"expected an origin such as https://app.example, got {origin!r}")


def host_without_port(host: str | None) -> str | None:
    """Return the host of a ``Host`` header, IPv6 addresses without brackets.

    :obj:`None` for a header that is absent or malformed, and for a wildcard address, which names
    no machine.
    """
    match = _HOST.fullmatch(host or "")
    if match is None:
        return None
    name = match[1].strip("[]")
    return None if name in ("0.0.0.0", "::") else name  # noqa: S104 - compared, not bound
