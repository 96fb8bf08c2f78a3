from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.driver import MediaDriver
from ringline.media.frames import VideoFrame
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.packet import is_rtcp
from ringline.media.session import MediaSession
from ringline.media.units import PayloadType, Ssrc

PICTURES = StreamParameters(kind="video", mid="1", payload_type=PayloadType(96), ssrc=Ssrc(1))


async def test_encoding_is_timed_where_it_runs() -> None:
    loop = asyncio.get_running_loop()
    session = MediaSession(
        SessionParameters(
            cname="us",
            local_ssrc=Ssrc(1),
            send=(PICTURES,),
            receive=(),
            extension_ids=ExtensionIds(),
        ),
        codecs=CodecRegistry(),
        rng=random.Random(1),
        wall_clock=lambda: 1000.0,
        now=loop.time(),
    )
    left = asyncio.Event()

    def send(data: bytes) -> None:
        if not is_rtcp(data):
            left.set()

    with ThreadPoolExecutor(1) as executor:
        driver = MediaDriver(
            session,
            send=send,
            executor=executor,
            on_audio=lambda _: None,
            on_video=lambda _: None,
            on_event=lambda _: None,
        )
        driver.set_connected(connected=True)
        driver.handle_video_frame(VideoFrame(np.full((96, 64), 128, np.uint8)))
        await left.wait()
        (stream,) = driver.stats().send.streams
        driver.close()
    assert stream.frames_encoded == 1
    assert stream.total_encode_time > 0.0


async def test_datagrams_of_one_turn_of_the_loop_are_drained_together() -> None:
    loop = asyncio.get_running_loop()
    session = CountingSession(
        SessionParameters(
            cname="us",
            local_ssrc=Ssrc(1),
            send=(PICTURES,),
            receive=(),
            extension_ids=ExtensionIds(),
        ),
        codecs=CodecRegistry(),
        rng=random.Random(1),
        wall_clock=lambda: 1000.0,
        now=loop.time(),
    )
    with ThreadPoolExecutor(1) as executor:
        driver = MediaDriver(
            session,
            send=lambda _: None,
            executor=executor,
            on_audio=lambda _: None,
            on_video=lambda _: None,
            on_event=lambda _: None,
        )
        for _ in range(5):
            driver.handle_datagram(b"\x80\x60", loop.time())
        assert session.drains == 0
        await asyncio.sleep(0)
        assert session.drains == 1
        driver.handle_datagram(b"\x80\x60", loop.time())
        driver.set_connected(connected=True)  # drains for both
        await asyncio.sleep(0)
        assert session.drains == 2
        driver.handle_datagram(b"\x80\x60", loop.time())
        driver.close()
        await asyncio.sleep(0)
        assert session.drains == 3


@pytest.mark.parametrize("library", ["asyncio", "uvloop"])
def test_a_timer_that_is_due_now_may_be_armed_again_on_every_loop(library: str) -> None:
    module = pytest.importorskip(library)

    async def arm() -> int:
        loop = asyncio.get_running_loop()
        session = CountingSession(
            SessionParameters(
                cname="us",
                local_ssrc=Ssrc(1),
                send=(PICTURES,),
                receive=(),
                extension_ids=ExtensionIds(),
            ),
            codecs=CodecRegistry(),
            rng=random.Random(1),
            wall_clock=lambda: 1000.0,
            now=loop.time(),
        )
        with ThreadPoolExecutor(1) as executor:
            driver = MediaDriver(
                session,
                send=lambda _: None,
                executor=executor,
                on_audio=lambda _: None,
                on_video=lambda _: None,
                on_event=lambda _: None,
            )
            for when in (0.0, 0.0, 1.0, 0.0):  # uvloop calls at once what is due at once
                session.due = when
                driver.set_connected(connected=True)
            session.due = None
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            driver.close()
        return session.timeouts

    assert module.run(arm()) == 1


class CountingSession(MediaSession):
    drains = 0
    timeouts = 0
    due: float | None = None

    def poll_event(self) -> object | None:
        self.drains += 1
        return super().poll_event()

    def poll_timeout(self) -> float | None:
        return self.due

    def handle_timeout(self, now: float) -> None:
        self.timeouts += 1
        super().handle_timeout(now)
