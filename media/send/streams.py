"""Streams: the stages of the road that belong to one stream, sound or picture, kept together."""

from __future__ import annotations

import random
from collections import deque
from typing import Final

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.video_codec import Reference
from ringline.media.congestion.allocate import LAYER_OVERHEAD
from ringline.media.congestion.allocate_audio import AudioDemand, AudioPlanner
from ringline.media.congestion.feedback import FeedbackReport
from ringline.media.congestion.loss_pattern import LossPattern
from ringline.media.frames import AudioFrame, EncodedPicture
from ringline.media.parameters import StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.packet import HEADER_SIZE, RtpPacket
from ringline.media.rtp.rlc import RLC_OVERHEAD
from ringline.media.rtp.vp8 import ReferenceMark
from ringline.media.send.capture import AudioTiming
from ringline.media.send.encode import EncodeConfig, VideoEncode
from ringline.media.send.encode_audio import AudioEncode, audio_level
from ringline.media.send.frame_audio import AudioFramer
from ringline.media.send.limitation import QualityLimitation
from ringline.media.send.packetize import OpusPacketizer, Vp8Packetizer, header_size
from ringline.media.send.picture_state import PictureWatch
from ringline.media.send.playout_delay import PlayoutDelay
from ringline.media.send.protect_red import RedProtection
from ringline.media.send.protect_rlc import RlcConfig, RlcProtection
from ringline.media.send.protect_rtx import RtxConfig, RtxHistory
from ringline.media.send.protect_ulpfec import PARITY_OVERHEAD, UlpFecProtection, ulpfec_types
from ringline.media.send.protection import ProtectionPolicy
from ringline.media.send.report import ReportSchedule
from ringline.media.send.stats import SendStreamStats
from ringline.media.send.transmit import TransmitStream
from ringline.media.units import AUDIO_CLOCK_RATE, Ssrc

__all__ = ["AudioStream", "VideoStream"]

_MAX_UNKNOWN: Final = 1_000
"""Packets of sound whose fate is awaited: 20 s of them."""


