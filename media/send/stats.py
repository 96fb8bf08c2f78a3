"""Stats: the state of the sending half at one moment, in the words of W3C webrtc-stats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ringline.media.frames import Kind
from ringline.media.send.encode import SkipReason

__all__ = ["SendStats", "SendStreamStats"]


@dataclass(slots=True)
class SendStreamStats:
    """One stream; the W3C's names (RTCOutboundRtpStreamStats) stand beside ours."""

    kind: Kind
    mid: str
    ssrc: int
    muted: bool = False
    target_bitrate: int = 0  # targetBitrate: of the encoder, net
    packets_sent: int = 0  # packetsSent, retransmissions included
    bytes_sent: int = 0  # bytesSent: payload, retransmissions included
    header_bytes_sent: int = 0  # headerBytesSent: with padding
    retransmitted_packets_sent: int = 0  # retransmittedPacketsSent, probes' copies included
    retransmitted_bytes_sent: int = 0  # retransmittedBytesSent
    nack_count: int = 0  # nackCount: requests for retransmission
    nacks_refused: int = 0  # packets asked for that were gone, under way, or over the share
    pli_count: int = 0  # pliCount
    fir_count: int = 0  # firCount
    frames_encoded: int = 0  # framesEncoded
    key_frames_encoded: int = 0  # keyFramesEncoded
    frame_width: int = 0  # frameWidth
    frame_height: int = 0  # frameHeight
    frames_per_second: float = 0.0  # framesPerSecond: over the last second
    quantizer_sum: int = 0  # qpSum: 0 to 127 each
    quality_limitation: Literal["none", "bandwidth"] = "none"  # qualityLimitationReason
    frames_skipped: dict[SkipReason, int] = field(default_factory=dict)


@dataclass(slots=True)
class SendStats:
    """Everything that is sent on one transport."""

    target_bitrate: int = 0  # availableOutgoingBitrate
    pacing_bitrate: int = 0
    round_trip: float | None = None  # currentRoundTripTime, seconds
    loss: float = 0.0  # fractionLost, of late
    inherent_loss: float = 0.0  # that the path loses at any rate
    queue_delay: float = 0.0  # at the bottleneck, seconds
    feedback_lost: int = 0  # reports on our packets that never came
    pacer_bytes: int = 0  # that wait to leave
    bytes_on_wire: int = 0  # headers of every layer included
    packets_sent: int = 0  # packetsSent
    packets_dropped: int = 0  # packetsDiscardedOnSend: by the pacer
    streams: list[SendStreamStats] = field(default_factory=list)
