"""Stats: the state of the sending half at one moment, under the names of W3C webrtc-stats.

A field is the snake-case form of the W3C's member that it is, and means what that means; those
that the W3C does not have say so.  :mod:`ringline.media.get_stats` gives them the W3C's own names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringline.media.frames import Kind
from ringline.media.send.encode import SkipReason
from ringline.media.send.limitation import LimitationReason

__all__ = ["RemoteInboundStats", "SendStats", "SendStreamStats"]


@dataclass(slots=True)
class RemoteInboundStats:
    """What the other side reports about one stream of ours (``RTCRemoteInboundRtpStreamStats``).

    Attributes:
        packets_lost: On their first way, over all.
        fraction_lost: Of what was sent between its last two reports, 0 to 1.
        jitter: Interarrival jitter, seconds.
        round_trip_time: Seconds, the newest measurement; :obj:`None` before the first.
        total_round_trip_time: Seconds, all measurements summed.
        round_trip_time_measurements: How many there were.

    """

    packets_lost: int = 0
    fraction_lost: float = 0.0
    jitter: float = 0.0
    round_trip_time: float | None = None
    total_round_trip_time: float = 0.0
    round_trip_time_measurements: int = 0


@dataclass(slots=True)
class SendStreamStats:
    """One stream (``RTCOutboundRtpStreamStats``); what is about pictures stays 0 for sound.

    Attributes:
        mid: ``mid``.
        ssrc: ``ssrc``.
        muted: Nothing is sent of it, as its user wants; the W3C has the opposite, ``active``.
        target_bitrate: That the encoder is told, bits per second, net.
        packets_sent: Retransmissions included.
        bytes_sent: Payload, retransmissions included.
        header_bytes_sent: Headers and padding.
        retransmitted_packets_sent: The copies that probes are filled with included.
        retransmitted_bytes_sent: Their payload.
        fec_packets_sent: Of forward error correction; not the W3C's.
        fec_bytes_sent: Their payload; not the W3C's.
        nack_count: Requests for retransmission that came.
        nacks_refused: Packets asked for that were gone, under way, or over the share; not the
            W3C's.
        pli_count: Requests for a key frame that came.
        rpsi_count: Requests for a frame from a picture that the receiver has.
        fir_count: Likewise by FIR.
        frames_encoded: By the encoder; of sound too.
        key_frames_encoded: Of these, key frames.
        frame_width: Of the pictures encoded now, pixels; 0 before the first.
        frame_height: Likewise.
        frames_per_second: Encoded in the last second.
        qp_sum: Quantizers of the encoded pictures, 0 to 127 each.
        total_encode_time: Seconds that encoding took, scaling included, summed over pictures.
        quality_limitation_reason: What keeps the picture below what the source gives.
        quality_limitation_durations: Seconds of each reason so far.
        quality_limitation_resolution_changes: Times that the size changed for such a reason.
        frames_skipped: Not encoded, by reason; not the W3C's.
        remote: What the other side reports; :obj:`None` before its first report.

    """

    kind: Kind
    mid: str
    ssrc: int
    muted: bool = False
    target_bitrate: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    header_bytes_sent: int = 0
    retransmitted_packets_sent: int = 0
    retransmitted_bytes_sent: int = 0
    fec_packets_sent: int = 0
    fec_bytes_sent: int = 0
    nack_count: int = 0
    nacks_refused: int = 0
    pli_count: int = 0
    rpsi_count: int = 0
    fir_count: int = 0
    frames_encoded: int = 0
    key_frames_encoded: int = 0
    frame_width: int = 0
    frame_height: int = 0
    frames_per_second: float = 0.0
    qp_sum: int = 0
    total_encode_time: float = 0.0
    quality_limitation_reason: LimitationReason = "none"
    quality_limitation_durations: dict[LimitationReason, float] = field(default_factory=dict)
    quality_limitation_resolution_changes: int = 0
    frames_skipped: dict[SkipReason, int] = field(default_factory=dict)
    remote: RemoteInboundStats | None = None


@dataclass(slots=True)
class SendStats:
    """Everything that is sent on one transport.

    Attributes:
        target_bitrate: What the path is thought to take, bits per second on the wire
            (``availableOutgoingBitrate``).
        pacing_bitrate: At which packets leave, bits per second; not the W3C's.
        round_trip: Seconds, smoothed (``currentRoundTripTime``); :obj:`None` before the first.
        loss: Share lost of late, before repair; not the W3C's.
        inherent_loss: Share that the path loses at any rate; not the W3C's.
        queue_delay: At the bottleneck, seconds; not the W3C's.
        feedback_lost: Reports on our packets that never came; not the W3C's.
        pacer_bytes: That wait to leave; not the W3C's.
        bytes_on_wire: All that left, headers of every layer included; not the W3C's.
        packets_sent: ``packetsSent``.
        packets_dropped: By the pacer (``packetsDiscardedOnSend``).
        streams: In the order of negotiation, sound first.

    """

    target_bitrate: int = 0
    pacing_bitrate: int = 0
    round_trip: float | None = None
    loss: float = 0.0
    inherent_loss: float = 0.0
    queue_delay: float = 0.0
    feedback_lost: int = 0
    pacer_bytes: int = 0
    bytes_on_wire: int = 0
    packets_sent: int = 0
    packets_dropped: int = 0
    streams: list[SendStreamStats] = field(default_factory=list)
