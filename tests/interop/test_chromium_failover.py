"""The page in a real Chromium and a Python peer, over relays only, when the one in use is killed.

The browser decides for itself when it gives up a silent path, so more than a second may pass where
it has a say; the call goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ringline.client import Call, Client, IncomingCall
from ringline.media import SyntheticVoice
from ringline.signaling import RinglineServer, ServerConfig
from tests.interop.test_chromium import CONFIG, INBOUND, PATIENCE, OpenPage, enter, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

LIMIT = 6.0  # seconds; libwebrtc takes a pair for dead after 2.5 s, and looks twice


@dataclass
class Relay:
    process: Process
    port: int

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start_relay() -> Relay:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringline.client", "turn", "--host", "127.0.0.1", "--port", "0"),
        *("--allow-peer", "127.0.0.0/8", "--json"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "RINGLINE_TURN_SECRETS": "shared"},
    )
    assert process.stdout is not None
    line = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
    return Relay(process, line["port"])


@pytest.fixture
async def relays() -> AsyncIterator[tuple[Relay, Relay]]:
    both = (await start_relay(), await start_relay())
    yield both
    for relay in both:
        await relay.kill()


class Ear:
    """Hears the page, and how long it was silent."""

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.longest = 0.0

    async def listen(self, call: Call) -> None:
        async for frame in call.audio:
            if frame.concealed < len(frame.samples):
                now = time.monotonic()
                if self.heard_at:
                    self.longest = max(self.longest, now - self.heard_at)
                self.heard_at = now


async def test_a_call_with_the_page_outlives_its_relay(
    relays: tuple[Relay, Relay], open_page: OpenPage
) -> None:
    urls = tuple(f"turn:127.0.0.1:{relay.port}?transport=udp" for relay in relays)
    config = ServerConfig(
        host="127.0.0.1", port=0, turn=False, dev=True, turn_urls=urls, turn_secret="shared"
    )
    async with (
        RinglineServer(config) as server,
        Client(server.url, name="desk", relay_only=True, config=CONFIG) as desk,
    ):
        page = await open_page(server.url + "/?relay")
        await enter(page, "lab")
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @desk.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            answered.set_result(await incoming.accept(audio=SyntheticVoice()))

        await page.click("#people button[data-call=desk][data-video=false]")
        call = await asyncio.wait_for(answered, PATIENCE)
        ear = Ear()
        listening = asyncio.create_task(ear.listen(call))

        async def energy() -> float:
            return float((await page.evaluate(INBOUND))["energy"])

        async def both_hear() -> bool:
            return bool(ear.heard_at) and await energy() > 1e-4

        await until(both_hear, "each hears the other")
        assert call.path is not None
        assert call.path.relay is not None
        in_use = next(relay for relay in relays if relay.port == call.path.relay[1])
        await asyncio.sleep(3.0)
        ear.longest = 0.0
        await in_use.kill()
        killed_at = time.monotonic()
        await asyncio.sleep(1.0)
        before = await energy()

        async def page_hears_on() -> bool:
            return await energy() > before + 1e-5

        await until(page_hears_on, "the page hears again")
        page_back = time.monotonic() - killed_at

        async def we_hear_on() -> bool:
            return ear.heard_at > killed_at + 1.0 and time.monotonic() - ear.heard_at < 0.5

        await until(we_hear_on, "we hear again")
        await asyncio.sleep(1.0)
        figures = (
            f"we heard nothing for {ear.longest:.2f} s, the page for {page_back:.2f} s at most"
        )
        print(figures)  # noqa: T201
        assert ear.longest < LIMIT
        assert page_back < LIMIT
        assert call.path.relay[1] != in_use.port
        listening.cancel()
        await call.hang_up()
