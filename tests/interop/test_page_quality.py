"""The page's score: by the same formulas as ours, fed by what a browser counts."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import pytest
from playwright.async_api import Page

from ringline.client import CallConfig, Client, ClientConfig
from ringline.client.transport import TransportConfig
from ringline.media import SyntheticVideo, SyntheticVoice
from ringline.media.quality_conditions import (
    ReceivedPicture,
    ReceivedSound,
    SentPicture,
    SentSound,
)
from ringline.media.quality_judge import DirectionQuality, judge_receiving, judge_sending
from ringline.signaling import RinglineServer, ServerConfig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

OpenPage = Callable[[str], Awaitable[Page]]

CONFIG = ClientConfig(call=CallConfig(transport=TransportConfig(include_loopback=True)))
GOOD = 4.0


def make_server() -> RinglineServer:
    return RinglineServer(ServerConfig(host="127.0.0.1", port=0, turn_port=0, dev=True))


def camel(name: str) -> str:
    first, *rest = name.removeprefix("is_").split("_")
    return first + "".join(word.title() for word in rest)


def to_script(
    conditions: ReceivedSound | ReceivedPicture | SentSound | SentPicture | None,
) -> dict[str, Any] | None:
    if conditions is None:
        return None
    return {camel(name): value for name, value in asdict(conditions).items()}


def as_dict(quality: DirectionQuality | None) -> dict[str, Any] | None:
    if quality is None:
        return None
    return {
        "score": pytest.approx(quality.score, abs=1e-9),
        "sound": None if quality.sound is None else pytest.approx(quality.sound, abs=1e-9),
        "picture": None if quality.picture is None else pytest.approx(quality.picture, abs=1e-9),
        "cause": quality.cause.value,
        "side": None if quality.side is None else quality.side.value,
    }


def received() -> list[tuple[ReceivedSound | None, ReceivedPicture | None]]:
    sounds: list[ReceivedSound | None] = [
        None,
        *(
            ReceivedSound(
                made_up=made_up,
                burst_ratio=burst,
                packet_loss=loss,
                bitrate=bitrate,
                mouth_to_ear=late,
            )
            for made_up, burst, loss, bitrate, late in [
                (0.0, 1.0, 0.0, 32_000.0, 0.08),
                (0.01, 2.5, 0.0, None, 0.2),
                (0.2, 3.0, 0.2, 9_000.0, 0.1),
                (0.05, 1.0, 0.01, 5_000.0, 0.35),
                (1.0, 40.0, 1.0, 20_000.0, 1.2),
            ]
        ),
    ]
    pictures: list[ReceivedPicture | None] = [
        None,
        *(
            ReceivedPicture(
                frozen=frozen,
                packet_loss=loss,
                pixels=pixels,
                frame_rate=rate,
                quantizer=quantizer,
                decoding=decoding,
                delay=delay,
            )
            for frozen, loss, pixels, rate, quantizer, decoding, delay in [
                (0.0, 0.0, 640 * 360, 30.0, 20.0, 0.1, 0.1),
                (0.1, 0.01, 320 * 180, 15.0, 90.0, 0.1, 0.3),
                (0.3, 0.0, 1280 * 720, 4.0, 40.0, 0.2, 0.9),
                (0.0, 0.0, 160 * 90, 8.0, 127.0, 0.8, 0.2),
                (1.0, 0.5, 0, 0.0, None, 0.0, 5.0),
            ]
        ),
    ]
    return list(itertools.product(sounds, pictures))


def sent() -> list[tuple[SentSound | None, SentPicture | None]]:
    sounds: list[SentSound | None] = [
        None,
        *(
            SentSound(loss=loss, bitrate=bitrate, mouth_to_ear=late)
            for loss, bitrate, late in [
                (0.0, 32_000.0, 0.1),
                (0.009, 14_000.0, 0.2),
                (0.2, None, 0.5),
            ]
        ),
    ]
    pictures: list[SentPicture | None] = [None]
    for paused, limitation, encoding, loss in itertools.product(
        (False, True), ("none", "bandwidth", "cpu"), (0.1, 0.75), (0.0, 0.2)
    ):
        pictures.append(
            SentPicture(
                seconds=6.0,
                loss=loss,
                is_paused=paused,
                key_frame_requests=3,
                pixels=320 * 180,
                frame_rate=12.0,
                quantizer=100.0 if loss else None,
                encoding=encoding,
                limitation=limitation,  # type: ignore[arg-type] # of the literals
                round_trip=0.12,
                delay=0.2,
            )
        )
    return list(itertools.product(sounds, pictures))


async def in_page(page: Page, script: str, argument: object) -> Any:
    return await page.evaluate(
        f"async (given) => {{ const quality = await import('/quality.js'); {script} }}", argument
    )


async def test_the_page_judges_as_we_do(open_page: OpenPage) -> None:
    async with make_server() as server:
        page = await open_page(server.url + "/")
        for function, cases, expected in [
            (
                "judgeReceiving",
                [[to_script(sound), to_script(picture)] for sound, picture in received()],
                [as_dict(judge_receiving(*case, GOOD)) for case in received()],
            ),
            (
                "judgeSending",
                [[to_script(sound), to_script(picture)] for sound, picture in sent()],
                [as_dict(judge_sending(*case, GOOD)) for case in sent()],
            ),
        ]:
            found = await in_page(
                page,
                f"return given.map(([sound, picture]) => quality.{function}(sound, picture));",
                cases,
            )
            assert found == expected
            causes = {one["cause"] for one in found if one is not None}
            assert len(causes) >= 4  # the cases tell something


def report(second: float, **changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what getStats gives after so many good seconds, but for what is changed."""
    entries: dict[str, dict[str, Any]] = {
        "transport": {
            "type": "transport",
            "selectedCandidatePairId": "pair",
            "packetsReceived": 1 + 90 * second,
        },
        "pair": {"type": "candidate-pair", "currentRoundTripTime": 0.1},
        "vp8": {"type": "codec", "mimeType": "video/VP8"},
        "heard": {
            "type": "inbound-rtp",
            "kind": "audio",
            "packetsReceived": 50 * second,
            "packetsLost": 0,
            "bytesReceived": 4_000 * second,
            "concealmentEvents": 0,
            "totalSamplesReceived": 48_000 * second,
            "concealedSamples": 0,
            "jitterBufferDelay": 0.06 * 48_000 * second,
            "jitterBufferEmittedCount": 48_000 * second,
        },
        "seen": {
            "type": "inbound-rtp",
            "kind": "video",
            "packetsReceived": 90 * second,
            "packetsLost": 0,
            "framesDecoded": 1 + 30 * second,
            "framesDropped": 0,
            "frameWidth": 640,
            "frameHeight": 360,
            "qpSum": 20 * 30 * second,
            "codecId": "vp8",
            "totalDecodeTime": 0.01 * second,
            "totalFreezesDuration": 0,
            "jitterBufferDelay": 1.5 * second,
            "jitterBufferEmittedCount": 30 * second,
        },
        "spoken": {
            "type": "outbound-rtp",
            "kind": "audio",
            "packetsSent": 50 * second,
            "targetBitrate": 32_000,
        },
        "shown": {
            "type": "outbound-rtp",
            "kind": "video",
            "packetsSent": 90 * second,
            "framesEncoded": 1 + 30 * second,
            "qpSum": 20 * 30 * second,
            "codecId": "vp8",
            "frameWidth": 640,
            "frameHeight": 360,
            "totalEncodeTime": 0.05 * second,
            "pliCount": 0,
            "mediaSourceId": "camera",
            "qualityLimitationReason": "none",
        },
        "remote": {
            "type": "remote-inbound-rtp",
            "kind": "audio",
            "fractionLost": 0,
            "jitter": 0.005,
        },
    }
    return [{"id": name, **entry, **changed.get(name, {})} for name, entry in entries.items()]


