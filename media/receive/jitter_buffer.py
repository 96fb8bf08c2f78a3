"""Jitter buffer: hold sound just long enough that it can be played without a gap.

Whenever the player has less than 20 ms it asks, and one of four answers comes at once; it never
waits::

    Play(payload)         the packet that is due
    Lost(samples, next)   it is lost; the one after it may carry a coarse copy (in-band FEC)
    Late(samples)         nothing is here: late, lost, or the sender is silent
    Pause(samples)        the sender said nothing for this time (DTX, mute)

*Delay* is how long the fastest packets wait here.  It should be the *target* (see
:mod:`.target_delay`); :meth:`JitterBuffer.excess` tells by how much it is not, and the player
shortens or lengthens what it plays (:mod:`.stretch`).

On ``Late`` the timeline stands still: a packet that comes late is played late, which makes room
for the next one.  Of what comes in a row after a long wait only the newest is kept, ``keep`` more
than the target asks for: what was not heard then need not be heard now.  On ``Lost`` the timeline
moves on.

Packets have 2.5 to 120 ms and are held by media time, so a copy of a lost one is a packet like any
other, wherever it came from; it only must not be taken for a measurement of the path.

Invariants:

1. Every :meth:`JitterBuffer.poll` has an answer, and after each gap the first packet is played
   within the target: no wish for delay can mute a stream.
2. At most ``max_packets`` are held, and the target never leaves its bounds.
3. No packet is played twice or out of order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ringline.media.codecs.opus_packet import frame_samples, has_redundancy
from ringline.media.errors import ParseError
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.receive.arrival_delay import RelativeDelay
from ringline.media.receive.target_delay import TargetDelay, TargetDelayConfig
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["Decision", "JitterBuffer", "JitterBufferConfig", "Late", "Lost", "Pause", "Play"]

_FRAME: Final = AUDIO_FRAME_SAMPLES
_FRAME_SECONDS: Final = AUDIO_FRAME_SAMPLES / AUDIO_CLOCK_RATE
_MAX_LOST: Final = 5
"""Frames lost in a row, 100 ms, that are played out as lost; a longer gap is a pause whose edge
was lost, and ends when the packet behind it is due."""

_SLIVER: Final = 240
"""Samples, 5 ms, that are left out rather than concealed by themselves between two sounds."""

_HALF_MILLISECOND: Final = 0.0005
"""Slack for comparing sums of floats, and far below what is heard."""

_SEEN: Final = 256
"""Packets whose copies are known as such: more than the longest redundancy or retransmission
reaches back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JitterBufferConfig:
    """How a :class:`JitterBuffer` behaves."""

    target: TargetDelayConfig = field(default_factory=TargetDelayConfig)
    """How long packets are to wait."""

    keep: float = 0.2
    """Seconds above the target that are played after a wait rather than left out: a word, which
    shortening catches up with in a second or two."""

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
    """A packet is lost, or a part of what several held.

    Attributes:
        samples: How much.
        next_payload: The packet right behind it, if that has a copy of it.

    """

    samples: int
    next_payload: bytes | None


@dataclass(slots=True)
class Late:
    """Nothing is here to play for so many samples."""

    samples: int


