"""Arrive: the first stage.  Which stream is a packet of, and what is its place there?

A packet is told by its SSRC once that is known; before, by its mid (RFC 8843 §9.2), else by a
payload type that one stream alone uses.  Retransmissions (RFC 4588) are unwrapped here, so that
later stages see one stream of packets, some of which come late.  Repair packets of our own code
are read here, and say in the numbers of the media which packets they are about.

Invariants:

1. Sources are bounded: a flood of SSRCs costs a fixed amount of memory and disturbs no stream.
2. A stream changes its source only when its present one is silent or never came.
3. What cannot be placed is dropped and counted by reason, never raised.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final, Literal

from ringline.media.errors import ParseError
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.receive.report import ReceptionStatistics
from ringline.media.receive.sequence import SequenceTracker
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import RlcRepair
from ringline.media.rtp.rtx import unwrap_rtx
from ringline.media.units import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE, PayloadType, Ssrc

__all__ = ["Arrival", "ArriveConfig", "ArriveCounters", "Demultiplexer"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArriveConfig:
    """How a :class:`Demultiplexer` behaves."""

    max_sources: int = 64
    """SSRCs remembered at a time.  A call has four; a room's streams are announced and few."""

    takeover_silence: float = 0.5
    """Seconds that a stream's source must be silent before another SSRC may take its place: a
    restarted sender is heard again at once, a stray packet changes nothing."""


@dataclass(slots=True)
class ArriveCounters:
    """What was dropped here, and why.

    Attributes:
        malformed: Not RTP, an RTX packet without a number, or no repair packet.
        unknown_source: No stream has this SSRC, mid or payload type.
        unknown_payload_type: The stream is known and its payload type is not.
        out_of_range: The sequence number is far from all others (see :mod:`.sequence`).

    """

    malformed: int = 0
    unknown_source: int = 0
    unknown_payload_type: int = 0
    out_of_range: int = 0


@dataclass(slots=True)
class Arrival:
    """A packet in its place.

    Attributes:
        stream: What was negotiated about its stream.
        packet: As sent first, also if it came as a retransmission.
        sequence: Its number, continued without wrapping; of a repair packet, that of the first
            packet it covers.
        skipped: How many numbers of its source were jumped over right before it.
        retransmitted: It came as a retransmission.
        recovered: It did not come: forward error correction gave it back.
        restarted: The stream begins anew with this packet: nothing before it is of any use.
        repair: What it says of other packets, if it is a repair packet and no media.

    """

    stream: StreamParameters
    packet: RtpPacket
    sequence: int
    skipped: int = 0
    retransmitted: bool = False
    recovered: bool = False
    restarted: bool = False
    repair: RlcRepair | None = None


_Flow = Literal["media", "rtx", "repair"]


@dataclass(slots=True)
class _Source:
    ssrc: int
    stream: StreamParameters
    flow: _Flow
    statistics: ReceptionStatistics
    heard_at: float | None = None
    tracker: SequenceTracker = field(default_factory=SequenceTracker)


