"""Interfaces: the addresses that this machine has, for the peer policy to know what is ours."""

from __future__ import annotations

import logging

import ifaddr

__all__ = ["interface_addresses"]

logger = logging.getLogger(__name__)


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
