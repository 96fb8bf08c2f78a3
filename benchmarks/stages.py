"""Stages: microseconds of each stage, measured in calls that work for a living.

Stages are timed where they are used, not fed made-up input: their methods are wrapped with a clock
for the length of a simulated call over a network on which all of them have work.  What a stage
calls in turn is part of it.  The first seconds of the call, in which caches fill and the rate is
found, are not counted, nor is what the clock itself takes.  The clock is the thread's processor
time, so that whatever else the machine does changes little.
"""

# ruff: noqa: INP001, TID251 - a script, and one that measures time

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from importlib import import_module
from time import thread_time_ns
from typing import Any, Final

from material import draw_pictures, synthetic_voice

from ringline.media.codecs import CodecRegistry
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall, find_network

__all__ = [
    "CODECS",
    "STAGES",
    "CallCost",
    "MethodClock",
    "StageTime",
    "measure_call_cost",
    "measure_stages",
    "timed",
]

STAGES: Final = (
    # name, method, what one call of it handles
    ("RTP: parse", "rtp.packet:RtpPacket.parse", "packet"),
    ("RTP: serialize", "rtp.packet:RtpPacket.serialize", "packet"),
    ("header extensions: parse", "rtp.packet:parse_extensions", "packet"),
    ("header extensions: serialize", "rtp.packet:serialize_extensions", "packet"),
    ("RTCP: parse a compound", "session:parse_compound", "datagram"),
    ("VP8: packetize", "send.packetize:Vp8Packetizer.packetize", "picture"),
    ("Opus: packetize", "send.packetize:OpusPacketizer.packetize", "frame of sound"),
    ("RED: add copies", "send.protect_red:RedProtection.protect", "frame of sound"),
    ("ULPFEC: make parity", "send.protect_ulpfec:UlpFecProtection.handle_sent", "packet"),
    ("pace: queue", "send.pace:Pacer.handle_packet", "packet"),
    ("pace: ask for a packet", "send.pace:Pacer.poll_packet", "question"),
    ("transmit", "send.transmit:Transmitter.transmit", "packet"),
    ("retransmit: keep", "send.protect_rtx:RtxHistory.handle_sent", "packet"),
    ("retransmit: answer a NACK", "send.protect_rtx:RtxHistory.handle_nack", "packet asked for"),
    ("rate: note a departure", "congestion.controller:CongestionController.handle_sent", "packet"),
    ("rate: take feedback", "congestion.controller:CongestionController.handle_feedback",
     "feedback"),
    ("arrive: find the stream", "receive.arrive:Demultiplexer.handle_packet", "packet"),
    ("feedback: note an arrival", "receive.feedback:FeedbackGenerator.handle_arrival", "packet"),
    ("feedback: ask", "receive.feedback:FeedbackGenerator.poll_feedback", "question"),
    ("NACK: note an arrival", "receive.recover_nack:NackRecovery.handle_packet", "packet"),
    ("NACK: ask", "receive.recover_nack:NackRecovery.poll_request", "question"),
    ("RED: recover", "receive.recover_red:RedRecovery.handle_packet", "packet"),
    ("ULPFEC: recover", "receive.recover_ulpfec:UlpFecRecovery.handle_arrival", "packet"),
    ("sound: take a packet", "receive.audio_stream:AudioStream.handle_packet", "packet"),
    ("jitter buffer: take a packet", "receive.jitter_buffer:JitterBuffer.handle_packet", "packet"),
    ("jitter buffer: decide", "receive.jitter_buffer:JitterBuffer.poll", "20 ms"),
    ("sound: play (without Opus)", "receive.audio_stream:AudioStream.handle_timeout", "20 ms"),
    ("assemble: take a packet", "receive.assemble:Assembler.handle_packet", "packet"),
    ("render: take a picture", "receive.render:Renderer.handle_frame", "picture"),
    ("render: ask for a picture", "receive.render:Renderer.poll_frame", "question"),
    ("session: take a datagram", "session:MediaSession.handle_datagram", "datagram"),
    ("session: ask for a datagram", "session:MediaSession.poll_datagram", "question"),
    ("session: do what is due", "session:MediaSession.handle_timeout", "timeout"),
)  # fmt: skip
"""What is measured without codecs; each name is a module of ``ringline.media`` and a method."""

CODECS: Final = (
    ("VP8: scale and encode", "send.encode_job:VideoEncodeJob.run", "picture"),
    ("VP8: decode", "codecs.vp8:Vp8Decoder.decode", "picture"),
    ("Opus: encode", "codecs.opus:OpusEncoder.encode", "frame of sound"),
    ("Opus: decode", "codecs.opus:OpusDecoder.decode", "frame of sound"),
    ("Opus: conceal", "codecs.opus:OpusDecoder.conceal", "frame of sound"),
)
"""What is measured with them."""

_NETWORK: Final = "rate=2000,delay=40,jitter=10,loss=5,reorder=1"
"""Busy enough that repairs are asked for, open enough for pictures of full size."""

_WARM_UP: Final = 5.0  # seconds of the call
_INPUTS_AND_OUTPUTS: Final = (
    "handle_audio_frame", "handle_video_frame", "handle_datagram", "handle_job", "handle_timeout",
    "poll_timeout", "poll_datagram", "poll_job", "poll_audio", "poll_video", "poll_event",
)  # fmt: skip