class AudioStream:
    """The road of sound up to the pacer.

    Args:
        parameters: As negotiated; ``ssrc`` must be set.
        ids: The negotiated header extensions.
        max_packet_size: Bytes of an RTP packet at most.
        codecs: Makes the encoder.
        rng: For what starts at random (RFC 3550 §5.1).

    Raises:
        ValueError: If there is no SSRC.

    """

    def __init__(
        self,
        parameters: StreamParameters,
        *,
        ids: ExtensionIds,
        max_packet_size: int,
        codecs: CodecRegistry,
        rng: random.Random,
    ) -> None:
        ssrc = _ssrc(parameters)
        self.parameters: Final = parameters
        self.muted = False
        self.encode: Final = AudioEncode(
            codecs=codecs, in_band_fec=parameters.in_band_fec, dtx=parameters.dtx
        )
        self.media: Final = TransmitStream(
            parameters, ssrc, first_sequence_number=rng.getrandbits(15)
        )
        self.reports: Final = ReportSchedule(rng)
        self.stats: Final = SendStreamStats("audio", parameters.mid, ssrc)
        self._timing: Final = AudioTiming()
        self._framer: Final = AudioFramer()
        self._packetizer: Final = OpusPacketizer(payload_type=parameters.payload_type, ssrc=ssrc)
        self._timestamp_offset: Final = rng.getrandbits(32)
        headers = header_size(ids, parameters.mid)
        red = parameters.red_payload_type
        self.planner: Final = AudioPlanner(
            overhead=headers + LAYER_OVERHEAD,
            red=red is not None,
            frame_samples=_frame_samples(parameters.packet_times),
        )
        self._red: Final = (
            None
            if red is None
            else RedProtection(payload_type=red, max_payload=max_packet_size - headers)
        )
        self._losses: Final = LossPattern()
        self._departed: Final[dict[int, int]] = {}  # index in the stream by transport-wide number
        self._departures = 0

    def handle_frame(self, frame: AudioFrame, now: float) -> RtpPacket | None:
        """Take 20 ms of sound; return a packet if they are its last and there is anything to send.

        Raises:
            CodecError: If the encoder failed; the media time has gone on all the same.
            ValueError: If the frame is malformed.

        """
        captured_at = now if frame.captured_at is None else frame.captured_at
        media_time = self._timing.stamp(captured_at, len(frame.samples))
        self._framer.length = self.planner.plan.frame_samples
        sound = self._framer.handle_samples(frame.samples, media_time)
        if sound is None:
            return None
        data = self.encode.encode(sound.samples)
        self.stats.frames_encoded += 1
        timestamp = self._wrap(sound.media_time)
        packet = self._packetizer.packetize(data, timestamp, audio_level(sound.samples))
        if packet is not None and self._red is not None:
            self._red.protect(packet, self.planner.plan.distances)
            self.stats.fec_packets_sent = self._red.copies
            self.stats.fec_bytes_sent = self._red.copy_bytes
        return packet

    def allocate(self, budget: float, loss: float, now: float, *, picture: bool) -> int:
        """Choose how to send; return what that takes, gross bits per second.

        Args:
            budget: Of everything, gross bits per second.
            loss: Of everything on the path; this stream's own is taken where it is known.
            now: The present.
            picture: Whether a picture wants what sound leaves.

        """
        known = self._losses.packets > 0
        loss = self._losses.rate if known else loss
        plan = self.planner.update(
            AudioDemand(budget, picture, loss, self._losses.cohesion if known else 0.0), now
        )
        # With copies of the whole, coarse ones inside the packets would only cost sound.
        self.encode.set_conditions(plan.bitrate, 0.0 if plan.distances else loss)
        self.stats.target_bitrate = plan.bitrate
        return plan.gross

    def handle_departure(self, number: int) -> None:
        """Take the transport-wide number of a packet that left."""
        self._departed[number] = self._departures
        self._departures += 1
        if len(self._departed) > _MAX_UNKNOWN:
            del self._departed[next(iter(self._departed))]

    def handle_fates(self, report: FeedbackReport, now: float) -> None:
        """Take what became of packets, of this stream or others."""
        fates = [(packet.number, False) for packet in report.arrived]
        fates += [(packet.number, True) for packet in report.lost]
        for number, lost in fates:
            index = self._departed.pop(number, None)
            if index is not None:
                self._losses.handle_fate(index, lost, now)

    def timestamp_at(self, moment: float) -> int:
        """Return the RTP timestamp of a moment, for sender reports."""
        return self._wrap(self._timing.at(moment))

    def _wrap(self, media_time: int) -> int:
        return (media_time + self._timestamp_offset) & 0xFFFFFFFF


