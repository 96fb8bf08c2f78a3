from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np

from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.io_synthetic import SyntheticVideo, SyntheticVoice
from ringline.media.source import AudioSource, VideoSource
from ringline.media.synthetic import read_frame_number

Run = Callable[[Coroutine[Any, Any, None]], None]


async def take_video(source: VideoSource, count: int) -> list[VideoFrame]:
    frames = []
    async for frame in source.frames():
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


async def take_audio(source: AudioSource, count: int) -> list[AudioFrame]:
    frames = []
    async for frame in source.frames():
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


def test_pictures_come_at_their_rate_with_their_numbers(run_virtual: Run) -> None:
    async def main() -> None:
        source = SyntheticVideo(320, 180, frame_rate=25)
        frames = await take_video(source, 50)
        assert [read_frame_number(frame.luma) for frame in frames] == list(range(50))
        times = [frame.captured_at for frame in frames]
        assert np.allclose([time or 0.0 for time in times], np.arange(50) / 25)
        assert (frames[0].width, frames[0].height) == (source.width, source.height) == (320, 180)

    run_virtual(main())


def test_sound_comes_each_20_ms(run_virtual: Run) -> None:
    async def main() -> None:
        frames = await take_audio(SyntheticVoice(3), 100)
        assert all(frame.samples.shape == (960,) for frame in frames)
        assert all(frame.samples.dtype == np.int16 for frame in frames)
        assert np.allclose([frame.captured_at or 0.0 for frame in frames], np.arange(100) * 0.02)

    run_virtual(main())


def test_after_a_stall_nothing_comes_in_a_burst(
    run_virtual: Run, stall: Callable[[float], None]
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        times = []
        async for frame in SyntheticVoice().frames():
            times.append(frame.captured_at or 0.0)
            if len(times) == 10:
                stall(1.0)
            if len(times) == 40:
                break
        gaps = np.diff(times)
        assert gaps.min() >= 0.01 - 1e-9
        assert abs(gaps[9] - 1.0) < 0.021  # what was missed is not made up for
        assert abs(loop.time() / 0.02 - round(loop.time() / 0.02)) < 1e-6  # and the beat is kept

    run_virtual(main())


def test_a_second_iterator_goes_on_where_the_first_one_stopped(run_virtual: Run) -> None:
    async def main() -> None:
        source = SyntheticVideo(320, 180)
        numbers = []
        for _ in range(2):
            numbers += [read_frame_number(frame.luma) for frame in await take_video(source, 3)]
            await asyncio.sleep(1)
        assert numbers == list(range(6))

    run_virtual(main())


def test_a_closed_source_ends(run_virtual: Run) -> None:
    async def main() -> None:
        picture, voice = SyntheticVideo(64, 64), SyntheticVoice()
        await picture.close()
        await voice.close()
        await voice.close()
        assert await take_video(picture, 1) == []
        assert await take_audio(voice, 1) == []

    run_virtual(main())
