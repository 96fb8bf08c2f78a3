"""Pipeline: the sending stages wired in the order of the road, for everything on one transport.

::

    handle_audio_frame ─> AudioStream ────────────────┐           (encoded in place)
    handle_video_frame ─> VideoStream ─> poll_job     │
    handle_job ────────> packetize ───────────────────┴─> Pacer ─> Transmitter ─> poll_packet
    handle_rtcp ─┬ NACK ─> RtxHistory ───────────────────────^         │
                 ├ PLI, FIR, RPSI ─> VideoStream (repair frame)        │ log of departures
                 ├ report blocks ─> SenderReports (round trip, loss)   v
                 └ transport-cc, REMB, loss ─> CongestionController ─> allocate ─> encoders, Pacer

Copies of sound (RED) are made in its stream, which also chooses them; ULPFEC for pictures in
:meth:`_depart`, where packets have the numbers that parity names them by.  Between two of our own
peers each picture is followed by repair packets (:mod:`.protect_rlc`) instead, as many as
:mod:`.protection` says.  Only their places wait in the pacer; they are made when they leave, over
what has left by then.  ``Demand.protection`` is the share of either.

**Drain rule**: after each input (``handle_*``, ``set_*``, ``request_*``) the caller drains
``poll_job``, ``poll_rtcp``, ``poll_packet`` and ``poll_event`` until each is :obj:`None`, then arms
one timer for ``poll_timeout`` and calls ``handle_timeout`` when it fires.

Invariants:

1. Nothing leaves while the path is not connected; a pipeline starts unconnected.
2. No RTCP from the peer raises.
3. A muted kind sends no media; what it sent before may still be repeated.
4. After the path comes back the next picture is a key frame.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.congestion.allocate import LAYER_OVERHEAD, Demand, allocate
from ringline.media.congestion.controller import CongestionController
from ringline.media.congestion.target_rate import RateConfig
from ringline.media.deadlines import earliest
from ringline.media.errors import CodecError
from ringline.media.frames import AudioFrame, Kind, VideoFrame
from ringline.media.jobs import Job
from ringline.media.parameters import SessionParameters
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    ReferencePictureSelection,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    TransportFeedback,
)
from ringline.media.send.encode import EncodeConfig, SkipReason
from ringline.media.send.encode_job import VideoEncodeJob
from ringline.media.send.events import (
    CpuLimitChanged,
    SendEvent,
    SentPictureChanged,
    SentPictureState,
    TargetBitrateChanged,
)
from ringline.media.send.pace import Outgoing, PaceConfig, Pacer, Priority
from ringline.media.send.packetize import header_size
from ringline.media.send.protect_rtx import RtxConfig
from ringline.media.send.protect_ulpfec import ulpfec_protection
from ringline.media.send.protection import Protection, VideoPath
from ringline.media.send.report import SenderReports
from ringline.media.send.stats import SendStats, SendStreamStats
from ringline.media.send.streams import AudioStream, VideoStream
from ringline.media.send.transmit import TransmitStream, Transmitter

__all__ = ["SendConfig", "SendPipeline", "SendStats", "SendStreamStats"]

logger = logging.getLogger(__name__)

_DEFAULT_ROUND_TRIP: Final = 0.1
"""Seconds assumed until one is measured: libwebrtc's for retransmissions."""

