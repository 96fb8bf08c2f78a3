"""Protect by retransmission: what left is remembered for a while, and sent again when asked for.

Stage beside the pacer: packets come in as they leave (:meth:`RtxHistory.handle_sent`), requests
come in from the receiver (RFC 4585 §6.2.1), retransmissions on their own stream go out to the
pacer (RFC 4588).

Invariants:

1. A packet is sent again at most once per round trip, near enough: a second request before that
   is about the retransmission still under way.
2. Retransmissions never take more than their share of the rate.
3. The history is bounded in time and in packets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rtx import wrap_rtx
from ringline.media.units import PayloadType, Ssrc

__all__ = ["RtxConfig", "RtxHistory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RtxConfig:
    """How much is remembered and repeated."""

    min_history: float = 1.0
    """Seconds kept; libwebrtc's.  Three round trips if these are longer."""

    max_packets: int = 1_500
    """Kept at most: 3 s of 5 Mbit/s in packets of 1200 bytes."""

    guard: float = 0.75
    """Round trips between two retransmissions of a packet.  The receiver asks again when one is
    over by its own reckoning; ours is smoothed otherwise, and a request that is refused by a
    millisecond costs a whole further round trip."""

    min_repeat: float = 0.01
    """Seconds likewise, where that is shorter yet."""

    copies: int = 2
    """Of a packet from its second retransmission on.  Few come this far (the square of the loss),
    so the second copy costs little, and the deadline leaves them no third or fourth try."""

    max_copy_time: float = 0.012
    """Seconds at the target rate that a copy may take: all behind it waits for as long, which on
    a slow path is more than it saves."""

    share: float = 0.35
    """Of the target rate for retransmissions: at 25 % loss each packet of video needs a third of
    one more; beyond, a fresh key frame is the better use of the rate."""

    burst: float = 0.5
    """Seconds of that share that may go at once, since losses come in bursts (libwebrtc bounds
    retransmissions over 500 ms)."""


@dataclass(slots=True)
class _Kept:
    packet: RtpPacket
    sent_at: float
    repeated_at: float | None = None
    repeats: int = 0
    requests: int = 0  # that were served


class RtxHistory:
    """Remembers the packets of one stream.

    Args:
        config: Tuning.
        stream: Payload type and SSRC of retransmissions; :obj:`None` if they have no stream of
            their own: then the packet itself is sent again.
        first_sequence_number: 16 bits; should be random.

    """

    def __init__(
        self,
        config: RtxConfig,
        *,
        stream: tuple[PayloadType, Ssrc] | None,
        first_sequence_number: int,
    ) -> None:
        self._config: Final = config
        self._stream: Final = stream
        self._next_number = first_sequence_number & 0xFFFF
        self._kept: Final[OrderedDict[int, _Kept]] = OrderedDict()  # by number, as they left
        self._credit = 0.0  # bytes that may be repeated; below 0 after a large packet
        self._credited_at: float | None = None
        self.refused = 0
        """Requests not served, for one of the invariants."""

    @property
    def can_pad(self) -> bool:
        """Whether :meth:`padding` has something: media was sent, and there is a stream for it."""
        return self._stream is not None and bool(self._kept)

    def handle_sent(self, packet: RtpPacket, now: float, round_trip: float) -> None:
        """Remember a packet that has just left."""
        self._kept.pop(packet.sequence_number, None)
        self._kept[packet.sequence_number] = _Kept(packet, now)
        lifetime = max(3 * round_trip, self._config.min_history)
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if now - oldest.sent_at <= lifetime and len(self._kept) <= self._config.max_packets:
                break
            self._kept.popitem(last=False)

    def handle_nack(
        self, numbers: Iterable[int], now: float, *, round_trip: float, target_bitrate: int
    ) -> list[RtpPacket]:
        """Return the retransmissions to queue, in the order asked for."""
        self._refill(now, target_bitrate)
        packets = []
        again = []
        for number in numbers:
            kept = self._kept.get(number)
            if kept is None or not self._may_repeat(kept, now, round_trip):
                self.refused += 1
                continue
            packets.append(self._repeat(kept, now))
            kept.requests += 1
            copy_time = len(kept.packet.payload) * 8 / target_bitrate
            if kept.repeats > 1 and copy_time <= self._config.max_copy_time:
                again += [kept] * (self._config.copies - 1)
        # The copies go last: what takes a packet from the path often takes its neighbour too.
        for kept in again:
            if self._credit < 0:
                break
            packets.append(self._repeat(kept, now))
        return packets

    def requests(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return how often parts of pictures were asked for and sent again, by RTP timestamp.

        Args:
            numbers: Of the packets to look at; for each picture the one asked for most counts.

        """
        most: dict[int, int] = {}
        for number in numbers:
            kept = self._kept.get(number)
            if kept is not None and kept.requests:
                timestamp = kept.packet.timestamp
                most[timestamp] = max(most.get(timestamp, 0), kept.requests)
        return most

    def forget(self) -> None:
        """Repeat nothing that was sent so far: a key frame follows, which needs none of it."""
        self._kept.clear()

    def padding(self, size: int) -> RtpPacket | None:
        """Return a packet that fills up a probe: a copy of a recent one, else empty bytes.

        A copy costs the same and may mend a loss nobody has noticed yet.  Of the last few the
        largest that fits is taken.

        Args:
            size: Bytes wanted, roughly.

        Returns:
            :obj:`None` without a stream for retransmissions, and before anything was sent.

        """
        if self._stream is None or not self._kept:
            return None
        best: RtpPacket | None = None
        for count, kept in enumerate(reversed(self._kept.values())):
            if count == 8:
                break
            length = len(kept.packet.payload)
            if length <= size and (best is None or length > len(best.payload)):
                best = kept.packet
        if best is not None and len(best.payload) > size // 2:
            return self._wrap(best)
        last = next(reversed(self._kept.values()))
        payload_type, ssrc = self._stream
        return replace(
            last.packet,
            payload_type=payload_type,
            ssrc=ssrc,
            sequence_number=self._take_number(),
            marker=False,
            payload=b"",
            padding=max(1, min(size, 255)),
        )

    def _may_repeat(self, kept: _Kept, now: float, round_trip: float) -> bool:
        if self._credit < 0:
            return False
        wait = max(self._config.guard * round_trip, self._config.min_repeat)
        return kept.repeated_at is None or now - kept.repeated_at >= wait

    def _repeat(self, kept: _Kept, now: float) -> RtpPacket:
        kept.repeated_at = now
        kept.repeats += 1
        self._credit -= len(kept.packet.payload)
        return self._wrap(kept.packet)

    def _wrap(self, original: RtpPacket) -> RtpPacket:
        if self._stream is None:
            return replace(original)
        payload_type, ssrc = self._stream
        return wrap_rtx(
            original, payload_type=payload_type, sequence_number=self._take_number(), ssrc=ssrc
        )

    def _take_number(self) -> int:
        number = self._next_number
        self._next_number = (number + 1) & 0xFFFF
        return number

    def _refill(self, now: float, target_bitrate: int) -> None:
        rate = target_bitrate * self._config.share / 8
        limit = rate * self._config.burst
        if self._credited_at is None:
            self._credit = limit
        else:
            self._credit += (now - self._credited_at) * rate
        self._credit = min(self._credit, limit)
        self._credited_at = now
