"""Permissions: from which hosts an allocation takes data, and to which it sends (RFC 8656 §9).

Ended permissions need no timer: each look-up compares times, and the few that are dead are swept
out when room is needed.  There are never more than the limit, and they go with the allocation.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ringline.turn.addresses import AddressFamily, family_of

__all__ = ["Permission", "Permissions"]


@dataclass(slots=True)
class Permission:
    """A host that data may go to and come from, whatever its port.

    Attributes:
        expires_at: When it ends, unless renewed.
        relayed_only: Whether only our own live relays on that host are meant.

    """

    expires_at: float
    relayed_only: bool


class Permissions:
    """The permissions of one allocation.

    Args:
        limit: How many there may be at once.

    """

    __slots__ = ("_by_host", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._by_host: Final[dict[str, Permission]] = {}

    def __len__(self) -> int:
        return len(self._by_host)

    def has_room(self, hosts: Collection[str], now: float) -> bool:
        """Tell whether all of ``hosts`` can have one."""
        if len(self._by_host) + len(hosts) <= self._limit:
            return True
        for host in [h for h, p in self._by_host.items() if p.expires_at <= now]:
            del self._by_host[host]
        return len(self._by_host.keys() | set(hosts)) <= self._limit

    def install(self, host: str, expires_at: float, *, relayed_only: bool) -> None:
        """Make or renew a permission; one that lasts longer already is not cut short.

        The caller has asked :meth:`has_room`.
        """
        permission = self._by_host.get(host)
        if permission is None:
            self._by_host[host] = Permission(expires_at, relayed_only)
        else:
            permission.expires_at = max(permission.expires_at, expires_at)
            permission.relayed_only = relayed_only

    def forget(self, family: AddressFamily) -> None:
        """Remove those of a family whose relay has ended (RFC 8656 §8.2)."""
        for host in [h for h in self._by_host if family_of(h) is family]:
            del self._by_host[host]

    def find(self, host: str, now: float) -> Permission | None:
        """Return the live permission for a host, or :obj:`None`."""
        permission = self._by_host.get(host)
        if permission is None or permission.expires_at <= now:
            return None
        return permission
