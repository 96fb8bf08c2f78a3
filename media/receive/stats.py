"""Stats: what the receiving side counts, under the names of W3C webrtc-stats.

A field is the snake-case form of the member of ``RTCInboundRtpStreamStats`` that it is, and means
what that means; those that the W3C does not have say so.  :mod:`ringline.media.get_stats` gives
them the W3C's own names.  All counters go on over a change of source.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringline.media.frames import Kind

__all__ = [
    "AudioReceiveStats",
    "ReceiveStats",
    "ReceiveStreamStats",
    "RepairStats",
    "VideoReceiveStats",
]


@dataclass(slots=True)
class RepairStats:
    """What each mechanism of repair gave back on one stream; not the W3C's.

    Attributes:
        retransmission: Packets that came after they were asked for (NACK; by RTX or again).
        fec: Packets of media recovered from forward error correction.
        red: Frames of sound taken from a later packet's RED blocks (RFC 2198).
        in_band_fec: Frames of sound taken from the coarse copy in a later Opus packet.
        reference_frame: Losses ended by a picture that refers to an older one both sides have.
        key_frame: Losses ended by a key frame.

    """

    retransmission: int = 0
    fec: int = 0
    red: int = 0
    in_band_fec: int = 0
    reference_frame: int = 0
    key_frame: int = 0


@dataclass(slots=True)
class ReceiveStreamStats:
    """What both kinds of streams have in common.

    Attributes:
        mid: ``mid``.
        ssrc: ``ssrc``; 0 before the first packet.
        packets_received: Retransmissions included.
        packets_lost: On their first way; duplicates can make it negative.
        packets_discarded: Came, and too late or too early to be of use.
        bytes_received: Payload only.
        header_bytes_received: Headers and padding.
        jitter: Interarrival jitter, seconds.
        retransmitted_packets_received: By RTX.
        retransmitted_bytes_received: Their payload.
        fec_packets_received: Packets of forward error correction, useful or not.
        fec_bytes_received: Their payload.
        fec_packets_discarded: Of those, ones that were of no use: all that they protect was here.
        nack_count: Requests for retransmission; each may name several packets.
        jitter_buffer_delay: Seconds from arrival to play-out, summed over what is emitted.
        jitter_buffer_target_delay: Seconds of delay that were aimed at, summed likewise.
        jitter_buffer_minimum_delay: Seconds of it that the path alone asks for, without lip sync
            and redundancy, summed likewise.
        jitter_buffer_emitted_count: The samples, or pictures, of these sums.
        total_processing_delay: Seconds from a first packet's arrival to the end of decoding,
            summed over samples or decoded pictures.
        target_delay: Seconds of delay aimed at now; not the W3C's.
        repairs: By mechanism; not the W3C's.

    """

    kind: Kind = "audio"
    mid: str = ""
    ssrc: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    packets_discarded: int = 0
    bytes_received: int = 0
    header_bytes_received: int = 0
    jitter: float = 0.0
    retransmitted_packets_received: int = 0
    retransmitted_bytes_received: int = 0
    fec_packets_received: int = 0
    fec_bytes_received: int = 0
    fec_packets_discarded: int = 0
    nack_count: int = 0
    jitter_buffer_delay: float = 0.0
    jitter_buffer_target_delay: float = 0.0
    jitter_buffer_minimum_delay: float = 0.0
    jitter_buffer_emitted_count: int = 0
    total_processing_delay: float = 0.0
    target_delay: float = 0.0
    repairs: RepairStats = field(default_factory=RepairStats)


@dataclass(slots=True)
class AudioReceiveStats(ReceiveStreamStats):
    """One audio stream.

    Attributes:
        packets_failed: Refused by the decoder; not the W3C's.
        total_samples_received: All that was played, made up or not.
        concealed_samples: Made up; the sender's own silence does not count.
        silent_concealed_samples: Of these, ones that are silence.
        concealment_events: Times that concealment began.
        inserted_samples_for_deceleration: By which sound was stretched.
        removed_samples_for_acceleration: By which it was shortened.
        total_audio_energy: Squared level as a share of full scale, times seconds.

    """

    kind: Kind = "audio"
    packets_failed: int = 0
    total_samples_received: int = 0
    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    concealment_events: int = 0
    inserted_samples_for_deceleration: int = 0
    removed_samples_for_acceleration: int = 0
    total_audio_energy: float = 0.0


@dataclass(slots=True)
class VideoReceiveStats(ReceiveStreamStats):
    """One video stream.

    Attributes:
        pli_count: Requests for a key frame.
        rpsi_count: Requests for a frame from a picture that the decoder has.
        fir_count: Likewise by FIR; none is sent to a single sender.
        frames_received: Complete ones.
        frames_decoded: By the decoder.
        key_frames_decoded: Of these, key frames.
        frames_rendered: Shown.
        frames_dropped: Complete or decoded, and not shown.
        frames_skipped: Given up as incomplete: gaps, not frames, are counted; not the W3C's.
        frames_damaged: Decoded although one that they refer to was lost; not the W3C's.
        frame_width: Of the last picture shown, pixels; 0 before.
        frame_height: Likewise.
        frames_per_second: Shown in the last second.
        qp_sum: Quantizers of the decoded frames, 0 to 127 each.
        total_decode_time: Seconds that decoding took, summed over decoded frames.
        total_inter_frame_delay: Seconds between pictures shown one after the other, summed.
        total_squared_inter_frame_delay: Their squares, summed: with the sum, the variance.
        freeze_count: As the W3C defines them; one that still lasts counts.
        total_freezes_duration: Seconds.
        pause_count: Times without a picture for more than 5 s; one that still lasts counts.
        total_pauses_duration: Seconds.

    """

    kind: Kind = "video"
    pli_count: int = 0
    rpsi_count: int = 0
    fir_count: int = 0
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
    qp_sum: int = 0
    total_decode_time: float = 0.0
    total_inter_frame_delay: float = 0.0
    total_squared_inter_frame_delay: float = 0.0
    freeze_count: int = 0
    total_freezes_duration: float = 0.0
    pause_count: int = 0
    total_pauses_duration: float = 0.0


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
