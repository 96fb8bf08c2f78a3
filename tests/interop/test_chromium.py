"""The page in a real Chromium and a Python peer call each other.

Each test waits until both sides have decoded two seconds of moving picture and have heard sound,
on the direct path and through our TURN relay, whoever calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page

from ringline.client import Call, CallConfig, Client, ClientConfig, IncomingCall
from ringline.client.transport import TransportConfig
from ringline.media import SyntheticVideo, SyntheticVoice
from ringline.media.send.events import SentPictureState
from ringline.media.send.picture_state import PictureState
from ringline.signaling import RinglineServer, ServerConfig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

OpenPage = Callable[[str], Awaitable[Page]]
PATIENCE = 40.0  # seconds; a busy machine starts a browser slowly, a call takes two

CONFIG = ClientConfig(call=CallConfig(transport=TransportConfig(include_loopback=True)))

DESCRIPTIONS = """() => {
  const pc = ringline.call.pc;
  return [pc.remoteDescription.sdp, pc.localDescription.sdp];
}"""

INBOUND = """async () => {
  const report = [...(await ringline.call.pc.getStats()).values()];
  const of = (kind) => report.find((one) => one.type === "inbound-rtp" && one.kind === kind) ?? {};
  return {
    frames: of("video").framesDecoded ?? 0,
    width: of("video").frameWidth ?? 0,
    energy: of("audio").totalAudioEnergy ?? 0,
    concealed: of("audio").concealedSamples ?? 0,
    path: document.getElementById("stat-path").textContent,
  };
}"""


@dataclass
class Witness:
    """What a Python peer saw and heard."""

    frames: int = 0
    moved: int = 0
    loudest: float = 0.0
    sizes: set[tuple[int, int]] = field(default_factory=set)

    async def watch(self, call: Call) -> None:
        last = None
        async for frame in call.video:
            self.frames += 1
            self.sizes.add((frame.width, frame.height))
            if last is not None and last.shape == frame.luma.shape:
                self.moved += bool(np.any(frame.luma != last))
            last = frame.luma

    async def listen(self, call: Call) -> None:
        async for frame in call.audio:
            level = float(np.sqrt(np.mean(np.square(frame.samples, dtype=np.float64))))
            self.loudest = max(self.loudest, level)


@pytest.fixture
async def server() -> AsyncIterator[RinglineServer]:
    async with RinglineServer(ServerConfig(host="127.0.0.1", port=0, turn_port=0, dev=True)) as it:
        yield it


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := await condition():
            return result
        await asyncio.sleep(0.2)
    pytest.fail(f"not within {PATIENCE:.0f} s: {what}")


async def enter(page: Page, name: str) -> None:
    await page.fill("#name", name)
    await page.click("#join")
    await page.wait_for_selector("#lobby:not([hidden])")


async def both_see_and_hear(page: Page, call: Call, path: str) -> Witness:
    witness = Witness()
    tasks = [asyncio.create_task(work) for work in (witness.watch(call), witness.listen(call))]

    async def page_has_enough() -> bool:
        seen = await page.evaluate(INBOUND)
        return bool(seen["frames"] >= 60 and seen["energy"] > 1e-4 and seen["width"] > 0)

    async def we_have_enough() -> bool:
        # Chromium's fake microphone beeps; its fake camera shows a clock that turns.
        return witness.moved >= 60 and witness.loudest > 300

    await until(page_has_enough, "the page decodes 60 frames and hears sound")
    await until(we_have_enough, f"we decode 60 moving frames and hear sound, have {witness}")

    async def page_says_path() -> bool:
        text = str((await page.evaluate(INBOUND))["path"])
        return text.startswith("relay" if path == "relay" else "direct")

    await until(page_says_path, f"the page shows the path {path}")
    assert call.path is not None
    assert (call.path.kind == "relay") == (path == "relay")
    for task in tasks:
        task.cancel()
    return witness


@pytest.mark.parametrize("path", ["direct", "relay"])
async def test_the_page_calls_python(
    server: RinglineServer, open_page: OpenPage, path: str
) -> None:
    relay = path == "relay"
    async with Client(server.url, name="desk", relay_only=relay, config=CONFIG) as desk:
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @desk.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            answered.set_result(
                await incoming.accept(audio=SyntheticVoice(), video=SyntheticVideo(640, 360))
            )

        page = await open_page(server.url + "/" + ("?relay" if relay else ""))
        await enter(page, "lab")
        await page.click("#people button[data-call=desk][data-video=true]")
        call = await asyncio.wait_for(answered, PATIENCE)
        await both_see_and_hear(page, call, path)
        await page.click("#hangup")
        assert await asyncio.wait_for(call.wait_ended(), PATIENCE) == "hangup"


@pytest.mark.parametrize("path", ["direct", "relay"])
async def test_python_calls_the_page(
    server: RinglineServer, open_page: OpenPage, path: str
) -> None:
    relay = path == "relay"
    page = await open_page(server.url + "/" + ("?relay" if relay else ""))
    await enter(page, "lab")
    async with Client(server.url, name="desk", relay_only=relay, config=CONFIG) as desk:
        call = desk.start_call("lab", audio=SyntheticVoice(), video=SyntheticVideo(640, 360))
        await page.click("#accept-video")
        await asyncio.wait_for(call.connected(), PATIENCE)
        await both_see_and_hear(page, call, path)
        offer, answer = await page.evaluate(DESCRIPTIONS)
        assert "ringline-rlc" in offer  # our own code of repair packets ...
        assert "ringline-rlc" not in answer  # ... a browser passes over
        assert "VP8" in answer

        # As if our network had become too slow for a picture, and good again.
        for state in (PictureState.PAUSED, PictureState.FULL):
            call._handle_media_event(SentPictureState("1", state, "bandwidth"))
            if state is PictureState.PAUSED:
                said = "their video is paused: their network"
                await page.wait_for_selector(f"#overlay:has-text('{said}')")
                assert await page.inner_text("#status") == f"in a call with desk; {said}"
        await page.wait_for_selector("#overlay:text-is('')", state="attached")

        await page.fill("#text", "hello from the page")
        await page.click("#say button")
        assert await asyncio.wait_for(anext(call.messages), PATIENCE) == "hello from the page"
        call.send("hello from Python")
        await page.wait_for_selector("#messages li:has-text('hello from Python')")

        await call.hang_up()
        await page.wait_for_selector("#lobby:not([hidden])")


async def test_what_the_other_page_switches_off_is_said(
    server: RinglineServer, open_page: OpenPage
) -> None:
    lab, desk = await open_page(server.url + "/"), await open_page(server.url + "/")
    await enter(desk, "desk")
    await enter(lab, "lab")
    await lab.click("#people button[data-call=desk][data-video=true]")
    await desk.click("#accept-video")
    await lab.wait_for_selector("#status:has-text('in a call with desk')")
    await desk.click("#camera")
    await lab.wait_for_selector("#overlay:has-text('desk has the camera off')")
    assert await lab.is_hidden("#remote")
    assert await desk.is_hidden("#local")
    assert await lab.inner_text("#status") == "in a call with desk"
    await desk.click("#mute")
    await lab.wait_for_selector("#status:has-text('in a call with desk, who is muted')")
    await desk.click("#camera")
    await lab.wait_for_selector("#remote:visible")
    assert await lab.inner_text("#overlay") == ""


async def test_who_closes_the_page_hangs_up(server: RinglineServer, open_page: OpenPage) -> None:
    async with Client(server.url, name="desk", config=CONFIG) as desk:
        page = await open_page(server.url + "/")
        await enter(page, "lab")
        call = desk.start_call("lab", audio=SyntheticVoice(), video=SyntheticVideo(640, 360))
        await page.click("#accept-video")
        await asyncio.wait_for(call.connected(), PATIENCE)
        await page.goto("about:blank")
        assert await asyncio.wait_for(call.wait_ended(), 10) == "hangup"


async def test_an_impossible_name_never_leaves_the_page(
    server: RinglineServer, open_page: OpenPage
) -> None:
    page = await open_page(server.url + "/")
    await enter(page, "lab")
    await page.fill("#callee", "Jürgen Müller")
    await page.click("#dial button")
    assert await page.evaluate("document.getElementById('callee').validity.patternMismatch")
    assert await page.is_visible("#lobby")
