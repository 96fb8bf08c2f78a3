"""Addresses: who talks to the server, and in what form the core names them.

A host is text in its one canonical spelling (``192.0.2.1``, ``2001:db8::1``), as the operating
system and :mod:`ipaddress` print it, so that equal addresses are equal keys.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from typing import Literal, NamedTuple, TypeAlias

__all__ = [
    "Address",
    "AddressFamily",
    "ClientSocket",
    "Transport",
    "pack_host",
    "parse_address",
    "unpack_host",
]

Address: TypeAlias = tuple[str, int]
"""Host and port.  A plain tuple, so that what a socket returns is a key without conversion."""

Transport: TypeAlias = Literal["udp", "tcp", "tls"]
"""What a client reaches the server over.  Text because it is part of a key that is looked up for
each datagram, and the hash of an :class:`~enum.Enum` member is computed in Python."""


class AddressFamily(IntEnum):
    """Family as the address attributes number it (RFC 8489 §14.1)."""

    IPV4 = 1
    IPV6 = 2


class ClientSocket(NamedTuple):
    """A client's end of the five-tuple that an allocation belongs to (RFC 8656 §3.2).

    The other half, our own address, is the same for each client of one listener.
    """

    host: str
    port: int
    transport: Transport = "udp"

    @property
    def address(self) -> Address:
        """Host and port alone."""
        return self.host, self.port


def pack_host(host: str) -> bytes:
    """Return a host as the 4 or 16 bytes of the wire.

    Raises:
        ValueError: If it is no address.

    """
    return ipaddress.ip_address(host).packed


def parse_address(text: str) -> Address:
    """Return ``192.0.2.1:3478`` or ``[2001:db8::1]:3478`` as an address.

    Raises:
        ValueError: If it is none.

    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"expected an address such as 192.0.2.1:3478, got {text!r}")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    return str(ipaddress.IPv4Address(host)), int(port)


def unpack_host(packed: bytes) -> str:
    """Return 4 or 16 bytes of the wire as a host in its canonical spelling."""
    if len(packed) == 4:
        return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}"
    return str(ipaddress.IPv6Address(packed))
