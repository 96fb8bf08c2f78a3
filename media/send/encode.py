"""Encode: the decisions around a codec: at what rate, when a key frame, when not at all.

Second stage of the road.  A picture is encoded as a :class:`VideoEncodeJob` off the thread that
keeps time, sound in place (0.2 ms).

Invariants:

1. One picture at a time is with the encoder.
2. Key frames that the receiver asks for are at least a round trip, and 200 ms, apart: a request
   sooner than that cannot have seen the last one.
3. The encoder's overshoot is bounded: a picture is skipped while what was encoded is more than a
   third of a second ahead of the rate.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.codecs.opus import OpusConfig, OpusEncoder
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.video_codec import VideoEncoder, Vp8Config
from ringline.media.errors import CodecError
from ringline.media.frames import AudioFrame, EncodedPicture, VideoFrame
from ringline.media.send.capture import VideoTiming
from ringline.media.send.scale import ScaleConfig, ScalePolicy
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = [
    "AudioEncode",
    "EncodeConfig",
    "PauseReason",
    "SkipReason",
    "VideoEncode",
    "VideoEncodeJob",
    "audio_level",
]

logger = logging.getLogger(__name__)

_LOSS_STEP: Final = 0.05
_MAX_LOSS_HINT: Final = 0.2
"""Steps in which the encoder is told of loss, and the most it is told, as libwebrtc: each step
takes from the sound to pay for redundancy."""

_OVERSHOOT_SMOOTHING: Final = 0.15
"""Weight of a new frame in the encoder's overshoot: settles in a quarter of a second."""

