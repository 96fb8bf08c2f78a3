"""Stats: what the receiving side counts, under the names of W3C webrtc-stats.

Each field names the member of ``RTCInboundRtpStreamStats`` that it is, in its snake-case form;
fields without one say so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ringline.media.frames import Kind

__all__ = ["AudioReceiveStats", "FreezeDetector", "ReceiveStats", "VideoReceiveStats"]

_FREEZE_FRAMES: Final = 30
_FREEZE_MIN_FRAMES: Final = 5
_FREEZE_FACTOR: Final = 3.0
_FREEZE_MARGIN: Final = 0.15


@dataclass(slots=True)
class AudioReceiveStats:
    """One audio stream.

    Attributes:
        mid: ``mid``.
        ssrc: ``ssrc``; 0 before the first packet.
        bytes_received: ``bytesReceived``: payload only.
        jitter: ``jitter``, seconds.
        retransmitted_packets_received: ``retransmittedPacketsReceived``.
        nack_count: ``nackCount``, here the numbers asked for.
        packets_discarded: ``packetsDiscarded``: too late, or dropped to get rid of delay.
        packets_failed: Refused by the decoder; no W3C name.
        fec_packets_recovered: Frames that in-band FEC gave back; no W3C name.
        total_samples_received: ``totalSamplesReceived``: all that was played.
        concealed_samples: ``concealedSamples``; the sender's own silence does not count.
        concealment_events: ``concealmentEvents``.
        inserted_samples_for_deceleration: ``insertedSamplesForDeceleration``.
        removed_samples_for_acceleration: ``removedSamplesForAcceleration``.
        jitter_buffer_delay: ``jitterBufferDelay``: seconds, summed over samples.
        jitter_buffer_emitted_count: ``jitterBufferEmittedCount``: those samples.
        jitter_buffer_target_delay: Seconds wanted now; no W3C name (theirs is a sum).
        total_audio_energy: ``totalAudioEnergy``: squared level of full scale, times seconds.

    """

    kind: Kind = "audio"
    mid: str = ""
    ssrc: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    bytes_received: int = 0
    jitter: float = 0.0
    retransmitted_packets_received: int = 0
    nack_count: int = 0
    packets_discarded: int = 0
    packets_failed: int = 0
    fec_packets_recovered: int = 0
    total_samples_received: int = 0
    concealed_samples: int = 0
    concealment_events: int = 0
    inserted_samples_for_deceleration: int = 0
    removed_samples_for_acceleration: int = 0
    jitter_buffer_delay: float = 0.0
    jitter_buffer_emitted_count: int = 0
    jitter_buffer_target_delay: float = 0.0
    total_audio_energy: float = 0.0


@dataclass(slots=True)
class VideoReceiveStats:
    """One video stream.

    Attributes:
        mid: ``mid``.
        ssrc: ``ssrc``; 0 before the first packet.
        bytes_received: ``bytesReceived``: payload only.
        jitter: ``jitter``, seconds.
        retransmitted_packets_received: ``retransmittedPacketsReceived``.
        nack_count: ``nackCount``, here the numbers asked for.
        pli_count: ``pliCount``.
        frames_received: ``framesReceived``: complete ones.
        frames_decoded: ``framesDecoded``.
        key_frames_decoded: ``keyFramesDecoded``.
        frames_rendered: ``framesRendered``.
        frames_dropped: ``framesDropped``: complete or decoded, and not shown.
        frames_skipped: Given up as incomplete: gaps, not frames, are counted; no W3C name.
        frames_damaged: Decoded although one that they refer to was lost; no W3C name.
        frame_width: ``frameWidth`` of the last picture shown; 0 before.
        frame_height: ``frameHeight``, likewise.
        frames_per_second: ``framesPerSecond``: shown in the last second.
        freeze_count: ``freezeCount``; one that still lasts counts.
        total_freezes_duration: ``totalFreezesDuration``, seconds.
        jitter_buffer_delay: ``jitterBufferDelay``: seconds from a frame's first packet to its
            showing, summed over frames.
        jitter_buffer_emitted_count: ``jitterBufferEmittedCount``: those frames.

    """

    kind: Kind = "video"
    mid: str = ""
    ssrc: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    bytes_received: int = 0
    jitter: float = 0.0
    retransmitted_packets_received: int = 0
    nack_count: int = 0
    pli_count: int = 0
    frames_received: int = 0
    frames_decoded: int = 0
    key_frames_decoded: int = 0
    frames_rendered: int = 0
    frames_dropped: int = 0
    frames_skipped: int = 0
    frames_damaged: int = 0
    frame_width: int = 0
    frame_height: int = 0
    frames_per_second: float = 0.0
    freeze_count: int = 0
    total_freezes_duration: float = 0.0
    jitter_buffer_delay: float = 0.0
    jitter_buffer_emitted_count: int = 0


@dataclass(slots=True)
class ReceiveStats:
    """All that arrives on one transport.

    Attributes:
        streams: In the order of negotiation.
        malformed_packets: Were no RTP.
        unplaced_packets: No stream has their SSRC, mid, payload type or number.
        audio_video_offset: Seconds by which the picture is shown later than its sound, negative
            if earlier; :obj:`None` before both have come with a sender report.

    """

    streams: list[AudioReceiveStats | VideoReceiveStats] = field(default_factory=list)
    malformed_packets: int = 0
    unplaced_packets: int = 0
    audio_video_offset: float | None = None

    @property
    def audio(self) -> AudioReceiveStats | None:
        """The first audio stream, or :obj:`None`."""
        return next((s for s in self.streams if isinstance(s, AudioReceiveStats)), None)

    @property
    def video(self) -> VideoReceiveStats | None:
        """The first video stream, or :obj:`None`."""
        return next((s for s in self.streams if isinstance(s, VideoReceiveStats)), None)


class FreezeDetector:
    """Counts freezes as webrtc-stats defines them (``freezeCount``).

    A frame ends a freeze if it comes later after the one before than
    ``max(3 * average, average + 150 ms)``, the average being that of the last 30 frames.

    Attributes:
        count: Freezes that have ended.
        duration: Their seconds.

    """

    def __init__(self) -> None:
        self.count = 0
        self.duration = 0.0
        self._shown_at: float | None = None
        self._intervals: list[float] = []

    def handle_frame(self, now: float) -> None:
        """Take note that a frame is shown."""
        if self._shown_at is not None:
            interval = now - self._shown_at
            if self._is_freeze(interval):
                self.count += 1
                self.duration += interval
            self._intervals.append(interval)
            del self._intervals[:-_FREEZE_FRAMES]
        self._shown_at = now

    def lasting(self, now: float) -> float:
        """Return for how many seconds the picture has been frozen; 0 if it is not."""
        if self._shown_at is None or not self._is_freeze(now - self._shown_at):
            return 0.0
        return now - self._shown_at

    def _is_freeze(self, interval: float) -> bool:
        intervals = self._intervals
        if len(intervals) < _FREEZE_MIN_FRAMES:
            return False
        average = sum(intervals) / len(intervals)
        return interval >= max(_FREEZE_FACTOR * average, average + _FREEZE_MARGIN)
