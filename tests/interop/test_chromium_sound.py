"""Sound with copies (RED, RFC 2198) between a real Chromium and us, on a path that loses packets.

The losses are made at our own edge, both ways: one packet of media in eight.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page

from ringline.client import Call, CallConfig, Client, ClientConfig, IncomingCall
from ringline.client.transport import TransportConfig
from ringline.media import MediaSession, SessionStats, SyntheticVoice
from ringline.media.receive.stats import AudioReceiveStats
from ringline.media.rtp.packet import is_rtcp
from ringline.signaling import RinglineServer, ServerConfig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

OpenPage = Callable[[str], Awaitable[Page]]
PATIENCE = 40.0
LOSS = 1 / 8
CONFIG = ClientConfig(call=CallConfig(transport=TransportConfig(include_loopback=True)))

# Neither "codecId" nor "fecPacketsReceived" tells of RED in Chromium (they say audio/opus and count
# the copies inside Opus packets only), so what it sends is counted by us, and what it does with
# ours is seen by the sound that it need not conceal.
SOUND = """async () => {
  const all = [...(await ringline.call.pc.getStats()).values()];
  const inbound = all.find((one) => one.type === "inbound-rtp" && one.kind === "audio") ?? {};
  return {
    copies_inside: inbound.fecPacketsReceived ?? 0,
    lost: inbound.packetsLost ?? 0,
    received: inbound.packetsReceived ?? 0,
    samples: inbound.totalSamplesReceived ?? 0,
    concealed: (inbound.concealedSamples ?? 0) - (inbound.silentConcealedSamples ?? 0),
  };
}"""


class LossySession(MediaSession):
    """Loses packets of media both ways."""

    chance = random.Random(4)

    def handle_datagram(self, data: bytes, now: float) -> None:
        if is_rtcp(data) or self.chance.random() >= LOSS:
            super().handle_datagram(data, now)

    def poll_datagram(self, now: float) -> bytes | None:
        while (data := super().poll_datagram(now)) is not None:
            if is_rtcp(data) or self.chance.random() >= LOSS:
                return data
        return None


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RinglineServer]:
    monkeypatch.setattr("ringline.client.call_media.MediaSession", LossySession)
    async with RinglineServer(ServerConfig(host="127.0.0.1", port=0, turn_port=0, dev=True)) as it:
        yield it


async def lossy_voices_are_whole(page: Page, call: Call) -> None:
    """Wait until some losses were mended on both sides; check that little was left of them."""
    heard: dict[str, Any] = {}
    session: SessionStats | None = None
    ours: AudioReceiveStats | None = None
    for _ in range(round(PATIENCE / 0.5)):
        await asyncio.sleep(0.5)
        heard = await page.evaluate(SOUND)
        session = call.stats().session
        ours = session.receive.audio if session is not None else None
        if heard["received"] > 600 and ours is not None and ours.packets_received > 600:
            break
    assert session is not None
    assert ours is not None
    # Chromium sends copies always, and we take from them what is lost.
    assert ours.fec_packets_received > 0.95 * ours.packets_received
    assert ours.repairs.red > 0.6 * ours.packets_lost
    assert ours.concealed_samples < 0.05 * ours.total_samples_received
    # We send them since there are losses, and Chromium takes them.
    sent = session.send.streams[0]
    assert sent.fec_packets_sent > sent.packets_sent
    lost = heard["lost"] / (heard["lost"] + heard["received"])
    assert lost > LOSS / 2
    assert heard["copies_inside"] < heard["lost"] / 3
    assert heard["concealed"] < 0.25 * lost * heard["samples"]


async def enter(page: Page, name: str) -> None:
    await page.fill("#name", name)
    await page.click("#join")
    await page.wait_for_selector("#lobby:not([hidden])")


async def test_sound_is_whole_in_a_call_from_the_page(
    server: RinglineServer, open_page: OpenPage
) -> None:
    async with Client(server.url, name="desk", config=CONFIG) as desk:
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @desk.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            answered.set_result(await incoming.accept(audio=SyntheticVoice()))

        page = await open_page(server.url + "/")
        await enter(page, "lab")
        await page.click("#people button[data-call=desk][data-video=false]")
        call = await asyncio.wait_for(answered, PATIENCE)
        await lossy_voices_are_whole(page, call)


async def test_sound_is_whole_in_a_call_to_the_page(
    server: RinglineServer, open_page: OpenPage
) -> None:
    page = await open_page(server.url + "/")
    await enter(page, "lab")
    async with Client(server.url, name="desk", config=CONFIG) as desk:
        call = desk.start_call("lab", audio=SyntheticVoice())
        await page.click("#accept-audio")
        await asyncio.wait_for(call.connected(), PATIENCE)
        await lossy_voices_are_whole(page, call)
