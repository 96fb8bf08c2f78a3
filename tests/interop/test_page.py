"""The page in a real Chromium where things cross, break and come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page

from ringline.client import Call, CallConfig, CallState, Client, ClientConfig, IncomingCall
from ringline.client.transport import TransportConfig
from ringline.media import SyntheticVoice
from ringline.signaling import RinglineServer, ServerConfig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

OpenPage = Callable[[str], Awaitable[Page]]
PATIENCE = 40.0

CONFIG = ClientConfig(call=CallConfig(transport=TransportConfig(include_loopback=True)))


def make_server(port: int = 0) -> RinglineServer:
    return RinglineServer(
        ServerConfig(host="127.0.0.1", port=port, turn_port=0, dev=True, drain_time=0.1)
    )


async def until(page: Page, expression: str, wanted: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := await page.evaluate(expression)) != wanted:
        if time.monotonic() > deadline:
            pytest.fail(f"{expression} stays {found!r}, expected {wanted!r}")
        await asyncio.sleep(0.1)


async def until_state(page: Page, wanted: str | None) -> None:
    await until(page, "ringline.call?.state ?? null", wanted)


async def enter(open_page: OpenPage, server: RinglineServer, name: str) -> Page:
    page = await open_page(server.url + "/")
    await page.fill("#name", name)
    await page.click("#join")
    await page.wait_for_selector("#lobby:not([hidden])")
    return page


async def dial(page: Page, name: str) -> None:
    """Call somebody in one step, so that two can do so at once."""
    await page.evaluate(
        """(name) => {
          document.getElementById("callee").value = name;
          document.querySelector("#dial button").click();
        }""",
        name,
    )


async def connect(desk: Client, page: Page, name: str) -> Call:
    call = desk.start_call(name, audio=SyntheticVoice())
    await page.click("#accept-audio")
    await asyncio.wait_for(call.connected(), PATIENCE)
    await until_state(page, "connected")
    return call


@pytest.mark.parametrize("first", ["ann", "bob"])
async def test_two_pages_that_call_each_other_at_once_have_one_call(
    open_page: OpenPage, first: str
) -> None:
    async with make_server() as server:
        pages = {name: await enter(open_page, server, name) for name in ("ann", "bob")}
        other = {"ann": "bob", "bob": "ann"}
        order = [first, other[first]]
        await asyncio.gather(*(dial(pages[name], other[name]) for name in order))
        for page in pages.values():
            await until_state(page, "connected")
        ids = [await page.evaluate("ringline.call.id") for page in pages.values()]
        assert ids[0] == ids[1]
        roles = [await page.evaluate("ringline.call.outgoing") for page in pages.values()]
        assert sorted(roles) == [False, True]
        await pages["ann"].click("#hangup")
        await until_state(pages["bob"], None)


async def test_a_page_and_python_that_call_each_other_at_once_have_one_call(
    open_page: OpenPage,
) -> None:
    async with make_server() as server, Client(server.url, name="desk", config=CONFIG) as desk:
        page = await enter(open_page, server, "lab")
        answered: list[IncomingCall] = []

        @desk.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            answered.append(incoming)

        dialling = asyncio.create_task(dial(page, "desk"))
        call = desk.start_call("lab", audio=SyntheticVoice())
        await dialling
        if not answered:  # else they did not cross
            await asyncio.wait_for(call.connected(), PATIENCE)
            await until_state(page, "connected")
            assert await page.evaluate("ringline.call.id") == call.id


async def test_restarts_that_the_page_offers_and_answers_lead_to_a_new_path(
    open_page: OpenPage,
) -> None:
    async with make_server() as server, Client(server.url, name="desk", config=CONFIG) as desk:
        page = await enter(open_page, server, "lab")
        call = await connect(desk, page, "lab")
        await page.evaluate("[1, 1].forEach((gen) => ringline.call.send('call.restart', { gen }))")
        await until(page, "ringline.call.generation", 1)
        await until(page, "ringline.call.pc.signalingState", "stable")
        assert call.stats().restarts == 1  # both asked for the same
        await call.hang_up()
        await until_state(page, None)

        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @desk.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            answered.set_result(await incoming.accept(audio=SyntheticVoice(), video=False))

        await dial(page, "desk")
        call = await asyncio.wait_for(answered, PATIENCE)
        await until_state(page, "connected")
        # At once: the second breaks the first off.
        await page.evaluate(
            "[1, 2].forEach(() => ringline.call.inOrder(() => ringline.call.restart()))"
        )
        await until(page, "ringline.call.generation", 2)
        await until(page, "ringline.call.pc.signalingState", "stable")
        assert call.stats().restarts == 2
        assert call.state is CallState.CONNECTED
        await page.evaluate("ringline.call.say('still here')")
        assert await asyncio.wait_for(anext(call.messages), PATIENCE) == "still here"


async def test_a_call_lives_through_a_server_that_goes_and_comes_back(open_page: OpenPage) -> None:
    async with make_server() as server:
        port = int(server.url.rpartition(":")[2])
        page = await enter(open_page, server, "lab")
        desk = Client(server.url, name="desk", config=CONFIG)
        await desk.__aenter__()
        call = await connect(desk, page, "lab")
    await asyncio.sleep(3.0)  # several sockets fail
    assert call.state is CallState.CONNECTED
    async with make_server(port):
        await until(page, "ringline.link.online", True)  # in a new session, as the old one is gone
        assert await page.evaluate("ringline.call.state") == "connected"
        assert await page.is_hidden("#enter")
        await desk.close()
        await until_state(page, None)
        await page.wait_for_selector("#lobby:not([hidden])")


async def test_without_a_server_the_page_hears_on_the_path_that_the_call_is_over(
    open_page: OpenPage,
) -> None:
    async with make_server() as server:
        page = await enter(open_page, server, "lab")
        desk = Client(server.url, name="desk", config=CONFIG)
        await desk.__aenter__()
        call = await connect(desk, page, "lab")
    await call.hang_up()
    await until_state(page, None)
    assert await page.inner_text("#status") == "the call has ended"
    await desk.close()


async def test_a_page_that_hangs_up_before_its_camera_is_there_lets_go_of_it(
    open_page: OpenPage,
) -> None:
    async with make_server() as server:
        page = await enter(open_page, server, "lab")
        await page.evaluate(
            """() => {
              const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wanted) => {
                await new Promise((resolve) => { globalThis.allow = resolve; });
                return (globalThis.given = await real(wanted));
              };
            }"""
        )
        await dial(page, "desk")
        await page.click("#hangup")
        await page.evaluate("allow()")
        await until(
            page, "globalThis.given?.getTracks().every((t) => t.readyState === 'ended')", True
        )
        assert await page.evaluate("ringline.call") is None
