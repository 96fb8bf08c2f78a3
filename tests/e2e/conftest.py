"""Pairs of transports that must leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ringline.client.io_aiortc import TransportConfig
from tests.e2e.transport_ends import LOOPBACK, End, MakePair, Pair, link
from tests.e2e.turn_planes import each_data_plane

__all__ = ["each_data_plane", "make_pair"]


@pytest.fixture
async def make_pair() -> AsyncIterator[MakePair]:
    """Make pairs that are closed, and have left nothing behind, at the end of the test."""
    before = asyncio.all_tasks()
    pairs: list[Pair] = []

    def make(
        config: TransportConfig = LOOPBACK, *, up: str | None = None, down: str | None = None
    ) -> Pair:
        offering = config if up is None else replace(config, link=link(up, 1))
        answering = config if down is None else replace(config, link=link(down, 2))
        pair = Pair(End(offering, controlling=True), End(answering, controlling=False))
        pairs.append(pair)
        return pair

    yield make
    for pair in pairs:
        await pair.close()
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert left == set()