@dataclass(slots=True, frozen=True)
class StageTime:
    """What one stage takes.

    Attributes:
        stage: Its name.
        per: What one call of it handles.
        calls: How often it was called in the measured time.
        mean: Microseconds.
        median: Likewise.
        p95: Likewise.

    """

    stage: str
    per: str
    calls: int
    mean: float
    median: float
    p95: float


@dataclass(slots=True, frozen=True)
class CallCost:
    """Processor time of one peer of a two-way call.

    Attributes:
        name: What is sent.
        road: Share of a core for everything but codecs, network and encryption.
        codecs: Share of a core for VP8 and Opus, at the speed that they are set to.

    """

    name: str
    road: float
    codecs: float


class MethodClock:
    """Collects what calls of one method took.

    Attributes:
        samples: Nanoseconds of processor time, one for each call.

    """

    def __init__(self) -> None:
        self.samples: list[int] = []

    def wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method that does the same and is timed."""
        samples = self.samples

        @wraps(method)
        def clocked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
            start = thread_time_ns()
            result = method(*args, **kwargs)
            samples.append(thread_time_ns() - start)
            return result

        return clocked


@contextmanager
def timed(names: Iterable[str]) -> Iterator[dict[str, MethodClock]]:
    """Time methods of ``ringline.media`` while the context lasts.

    Args:
        names: ``module:Class.method`` or ``module:function`` of each.

    """
    clocks = {name: MethodClock() for name in names}
    undo: list[tuple[Any, str, Any]] = []
    try:
        for name, clock in clocks.items():
            owner, attribute, original = _find(name)
            function = original.__func__ if isinstance(original, classmethod) else original
            wrapped: Any = clock.wrap(function)
            if isinstance(original, classmethod):
                wrapped = classmethod(wrapped)
            undo.append((owner, attribute, original))
            setattr(owner, attribute, wrapped)
        yield clocks
    finally:
        for owner, attribute, original in reversed(undo):
            setattr(owner, attribute, original)


def _find(name: str) -> tuple[Any, str, Any]:
    """Return who has a method or function, what it is called there, and it."""
    module, _, path = name.partition(":")
    owner: Any = import_module(f"ringline.media.{module}")
    *classes, attribute = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    return owner, attribute, vars(owner)[attribute]


def _clock_cost() -> int:
    """Return what a clock itself adds to what it measures, in nanoseconds."""
    clock = MethodClock()
    nothing = clock.wrap(lambda: None)
    for _ in range(20_000):
        nothing()
    return int(statistics.median(clock.samples))


def _time_of(
    table: tuple[tuple[str, str, str], ...], call: SimulatedCall, seconds: float
) -> list[StageTime]:
    """Time each method in a call of its own length, after the warm-up."""
    overhead = _clock_cost()
    with timed(tuple(name for _, name, _ in table)) as clocks:
        call.run(until=_WARM_UP)
        for clock in clocks.values():
            clock.samples.clear()
        call.run(until=_WARM_UP + seconds)
    times = []
    for stage, name, per in table:
        samples = sorted(max(0, sample - overhead) for sample in clocks[name].samples)
        if samples:
            p95 = samples[min(len(samples) - 1, len(samples) * 95 // 100)]
            mean, median = statistics.fmean(samples), statistics.median(samples)
            times.append(
                StageTime(stage, per, len(samples), mean / 1000, median / 1000, p95 / 1000)
            )
    return times


def measure_stages(*, seconds: float) -> list[StageTime]:
    """Time the stages of the road, one at a time so that none pays for another's clock."""
    times = []
    for row in STAGES:
        # Our own peers repair pictures by other means; with a browser it is by parity.
        config = CallConfig(ulpfec=row[0].startswith("ULPFEC"))
        call = SimulatedCall(NetworkProfile.parse(_NETWORK), seed=1, config=config)
        times += _time_of((row,), call, seconds)
    return times


def measure_call_cost(
    width: int, height: int, frame_rate: float, *, seconds: float
) -> tuple[CallCost, list[StageTime]]:
    """Return what a two-way call over an open link costs one peer, and its codecs' times.

    Encryption and sockets are not in it; the thread that codecs run on is.
    """
    overhead = _clock_cost()
    names = tuple(f"session:MediaSession.{name}" for name in _INPUTS_AND_OUTPUTS)
    config = CallConfig(width=width, height=height, frame_rate=frame_rate)
    call = SimulatedCall(find_network("clean"), seed=1, config=config)
    with timed(names) as clocks:
        call.run(until=_WARM_UP)
        for clock in clocks.values():
            clock.samples.clear()
        call.run(until=_WARM_UP + seconds)
    spent = sum(sum(clock.samples) - overhead * len(clock.samples) for clock in clocks.values())
    codecs = _codec_times(config, seconds)
    coded = sum(time.mean * time.calls for time in codecs) * 1000
    each = 2 * seconds * 1e9
    cost = CallCost(f"{width}x{height} at {frame_rate:g}", spent / each, coded / each)
    return cost, codecs


def _codec_times(config: CallConfig, seconds: float) -> list[StageTime]:
    registry = CodecRegistry()
    picture = draw_pictures(config.width, config.height, config.frame_rate)
    voice = synthetic_voice(_WARM_UP + seconds).reshape(-1, AUDIO_FRAME_SAMPLES)
    real = replace(
        config,
        codecs=lambda _: registry,
        pictures=picture,
        sounds=lambda number: voice[number % len(voice)],
    )
    return _time_of(CODECS, SimulatedCall(find_network("clean"), seed=1, config=real), seconds)