class Demultiplexer:
    """Places packets.

    Args:
        parameters: What was negotiated; streams to receive are told apart by it.
        config: Tuning.

    Attributes:
        counters: What was dropped.

    """

    def __init__(self, parameters: SessionParameters, config: ArriveConfig | None = None) -> None:
        self._config: Final = config or ArriveConfig()
        self._ids: Final = parameters.extension_ids
        self._streams: Final = parameters.receive
        self._sources: Final[dict[int, _Source]] = {}  # by SSRC
        self._current: Final[dict[tuple[str, _Flow], _Source]] = {}  # by mid and flow
        self.counters: Final = ArriveCounters()
        for stream in self._streams:
            if stream.ssrc is not None:
                self._add(stream.ssrc, stream, "media")
            if stream.rtx_ssrc is not None:
                self._add(stream.rtx_ssrc, stream, "rtx")
            if stream.repair_ssrc is not None:
                self._add(stream.repair_ssrc, stream, "repair")

    def parse(self, data: bytes) -> RtpPacket | None:
        """Read a datagram; :obj:`None` if it is no RTP packet."""
        try:
            return RtpPacket.parse(data, self._ids)
        except ParseError as error:
            self.counters.malformed += 1
            logger.debug("packet dropped: %s", error)
            return None

    def handle_packet(self, packet: RtpPacket, now: float) -> Arrival | None:
        """Place a packet; :obj:`None` if it has no place, or brought nothing but padding by RTX."""
        source = self._sources.get(packet.ssrc)
        if source is None or source is not self._current.get((source.stream.mid, source.flow)):
            source = self._take_over(packet, now)
            if source is None:
                self.counters.unknown_source += 1
                return None
        if source.flow == "rtx":
            return self._place_rtx(source, packet, now)
        if source.flow == "repair":
            return self._place_repair(source, packet, now)
        return self._place(source, packet, now)

    def media_ssrc(self, mid: str) -> Ssrc | None:
        """Return the SSRC that a stream comes from, or :obj:`None` before it is known."""
        source = self._current.get((mid, "media"))
        return None if source is None else Ssrc(source.ssrc)

    def statistics(self) -> list[ReceptionStatistics]:
        """Return the reception of each stream that has come, in the order of negotiation."""
        sources = (self._current.get((stream.mid, "media")) for stream in self._streams)
        return [source.statistics for source in sources if source and source.statistics.received]

    def mid_of(self, ssrc: int) -> str | None:
        """Return the stream that an SSRC stands for now, or :obj:`None`."""
        source = self._sources.get(ssrc)
        if (
            source is None
            or source.flow != "media"
            or source is not self._current.get((source.stream.mid, "media"))
        ):
            return None
        return source.stream.mid

    # Placing

    def _place(self, source: _Source, packet: RtpPacket, now: float) -> Arrival | None:
        source.heard_at = now
        before = source.tracker.highest
        placed = source.tracker.handle_number(packet.sequence_number)
        if placed is None:
            self.counters.out_of_range += 1
            return None
        sequence, restarted = placed
        begins = restarted or before is None
        if restarted:
            source.statistics.restart()
        source.statistics.handle_packet(sequence, packet.timestamp, now)
        if packet.payload_type not in (
            source.stream.payload_type,
            source.stream.red_payload_type,
        ):
            self.counters.unknown_payload_type += 1
            return None
        return Arrival(
            stream=source.stream,
            packet=packet,
            sequence=sequence,
            skipped=0 if begins or before is None else max(0, sequence - before - 1),
            restarted=begins,
        )

    def _place_rtx(self, source: _Source, packet: RtpPacket, now: float) -> Arrival | None:
        source.heard_at = now
        media = self._current.get((source.stream.mid, "media"))
        original_type = _repaired_type(source.stream, packet.payload_type)
        if original_type is None:
            self.counters.unknown_payload_type += 1
            return None
        if not packet.payload or media is None:
            return None  # padding that probes the path, or nothing yet to repair
        try:
            original = unwrap_rtx(packet, payload_type=original_type, ssrc=media.ssrc)
        except ParseError as error:
            self.counters.malformed += 1
            logger.debug("retransmission dropped: %s", error)
            return None
        sequence = media.tracker.locate(original.sequence_number)
        if sequence is None:
            self.counters.out_of_range += 1
            return None
        media.statistics.retransmitted += 1
        media.statistics.retransmitted_bytes += len(original.payload)
        return Arrival(stream=source.stream, packet=original, sequence=sequence, retransmitted=True)

    def _place_repair(self, source: _Source, packet: RtpPacket, now: float) -> Arrival | None:
        source.heard_at = now
        media = self._current.get((source.stream.mid, "media"))
        if packet.payload_type != source.stream.repair_payload_type:
            self.counters.unknown_payload_type += 1
            return None
        try:
            repair = RlcRepair.parse(packet.payload)
        except ParseError as error:
            self.counters.malformed += 1
            logger.debug("repair packet dropped: %s", error)
            return None
        before = source.tracker.highest
        placed = source.tracker.handle_number(packet.sequence_number)
        first = None if media is None else media.tracker.locate(repair.first)
        if placed is None or first is None:
            self.counters.out_of_range += 1
            return None
        number, restarted = placed
        skipped = 0 if before is None or restarted else max(0, number - before - 1)
        return Arrival(source.stream, packet, first, skipped=skipped, repair=repair)

    # Sources

    def _take_over(self, packet: RtpPacket, now: float) -> _Source | None:
        """Let an SSRC that is not a stream's present source become it, if it may."""
        known = self._sources.get(packet.ssrc)
        stream = known.stream if known is not None else self._find_stream(packet)
        if stream is None:
            return None
        flow: _Flow = "media"
        if _repaired_type(stream, packet.payload_type) is not None:
            flow = "rtx"
        elif packet.payload_type == stream.repair_payload_type:
            flow = "repair"
        current = self._current.get((stream.mid, flow))
        if current is not None and current.ssrc != packet.ssrc:
            heard_at = current.heard_at
            silence = self._config.takeover_silence
            if heard_at is not None and now - heard_at < silence:
                return None
        return self._add(packet.ssrc, stream, flow)

    def _find_stream(self, packet: RtpPacket) -> StreamParameters | None:
        mid = packet.extensions.mid
        if mid is not None:
            return next((stream for stream in self._streams if stream.mid == mid), None)
        kind = packet.payload_type
        users = [
            s
            for s in self._streams
            if kind in (s.payload_type, s.red_payload_type, s.repair_payload_type)
            or _repaired_type(s, kind) is not None
        ]
        return users[0] if len(users) == 1 else None

    def _add(self, ssrc: int, stream: StreamParameters, flow: _Flow) -> _Source:
        clock_rate = AUDIO_CLOCK_RATE if stream.kind == "audio" else VIDEO_CLOCK_RATE
        source = _Source(ssrc, stream, flow, ReceptionStatistics(Ssrc(ssrc), clock_rate))
        self._sources[ssrc] = source
        self._current[stream.mid, flow] = source
        if len(self._sources) > self._config.max_sources:
            current = {id(source) for source in self._current.values()}
            old = next((s for s in self._sources.values() if id(s) not in current), None)
            if old is not None:
                del self._sources[old.ssrc]
        return source


def _repaired_type(stream: StreamParameters, payload_type: int) -> PayloadType | None:
    """Return the type of what a retransmission repairs (``apt``); :obj:`None` if it is none."""
    if payload_type == stream.rtx_payload_type:
        return stream.payload_type
    if payload_type == stream.red_rtx_payload_type:
        return stream.red_payload_type
    return None