async def judge_reports(page: Page, *reports: list[dict[str, Any]], **state: bool) -> Any:
    """Let the page judge reports that are 6 s apart; return its last judgement."""
    return await in_page(
        page,
        "const meter = new quality.QualityMeter();"
        "return given.reports.map((report, index) =>"
        " meter.judge(report, { at: 6 * index, ...given.state })).at(-1);",
        {"reports": reports, "state": state},
    )


async def test_what_a_browser_counts_becomes_a_score_with_its_cause(open_page: OpenPage) -> None:
    async with make_server() as server:
        page = await open_page(server.url + "/")
        good = await judge_reports(page, report(0), report(6))
        assert good["receiving"]["score"] > 4.5
        assert good["sending"]["score"] > 4.5
        assert {way["cause"] for way in good.values()} == {"none"}

        heard = {"concealedSamples": 28_800, "concealmentEvents": 20, "packetsLost": 40}
        bad = await judge_reports(page, report(0), report(6, heard=heard))
        sound = ReceivedSound(
            made_up=0.1,
            burst_ratio=1.5 * 0.9,
            packet_loss=40 / 340,
            bitrate=32_000.0,
            mouth_to_ear=0.05 + 0.045 + 0.06,
        )
        picture = ReceivedPicture(
            frozen=0.0,
            packet_loss=0.0,
            pixels=640 * 360,
            frame_rate=30.0,
            quantizer=20.0,
            decoding=0.01,
            delay=0.05 + 0.03 + 0.05,
        )
        assert bad["receiving"] == as_dict(judge_receiving(sound, picture, GOOD))
        assert (bad["receiving"]["cause"], bad["receiving"]["side"]) == ("loss", "their upload")
        assert bad["sending"] == good["sending"]

        frozen = await judge_reports(page, report(0), report(6, seen={"totalFreezesDuration": 2}))
        assert frozen["receiving"]["cause"] == "delay"
        assert frozen["receiving"]["picture"] < 2.5

        lossy = {"fractionLost": 0.3}
        up = await judge_reports(page, report(0, remote=lossy), report(6, remote=lossy))
        assert (up["sending"]["cause"], up["sending"]["side"]) == ("loss", "our upload")
        slow = {"qualityLimitationReason": "cpu", "framesEncoded": 40}
        small = await judge_reports(page, report(0), report(6, shown=slow))
        assert (small["sending"]["cause"], small["sending"]["side"]) == ("cpu", "our device")