_VOICE_LEVEL: Final = 50
"""-dBov; louder than this is taken for voice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeConfig:
    """How sound and picture are encoded."""

    key_frame_interval: float = 0.2
    """Least seconds between key frames on request, if the round trip is shorter."""

    max_queue: float = 0.1
    """Seconds of waiting packets, at the target rate, from which a picture is skipped."""

    max_ahead: float = 0.35
    """Seconds that the encoder may be ahead of its rate: one key frame of 450 % at 15 frames."""

    pause_below: int = 50_000
    """Gross target in bits per second below which no picture is sent: sound needs most of it."""

    pause_patience: float = 1.0
    """Seconds that it must have been below: the rate dips while a queue is emptied."""

    resume_above: int = 70_000
    """And from which it comes back, after ..."""

    resume_patience: float = 3.0
    """... so many seconds: a picture that comes and goes is worse than none."""

    loss_hint_from: float = 0.01
    """Loss from which Opus carries in-band redundancy; before it would only cost sound."""

    scale: ScaleConfig = field(default_factory=ScaleConfig)


class SkipReason(Enum):
    """Why a picture was not encoded."""

    UNWANTED = "late, or more often than the frame rate"
    BUSY = "the encoder still had the one before"
    QUEUE = "packets wait to leave"
    AHEAD = "the encoder is ahead of its rate"
    PAUSED = "muted, paused or not connected"
    FAILED = "the encoder failed"


class PauseReason(Enum):
    """Why no picture is sent."""

    BANDWIDTH = "the network is too slow for a picture"


class VideoEncodeJob:
    """Scales and encodes one picture.

    Attributes:
        media_time: Of the picture, 1/90000 s, not wrapped.
        duration: Likewise, how long it is shown.
        bitrate: That the encoder is told.
        force_key: Whether it must be a key frame.
        picture: The result; :obj:`None` if the encoder let it go or failed.
        error: What it failed with.

    """

    def __init__(
        self,
        *,
        lane: str,
        encoder: VideoEncoder,
        frame: VideoFrame,
        size: tuple[int, int],
        media_time: int,
        duration: int,
        bitrate: int,
        force_key: bool,
    ) -> None:
        self.media_time: Final = media_time
        self.duration: Final = duration
        self.bitrate: Final = bitrate
        self.force_key: Final = force_key
        self.picture: EncodedPicture | None = None
        self.error: Exception | None = None
        self._lane: Final = lane
        self._encoder: Final = encoder
        self._frame: Final = frame
        self._size: Final = size

    @property
    def lane(self) -> str:
        """One lane per stream: an encoder has state."""
        return self._lane

    def run(self) -> None:
        """Do the work."""
        try:
            self._encoder.set_bitrate(self.bitrate)
            self.picture = self._encoder.encode(
                _scaled(self._frame, self._size),
                media_time=self.media_time,
                duration=self.duration,
                force_key=self.force_key,
            )
        except (CodecError, ValueError) as error:
            self.error = error


class VideoEncode:
    """Decides about the pictures of one stream.

    Args:
        config: Tuning.
        codecs: Makes the encoder, at the first picture.
        mid: Names the stream.
        now: The present.

    Attributes:
        skipped: Pictures not encoded, by reason.
        paused: Why no picture is sent, or :obj:`None`.

    """

    def __init__(
        self, config: EncodeConfig, *, codecs: CodecRegistry, mid: str, now: float
    ) -> None:
        self.timing: Final = VideoTiming()
        self.skipped: Final[dict[SkipReason, int]] = dict.fromkeys(SkipReason, 0)
        self.paused: PauseReason | None = None
        self._config: Final = config
        self._codecs: Final = codecs
        self._lane: Final = f"encode {mid}"
        self._scale: Final = ScalePolicy(config.scale, now=now)
        self._encoder: VideoEncoder | None = None
        self._bitrate = 0
        self._out: VideoEncodeJob | None = None
        self._key_wanted = True
        self._key_at: float | None = None  # when the last key frame was ordered
        self._ahead = 0.0  # bits encoded beyond the rate
        self._ahead_at = now
        self._overshoot = 1.0  # what comes out over what the encoder was told, of late
        self._change_since: float | None = None  # since when to pause, or to resume, is due
        self._last_time: int | None = None
        self._size = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that are encoded; zeros before the first picture."""
        return self._size

    @property
    def frame_rate(self) -> float:
        """Pictures a second at most."""
        return self._scale.scaling.frame_rate

    @property
    def scaled(self) -> bool:
        """Whether bandwidth makes the picture smaller or slower than it could be."""
        return self._scale.scaling.numerator != 8 or self.frame_rate < 30

    def set_bitrate(self, bitrate: int, target: int, now: float) -> None:
        """Take a new share.

        Args:
            bitrate: Net, for the picture.
            target: Gross, of everything; decides whether there is a picture at all.
            now: The present.

        """
        self._drain(now)
        self._bitrate = bitrate
        config = self._config
        if self.paused is None:
            if self._lasts(target < config.pause_below, config.pause_patience, now):
                self.paused = PauseReason.BANDWIDTH
        elif self._lasts(target >= config.resume_above, config.resume_patience, now):
            self.paused = None
            self._key_wanted = True

    def request_key_frame(self) -> None:
        """Make the next picture a key frame whatever came before: the path is new."""
        self._key_wanted = True

    def handle_key_frame_request(self, round_trip: float, now: float) -> bool:
        """Take a request by the receiver; return whether it is heeded.

        One within a round trip of the last key frame was sent before that one arrived.  If it
        got lost, the receiver asks again.
        """
        interval = max(round_trip, self._config.key_frame_interval)
        if self._key_wanted or (self._key_at is not None and now - self._key_at < interval):
            return False
        self._key_wanted = True
        return True

    def handle_frame(
        self, frame: VideoFrame, now: float, *, queue_seconds: float
    ) -> VideoEncodeJob | None:
        """Take a picture; return the job to run, or :obj:`None` if it is skipped.

        Args:
            frame: As captured.
            now: The present.
            queue_seconds: How long what waits to leave would take at the target rate.

        """
        if self.paused is not None:
            return self._skipped(SkipReason.PAUSED)
        if self._scale.update(
            self._bitrate, frame.width, frame.height, now, overshoot=self._overshoot
        ):
            self._overshoot = 1.0  # the next size has one of its own
            self._ahead = 0.0  # and what the last one left behind must not delay it
        if self._out is not None:
            return self._skipped(SkipReason.BUSY)
        if queue_seconds > self._config.max_queue:
            return self._skipped(SkipReason.QUEUE)
        self._drain(now)
        if self._ahead > self._config.max_ahead * self._bitrate:
            return self._skipped(SkipReason.AHEAD)
        captured_at = now if frame.captured_at is None else frame.captured_at
        media_time = self.timing.stamp(captured_at, now, max_frame_rate=self.frame_rate)
        if media_time is None:
            return self._skipped(SkipReason.UNWANTED)
        try:
            return self._order(frame, media_time, now)
        except CodecError as error:
            logger.warning("no video encoder: %s", error)
            return self._skipped(SkipReason.FAILED)

    def handle_job(self, job: VideoEncodeJob, now: float) -> EncodedPicture | None:
        """Take back the job; return the frame to send, if there is one."""
        if job is not self._out:
            return None
        self._out = None
        if job.error is not None:
            logger.debug("encoding failed: %s", job.error)
            self.skipped[SkipReason.FAILED] += 1
            self._key_wanted = True
        picture = job.picture
        if picture is None:
            self._key_wanted = self._key_wanted or job.force_key
            return None
        self._drain(now)
        self._ahead += len(picture.data) * 8
        if picture.key:
            self._key_at = now
        else:
            told = job.bitrate * job.duration / VIDEO_CLOCK_RATE
            self._overshoot += _OVERSHOOT_SMOOTHING * (
                len(picture.data) * 8 / told - self._overshoot
            )
        return picture

    def _order(self, frame: VideoFrame, media_time: int, now: float) -> VideoEncodeJob:
        size = self._scale.scaling.size(frame.width, frame.height)
        bitrate = max(self._bitrate, 10_000)
        if self._encoder is None:
            config = Vp8Config(width=frame.width, height=frame.height, bitrate=bitrate)
            self._encoder = self._codecs.video_encoder("VP8", config)
        nominal = VIDEO_CLOCK_RATE / self.frame_rate
        elapsed = nominal if self._last_time is None else media_time - self._last_time
        self._last_time = media_time
        self._size = size
        force_key, self._key_wanted = self._key_wanted, False
        if force_key:
            self._key_at = now
        self._out = VideoEncodeJob(
            lane=self._lane,
            encoder=self._encoder,
            frame=frame,
            size=size,
            media_time=media_time,
            # After a gap the encoder would take the pause for a slower camera and splurge.
            duration=int(min(max(elapsed, 1), 2 * nominal)),
            bitrate=bitrate,
            force_key=force_key,
        )
        return self._out

    def _lasts(self, holds: bool, patience: float, now: float) -> bool:
        """Tell whether the reason to change has held for long enough."""
        if not holds:
            self._change_since = None
            return False
        if self._change_since is None:
            self._change_since = now
        if now - self._change_since < patience:
            return False
        self._change_since = None
        return True

    def _skipped(self, reason: SkipReason) -> VideoEncodeJob | None:
        self.skipped[reason] += 1
        return None

    def _drain(self, now: float) -> None:
        self._ahead = max(0.0, self._ahead - (now - self._ahead_at) * self._bitrate)
        self._ahead_at = now


