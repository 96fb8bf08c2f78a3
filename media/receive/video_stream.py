"""Video stream: from one stream's packets to pictures in time.

::

    packet -> Assembler -> VideoDecodeStage -> job -> Renderer -> picture
                              └─> requests for key frames
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ringline.media.codecs.video_codec import VideoDecoder
from ringline.media.deadlines import earliest
from ringline.media.frames import VideoFrame
from ringline.media.receive.assemble import AssembleConfig, Assembler
from ringline.media.receive.decode import DecodeConfig, DecodeJob, RepairRequest, VideoDecodeStage
from ringline.media.receive.freeze import FreezeDetector
from ringline.media.receive.references import KeptPictures
from ringline.media.receive.render import RenderConfig, RenderedFrame, Renderer
from ringline.media.receive.stats import VideoReceiveStats
from ringline.media.units import Unwrapper

__all__ = ["VideoStream"]


class VideoStream:
    """Shows one stream.

    Args:
        mid: Names the lane of its jobs.
        decoder: Of the stream.
        can_request: Whether requests for key frames were negotiated.
        can_select: Whether frames tell their references and can be asked for by them.
        assemble: Tuning.
        decode: Tuning.
        render: Tuning.
        deadline: Seconds for which a missing packet is waited for, until it is set anew.

    """

    def __init__(
        self,
        mid: str,
        decoder: VideoDecoder,
        *,
        can_request: bool,
        can_select: bool = False,
        assemble: AssembleConfig,
        decode: DecodeConfig,
        render: RenderConfig,
        deadline: float,
    ) -> None:
        kept = KeptPictures() if can_select else None
        self._assembler: Final = Assembler(assemble, kept=kept)
        self._assembler.set_deadline(deadline)
        self._decode: Final = VideoDecodeStage(
            f"decode:{mid}", decoder, can_request=can_request, kept=kept, config=decode
        )
        self._renderer: Final = Renderer(render)
        self._freezes: Final = FreezeDetector()
        self._unwrapper = Unwrapper(bits=32)
        self._skipped = 0
        self._shown: list[float] = []  # when, within the last second
        self._stats: Final = VideoReceiveStats()

    @property
    def next_sequence(self) -> int | None:
        """The first number that may still be of use; :obj:`None` before the first packet."""
        return self._assembler.next_sequence

    # Inputs

    def handle_packet(
        self,
        sequence: int,
        timestamp: int,
        payload: bytes,
        now: float,
        *,
        marker: bool,
        retransmitted: bool,
    ) -> None:
        """Take a packet with its continued number and its 32-bit timestamp."""
        self._assembler.handle_packet(
            sequence,
            self._unwrapper.unwrap(timestamp),
            payload,
            now,
            marker=marker,
            retransmitted=retransmitted,
        )
        self._decode.handle_packet(now)
        self._take_frames(now)

    def handle_job(self, job: DecodeJob, now: float) -> None:
        """Take back a job that has run."""
        frame = job.frame
        pictures = self._decode.handle_job(job, now)
        if pictures:
            self._stats.total_decode_time += job.seconds
            self._stats.total_processing_delay += now - frame.started_at
        for planes in pictures:
            self._renderer.handle_frame(
                VideoFrame(planes),
                frame.timestamp,
                started_at=frame.started_at,
                completed_at=frame.completed_at,
            )

    def handle_round_trip(self, round_trip: float, deadline: float) -> None:
        """Take a new round trip, and how long a missing packet is waited for, in seconds."""
        self._decode.handle_round_trip(round_trip)
        self._renderer.handle_round_trip(round_trip)
        self._assembler.set_deadline(deadline)

    def expect_repair(self, when: tuple[float, float] | None) -> None:
        """Tell when the first missing packet should come: see :meth:`Renderer.set_resumption`."""
        self._renderer.set_resumption(when)

    def handle_doubt(self, now: float) -> None:
        """Take note that the first missing packet is likely not to come in time."""
        self._decode.handle_doubt(now)

    def set_extra_delay(self, delay: float) -> None:
        """Show pictures this many seconds later (lip sync)."""
        self._renderer.set_extra_delay(delay)

    def restart(self, now: float) -> None:
        """Expect another source's packets."""
        self._unwrapper = Unwrapper(bits=32)
        self._assembler.restart()
        self._decode.restart(now)
        self._renderer.restart()

    # Time

    def poll_timeout(self, *, can_ask: bool) -> float | None:
        """Return when something is due, or :obj:`None`.

        Args:
            can_ask: Whether requests can be sent now; if not, none is ever due.

        """
        return earliest(
            self._assembler.poll_timeout(),
            self._renderer.poll_timeout(),
            self._decode.poll_timeout() if can_ask else None,
        )

    def handle_timeout(self, now: float) -> None:
        """Give up what was waited for long enough."""
        self._assembler.handle_timeout(now)
        self._take_frames(now)

    # Outputs

    def poll_job(self) -> DecodeJob | None:
        """Return a frame to decode."""
        return self._decode.poll_job()

    def poll_repair_request(self, now: float) -> RepairRequest | None:
        """Return what the decoder needs and is to be asked for now, or :obj:`None`."""
        return self._decode.poll_request(
            now, is_arriving=self._assembler.is_key_frame_arriving(now)
        )

    def poll_frame(
        self, now: float, captured_at: Callable[[int], float | None]
    ) -> RenderedFrame | None:
        """Return the picture to show at ``now``; ``captured_at`` tells its time of capture."""
        rendered = self._renderer.poll_frame(now)
        if rendered is None:
            return None
        rendered.frame.captured_at = captured_at(rendered.media_time)
        self._freezes.handle_frame(now)
        self._shown = [when for when in self._shown if when > now - 1.0]
        self._shown.append(now)
        stats = self._stats
        stats.frames_rendered += 1
        stats.frame_width, stats.frame_height = rendered.frame.width, rendered.frame.height
        delay = self._renderer.delay
        stats.jitter_buffer_delay += now - rendered.started_at
        stats.jitter_buffer_target_delay += delay
        stats.jitter_buffer_minimum_delay += self._renderer.path_delay
        stats.jitter_buffer_emitted_count += 1
        return rendered

    def stats(self, now: float) -> VideoReceiveStats:
        """Return the counters that are this stage's to count; the caller adds the others."""
        stats, decode, freezes = self._stats, self._decode, self._freezes
        stats.pli_count = decode.requests
        stats.rpsi_count = decode.selections
        stats.frames_decoded = decode.decoded
        stats.repairs.key_frame = decode.key_recoveries
        stats.repairs.reference_frame = decode.kept_recoveries
        stats.key_frames_decoded = decode.key_frames_decoded
        stats.qp_sum = decode.quantizer_sum
        stats.frames_damaged = decode.damaged
        stats.frames_dropped = decode.dropped + self._renderer.dropped
        stats.frames_skipped = self._assembler.skipped
        stats.frames_per_second = float(sum(when > now - 1.0 for when in self._shown))
        stats.target_delay = self._renderer.delay
        stats.total_inter_frame_delay = freezes.total_distance
        stats.total_squared_inter_frame_delay = freezes.total_squared_distance
        lasting, pausing = freezes.lasting(now), freezes.pausing(now)
        stats.freeze_count = freezes.count + (lasting > 0.0)
        stats.total_freezes_duration = freezes.duration + lasting
        stats.pause_count = freezes.pauses + (pausing > 0.0)
        stats.total_pauses_duration = freezes.pause_duration + pausing
        return stats

    def _take_frames(self, now: float) -> None:
        while (frame := self._assembler.poll_frame()) is not None:
            self._stats.frames_received += 1
            self._decode.handle_frame(frame, now)
        if self._assembler.skipped > self._skipped:
            self._skipped = self._assembler.skipped
            self._decode.handle_gap(now)
