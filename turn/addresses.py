"""Addresses: who talks to the server, and in what form the core names them.

A host is text in its one canonical spelling (``192.0.2.1``, ``2001:db8::1``), as the operating
system and :mod:`ipaddress` print it, so that equal addresses are equal keys.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = [
    "Address",
    "AddressFamily",
    "ClientKey",
    "ClientSocket",
    "Transport",
    "family_of",
    "format_address",
    "pack_host",
    "parse_address",
    "source_of",
    "unpack_host",
]

_REMEMBERED: Final = 1024
"""Hosts whose packed form is kept, some 200 KiB: reading a host is a fifth of an allocation."""

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

    The other half is our own address.  There is one of each family at most, so that the client's
    family says which one it is.
    """

    host: str
    port: int
    transport: Transport = "udp"

    @property
    def address(self) -> Address:
        """Host and port alone."""
        return self.host, self.port


ClientKey: TypeAlias = tuple[str, int, Transport]
"""A client's socket as a plain tuple, which equals the :class:`ClientSocket` and is made in a tenth
of its time: for each datagram there is one, and most of them are but looked up."""


def family_of(host: str) -> AddressFamily:
    """Return the family of a host that is known to be an address."""
    return AddressFamily.IPV6 if ":" in host else AddressFamily.IPV4


def source_of(host: str) -> str:
    """Return what limits per source count a host under.

    An IPv6 subscriber has a /64 to choose addresses from, and often more (RFC 6177), so that it
    is the network that is counted there.
    """
    return host if ":" not in host else unpack_host(pack_host(host)[:8] + bytes(8))


def format_address(address: Address) -> str:
    """Return an address as people write it, and :func:`parse_address` reads it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(_REMEMBERED)
def pack_host(host: str) -> bytes:
    """Return a host as the 4 or 16 bytes of the wire; the same few are asked for again and again.

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
