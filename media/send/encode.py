"""Encode: the decisions around a codec: at what rate, when a key frame, when not at all.

Second stage of the road, for pictures; :mod:`.encode_audio` has sound.  A picture is encoded as an
:class:`~ringline.media.send.encode_job.VideoEncodeJob` off the thread that keeps time.

Invariants:

1. One picture at a time is with the encoder.
2. Key frames that the receiver asks for are at least a round trip, and 200 ms, apart: a request
   sooner than that cannot have seen the last one.
3. The encoder's overshoot is bounded: a picture is skipped while what was encoded is more than a
   third of a second ahead of the rate.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.video_codec import Reference, Vp8Config
from ringline.media.frames import EncodedPicture, VideoFrame
from ringline.media.send.capture import VideoTiming
from ringline.media.send.cpu_budget import CpuBudget, CpuBudgetConfig
from ringline.media.send.encode_job import EncoderSlot, PrepareEncoderJob, VideoEncodeJob
from ringline.media.send.limitation import LimitationReason
from ringline.media.send.references import ReferenceConfig, ReferencePlan
from ringline.media.send.scale import ScaleConfig, ScalePolicy
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = ["EncodeConfig", "PauseReason", "SkipReason", "VideoEncode"]

logger = logging.getLogger(__name__)

_LEAST_BITRATE: Final = 10_000
"""Bits per second that an encoder is told at least."""

_MOST_BITS: Final = 0.25
"""Per pixel and picture: at 640x360 and 30 a second 1.7 Mbit/s, with which a film has some 43 dB of
PSNR.  What is coded beyond is the noise of the camera: nobody sees it, both sides pay for each
packet, and a link that is just wide enough is kept full by it."""

_ALWAYS_WORTH: Final = 300_000
"""Bits per second that are spent however small the picture: it may soon be larger."""

_KEY_SHARE: Final = 0.5
"""Of the rate to expect that a key frame is made for at least: while a queue is emptied there may
be next to none, and what starts afresh then must be worth looking at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeConfig:
    """How sound and picture are encoded."""

    key_frame_interval: float = 0.2
    """Least seconds between key frames on request, if the round trip is shorter."""

    max_queue: float = 0.1
    """Seconds of waiting packets, at the target rate, from which a picture is skipped."""

    max_ahead: float = 0.35
    """Seconds that the encoder may be ahead of its rate: one key frame of 450 % at 15 frames."""

    least_paying: float = 20.0
    """Pictures a second from which one is given up for what left in its place."""

    max_owed: float = 0.3
    """Seconds at its rate that are given up for what left in their place, at most."""

    pause_below: int = 50_000
    """Gross target in bits per second below which no picture is sent: sound needs most of it."""

    pause_patience: float = 1.0
    """Seconds that it must have been below: the rate dips while a queue is emptied."""

    resume_above: int = 70_000
    """And from which it comes back, after ..."""

    resume_patience: float = 3.0
    """... so many seconds: a picture that comes and goes is worse than none."""

    references: ReferenceConfig = field(default_factory=ReferenceConfig)

    scale: ScaleConfig = field(default_factory=ScaleConfig)

    cpu: CpuBudgetConfig = field(default_factory=CpuBudgetConfig)


class SkipReason(Enum):
    """Why a picture was not encoded."""

    UNWANTED = "late, or more often than the frame rate"
    BUSY = "the encoder still had the one before"
    QUEUE = "packets wait to leave"
    AHEAD = "the encoder is ahead of its rate"
    OWED = "a probe of the path took its place"
    PAUSED = "muted, paused or not connected"
    FAILED = "the encoder failed"


_LONGEST_INTERVAL: Final = 0.5  # seconds; a longer pause says nothing of the cadence
_CADENCE_WEIGHT: Final = 0.05  # follows a camera that slows down in the dark within a second


class PauseReason(Enum):
    """Why no picture is sent."""

    BANDWIDTH = "the network is too slow for a picture"
    CPU = "this computer is too slow, or too busy, for a picture"


