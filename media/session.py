"""Session: the media of one transport, both ways: one send pipeline and one receive pipeline.

::

    handle_audio_frame ─┐                                  ┌─> poll_audio, poll_video
    handle_video_frame ─┴─> SendPipeline   ReceivePipeline ┴─< RTP
                                 │  ^            │
    poll_datagram <── RTP, SR ───┴──│── RTCP ────┴── NACK, PLI, RR, transport-cc
    handle_datagram ── RTCP ────────┘

What each pipeline must know of the other meets here and nowhere else: RTCP is parsed once and
routed, reports and feedback are joined into compounds, the round trip measured by the sender
times the receiver's retries.

**Drain rule**: after each input (``handle_*``, ``set_*``) the driver drains ``poll_job``,
``poll_datagram``, ``poll_audio``, ``poll_video`` and ``poll_event`` until each is
:obj:`None`, then arms one timer for ``poll_timeout`` and calls ``handle_timeout`` when it fires.

Invariants:

1. No input from the network raises: what does not parse is dropped and counted.
2. Nothing leaves while the path is not connected.
3. A compound starts with a report unless reduced-size RTCP was negotiated (RFC 5506 §4).
"""

from __future__ import annotations

import copy
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.deadlines import earliest
from ringline.media.errors import ParseError
from ringline.media.frames import AudioFrame, Kind, VideoFrame
from ringline.media.jobs import Job
from ringline.media.parameters import SessionParameters
from ringline.media.quality import CallQuality, QualityConfig, QualityMeter
from ringline.media.quality_window import Sample
from ringline.media.receive.pipeline import ReceiveConfig, ReceivePipeline, ReceiveStats
from ringline.media.rtp.packet import is_rtcp
from ringline.media.rtp.rtcp import (
    Bye,
    ReceiverReport,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialize_compound,
)
from ringline.media.send.pipeline import SendConfig, SendPipeline, SendStats

__all__ = ["MediaSession", "SessionConfig", "SessionStats"]

logger = logging.getLogger(__name__)

