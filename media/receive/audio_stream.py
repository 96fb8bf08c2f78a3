"""Audio stream: from one stream's packets to exactly one frame each 20 ms.

::

    packet -> JitterBuffer -> Concealer -> play-out queue -> frame
                                 stretch       (less than 20 ms, plus a packet)

The clock starts a little after the first packet and never stops: each tick gives 960 samples,
sound or silence.  When the caller's timer comes late, the frames that were missed come at once,
but no more than 100 ms of them: then the clock starts anew from the present.

Here too is the policy for delay.  Where it is off the target, single periods of the sound are
taken out or put in (:mod:`.stretch`), in the pauses between words, and within words only much later
and at its best places, since a changing delay is heard more than a long one.  For the same reason
too long a delay is left alone until it is so by a frame, and has been for a while; then
all of the excess goes.  Only at a delay that people talk over each other with is there a hurry.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame
from ringline.media.receive.conceal import (
    AudioDecoder,
    ConcealConfig,
    Concealer,
    Samples,
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
from ringline.media.receive.stretch import MAX_PERIOD, MIN_PERIOD, lengthen, shorten
from ringline.media.units import AUDIO_CLOCK_RATE, Unwrapper

__all__ = ["AudioStream", "AudioStreamConfig"]

_FRAME: Final = AUDIO_FRAME_SAMPLES
_FRAME_SECONDS: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioStreamConfig:
    """How play-out keeps time and changes its delay."""

    max_catch_up: float = 0.1
    """Seconds of missed frames that a late timer still gives: more would be heard as a jump."""

    excess: int = 960
    """Samples too many from which sound is to be shortened: a frame, by which the target itself
    may be off for a moment."""

    rest_excess: int = 120
    """Samples (2.5 ms) too many that are left then."""

    shortage: float = 0.005
    """Seconds of the target that may be wanting before sound is lengthened."""

    patience: float = 5.0
    """Seconds for which there must have been too many, without a gap: what came late has made them,
    and the next may come as late."""

    pause_patience: float = 4.0
    """Seconds for which a pause is then waited for before speech is shortened: longer than most
    people go on without one."""

    short_patience: float = 1.0
    """Seconds for which one is waited for before speech is lengthened: it cannot keep up with a
    queue that grows anyway, and what came too late has made its own room."""

    pause: int = 2
    """Quiet frames in a row that are a pause: a single one is a consonant as well."""

    rest: float = 0.12
    """Seconds between two seams in speech: six frames, as NetEq."""

    hurry_excess: int = 4_800
    """Samples (100 ms) too many from which speech is shortened wherever it can be: at that delay
    people begin to talk over each other, which is worse than a seam."""

    likeness: float = 0.9
    """Correlation of two periods from which a seam between them is not heard (NetEq)."""

    hurried_likeness: float = 0.5
    """Likewise in a hurry."""


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
        self._start_delay: Final = jitter_buffer.target.start
        self._concealer: Final = Concealer(decoder, conceal)
        self.buffer: Final = JitterBuffer(jitter_buffer)
        self._unwrapper = Unwrapper(bits=32)
        self._ready: list[tuple[Samples, int]] = []  # decoded sound and how much is made up
        self._queued = 0  # samples in _ready
        self._next_tick: float | None = None
        self._lip_sync_delay = 0.0
        self._tail = np.zeros(MAX_PERIOD, np.int16)  # the sound queued last
        self._long_since: float | None = None  # when the delay became too long
        self._short_since: float | None = None  # when it became too short
        self._quiet_frames = 0  # in a row
        self._rest_until = 0.0
        self._concealed = 0  # samples made up for packets known to be lost
        self._silent = 0  # of all that are made up, ones that are silence
        self._late_silent = 0  # likewise, while it is not known whether the sender paused
        self._late_samples = 0  # of the buffer's, those that were looked at
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
        media_time = self._unwrapper.unwrap(timestamp)
        self.buffer.handle_packet(sequence, media_time, payload, now, repaired=retransmitted)

    def handle_copy(self, sequence: int, timestamp: int, payload: bytes, now: float) -> bool:
        """Take a copy of a packet that did not come; return whether it can still be played.

        The buffer learns from those that cannot, too: how long to wait for the next ones.
        """
        media_time = self._unwrapper.unwrap(timestamp)
        due = self.buffer.next_timestamp
        self.buffer.handle_packet(sequence, media_time, payload, now, repaired=True)
        return due is None or media_time >= due

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
        self.buffer.set_extra_delay(self._lip_sync_delay)
        while self._next_tick <= now:
            frames.append(self._play(self._next_tick, captured_at))
            self._next_tick += _FRAME_SECONDS
        return frames

    def stats(self) -> AudioReceiveStats:
        """Return the counters that are this stage's to count; the caller adds the others."""
        stats, buffer = self._stats, self.buffer
        stats.concealed_samples = self._concealed + buffer.late_samples
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
        match self.buffer.poll(at, _FRAME - self._queued):
            case Play() as play:
                self._judge_late()
                samples = self._decode(play)
                if samples is None:
                    self._conceal(_FRAME)
                else:
                    self._push_stretched(samples, play, at)
                return play
            case Lost(samples=missing, next_payload=next_payload):
                copy = self._concealer.recover(next_payload, missing) if next_payload else None
                if copy is None:
                    self._conceal(missing)
                else:
                    self._push(copy, 0)
            case Late(samples=missing):
                self._long_since = None
                self._make_up(missing)  # counted once the buffer knows that it was no pause
                self._late_silent += missing if self._concealer.is_silent else 0
            case Pause(samples=missing):
                self._push(self._concealer.conceal(missing), missing)
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

    def _push_stretched(self, samples: Samples, play: Play, at: float) -> None:
        """Queue a packet's sound, longer or shorter if the delay is off and it can be had.

        Frame by frame: a packet may hold 120 ms, and be speech at one end only.
        """
        slack, queued = self.buffer.slack(play, at), self._queued
        rest = samples
        while len(rest):
            stretched = self._stretch(rest, self._excess(slack, queued), at)
            queued += len(stretched) - len(rest)
            rest = stretched
            # What is left in the end is a frame at least, or nothing could be compared in it.
            size = _FRAME if len(rest) >= 2 * _FRAME else len(rest)
            self._push(rest[:size], 0)
            rest = rest[size:]

    def _stretch(self, samples: Samples, excess: int, at: float) -> Samples:
        """Return what is left of a packet, with a period more or less at its start."""
        config = self._config
        if excess <= config.rest_excess or (excess < config.excess and not self._is_long(at)):
            self._long_since = None
        elif self._long_since is None:
            self._long_since = at
        if excess >= 0:
            self._short_since = None
        elif self._short_since is None:
            self._short_since = at
        is_quiet = self._concealer.is_quiet(samples[:_FRAME])
        self._quiet_frames = self._quiet_frames + 1 if is_quiet else 0
        quiet = self._quiet_frames >= config.pause
        stretched: Samples | None = None
        if self._short_since is not None:
            is_patient = at - self._short_since < config.short_patience
            if quiet or (not is_patient and at >= self._rest_until):
                likeness = -1.0 if quiet else config.likeness
                room = min(max(-excess, MIN_PERIOD), MAX_PERIOD) if quiet else MAX_PERIOD
                stretched = lengthen(self._tail, samples, min_likeness=likeness, max_period=room)
        elif self._may_shorten(excess, at, quiet=quiet):
            hurried = excess > config.hurry_excess
            likeness = config.hurried_likeness if hurried else config.likeness
            stretched = shorten(
                samples,
                min_likeness=-1.0 if quiet else likeness,
                max_period=min(excess, MAX_PERIOD),
            )
        if stretched is None:
            return samples
        self._rest_until = at + config.rest
        change = len(stretched) - len(samples)
        self._stats.inserted_samples_for_deceleration += max(0, change)
        self._stats.removed_samples_for_acceleration += max(0, -change)
        return stretched

    def _excess(self, slack: float, queued: int) -> int:
        """Return how many samples could be left out, or are wanting if below 0.

        Args:
            slack: Seconds that the fastest packets are held for too long.
            queued: Samples of what was played before that are still to be played.

        Packets are asked for at ticks only.  So it takes all that is queued to have them asked
        for a whole frame later, and as much as is not queued for a whole frame earlier.
        """
        if slack < -self._config.shortage:
            frames = math.ceil(-slack / _FRAME_SECONDS)
            return queued - frames * _FRAME
        frames = max(0, math.floor(slack / _FRAME_SECONDS))
        return queued + frames * _FRAME

    def _may_shorten(self, excess: int, at: float, *, quiet: bool) -> bool:
        config = self._config
        if not self.buffer.has_next:
            return False  # it would be wanted that much earlier
        if excess > config.hurry_excess:
            return True
        if self._long_since is None or not self._is_long(at):
            return False
        is_patient = at - self._long_since < config.patience + config.pause_patience
        return quiet or (not is_patient and at >= self._rest_until)

    def _is_long(self, at: float) -> bool:
        """Tell whether the delay has been too long for a while."""
        since = self._long_since
        return since is not None and at - since >= self._config.patience

    def _conceal(self, samples: int) -> None:
        self._concealed += samples
        self._make_up(samples)
        self._silent += samples if self._concealer.is_silent else 0

    def _make_up(self, samples: int) -> None:
        if not self._is_concealing:
            self._is_concealing = True
            self._stats.concealment_events += 1
        self._push(self._concealer.conceal(samples), samples)

    def _judge_late(self) -> None:
        """Count the silence of a gap that has just ended, unless it was the sender's own."""
        if self.buffer.late_samples > self._late_samples:
            self._silent += self._late_silent
        self._late_samples, self._late_silent = self.buffer.late_samples, 0

    # The queue

    def _push(self, samples: Samples, made_up: int) -> None:
        if not made_up:
            self._is_concealing = False
        self._ready.append((samples, made_up))
        self._queued += len(samples)
        tail = samples if len(samples) >= MAX_PERIOD else np.concatenate((self._tail, samples))
        self._tail = tail[-MAX_PERIOD:]

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