_NOTABLE_CHANGE: Final = 0.1
"""Share by which the target must move to be worth an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendConfig:
    """Tuning of the sending half; the defaults suit a call."""

    max_packet_size: int = 1_180
    """Bytes of RTP: with SRTP's tag 1190, which with IPv6, UDP and TURN's channel header stays
    below the 1280 that every IPv6 path carries."""

    rate: RateConfig = field(default_factory=RateConfig)
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    pace: PaceConfig = field(default_factory=PaceConfig)
    rtx: RtxConfig = field(default_factory=RtxConfig)


class SendPipeline:
    """The sending half of a session, sans I/O.

    Args:
        parameters: What negotiation settled; each stream to send has an SSRC.
        config: Tuning.
        codecs: Makes encoders.
        rng: For what starts at random, and to spread timers.
        wall_clock: Seconds since 1970, read once.
        now: The present.

    Raises:
        ValueError: If a stream to send has no SSRC.

    """

    def __init__(
        self,
        parameters: SessionParameters,
        config: SendConfig,
        *,
        codecs: CodecRegistry,
        rng: random.Random,
        wall_clock: Callable[[], float],
        now: float,
    ) -> None:
        self._parameters: Final = parameters
        self._config: Final = config
        ids = parameters.extension_ids
        self._audio: Final[dict[str, AudioStream]] = {}  # by mid
        self._video: Final[dict[str, VideoStream]] = {}  # by mid
        for stream in parameters.send:
            if stream.kind == "audio":
                self._audio[stream.mid] = AudioStream(
                    stream,
                    ids=ids,
                    max_packet_size=config.max_packet_size,
                    codecs=codecs,
                    rng=rng,
                )
            else:
                self._video[stream.mid] = VideoStream(
                    stream,
                    config.encode,
                    config.rtx,
                    ids=ids,
                    max_packet_size=config.max_packet_size,
                    codecs=codecs,
                    rng=rng,
                    now=now,
                )
        self._streams: Final[tuple[AudioStream | VideoStream, ...]] = (
            *self._audio.values(),
            *self._video.values(),
        )
        self._transmit_by_ssrc: Final[dict[int, TransmitStream]] = {}
        self._video_by_ssrc: Final[dict[int, VideoStream]] = {}
        self._video_by_repair_ssrc: Final[dict[int, VideoStream]] = {}
        for each in self._audio.values():
            self._transmit_by_ssrc[each.media.ssrc] = each.media
        for video in self._video.values():
            self._transmit_by_ssrc[video.media.ssrc] = video.media
            self._video_by_ssrc[video.media.ssrc] = video
            if video.rtx is not None:
                self._transmit_by_ssrc[video.rtx.ssrc] = video.rtx
            if video.repair is not None:
                self._transmit_by_ssrc[video.repair.ssrc] = video.repair
                self._video_by_repair_ssrc[video.repair.ssrc] = video
        self._controller: Final = CongestionController(config.rate, now=now)
        self._pacer: Final = Pacer(
            config.pace,
            rate=self._controller.pacing_bitrate,
            can_pad=any(video.rtx is not None for video in self._video.values()),
            now=now,
        )
        self._transmitter: Final = Transmitter(ids)
        self._reports: Final = SenderReports(wall_clock, now=now)
        self._jobs: Final[deque[Job]] = deque()
        self._rtcp: Final[deque[RtcpPacket]] = deque()
        self._events: Final[deque[SendEvent]] = deque()
        self._header_size: Final = {
            stream.mid: header_size(ids, stream.mid) for stream in parameters.send
        }
        self._connected = False
        self._pictures_bitrate = 0
        self._announced_bitrate = self._controller.target_bitrate
        self._dropped = 0
        self._bytes_on_wire = 0
        self._allocate(now)

    # Inputs

    def handle_audio_frame(self, frame: AudioFrame, now: float) -> None:
        """Send 20 ms of sound.

        Raises:
            ValueError: If the frame is not 960 samples of ``int16``.

        """
        stream = next(iter(self._audio.values()), None)
        if stream is None or stream.muted:
            return
        try:
            packet = stream.handle_frame(frame, now)
        except CodecError as error:
            stream.stats.frames_skipped[SkipReason.FAILED] = (
                stream.stats.frames_skipped.get(SkipReason.FAILED, 0) + 1
            )
            logger.debug("sound not encoded: %s", error)
            return
        if packet is not None:
            self._queue(packet, Priority.AUDIO, stream.parameters.mid, now)

    def handle_video_frame(self, frame: VideoFrame, now: float) -> None:
        """Send a picture, unless it is late, the encoder is busy or the path is full.

        The first one makes the encoder, so give it before the path is there.
        """
        stream = next(iter(self._video.values()), None)
        if stream is None:
            return
        if stream.muted:
            stream.encode.skipped[SkipReason.PAUSED] += 1
            return
        if not self._connected:
            stream.encode.skipped[SkipReason.PAUSED] += 1
            preparation = stream.encode.prepare(frame)
            if preparation is not None:
                self._jobs.append(preparation)
            return
        self._allocate(now)
        queue = self._pacer.queued_bytes * 8 / self._controller.target_bitrate
        if self._controller.is_window_full(now):
            queue = math.inf
        before = stream.encode.size
        job = stream.encode.handle_frame(frame, now, queue_seconds=queue)
        if job is None:
            return
        self._jobs.append(job)
        if stream.encode.size != before:
            width, height = stream.encode.size
            self._events.append(SentPictureChanged(stream.parameters.mid, width, height))

    def handle_job(self, job: Job, now: float) -> None:
        """Take back a job that has run."""
        if not isinstance(job, VideoEncodeJob):
            return
        for stream in self._video.values():
            picture = stream.encode.handle_job(job, now)
            if picture is None:
                continue
            if stream.muted or not self._connected:
                stream.encode.request_key_frame()  # what follows would refer to this one
                continue
            stream.stats.total_encode_time += job.seconds
            packets = stream.handle_picture(picture, job.media_time, now, reference=job.reference)
            for packet in packets:
                self._queue(packet, Priority.VIDEO, stream.parameters.mid, now)
            for packet in stream.protect(packets, key=picture.key):
                self._queue(packet, Priority.FEC, stream.parameters.mid, now)
            self._drop_if_overfull(stream)

    def handle_decoding(self, seconds: float, now: float) -> None:
        """Take how long this computer took to decode a frame that came."""
        for stream in self._video.values():
            stream.encode.cpu.handle_decoding(seconds, now)

    def handle_lateness(self, late: float, now: float) -> None:
        """Take by how many seconds a timer of the session came late."""
        for stream in self._video.values():
            stream.encode.cpu.handle_lateness(late, now)

    def handle_rtcp(self, packet: RtcpPacket, now: float) -> None:
        """Take what concerns our streams; anything else is passed over."""
        match packet:
            case TransportFeedback():
                report = self._controller.handle_feedback(packet, now)
                for audio in self._audio.values():
                    audio.handle_fates(report, now)
                self._follow(now)
                for stream in self._video.values():
                    if stream.encode.references is not None:
                        stream.encode.references.handle_heard(self._round_trip_guess, now)
            case Nack():
                self._handle_nack(packet, now)
            case ReferencePictureSelection():
                self._handle_selection(packet, now)
            case PictureLossIndication():
                self._handle_key_frame_request(packet.media_ssrc, now, full=False)
            case FullIntraRequest():
                for ssrc in packet.media_ssrcs:
                    self._handle_key_frame_request(ssrc, now, full=True)
            case ReceiverEstimatedMaxBitrate():
                self._controller.handle_estimate(packet.bitrate, now)
                self._follow(now)
            case SenderReport() | ReceiverReport():
                self._handle_blocks(packet.reports, now)
            case _:
                pass

    def set_muted(self, kind: Kind, muted: bool, now: float) -> None:
        """Stop or go on sending one kind."""
        for audio in self._audio.values():
            if kind == "audio":
                audio.muted = muted
        for video in self._video.values():
            if kind == "video" and video.muted != muted:
                video.muted = muted
                video.encode.request_key_frame()
                if muted:  # nor does what waits to leave: the user wants nothing shown any more
                    self._dropped += self._pacer.drop_video()
        self._allocate(now)

    def set_connected(self, connected: bool, now: float) -> None:
        """Tell whether datagrams get through."""
        if connected == self._connected:
            return
        self._connected = connected
        self._dropped += self._pacer.drop_video()
        for stream in self._video.values():
            stream.encode.request_key_frame()
        self._controller.set_connected(connected, now)
        self._follow(now)

    def expect_bitrate(self, bitrate: int, now: float) -> None:
        """Start from what the last call on this network reached; before anything has left."""
        self._controller.expect_bitrate(bitrate, now)
        self._pacer.set_rate(self._controller.pacing_bitrate, now)
        self._allocate(now)

    def expect_round_trip(self, round_trip: float, now: float) -> None:
        """Start as is fit for a path of so many seconds; before anything has left."""
        self._controller.expect_round_trip(round_trip, now)
        self._pacer.set_rate(self._controller.pacing_bitrate, now)
        self._allocate(now)

    def request_key_frame(self, now: float) -> None:
        """Make the next picture of each stream a key frame."""
        del now
        for stream in self._video.values():
            stream.encode.request_key_frame()

    # Time

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` is due, or :obj:`None`."""
        if not self._connected:
            return None
        due = earliest(self._pacer.poll_timeout(), self._controller.poll_timeout())
        for stream in self._streams:
            report = stream.reports.due
            if report is not None and (due is None or report < due):
                due = report
        return due

    def handle_timeout(self, now: float) -> None:
        """Do what is due at ``now``; packets that may leave are for :meth:`poll_packet`."""
        if not self._connected:
            return
        due = self._controller.poll_timeout()
        if due is not None and due <= now:  # far more often it is the pacer that wants to go on
            self._controller.handle_timeout(now)
            self._follow(now)
        for stream in self._streams:
            due = stream.reports.due
            if due is not None and due <= now:
                stream.reports.handle_report(now)
                self._rtcp.append(self._reports.make(stream.media, stream.timestamp_at(now), now))
                self._rtcp.append(SourceDescription(stream.media.ssrc, self._parameters.cname))

    # Outputs

    def poll_job(self) -> Job | None:
        """Return a picture to encode; give it back by :meth:`handle_job`."""
        return self._jobs.popleft() if self._jobs else None

    def poll_packet(self, now: float) -> bytes | None:
        """Return the next RTP packet that may leave at ``now``, stamped, or :obj:`None`."""
        if not self._connected:
            return None
        self._probe(now)
        while (outgoing := self._pacer.poll_packet(now)) is not None or self._pad(now):
            data = None if outgoing is None else self._depart(outgoing, now)
            if data is not None:
                return data
        return None

    def poll_rtcp(self, now: float) -> RtcpPacket | None:
        """Return a sender report, or the description that goes with it."""
        del now
        return self._rtcp.popleft() if self._rtcp else None

    def poll_event(self) -> SendEvent | None:
        """Return what happened."""
        return self._events.popleft() if self._events else None

    @property
    def round_trip(self) -> float | None:
        """Seconds there and back by reports, or :obj:`None` before the first."""
        return self._reports.round_trip

    @property
    def target_bitrate(self) -> int:
        """Bits per second on the wire that the path is thought to take, for everything."""
        return self._controller.target_bitrate

    @property
    def reached_bitrate(self) -> int | None:
        """Mean of the last seconds of that, or :obj:`None` before there is enough to say."""
        return self._controller.reached_bitrate

    def stats(self, now: float) -> SendStats:
        """Return the state of everything."""
        for stream in self._streams:
            _fill_counts(stream.stats, stream.media)
            stream.stats.muted = stream.muted
            stream.stats.remote = self._reports.remote(stream.media.ssrc)
        for video in self._video.values():
            stats = video.stats
            if video.rtx is not None:
                stats.packets_sent += video.rtx.packets
                stats.bytes_sent += video.rtx.payload_bytes
                stats.header_bytes_sent += video.rtx.header_bytes
                stats.retransmitted_packets_sent = video.rtx.packets
                stats.retransmitted_bytes_sent = video.rtx.payload_bytes
            if video.repair is not None:
                stats.fec_packets_sent = video.repair.packets
                stats.fec_bytes_sent = video.repair.payload_bytes
            stats.frame_width, stats.frame_height = video.encode.size
            stats.frames_per_second = video.frames_per_second(now)
            limitation = video.limitation
            stats.quality_limitation_reason = limitation.reason
            stats.quality_limitation_durations = limitation.durations(now)
            stats.quality_limitation_resolution_changes = limitation.resolution_changes
            stats.frames_skipped = dict(video.encode.skipped)
            stats.nacks_refused = video.history.refused
            if video.fec is not None:
                stats.fec_packets_sent = video.fec.packets
                stats.fec_bytes_sent = video.fec.bytes
        return SendStats(
            target_bitrate=self._controller.target_bitrate,
            pacing_bitrate=self._controller.pacing_bitrate,
            round_trip=self.round_trip,
            loss=self._controller.loss,
            inherent_loss=self._controller.inherent_loss,
            queue_delay=self._controller.queue_delay,
            feedback_lost=self._controller.feedback_lost,
            pacer_bytes=self._pacer.queued_bytes,
            bytes_on_wire=self._bytes_on_wire,
            packets_sent=sum(stream.packets for stream in self._transmit_by_ssrc.values()),
            packets_dropped=self._dropped,
            streams=[stream.stats for stream in self._streams],
        )

    # The road

    @property
    def _round_trip_guess(self) -> float:
        known = self._reports.round_trip
        if known is None:
            known = self._controller.feedback_round_trip
        return _DEFAULT_ROUND_TRIP if known is None else known

    def _queue(self, packet: RtpPacket, priority: Priority, mid: str, now: float) -> None:
        size = self._header_size[mid] + len(packet.payload) + packet.padding + LAYER_OVERHEAD
        self._pacer.handle_packet(Outgoing(packet, priority, size, queued_at=now))

    def _depart(self, outgoing: Outgoing, now: float) -> bytes | None:
        """Return the bytes of a packet; :obj:`None` if there is nothing left for it to repair."""
        packet = outgoing.packet
        stream = self._transmit_by_ssrc[packet.ssrc]
        is_media = outgoing.priority in (Priority.AUDIO, Priority.PARITY, Priority.VIDEO)
        if outgoing.priority is Priority.FEC:
            repair = self._make_repair(packet, now)
            if repair is None:
                return None
            packet = repair
        if is_media or outgoing.priority is Priority.FEC:
            stream.number(packet)
        video = self._video_by_ssrc.get(packet.ssrc)
        fec = None if video is None or not is_media else video.fec
        is_protected = fec is not None and outgoing.priority is Priority.VIDEO
        sent = fec.wrap(packet) if fec is not None and is_protected else packet
        data, number = self._transmitter.transmit(sent, stream, now)
        size = len(data) + LAYER_OVERHEAD
        self._bytes_on_wire += size
        if number is not None:
            self._controller.handle_sent(number, size, now, probe=outgoing.probe)
        if video is not None:
            video.reports.handle_sent(now)
            if fec is not None and is_protected:
                for parity in fec.handle_sent(packet, data, now):
                    self._queue(parity, Priority.PARITY, video.parameters.mid, now)
            elif fec is not None:
                packet = fec.stand_in(packet)
            if is_media and video.parameters.nack:
                video.history.handle_sent(packet, now, self._round_trip_guess)
            if is_media and video.rlc is not None:
                video.rlc.handle_sent(packet, now)
        elif outgoing.priority is Priority.AUDIO:
            audio = self._audio[stream.parameters.mid]
            audio.reports.handle_sent(now)
            if number is not None:
                audio.handle_departure(number)
        return data

    def _make_repair(self, placeholder: RtpPacket, now: float) -> RtpPacket | None:
        video = self._video_by_repair_ssrc.get(placeholder.ssrc)
        return None if video is None or video.rlc is None else video.rlc.make_repair(now)

    def _drop_if_overfull(self, stream: VideoStream) -> None:
        if self._pacer.overfull:
            dropped = self._pacer.drop_video()
            self._dropped += dropped
            logger.debug("%d packets of video dropped: they waited too long", dropped)
            stream.encode.request_key_frame()

    def _probe(self, now: float) -> None:
        if not self._controller.is_probe_due(now):
            return
        # Probes find out what a picture could use, and are filled up from its history.
        if not any(video.history.can_pad and not video.muted for video in self._video.values()):
            return
        cluster = self._controller.poll_probe(now)
        if cluster is not None:
            self._pacer.start_probe(cluster, now)

    def _pad(self, now: float) -> bool:
        size = self._pacer.poll_padding(now)
        if size is None:
            return False
        for video in self._video.values():
            packet = video.history.padding(size)
            if packet is not None:
                self._queue(packet, Priority.PADDING, video.parameters.mid, now)
                if self._controller.is_bottleneck_sure:
                    video.encode.handle_padding(8 * size)
                return True
        return False

    # The way back

    def _handle_nack(self, nack: Nack, now: float) -> None:
        stream = self._video_by_ssrc.get(nack.media_ssrc)
        if stream is None:
            return
        stream.stats.nack_count += 1
        packets = stream.history.handle_nack(
            nack.sequence_numbers,
            now,
            round_trip=self._round_trip_guess,
            target_bitrate=self._controller.target_bitrate,
        )
        if packets and stream.playout_delay is not None:
            requests = stream.history.requests(nack.sequence_numbers)
            stream.playout_delay.handle_repeated(requests.values(), self._round_trip_guess, now)
        for packet in packets:
            self._queue(packet, Priority.RETRANSMISSION, stream.parameters.mid, now)

    def _handle_key_frame_request(self, ssrc: int, now: float, *, full: bool) -> None:
        stream = self._video_by_ssrc.get(ssrc)
        if stream is None:
            return
        if full:
            stream.stats.fir_count += 1
        else:
            stream.stats.pli_count += 1
        # A request cannot have seen a key frame that still waits, here or before the bottleneck.
        waits = self._controller.queue_delay
        waits += self._pacer.queued_bytes * 8 / self._controller.pacing_bitrate
        stream.encode.handle_key_frame_request(self._round_trip_guess + waits, now)

    def _handle_selection(self, packet: ReferencePictureSelection, now: float) -> None:
        stream = self._video_by_ssrc.get(packet.media_ssrc)
        if stream is None or packet.payload_type != stream.parameters.payload_type:
            return
        stream.stats.rpsi_count += 1
        stream.encode.handle_selection(packet.picture_id, self._round_trip_guess, now)

    def _handle_blocks(self, blocks: list[ReportBlock], now: float) -> None:
        media = {stream.media.ssrc for stream in self._streams}
        ours = [block for block in blocks if block.ssrc in media]
        loss = self._reports.handle_blocks(ours, now)
        if loss is not None:
            self._controller.handle_reported_loss(loss, self._reports.round_trip, now)
            self._follow(now)

    def _follow(self, now: float) -> None:
        """Do what a new state of the path asks for."""
        if self._controller.poll_return():
            self._dropped += self._pacer.drop_video()
            for stream in self._video.values():
                stream.encode.handle_return()
        if self._controller.poll_collapse():
            self._dropped += self._pacer.drop_video()
            for stream in self._video.values():
                stream.history.forget()
                stream.encode.restart()
        if self._controller.poll_widening():
            for stream in self._video.values():
                stream.encode.handle_widening()
        self._pacer.set_rate(self._controller.pacing_bitrate, now)
        self._allocate(now)
        target = self._controller.target_bitrate
        if abs(target - self._announced_bitrate) >= _NOTABLE_CHANGE * self._announced_bitrate:
            self._announced_bitrate = target
            self._events.append(TargetBitrateChanged(target))

    def _allocate(self, now: float) -> None:
        target, settled = self._controller.target_bitrate, self._controller.settled_bitrate
        active = [stream for stream in self._video.values() if not stream.muted]
        loss = self._controller.loss
        picture = any(stream.encode.paused is None for stream in active)
        sound = sum(
            audio.allocate(target, loss, now, picture=picture)
            for audio in self._audio.values()
            if not audio.muted
        )
        decision = self._protect(active, now)
        protection = decision.ratio
        for stream in active:
            if stream.fec is not None:
                stream.fec.set_protection(*ulpfec_protection(loss, self._round_trip_guess))
                protection = stream.fec.protection
        demand = Demand(
            audio=sound,
            video=bool(active),
            repair=any(stream.parameters.nack for stream in active),
            loss=loss,
            protection=protection,
            frame_rate=max((stream.encode.frame_rate for stream in active), default=0.0),
            packet_size=self._config.max_packet_size // decision.split,
            residual=decision.residual,
        )
        # What lasts longer than the emptying of a queue follows the rate after it.
        lasting = allocate(settled, demand)
        self._pictures_bitrate = (lasting.video_gross + lasting.repair + lasting.protection) // max(
            1, len(active)
        )
        share = lasting.video if target >= settled else allocate(target, demand).video
        for stream in active:
            stream.stats.target_bitrate = share // len(active)
            stream.encode.set_bitrate(
                stream.stats.target_bitrate, settled, now, settled=lasting.video // len(active)
            )
            self._limit(stream, now)
            if stream.encode.source_pixels:
                self._watch(stream, lasting.video // len(active), now)

    def _protect(self, active: list[VideoStream], now: float) -> Protection:
        """Let the policy of each stream decide; return what the budget has to know of it."""
        mean = Protection()
        for stream in active:
            if stream.rlc is None:
                continue
            path = VideoPath(
                loss=self._controller.loss_to_protect_from,
                burst=self._controller.loss_burst,
                round_trip=self._round_trip_guess,
                bitrate=self._pictures_bitrate,
                frame_rate=stream.frames_per_second(now) or stream.encode.frame_rate,
                packet_size=self._config.max_packet_size + LAYER_OVERHEAD,
                retransmission=stream.parameters.nack,
                quantizer=stream.encode.quantizer,
            )
            protection = stream.policy.update(path, now)
            # Repair packets are as long as the longest that they cover.
            ratio = protection.ratio * stream.rlc.relative_size
            share = ratio / (1.0 + ratio)
            mean = protection if share == protection.share else replace(protection, share=share)
        return mean

    def _watch(self, stream: VideoStream, bitrate: int, now: float) -> None:
        encode, reason = stream.encode, stream.limitation.reason
        state = stream.watch.update(
            bitrate=bitrate,
            pixels=encode.source_pixels,
            smaller=encode.smaller,
            paused=encode.paused is not None,
            now=now,
        )
        if state is not None:
            reason = "bandwidth" if reason == "none" else reason
            self._events.append(SentPictureState(stream.parameters.mid, state, reason))

    def _limit(self, stream: VideoStream, now: float) -> None:
        before, reason = stream.limitation.reason, stream.encode.limitation
        stream.limitation.update(reason, stream.encode.size, now)
        if (before == "cpu") is not (reason == "cpu"):
            self._events.append(CpuLimitChanged(stream.parameters.mid, reason == "cpu"))


def _fill_counts(stats: SendStreamStats, stream: TransmitStream) -> None:
    stats.packets_sent = stream.packets
    stats.bytes_sent = stream.payload_bytes
    stats.header_bytes_sent = stream.header_bytes
