"""Peer cost: the share of a core, and the memory, that a call takes of one peer's process.

    python benchmarks/peer_cost.py                       both sizes, two minutes
    python benchmarks/peer_cost.py --against ../other    another checkout beside this one
    python benchmarks/peer_cost.py --profile             where the loop's thread spends it
    python benchmarks/peer_cost.py --starve 0.2          a caller with a fifth of the time
    python benchmarks/peer_cost.py --asyncio             on asyncio's own event loop
    python benchmarks/peer_cost.py --seconds 300 --rounds 1 --size 640x360x30   growth of memory

Two peers as processes of their own call each other on loopback, with all that a call is made of:
sockets, SRTP, Opus and VP8 both ways, on the event loop that the command line runs on.  What they
show and say is made before the call, so that handing it over costs nothing; what they see and hear
they fetch, and drop.  The shares are what the system charged the process for, user and system,
while the call was settled.  They depend on what else the machine does: hold two checkouts side by
side by ``--against``, which takes turns.
How fast the machine is, then and at this, is told by a yardstick: the milliseconds that libvpx took
for one of the pictures alone, before each of the calls.
"""

# ruff: noqa: INP001, T201, TID251 - a script, one that says what it does and looks at the clock

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import json
import os
import pstats
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from material import draw_pictures, synthetic_voice

from ringline.client import Call, Client, IncomingCall
from ringline.media.codecs import CodecRegistry
from ringline.media.codecs.video_codec import Vp8Config
from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame, VideoFrame
from ringline.media.source import Cadence
from ringline.media.units import VIDEO_CLOCK_RATE
from ringline.signaling import RinglineServer, ServerConfig
from ringline.turn.io_loop import run

__all__ = ["main"]

_ROOT: Final = Path(__file__).resolve().parent.parent
_SIZES: Final = ("640x360x30", "320x240x15")
_GOALS: Final = {"640x360x30": 0.25, "320x240x15": 0.10}
_SETTLING: Final = 6.0
"""Seconds of the call before it is measured: the rate goes up, caches fill."""

_PICTURES: Final = 60
_VOICE_SECONDS: Final = 20.0
_YARDSTICK_BITS: Final = 0.25
"""For each pixel of the yardstick's pictures, about what calls on an open link give them."""

_PATIENCE: Final = 60.0
_THROTTLE_PERIOD: Final = 0.1

_MEMORY_INTERVAL: Final = 5.0
_GROWTH_FROM: Final = 120.0
"""Seconds of a call from which its memory's growth is told: filling caches look the same."""


# One peer


class Loop:
    """Pictures that were drawn before, shown forth and back without end."""

    def __init__(self, width: int, height: int, frame_rate: float) -> None:
        self.width, self.height, self.frame_rate = width, height, frame_rate
        draw = draw_pictures(width, height, frame_rate)
        there = [draw(number) for number in range(_PICTURES)]
        self.bytes: Final = sum(picture.nbytes for picture in there)
        self._pictures: Final = there + there[-2:0:-1]

    async def frames(self) -> AsyncIterator[VideoFrame]:
        """Give the pictures as a camera does."""
        number, cadence = 0, Cadence(interval=1 / self.frame_rate)
        loop = asyncio.get_running_loop()
        while True:
            departure = cadence.schedule(number / self.frame_rate, loop.time())
            number += 1
            if departure is not None:
                await asyncio.sleep(max(0.0, departure - loop.time()))
                now = loop.time()
                cadence.handle_departure(now)
                yield VideoFrame(self._pictures[number % len(self._pictures)], now)

    async def close(self) -> None:
        """Nothing to let go of."""


