"""Pipeline: the receiving half of the road, from a decrypted packet to sound and picture.

::

    packet ─> Demultiplexer ─┬─> RlcRecovery (what is lost comes back here)
                 │           ├─> NackRecovery ──────────────> NACK
                 │           ├─> RedRecovery ─> AudioStream ──> sound, one frame each 20 ms
                 │           └─> UlpFecRecovery ─> VideoStream ──> jobs, pictures, PLI, RPSI
                 ├─> FeedbackGenerator ──> transport-wide feedback
                 └─> ReportTimer ────────> receiver reports
                     LipSync between sound and picture

**Drain rule**: after each input the driver drains ``poll_job``, ``poll_rtcp``, ``poll_audio``,
``poll_video`` and ``poll_event`` until each is :obj:`None`, then arms one timer for
``poll_timeout``.

Invariants:

1. Nothing that arrives raises or grows memory without bound.
2. From the first packet on there is one frame of sound for each 20 ms.
3. While the path is not connected nothing is asked for; sound goes on as silence.
4. Whatever may change a stage's deadline drops ``_due``.  So what is polled between two inputs
   costs one comparison, unless something is due.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from ringline.media.codecs.video_codec import VideoDecoder
from ringline.media.deadlines import earliest
from ringline.media.frames import AudioFrame, Kind, VideoFrame
from ringline.media.jobs import Job
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.receive.arrive import Arrival, ArriveConfig, Demultiplexer
from ringline.media.receive.assemble import AssembleConfig
from ringline.media.receive.audio_stream import AudioStream, AudioStreamConfig
from ringline.media.receive.conceal import AudioDecoder, ConcealConfig
from ringline.media.receive.decode import DecodeConfig, DecodeJob
from ringline.media.receive.feedback import FeedbackConfig, FeedbackGenerator
from ringline.media.receive.jitter_buffer import JitterBufferConfig
from ringline.media.receive.recover_nack import NackConfig, NackRecovery, recovery_deadline
from ringline.media.receive.recover_red import RedRecovery
from ringline.media.receive.recover_rlc import RlcRecovery, RlcRecoveryConfig
from ringline.media.receive.recover_ulpfec import UlpFecConfig, UlpFecRecovery
from ringline.media.receive.render import RenderConfig
from ringline.media.receive.report import ReportConfig, ReportTimer
from ringline.media.receive.stats import AudioReceiveStats, ReceiveStats, VideoReceiveStats
from ringline.media.receive.synchronize import LipSync, SenderClock, SynchronizeConfig
from ringline.media.receive.video_stream import VideoStream
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import RlcRepair
from ringline.media.rtp.rtcp import (
    Nack,
    PictureLossIndication,
    ReferencePictureSelection,
    RtcpPacket,
    SenderReport,
)
from ringline.media.units import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE

__all__ = [
    "DecoderFactory",
    "ReceiveConfig",
    "ReceivePipeline",
    "ReceiveStats",
    "StreamStarted",
]

_MAX_AUDIO_QUEUE: Final = 50
"""Frames of sound that nobody fetched: a second, then the oldest go."""

_MAX_VIDEO_QUEUE: Final = 30
"""Pictures that nobody fetched."""


_REORDERING: Final = 0.05
"""Seconds that a missing packet is waited for where it cannot be asked for."""


class DecoderFactory(Protocol):
    """Makes decoders: :class:`ringline.media.codecs.registry.CodecRegistry` does."""

    def video_decoder(self, name: str) -> VideoDecoder:
        """Make a decoder for a codec by its name in SDP."""
        ...

    def audio_decoder(self, name: str) -> AudioDecoder:
        """Likewise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveConfig:
    """Tuning of each stage, in the order of the road; the defaults suit a call."""

    arrive: ArriveConfig = field(default_factory=ArriveConfig)
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    nack: NackConfig = field(default_factory=NackConfig)
    ulpfec: UlpFecConfig = field(default_factory=UlpFecConfig)
    rlc: RlcRecoveryConfig = field(default_factory=RlcRecoveryConfig)
    jitter_buffer: JitterBufferConfig = field(default_factory=JitterBufferConfig)
    conceal: ConcealConfig = field(default_factory=ConcealConfig)
    audio: AudioStreamConfig = field(default_factory=AudioStreamConfig)
    assemble: AssembleConfig = field(default_factory=AssembleConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    synchronize: SynchronizeConfig = field(default_factory=SynchronizeConfig)
    render: RenderConfig = field(default_factory=RenderConfig)


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Event: the first packet of a stream came, or the first of a new source of it."""

    mid: str
    kind: Kind
    ssrc: int


@dataclass(slots=True)
class _Stream:
    """One stream of either kind: exactly one of ``audio`` and ``video`` is there."""

    parameters: StreamParameters
    clock: SenderClock
    nack: NackRecovery | None
    rlc: RlcRecovery | None = None  # only of video
    audio: AudioStream | None = None
    red: RedRecovery | None = None
    late_copies: int = 0
    video: VideoStream | None = None
    fec: UlpFecRecovery | None = None
    packets: int = 0
    bytes: int = 0
    header_bytes: int = 0
    nacks: int = 0
    ssrc: int | None = None


class ReceivePipeline:
    """Receives all streams of one transport, sans I/O.

    Args:
        parameters: What negotiation settled.
        config: Tuning.
        codecs: Makes the decoders, all at once and here.
        now: The present.

    Raises:
        CodecError: If a decoder cannot be made.

    """

    def __init__(
        self,
        parameters: SessionParameters,
        config: ReceiveConfig | None = None,
        *,
        codecs: DecoderFactory,
        now: float,
    ) -> None:
        del now  # nothing is due before the first packet
        config = config or ReceiveConfig()
        self._parameters: Final = parameters
        self._config: Final = config
        self._demultiplexer: Final = Demultiplexer(parameters, config.arrive)
        self._feedback: Final = FeedbackGenerator(parameters.local_ssrc, config.feedback)
        self._reports: Final = ReportTimer(parameters.local_ssrc, config.report)
        self._streams: Final = {
            stream.mid: self._make_stream(stream, codecs) for stream in parameters.receive
        }
        self._lanes: Final = {f"decode:{mid}": s.video for mid, s in self._streams.items()}
        self._first_audio: Final = self._first("audio")
        self._first_video: Final = self._first("video")
        self._lip_sync: Final = LipSync(config.synchronize)
        self._wants_feedback: Final = any(stream.transport_cc for stream in parameters.receive)
        self._connected = True
        self._round_trip: float | None = None
        self._due: float | None = None  # earliest deadline of all stages; set if _is_due_known
        self._is_due_known = False
        self._audio: Final[deque[AudioFrame]] = deque(maxlen=_MAX_AUDIO_QUEUE)
        self._video: Final[deque[VideoFrame]] = deque(maxlen=_MAX_VIDEO_QUEUE)
        self._events: Final[deque[StreamStarted]] = deque(maxlen=64)

    def _make_stream(self, parameters: StreamParameters, codecs: DecoderFactory) -> _Stream:
        config = self._config
        is_audio = parameters.kind == "audio"
        stream = _Stream(
            parameters,
            SenderClock(AUDIO_CLOCK_RATE if is_audio else VIDEO_CLOCK_RATE),
            NackRecovery(config.nack) if parameters.nack else None,
        )
        if is_audio:
            stream.audio = AudioStream(
                codecs.audio_decoder("opus"), config.jitter_buffer, config.conceal, config.audio
            )
            if parameters.red_payload_type is not None:
                stream.red = RedRecovery(parameters.payload_type, parameters.red_payload_type)
        else:
            if parameters.repair_payload_type is not None:
                stream.rlc = RlcRecovery(config.rlc)
            stream.video = VideoStream(
                parameters.mid,
                codecs.video_decoder("VP8"),
                can_request=parameters.pli,
                can_select=parameters.rpsi,
                assemble=config.assemble,
                decode=config.decode,
                render=config.render,
                deadline=recovery_deadline(config.nack, None) if parameters.nack else _REORDERING,
            )
            # A sender with a repair stream uses that (send/streams.py): no parity will come, and
            # remembering each packet for it would be for nothing.
            has_code = stream.rlc is not None and parameters.repair_ssrc is not None
            if parameters.red_payload_type is not None and not has_code:
                stream.fec = UlpFecRecovery(
                    parameters, self._parameters.extension_ids, config.ulpfec
                )
        return stream

    # Inputs

    def handle_packet(self, data: bytes, now: float) -> None:
        """Take one decrypted RTP packet; one that is none is dropped and counted."""
        self._is_due_known = False
        packet = self._demultiplexer.parse(data)
        if packet is None:
            return
        number = packet.extensions.transport_sequence_number
        missing = 0
        if number is not None and self._wants_feedback:
            missing = self._feedback.handle_arrival(
                number, ssrc=packet.ssrc, size=len(data), now=now
            )
        arrival = self._demultiplexer.handle_packet(packet, now)
        if missing:
            self._suspect_loss(missing - (arrival.skipped if arrival else 0), arrival, now)
        if arrival is None:
            return
        self._reports.handle_packet(now)
        stream = self._streams[arrival.stream.mid]
        if arrival.repair is not None:
            self._repair(stream, arrival.sequence, arrival.repair, now)
            return
        if arrival.restarted:
            self._restart(stream, arrival, now)
        stream.packets += 1
        payload_size = len(arrival.packet.payload)
        stream.bytes += payload_size
        stream.header_bytes += len(data) - payload_size
        if stream.fec is None:
            self._deliver(stream, arrival, now)
            return
        for each in stream.fec.handle_arrival(arrival, data, now):
            self._deliver(stream, each, now)

    def handle_sender_report(self, report: SenderReport, now: float) -> None:
        """Take a sender report; one about an unknown source is passed over."""
        mid = self._demultiplexer.mid_of(report.ssrc)
        if mid is None:
            return
        self._streams[mid].clock.handle_sender_report(report, now)
        for statistics in self._demultiplexer.statistics():
            if statistics.ssrc == report.ssrc:
                statistics.handle_sender_report(report, now)

    def handle_round_trip(self, rtt: float, now: float) -> None:
        """Take a new round trip, in seconds: it times retries and deadlines."""
        del now
        self._is_due_known = False
        self._round_trip = rtt
        deadline = recovery_deadline(self._config.nack, rtt)
        for stream in self._streams.values():
            stream.clock.handle_round_trip(rtt)
            if stream.nack is not None:
                stream.nack.handle_round_trip(rtt)
                if stream.video is not None:
                    stream.nack.set_deadline(deadline)
            if stream.video is not None:
                stream.video.handle_round_trip(
                    rtt, _REORDERING if stream.nack is None else deadline
                )

    def set_connected(self, connected: bool, now: float) -> None:
        """Tell whether what is polled from here reaches the sender."""
        del now
        self._is_due_known = False
        if connected and not self._connected:
            self._feedback.restart()
            for stream in self._streams.values():
                if stream.nack is not None:
                    stream.nack.restart()
        self._connected = connected

    def handle_job(self, job: Job, now: float) -> None:
        """Take back a job that has run."""
        self._is_due_known = False
        stream = self._lanes.get(job.lane)
        if stream is not None and isinstance(job, DecodeJob):
            if self._first_video is not None and stream is self._first_video.video:
                stream.set_extra_delay(self._lip_sync.video_delay)
            stream.handle_job(job, now)
            self._show(now)

    # Time

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` is due, or :obj:`None` if nothing is awaited."""
        if not self._is_due_known:
            self._due = self._find_due()
            self._is_due_known = True
        return self._due

    def handle_timeout(self, now: float) -> None:
        """Play the sound and show the pictures that are due, and give up what is too late."""
        self._is_due_known = False
        for stream in self._streams.values():
            if stream.audio is not None:
                tick = stream.audio.poll_timeout()
                if tick is not None and tick <= now:
                    self._play(stream, stream.audio, now)
            if stream.video is not None:
                stream.video.handle_timeout(now)
        self._show(now)

    # Outputs

    def poll_rtcp(self, now: float) -> RtcpPacket | None:
        """Return the next thing to tell the sender; nothing while the path is gone."""
        if not self._connected:
            return None
        due = self._due if self._is_due_known else self.poll_timeout()
        if due is None or now < due:
            return None  # no stage has anything
        self._is_due_known = False
        for stream in self._streams.values():
            packet = self._poll_repair(stream, now)
            if packet is not None:
                return packet
        feedback = self._feedback.poll_feedback(now)
        if feedback is not None:
            return feedback
        return self._reports.poll_report(self._demultiplexer.statistics(), now)

    def poll_job(self) -> Job | None:
        """Return a frame to decode; give it back by :meth:`handle_job`."""
        for stream in self._streams.values():
            job = stream.video.poll_job() if stream.video is not None else None
            if job is not None:
                return job
        return None

    def poll_audio(self) -> AudioFrame | None:
        """Return 20 ms of sound that is due, or :obj:`None`."""
        return self._audio.popleft() if self._audio else None

    def poll_video(self) -> VideoFrame | None:
        """Return a picture that is due, or :obj:`None`."""
        return self._video.popleft() if self._video else None

    def poll_event(self) -> StreamStarted | None:
        """Return what happened, or :obj:`None`."""
        return self._events.popleft() if self._events else None

    def stats(self, now: float) -> ReceiveStats:
        """Return what has arrived so far; the same objects are updated by the next call."""
        counters = self._demultiplexer.counters
        stats = ReceiveStats(
            malformed_packets=counters.malformed,
            unplaced_packets=counters.unknown_source
            + counters.unknown_payload_type
            + counters.out_of_range,
            audio_video_offset=self._lip_sync.offset,
        )
        receptions = {reception.ssrc: reception for reception in self._demultiplexer.statistics()}
        for mid, stream in self._streams.items():
            entry: AudioReceiveStats | VideoReceiveStats
            if stream.audio is not None:
                entry = stream.audio.stats()
            elif stream.video is not None:
                entry = stream.video.stats(now)
            else:
                continue
            entry.mid = mid
            entry.packets_received = stream.packets
            entry.bytes_received = stream.bytes
            entry.header_bytes_received = stream.header_bytes
            entry.nack_count = stream.nacks
            if stream.nack is not None:
                entry.repairs.retransmission = stream.nack.recovered
            if stream.red is not None:
                entry.fec_packets_received = stream.red.copies
                entry.fec_bytes_received = stream.red.copy_bytes
                entry.repairs.red = stream.red.recovered - stream.late_copies
                entry.fec_packets_discarded = stream.red.copies - entry.repairs.red
            if stream.fec is not None:
                entry.fec_packets_received = stream.fec.packets
                entry.fec_bytes_received = stream.fec.bytes
                entry.fec_packets_discarded = stream.fec.discarded
                entry.repairs.fec = stream.fec.recovered
            if stream.rlc is not None:
                entry.repairs.fec = stream.rlc.recovered
                entry.fec_packets_received = stream.rlc.received
                entry.fec_bytes_received = stream.rlc.received_bytes
                entry.fec_packets_discarded = stream.rlc.discarded
            ssrc = self._demultiplexer.media_ssrc(mid)
            reception = receptions.get(ssrc) if ssrc is not None else None
            if reception is not None:
                entry.ssrc = reception.ssrc
                entry.jitter = reception.jitter
                entry.packets_lost = reception.lost
                entry.retransmitted_packets_received = reception.retransmitted
                entry.retransmitted_bytes_received = reception.retransmitted_bytes
            stats.streams.append(entry)
        return stats

    # Private

    def _find_due(self) -> float | None:
        connected = self._connected
        due: list[float | None] = []
        for stream in self._streams.values():
            if stream.audio is not None:
                due.append(stream.audio.poll_timeout())
            if stream.video is not None:
                due.append(stream.video.poll_timeout(can_ask=connected))
            if stream.nack is not None and connected:
                due.append(stream.nack.poll_timeout())
        if connected:
            due.append(self._feedback.poll_timeout())
            due.append(self._reports.poll_timeout())
        return earliest(*due)

    def _deliver(self, stream: _Stream, arrival: Arrival, now: float) -> None:
        packet = arrival.packet
        if stream.nack is not None and arrival.recovered:
            stream.nack.handle_recovered(arrival.sequence, now)
        elif stream.nack is not None:
            stream.nack.handle_packet(arrival.sequence, now, retransmitted=arrival.retransmitted)
        if stream.audio is not None:
            if stream.nack is not None:
                # A retransmission must come before its turn to be played.
                stream.nack.set_deadline(max(0.0, stream.audio.buffer.target - self._rtt()))
            if stream.red is not None:
                self._recover_copies(stream, stream.red, stream.audio, arrival, now)
            else:
                stream.audio.handle_packet(
                    arrival.sequence,
                    packet.timestamp,
                    packet.payload,
                    now,
                    retransmitted=arrival.retransmitted,
                )
        if stream.video is not None:
            stream.video.handle_packet(
                arrival.sequence,
                packet.timestamp,
                packet.payload,
                now,
                marker=packet.marker,
                retransmitted=arrival.retransmitted or arrival.recovered,
            )
            if stream.rlc is not None and not arrival.recovered:
                recovered = stream.rlc.handle_media(arrival.sequence, packet)
                self._deliver_recovered(stream, recovered, now)
            _expect_repair(stream, now)

    def _recover_copies(
        self, stream: _Stream, red: RedRecovery, audio: AudioStream, arrival: Arrival, now: float
    ) -> None:
        for block in red.handle_packet(arrival.packet, arrival.sequence):
            if not block.age:
                audio.handle_packet(
                    block.sequence,
                    block.timestamp,
                    block.payload,
                    now,
                    retransmitted=arrival.retransmitted,
                )
            elif not audio.handle_copy(block.sequence, block.timestamp, block.payload, now):
                stream.late_copies += 1

    def _repair(self, stream: _Stream, first: int, repair: RlcRepair, now: float) -> None:
        if stream.rlc is None:
            return
        if stream.nack is not None:
            stream.nack.handle_repair(first + repair.count - 1, now)
        self._deliver_recovered(stream, stream.rlc.handle_repair(first, repair, now), now)
        _expect_repair(stream, now)

    def _deliver_recovered(
        self, stream: _Stream, packets: list[tuple[int, RtpPacket]], now: float
    ) -> None:
        for sequence, packet in packets:
            self._deliver(stream, Arrival(stream.parameters, packet, sequence, recovered=True), now)

    def _rtt(self) -> float:
        default = self._config.nack.default_round_trip
        return default if self._round_trip is None else self._round_trip

    def _restart(self, stream: _Stream, arrival: Arrival, now: float) -> None:
        """Begin a stream: its first packet, another source, or a sender that restarted."""
        if stream.ssrc is not None:
            if stream.nack is not None:
                stream.nack.restart()
            if stream.rlc is not None:
                stream.rlc.restart()
            if stream.audio is not None:
                stream.audio.restart()
            if stream.red is not None:
                stream.red.restart()
            if stream.video is not None:
                stream.video.restart(now)
            if stream.fec is not None:
                stream.fec.restart()
            if stream.ssrc != arrival.packet.ssrc:
                stream.clock.restart()
                self._lip_sync.restart()
        if stream.ssrc != arrival.packet.ssrc:
            stream.ssrc = arrival.packet.ssrc
            self._events.append(
                StreamStarted(stream.parameters.mid, stream.parameters.kind, stream.ssrc)
            )

    def _suspect_loss(self, count: int, arrival: Arrival | None, now: float) -> None:
        """A gap in the transport's numbers that the packet behind it does not explain."""
        if count <= 0:
            return
        for stream in self._streams.values():
            is_own = arrival is not None and arrival.stream.mid == stream.parameters.mid
            if stream.video is not None and stream.nack is not None and not is_own:
                stream.nack.handle_transport_gap(count, now)
                _expect_repair(stream, now)

    def _poll_repair(self, stream: _Stream, now: float) -> RtcpPacket | None:
        ssrc = self._demultiplexer.media_ssrc(stream.parameters.mid)
        if ssrc is None:
            return None
        if stream.nack is not None:
            wanted = stream.nack.poll_request(now)
            if stream.video is not None and stream.nack.is_doubtful(now):
                stream.video.handle_doubt(now)
            if wanted:
                stream.nacks += 1
                numbers = [number & 0xFFFF for number in wanted]
                return Nack(self._parameters.local_ssrc, ssrc, numbers)
        request = stream.video.poll_repair_request(now) if stream.video is not None else None
        if request is None:
            return None
        if request.picture_id is None:
            return PictureLossIndication(self._parameters.local_ssrc, ssrc)
        return ReferencePictureSelection(
            self._parameters.local_ssrc, ssrc, stream.parameters.payload_type, request.picture_id
        )

    def _play(self, stream: _Stream, audio: AudioStream, now: float) -> None:
        is_first = stream is self._first_audio
        if is_first:
            audio.set_lip_sync_delay(self._lip_sync.audio_delay)

        def captured_at(media_time: int, played_at: float) -> float | None:
            wallclock = stream.clock.wallclock(media_time)
            if is_first and wallclock is not None:
                self._lip_sync.handle_audio(wallclock, played_at)
            return stream.clock.captured_at(media_time)

        self._audio.extend(audio.handle_timeout(now, captured_at))

    def _show(self, now: float) -> None:
        for stream in self._streams.values():
            if stream.video is None:
                continue
            is_first = stream is self._first_video
            _expect_repair(stream, now)
            rendered = stream.video.poll_frame(now, stream.clock.captured_at)
            if rendered is None:
                continue
            self._video.append(rendered.frame)
            wallclock = stream.clock.wallclock(rendered.media_time)
            if is_first and wallclock is not None:
                self._lip_sync.handle_video(wallclock, now)

    def _first(self, kind: Kind) -> _Stream | None:
        """Return the stream of a kind that lip sync is about."""
        streams = self._streams.values()
        return next((stream for stream in streams if stream.parameters.kind == kind), None)


def _expect_repair(stream: _Stream, now: float) -> None:
    """Tell the stage that times pictures what the one that asks for packets knows."""
    if stream.video is None or stream.nack is None:
        return
    if stream.video.next_sequence is not None:
        stream.nack.handle_passed(stream.video.next_sequence)
    stream.video.expect_repair(stream.nack.expected_at(now))
