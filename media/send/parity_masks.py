"""Parity masks: which packets each parity packet is over.

Seen from a packet of media, its *column* says which parity packets it is in; a parity packet that
is lost itself is a column of one.  What is lost comes back if some parity packet holds just one of
the lost, and so on until none is left: that is how browsers do it.  So

* two lost packets come back unless their columns are equal;
* three come back if no two columns are equal and some parity packet holds just one of them.

Each packet in turn gets the column that makes fewest pairs and triples of the packets so far
unrecoverable, parity packets included.  With equal columns as far apart as can be, bursts do no
more harm than scattered losses.  Nothing here comes from a table.

Many packets are dealt out to groups in turn, each with parity of its own: a burst then hits each
group less, and the search stays short.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Final

__all__ = ["MAX_MEDIA", "MAX_PARITY", "parity_masks"]

MAX_MEDIA: Final = 48
"""Packets under one set of parity packets: the span of one mask."""

MAX_PARITY: Final = 24
"""Parity packets in one set, enough for half of the packets to be lost."""

_GROUP_PARITY: Final = 4
"""Parity packets of one group: with five, the best columns differ little and cost four times the
search."""

_PAIR: Final = 1_000
"""Cost of an unrecoverable pair where a triple costs 1 and weight breaks ties: at 5 to 20 % loss
a pair is 5 to 20 times as likely as a triple, and there are far more triples to save by it."""

_BURST: Final = 50
"""Cost of a burst, no longer than there are parity packets, that does not come back: among the
triples it is the likely one."""

_NEIGHBOURS: Final = 4
"""A pair this close costs double: losses within a few packets of each other are more likely than
far ones on every real network."""


@lru_cache(maxsize=1024)
def parity_masks(media: int, parity: int) -> tuple[tuple[int, ...], ...]:
    """Return for each parity packet the indices of the packets it is over, ascending.

    Args:
        media: How many packets are to be protected, 1 to 48.
        parity: How many parity packets there are, 1 to 24, and no more than ``media``.

    Raises:
        ValueError: If one of them is out of range.

    """
    if not 1 <= media <= MAX_MEDIA or not 1 <= parity <= min(media, MAX_PARITY):
        raise ValueError(f"no masks for {parity} parity packets over {media}")
    groups = -(-parity // _GROUP_PARITY)
    masks: list[tuple[int, ...]] = []
    for group in range(groups):
        members = range(group, media, groups)
        rows = parity // groups + (group < parity % groups)
        columns = _columns(len(members), rows)
        masks += [
            tuple(
                index for index, column in zip(members, columns, strict=True) if column >> row & 1
            )
            for row in range(rows)
        ]
    return tuple(masks)


@lru_cache(maxsize=256)
def _columns(media: int, parity: int) -> tuple[int, ...]:
    choices = range(1, 1 << parity)
    counts = dict.fromkeys(choices, 0)
    for row in range(parity):
        counts[1 << row] += 1
    columns: list[int] = []
    loads = [0] * parity
    for _ in range(media):
        near = columns[-_NEIGHBOURS:]

        def cost(column: int, near: list[int] = near) -> tuple[int, int, int]:
            pairs = counts[column] + near.count(column)
            triples = sum(counts[a] * counts[b] for a, b in _stuck(column, parity))
            triples += _BURST * _unrecoverable_bursts(columns, column, parity)
            load = max(loads[row] for row in range(parity) if column >> row & 1)
            return _PAIR * pairs + triples, load, column.bit_count()

        best = min(choices, key=cost)
        columns.append(best)
        counts[best] += 1
        for row in range(parity):
            loads[row] += best >> row & 1
    for row in range(parity):
        if not loads[row]:  # fewer packets than parity: one more over all of them
            columns = [column | 1 << row for column in columns]
    return tuple(columns)


def _unrecoverable_bursts(columns: list[int], column: int, longest: int) -> int:
    """Count the bursts that end with a new column and do not come back."""
    return sum(
        not _comes_back([*columns[1 - length :], column])
        for length in range(3, min(longest, len(columns) + 1) + 1)
    )


def _comes_back(lost: list[int]) -> bool:
    """Tell whether lost packets come back by their columns, all parity packets being here."""
    while lost:
        once = twice = 0
        for column in lost:
            twice |= once & column
            once |= column
        alone = once & ~twice
        if not alone:
            return False
        lost = [column for column in lost if not column & alone]
    return True


@lru_cache(maxsize=64)
def _stuck(column: int, parity: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs of other columns with which one cannot be told apart: no row holds one."""
    others = [other for other in range(1, 1 << parity) if other != column]
    return tuple(
        (a, b)
        for a, b in combinations(others, 2)
        if not (a & ~b & ~column) | (b & ~a & ~column) | (column & ~a & ~b)
    )
