"""Forward error correction with a real Chromium, over a path that loses packets both ways.

Chromium runs on one host of :mod:`tests.netns.namespaces`, a Python peer on the other; between
them is a bad link.  What Chromium makes of parity is in none of its ``getStats`` (its
``fecPacketsReceived`` is FlexFEC's alone), but in its histograms, as the DevTools protocol gives
them, once a stream that has had ten seconds ends.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from ringline.media.simulate.profile import NetworkProfile
from tests.interop.conftest import CHROMIUM, FLAGS
from tests.netns.conftest import build_internet  # noqa: F401 - a fixture of that folder
from tests.netns.namespaces import SERVER_ADDRESS, Host, Internet, read_line

pytestmark = [pytest.mark.browser, pytest.mark.netns, pytest.mark.timeout(120)]

NETNS = Path(__file__).parent.parent / "netns"
PEER, SERVER = str(NETNS / "call_peer.py"), str(NETNS / "signaling_server.py")
ORIGIN = f"http://{SERVER_ADDRESS}:8080"
PATIENCE = 60.0  # seconds; Chromium sends the more parity the better it knows the path
LINK = "rate=3000,delay=40,loss=8"
LIFETIME = 12.0  # seconds of a stream; its histograms want ten

INBOUND = """async () => {
  const report = [...(await ringline.call.pc.getStats()).values()];
  return report.find((one) => one.type === "inbound-rtp" && one.kind === "video") ?? {};
}"""


@pytest.fixture
def internet(build_internet: Callable[..., Internet]) -> Internet:  # noqa: F811 - likewise
    return build_internet(first_link=NetworkProfile.parse(LINK))


@pytest.fixture
async def browser(internet: Internet, tmp_path: Path) -> AsyncIterator[Browser]:
    """Run Chromium on host a; it is spoken to by pipes, whatever its network."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    script = tmp_path / "chromium"
    script.write_text(f'#!/bin/sh\nexec ip netns exec {internet.a.namespace} {CHROMIUM} "$@"\n')
    script.chmod(0o755)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=str(script),
            args=[*FLAGS, f"--unsafely-treat-insecure-origin-as-secure={ORIGIN}"],
            headless=True,
            ignore_default_args=["--mute-audio"],
        )
        yield running
        await running.close()


class Peer:
    """The Python side: what it said of parity last."""

    def __init__(self, internet: Internet, host: Host) -> None:
        self.parity = {"sent": 0, "received": 0, "recovered": 0}
        process = internet.start_python(host, PEER, f"ws://{SERVER_ADDRESS}:8080", "desk")
        assert json.loads(read_line(process, timeout=PATIENCE))["ready"] == "desk"
        assert process.stdout is not None
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    def _read(self, lines: Iterator[str]) -> None:
        for line in lines:
            second = json.loads(line).get("second")
            if second is not None:
                self.parity = second["parity"]


async def in_a_call(browser: Browser) -> Page:
    context = await browser.new_context()
    await context.grant_permissions(["camera", "microphone"], origin=ORIGIN)
    page = await context.new_page()
    await page.goto(ORIGIN + "/")
    await page.fill("#name", "lab")
    await page.click("#join")
    await page.wait_for_selector("#lobby:not([hidden])")
    await page.click("#people button[data-call=desk][data-video=true]")
    await page.wait_for_selector("#status:has-text('in a call with desk')")
    return page


async def histogram(browser: Browser, name: str) -> float:
    """Return the mean of one of Chromium's histograms, once it has been written to."""
    session = await browser.new_browser_cdp_session()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer: dict[str, Any] = await session.send("Browser.getHistograms", {"query": name})
        for each in answer["histograms"]:
            if each["name"] == name and each["count"]:
                return float(each["sum"] / each["count"])
        # The page's process hands its histograms over when somebody wants to see them all.
        page = await browser.new_page()
        await page.goto("chrome://histograms")
        await asyncio.sleep(0.5)
        await page.close()
    pytest.fail(f"Chromium has no {name}")


async def test_each_side_mends_its_picture_by_parity_and_waits_for_what_that_leaves(
    internet: Internet, browser: Browser
) -> None:
    server = internet.start_python(None, SERVER, SERVER_ADDRESS)
    assert read_line(server, timeout=PATIENCE) == "ready\n"
    peer = Peer(internet, internet.b)
    page = await in_a_call(browser)
    began = time.monotonic()
    seen: dict[str, Any] = {}
    while time.monotonic() < began + PATIENCE:
        await asyncio.sleep(0.5)
        seen = await page.evaluate(INBOUND)
        if (
            peer.parity["recovered"] >= 5
            and peer.parity["sent"] >= 30
            and seen.get("framesDecoded", 0) >= 200
            and time.monotonic() > began + LIFETIME
        ):
            break
    else:
        pytest.fail(f"not within {PATIENCE:.0f} s: we have {peer.parity}, the page {seen}")
    # A picture that waits for a lost parity packet would show as a stop.
    assert seen["totalFreezesDuration"] < 0.1 * (time.monotonic() - began)
    assert seen["keyFramesDecoded"] <= 2
    # It was told to wait for retransmissions, and did so: by itself it would have waited for less.
    told = seen["jitterBufferTargetDelay"] - seen["jitterBufferMinimumDelay"]
    assert told > 0.002 * seen["jitterBufferEmittedCount"]
    await page.click("#hangup")
    await page.wait_for_selector("#lobby:not([hidden])")
    assert await histogram(browser, "WebRTC.Video.ReceivedFecPacketsInPercent") > 0
    assert await histogram(browser, "WebRTC.Video.RecoveredMediaPacketsInPercentOfFec") > 0
