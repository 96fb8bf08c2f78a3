"""Report: tell each sender how its streams arrive (RFC 3550 §6.4, appendices A.3 and A.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ringline.media.rtp.rtcp import ReceiverReport, ReportBlock, SenderReport
from ringline.media.units import Ssrc

__all__ = ["ReceptionStatistics", "ReportConfig", "ReportTimer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """How often reports go."""

    interval: float = 1.0
    """Seconds.  RFC 3550's 5 s are for large groups; the sender takes loss and round trip from
    these, and 40 bytes a second are nothing."""

    first: float = 0.3
    """Seconds from the first packet to the first report: the round trip is wanted soon."""


class ReceptionStatistics:
    """How the packets of one source arrive.  Retransmissions do not count (RFC 4588 §4).

    Args:
        ssrc: The source.
        clock_rate: Ticks of its media time a second.

    Attributes:
        received: Packets on their first way; duplicates count (RFC 3550 §6.4.1).
        retransmitted: Packets that came by retransmission.
        retransmitted_bytes: Their payload.
        jitter: Interarrival jitter in seconds (RFC 3550 §6.4.1).

    """

    def __init__(self, ssrc: Ssrc, clock_rate: int) -> None:
        self.ssrc: Final = ssrc
        self._clock_rate: Final = clock_rate
        self.received = 0
        self.retransmitted = 0
        self.retransmitted_bytes = 0
        self.jitter = 0.0
        self._lost_before_restart = 0
        self._last_report: tuple[int, float] | None = None  # its middle 32 bits; when it came
        self.restart()

    def restart(self) -> None:
        """Begin anew: the sender's numbers have jumped.  The totals go on."""
        self._lost_before_restart = self.lost if self.received else 0
        self._first: int | None = None
        self._highest = 0
        self._received = 0  # since the restart
        self._prior = (0, 0)  # expected and received at the last report
        self._transit: float | None = None
        self._timestamp = 0

    def handle_packet(self, sequence: int, timestamp: int, now: float) -> None:
        """Count a packet with its continued number and its media time, 32 bits."""
        self.received += 1
        self._received += 1
        if self._first is None:
            self._first = self._highest = sequence
        self._highest = max(self._highest, sequence)
        self._first = min(self._first, sequence)
        transit = now - timestamp / self._clock_rate
        if self._transit is not None and timestamp != self._timestamp:
            # Packets of one picture share a time and left one by one: no measure of the path.
            difference = abs(transit - self._transit)
            if difference < 2.0:  # else the clock has wrapped or restarted
                self.jitter += (difference - self.jitter) / 16
        self._transit, self._timestamp = transit, timestamp

    def handle_sender_report(self, report: SenderReport, now: float) -> None:
        """Remember a report of the sender: ours then tells it the round trip."""
        self._last_report = (report.ntp_time >> 16 & 0xFFFFFFFF, now)

    @property
    def lost(self) -> int:
        """Packets that were expected and have not come; duplicates can make it negative."""
        return self._lost_before_restart + self._expected() - self._received

    def make_block(self, now: float) -> ReportBlock:
        """Return what to report at ``now``; the fraction is of what came since the last call."""
        expected, received = self._expected(), self._received
        due, got = expected - self._prior[0], received - self._prior[1]
        self._prior = (expected, received)
        last_report, delay = 0, 0
        if self._last_report is not None:
            last_report = self._last_report[0]
            delay = int((now - self._last_report[1]) * 65536)
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=max(0, due - got) / due if due > 0 else 0.0,
            packets_lost=self.lost,
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(self.jitter * self._clock_rate),
            last_sr=last_report,
            delay_since_last_sr=delay,
        )

    def _expected(self) -> int:
        return 0 if self._first is None else self._highest - self._first + 1


class ReportTimer:
    """Says when a report is due and makes it.

    Args:
        local_ssrc: Whom the reports come from.
        config: Tuning.

    """

    def __init__(self, local_ssrc: Ssrc, config: ReportConfig | None = None) -> None:
        self._local_ssrc: Final = local_ssrc
        self._config: Final = config or ReportConfig()
        self._due: float | None = None

    def handle_packet(self, now: float) -> None:
        """Note that something arrives: the first packet starts the timer."""
        if self._due is None:
            self._due = now + self._config.first

    def poll_timeout(self) -> float | None:
        """Return when the next report is due, or :obj:`None` before the first packet."""
        return self._due

    def poll_report(
        self, sources: Sequence[ReceptionStatistics], now: float
    ) -> ReceiverReport | None:
        """Return a report on ``sources`` if one is due."""
        if self._due is None or now < self._due:
            return None
        self._due = now + self._config.interval
        if not sources:
            return None  # so far only retransmissions came
        blocks = [source.make_block(now) for source in sources[:31]]  # 5 bits of count
        return ReceiverReport(self._local_ssrc, blocks)
