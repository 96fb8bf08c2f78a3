"""Jobs: codec work that is too slow for the thread that keeps time.

A pipeline hands out a job by ``poll_job``; the driver runs it where it likes (the real one on a
thread, the simulated one in place) and gives it back by ``handle_job`` with a fresh ``now``.

Jobs of one lane run one after the other, in the order they came: a codec has state.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Job"]


class Job(Protocol):
    """A piece of codec work.

    Attributes:
        seconds: How long :meth:`run` took; whoever calls it says so.  In virtual time, none.

    """

    seconds: float

    @property
    def lane(self) -> str:
        """Jobs of the same lane must not run at the same time."""
        ...

    def run(self) -> None:
        """Do the work and keep the result inside; a codec's failure is kept too, not raised."""
        ...