class Talk:
    """Sound that was made before, over and over."""

    def __init__(self) -> None:
        sound = synthetic_voice(_VOICE_SECONDS)
        self.bytes: Final = sound.nbytes
        self._blocks: Final = sound.reshape(-1, AUDIO_FRAME_SAMPLES)

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Give 20 ms each, as a microphone does."""
        number, cadence = 0, Cadence(interval=0.02)
        loop = asyncio.get_running_loop()
        while True:
            departure = cadence.schedule(number * 0.02, loop.time())
            number += 1
            if departure is not None:
                await asyncio.sleep(max(0.0, departure - loop.time()))
                now = loop.time()
                cadence.handle_departure(now)
                yield AudioFrame(self._blocks[number % len(self._blocks)], now)

    async def close(self) -> None:
        """Nothing to let go of."""


async def be_peer(options: argparse.Namespace) -> None:
    """Call, or be called; print one line of JSON."""
    picture, voice = Loop(*_parse_size(options.size)), Talk()
    before = _resident()
    async with Client(options.server, name=options.role) as me:
        if options.role == "callee":
            answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

            @me.on_incoming
            async def answer(incoming: IncomingCall) -> None:
                answered.set_result(await incoming.accept(audio=voice, video=picture))

            print(json.dumps({"ready": True}), flush=True)
            call = await asyncio.wait_for(answered, _PATIENCE)
        else:
            call = me.start_call("callee", audio=voice, video=picture)
        seen = _Seen()
        tasks = [asyncio.create_task(seen.watch(call)), asyncio.create_task(seen.listen(call))]
        await asyncio.wait_for(call.connected(), _PATIENCE)
        await asyncio.sleep(_SETTLING)
        result = await _measure(options, call, seen, before, picture.bytes + voice.bytes)
        result["size"] = seen.size
        if options.role == "callee":
            await asyncio.wait_for(call.closed(), _PATIENCE)
        else:
            await asyncio.sleep(0.5)  # the other side may still be measuring
            await call.hang_up()
        await asyncio.gather(*tasks)
    print(json.dumps(result), flush=True)


class _Seen:
    def __init__(self) -> None:
        self.pictures = 0
        self.sounds = 0
        self.concealed = 0
        self.size = (0, 0)

    async def watch(self, call: Call) -> None:
        async for frame in call.video:
            self.pictures += 1
            self.size = (frame.width, frame.height)

    async def listen(self, call: Call) -> None:
        async for frame in call.audio:
            self.sounds += 1
            self.concealed += frame.concealed


async def _measure(
    options: argparse.Namespace, call: Call, seen: _Seen, before: float, material: int
) -> dict[str, Any]:
    profile = cProfile.Profile() if options.profile else None
    pictures, sounds, concealed = seen.pictures, seen.sounds, seen.concealed
    threads, usage, started = _thread_seconds(), resource.getrusage(resource.RUSAGE_SELF), _now()
    memory = [(0.0, _resident())]
    if profile is not None:
        profile.enable()
    while _now() - started < options.seconds:
        await asyncio.sleep(min(_MEMORY_INTERVAL, max(0.0, started + options.seconds - _now())))
        memory.append((_now() - started, _resident()))
    if profile is not None:
        profile.disable()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    session = call.stats().session
    streams = [] if session is None else session.send.streams
    sent = next((stream for stream in streams if stream.kind == "video"), None)
    wall, after = _now() - started, resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - usage.ru_utime, after.ru_stime - usage.ru_stime
    return {
        "cores": (user + system) / wall,
        "system": system / wall,
        "threads": {
            name: round((seconds - threads.get(name, 0.0)) / wall, 4)
            for name, seconds in _thread_seconds().items()
        },
        "switches": (
            after.ru_nvcsw + after.ru_nivcsw - usage.ru_nvcsw - usage.ru_nivcsw
        ) / wall,
        "frame_rate": (seen.pictures - pictures) / wall,
        "sounds": (seen.sounds - sounds) / wall,
        "sent": sent and [sent.frame_width, sent.frame_height, sent.frames_per_second],
        "limitation_seconds": sent and sent.quality_limitation_durations,
        "concealed_ms": (seen.concealed - concealed) / 48,
        "memory_mb": [round(one, 1) for _, one in memory],
        "memory_mb_a_minute": _growth(memory),
        "memory_before_mb": round(before, 1),
        "material_mb": round(material / 2**20, 1),
    }  # fmt: skip


def _now() -> float:
    return time.monotonic()


def _resident() -> float:
    """Return the process's memory in MiB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: the most that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def _growth(memory: list[tuple[float, float]]) -> float | None:
    """Return the slope of memory, in MiB a minute, by least squares; :obj:`None` of a short call.

    Of the second half: what a call needs once it has by then.
    """
    end = memory[-1][0]
    if end < _GROWTH_FROM:
        return None
    later = [(at, size) for at, size in memory if at >= end / 2]
    return 60 * statistics.linear_regression(*zip(*later, strict=True)).slope


def _thread_seconds() -> dict[str, float]:
    """Return the processor time of each kind of thread; empty where the system does not tell."""
    seconds: dict[str, float] = {}
    for thread in threading.enumerate():
        path = Path(f"/proc/self/task/{thread.native_id}/schedstat")
        try:
            spent = int(path.read_text().split()[0]) / 1e9
        except OSError:
            continue
        name = "loop" if thread is threading.main_thread() else thread.name.rpartition("_")[0]
        seconds[name] = seconds.get(name, 0.0) + spent
    return seconds


