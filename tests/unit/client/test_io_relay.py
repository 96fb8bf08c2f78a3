from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from aioice import stun

from ringline.client.io_aiortc import io_relay
from ringline.client.io_aiortc.io_relay import RelaySocket
from ringline.client.upkeep import UpkeepConfig

PEER = ("192.0.2.9", 9)
SERVER = ("192.0.2.1", 3478)


class Client:
    """As much of aioice's TURN client as a relay uses; binds as ``bindings`` says, then never."""

    def __init__(self) -> None:
        self.relayed_address, self.mapped_address, self.server = SERVER, PEER, SERVER
        self.granted = 600.0
        self.lifetime = 600
        self.channel_to_peer: dict[int, tuple[str, int]] = {}
        self.peer_to_channel: dict[tuple[str, int], int] = {}
        self.bindings: list[int | None] = []  # the error of each, or that it is bound
        self.asked: list[int] = []
        self.sent: list[bytes] = []
        self.refreshes = 0
        self.transport = SimpleNamespace(is_closing=lambda: False, close=lambda: None)

    async def channel_bind(self, channel: int, _: tuple[str, int]) -> None:
        self.asked.append(channel)
        if not self.bindings:
            await asyncio.Event().wait()
        code = self.bindings.pop(0)
        if code is not None:
            answer = stun.Message(stun.Method.CHANNEL_BIND, stun.Class.ERROR)
            answer.attributes["ERROR-CODE"] = (code, "")
            raise stun.TransactionFailed(answer)

    async def request_with_retry(self, _: stun.Message) -> None:
        self.refreshes += 1
        await asyncio.Event().wait()

    def _send(self, data: bytes) -> None:
        self.sent.append(data)

    async def delete(self) -> None:
        pass


class Owner:
    """A generation with one relay, whose call goes elsewhere."""

    def __init__(self, upkeep: UpkeepConfig) -> None:
        self.dropped: Counter[str] = Counter()
        self.tasks: list[asyncio.Task[None]] = []
        self.told: list[str] = []
        self.client = Client()
        self.relay = RelaySocket(
            self,
            self.client,  # type: ignore[arg-type] # see there
            keeper=self,
            url="turn:192.0.2.1",
            protocol="udp",
            local_preference=65535,
            hide_related=True,
            upkeep=upkeep,
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def can_spare(self, _: object) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_: self.told.append(name)


@pytest.fixture
async def owner(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Owner]:
    for name in ("_CHANNEL_RETRY", "_LEAVE_CHECK", "_SILENCE_TO_GO"):
        monkeypatch.setattr(io_relay, name, 0.0)
    owner = Owner(UpkeepConfig(quiet_after=0.0))
    yield owner
    for task in owner.tasks:
        task.cancel()
    await asyncio.gather(*owner.tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_channel_that_was_refused_is_asked_for_by_the_same_number(owner: Owner) -> None:
    owner.client.bindings = [403, None]
    owner.relay.send(b"lost", PEER)
    await settle()
    owner.relay.send(b"passed", PEER)
    await settle()
    owner.relay.send(b"another", ("192.0.2.8", 8))
    await settle()
    assert owner.client.asked == [0x4000, 0x4000, 0x4001]
    assert owner.client.sent == [b"\x40\x00\x00\x06passed"]


async def test_a_channel_that_is_refused_later_has_one_task_that_asks_again(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io_relay, "CHANNEL_REFRESH", 0.0)
    monkeypatch.setattr(io_relay, "_CHANNEL_RETRY", 3600.0)
    owner.client.bindings = [None, 403]
    owner.relay.send(b"passed", PEER)
    await settle()
    for _ in range(3):
        owner.relay.send(b"waits", PEER)
        await settle()
    assert owner.client.asked == [0x4000, 0x4000]
    assert len(owner.tasks) == 2  # of the allocation and of the channel


async def test_a_relay_that_is_left_is_told_of_once(owner: Owner) -> None:
    owner.relay._leave(None)
    await settle()
    assert owner.told == ["relay_leaving", "socket_lost", "relay_left"]


async def test_a_relay_that_is_lost_while_it_is_left_is_lost_only(owner: Owner) -> None:
    owner.relay._leave(None)
    owner.relay.connection_lost(None)
    await settle()
    assert owner.told == ["relay_leaving", "socket_lost", "relay_lost"]


async def test_a_silent_server_is_asked_after_only_if_something_was_sent(owner: Owner) -> None:
    owner.client.bindings = [None]
    await settle()
    assert owner.client.refreshes == 0
    owner.relay.send(b"anybody there?", PEER)
    async with asyncio.timeout(10.0):
        while not owner.client.refreshes:  # noqa: ASYNC110 - the upkeep has a timer
            await asyncio.sleep(0.001)
