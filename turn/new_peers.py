"""New peers: how quickly a client may turn to peers that it has not talked to.

A call has a handful of peers; who scans ports or hosts through a relay has thousands.  So peers
that are new to an allocation draw on a bucket, whichever way they come in: CreatePermission
(which is for a host, noted with port 0), ChannelBind, Send for each port, and Connect.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ringline.turn.addresses import Address
from ringline.turn.bandwidth import TokenBucket

__all__ = ["NewPeers"]

REMEMBERED: Final = 256
"""Peers that are no news; after that the oldest is forgotten, and would be new again."""


class NewPeers:
    """The peers that an allocation has turned to.

    Args:
        rate: New ones a second, in the long run.
        burst: New ones at once.

    """

    __slots__ = ("_bucket", "_known")

    def __init__(self, rate: float, burst: int) -> None:
        self._bucket: Final = TokenBucket(rate, float(burst))
        self._known: Final[dict[Address, None]] = {}

    def admit(self, peers: Collection[Address], now: float) -> bool:
        """Take in all of ``peers``, or tell that too many of them are new."""
        new = [peer for peer in peers if peer not in self._known]
        if not new:
            return True
        if not self._bucket.has(len(new), now):
            return False
        self._bucket.take(len(new))
        for peer in new:
            self._known[peer] = None
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return True