# Both


@dataclass(slots=True)
class Cost:
    """Of both peers of one call, or of several calls, each the median.

    Attributes:
        cores: Shares of a core.
        system: Of it, in the kernel.
        loop: Of it, on the event loop's thread; 0 where it is not known.
        frame_rate: Pictures seen a second.
        concealed: Milliseconds of sound made up.
        switches: Times a second that the process was given a core.
        memory: MiB at the end, without what is sent.
        growth: MiB a minute in the second half; :obj:`None` where the call was too short to tell.

    """

    cores: float
    system: float
    loop: float
    frame_rate: float
    concealed: float
    switches: float
    memory: float
    growth: float | None

    @classmethod
    def of(cls, peers: list[dict[str, Any]]) -> Cost:
        """Return the median of these."""
        slopes = [slope for peer in peers if (slope := peer["memory_mb_a_minute"]) is not None]
        return cls(
            cores=statistics.median(peer["cores"] for peer in peers),
            system=statistics.median(peer["system"] for peer in peers),
            loop=statistics.median(peer["threads"].get("loop", 0.0) for peer in peers),
            frame_rate=statistics.median(peer["frame_rate"] for peer in peers),
            concealed=statistics.median(peer["concealed_ms"] for peer in peers),
            switches=statistics.median(peer["switches"] for peer in peers),
            memory=statistics.median(peer["memory_mb"][-1] - peer["material_mb"] for peer in peers),
            growth=statistics.median(slopes) if slopes else None,
        )


