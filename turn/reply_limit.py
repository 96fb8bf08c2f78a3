"""Reply limit: how often a source that has proved nothing is answered.

A datagram's source can be forged, and our answer then hits whoever is named.  So each source has
a bucket of answers that refills slowly.  The table has a constant size, whoever floods it: a
source is hashed to a slot under a secret key, and a newcomer takes the slot over.  An attacker
cannot find out which sources share a victim's slot, so the takeover gains it next to nothing; and
as nobody is refused for a stranger's deeds, a flood keeps no caller out.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import Final

__all__ = ["ReplyLimit"]

SLOTS: Final = 4096  # 96 KiB in all


class ReplyLimit:
    """A token bucket per source host.

    Args:
        key: 32 random bytes that choose the slots.
        rate: Answers per second and source, in the long run.
        burst: Answers that a source can have at once.

    """

    def __init__(self, key: bytes, *, rate: float, burst: int) -> None:
        self._key: Final = key
        self._rate: Final = rate
        self._burst: Final = float(burst)
        self._sources: Final = array("Q", bytes(8 * SLOTS))  # hash of who has the slot
        self._left: Final = array("d", bytes(8 * SLOTS))
        self._filled_at: Final = array("d", bytes(8 * SLOTS))

    def allow(self, host: str, now: float) -> bool:
        """Tell whether ``host`` may be answered now, and count the answer."""
        digest = hashlib.blake2b(host.encode(), digest_size=8, key=self._key).digest()
        source = int.from_bytes(digest, "big") | 1  # never 0, which marks an empty slot
        slot = source >> 1 & SLOTS - 1
        if self._sources[slot] == source:
            gained = (now - self._filled_at[slot]) * self._rate
            left = min(self._burst, self._left[slot] + gained)
        else:
            self._sources[slot] = source
            left = self._burst
        self._filled_at[slot] = now
        allowed = left >= 1.0
        self._left[slot] = left - 1.0 if allowed else left
        return allowed
