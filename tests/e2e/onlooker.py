"""Onlooker: what one side of a call saw, heard and was told, frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import numpy as np

from ringline.client import Call, CallEvent, CallState, StateChanged
from ringline.media.synthetic import read_frame_number

PATIENCE = 30.0  # seconds; a call takes one, a busy machine many

T = TypeVar("T")


class Onlooker:
    """Reads all streams of a call from now on.

    ``moved`` counts pictures that differ from the one before; ``numbers`` are those that
    synthetic pictures carry; ``heard`` counts 20 ms of sound that were not made up here.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.events: list[CallEvent] = []
        self.messages: list[str | bytes] = []
        self.numbers: list[int] = []
        self.pictures = 0
        self.moved = 0
        self.heard = 0
        self.loudest = 0.0
        self._changed = asyncio.Event()
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self._watch(),
                self._listen(),
                self._collect(call.events, self.events),
                self._collect(call.messages, self.messages),
            )
        ]

    @property
    def states(self) -> list[CallState]:
        """The states that it went through since its beginning."""
        return [event.state for event in self.events if isinstance(event, StateChanged)]

    async def until(self, condition: Callable[[], object], within: float = PATIENCE) -> None:
        """Wait for something that a frame, an event or a message brings about."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {within} s; {self}") from None

    async def until_event(self, event: CallEvent) -> None:
        await self.until(lambda: event in self.events)

    async def until_state(self, state: CallState) -> None:
        await self.until(lambda: self.call.state is state)

    async def hears(self, more: int = 25) -> None:
        """Wait for half a second more of true sound, and for some that is loud."""
        enough = self.heard + more
        await self.until(lambda: self.heard >= enough and self.loudest > 300)

    async def sees(self, more: int = 15) -> None:
        """Wait for half a second more of moving picture."""
        enough = self.moved + more
        await self.until(lambda: self.moved >= enough)

    async def sees_and_hears(self) -> None:
        await asyncio.gather(self.sees(), self.hears())

    async def ended(self) -> str:
        """Wait until the call is over and everything of it read; return the reason."""
        async with asyncio.timeout(PATIENCE):
            reason = await self.call.wait_ended()
            await asyncio.gather(*self._tasks)
            await self.call.closed()
        return reason

    def __repr__(self) -> str:
        return (
            f"{self.call.state}, {self.pictures} pictures, {self.moved} moved, {self.heard} heard, "
            f"loudest {self.loudest:.0f}, {self.events}, {self.call.stats()}"
        )

    async def _watch(self) -> None:
        last = None
        async for frame in self.call.video:
            self.pictures += 1
            number = read_frame_number(frame.luma)
            if number is not None:
                self.numbers.append(number)
            if last is not None and last.shape == frame.luma.shape:
                self.moved += bool(np.any(frame.luma != last))
            last = frame.luma
            self._changed.set()

    async def _listen(self) -> None:
        async for frame in self.call.audio:
            if frame.concealed < len(frame.samples):
                self.heard += 1
                level = float(np.sqrt(np.mean(np.square(frame.samples, dtype=np.float64))))
                self.loudest = max(self.loudest, level)
            self._changed.set()

    async def _collect(self, stream: AsyncIterator[T], into: list[T]) -> None:
        async for item in stream:
            into.append(item)
            self._changed.set()
        self._changed.set()
