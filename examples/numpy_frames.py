"""Send pictures and sound that a program makes, and read theirs, all as numpy arrays.

``python examples/numpy_frames.py echo --seconds 5``
"""

from __future__ import annotations

import argparse
import asyncio

import numpy as np
from numpy.typing import NDArray

from ringline.client import Call, Client
from ringline.media import NumpyAudio, NumpyVideo


def draw(number: int) -> NDArray[np.uint8]:
    """Return a colour wheel that turns, ``uint8`` RGB of shape ``(240, 320, 3)``."""
    y, x = np.mgrid[-1:1:240j, -1.33:1.33:320j]
    angle = np.arctan2(y, x) + number * 0.1
    shades = [127 + 127 * np.sin(angle + third) for third in (0.0, 2.1, 4.2)]
    return np.stack(shades, axis=-1).astype(np.uint8)


def hum(number: int) -> NDArray[np.int16]:
    """Return 20 ms of a tone that swells, ``int16`` mono at 48 kHz."""
    at = (np.arange(960) + 960 * number) / 48_000
    tone = 6000 * np.sin(2 * np.pi * 220 * at) * np.sin(np.pi * at) ** 2
    return np.asarray(tone, np.int16)


async def show(picture: NumpyVideo) -> None:
    """Send 15 pictures a second."""
    number = 0
    while True:
        picture.send(draw(number))
        number += 1
        await asyncio.sleep(1 / 15)


async def sing(sound: NumpyAudio) -> None:
    """Send 20 ms of sound at a time; the source evens out the sleeps."""
    number = 0
    while True:
        sound.send(hum(number))
        number += 1
        await asyncio.sleep(0.02)


async def watch(call: Call) -> None:
    """Tell how bright their picture is, once a second."""
    count = 0
    async for frame in call.video:
        if count % 15 == 0:
            brightness = frame.luma.mean()
            age = asyncio.get_running_loop().time() - (frame.captured_at or 0.0)
            print(
                f"{frame.width}x{frame.height}, brightness {brightness:.0f}, {age * 1e3:.0f} ms old"
            )
        count += 1
    print(f"{count} pictures came")


async def main() -> None:
    """Call, send and read for a while."""
    parser = argparse.ArgumentParser(description="Exchange numpy frames with somebody.")
    parser.add_argument("callee")
    parser.add_argument("--server", default="ws://localhost:8080")
    parser.add_argument("--as", dest="name", default="numpy", metavar="NAME")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    picture, sound = NumpyVideo(), NumpyAudio()
    async with Client(options.server, name=options.name) as me:
        call = await me.call(options.callee, audio=sound, video=picture)
        watching = asyncio.create_task(watch(call))
        senders = [asyncio.create_task(work) for work in (show(picture), sing(sound))]
        await asyncio.sleep(options.seconds)
        for sender in senders:
            sender.cancel()
        await call.hang_up()
        await watching


if __name__ == "__main__":
    asyncio.run(main())
