"""Streams: bounded queues between a call and the program, read by ``async for``.

A program that reads too slowly loses the oldest items, never memory; how many is counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

__all__ = ["Stream"]

T = TypeVar("T")


class Stream(AsyncIterator[T], Generic[T]):
    """Items as they come, until the call ends.

    Two readers share the items between them.

    Args:
        limit: How many items wait at most; the oldest is dropped for a new one.

    """

    def __init__(self, *, limit: int) -> None:
        self._items: Final[deque[T]] = deque()
        self._limit: Final = limit
        self._ended = False
        self._changed: Final = asyncio.Event()
        self.dropped = 0
        """Items that were never read."""

    def push(self, item: T) -> None:
        """Add an item; nothing happens after :meth:`end`."""
        if self._ended:
            return
        if len(self._items) >= self._limit:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._changed.set()

    def end(self) -> None:
        """No more items come; those that wait can still be read."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()
