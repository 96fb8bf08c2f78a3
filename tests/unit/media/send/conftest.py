"""A sending pipeline on a simulated link, with codecs of known behaviour and a plain receiver."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from ringline.media.codecs.opus import OpusConfig
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.video_codec import Reference, Vp8Config
from ringline.media.frames import AudioFrame, EncodedPicture, VideoFrame
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rtcp import (
    Nack,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    TransportFeedback,
)
from ringline.media.send.difficulty import quantizer_for
from ringline.media.send.pipeline import SendConfig, SendPipeline
from ringline.media.simulate.link import Link
from ringline.media.simulate.profile import LinkProfile
from ringline.media.units import PayloadType, Ssrc

IDS = ExtensionIds(mid=1, audio_level=2, absolute_send_time=3, transport_sequence_number=4)
AUDIO_SSRC, VIDEO_SSRC, RTX_SSRC = Ssrc(0xA), Ssrc(0xB), Ssrc(0xC)


class FakeVideoEncoder:
    """Meets its rate within a quarter, if it can; key frames are five times as large."""

    def __init__(self, config: Vp8Config, seed: int) -> None:
        self.has_golden = False
        self.bitrate = config.bitrate
        self.sizes: list[tuple[int, int]] = []
        self.forced: list[bool] = []
        self.fails = False
        self._rng = random.Random(seed)

    def encode(
        self,
        planes: Any,
        *,
        media_time: int,
        duration: int,
        force_key: bool = False,
        reference: Reference = Reference.LAST,
    ) -> EncodedPicture | None:
        del media_time, reference
        if self.fails:
            raise ValueError("expected another picture")
        size = (planes.shape[1], planes.shape[0] * 2 // 3)
        key = force_key or not self.sizes or self.sizes[-1] != size
        self.sizes.append(size)
        self.forced.append(force_key)
        pixels = size[0] * size[1]
        bitrate = max(self.bitrate, pixels * 0.5)
        length = bitrate * duration / 90_000 / 8 * self._rng.uniform(0.75, 1.25)
        quantizer = round(max(2.0, quantizer_for(bitrate, pixels)))
        if key:
            length *= 5
        return EncodedPicture(bytes([not key]) + bytes(max(10, int(length))), key, *size, quantizer)

    def set_bitrate(self, bitrate: int) -> None:
        self.bitrate = bitrate

    def set_cpu_used(self, cpu_used: int) -> None:
        del cpu_used


class FakeAudioEncoder:
    def __init__(self, config: OpusConfig) -> None:
        self.bitrate = config.bitrate
        self.loss = config.packet_loss
        self.complexity = config.complexity

    def encode(self, samples: Any) -> bytes:
        if len(samples) not in {960, 1_920, 2_880}:
            raise ValueError(f"expected 20, 40 or 60 ms, got {len(samples)} samples")
        return bytes(self.bitrate * len(samples) // 384_000)

    def set_bitrate(self, bitrate: int) -> None:
        self.bitrate = bitrate

    def set_packet_loss(self, ratio: float) -> None:
        self.loss = ratio

    def set_complexity(self, complexity: int) -> None:
        self.complexity = complexity


class FakeCodecs:
    def __init__(self, seed: int = 7) -> None:
        self._seed = seed
        self.video: list[FakeVideoEncoder] = []
        self.audio: list[FakeAudioEncoder] = []

    def video_encoder(self, name: str, config: Vp8Config) -> FakeVideoEncoder:
        assert name == "VP8"
        self.video.append(FakeVideoEncoder(config, self._seed))
        return self.video[-1]

    def audio_encoder(self, name: str, config: OpusConfig) -> FakeAudioEncoder:
        assert name == "opus"
        self.audio.append(FakeAudioEncoder(config))
        return self.audio[-1]


def parameters(*, rpsi: bool = False, **changes: Any) -> SessionParameters:
    """Sound and picture as with a browser; ``changes`` apply to both streams."""
    common: dict[str, Any] = {"transport_cc": True, **changes}
    return SessionParameters(
        cname="desk",
        local_ssrc=AUDIO_SSRC,
        extension_ids=IDS,
        send=(
            StreamParameters(
                kind="audio",
                mid="0",
                payload_type=PayloadType(111),
                ssrc=AUDIO_SSRC,
                in_band_fec=True,
                **common,
            ),
            StreamParameters(
                kind="video",
                mid="1",
                payload_type=PayloadType(96),
                ssrc=VIDEO_SSRC,
                rtx_payload_type=PayloadType(97),
                rtx_ssrc=RTX_SSRC,
                nack=True,
                pli=True,
                rpsi=rpsi,
                **common,
            ),
        ),
    )


@dataclass
class Sample:
    now: float
    target: int
    queue: float
    delivered: int  # bytes so far
    sent: int  # RTP bytes so far


@dataclass
class VirtualCall:
    """One direction of a call in virtual time."""

    up: str = "delay=20"
    down: str = "delay=20"
    seed: int = 1
    feedback_interval: float = 0.1
    report_only: bool = False
    config: SendConfig = field(default_factory=SendConfig)
    session: SessionParameters = field(default_factory=parameters)
    codecs: Any = None
    size: tuple[int, int] = (640, 360)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.now = 0.0
        self.codecs = self.codecs or FakeCodecs(self.seed)
        self.link: Link[None] = Link(LinkProfile.parse(self.up), rng=rng)
        self.back: Link[RtcpPacket] = Link(LinkProfile.parse(self.down), rng=rng)
        self.pipeline = SendPipeline(
            self.session,
            self.config,
            codecs=cast("CodecRegistry", self.codecs),
            rng=random.Random(self.seed + 1),
            wall_clock=lambda: 1_700_000_000.0,
            now=0.0,
        )
        self.samples: list[Sample] = []
        self.events: list[Any] = []
        self.departed: list[tuple[float, RtpPacket]] = []
        self.received: list[tuple[float, RtpPacket]] = []
        self.sender_reports: list[SenderReport] = []
        self.mute_feedback = False
        self._sent_bytes = 0
        self._arrivals: dict[int, float] = {}  # by transport-wide number, unwrapped
        self._next_feedback = 0  # first number not yet reported
        self._highest: int | None = None
        self._feedback_count = 0
        self._sequences: dict[int, list[int]] = {}
        self._missing: dict[int, float] = {}  # video numbers, when asked for last
        self._last_report: tuple[int, float] | None = None
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._picture = np.zeros((self.size[1] * 3 // 2, self.size[0]), np.uint8)
        self._sound = np.zeros(960, np.int16)
        self._every(0.02, 0.0, self._capture_audio)
        self._every(1 / 30, 0.005, self._capture_video)
        self._every(self.feedback_interval, 0.01, self._send_feedback)
        self._every(1.0, 0.5, self._send_report)
        self._every(0.02, 0.0, self._sample)

    # What a test does

    def connect(self) -> None:
        self.pipeline.set_connected(True, self.now)
        self._drain()

    def run(self, until: float) -> None:
        while True:
            due = [when for when in (self.link.poll_timeout(), self.back.poll_timeout()) if when]
            due.append(self._timers[0][0])
            timeout = self.pipeline.poll_timeout()
            if timeout is not None:
                due.append(timeout)
            when = max(min(due), self.now)
            if when > until:
                self.now = until
                return
            self.now = when
            self._step(timeout)

    def between(self, start: float, end: float) -> list[Sample]:
        return [sample for sample in self.samples if start <= sample.now < end]

    def mean_queue(self, start: float, end: float) -> float:
        return float(np.mean([sample.queue for sample in self.between(start, end)]))

    def mean_target(self, start: float, end: float) -> float:
        return float(np.mean([sample.target for sample in self.between(start, end)]))

    def throughput(self, start: float, end: float) -> float:
        window = self.between(start, end)
        return (window[-1].delivered - window[0].delivered) * 8 / (window[-1].now - window[0].now)

    # The machinery

    def _step(self, timeout: float | None) -> None:
        if timeout is not None and timeout <= self.now:
            self.pipeline.handle_timeout(self.now)
            self._drain()
        while (item := self.link.poll_datagram(self.now)) is not None:
            self._receive(item[0])
        while (item2 := self.back.poll_datagram(self.now)) is not None:
            assert item2[1] is not None
            self.pipeline.handle_rtcp(item2[1], self.now)
            self._drain()
        while self._timers[0][0] <= self.now:
            heapq.heappop(self._timers)[2]()

    def _every(self, interval: float, first: float, action: Callable[[], None]) -> None:
        def fire() -> None:
            self._every(interval, self.now + interval, action)
            action()

        self._serial += 1
        heapq.heappush(self._timers, (first, self._serial, fire))

    def _drain(self) -> None:
        while (job := self.pipeline.poll_job()) is not None:
            job.run()
            self.pipeline.handle_job(job, self.now)
        while (report := self.pipeline.poll_rtcp(self.now)) is not None:
            if isinstance(report, SenderReport):
                self.sender_reports.append(report)
                self._last_report = (report.ntp_time >> 16 & 0xFFFFFFFF, self.now)
        while (data := self.pipeline.poll_packet(self.now)) is not None:
            self._sent_bytes += len(data)
            self.departed.append((self.now, RtpPacket.parse(data, IDS)))
            self.link.handle_datagram(data, self.now)
        while (event := self.pipeline.poll_event()) is not None:
            self.events.append(event)

    def _capture_audio(self) -> None:
        self.pipeline.handle_audio_frame(AudioFrame(self._sound, self.now), self.now)
        self._drain()

    def _capture_video(self) -> None:
        self.pipeline.handle_video_frame(VideoFrame(self._picture, self.now), self.now)
        self._drain()

    def _sample(self) -> None:
        self.samples.append(
            Sample(
                self.now,
                self.pipeline.target_bitrate,
                self.link.queue_delay(self.now),
                self.link.stats.bytes_delivered,
                self._sent_bytes,
            )
        )

    def _receive(self, data: bytes) -> None:
        packet = RtpPacket.parse(data, IDS)
        self.received.append((self.now, packet))
        number = packet.extensions.transport_sequence_number
        if number is not None:
            if self._highest is None:
                self._highest = number
            step = (number - self._highest) & 0xFFFF
            full = self._highest + (step - 0x10000 if step > 0x7FFF else step)
            self._highest = max(self._highest, full)
            self._arrivals[full] = self.now + 1234.5
        if packet.ssrc == VIDEO_SSRC:
            self._note_video(packet.sequence_number)
        elif packet.ssrc == RTX_SSRC and len(packet.payload) >= 2:
            self._missing.pop(int.from_bytes(packet.payload[:2], "big"), None)
        self._sequences.setdefault(packet.ssrc, []).append(packet.sequence_number)

    def _note_video(self, number: int) -> None:
        seen = self._sequences.get(VIDEO_SSRC)
        if not seen:
            return
        gap = (number - seen[-1]) & 0xFFFF
        lost = [(seen[-1] + step) & 0xFFFF for step in range(1, gap)] if gap < 500 else []
        if lost:
            self._missing.update(dict.fromkeys(lost, self.now))
            self._send_back(Nack(1, VIDEO_SSRC, lost))

    def _send_feedback(self) -> None:
        if self.report_only or self.mute_feedback or self._highest is None:
            return
        if self._highest < self._next_feedback:
            return
        numbers = range(self._next_feedback, self._highest + 1)
        self._next_feedback = self._highest + 1
        arrivals = [self._arrivals.pop(number, None) for number in numbers]
        feedback = TransportFeedback(1, 2, numbers[0] & 0xFFFF, self._feedback_count, arrivals)
        self._feedback_count = (self._feedback_count + 1) & 0xFF
        self._send_back(TransportFeedback.parse(feedback.serialize()))

    def _send_report(self) -> None:
        blocks = []
        for ssrc in (AUDIO_SSRC, VIDEO_SSRC):
            numbers = self._sequences.get(ssrc)
            if numbers and self._last_report is not None:
                last_sr, came_at = self._last_report
                recent = numbers[-100:]
                span = (recent[-1] - recent[0]) & 0xFFFF
                fraction = max(0.0, 1 - len(recent) / (span + 1))
                blocks.append(
                    ReportBlock(
                        ssrc,
                        fraction,
                        0,
                        numbers[-1],
                        0,
                        last_sr,
                        int((self.now - came_at) * 65_536),
                    )
                )
        if blocks:
            self._send_back(ReceiverReport(1, blocks))

    def _send_back(self, packet: RtcpPacket) -> None:
        self.back.handle_datagram(bytes(60), self.now, packet)


@pytest.fixture
def virtual_call() -> type[VirtualCall]:
    return VirtualCall


@pytest.fixture
def fake_codecs() -> FakeCodecs:
    return FakeCodecs()


@pytest.fixture
def session_parameters() -> Callable[..., SessionParameters]:
    return parameters
