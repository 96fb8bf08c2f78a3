"""A Chromium for the lab: a person who answers through the page that ``ringline serve`` serves.

Sends the measuring clip as its camera and microphone, and writes what :mod:`peer` writes, so that
a call of a Ringline peer to it is scored as any other.  What it shows and plays is logged by
``chromium_witness.js``.  Runs in the namespace that it is to be in, as the browser does then.

``stats`` of ``b.json`` is the browser's last ``getStats``; ``cpu_s`` and ``rss_mb`` are of all its
processes, what they share counted for each.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from playwright.async_api import Page, async_playwright

logger = logging.getLogger("chromium")

WIDTH, HEIGHT = 640, 360
WITNESS = Path(__file__).with_name("chromium_witness.js")
PATIENCE = 30.0  # seconds for the browser, the page and the call, each


def flags(media: Path, origin: str) -> list[str]:
    return [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={media}/clip.y4m",
        f"--use-file-for-fake-audio-capture={media}/speech.wav",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
        # Cameras are for https and localhost only; the lab's server is neither.
        f"--unsafely-treat-insecure-origin-as-secure={origin}",
    ]


def processes(root: int) -> list[int]:
    """Return a process and all that come from it, which are many with a browser."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        parents[int(stat.parent.name)] = int(fields[1])
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def usage(root: int) -> tuple[float, float]:
    """Return seconds of CPU and MB of memory of a process and all that come from it."""
    ticks = pages = 0
    for process in processes(root):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
        pages += int(fields[21])
    return ticks / 100, pages * 4096 / 2**20


def browser_process() -> int:
    """Return the browser's first process, a grandchild of ours."""
    for process in processes(os.getpid())[1:]:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        if b"chrom" in words[0] and not any(word.startswith(b"--type=") for word in words):
            return process
    raise LookupError("the browser does not run")


async def answer(page: Page, url: str, name: str) -> None:
    await page.goto(url)
    await page.fill("#name", name)
    await page.click("#join")
    await page.click("#accept-video", timeout=PATIENCE * 1000)
    await asyncio.wait_for(connected(page), PATIENCE)


async def connected(page: Page) -> None:
    """Wait for media to flow; the page's policy forbids what ``wait_for_function`` does."""
    while await page.evaluate("ringline.call?.state") != "connected":  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def path_kind(stats: list[dict[str, Any]]) -> str | None:
    by_id = {one["id"]: one for one in stats}
    pairs = [one.get("selectedCandidatePairId") for one in stats if one["type"] == "transport"]
    pair = by_id.get(pairs[0]) if pairs else None
    if pair is None:
        return None
    kinds = {by_id[pair[f"{side}CandidateId"]]["candidateType"] for side in ("local", "remote")}
    return "relay" if "relay" in kinds else "host" if kinds == {"host"} else "srflx"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=["b"], required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--policy", choices=["all", "relay"], default="all")
    options = parser.parse_args()

    origin = options.server.replace("ws", "http", 1).rstrip("/")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=flags(options.media, origin),
            headless=True,
            ignore_default_args=["--mute-audio"],
        )
        context = await browser.new_context(permissions=["camera", "microphone"])
        page = await context.new_page()
        page.on("console", lambda message: logger.info("console: %s", message.text))
        page.on("pageerror", lambda error: logger.error("the page failed: %s", error))
        await page.add_init_script(path=WITNESS)
        url = origin + ("/?relay" if options.policy == "relay" else "/")
        await answer(page, url, options.role)
        process = browser_process()
        before = usage(process)[0]
        await asyncio.sleep(options.seconds)
        cpu, memory = usage(process)
        log = await page.evaluate("witness.log")
        pcm = np.frombuffer(base64.b64decode(await page.evaluate("witness.sound()")), np.int16)
        result = {
            "sent": log["sent"],
            "got": log["got"],
            "state": log["state"],
            "path": path_kind(log["stats"]),
            "cpu_s": cpu - before,
            "rss_mb": memory,
            "stats": log["stats"],
        }
        await page.evaluate("ringline.call?.hangUp()")  # unless the other side was first
        await browser.close()
    (options.out / f"{options.role}.json").write_bytes(msgspec.json.encode(result))
    pictures = [
        np.frombuffer(base64.b64decode(luma), np.uint8).reshape(HEIGHT, WIDTH)
        for _, luma in log["grabbed"]
    ]
    np.savez(
        options.out / f"{options.role}.npz",
        ids=[number for number, _ in log["grabbed"]],
        ys=np.array(pictures),
        pcm=pcm,
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
