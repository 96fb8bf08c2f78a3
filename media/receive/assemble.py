"""Assemble: make VP8 frames of packets (RFC 7741), in decoding order, and never wait for ever.

A frame is complete when its first packet (S set, partition 0), its last (marker) and all between
are here.  It is *continuous* when it follows the frame before it without a gap.  A gap is waited
for while a retransmission can still fill it, unless something shows that it need not be filled:

* a key frame is complete behind it: that refers to nothing before;
* a frame is complete behind it that refers to nothing but a kept picture that is whole
  (:mod:`.references`);
* the picture number of the frame behind it goes on (the gap was padding), or that frame is of the
  base layer and its TL0PICIDX goes on (the gap was in a layer that none refers to).

When the deadline has passed, the oldest complete frame behind the gap goes out as not continuous,
and the decoding stage judges what it is worth.

Invariants:

1. Frames leave in order of their numbers, each once.
2. At most ``max_packets`` are held; when more come, all are dropped and a gap is reported.
3. A gap holds frames up for no longer than the deadline.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.frames import EncodedPicture
from ringline.media.receive.references import KeptPictures
from ringline.media.rtp.vp8 import Vp8Descriptor, frame_size, is_key_frame

__all__ = ["AssembleConfig", "AssembledFrame", "Assembler"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembleConfig:
    """How an :class:`Assembler` behaves."""

    max_packets: int = 2_048
    """Packets held, at most 2.5 MB: the deadline's worth of 16 Mbit/s."""


@dataclass(slots=True)
class AssembledFrame:
    """A complete frame.

    Attributes:
        timestamp: Its media time at 90 kHz, not wrapped.
        continuous: Nothing that it may refer to was left out right before it.
        mends: It decodes whole whatever was lost before it, and is no key frame.
        started_at: When its first packet came.
        completed_at: When its last packet came.

    """

    picture: EncodedPicture
    timestamp: int
    continuous: bool
    started_at: float
    completed_at: float
    mends: bool = False


@dataclass(slots=True)
class _Frame:
    """The packets of one media time, as far as they came."""

    timestamp: int
    started_at: float
    parts: dict[int, bytes] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    descriptor: Vp8Descriptor = field(default_factory=Vp8Descriptor)  # of the first packet
    is_key: bool = False
    completed_at: float | None = None

    @property
    def lowest(self) -> int:
        return min(self.parts)

    def update(self, now: float) -> None:
        if self.first is None or self.last is None or self.completed_at is not None:
            return
        count = self.last - self.first + 1
        if 0 < count <= len(self.parts) and all(
            number in self.parts for number in range(self.first, self.last + 1)
        ):
            self.completed_at = now


