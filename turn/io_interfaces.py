"""Interfaces: the addresses that this machine has: what is ours, and what faces a client."""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import Final

import ifaddr

from ringline.turn.addresses import Address, AddressFamily, family_of

__all__ = ["address_facing", "interface_addresses"]

logger = logging.getLogger(__name__)

_ANYWHERE: Final = {AddressFamily.IPV4: "192.0.2.1", AddressFamily.IPV6: "2001:db8::1"}
"""Somewhere in the Internet, to ask the kernel for the route to; nothing is ever sent there."""

_LOOPBACK: Final = {AddressFamily.IPV4: "127.0.0.1", AddressFamily.IPV6: "::1"}


def interface_addresses() -> frozenset[str] | None:
    """Return the addresses of all interfaces, IPv6 without a zone.

    :obj:`None` if the system does not tell, which is logged.
    """
    try:
        adapters = list(ifaddr.get_adapters())
    except OSError as error:
        logger.warning("TURN: cannot list the addresses of this machine: %s", error)
        return None
    return frozenset(
        ip.ip.partition("%")[0] if isinstance(ip.ip, str) else ip.ip[0].partition("%")[0]
        for adapter in adapters
        for ip in adapter.ips
    )


def address_facing(client: Address, family: AddressFamily) -> str:
    """Return the address of ours, of a family, that is on the way to a client.

    Raises:
        OSError: If this machine has none.

    """
    # Connecting a datagram socket sends nothing; it only asks the kernel for the route.
    kind = socket.AF_INET6 if family is AddressFamily.IPV6 else socket.AF_INET
    with socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.connect((_towards(client[0], family), client[1]))
        facing: str = probe.getsockname()[0]
    return facing


def _towards(client: str, family: AddressFamily) -> str:
    """Return a host of a family that lies where the client is."""
    if family_of(client) is family:
        return client
    return (_LOOPBACK if ipaddress.ip_address(client).is_loopback else _ANYWHERE)[family]
