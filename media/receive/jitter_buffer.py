"""Jitter buffer: hold sound just long enough that it can be played without a gap.

Once every 20 ms the player asks, and one of four answers comes at once; it never waits::

    Play(payload)    the packet that is due
    Lost(next)       it is lost; the one after it may carry a coarse copy (in-band FEC)
    Late()           nothing is here: late, lost, or the sender is silent
    Pause()          the sender said nothing for this time (DTX, mute)

*Delay* is how long the fastest packets wait here.  It should be the *target*: what 95 % of
packets are late by at most (:mod:`.arrival_delay`), in steps of 20 ms.  Where it is more, a frame
is dropped where that is cheap; where it is less, one is inserted (:mod:`.conceal` knows how).

On ``Late`` the timeline stands still: a packet that comes late is played late, which makes room
for the next one, unless more has come than the target asks for; then the oldest goes, since what
was not heard then need not be heard now.  On ``Lost`` the timeline moves on.

Invariants:

1. Every :meth:`JitterBuffer.poll` has an answer, and after each gap the first packet is played
   within the target: no wish for delay can mute a stream.
2. At most ``max_packets`` are held, and the target never leaves ``min_target .. max_target``.
3. No packet is played twice or out of order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.receive.arrival_delay import DelayHistogram, RelativeDelay
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["Decision", "JitterBuffer", "JitterBufferConfig", "Late", "Lost", "Pause", "Play"]

_FRAME: Final = AUDIO_FRAME_SAMPLES
_FRAME_SECONDS: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE
_MAX_LOST: Final = 5
"""Frames lost in a row, 100 ms, that are played out as lost; a longer gap is a pause whose edge
was lost, and ends when the packet behind it is due."""

_HALF_MILLISECOND: Final = 0.0005
"""Slack for comparing sums of floats, and far below what is heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JitterBufferConfig:
    """How a :class:`JitterBuffer` behaves."""

    start_target: float = 0.04
    """Seconds until enough was seen.  NetEq starts with 80 ms; half of it holds on most paths, and
    where it does not, the first late packet corrects it."""

    min_target: float = 0.02
    """One frame: packets and ticks are both 20 ms apart, and their phases differ."""

    max_target: float = 0.4
    """Above it a conversation breaks down, and gaps are the lesser evil."""

    quantile: float = 0.95
    """Share of packets (more exactly: of the latest in each 100 ms) that must be in time."""

    bin_width: float = 0.02
    """Seconds: one frame, the step in which delay can change."""

    forget: float = 0.983
    """So the histogram remembers 60 observations, 6 s."""

    observe_every: float = 0.1
    """Seconds whose latest packet counts once: so a spike each second is remembered although it
    is one packet in 50."""

    min_observations: int = 5
    """Before the histogram replaces the start target: half a second."""

    max_packets: int = 200
    """Packets held: 4 s of sound, ten times the largest target."""

    rest_after: float = 1.0
    """Seconds without a packet after which the next one starts with the full target again."""


@dataclass(slots=True)
class Play:
    """Decode this packet; tell :meth:`JitterBuffer.handle_played` how much sound it held.

    Attributes:
        timestamp: Media time of its first sample, not wrapped.
        waited: Seconds that it was held.

    """

    payload: bytes
    timestamp: int
    waited: float


@dataclass(slots=True)
class Lost:
    """20 ms are lost.

    Attributes:
        next_payload: The packet right behind them, if it is here.

    """

    next_payload: bytes | None


@dataclass(slots=True)
class Late:
    """Nothing is here to play."""


@dataclass(slots=True)
class Pause:
    """The sender left these 20 ms out on purpose."""


Decision = Play | Lost | Late | Pause


@dataclass(slots=True)
class _Packet:
    sequence: int
    timestamp: int
    payload: bytes
    arrived_at: float