class Assembler:
    """Assembles the frames of one stream.

    Args:
        config: Tuning.
        kept: The pictures that the decoder keeps; :obj:`None` if frames do not tell.

    Attributes:
        malformed: Packets dropped because their payload is no VP8.
        skipped: Gaps that were given up.

    """

    def __init__(
        self, config: AssembleConfig | None = None, *, kept: KeptPictures | None = None
    ) -> None:
        self._config: Final = config or AssembleConfig()
        self._kept: Final = kept
        self._deadline = 0.3
        self._ready: Final[deque[AssembledFrame]] = deque()
        self.malformed = 0
        self.skipped = 0
        self.restart()

    def restart(self) -> None:
        """Forget the stream: another one begins."""
        self._frames: dict[int, _Frame] = {}  # by timestamp
        self._arrived: dict[int, float] = {}  # number of each packet held to its arrival
        self._padding: set[int] = set()  # numbers that were padding alone; asked for, not listed
        self._next: int | None = None  # number of the first packet that has not left
        self._has_begun = False  # something has left; before, the first packet may come late
        self._highest: int | None = None
        self._gap_at: int | None = None  # the first missing number, if one is noticed
        self._expires: float | None = None  # when to give that gap up
        self._last_arrival: float | None = None
        self._silence = 0.0  # before the newest packet
        self._last: Vp8Descriptor | None = None  # of the frame that left last
        self._has_lost = False  # something was dropped since then
        self._ready.clear()

    def set_deadline(self, deadline: float) -> None:
        """Set for how many seconds a gap is waited for."""
        self._deadline = deadline

    @property
    def next_sequence(self) -> int | None:
        """The first number that may still be of use; :obj:`None` before the first packet."""
        return self._next

    def is_key_frame_arriving(self, now: float) -> bool:
        """Tell whether the start of a key frame is here, and packets still come."""
        if self._last_arrival is None or now > self._last_arrival + self._deadline:
            return False
        return any(frame.is_key for frame in self._frames.values())

    def handle_packet(
        self,
        sequence: int,
        timestamp: int,
        payload: bytes,
        now: float,
        *,
        marker: bool,
        retransmitted: bool = False,
    ) -> None:
        """Take a packet.

        Args:
            sequence: Its continued number.
            timestamp: Its media time, not wrapped.
            payload: Descriptor and VP8 data; empty for padding.
            now: When it came.
            marker: It is the last of its frame.
            retransmitted: It came by retransmission.

        """
        if sequence in self._arrived:
            return
        if self._next is None or (sequence < self._next and not self._has_begun):
            self._next = sequence
            self._gap_at = None
        if sequence < self._next:
            return
        if payload:
            try:
                descriptor, offset = Vp8Descriptor.parse(payload)
            except ParseError:
                self.malformed += 1
                return
            self._store(sequence, timestamp, descriptor, payload[offset:], now, marker=marker)
        else:
            self._padding.add(sequence)
        self._arrived[sequence] = now
        if not retransmitted:
            if self._last_arrival is not None:
                self._silence = now - self._last_arrival
            self._last_arrival = now
        if self._highest is None or sequence > self._highest:
            self._highest = sequence
        if len(self._arrived) > self._config.max_packets:
            self._drop_all()
            return
        self._advance(now)

    def poll_frame(self) -> AssembledFrame | None:
        """Return the next frame, or :obj:`None`."""
        return self._ready.popleft() if self._ready else None

    def poll_timeout(self) -> float | None:
        """Return when a gap is to be given up, or :obj:`None` if nothing is held up."""
        return self._expires

    def handle_timeout(self, now: float) -> None:
        """Give up the gap whose deadline has passed."""
        while self._expires is not None and now >= self._expires:
            self._give_up()
            self._advance(now)

    # Private

    def _store(
        self,
        sequence: int,
        timestamp: int,
        descriptor: Vp8Descriptor,
        data: bytes,
        now: float,
        *,
        marker: bool,
    ) -> None:
        frame = self._frames.get(timestamp)
        if frame is None:
            frame = self._frames[timestamp] = _Frame(timestamp, now)
        frame.parts[sequence] = data
        if descriptor.start and descriptor.partition == 0 and frame.first is None:
            frame.first = sequence
            frame.descriptor = descriptor
            frame.is_key = is_key_frame(data)
        if marker and frame.last is None:
            frame.last = sequence
        frame.update(now)

    def _advance(self, now: float) -> None:
        """Let all frames go that nothing holds up; then find out what does."""
        while (frame := self._find_next()) is not None:
            self._release(frame, continuous=True)
        self._watch_gap(now)

    def _find_next(self) -> _Frame | None:
        """Return a complete frame that may leave as continuous."""
        complete = [frame for frame in self._frames.values() if frame.completed_at is not None]
        if not complete or self._next is None:
            return None
        position = self._next
        while position in self._padding:
            position += 1
        for frame in complete:
            if frame.first == position:
                return frame
        complete.sort(key=_first_number)
        for frame in reversed(complete):
            if frame.is_key or self._mends(frame):
                return frame
        return complete[0] if self._goes_on(complete[0].descriptor) else None

    def _mends(self, frame: _Frame) -> bool:
        return self._kept is not None and self._kept.mends(frame.descriptor)

    def _goes_on(self, descriptor: Vp8Descriptor) -> bool:
        """Tell whether a frame behind a gap needs nothing that the gap held."""
        last = self._last
        if last is None or self._has_lost:
            return False
        if descriptor.picture_id is not None and last.picture_id is not None:
            step = descriptor.picture_id - last.picture_id
            if step == 1 or (descriptor.picture_id == 0 and last.picture_id in (127, 0x7FFF)):
                return True
        layer, index, before = (
            descriptor.temporal_layer,
            descriptor.tl0_picture_index,
            last.tl0_picture_index,
        )
        if layer is None or layer[0] != 0 or index is None or before is None:
            return False
        return index == (before + 1) & 0xFF

    def _release(self, frame: _Frame, *, continuous: bool) -> None:
        """Hand a complete frame out, and forget all that came before it."""
        if frame.first is None or frame.last is None or frame.completed_at is None:
            return  # callers give complete frames only
        data = b"".join(frame.parts[number] for number in range(frame.first, frame.last + 1))
        width, height = frame_size(data) or (0, 0)
        mends = not frame.is_key and self._mends(frame)
        continuous = frame.is_key or mends or (continuous and not self._has_lost)
        if self._kept is not None:
            self._kept.handle_frame(frame.descriptor, key=frame.is_key, continuous=continuous)
        self._ready.append(
            AssembledFrame(
                EncodedPicture(data, frame.is_key, width, height),
                frame.timestamp,
                continuous,
                frame.started_at,
                frame.completed_at,
                mends,
            )
        )
        self._last = frame.descriptor
        self._has_lost = False
        self._move_to(frame.last + 1)

    def _move_to(self, sequence: int) -> None:
        """Forget every packet before ``sequence``; none of them is taken any more."""
        self._next = sequence
        self._has_begun = True
        for number in [n for n in self._arrived if n < sequence]:
            del self._arrived[number]
            self._padding.discard(number)
        for timestamp in [t for t, f in self._frames.items() if f.lowest < sequence]:
            frame = self._frames[timestamp]
            for number in [n for n in frame.parts if n < sequence]:
                del frame.parts[number]
            if not frame.parts:
                del self._frames[timestamp]
            elif frame.first is not None and frame.first < sequence:
                # A broken sender goes on with a media time whose frame has had its end.
                frame.first = frame.completed_at = None

    def _watch_gap(self, now: float) -> None:
        """Find the first missing number and set its deadline."""
        if self._next is None or self._highest is None or not self._arrived:
            self._gap_at = self._expires = None
            return
        missing = self._gap_at if self._gap_at is not None else self._next
        missing = max(missing, self._next)
        while missing in self._arrived:
            missing += 1
        if missing > self._highest:
            # All is here.  What is held up nevertheless is held by a frame that has no start or
            # no end, because it began before we did or because its sender is broken.
            self._gap_at = None
            is_held = any(frame.completed_at is not None for frame in self._frames.values())
            self._expires = now if is_held else None
            return
        if missing == self._gap_at:
            return
        self._gap_at = missing
        behind = missing + 1
        while behind < self._highest and behind not in self._arrived:
            behind += 1
        # It was noticed when the packet behind it came.  If the silence before that was so long
        # that most of the gap is out of date, it is an outage, and no time is lost on it.
        noticed_at = self._arrived.get(behind, now)
        count = behind - missing
        is_outage = (
            behind == self._highest and self._silence * count / (count + 1) > 2 * self._deadline
        )
        self._expires = now if is_outage else noticed_at + self._deadline

    def _give_up(self) -> None:
        """Go on behind the gap: with the first complete frame, else with what may become one."""
        self.skipped += 1
        gap, self._gap_at, self._expires = self._gap_at, None, None
        complete = [frame for frame in self._frames.values() if frame.completed_at is not None]
        if complete:
            self._release(min(complete, key=_first_number), continuous=False)
            return
        self._has_lost = True
        starts = [
            frame.first
            for frame in self._frames.values()
            if frame.first is not None and gap is not None and frame.first > gap
        ]
        if starts:
            self._move_to(min(starts))
        elif self._highest is not None:
            self._move_to(self._highest + 1)

    def _drop_all(self) -> None:
        self._frames.clear()
        self._arrived.clear()
        self._padding.clear()
        self._gap_at = self._expires = None
        self._has_lost = True
        self.skipped += 1
        if self._highest is not None:
            self._move_to(self._highest + 1)


def _first_number(frame: _Frame) -> int:
    return -1 if frame.first is None else frame.first
