"""Server URL: where a STUN or TURN server is (RFC 7064, RFC 7065).

::

    turn:relay.example                    turns:[2001:db8::1]:443?transport=tcp
    scheme:host[:port][?transport=...]    an IPv6 address stands in brackets
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from ringline.turn.errors import ParseError

__all__ = ["MAX_URL_LENGTH", "ServerUrl", "parse_server_url"]

MAX_URL_LENGTH: Final = 300
"""A name has 253 characters at most (RFC 1035 §2.3.4)."""

_FORM: Final = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<host>[^][?:/@#%\s\x00]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:\?transport=(?P<transport>[a-z0-9._~-]+))?",
    re.IGNORECASE | re.ASCII,
)
_PORT: Final = 3478
_SECURE_PORT: Final = 5349


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A server's URL in its parts.

    Attributes:
        scheme: ``stun``, ``stuns``, ``turn`` or ``turns``.
        host: A name, or an address without brackets.
        port: 1 to 65535; by default 3478, over TLS 5349.
        transport: Between client and server: ``udp`` or ``tcp``, or one that we do not speak.

    """

    scheme: str
    host: str
    port: int
    transport: str

    @property
    def relays(self) -> bool:
        """Whether it is a TURN server."""
        return self.scheme.startswith("turn")

    @property
    def secure(self) -> bool:
        """Whether TLS (or DTLS) is spoken with it."""
        return self.scheme.endswith("s")


def parse_server_url(url: str) -> ServerUrl:
    """Return the parts of a URL.

    Raises:
        ParseError: If it is not of this form.

    >>> parse_server_url("turn:[2001:db8::1]:3478")
    ServerUrl(scheme='turn', host='2001:db8::1', port=3478, transport='udp')
    """
    found = None if len(url) > MAX_URL_LENGTH else _FORM.fullmatch(url)
    if found is None:
        raise ParseError("expected stun:HOST:PORT or turn:HOST:PORT?transport=udp")
    scheme, transport = found["scheme"].lower(), found["transport"]
    secure = scheme.endswith("s")
    if scheme.startswith("stun") and transport is not None:
        raise ParseError("expected no transport in the URL of a STUN server")  # RFC 7064 §3.1
    if found["ipv6"] is not None:
        try:
            ipaddress.IPv6Address(found["ipv6"])
        except ValueError:
            raise ParseError("expected an IPv6 address in brackets") from None
    port = int(found["port"] or (_SECURE_PORT if secure else _PORT))
    if not 0 < port < 1 << 16:
        raise ParseError(f"expected a port from 1 to 65535, got {port}")
    host = found["ipv6"] or found["host"]
    return ServerUrl(scheme, host, port, (transport or ("tcp" if secure else "udp")).lower())