class AudioEncode:
    """Encodes the sound of one stream.

    Args:
        config: Tuning.
        codecs: Makes the encoder, at the first frame.
        in_band_fec: Whether the other side makes use of redundancy (``useinbandfec``).

    """

    def __init__(self, config: EncodeConfig, *, codecs: CodecRegistry, in_band_fec: bool) -> None:
        self._config: Final = config
        self._codecs: Final = codecs
        self._in_band_fec: Final = in_band_fec
        self._encoder: OpusEncoder | None = None
        self._bitrate = OpusConfig().bitrate
        self._hint = 0.0

    def set_conditions(self, bitrate: int, loss: float) -> None:
        """Take a new share in net bits per second, and the loss of late, 0.0 to 1.0."""
        hint = 0.0
        if self._in_band_fec and loss >= self._config.loss_hint_from:
            steps = max(1, round(loss / _LOSS_STEP))
            hint = min(steps * _LOSS_STEP, _MAX_LOSS_HINT)
        encoder = self._encoder
        if encoder is not None:
            if bitrate != self._bitrate:
                encoder.set_bitrate(bitrate)
            if hint != self._hint:
                encoder.set_packet_loss(hint)
        self._bitrate = bitrate
        self._hint = hint

    def encode(self, frame: AudioFrame) -> bytes:
        """Return the Opus packet of a frame; empty if there is nothing to send (DTX).

        Raises:
            CodecError: If there is no encoder or it failed.
            ValueError: If the frame is not 960 samples of ``int16``.

        """
        if self._encoder is None:
            config = OpusConfig(
                bitrate=self._bitrate, inband_fec=self._in_band_fec, packet_loss=self._hint
            )
            self._encoder = self._codecs.audio_encoder("opus", config)
        return self._encoder.encode(frame.samples)


def audio_level(frame: AudioFrame) -> tuple[bool, int]:
    """Return whether a frame holds voice, and its level in -dBov, 0 to 127 (RFC 6464 §3)."""
    samples = frame.samples.astype(np.float32)
    power = float(np.dot(samples, samples)) / max(len(samples), 1)
    if power < 1e-3:
        return False, 127
    level = min(max(round(-10 * float(np.log10(power / 32_768**2))), 0), 127)
    return level <= _VOICE_LEVEL, level


def _scaled(frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    if size == (frame.width, frame.height):
        return frame.planes
    picture = av.VideoFrame.from_ndarray(frame.planes, format="yuv420p")
    smaller = picture.reformat(*size, interpolation="FAST_BILINEAR")
    return np.asarray(smaller.to_ndarray(), dtype=np.uint8)