class VideoEncode:
    """Decides about the pictures of one stream.

    Args:
        config: Tuning.
        codecs: Makes the encoder.
        mid: Names the stream.
        now: The present.
        selects_references: Whether the receiver can ask for frames from a picture that it has.

    Attributes:
        cpu: What this computer has time for.
        references: What frames are predicted from; :obj:`None` if that was not negotiated.
        skipped: Pictures not encoded, by reason.

    """

    def __init__(
        self,
        config: EncodeConfig,
        *,
        codecs: CodecRegistry,
        mid: str,
        now: float,
        selects_references: bool = False,
    ) -> None:
        self.cpu: Final = CpuBudget(config.cpu, now=now)
        self.references: Final = ReferencePlan(config.references) if selects_references else None
        self.timing: Final = VideoTiming()
        self.skipped: Final[dict[SkipReason, int]] = dict.fromkeys(SkipReason, 0)
        self._config: Final = config
        self._codecs: Final = codecs
        self._lane: Final = f"encode {mid}"
        self._scale: Final = ScalePolicy(config.scale, now=now)
        self._slot: EncoderSlot | None = None
        self._bitrate = 0
        self._settled = 0  # what the rate will be once a queue is emptied
        self._out: VideoEncodeJob | None = None
        self._ordered_at = 0.0  # when it was given out
        self._key_wanted = True
        self._key_at: float | None = None  # when the last key frame was ordered
        self._ahead = 0.0  # bits encoded beyond the rate
        self._owed = 0.0  # bits that left in place of pictures
        self._has_paid = False  # by the last picture
        self._ahead_at = now
        self._is_too_slow = False  # the network, for a picture
        self._change_since: float | None = None  # since when to pause, or to resume, is due
        self._encoder_time = 0
        self._captured_at: float | None = None
        self._interval = 0.0  # between pictures of the source, in ticks of 90 kHz
        self._size = (0, 0)
        self._source_pixels = 0

    @property
    def paused(self) -> PauseReason | None:
        """Why no picture is sent; :obj:`None` if one is."""
        if self._is_too_slow:
            return PauseReason.BANDWIDTH
        return PauseReason.CPU if self.cpu.paused else None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that are encoded; zeros before the first picture."""
        return self._size

    @property
    def frame_rate(self) -> float:
        """Pictures a second at most."""
        return self._scale.scaling.frame_rate

    @property
    def source_pixels(self) -> int:
        """Of each picture of the source; 0 before the first is encoded."""
        return self._source_pixels

    @property
    def quantizer(self) -> float | None:
        """How coarse pictures are of late, 0 to 127; :obj:`None` before that is known."""
        return self._scale.difficulty.quantizer

    @property
    def smaller(self) -> bool:
        """Whether pictures are sent in a smaller size than their source's."""
        return self._scale.scaling.numerator != 8

    @property
    def limitation(self) -> LimitationReason:
        """What keeps the picture below what its source gives: of two reasons the narrower one."""
        scaling, limits = self._scale.scaling, self.cpu.limits
        if self.paused is PauseReason.CPU:
            return "cpu"
        if (
            self.paused is not None
            or scaling.numerator < limits.ceiling.numerator
            or scaling.frame_rate < limits.ceiling.frame_rate
        ):
            return "bandwidth"
        return "cpu" if limits.reduces else "none"

    def set_bitrate(
        self, bitrate: int, target: int, now: float, *, settled: int | None = None
    ) -> None:
        """Take a new share.

        Args:
            bitrate: Net, for the picture.
            target: Gross, of everything, to expect for a while; decides whether there is a picture
                at all.
            now: The present.
            settled: Net, for the picture, to expect for a while, where that is another than now;
                decides its size.

        """
        self._drain(now)
        self._bitrate = bitrate
        self._settled = bitrate if settled is None else settled
        config = self._config
        if not self._is_too_slow:
            if self._lasts(target < config.pause_below, config.pause_patience, now):
                self._is_too_slow = True
        elif self._lasts(target >= config.resume_above, config.resume_patience, now):
            self._is_too_slow = False
            self._key_wanted = True

    def request_key_frame(self) -> None:
        """Make the next picture a key frame whatever came before: the path is new."""
        self._key_wanted = True

    def handle_return(self) -> None:
        """Take note that the path, silent for a while, carries again: all before is lost."""
        if self.references is None or not self.references.handle_return():
            self._key_wanted = True

    def restart(self) -> None:
        """Start afresh with a key frame, at once: what is under way will not arrive, or too late.

        What the encoder is ahead by was for that.  A frame from a picture that both sides keep
        would be larger here: of the old rate's fineness, which it would go on from.
        """
        self._key_wanted = True
        self._ahead = 0.0
        self._scale.restart()

    def handle_widening(self) -> None:
        """Choose the size anew, at once: the one in force was for a start in the dark."""
        self._scale.begin_again()

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

    def handle_selection(self, picture_id: int, round_trip: float, now: float) -> bool:
        """Take a request to go on from a picture that the receiver has; return as for key frames.

        If that picture is not kept any more, a key frame is the answer.
        """
        if not self._key_wanted and self.references is not None:
            interval = max(round_trip, self._config.key_frame_interval)
            if self._key_at is not None and now - self._key_at < interval:
                return False
            heeded = self.references.handle_request(picture_id, interval, now)
            if heeded is not None:
                return heeded
        return self.handle_key_frame_request(round_trip, now)

    def prepare(self, frame: VideoFrame) -> PrepareEncoderJob | None:
        """Return the job that makes the encoder for pictures like this one, once."""
        if self._slot is not None:
            return None
        return PrepareEncoderJob(lane=self._lane, slot=self._slot_for(frame))

    def handle_frame(
        self, frame: VideoFrame, now: float, *, queue_seconds: float
    ) -> VideoEncodeJob | None:
        """Take a picture; return the job to run, or :obj:`None` if it is skipped.

        Args:
            frame: As captured.
            now: The present.
            queue_seconds: How long what waits to leave would take at the target rate.

        """
        self._observe_cadence(now if frame.captured_at is None else frame.captured_at)
        if self._is_too_slow:
            return self._skipped(SkipReason.PAUSED)
        if self._out is not None:  # the longer it is away, the sooner that is to be known
            self.cpu.handle_picture(now - self._ordered_at, self._least_interval(), now)
        was_paused = self.cpu.paused
        if not was_paused or self._out is None:  # else the encoder has not come back from the last
            self.cpu.update(self._scale.scaling, self._source_rate(), now)
        if self.cpu.paused:
            return self._skipped(SkipReason.PAUSED)
        self._key_wanted = self._key_wanted or was_paused
        if self._scale.update(
            self._settled,
            frame.width,
            frame.height,
            now,
            key_due=self._key_wanted,
            ceiling=self.cpu.limits.ceiling,
        ):
            self._ahead = 0.0  # what the last size left behind must not delay the next
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
        if self._pays():
            return self._skipped(SkipReason.OWED)
        return self._order(frame, media_time, now)

    def handle_padding(self, bits: int) -> None:
        """Give pictures up for padding that left beside them.

        Where there is no room for it, it stands in the bottleneck's queue for as long as what is
        sent afterwards just fits, and sound stands behind it.
        """
        self._owed = min(self._owed + bits, self._config.max_owed * self._bitrate)

    def handle_job(self, job: VideoEncodeJob, now: float) -> EncodedPicture | None:
        """Take back the job; return the frame to send, if there is one."""
        if job is not self._out:
            return None
        self._out = None
        self.cpu.handle_picture(now - self._ordered_at, self._least_interval(), now)
        if job.error is not None:
            # Once a call is enough of a warning; the count tells the rest.
            level = logging.DEBUG if self.skipped[SkipReason.FAILED] else logging.WARNING
            logger.log(level, "encoding failed: %s", job.error)
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
            self._scale.difficulty.handle_key_frame()
        else:
            self._scale.difficulty.handle_picture(
                len(picture.data) * 8,
                job.duration / VIDEO_CLOCK_RATE,
                picture.quantizer,
                job.bitrate,
            )
        return picture

    def _slot_for(self, frame: VideoFrame) -> EncoderSlot:
        if self._slot is None:
            bitrate = max(self._bitrate, _LEAST_BITRATE)
            config = Vp8Config(width=frame.width, height=frame.height, bitrate=bitrate)
            self._slot = EncoderSlot(self._codecs, config)
        return self._slot

    def _order(self, frame: VideoFrame, media_time: int, now: float) -> VideoEncodeJob:
        size = self._scale.scaling.size(frame.width, frame.height)
        bitrate = max(self._bitrate, _LEAST_BITRATE)
        if self._key_wanted:
            bitrate = max(bitrate, int(self._settled * _KEY_SHARE))
        most = size[0] * size[1] * min(self.frame_rate, self._source_rate()) * _MOST_BITS
        bitrate = min(bitrate, int(max(most, _ALWAYS_WORTH)))
        # The encoder's own clock counts pictures, not time: after a gap it would take the pause
        # for a slower camera, splurge, fill the queue and so make the next gap.
        duration = int(self._least_ticks())
        self._encoder_time += duration
        self._size = size
        self._source_pixels = frame.width * frame.height
        force_key, self._key_wanted = self._key_wanted, False
        reference = Reference.LAST
        self._ordered_at = now
        if force_key:
            self._key_at = now
        elif self.references is not None:
            reference = self.references.choose(now)
        self._out = VideoEncodeJob(
            lane=self._lane,
            slot=self._slot_for(frame),
            frame=frame,
            size=size,
            media_time=media_time,
            encoder_time=self._encoder_time,
            duration=duration,
            bitrate=bitrate,
            force_key=force_key,
            reference=reference,
            cpu_used=self.cpu.limits.cpu_used,
        )
        return self._out

    def _source_rate(self) -> float:
        """Return the pictures a second that the source gives; many before that is known."""
        return VIDEO_CLOCK_RATE / self._interval if self._interval else math.inf

    def _least_interval(self) -> float:
        """Return the seconds between two pictures that are encoded."""
        return self._least_ticks() / VIDEO_CLOCK_RATE

    def _least_ticks(self) -> float:
        """Return the same in ticks of 90 kHz."""
        return max(VIDEO_CLOCK_RATE / self.frame_rate, self._interval)

    def _observe_cadence(self, captured_at: float) -> None:
        """Follow the camera's own frame rate, whatever we make of its pictures."""
        last, self._captured_at = self._captured_at, captured_at
        if last is None or not 0 < captured_at - last < _LONGEST_INTERVAL:
            return
        interval = (captured_at - last) * VIDEO_CLOCK_RATE
        if self._interval == 0.0:
            self._interval = interval
        self._interval += (interval - self._interval) * _CADENCE_WEIGHT

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

    def _pays(self) -> bool:
        """Tell whether this picture is given up: never two in a row nor one of few."""
        share = self._bitrate / self.frame_rate
        may = self.frame_rate >= self._config.least_paying and not self._has_paid
        self._has_paid = may and self._owed > share / 2
        if self._has_paid:
            self._owed = max(0.0, self._owed - share)
        return self._has_paid

    def _drain(self, now: float) -> None:
        self._ahead = max(0.0, self._ahead - (now - self._ahead_at) * self._bitrate)
        self._ahead_at = now
