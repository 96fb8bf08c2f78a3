"""Decode: which frames go to the decoder, and when a key frame is asked for.

::

                     repair frame
      ┌───────────────────────────────────────────────┐
      v                                               │
    WHOLE ── a frame is lost ──> DAMAGED ── a while ─> WAITING   (the start is here)
      ^                             │
      └──────── repair frame ───────┘

A repair frame is a key frame, or one predicted from a picture that the decoder keeps and has
whole (:mod:`.references`).

DAMAGED decodes on: an error-resilient stream loses 2 to 4 dB for a moment, which is better to
look at than a picture that stands still, as long as a repair frame is on its way.  For how long
depends on how much is missing (:mod:`.damage`).  After that the damage would be seen to spread, so
nothing is decoded until it comes.

In DAMAGED and WAITING one is asked for until it comes, again and again: requests and frames are
lost like anything else.  The request names the picture (RPSI, RFC 4585 §6.3.3), or asks for a key
frame (PLI, §6.3.1) where there is none, and when RPSI has been in vain.

Decoding takes milliseconds, so it runs as jobs (:mod:`ringline.media.jobs`), one at a time and in
order.

Invariants:

1. The decoder gets frames in order, and none before a first key frame.
2. At most ``max_queue`` frames wait for it; when more come, they are dropped up to a key frame.
3. While a picture is missing and a key frame is not arriving, requests go on for ever.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from ringline.media.codecs.video_codec import Planes, VideoDecoder
from ringline.media.errors import CodecError
from ringline.media.receive.assemble import AssembledFrame
from ringline.media.receive.damage import DamageConfig, MotionMeter, patience
from ringline.media.receive.references import KeptPictures
from ringline.media.rtp.vp8_header import read_quantizer
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = ["DecodeConfig", "DecodeJob", "DecodeState", "RepairRequest", "VideoDecodeStage"]

logger = logging.getLogger(__name__)

_IDLE_INTERVAL: Final = 1.0
"""Seconds between requests while no packet comes: the sender rests, or the path is gone, and the
first packet brings the next request forward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConfig:
    """How a :class:`VideoDecodeStage` behaves."""

    damage: DamageConfig = field(default_factory=DamageConfig)
    """For how long damage is shown rather than a still picture."""

    request_interval: float = 0.2
    """Seconds between requests for a key frame, or a round trip where that is longer."""

    max_selections: int = 3
    """Requests by RPSI for one loss, before it is to be a key frame: frames from a kept picture
    that do not arrive are followed by one that needs nothing."""

    max_queue: int = 60
    """Frames waiting for the decoder: 2 s, after which it will not catch up by itself."""


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """Ask for a frame that decodes whole.

    Attributes:
        picture_id: Of the picture to predict it from; :obj:`None` asks for a key frame.

    """

    picture_id: int | None = None


class DecodeState(Enum):
    """See the module's docstring."""

    WAITING = auto()
    WHOLE = auto()
    DAMAGED = auto()


class DecodeJob:
    """One frame for the decoder.

    Args:
        lane: Of the stream.
        decoder: Of the stream; used by one job at a time.
        frame: What to decode.
        motion: Measures what comes out; likewise.

    Attributes:
        pictures: What came out, after :meth:`run`.
        failed: Whether the decoder refused it.
        quantizer: Of the frame, 0 to 127.
        seconds: See :class:`~ringline.media.jobs.Job`.

    """

    def __init__(
        self, lane: str, decoder: VideoDecoder, frame: AssembledFrame, motion: MotionMeter
    ) -> None:
        self._lane: Final = lane
        self._decoder: Final = decoder
        self._motion: Final = motion
        self.frame: Final = frame
        self.pictures: list[Planes] = []
        self.seconds = 0.0
        self.failed = False
        self.quantizer = 0

    @property
    def lane(self) -> str:
        """``decode:`` and the stream's mid."""
        return self._lane

    def run(self) -> None:
        """Decode the frame."""
        try:
            self.pictures = self._decoder.decode(self.frame.picture.data)
            self.quantizer = read_quantizer(self.frame.picture.data) or 0
            for planes in self.pictures:
                self._motion.handle_picture(planes, self.frame.timestamp)
        except CodecError as error:
            self.failed = True
            logger.debug("VP8 frame dropped: %s", error)


