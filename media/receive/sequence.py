"""Sequence: continue 16-bit sequence numbers, and tell a jump from a new beginning.

RFC 3550 appendix A.1: a small step ahead or back is loss or reordering; a large one counts only
when a second packet follows right behind it, for then the sender has restarted.  So one hostile
or damaged number changes nothing.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SequenceTracker"]

_MAX_DROPOUT: Final = 3_000
"""Numbers that may be missing in a row: 12 s of 2 Mbit/s video, more than a path is waited for."""

_MAX_MISORDER: Final = 1_000
"""Numbers that a packet may be late by.  RFC 3550 has 100, which at 250 packets a second is less
than one round trip of a bad path; a retransmission is later than that."""


class SequenceTracker:
    """Continues the numbers of one source.

    Attributes:
        highest: The highest continued number so far, or :obj:`None` before the first.

    """

    def __init__(self) -> None:
        self.highest: int | None = None
        self._restart: int | None = None  # the number that would confirm a restart

    def handle_number(self, number: int) -> tuple[int, bool] | None:
        """Take the number of a packet on its first way.

        Returns:
            The continued number, and whether the sender has restarted with it (all that is
            remembered by number is then void); :obj:`None` for a packet to be dropped, because
            its number is far from all others.

        """
        number &= 0xFFFF
        if self.highest is None:
            self.highest = number
            return number, False
        step = (number - self.highest) & 0xFFFF
        if step < _MAX_DROPOUT:
            self.highest += step
            self._restart = None
            return self.highest, False
        if 0x10000 - step <= _MAX_MISORDER:
            return self.highest - (0x10000 - step), False
        if number != self._restart:
            self._restart = (number + 1) & 0xFFFF
            return None
        self._restart = None
        self.highest = number
        return number, True

    def locate(self, number: int) -> int | None:
        """Continue the number of a retransmission; :obj:`None` if it is far from all others."""
        if self.highest is None:
            return None
        step = (number - self.highest) & 0xFFFF
        if step < _MAX_DROPOUT:
            return self.highest + step
        back = 0x10000 - step
        return self.highest - back if back <= _MAX_MISORDER else None
