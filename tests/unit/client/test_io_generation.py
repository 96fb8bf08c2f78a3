from __future__ import annotations

import asyncio
from collections import Counter

from ringline.client.io_aiortc.io_generation import Generation
from ringline.client.transport import TransportConfig


class Owner:
    """Hears everything and heeds nothing."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()

    def candidate_found(self, generation: Generation, text: str) -> None:
        pass

    def candidates_complete(self, generation: Generation) -> None:
        pass

    def alive(self, now: float) -> None:
        pass

    def datagram_arrived(self, data: bytes, arrived_at: float) -> None:
        pass

    def path_maybe_changed(self) -> None:
        pass


async def test_what_is_spawned_while_a_generation_closes_does_not_outlive_it() -> None:
    config = TransportConfig(addresses=())
    generation = Generation(0, Owner(), config, relay_only=False, controlling=True, link=None)
    begun = []

    async def ask_again() -> None:
        begun.append("again")
        await asyncio.Event().wait()

    async def keep() -> None:
        try:
            await asyncio.Event().wait()
        finally:  # as when a TURN server closes its connection in the same moment
            generation.spawn(ask_again())

    before = asyncio.all_tasks()
    generation.spawn(keep())
    await asyncio.sleep(0)
    await generation.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert begun == []
