"""Token bucket: how many messages a session may send.

Tokens drip in at a steady rate up to ``burst``; a message takes one.  The bucket goes into debt
down to ``-burst``, so that who goes on sending although refused is told apart from who was
quick once.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TokenBucket"]


class TokenBucket:
    """A token bucket.

    Args:
        rate: Tokens per second.
        burst: Tokens when full.
        now: When it is full first.

    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take one token; return what is left, below 0 if there was none."""
        left = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1.0
        self._at = now
        self._tokens = max(left, -float(self._burst))
        return left

    @property
    def exhausted(self) -> bool:
        """Whether a whole burst was taken on top of what was there."""
        return self._tokens <= -self._burst

    def retry_after(self) -> float:
        """Return in how many seconds there is a token again."""
        return max(0.0, (1.0 - self._tokens) / self._rate)
