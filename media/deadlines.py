"""Deadlines: when a part that is made of parts must be called next.

Every stage says by ``poll_timeout`` when it wants to be called, or :obj:`None` for not at all.
Who holds several of them asks after each input and so many times a second, which is why this is a
plain loop.
"""

from __future__ import annotations

__all__ = ["earliest"]


def earliest(*deadlines: float | None) -> float | None:
    """Return the first of these moments; :obj:`None` if there is none among them."""
    first: float | None = None
    for when in deadlines:
        if when is not None and (first is None or when < first):
            first = when
    return first
