"""A peer for the lab: sends the measuring clip, logs what it sends and what it is given.

Uses the public client library only.  What it writes to ``--out``:

* ``ROLE.json``: ``sent`` rows ``[frame number, ms]``, ``got`` rows ``[frame number, ms, width,
  height]``, ``state`` rows ``[word, ms]``, ``path``, ``cpu_s``, ``rss_mb``, ``stats``;
* ``ROLE.npz``: ``ids`` and ``ys`` (every 15th received frame: number and luma at 640x360) and
  ``pcm`` (what was played, 48 kHz mono).

Times are milliseconds of the wall clock, which both peers share.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from ringline.client import Call, CallState, Client, IncomingCall, StateChanged
from ringline.media import AudioFrame, VideoFrame
from ringline.turn.io_loop import run

WIDTH, HEIGHT, RATE, FRAMES = 640, 360, 30, 600


def wall_ms() -> float:
    return time.time() * 1000


class Clip:
    """The camera: ``clip.y4m`` in a loop, each frame logged when it is handed over."""

    width, height, frame_rate = WIDTH, HEIGHT, float(RATE)

    def __init__(self, media: Path) -> None:
        self.sent: list[tuple[int, float]] = []
        self._bytes = np.memmap(media / "clip.y4m", np.uint8, "r")
        self._head = bytes(self._bytes[:100]).index(b"\n") + 1

    async def frames(self) -> AsyncIterator[VideoFrame]:
        loop = asyncio.get_running_loop()
        start, count, stride = loop.time(), 0, WIDTH * HEIGHT * 3 // 2 + 6
        while True:
            await asyncio.sleep(max(0.0, start + count / RATE - loop.time()))
            count = max(count, int((loop.time() - start) * RATE))
            number = count % FRAMES
            at = self._head + number * stride + 6
            planes = np.array(self._bytes[at : at + stride - 6]).reshape(HEIGHT * 3 // 2, WIDTH)
            self.sent.append((number, wall_ms()))
            yield VideoFrame(planes, loop.time())
            count += 1

    async def close(self) -> None:
        pass


class Speech:
    """The microphone: ``speech.wav`` in a loop."""

    def __init__(self, media: Path) -> None:
        with wave.open(str(media / "speech.wav")) as file:
            self._samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)

    async def frames(self) -> AsyncIterator[AudioFrame]:
        loop = asyncio.get_running_loop()
        start, count = loop.time(), 0
        while True:
            await asyncio.sleep(max(0.0, start + count * 0.02 - loop.time()))
            at = (count * 960) % (len(self._samples) - 960)
            yield AudioFrame(self._samples[at : at + 960], loop.time())
            count += 1

    async def close(self) -> None:
        pass


def frame_number(luma: NDArray[np.uint8]) -> int:
    """Read the strip: 16 blocks over the top 16 rows, the highest bit first."""
    row = luma[8 * luma.shape[0] // HEIGHT]
    block = luma.shape[1] // 16
    number = 0
    for bit in range(16):
        number = number * 2 + int(row[bit * block + block // 2] > 127)
    return number


class Log:
    def __init__(self) -> None:
        self.got: list[tuple[int, float, int, int]] = []
        self.state: list[tuple[str, float]] = []
        self.grabbed: list[tuple[int, NDArray[np.uint8]]] = []
        self.pcm: list[NDArray[np.int16]] = []

    async def watch(self, call: Call) -> None:
        async for frame in call.video:
            number = frame_number(frame.luma)
            self.got.append((number, wall_ms(), frame.width, frame.height))
            if len(self.got) % 15 == 1:
                self.grabbed.append((number, scaled(frame)))

    async def listen(self, call: Call) -> None:
        async for frame in call.audio:
            self.pcm.append(frame.samples)

    async def follow(self, call: Call) -> None:
        async for event in call.events:
            if isinstance(event, StateChanged):
                self.state.append((event.state.value, wall_ms()))


def scaled(frame: VideoFrame) -> NDArray[np.uint8]:
    if (frame.width, frame.height) == (WIDTH, HEIGHT):
        return frame.luma.copy()
    # As YUV: on the way to "gray" its luma, 16 to 235, would be stretched to 0 to 255.
    picture = av.VideoFrame.from_ndarray(frame.planes, format="yuv420p")
    return np.asarray(picture.reformat(WIDTH, HEIGHT).to_ndarray()[:HEIGHT], np.uint8)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=["a", "b"], required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--policy", choices=["all", "relay"], default="all")
    options = parser.parse_args()

    log, clip = Log(), Clip(options.media)
    speech = Speech(options.media)
    async with Client(
        options.server, name=options.role, relay_only=options.policy == "relay"
    ) as me:
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @me.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            answered.set_result(await incoming.accept(audio=speech, video=clip))

        if options.role == "a":
            log.state.append(("calling", wall_ms()))
            call = me.start_call("b", audio=speech, video=clip)
        else:
            call = await asyncio.wait_for(answered, options.seconds + 30)
        cpu = time.process_time()
        tasks = [
            asyncio.create_task(work)
            for work in (log.watch(call), log.listen(call), log.follow(call))
        ]
        await asyncio.sleep(options.seconds)
        result: dict[str, Any] = {
            "sent": clip.sent,
            "got": log.got,
            "state": log.state,
            "path": call.path.kind if call.path else None,
            "cpu_s": time.process_time() - cpu,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "stats": call.stats(),
        }
        (options.out / f"{options.role}.json").write_bytes(msgspec.json.encode(result))
        np.savez(
            options.out / f"{options.role}.npz",
            ids=[number for number, _ in log.grabbed],
            ys=np.array([luma for _, luma in log.grabbed]),
            pcm=np.concatenate(log.pcm) if log.pcm else np.zeros(0, np.int16),
        )
        if call.state is not CallState.ENDED:
            await call.hang_up()
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    run(main())
