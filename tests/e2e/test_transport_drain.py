"""A rolling restart: each relay drains in turn, and a call has both again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from ringline.client.io_aiortc import IceServer, io_gather, io_relay
from ringline.client.upkeep import UpkeepConfig
from ringline.turn import TurnConfig, TurnService
from tests.e2e.transport_ends import LOOPBACK, MakePair

CONFIG = TurnConfig(
    host="127.0.0.1", port=0, users={"alice": "secret"}, allow_peers=("127.0.0.0/8",)
)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110 - no event tells of allocations
            await asyncio.sleep(0.02)


async def test_a_server_that_was_left_is_used_again_when_it_is_back(
    make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io_relay, "_SILENCE_TO_GO", 0.1)
    monkeypatch.setattr(io_gather, "_FIRST_RETRY", 0.05)
    async with TurnService(CONFIG) as second:
        there = f"127.0.0.1:{second.port}"
        async with TurnService(replace(CONFIG, alternate_server=there)) as first:
            port = first.port
            pair = make_pair(
                replace(LOOPBACK, policy="relay", upkeep=UpkeepConfig(refresh_every=0.2))
            )
            servers = [
                IceServer(url=f"turn:127.0.0.1:{at}", username="alice", credential="secret")
                for at in (port, second.port)
            ]
            await pair.connect(servers)
            await until(lambda: first.metrics.allocations == second.metrics.allocations == 2)
            first.drain()
            await until(lambda: first.metrics.allocations == 0)
            assert pair.offerer.path.relay == ("127.0.0.1", second.port)
            # It still answers that it drains, and names a server that the call has already.
            await asyncio.sleep(0.5)
            assert second.metrics.allocations == 2
            assert pair.offerer.transport.dropped["relay lost"] == 0
        async with TurnService(replace(CONFIG, port=port)) as first:
            await until(lambda: first.metrics.allocations == 2)
            assert second.metrics.allocations == 2
