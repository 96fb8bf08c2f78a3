"""Metrics: plain counters that the data path can afford, for a ``/metrics`` page to read.

The core only adds to integers.  Names, labels and exposition belong to who reads them.  There is
no counter per user: users are many, and their names are nobody's business there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Self

from ringline.turn.error_codes import ErrorCode

__all__ = ["DropReason", "TurnMetrics"]


class DropReason(Enum):
    """Why a datagram went no further."""

    MALFORMED = "malformed"
    """Neither ChannelData nor a STUN message that anybody sends to a server."""

    RATE_LIMITED = "rate_limited"
    """It needed an answer, and its source had its share of unauthenticated ones."""

    NO_ALLOCATION = "no_allocation"
    """Data from a client that has no allocation, or for a relay that is gone."""

    NO_CHANNEL = "no_channel"
    """ChannelData on a channel that is not bound, or no longer."""

    NO_PERMISSION = "no_permission"
    """Data to or from a peer that the client has no permission for."""

    DENIED_PEER = "denied_peer"
    """Data for a peer that the policy denies."""

    NEW_PEERS = "new_peers"
    """Data for a peer that is one more new one than the client may turn to so quickly."""

    BANDWIDTH = "bandwidth"
    """Data over the bandwidth of the allocation, the user or the server."""

    CONNECTIONS = "connections"
    """A peer's connection for an allocation that has as many as it may."""

    ICMP = "icmp"
    """An ICMP message of a kind that is nothing to a client, or one more than it is told of."""

    HANDSHAKE = "handshake"
    """A connection whose TLS handshake failed or took too long."""

    OVERSIZE = "oversize"
    """A datagram too long for the indication that would carry it."""

    SOCKET = "socket"
    """The operating system did not take or give it: no route, buffer full, too long."""


@dataclass(slots=True)
class TurnMetrics:
    """Everything since the start, besides ``allocations`` and ``peer_connections``, which are now.

    Attributes:
        allocations_moved: How often a client was followed to another socket (RFC 8016).
        relayed_inside: Datagrams from one relayed address of ours to another, which never saw
            the kernel; counted under both directions too.
        unauthenticated_replies: Binding answers and challenges, the ones an attacker can have.
        error_responses: Error answers by code, challenges included.
        dropped: Datagrams by reason.

    """

    allocations: int = 0
    peer_connections: int = 0
    allocations_created: int = 0
    allocations_moved: int = 0
    client_to_peer_datagrams: int = 0
    client_to_peer_bytes: int = 0
    peer_to_client_datagrams: int = 0
    peer_to_client_bytes: int = 0
    relayed_inside: int = 0
    unauthenticated_replies: int = 0
    error_responses: dict[ErrorCode, int] = field(
        default_factory=lambda: dict.fromkeys(ErrorCode, 0)
    )
    dropped: dict[DropReason, int] = field(default_factory=lambda: dict.fromkeys(DropReason, 0))

    def add(self, other: TurnMetrics) -> None:
        """Count what another server counted."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, dict):
                for key, count in theirs.items():
                    mine[key] += count
            else:
                setattr(self, each.name, mine + theirs)

    def dump(self) -> dict[str, Any]:
        """Return what :meth:`restore` makes the same of, ready for JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: {str(key.value): n for key, n in value.items()}
            if isinstance(value, dict)
            else value
            for name, value in values.items()
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any]) -> Self:
        """Return the counters that :meth:`dump` took apart."""
        metrics = cls()
        for name, value in values.items():
            mine = getattr(metrics, name)
            if isinstance(mine, dict):
                mine.update({key: value[str(key.value)] for key in mine})
            else:
                setattr(metrics, name, value)
        return metrics