class VideoStream:
    """The road of pictures up to the pacer, and the way back of what is asked for again.

    Args:
        parameters: As negotiated; ``ssrc`` must be set.
        config: Of the encoder.
        rtx_config: Of the history.
        ids: The negotiated header extensions.
        max_packet_size: Bytes of an RTP packet at most.
        codecs: Makes the encoder.
        rng: For what starts at random (RFC 3550 §5.1).
        now: The present.

    Raises:
        ValueError: If there is no SSRC.

    """

    def __init__(
        self,
        parameters: StreamParameters,
        config: EncodeConfig,
        rtx_config: RtxConfig,
        *,
        ids: ExtensionIds,
        max_packet_size: int,
        codecs: CodecRegistry,
        rng: random.Random,
        now: float,
    ) -> None:
        ssrc = _ssrc(parameters)
        self.parameters: Final = parameters
        self.muted = False
        self.encode: Final = VideoEncode(
            config,
            codecs=codecs,
            mid=parameters.mid,
            now=now,
            selects_references=parameters.rpsi,
        )
        self.media: Final = TransmitStream(
            parameters, ssrc, first_sequence_number=rng.getrandbits(15)
        )
        rtx = None
        if parameters.rtx_payload_type is not None and parameters.rtx_ssrc is not None:
            rtx = parameters.rtx_payload_type, parameters.rtx_ssrc
        self.rtx: Final = (
            None if rtx is None else TransmitStream(parameters, rtx[1], first_sequence_number=0)
        )
        self.history: Final = RtxHistory(
            rtx_config, stream=rtx, first_sequence_number=rng.getrandbits(15)
        )
        # Only others are told how long to hold pictures.
        self.playout_delay: Final = None if ids.playout_delay is None else PlayoutDelay(now=now)
        self.policy: Final = ProtectionPolicy()
        self.rlc: Final = _make_rlc(parameters)
        self.repair: Final = (
            None
            if self.rlc is None or parameters.repair_ssrc is None
            else TransmitStream(
                parameters, parameters.repair_ssrc, first_sequence_number=rng.getrandbits(15)
            )
        )
        self.reports: Final = ReportSchedule(rng)
        self.limitation: Final = QualityLimitation(now)
        self.watch: Final = PictureWatch()
        self.stats: Final = SendStreamStats("video", parameters.mid, ssrc)
        # Between our own peers the finer code does what ULPFEC does with others.
        types = ulpfec_types(parameters) if self.rlc is None else None
        self.fec: Final = None if types is None else UlpFecProtection(parameters, types, ids)
        headers = header_size(ids, parameters.mid)
        if self.fec is not None:
            headers += PARITY_OVERHEAD + headers - HEADER_SIZE
        self._packetizer: Final = Vp8Packetizer(
            payload_type=parameters.payload_type,
            ssrc=ssrc,
            first_picture_id=rng.getrandbits(15),
            max_payload=max_packet_size - headers,
            reserve=0 if self.rlc is None else RLC_OVERHEAD,
            layered=self.fec is not None,
        )
        self._timestamp_offset: Final = rng.getrandbits(32)
        self._encoded_at: Final[deque[float]] = deque()

    def handle_picture(
        self,
        picture: EncodedPicture,
        media_time: int,
        now: float,
        *,
        reference: Reference = Reference.LAST,
    ) -> list[RtpPacket]:
        """Cut an encoded picture, made with this reference, to packets."""
        self.stats.frames_encoded += 1
        self.stats.key_frames_encoded += picture.key
        self.stats.qp_sum += picture.quantizer or 0
        self._encoded_at.append(now)
        self._forget(now)
        mark = ReferenceMark.LAST
        if self.encode.references is not None:
            number = self._packetizer.next_picture_id
            mark = self.encode.references.handle_picture(number, picture, reference, now)
        split = 1 if picture.key or self.rlc is None else self.policy.protection.split
        packets = self._packetizer.packetize(picture, self._wrap(media_time), mark, split=split)
        if self.playout_delay is not None:
            # On each picture, as the packets of any may be lost; it is four bytes.
            packets[0].extensions.playout_delay = self.playout_delay.poll_limits(now)
        return packets

    def protect(self, packets: list[RtpPacket], *, key: bool) -> list[RtpPacket]:
        """Return places in the queue for the repair packets that are to follow a picture."""
        if self.rlc is None or not packets:
            return []
        protection = self.policy.protection
        count = self.rlc.owed(len(packets), protection.key_ratio if key else protection.ratio)
        size = max(len(packet.payload) for packet in packets)
        return [self.rlc.make_placeholder(size) for _ in range(count)]

    def frames_per_second(self, now: float) -> float:
        """Return how many pictures were encoded in the last second."""
        self._forget(now)
        return float(len(self._encoded_at))

    def timestamp_at(self, moment: float) -> int:
        """Return the RTP timestamp of a moment, for sender reports."""
        return self._wrap(self.encode.timing.at(moment))

    def _forget(self, now: float) -> None:
        while self._encoded_at and now - self._encoded_at[0] > 1.0:
            self._encoded_at.popleft()

    def _wrap(self, media_time: int) -> int:
        return (media_time + self._timestamp_offset) & 0xFFFFFFFF


def _frame_samples(packet_times: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lengths of packets that may be sent: of ours, those that the receiver takes."""
    ours = tuple(time for time in (20, 40, 60) if time in packet_times) or (20,)
    return tuple(time * AUDIO_CLOCK_RATE // 1000 for time in ours)


def _ssrc(parameters: StreamParameters) -> Ssrc:
    if parameters.ssrc is None:
        raise ValueError(f"stream {parameters.mid!r} is to be sent and has no SSRC")
    return parameters.ssrc


def _make_rlc(parameters: StreamParameters) -> RlcProtection | None:
    payload_type, ssrc = parameters.repair_payload_type, parameters.repair_ssrc
    if payload_type is None or ssrc is None:
        return None
    return RlcProtection(RlcConfig(), payload_type=payload_type, ssrc=ssrc)
