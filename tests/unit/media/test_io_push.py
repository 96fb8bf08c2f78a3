from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from ringline.media.errors import DeviceError
from ringline.media.io_push import Mailbox, NumpyAudio, NumpyVideo

Run = Callable[[Coroutine[Any, Any, None]], None]


def _picture(level: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((4, 6, 3), level, np.uint8)


def test_a_full_mailbox_forgets_the_oldest(run_virtual: Run) -> None:
    async def main() -> None:
        mailbox: Mailbox[int] = Mailbox(2)
        for item in range(5):
            mailbox.put(item)
        mailbox.close()
        mailbox.put(99)
        assert [await mailbox.take() for _ in range(3)] == [3, 4, None]
        assert mailbox.dropped == 3

    run_virtual(main())


def test_a_device_error_comes_out_after_the_last_item(run_virtual: Run) -> None:
    async def main() -> None:
        mailbox: Mailbox[int] = Mailbox(2)
        mailbox.put(1)
        mailbox.close(DeviceError("camera stopped"))
        assert await mailbox.take() == 1
        with pytest.raises(DeviceError, match="camera stopped"):
            await mailbox.take()

    run_virtual(main())


async def test_a_thread_wakes_the_loop_that_waits() -> None:
    mailbox: Mailbox[str] = Mailbox(2)
    waiting = asyncio.ensure_future(mailbox.take())
    await asyncio.sleep(0)
    thread = threading.Thread(target=mailbox.put, args=("from a thread",))
    thread.start()
    assert await asyncio.wait_for(waiting, 5) == "from a thread"
    thread.join()


def test_pictures_arrive_converted_and_stamped(run_virtual: Run) -> None:
    async def main() -> None:
        source = NumpyVideo(6, 4)
        loop = asyncio.get_running_loop()
        pixels = _picture(255)
        loop.call_later(1.5, source.send, pixels)
        async for frame in source.frames():
            assert (frame.width, frame.height, frame.captured_at) == (6, 4, 1.5)
            assert (frame.luma == 235).all()
            break
        assert source.dropped == 0

    run_virtual(main())


def test_pictures_that_nobody_takes_are_dropped_and_counted(run_virtual: Run) -> None:
    async def main() -> None:
        source = NumpyVideo(6, 4, limit=2)
        for level in range(0, 250, 50):
            source.send(_picture(level)[:, :, 0], format="gray")
        await source.close()
        shown = [int(frame.luma[0, 0]) async for frame in source.frames()]
        assert len(shown) == 2
        assert shown[0] < shown[1]
        assert source.dropped == 3

    run_virtual(main())


def test_an_array_that_does_not_fit_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        NumpyVideo().send(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="must be even"):
        NumpyVideo().send(np.zeros((5, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="expected int16"):
        NumpyAudio().send(np.zeros((2, 960), np.int16))


def test_sound_sent_at_once_comes_in_real_time(run_virtual: Run) -> None:
    async def main() -> None:
        source = NumpyAudio()
        samples = np.arange(9600, dtype=np.int16)
        source.send(samples[:1000])
        source.send(samples[1000:])
        await source.close()
        frames = [frame async for frame in source.frames()]
        assert np.array_equal(np.concatenate([frame.samples for frame in frames]), samples)
        assert np.allclose([frame.captured_at or 0.0 for frame in frames], np.arange(10) * 0.02)

    run_virtual(main())


def test_after_a_pause_sound_goes_on_at_once(run_virtual: Run) -> None:
    async def main() -> None:
        source = NumpyAudio()
        loop = asyncio.get_running_loop()
        source.send(np.ones(1920, np.int16))
        loop.call_later(3.005, source.send, np.full(1920, 2, np.int16))
        loop.call_later(4, lambda: asyncio.ensure_future(source.close()))
        frames = [frame async for frame in source.frames()]
        assert [round(frame.captured_at or 0.0, 3) for frame in frames] == [0, 0.02, 3.005, 3.025]
        assert [int(frame.samples[0]) for frame in frames] == [1, 1, 2, 2]

    run_virtual(main())


def test_the_program_may_use_its_array_again(run_virtual: Run) -> None:
    async def main() -> None:
        source = NumpyAudio()
        samples = np.ones(960, np.int16)
        source.send(samples)
        samples[:] = 0
        await source.close()
        frames = [frame async for frame in source.frames()]
        assert [bool((frame.samples == 1).all()) for frame in frames] == [True]

    run_virtual(main())


def test_surplus_sound_drops_the_oldest(run_virtual: Run) -> None:
    async def main() -> None:
        source = NumpyAudio(limit=0.1)
        for level in range(8):
            source.send(np.full(960, level, np.int16))
        await source.close()
        frames = [frame async for frame in source.frames()]
        assert [int(frame.samples[0]) for frame in frames] == [3, 4, 5, 6, 7]
        assert source.dropped == 3

    run_virtual(main())
