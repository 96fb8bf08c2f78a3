"""Audio stream: from one stream's packets to exactly one frame each 20 ms.

::

    packet -> JitterBuffer -> Concealer -> play-out queue -> frame
                  ^ one answer a tick          (less than 20 ms, plus a frame being stretched)

The clock starts a little after the first packet and never stops: each tick gives 960 samples,
sound or silence.  When the caller's timer comes late, the frames that were missed come at once,
but no more than 100 ms of them: then the clock starts anew from the present.

Here too is the policy for delay: a whole frame is dropped or inserted in quiet sound.  Stretching
time without waiting for quiet belongs in :meth:`AudioStream._adjust`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringline.media.codecs.opus_packet import has_redundancy
from ringline.media.errors import ParseError
from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame
from ringline.media.receive.conceal import (
    AudioDecoder,
    ConcealConfig,
    Concealer,
    Samples,
    drop_frame,
    insert_frame,
    mean_square,
)
from ringline.media.receive.jitter_buffer import (
    JitterBuffer,
    JitterBufferConfig,
    Late,
    Lost,
    Pause,
    Play,
)
from ringline.media.receive.stats import AudioReceiveStats
from ringline.media.units import AUDIO_CLOCK_RATE, Unwrapper

__all__ = ["AudioStream", "AudioStreamConfig"]

_FRAME: Final = AUDIO_FRAME_SAMPLES
_FRAME_SECONDS: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioStreamConfig:
    """How play-out keeps time and changes its delay."""

    max_catch_up: float = 0.1
    """Seconds of missed frames that a late timer still gives: more would be heard as a jump."""

    redundancy_hold: float = 2.0
    """Seconds for which one more frame is held after a packet carried a copy of the one before.
    The copy of a lost packet comes 20 ms after it should have, and senders make copies only where
    packets are lost."""

    hurry_after: int = 5
    """Frames (100 ms) above the target from which one is dropped in loud sound too: at that
    delay people begin to talk over each other, which is worse than a seam."""


class AudioStream:
    """Plays one stream.

    Args:
        decoder: Of the stream.
        jitter_buffer: Tuning of the buffer.
        conceal: Tuning of concealment.
        config: Tuning of play-out.

    """

    def __init__(
        self,
        decoder: AudioDecoder,
        jitter_buffer: JitterBufferConfig,
        conceal: ConcealConfig,
        config: AudioStreamConfig,
    ) -> None:
        self._config: Final = config
        self._start_delay: Final = jitter_buffer.start_target
        self._concealer: Final = Concealer(decoder, conceal)
        self.buffer: Final = JitterBuffer(jitter_buffer)
        self._unwrapper = Unwrapper(bits=32)
        self._ready: list[tuple[Samples, int]] = []  # decoded sound and how much is made up
        self._queued = 0  # samples in _ready
        self._next_tick: float | None = None
        self._lip_sync_delay = 0.0
        self._redundant_until = 0.0
        self._copy_delay = 0.0
        self._concealed = 0  # samples made up for packets known to be lost
        self._silent = 0  # of all that are made up, ones that are silence
        self._late_silent = 0  # likewise, while it is not known whether the sender paused
        self._late_frames = 0  # of the buffer's, those that were looked at
        self._is_concealing = False
        self._stats: Final = AudioReceiveStats()

    def handle_packet(
        self, sequence: int, timestamp: int, payload: bytes, now: float, *, retransmitted: bool
    ) -> None:
        """Take a packet with its continued number and its 32-bit timestamp."""
        if not payload:
            return  # padding
        if self._next_tick is None:
            self._next_tick = now + self._start_delay
        if _has_redundancy(payload):
            self._redundant_until = now + self._config.redundancy_hold
        media_time = self._unwrapper.unwrap(timestamp)
        self.buffer.handle_packet(sequence, media_time, payload, now, repaired=retransmitted)

    def handle_copy(self, sequence: int, timestamp: int, payload: bytes, now: float) -> bool:
        """Take a copy of a packet that did not come; return whether it can still be played."""
        media_time = self._unwrapper.unwrap(timestamp)
        due = self.buffer.next_timestamp
        if due is not None and media_time < due:
            return False
        self.buffer.handle_packet(sequence, media_time, payload, now, repaired=True)
        return True

    def set_copy_delay(self, delay: float) -> None:
        """Hold sound this many seconds longer, for copies of what was lost to come in time."""
        self._copy_delay = delay

    def set_lip_sync_delay(self, delay: float) -> None:
        """Hold sound this many seconds longer, for the picture's sake."""
        self._lip_sync_delay = delay

    def restart(self) -> None:
        """Expect another source's packets; the clock goes on."""
        self._unwrapper = Unwrapper(bits=32)
        self.buffer.restart()

    def poll_timeout(self) -> float | None:
        """Return when the next frame is due, or :obj:`None` before the first packet."""
        return self._next_tick

    def handle_timeout(
        self, now: float, captured_at: Callable[[int, float], float | None]
    ) -> list[AudioFrame]:
        """Return the frames that are due at ``now``.

        Args:
            now: The present.
            captured_at: Asked for each frame of real sound: given its media time and when it is
                played, tells when it was captured.

        """
        frames: list[AudioFrame] = []
        if self._next_tick is None:
            return frames
        if now - self._next_tick > self._config.max_catch_up:
            self._next_tick = now - self._config.max_catch_up + _FRAME_SECONDS
        redundancy = _FRAME_SECONDS if now < self._redundant_until else 0.0
        self.buffer.set_extra_delay(self._lip_sync_delay + max(redundancy, self._copy_delay))
        while self._next_tick <= now:
            frames.append(self._play(self._next_tick, captured_at))
            self._next_tick += _FRAME_SECONDS
        return frames

    def stats(self) -> AudioReceiveStats:
        """Return the counters that are this stage's to count; the caller adds the others."""
        stats, buffer = self._stats, self.buffer
        stats.concealed_samples = self._concealed + buffer.late_frames * _FRAME
        stats.silent_concealed_samples = min(self._silent, stats.concealed_samples)
        stats.packets_discarded = buffer.late_packets + buffer.discarded_packets
        stats.repairs.in_band_fec = self._concealer.recovered_frames
        stats.packets_failed = self._concealer.failed_packets
        stats.target_delay = buffer.target
        return stats

    # One tick

    def _play(self, at: float, captured_at: Callable[[int, float], float | None]) -> AudioFrame:
        media_time: int | None = None
        if self._queued and self.buffer.next_timestamp is not None:
            media_time = self.buffer.next_timestamp - self._queued
        while self._queued < _FRAME:
            play = self._fill(at)
            if play is not None and media_time is None:
                media_time = play.timestamp
        samples, made_up = self._take()
        stats = self._stats
        stats.total_samples_received += _FRAME
        level = mean_square(samples) / (32_768.0 * 32_768.0)
        stats.total_audio_energy += level * _FRAME_SECONDS
        when = None
        if media_time is not None and made_up < _FRAME:
            when = captured_at(media_time, at)
        return AudioFrame(samples, when, made_up)

    def _fill(self, at: float) -> Play | None:
        """Add what the buffer answers to the queue; return it if it was a packet."""
        match self.buffer.poll(at):
            case Play() as play:
                self._judge_late()
                samples = self._decode(play)
                if samples is None:
                    self._conceal()
                else:
                    self._adjust(samples, at)
                return play
            case Lost(next_payload=next_payload):
                copy = None if next_payload is None else self._concealer.recover(next_payload)
                if copy is None:
                    self._conceal()
                else:
                    self._push(copy, 0)
            case Late():
                self._make_up()  # the buffer counts it once it knows that it was no pause
                self._late_silent += _FRAME if self._concealer.is_silent else 0
            case Pause():
                self._push(self._concealer.conceal(), _FRAME)
        return None

    def _decode(self, play: Play) -> Samples | None:
        samples = self._concealer.decode(play.payload)
        self.buffer.handle_played(play, _FRAME if samples is None else len(samples))
        if samples is not None:
            stats, count, target = self._stats, len(samples), self.buffer.target
            stats.jitter_buffer_delay += play.waited * count
            stats.jitter_buffer_target_delay += target * count
            stats.jitter_buffer_minimum_delay += self.buffer.path_target * count
            stats.jitter_buffer_emitted_count += count
            stats.total_processing_delay += play.waited * count  # decoded when it is played
        return samples

    def _adjust(self, samples: Samples, at: float) -> None:
        """Queue a packet's sound; drop or insert a frame if the delay is off and it is quiet."""
        excess = self.buffer.excess_frames(at, self._queued + len(samples))
        is_quiet = self._concealer.is_quiet(samples)
        hurries = excess >= self._config.hurry_after
        if excess == 0 or not (is_quiet or hurries):
            self._push(samples, 0)
            return
        answer = self.buffer.poll(at) if self.buffer.has_next else None
        if not isinstance(answer, Play):
            self._push(samples, 0)
            return
        second = self._decode(answer)
        if second is None:
            self._push(samples, 0)
            self._conceal()
            return
        ramp = self._concealer.ramp
        if excess > 0 and (hurries or self._concealer.is_quiet(second)):
            self._push(drop_frame(samples, second, ramp), 0)
            self._stats.removed_samples_for_acceleration += len(samples)
        elif excess < 0:
            self._push(samples, 0)
            extra = insert_frame(samples, second, ramp)
            self._stats.inserted_samples_for_deceleration += len(extra)
            self._push(extra, 0)
            self._push(second, 0)
        else:
            self._push(samples, 0)
            self._push(second, 0)

    def _conceal(self) -> None:
        self._concealed += _FRAME
        self._make_up()
        self._silent += _FRAME if self._concealer.is_silent else 0

    def _make_up(self) -> None:
        if not self._is_concealing:
            self._is_concealing = True
            self._stats.concealment_events += 1
        self._push(self._concealer.conceal(), _FRAME)

    def _judge_late(self) -> None:
        """Count the silence of a gap that has just ended, unless it was the sender's own."""
        if self.buffer.late_frames > self._late_frames:
            self._silent += self._late_silent
        self._late_frames, self._late_silent = self.buffer.late_frames, 0

    # The queue

    def _push(self, samples: Samples, made_up: int) -> None:
        if not made_up:
            self._is_concealing = False
        self._ready.append((samples, made_up))
        self._queued += len(samples)

    def _take(self) -> tuple[Samples, int]:
        """Cut 960 samples off the queue; return them and how many of them are made up."""
        first, made_up = self._ready[0]
        if len(first) == _FRAME:
            del self._ready[0]
            self._queued -= _FRAME
            return first, made_up
        parts: list[Samples] = []
        missing, total = _FRAME, 0
        while missing:
            samples, made_up = self._ready[0]
            part = samples[:missing]
            parts.append(part)
            missing -= len(part)
            total += min(made_up, len(part))
            if len(part) == len(samples):
                del self._ready[0]
            else:
                self._ready[0] = (samples[len(part) :], max(0, made_up - len(part)))
        self._queued -= _FRAME
        return np.concatenate(parts), total


def _has_redundancy(payload: bytes) -> bool:
    try:
        return has_redundancy(payload)
    except ParseError:
        return False  # the decoder will refuse it