async def measure_call(
    size: str,
    *,
    seconds: float,
    root: Path,
    profile: bool = False,
    starve: float = 1.0,
    plain: bool = False,
) -> list[dict[str, Any]]:
    """Return what each of two peers, callee and caller, says of a call.

    Args:
        size: Width, height and frame rate.
        seconds: That are measured.
        root: Of the checkout that they are of.
        profile: Whether the caller is profiled.
        starve: Share of the time that the caller may run in.
        plain: Whether they run on asyncio's own event loop.

    Raises:
        RuntimeError: If a peer fails.

    """
    app = web.Application()
    RinglineServer(ServerConfig(dev=True, turn=False)).add_routes(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    peers: list[asyncio.subprocess.Process] = []
    throttle: asyncio.Task[None] | None = None
    try:
        for role in ("callee", "caller"):
            command = [sys.executable, __file__, "--role", role, "--size", size]
            command += ["--server", f"ws://{host}:{port}", "--seconds", str(seconds)]
            command += ["--profile"] if profile and role == "caller" else []
            command += ["--asyncio"] if plain else []
            peers.append(
                await asyncio.create_subprocess_exec(
                    *command,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": str(root / "typecheck")},
                )
            )
            if role == "callee":
                await _line_of(peers[0], _PATIENCE)
        if starve < 1.0:
            throttle = asyncio.create_task(_throttle(peers[1], starve))
        patience = seconds + 2 * _PATIENCE
        return list(await asyncio.gather(*(_line_of(peer, patience) for peer in peers)))
    finally:
        if throttle is not None:
            throttle.cancel()
            await asyncio.gather(throttle, return_exceptions=True)
        for peer in peers:
            if peer.returncode is None:
                try:
                    await asyncio.wait_for(peer.wait(), 10.0)
                except TimeoutError:
                    peer.kill()
                    await peer.wait()
        await runner.cleanup()


async def _throttle(peer: asyncio.subprocess.Process, share: float) -> None:
    """Let a process run in a share of each tenth of a second, as a quota of the system would."""
    await asyncio.sleep(_SETTLING)
    try:
        while peer.returncode is None:
            peer.send_signal(signal.SIGSTOP)
            await asyncio.sleep(_THROTTLE_PERIOD * (1.0 - share))
            peer.send_signal(signal.SIGCONT)
            await asyncio.sleep(_THROTTLE_PERIOD * share)
    except ProcessLookupError:
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            peer.send_signal(signal.SIGCONT)


async def _line_of(peer: asyncio.subprocess.Process, patience: float) -> dict[str, Any]:
    assert peer.stdout is not None  # noqa: S101 - it is a pipe
    line = await asyncio.wait_for(peer.stdout.readline(), patience)
    if not line:
        raise RuntimeError(f"a peer ended with code {await peer.wait()}; see above")
    result: dict[str, Any] = json.loads(line)
    return result


def measure_yardstick(size: str) -> float:
    """Return the seconds of processor time that encoding one of a size's pictures takes alone."""
    width, height, frame_rate = _parse_size(size)
    draw = draw_pictures(width, height, frame_rate)
    pictures = [draw(number) for number in range(_PICTURES)]
    bitrate = int(width * height * frame_rate * _YARDSTICK_BITS)
    encoder = CodecRegistry().video_encoder(
        "VP8", Vp8Config(width=width, height=height, bitrate=bitrate)
    )
    duration = int(VIDEO_CLOCK_RATE / frame_rate)
    started = time.process_time()
    for number, picture in enumerate(pictures):
        encoder.encode(picture, media_time=number * duration, duration=duration)
    return (time.process_time() - started) / len(pictures)


def _parse_size(text: str) -> tuple[int, int, float]:
    width, height, frame_rate = text.split("x")
    return int(width), int(height), float(frame_rate)


@dataclass(slots=True)
class Comparison:
    """All that was measured.

    Attributes:
        calls: What peers said, by size and checkout.
        yardsticks: Seconds for a picture, one before each of the calls, by size.

    """

    calls: dict[str, dict[str, list[dict[str, Any]]]]
    yardsticks: dict[str, list[float]]


async def compare(options: argparse.Namespace) -> Comparison:
    """Measure each checkout and size, taking turns."""
    roots = {"this": _ROOT}
    if options.against is not None:
        roots["against"] = options.against.resolve()
    found = Comparison(
        {size: {name: [] for name in roots} for size in options.size},
        {size: [] for size in options.size},
    )
    for turn in range(options.rounds):
        for size in options.size:
            for name, root in roots.items():
                found.yardsticks[size].append(measure_yardstick(size))
                peers = await measure_call(
                    size,
                    seconds=options.seconds,
                    root=root,
                    profile=options.profile,
                    starve=options.starve,
                    plain=options.asyncio,
                )
                found.calls[size][name] += peers
                shares = " ".join(f"{peer['cores']:.3f}" for peer in peers)
                print(f"{turn + 1}: {size} {name} {shares}", file=sys.stderr)
    return found


def as_table(found: Comparison) -> str:
    """Return the medians as a table."""
    lines = [
        (
            f"{'call':<11} {'checkout':<9} core   goal   kernel  loop   switches/s  fps   made up  "
            "memory   yardstick  growth"
        )
    ]
    for size, checkouts in found.calls.items():
        yardstick = f"{statistics.median(found.yardsticks[size]) * 1e3:.2f} ms"
        goal = f"{_GOALS[size]:.2f}" if size in _GOALS else "-"
        for name, peers in checkouts.items():
            cost = Cost.of(peers)
            growth = "-" if cost.growth is None else f"{cost.growth:+.2f} MiB/min"
            lines.append(
                f"{size:<11} {name:<9} {cost.cores:.3f}  {goal:<5}  {cost.system:.3f}   "
                f"{cost.loop:.3f}  {cost.switches:<10.0f}  {cost.frame_rate:<4.1f}  "
                f"{cost.concealed:<4.0f} ms  {cost.memory:<3.0f} MiB  {yardstick:<9}  {growth}"
            )
    return "\n".join(lines)


def main() -> int:
    """Measure and show, or be one of the peers that are measured."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=(__doc__ or "").partition("\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--size", action="append", metavar="WxHxFPS", help=f"picture ({' and '.join(_SIZES)})"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="measured of each call (20)")
    parser.add_argument("--rounds", type=int, default=2, help="calls of each kind (2)")
    parser.add_argument("--against", type=Path, help="another checkout to take turns with")
    parser.add_argument("--profile", action="store_true", help="the caller's loop, by cProfile")
    parser.add_argument(
        "--starve", type=float, default=1.0, metavar="SHARE", help="of the time for the caller (1)"
    )
    parser.add_argument(
        "--asyncio", action="store_true", help="on its own loop, not the command line's"
    )
    parser.add_argument("--json", action="store_true", help="all that the peers said")
    parser.add_argument("--role", choices=["caller", "callee"], help=argparse.SUPPRESS)
    parser.add_argument("--server", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role is not None:
        options.size = options.size[0]
        (asyncio.run if options.asyncio else run)(be_peer(options))
        return 0
    options.size = options.size or list(_SIZES)
    load = os.getloadavg()[0]
    found = asyncio.run(compare(options))
    if options.json:
        print(json.dumps({"load": load, **asdict(found)}, indent=1))
    else:
        print(as_table(found))
        print("The yardstick is what libvpx takes for one picture alone, on this machine.")
        print(f"Load of the machine at the start: {load:.1f} on {os.cpu_count()} cores.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