async def test_what_is_not_sent_has_no_score(open_page: OpenPage) -> None:
    async with make_server() as server:
        page = await open_page(server.url + "/")
        first = await judge_reports(page, report(0))
        assert first == {"receiving": None, "sending": None}
        off = await judge_reports(page, report(0), report(6, shown={"mediaSourceId": ""}))
        assert (off["sending"]["picture"], off["sending"]["sound"] is None) == (None, False)
        muted = await judge_reports(page, report(0), report(6), muted=True)
        assert (muted["sending"]["sound"], muted["sending"]["picture"] is None) == (None, False)
        other = await judge_reports(page, report(0, vp8={"mimeType": "video/VP9"}), report(6))
        assert other["receiving"]["cause"] == "none"


async def test_where_nothing_comes_any_more_the_score_falls(open_page: OpenPage) -> None:
    async with make_server() as server:
        page = await open_page(server.url + "/")
        stands = report(6)
        for entry in stands:
            if entry["id"] in ("spoken", "shown"):  # we go on sending
                entry["packetsSent"] *= 2
        silent = await judge_reports(page, report(0), report(6), stands)
        assert silent["receiving"]["score"] < 2.0
        assert silent["receiving"]["cause"] == "loss"
        assert silent["sending"]["cause"] == "loss"


async def test_a_call_shows_both_scores(open_page: OpenPage) -> None:
    async with make_server() as server, Client(server.url, name="desk", config=CONFIG) as desk:
        page = await open_page(server.url + "/")
        await page.fill("#name", "lab")
        await page.click("#join")
        await page.wait_for_selector("#lobby:not([hidden])")
        call = desk.start_call("lab", audio=SyntheticVoice(), video=SyntheticVideo())
        await page.click("#accept-video")
        await asyncio.wait_for(call.connected(), 40)
        shown: list[str] = []
        deadline = time.monotonic() + 40
        while not all(re.match(r"[1-5]\.\d of 5", text) for text in shown) or not shown:
            assert time.monotonic() < deadline, shown
            await asyncio.sleep(0.2)
            shown = [await page.inner_text(f"#stat-quality-{way}") for way in ("down", "up")]
        meter = "ringline.call.pc.getStats().then((all) => [...all.values()])"
        entries = await page.evaluate(meter)
        # What the score is made of is there under these names.
        for kind, direction, names in [
            ("audio", "inbound-rtp", ["totalSamplesReceived", "concealedSamples"]),
            ("video", "inbound-rtp", ["framesDecoded", "framesDropped", "qpSum"]),
            ("video", "inbound-rtp", ["totalFreezesDuration", "totalDecodeTime"]),
            ("audio", "outbound-rtp", ["packetsSent", "targetBitrate"]),
            ("video", "outbound-rtp", ["framesEncoded", "qpSum", "mediaSourceId"]),
        ]:
            (entry,) = [e for e in entries if e["type"] == direction and e.get("kind") == kind]
            assert [name for name in names if name not in entry] == [], direction
        await call.hang_up()