class JitterBuffer:
    """Holds the packets of one audio stream.

    Args:
        config: Tuning.

    Attributes:
        late_packets: Came after their time and were dropped.
        discarded_packets: Were in time, and dropped to get rid of delay or for want of room.
        late_frames: Answered :class:`Late`, as far as it was not the sender's silence.
        lost_frames: Answered :class:`Lost`.

    """

    def __init__(self, config: JitterBufferConfig | None = None) -> None:
        self._config: Final = config or JitterBufferConfig()
        self.late_packets = 0
        self.discarded_packets = 0
        self.late_frames = 0
        self.lost_frames = 0
        self._extra_delay = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget the stream: another one begins.  What is known of the path goes too."""
        self._packets: dict[int, _Packet] = {}  # by timestamp
        self._delays = RelativeDelay()
        self._histogram = DelayHistogram(
            bin_width=self._config.bin_width, forget=self._config.forget
        )
        self._period: tuple[float, float] | None = None  # its start, the largest delay in it
        self._next: int | None = None  # timestamp that is due
        self._last_sequence: int | None = None  # of the packet played last
        self._waited = 0  # samples played while the timeline stood still
        self._resting = True  # the next packet starts with the full target

    def handle_packet(
        self, sequence: int, timestamp: int, payload: bytes, now: float, *, repaired: bool = False
    ) -> None:
        """Take a packet.

        Args:
            sequence: Its continued number.
            timestamp: Its media time at 48 kHz, not wrapped.
            payload: The Opus packet.
            now: When it came.
            repaired: It came by retransmission: its delay says nothing about the path.

        """
        if not repaired:
            self._observe(timestamp, now)
        if timestamp in self._packets:
            return
        if self._next is not None and timestamp < self._next:
            self.late_packets += 1
            return
        self._packets[timestamp] = _Packet(sequence, timestamp, payload, now)
        if len(self._packets) > self._config.max_packets:
            self._discard(min(self._packets))

    def set_extra_delay(self, delay: float) -> None:
        """Hold sound this many seconds longer than the path asks for (lip sync, redundancy)."""
        self._extra_delay = delay

    @property
    def target(self) -> float:
        """Seconds that the fastest packets should wait."""
        return min(self.path_target + self._extra_delay, self._config.max_target)

    @property
    def path_target(self) -> float:
        """Seconds of it that the path asks for, without lip sync and redundancy."""
        config = self._config
        target = config.start_target
        if self._histogram.observations >= config.min_observations:
            target = self._histogram.quantile(config.quantile)
        return min(max(target, config.min_target), config.max_target)

    @property
    def next_timestamp(self) -> int | None:
        """Media time that is due next, or :obj:`None` before the first packet is played."""
        return self._next

    @property
    def has_next(self) -> bool:
        """Whether the packet that is due next is here, so that :meth:`poll` gives it."""
        return self._next in self._packets

    def delay(self, at: float, queued: int = 0) -> float | None:
        """Return how long the fastest packets wait, in seconds.

        Args:
            at: When the next sample is played.
            queued: Samples decoded and not yet played.

        Returns:
            :obj:`None` while that has no meaning: nothing is played.

        """
        if self._next is None or self._delays.base is None or self._waited:
            return None
        return at - (self._next - queued) / AUDIO_CLOCK_RATE - self._delays.base

    def excess_frames(self, at: float, queued: int = 0) -> int:
        """Return how many frames the delay is off by: above 0 too many, below 0 too few.

        A frame too many is only counted when it is here to be dropped.
        """
        delay = self.delay(at, queued)
        if delay is None:
            return 0
        excess = delay - self.target + _HALF_MILLISECOND
        if excess >= _FRAME_SECONDS:
            return min(int(excess / _FRAME_SECONDS), len(self._packets))
        # Inserting begins at half a frame too few, so that dropping does not follow on it.
        return -1 if excess < -_FRAME_SECONDS / 2 else 0

    def poll(self, at: float) -> Decision:
        """Return what to play for the 20 ms from ``at`` on."""
        if not self._packets:
            return self._wait()
        head = self._packets[min(self._packets)]
        if self._next is None or self._waited:
            if self._resting and self._due_at(head) > at + _FRAME_SECONDS / 2:
                return self._wait(silent=True)
            self._resume(head)
            head = self._packets[min(self._packets)]
            if self._next is None:
                self._next = head.timestamp
        gap = head.timestamp - self._next
        is_due = self._due_at(head) <= at + _HALF_MILLISECOND
        if gap >= _FRAME and not (is_due and (self._follows(head) or gap > _MAX_LOST * _FRAME)):
            self._next += _FRAME
            if self._follows(head):
                return Pause()
            self.lost_frames += 1
            return Lost(head.payload if gap < 2 * _FRAME else None)
        del self._packets[head.timestamp]
        self._next = head.timestamp + _FRAME  # a guess until the packet is decoded
        self._last_sequence = head.sequence
        self._resting = False
        return Play(head.payload, head.timestamp, at - head.arrived_at)

    def handle_played(self, play: Play, samples: int) -> None:
        """Tell how much sound the packet of ``play``, the last answer, held."""
        self._next = play.timestamp + samples
        for timestamp in [t for t in self._packets if t < self._next]:
            del self._packets[timestamp]  # overlaps what was played: a hostile sender's
            self.late_packets += 1

    # Private

    def _wait(self, *, silent: bool = False) -> Decision:
        """Answer for a time with nothing to play; the timeline stands still."""
        if self._next is None:
            return Pause()
        self._waited += _FRAME
        if self._waited >= self._config.rest_after * AUDIO_CLOCK_RATE:
            self._resting = True
        return Pause() if silent else Late()

    def _resume(self, head: _Packet) -> None:
        """Let the timeline go on after it stood still: with ``head``, or with what it left out."""
        if self._next is not None:
            gap = head.timestamp - self._next
            waited, self._waited = self._waited, 0
            if gap <= 0 or not self._follows(head):
                self.late_frames += waited // _FRAME
            self._next = head.timestamp if gap <= waited else self._next + waited
        # What came late in a row is more than the target: the rest was silent, so drop the oldest.
        target = self.target
        newest = max(self._packets)
        while newest - head.timestamp > target * AUDIO_CLOCK_RATE:
            self._discard(head.timestamp)
            head = self._packets[min(self._packets)]
            self._next = head.timestamp

    def _discard(self, timestamp: int) -> None:
        packet = self._packets.pop(timestamp)
        self._last_sequence = packet.sequence
        self.discarded_packets += 1

    def _follows(self, head: _Packet) -> bool:
        """Tell whether no packet is missing before ``head``."""
        return self._last_sequence is not None and head.sequence == self._last_sequence + 1

    def _due_at(self, packet: _Packet) -> float:
        """Return when a packet is to be played by the target."""
        base = self._delays.base
        if base is None:
            return packet.arrived_at
        due = base + packet.timestamp / AUDIO_CLOCK_RATE + self.target
        return min(due, packet.arrived_at + self.target)

    def _observe(self, timestamp: int, now: float) -> None:
        """Measure the path by a packet's arrival."""
        late = self._delays.handle_arrival(timestamp / AUDIO_CLOCK_RATE, now)
        if late is None:  # the sender's clock jumped: its old times mean nothing
            self.discarded_packets += len(self._packets)
            self._packets.clear()
            self._next = None
            self._waited = 0
            self._resting = True
            self._last_sequence = None
            self._period = None
            return
        if self._period is None:
            self._period = (now, late)
            return
        start, largest = self._period
        if now - start < self._config.observe_every:
            self._period = (start, max(largest, late))
        else:
            self._histogram.add(largest)
            self._period = (now, late)
