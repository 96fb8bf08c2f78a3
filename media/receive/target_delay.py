"""Target delay: how long should the fastest packets wait, so that nearly all are in time?

Two questions, each answered from what was seen, and the larger answer counts:

*Jitter.*  The latest packet of each half second is one observation.  To wait for it pays as far as
that saves more than it costs: 10 ms for each percent of half seconds with a packet that is late.
Observations fade over half a minute, the first ones sooner: a spike each few seconds is remembered,
a lonely one is not, and the target does not follow each move of the path.  Sound whose delay stays
as it is is worth more than 20 ms less of it.

*Repair.*  A copy of a lost packet comes with one that was sent later (RED, in-band FEC) or a
round trip later (RTX).  Waiting for it pays as far as it saves more than it costs: 60 ms for each
percent of packets is the price, so copies of one packet in a thousand are not waited for.

After NetEq (webrtc ``modules/audio_coding/neteq``: ``underrun_optimizer``, ``reorder_optimizer``,
October 2024), with bins of 5 ms instead of 20.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.media.receive.arrival_delay import DelayHistogram

__all__ = ["TargetDelay", "TargetDelayConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDelayConfig:
    """How a :class:`TargetDelay` behaves."""

    start: float = 0.04
    """Seconds at first.  NetEq starts with 80 ms; half of it holds on most paths, and
    where it does not, the first late packet corrects it."""

    minimum: float = 0.01
    """One frame: packets and ticks are both 20 ms apart, and their phases differ."""

    maximum: float = 0.4
    """Above it a conversation breaks down, and gaps are the lesser evil."""

    late_price: float = 1.0
    """Seconds of delay that it is worth to have all periods in time instead of none.  A frame that
    comes late in one of eight costs half a point of PESQ or more, as 100 to 200 ms of delay do by
    the E-model.  So a stall each half a minute is borne, and the waves of a narrow link are not."""

    margin: float = 0.5
    """Of that delay, which is added to it: a queue that grows is longer than it ever was."""

    max_margin: float = 0.01
    """Seconds of it at most: half a frame."""

    bin_width: float = 0.005
    """Seconds: finer than a pitch period, the step in which delay can change."""

    forget: float = 0.983
    """So 60 observations, half a minute, are remembered."""

    period: float = 0.5
    """Seconds whose latest packet is one observation."""

    first_period: float = 0.1
    """Likewise at first, for ``min_observations`` of them: so there is something to go by."""

    min_observations: int = 20
    """Before they may lower the start target: two seconds.  They may raise it at once."""

    settle: float = 1.5
    """How much faster the first of them are forgotten (NetEq's start weight): while a sender feels
    its way up, and meets its own queue, a path is not as it will be."""

    fall: float = 0.03
    """Seconds by which it becomes less in a second at most: what was needed a moment ago may well
    be needed again, and each change is heard."""

    repair_forget: float = 0.998
    """For each packet, so 500 of them, 10 s, tell what is lost and how late it is repaired."""

    repair_price: float = 6.0
    """Seconds of delay that it is worth to have all packets instead of none: 60 ms a percent.
    NetEq pays 20.  By the E-model (ITU-T G.107, G.113) a percent of concealed sound costs some
    eight points; 60 ms cost one and a half on a short way and eight on one beyond 180 ms."""


class TargetDelay:
    """Learns the target delay of one path.

    Args:
        config: Tuning.

    """

    def __init__(self, config: TargetDelayConfig | None = None) -> None:
        self._config: Final = config or TargetDelayConfig()
        bins = round(2.0 / self._config.bin_width)
        self._jitter: Final = DelayHistogram(
            bin_width=self._config.bin_width,
            bins=bins,
            forget=self._config.forget,
            settle=self._config.settle,
        )
        self._repair: Final = DelayHistogram(
            bin_width=self._config.bin_width * 2, bins=100, forget=self._config.repair_forget
        )
        self._memory: Final = round(1.0 / (1.0 - self._config.repair_forget))
        self._period: tuple[float, float] | None = None  # its start, the largest delay in it
        self._for_jitter = self._config.start
        self._for_repair = 0.0
        self._packets = 0  # that came by themselves, up to those that are remembered
        self._repaired = 0  # packets until a repair is forgotten

    @property
    def seconds(self) -> float:
        """The target."""
        config = self._config
        return min(max(self._for_jitter, self._for_repair, config.minimum), config.maximum)

    def restart_period(self) -> None:
        """Drop the observation that is under way: the sender's clock jumped."""
        self._period = None

    def handle_arrival(self, delay: float, now: float) -> None:
        """Take a packet that came by itself, ``delay`` seconds later than the fastest."""
        config = self._config
        self._packets = min(self._packets + 1, self._memory)
        if self._repaired:
            self._count(0.0)
            self._repaired -= 1
        if self._period is None:
            self._period = (now, delay)
            return
        start, largest = self._period
        is_new = self._jitter.observations < config.min_observations
        period = config.first_period if is_new else config.period
        if now - start < period:
            self._period = (start, max(largest, delay))
            return
        self._period = (now, delay)
        self._jitter.add(largest, period / config.period)
        usual = self._jitter.cheapest(config.late_price)
        target = usual + min(config.margin * usual, config.max_margin)
        if self._jitter.observations < config.min_observations:
            target = max(target, config.start)
        self._for_jitter = max(target, self._for_jitter - config.fall * (now - start))

    def handle_repair(self, delay: float) -> None:
        """Take the first copy of a lost packet, ``delay`` seconds later than it could have been."""
        if not self._repaired:
            # All was well, which was not written down packet by packet.
            self._repair.fill(0.0, self._packets)
        self._repaired = 3 * self._memory
        self._count(delay)

    def _count(self, delay: float) -> None:
        self._repair.add(delay)
        self._for_repair = self._repair.cheapest(self._config.repair_price)