@dataclass(slots=True)
class Pause:
    """The sender left so many samples out on purpose."""

    samples: int


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
        late_packets: Came after their time and were dropped; copies do not count.
        discarded_packets: Were in time, and dropped to get rid of delay or for want of room.
        late_samples: Answered :class:`Late`, as far as it was not the sender's silence.

    """

    def __init__(self, config: JitterBufferConfig | None = None) -> None:
        self._config: Final = config or JitterBufferConfig()
        self.late_packets = 0
        self.discarded_packets = 0
        self.late_samples = 0
        self._extra_delay = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget the stream: another one begins.  What is known of the path goes too."""
        self._packets: dict[int, _Packet] = {}  # by timestamp
        self._seen: dict[int, None] = {}  # timestamps that came, in order of arrival
        self._delays = RelativeDelay()
        self._target = TargetDelay(self._config.target)
        self._next: int | None = None  # timestamp that is due
        self._last_sequence: int | None = None  # of the packet played last
        self._highest: int | None = None  # sequence number
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
            repaired: It is a copy: sent again, or carried by another packet.  Its delay says what
                repair takes, and nothing about the path.

        """
        is_new = timestamp not in self._seen
        if repaired:
            if is_new and self._delays.base is not None:
                late = now - timestamp / AUDIO_CLOCK_RATE - self._delays.base
                self._target.handle_repair(late)
        else:
            self._observe(sequence, timestamp, payload, now)
        if not is_new:
            return
        self._seen[timestamp] = None
        if len(self._seen) > _SEEN:
            del self._seen[next(iter(self._seen))]
        if self._next is not None and timestamp < self._next:
            self.late_packets += not repaired
            return
        self._packets[timestamp] = _Packet(sequence, timestamp, payload, now)
        if len(self._packets) > self._config.max_packets:
            self._discard(min(self._packets))

    def set_extra_delay(self, delay: float) -> None:
        """Hold sound this many seconds longer than the path asks for (lip sync)."""
        self._extra_delay = delay

    @property
    def target(self) -> float:
        """Seconds that the fastest packets should wait."""
        return min(self.path_target + self._extra_delay, self._config.target.maximum)

    @property
    def path_target(self) -> float:
        """Seconds of it that the path asks for, without lip sync."""
        return self._target.seconds

    @property
    def next_timestamp(self) -> int | None:
        """Media time that is due next, or :obj:`None` before the first packet is played."""
        return self._next

    @property
    def has_next(self) -> bool:
        """Whether the packet that is due next is here, so that :meth:`poll` gives it."""
        return self._next in self._packets

    def slack(self, play: Play, at: float) -> float:
        """Return how much longer than by the target the fastest packets are held.

        Args:
            play: The last answer.
            at: When it was given.

        Returns:
            Seconds, below 0 if packets are asked for too early.

        """
        return at - self._due_at(play.timestamp)

    def poll(self, at: float, missing: int = _FRAME) -> Decision:
        """Return what to play next.

        Args:
            at: When it is played.
            missing: Samples that the player needs at least.

        """
        if not self._packets:
            return self._wait(missing)
        head = self._packets[min(self._packets)]
        if self._next is None or self._waited:
            if self._resting and self._play_at(head) > at + _FRAME_SECONDS / 2:
                return self._wait(missing, silent=True)
            self._resume(head)
            head = self._packets[min(self._packets)]
            if self._next is None:
                self._next = head.timestamp
        gap = head.timestamp - self._next
        is_due = self._play_at(head) <= at + _HALF_MILLISECOND
        if gap > 0 and not (is_due and (self._follows(head) or gap > _MAX_LOST * _FRAME)):
            return self._pass_over(self._next, gap, head)
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

    def _wait(self, samples: int, *, silent: bool = False) -> Decision:
        """Answer for a time with nothing to play; the timeline stands still."""
        if self._next is None:
            return Pause(samples)
        self._waited += samples
        if self._waited >= self._config.rest_after * AUDIO_CLOCK_RATE:
            self._resting = True
        return Pause(samples) if silent else Late(samples)

    def _pass_over(self, due: int, gap: int, head: _Packet) -> Decision:
        """Answer for a gap before ``head``, or for its beginning; the timeline moves on."""
        samples = min(gap, _FRAME)
        if self._follows(head):
            self._next = due + samples
            return Pause(samples)
        copied = _copied_samples(head.payload)
        if copied:
            if gap <= copied:
                self._next = due + gap
                return Lost(gap, head.payload)
            samples = min(samples, gap - copied)  # so that the copy's place is left whole
        self._next = due + samples
        return Lost(samples, None)

    def _resume(self, head: _Packet) -> None:
        """Let the timeline go on after it stood still: with ``head``, or with what it left out."""
        if self._next is not None:
            gap = head.timestamp - self._next
            waited, self._waited = self._waited, 0
            if gap <= 0 or not self._follows(head):
                self.late_samples += waited
            self._next = head.timestamp if gap <= waited + _SLIVER else self._next + waited
        # The oldest of what came late in a row goes, as far as it is too much to catch up with.
        bound = (self.target + self._config.keep) * AUDIO_CLOCK_RATE
        newest = max(self._packets)
        while newest - head.timestamp > bound:
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

    def _play_at(self, packet: _Packet) -> float:
        """Return when a packet is to be played: by the target after it came at the latest."""
        return min(self._due_at(packet.timestamp), packet.arrived_at + self.target)

    def _due_at(self, timestamp: int) -> float:
        """Return when the target would have the sound of a media time played."""
        base = self._delays.base or 0.0  # set by the first packet
        return base + timestamp / AUDIO_CLOCK_RATE + self.target

    def _observe(self, sequence: int, timestamp: int, payload: bytes, now: float) -> None:
        """Measure the path by a packet's arrival."""
        late = self._delays.handle_arrival(timestamp / AUDIO_CLOCK_RATE, now)
        if late is None:  # the sender's clock jumped: its old times mean nothing
            self.discarded_packets += len(self._packets)
            self._packets.clear()
            self._seen.clear()
            self._next = None
            self._waited = 0
            self._resting = True
            self._last_sequence = None
            self._highest = sequence
            self._target.restart_period()
            return
        self._target.handle_arrival(late, now)
        if self._highest is not None and sequence == self._highest + 2:
            copied = _copied_samples(payload)
            if copied and timestamp - copied not in self._seen:
                self._target.handle_repair(late + copied / AUDIO_CLOCK_RATE)
        if self._highest is None or sequence > self._highest:
            self._highest = sequence


def _copied_samples(payload: bytes) -> int:
    """Return how much of what was right before a packet it has a coarse copy of."""
    try:
        return frame_samples(payload) if has_redundancy(payload) else 0
    except ParseError:
        return 0  # the decoder will refuse it
