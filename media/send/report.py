"""Report: what we tell about our streams, and what the other side's reports tell us.

Sender reports carry one instant on two clocks, wall clock and media time, for lip sync; their echo
in the receiver's report blocks gives the round trip (RFC 3550 §6.4.1).

The wall clock is read once.  All reports of a session use that one tie between it and ``now``, so
a clock that is set mid-call cannot tear sound and picture apart.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from ringline.media.rtp.rtcp import ReportBlock, SenderReport
from ringline.media.send.stats import RemoteInboundStats
from ringline.media.send.transmit import TransmitStream
from ringline.media.units import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE

__all__ = ["ReportSchedule", "SenderReports"]

_NTP_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905 §6)."""

_KEPT_REPORTS: Final = 32
"""Sender reports whose echo still tells the round trip: over 10 s of two streams."""

_MAX_ROUND_TRIP: Final = 30.0
"""An echo that says more is wrong or malicious."""

_SMOOTHING: Final = 0.3
"""Weight of a new round trip; about one comes a second and stream."""

_FIRST_INTERVALS: Final = (0.2, 0.3, 0.5)
"""Seconds between a stream's first reports: lip sync and the round trip wait for them."""

_INTERVAL: Final = 1.0
"""Seconds from then on; 60 bytes each, so 1 kbit/s with both streams."""

_SPREAD: Final = 0.2
"""Share by which intervals vary, so that sessions started together drift apart (§6.3.1)."""


class ReportSchedule:
    """When one stream's reports are due: the first with the first packet.

    Args:
        rng: Spreads them.

    """

    def __init__(self, rng: random.Random) -> None:
        self._rng: Final = rng
        self._count = 0
        self._due: float | None = None

    @property
    def due(self) -> float | None:
        """When the next is due; :obj:`None` before the first packet."""
        return self._due

    def handle_sent(self, now: float) -> None:
        """Note that the stream sends."""
        if self._due is None:
            self._due = now

    def handle_report(self, now: float) -> None:
        """Note that a report was made."""
        index, self._count = self._count, self._count + 1
        interval = _FIRST_INTERVALS[index] if index < len(_FIRST_INTERVALS) else _INTERVAL
        self._due = now + interval * self._rng.uniform(1 - _SPREAD, 1 + _SPREAD)


class SenderReports:
    """Makes sender reports and reads report blocks.

    Args:
        wall_clock: Seconds since 1970; read once.
        now: The present.

    Attributes:
        round_trip: Seconds, smoothed; :obj:`None` before the first echo.

    """

    def __init__(self, wall_clock: Callable[[], float], *, now: float) -> None:
        self.round_trip: float | None = None
        self._offset: Final = wall_clock() + _NTP_EPOCH - now
        self._sent: Final[OrderedDict[tuple[int, int], float]] = OrderedDict()
        self._highest: Final[dict[int, int]] = {}  # extended sequence number by SSRC
        self._clock_rates: Final[dict[int, int]] = {}  # by SSRC
        self._remote: Final[dict[int, RemoteInboundStats]] = {}  # by SSRC

    def make(self, stream: TransmitStream, rtp_timestamp: int, now: float) -> SenderReport:
        """Return a report of ``stream``; ``rtp_timestamp`` is its media time of ``now``."""
        ntp_time = int((now + self._offset) * (1 << 32)) & 0xFFFFFFFF_FFFFFFFF
        is_audio = stream.parameters.kind == "audio"
        self._clock_rates[stream.ssrc] = AUDIO_CLOCK_RATE if is_audio else VIDEO_CLOCK_RATE
        self._sent[stream.ssrc, ntp_time >> 16 & 0xFFFFFFFF] = now
        while len(self._sent) > _KEPT_REPORTS:
            self._sent.popitem(last=False)
        return SenderReport(
            stream.ssrc,
            ntp_time,
            rtp_timestamp & 0xFFFFFFFF,
            stream.packets & 0xFFFFFFFF,
            stream.payload_bytes & 0xFFFFFFFF,
        )

    def handle_blocks(self, blocks: Iterable[ReportBlock], now: float) -> float | None:
        """Take the report blocks about our streams.

        Returns:
            The share lost over all of them, weighted by their packets; :obj:`None` if none came.

        """
        expected = lost = 0.0
        seen = False
        for block in blocks:
            seen = True
            self._note(block)
            self._measure(block, now)
            before = self._highest.get(block.ssrc)
            self._highest[block.ssrc] = block.highest_sequence
            packets = 1 if before is None else (block.highest_sequence - before) & 0xFFFFFFFF
            packets = min(packets, 10_000)  # a jump is a restart, not a second of traffic
            expected += packets
            lost += packets * block.fraction_lost
        if not seen:
            return None
        return lost / expected if expected else 0.0

    def remote(self, ssrc: int) -> RemoteInboundStats | None:
        """Return what the other side last reported about a stream; :obj:`None` if nothing yet."""
        return self._remote.get(ssrc)

    def _note(self, block: ReportBlock) -> None:
        remote = self._remote.setdefault(block.ssrc, RemoteInboundStats())
        remote.packets_lost = block.packets_lost
        remote.fraction_lost = block.fraction_lost
        remote.jitter = block.jitter / self._clock_rates.get(block.ssrc, VIDEO_CLOCK_RATE)

    def _measure(self, block: ReportBlock, now: float) -> None:
        sent_at = self._sent.get((block.ssrc, block.last_sr))
        if sent_at is None:
            return
        round_trip = now - sent_at - block.delay_since_last_sr / 65_536
        if not 0 <= round_trip <= _MAX_ROUND_TRIP:
            return
        remote = self._remote[block.ssrc]
        remote.round_trip_time = round_trip
        remote.total_round_trip_time += round_trip
        remote.round_trip_time_measurements += 1
        if self.round_trip is None:
            self.round_trip = round_trip
        else:
            self.round_trip += _SMOOTHING * (round_trip - self.round_trip)