_MAX_COMPOUND_SIZE: Final = 1180
"""Bytes of one RTCP datagram before SRTCP: what fits any path that carries our video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """Tuning of both directions; the defaults suit a call."""

    send: SendConfig = field(default_factory=SendConfig)
    receive: ReceiveConfig = field(default_factory=ReceiveConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)


@dataclass(slots=True)
class SessionStats:
    """Both directions at one moment.

    Attributes:
        round_trip: Seconds, from receiver reports; :obj:`None` before the first.
        malformed_datagrams: RTCP that did not parse; RTP is counted in ``receive``.
        quality: How good it is, each way.

    """

    send: SendStats
    receive: ReceiveStats
    round_trip: float | None
    malformed_datagrams: int
    quality: CallQuality = field(default_factory=CallQuality)


class MediaSession:
    """All media of one transport, sans I/O.

    Args:
        parameters: What negotiation settled.
        config: Tuning.
        codecs: Makes encoders and decoders.
        rng: For what must differ between sessions: first sequence numbers, jitter of timers.
        wall_clock: Seconds since 1970, for sender reports only.
        now: The present.

    """

    def __init__(
        self,
        parameters: SessionParameters,
        config: SessionConfig | None = None,
        *,
        codecs: CodecRegistry,
        rng: random.Random,
        wall_clock: Callable[[], float],
        now: float,
    ) -> None:
        config = config or SessionConfig()
        self._parameters: Final = parameters
        self._send: Final = SendPipeline(
            parameters, config.send, codecs=codecs, rng=rng, wall_clock=wall_clock, now=now
        )
        self._receive: Final = ReceivePipeline(parameters, config.receive, codecs=codecs, now=now)
        self._connected = False
        self._closed = False
        self._rtcp: Final[deque[bytes]] = deque()
        self._job_owners: Final[dict[int, SendPipeline | ReceivePipeline]] = {}
        self._malformed = 0
        self._arrived = 0
        self._quality: Final = QualityMeter(config.quality)

    # Inputs

    def handle_audio_frame(self, frame: AudioFrame, now: float) -> None:
        """Send 20 ms of sound; ``captured_at`` must be set."""
        self._send.handle_audio_frame(frame, now)

    def handle_video_frame(self, frame: VideoFrame, now: float) -> None:
        """Send a picture; ``captured_at`` must be set.  It may be skipped when the path is full."""
        self._send.handle_video_frame(frame, now)

    def handle_datagram(self, data: bytes, now: float) -> None:
        """Take one decrypted datagram, RTP or RTCP, that arrived at ``now``."""
        self._arrived += 1
        if is_rtcp(data):
            self._handle_rtcp(data, now)
        else:
            self._receive.handle_packet(data, now)

    def handle_job(self, job: Job, now: float) -> None:
        """Take back a job that has run."""
        owner = self._job_owners.pop(id(job), None)
        if owner is not None:
            owner.handle_job(job, now)
        if owner is self._receive:
            self._send.handle_decoding(job.seconds, now)

    def set_connected(self, connected: bool, now: float) -> None:
        """Tell whether datagrams get through; a new session starts unconnected."""
        if connected != self._connected:
            self._connected = connected
            self._send.set_connected(connected, now)
            self._receive.set_connected(connected, now)
            self._quality.start(now)

    def expect_bitrate(self, bitrate: int, now: float) -> None:
        """Start from what the last call on this network reached, bits per second on the wire.

        It is a hint: a start is never above the usual one, and probing finds out what is true.
        Give it before the session is connected; once something has left, it is passed over.
        """
        self._send.expect_bitrate(bitrate, now)

    def expect_round_trip(self, round_trip: float, now: float) -> None:
        """Start as is fit for what the connectivity checks measured, in seconds.

        Likewise a hint, and of use before the session is connected only: where the first answer
        takes long, what is sent before it is kept small.
        """
        self._send.expect_round_trip(round_trip, now)

    def set_muted(self, kind: Kind, muted: bool, now: float) -> None:
        """Stop or go on sending one kind; a muted kind sends no media at all."""
        self._send.set_muted(kind, muted, now)

    def close(self, now: float) -> None:
        """Say goodbye (RTCP BYE); what ``poll_datagram`` then gives is the last."""
        streams = [stream.ssrc for stream in self._parameters.send if stream.ssrc is not None]
        if self._connected and streams:
            self._queue_rtcp([Bye(list(streams))])
        self._send.set_connected(connected=False, now=now)
        self._closed = True

    # Time

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` is due, or :obj:`None`."""
        return earliest(
            self._send.poll_timeout(), self._receive.poll_timeout(), self._quality.poll_timeout()
        )

    def handle_timeout(self, now: float) -> None:
        """Do what is due at ``now``."""
        first: float | None = None
        for part, handle in (
            (self._send, self._send.handle_timeout),
            (self._receive, self._receive.handle_timeout),
            (self._quality, self._judge),
        ):
            due = part.poll_timeout()
            if due is not None and due <= now:
                first = due if first is None else min(first, due)
                handle(now)
        if first is not None:
            self._send.handle_lateness(now - first, now)

    # Outputs

    def poll_datagram(self, now: float) -> bytes | None:
        """Return the next datagram that leaves at ``now``: RTCP first, it is small and urgent."""
        if self._closed:
            return self._rtcp.popleft() if self._rtcp else None
        if not self._rtcp:
            self._collect_rtcp(now)
        if not self._connected:
            self._rtcp.clear()
            return None
        if self._rtcp:
            return self._rtcp.popleft()
        return self._send.poll_packet(now)

    def poll_job(self) -> Job | None:
        """Return codec work to run; give it back by :meth:`handle_job`."""
        for pipeline in (self._send, self._receive):
            job = pipeline.poll_job()
            if job is not None:
                self._job_owners[id(job)] = pipeline
                return job
        return None

    def poll_audio(self) -> AudioFrame | None:
        """Return 20 ms of sound that is due now."""
        return self._receive.poll_audio()

    def poll_video(self) -> VideoFrame | None:
        """Return a picture that is due now."""
        return self._receive.poll_video()

    def poll_event(self) -> object | None:
        """Return what happened, an event of one of the two pipelines or of the judge of both."""
        for source in (self._send, self._receive, self._quality):
            event = source.poll_event()
            if event is not None:
                return event
        return None

    @property
    def round_trip(self) -> float | None:
        """Seconds there and back, or :obj:`None` before the first report."""
        return self._send.round_trip

    @property
    def reached_bitrate(self) -> int | None:
        """What the path took of late, for :meth:`expect_bitrate` of the next call's session."""
        return self._send.reached_bitrate

    def stats(self, now: float) -> SessionStats:
        """Return the state of both directions at this moment; nothing changes it afterwards."""
        return SessionStats(
            send=copy.deepcopy(self._send.stats(now)),
            receive=copy.deepcopy(self._receive.stats(now)),
            round_trip=self._send.round_trip,
            malformed_datagrams=self._malformed,
            quality=self._quality.quality,
        )

    def _judge(self, now: float) -> None:
        send, receive = self._send.stats(now), self._receive.stats(now)
        self._quality.handle_sample(
            Sample.take(send, receive, arrived=self._arrived, connected=self._connected, now=now),
            now,
        )

    # RTCP

    def _handle_rtcp(self, data: bytes, now: float) -> None:
        try:
            packets = parse_compound(data)
        except ParseError as error:
            self._malformed += 1
            logger.debug("RTCP dropped: %s", error)
            return
        for packet in packets:
            if isinstance(packet, SenderReport):
                self._receive.handle_sender_report(packet, now)
            self._send.handle_rtcp(packet, now)
        round_trip = self._send.round_trip
        if round_trip is not None:
            self._receive.handle_round_trip(round_trip, now)

    def _collect_rtcp(self, now: float) -> None:
        packet = self._send.poll_rtcp(now) or self._receive.poll_rtcp(now)
        if packet is None:  # as for nearly every datagram
            return
        packets = [packet]
        while (packet := self._send.poll_rtcp(now) or self._receive.poll_rtcp(now)) is not None:
            packets.append(packet)
        self._queue_rtcp(sorted(packets, key=_is_feedback))

    def _queue_rtcp(self, packets: list[RtcpPacket]) -> None:
        compound = b""
        for packet in packets:
            data = serialize_compound([packet])
            if compound and len(compound) + len(data) > _MAX_COMPOUND_SIZE:
                self._rtcp.append(compound)
                compound = b""
            if not compound and not self._may_lead(packet):
                compound = serialize_compound([ReceiverReport(self._parameters.local_ssrc)])
            compound += data
        self._rtcp.append(compound)

    def _may_lead(self, packet: RtcpPacket) -> bool:
        return self._parameters.reduced_size_rtcp or isinstance(
            packet, SenderReport | ReceiverReport
        )


def _is_feedback(packet: RtcpPacket) -> bool:
    """Tell what follows the reports of a compound (RFC 4585 §3.1) from the reports."""
    return not isinstance(packet, SenderReport | ReceiverReport | SourceDescription)
