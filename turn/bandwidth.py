"""Bandwidth: how many bytes a second an allocation, its user and all users may have passed on.

Each limit is a token bucket: it holds the bytes that may go at once, and fills with the rate.  An
allocation has a bucket of its own, shares one with the other allocations of its user and one with
everybody; what a datagram takes it takes from all three, or it is dropped and takes from none.
Both directions count; a datagram between two relays of ours counts for each of them.

A compiled data plane has a bucket of its own make, which behaves the same, so that both ways draw
on one count.  Without limits there are no buckets, and nothing is paid for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

__all__ = ["Bandwidth", "Bucket", "MakeBucket", "TokenBucket", "may_pass"]

SMALLEST_BURST: Final = 65_535
"""Bytes of the longest datagram: a bucket that cannot hold it would never let it pass."""

_IDLE_LOOKED_AT: Final = 4  # buckets of idle users looked at for each new allocation


class Bucket(Protocol):
    """What limits a rate; a float of tokens that the clock of ``now`` refills."""

    def has(self, size: float, now: float) -> bool:
        """Tell whether there are ``size`` tokens."""

    def take(self, size: float) -> None:
        """Take them; the caller has asked."""


MakeBucket: TypeAlias = Callable[[float, float], Bucket]
"""Makes a full bucket of a rate, tokens a second, and a size."""


class TokenBucket:
    """A bucket in Python."""

    __slots__ = ("_filled_at", "_left", "_rate", "_size")

    def __init__(self, rate: float, size: float) -> None:
        self._rate: Final = rate
        self._size: Final = size
        self._left = size
        self._filled_at = float("-inf")

    def has(self, size: float, now: float) -> bool:
        """Tell whether there are ``size`` tokens."""
        if now > self._filled_at:
            self._left = min(self._size, self._left + (now - self._filled_at) * self._rate)
            self._filled_at = now
        return self._left >= size

    def take(self, size: float) -> None:
        """Take them; the caller has asked."""
        self._left -= size


def may_pass(buckets: Sequence[Bucket], size: int, now: float) -> bool:
    """Take ``size`` from all the buckets, or tell that one of them has too little."""
    for bucket in buckets:
        if not bucket.has(size, now):
            return False
    for bucket in buckets:
        bucket.take(size)
    return True


class Bandwidth:
    """The buckets of everybody.

    Args:
        per_allocation: Bytes a second; :obj:`None` is no limit, here and below.
        per_user: Likewise, of all allocations of a user.
        total: Likewise, of all users.
        burst: Seconds of its rate that a bucket holds.
        make: Makes buckets.

    """

    def __init__(
        self,
        *,
        per_allocation: float | None,
        per_user: float | None,
        total: float | None,
        burst: float,
        make: MakeBucket = TokenBucket,
    ) -> None:
        self._per_allocation: Final = per_allocation
        self._per_user: Final = per_user
        self._burst: Final = burst
        self._make: Final = make
        self._total: Final = None if total is None else self._new(total)
        self._by_user: Final[dict[str, Bucket]] = {}
        self._held: Final[dict[str, int]] = {}
        self._idle: Final[dict[str, None]] = {}

    def __len__(self) -> int:
        """Return how many users have a bucket."""
        return len(self._by_user)

    def take_part(self, user: str, now: float) -> tuple[Bucket, ...]:
        """Return the buckets of a new allocation; :meth:`leave` gives back its user's."""
        buckets = []
        if self._per_allocation is not None:
            buckets.append(self._new(self._per_allocation))
        if self._per_user is not None:
            buckets.append(self._user_bucket(user, self._per_user, now))
        if self._total is not None:
            buckets.append(self._total)
        return tuple(buckets)

    def leave(self, user: str) -> None:
        """Count an allocation less.

        The bucket of a user who has none is kept until it is full: to allocate again and again
        fills no bucket.
        """
        if self._per_user is None:
            return
        left = self._held.pop(user) - 1
        if left:
            self._held[user] = left
        else:
            self._idle[user] = None

    def _new(self, rate: float) -> Bucket:
        return self._make(rate, self._size(rate))

    def _size(self, rate: float) -> float:
        return max(rate * self._burst, float(SMALLEST_BURST))

    def _user_bucket(self, user: str, rate: float, now: float) -> Bucket:
        self._idle.pop(user, None)
        for name in list(itertools.islice(self._idle, _IDLE_LOOKED_AT)):
            self._forget_if_full(name, rate, now)
        self._held[user] = self._held.get(user, 0) + 1
        bucket = self._by_user.get(user)
        if bucket is None:
            bucket = self._by_user[user] = self._new(rate)
        return bucket

    def _forget_if_full(self, user: str, rate: float, now: float) -> None:
        del self._idle[user]
        if self._by_user[user].has(self._size(rate), now):
            del self._by_user[user]
        else:
            self._idle[user] = None  # behind the others: it is looked at again
