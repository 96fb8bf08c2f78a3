from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from ringline.client.call_media import CallMedia
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.session import SessionConfig


class Device:
    """A program's own source and sink, which may fail in any way, and counts its closings."""

    width, height, frame_rate = 64, 48, 30.0

    def __init__(self, *, fails: bool = False) -> None:
        self.closed = 0
        self.taken = 0
        self._fails = fails

    async def frames(self) -> AsyncIterator[VideoFrame]:
        while True:
            if self._fails:
                raise KeyError("the device has gone")
            yield VideoFrame(np.zeros((72, 64), np.uint8), 0.0)
            await asyncio.sleep(0)

    def handle_audio_frame(self, frame: AudioFrame, now: float) -> None:
        self.taken += 1
        if self._fails:
            raise KeyError(f"no room for {frame} at {now}")

    def handle_video_frame(self, frame: VideoFrame, now: float) -> None:
        self.handle_audio_frame(AudioFrame(np.zeros(960, np.int16), now), now)
        assert frame is not None

    async def close(self) -> None:
        self.closed += 1
        if self._fails:
            raise OSError("cannot close")


@pytest.fixture
async def media() -> CallMedia:
    return CallMedia(
        codecs=CodecRegistry(),
        config=SessionConfig(),
        send=lambda data: pytest.fail(f"{len(data)} bytes left without a path"),
        on_event=lambda event: pytest.fail(f"{event} without a session"),
    )


async def test_everything_is_closed_once_also_what_fails(
    media: CallMedia, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, bad_source = Device(), Device(), Device(fails=True)
    recorder, bad_sink = Device(), Device(fails=True)
    media.add_sinks(recorder, recorder)
    media.add_sinks(bad_sink, None)
    media.set_video_source(first)
    await asyncio.sleep(0)
    media.set_video_source(bad_source)
    await asyncio.sleep(0)
    media.set_video_source(second)
    await media.close()
    await media.close()
    assert [d.closed for d in (first, second, bad_source, recorder, bad_sink)] == [1, 1, 1, 1, 1]
    assert "the device has gone" in caplog.text
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_same_source_again_goes_on(media: CallMedia) -> None:
    source = Device()
    media.set_video_source(source)
    media.set_video_source(source)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert source.closed == 0
    assert media.has_source("video")
    await media.close()
    assert source.closed == 1


async def test_a_source_that_comes_after_the_end_is_closed(media: CallMedia) -> None:
    source = Device()
    await media.close()
    media.set_video_source(source)
    await asyncio.sleep(0)
    assert source.closed == 1
    assert not media.has_source("video")


async def test_a_sink_that_fails_keeps_no_other_from_hearing(
    media: CallMedia, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Device(fails=True), Device()
    media.add_sinks(bad, bad)
    media.add_sinks(good, good)
    media._play_audio(AudioFrame(np.zeros(960, np.int16), 0.0))
    media._play_video(VideoFrame(np.zeros((72, 64), np.uint8), 0.0))
    assert good.taken == 2
    assert "a sink takes no sound" in caplog.text
    assert "a sink takes no picture" in caplog.text
    assert (await anext(media.audio)).samples.shape == (960,)
    await media.close()
