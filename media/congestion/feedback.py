"""Feedback: a transport-wide report held against the log of what was sent.

First stage of congestion control.  Out comes what became of each packet, once: that it arrived,
and when on the receiver's clock, or that it is lost.

A packet that a report does not have is *missing* at first and lost only when a later report still
does not have it: jitter that reorders must not look like loss.

Invariants:

1. Each packet comes out at most once.
2. Numbers and times do not wrap, however long a call is.
3. A report about packets never sent (or long forgotten) changes nothing.
4. The log is bounded in time and in packets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ringline.media.rtp.transport_cc import TransportFeedback

__all__ = ["ArrivedPacket", "FeedbackReport", "SendLog", "SentPacket"]

_CLOCK_MODULUS: Final = (1 << 24) * 0.064
"""Seconds after which the reference time wraps (24 bits of 64 ms, section 3.1 of
draft-holmer-rmcat-transport-wide-cc-extensions-01): 12.4 days."""

_LOG_SECONDS: Final = 10.0
"""How long a packet waits for its report.  libwebrtc keeps 60 s; a report that is 10 s late says
nothing about the path of now."""

_LOG_PACKETS: Final = 20_000
"""10 s of 20 Mbit/s.  Below 32,768, so that a 16-bit number names one packet only."""

_REORDER_WINDOW: Final = 0.06
"""Seconds from "not in the report" to "lost": one to two report intervals (50 to 100 ms)."""


@dataclass(slots=True)
class SentPacket:
    """A packet as it left.

    Attributes:
        number: Transport-wide, not wrapped.
        sent_at: When it left.
        size: Bytes on the wire, headers of every layer included.
        probe: The probe cluster it is part of.
        missing_since: When a report first did not have it; :obj:`None`: none yet.

    """

    number: int
    sent_at: float
    size: int
    probe: int | None = None
    missing_since: float | None = None


@dataclass(slots=True)
class ArrivedPacket:
    """A packet that arrived.

    Attributes:
        arrived_at: On the receiver's clock; only differences mean anything.

    """

    number: int
    sent_at: float
    size: int
    arrived_at: float
    probe: int | None = None


@dataclass(slots=True)
class FeedbackReport:
    """News from one report.

    Attributes:
        arrived: In order of arrival.
        lost: In order of sending.
        round_trip: From the departure of the last packet that arrived to this report: an upper
            bound, as the receiver holds reports back; :obj:`None` if nothing new arrived.

    """

    arrived: list[ArrivedPacket] = field(default_factory=list)
    lost: list[SentPacket] = field(default_factory=list)
    round_trip: float | None = None


class SendLog:
    """Remembers what left until a report tells what became of it."""

    def __init__(self) -> None:
        self._packets: Final[dict[int, SentPacket]] = {}  # by number, in order of sending
        self._missing: Final[dict[int, SentPacket]] = {}
        self._last_number = -1
        self._clock_offset = 0.0
        self._last_clock: float | None = None
        self._last_count: int | None = None
        self._in_flight = 0
        self._newest = -1  # number of the last packet that is known to have arrived
        self.reports_lost = 0
        """Feedback packets that never came, from the gaps in their own count."""

    @property
    def in_flight(self) -> int:
        """Bytes sent of which nothing is known yet."""
        return self._in_flight

    @property
    def behind(self) -> int:
        """Bytes sent after the newest packet that is known to have arrived.

        Unlike :attr:`in_flight` it counts nothing of which the report was lost.
        """
        total = 0
        for packet in reversed(self._packets.values()):
            if packet.number < self._newest:
                break
            total += packet.size
        return total

    def handle_sent(self, packet: SentPacket) -> None:
        """Log a departure; numbers must grow."""
        self._last_number = packet.number
        self._packets[packet.number] = packet
        self._in_flight += packet.size
        self._forget(packet.sent_at)

    def handle_feedback(self, feedback: TransportFeedback, now: float) -> FeedbackReport:
        """Hold a report against the log; empty news if it tells nothing new."""
        self._count(feedback.feedback_count)
        offset = self._unwrap_clock(feedback.arrivals)
        report = FeedbackReport()
        newest = -1.0
        for packet, arrival in self._named(feedback):
            if arrival is None:
                if packet.missing_since is None:
                    packet.missing_since = now
                    self._missing[packet.number] = packet
                continue
            self._remove(packet)
            report.arrived.append(
                ArrivedPacket(
                    packet.number, packet.sent_at, packet.size, arrival + offset, packet.probe
                )
            )
            newest = max(newest, packet.sent_at)
            self._newest = max(self._newest, packet.number)
        report.arrived.sort(key=lambda packet: (packet.arrived_at, packet.number))
        if report.arrived:
            report.round_trip = max(0.0, now - newest)
        self._declare_lost(report, now)
        return report

    def _named(self, feedback: TransportFeedback) -> Iterator[tuple[SentPacket, float | None]]:
        """Yield the logged packets that a report names; reports are about the past only."""
        first = self._last_number - ((self._last_number - feedback.base_sequence) & 0xFFFF)
        for index, arrival in enumerate(feedback.arrivals):
            packet = self._packets.get(first + index)
            if packet is not None:
                yield packet, arrival

    def _declare_lost(self, report: FeedbackReport, now: float) -> None:
        for packet in list(self._missing.values()):
            since = packet.missing_since
            if since is not None and now - since >= _REORDER_WINDOW:
                self._remove(packet)
                report.lost.append(packet)
        report.lost.sort(key=lambda packet: packet.number)

    def _remove(self, packet: SentPacket) -> None:
        del self._packets[packet.number]
        self._missing.pop(packet.number, None)
        self._in_flight -= packet.size

    def _forget(self, now: float) -> None:
        while self._packets:
            oldest = next(iter(self._packets.values()))
            if now - oldest.sent_at <= _LOG_SECONDS and len(self._packets) <= _LOG_PACKETS:
                return
            self._remove(oldest)

    def _count(self, count: int) -> None:
        if self._last_count is not None:
            gap = (count - self._last_count) & 0xFF
            if 1 < gap < 128:
                self.reports_lost += gap - 1
            if gap == 0 or gap >= 128:  # a duplicate or a straggler: does not move the count
                return
        self._last_count = count

    def _unwrap_clock(self, arrivals: list[float | None]) -> float:
        """Return what to add to the arrivals of a report so that they go on from the last."""
        first = next((arrival for arrival in arrivals if arrival is not None), None)
        if first is None:
            return self._clock_offset
        if self._last_clock is not None:
            turns = round((self._last_clock - first - self._clock_offset) / _CLOCK_MODULUS)
            self._clock_offset += turns * _CLOCK_MODULUS
        self._last_clock = first + self._clock_offset
        return self._clock_offset