class VideoDecodeStage:
    """Decides about the frames of one stream.

    Args:
        lane: Of its jobs.
        decoder: Of the stream.
        can_request: Whether requests for key frames were negotiated.  If not, damage is decoded
            for as long as it takes: nothing would end the wait.
        kept: The pictures that the decoder keeps, if frames tell and can be asked for.
        config: Tuning.

    Attributes:
        state: See the module's docstring.
        requests: Key frames asked for.
        selections: Frames from a kept picture asked for.
        kept_recoveries: Losses that such a frame ended.
        decoded: Frames decoded.
        key_frames_decoded: Of these, key frames.
        quantizer_sum: Their quantizers, 0 to 127 each.
        damaged: Of these, ones after a loss.
        dropped: Frames that were complete and did not go to the decoder, or failed in it.
        key_recoveries: Losses that a key frame ended.

    """

    def __init__(
        self,
        lane: str,
        decoder: VideoDecoder,
        *,
        can_request: bool,
        kept: KeptPictures | None = None,
        config: DecodeConfig | None = None,
    ) -> None:
        self._lane: Final = lane
        self._decoder: Final = decoder
        self._can_request: Final = can_request
        self._kept: Final = kept
        self._config: Final = config or DecodeConfig()
        self._queue: Final[deque[AssembledFrame]] = deque()
        self._running: DecodeJob | None = None
        self._round_trip = 0.0
        self._motion: Final = MotionMeter(self._config.damage)
        self._damaged_at = 0.0
        self._missed = 0.0  # change of luma that the damaged picture lacks
        self._last_timestamp: int | None = None  # of the frame before
        self._distance = 0  # of two frames one behind the other, in ticks
        self._next_request: float | None = None
        self._requested_at: float | None = None  # since the picture was last whole
        self._selected = 0  # times, likewise
        self._newest: int | None = None  # of the kept pictures, and
        self._kept_at = 0.0  # when it came, and
        self._kept_every = 0.0  # how long after the one before
        self._doubted_at: float | None = None  # when one was asked for before anything was lost
        self._is_heard = False  # packets came since then
        self.state = DecodeState.WAITING
        self.requests = 0
        self.selections = 0
        self.kept_recoveries = 0
        self.decoded = 0
        self.key_frames_decoded = 0
        self.quantizer_sum = 0
        self.damaged = 0
        self.dropped = 0
        self.key_recoveries = 0

    def handle_round_trip(self, round_trip: float) -> None:
        """Take a new measurement, in seconds."""
        self._round_trip = round_trip

    def handle_packet(self, now: float) -> None:
        """Note that packets come: without a key frame soon, one is asked for."""
        if self.state is DecodeState.WHOLE:
            return
        self._is_heard = True
        if self._requested_at is not None:
            soon = max(now, self._requested_at + self._interval())
        elif self._next_request is None:
            # A sender starts with a key frame, and that takes a while to come in.
            soon = now + self._config.request_interval
        else:
            return
        self._next_request = soon if self._next_request is None else min(self._next_request, soon)

    def restart(self, now: float) -> None:
        """Expect another source's frames."""
        self.dropped += len(self._queue)
        self._queue.clear()
        self._forget_kept()
        self._last_timestamp = None
        self._running = None  # what it gives when it comes back belongs to the old source
        self._wait_for_key(now)

    def handle_gap(self, now: float) -> None:
        """Take note that frames are lost before the next one comes: ask at once."""
        if self.state is DecodeState.WHOLE:
            self._damage(now)

    def handle_doubt(self, now: float) -> None:
        """Take note that a gap is likely not to be filled in time: a repair frame may overtake it.

        Only by RPSI: what it brings costs little more than any frame.
        """
        if self.state is not DecodeState.WHOLE or not self._is_kept_fresh(now):
            return
        if self._doubted_at is None or now - self._doubted_at >= self._interval():
            self._doubted_at = self._next_request = now

    def handle_frame(self, frame: AssembledFrame, now: float) -> None:
        """Take the next frame in order."""
        if frame.picture.key or frame.mends:
            if self.state is not DecodeState.WHOLE:
                self.key_recoveries += frame.picture.key and self.decoded > 0
                self.kept_recoveries += frame.mends
            self._be_whole()
        elif self.state is DecodeState.WAITING:
            self.dropped += 1
            if self._next_request is None:
                self._next_request = now
            return
        elif not frame.continuous:
            self._damage(now)
            self._miss(frame)
        elif self.state is DecodeState.WHOLE:
            self._next_request = None  # no doubt any more
        self._watch_kept(now)
        if frame.continuous and self._last_timestamp is not None:
            self._distance = frame.timestamp - self._last_timestamp
        self._last_timestamp = frame.timestamp
        if self._is_too_damaged(now):
            self.dropped += 1
            self._wait_for_key(now)
            return
        self._queue.append(frame)
        if len(self._queue) > self._config.max_queue:
            self._shorten(now)

    def poll_job(self) -> DecodeJob | None:
        """Return the next frame's job, unless one is out."""
        if self._running is not None or not self._queue:
            return None
        self._running = DecodeJob(self._lane, self._decoder, self._queue.popleft(), self._motion)
        return self._running

    def handle_job(self, job: DecodeJob, now: float) -> list[Planes]:
        """Take back a job that has run; return its pictures, oldest first."""
        if job is not self._running:
            return []
        self._running = None
        if job.failed or not job.pictures:
            self.dropped += 1
            if job.failed:
                self._forget_kept()
                self._wait_for_key(now)
                self._queue_from_key()
            return []
        self.decoded += 1
        self.key_frames_decoded += job.frame.picture.key
        self.quantizer_sum += job.quantizer
        self.damaged += not job.frame.continuous
        return job.pictures

    # Requests

    def poll_timeout(self) -> float | None:
        """Return when the next request is due, or :obj:`None` if none is wanted."""
        return self._next_request if self._can_request else None

    def poll_request(self, now: float, *, is_arriving: bool) -> RepairRequest | None:
        """Return what is to be asked for now, or :obj:`None`.

        Args:
            now: The present.
            is_arriving: The start of a key frame is here: asking again would only slow it down.

        """
        if not self._can_request or self._next_request is None or now < self._next_request:
            return None
        if self.state is DecodeState.WHOLE:  # no more than a doubt
            self._next_request = None
        else:
            self._next_request = now + (self._interval() if self._is_heard else _IDLE_INTERVAL)
        if is_arriving:
            return None
        self._requested_at = now
        self._is_heard = False
        picture_id = self._kept.newest if self._kept is not None else None
        if self.state is DecodeState.WHOLE:
            self.selections += 1
            return None if picture_id is None else RepairRequest(picture_id)
        if picture_id is None or self._selected >= self._config.max_selections:
            self.requests += 1
            return RepairRequest()
        self._selected += 1
        self.selections += 1
        return RepairRequest(picture_id)

    # Private

    def _interval(self) -> float:
        return max(self._config.request_interval, self._round_trip)

    def _be_whole(self) -> None:
        self.state = DecodeState.WHOLE
        self._next_request = None
        self._requested_at = None
        self._selected = 0
        self._missed = 0.0

    def _miss(self, frame: AssembledFrame) -> None:
        """Note how much the picture lacks that this frame was to change."""
        if self._last_timestamp is not None:
            ticks = frame.timestamp - self._last_timestamp - self._distance
            self._missed += self._motion.missed(ticks / VIDEO_CLOCK_RATE)

    def _damage(self, now: float) -> None:
        if self.state is DecodeState.WHOLE:
            self.state = DecodeState.DAMAGED
            self._damaged_at = now
            self._next_request = now

    def _is_too_damaged(self, now: float) -> bool:
        return (
            self.state is DecodeState.DAMAGED
            and self._can_request
            and now - self._damaged_at > patience(self._missed, self._config.damage)
        )

    def _wait_for_key(self, now: float) -> None:
        self.state = DecodeState.WAITING
        if self._next_request is None:
            self._next_request = now

    def _watch_kept(self, now: float) -> None:
        """Learn how often pictures are kept."""
        if self._kept is not None and self._kept.newest != self._newest:
            self._newest = self._kept.newest
            self._kept_every = now - self._kept_at
            self._kept_at = now

    def _is_kept_fresh(self, now: float) -> bool:
        """Tell whether the sender has the newest whole picture still when a request comes.

        It keeps each until the one after the next.  For a picture that is gone it would send a
        key frame, which no doubt is worth.
        """
        if self._kept is None or self._kept.newest is None:
            return False
        return now - self._kept_at + self._round_trip < 2 * self._kept_every

    def _forget_kept(self) -> None:
        if self._kept is not None:
            self._kept.clear()

    def _shorten(self, now: float) -> None:
        """Drop what the decoder will not catch up with: all, or all before the last key frame."""
        keys = [index for index, frame in enumerate(self._queue) if frame.picture.key]
        count = keys[-1] if keys and keys[-1] > 0 else len(self._queue)
        for _ in range(count):
            self._queue.popleft()
        self.dropped += count
        if not self._queue:
            self._forget_kept()
            self._wait_for_key(now)

    def _queue_from_key(self) -> None:
        """After a failure, go on with a key frame that waits already, if there is one."""
        while self._queue and not self._queue[0].picture.key:
            self._queue.popleft()
            self.dropped += 1
        if self._queue:
            self._be_whole()
