"""Feedback: tell the sender which packets of the transport arrived, and when.

Its congestion control lives on this (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
A feedback covers all numbers since the last one; a packet that comes after its number was
reported missing moves the next feedback back, so that it is reported after all.

Invariants:

1. Memory is bounded by ``back_window`` and ``max_packets``, whatever numbers come.
2. A feedback never holds more than ``max_statuses`` and never two arrivals over 8 s apart: what
   does not fit goes into the next one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from ringline.media.rtp.transport_cc import TransportFeedback
from ringline.media.units import Ssrc, Unwrapper

__all__ = ["FeedbackConfig", "FeedbackGenerator"]

_FEEDBACK_BITS: Final = 68 * 8
"""Of one feedback with its headers, as libwebrtc assumes."""

_MAX_STEP: Final = 8.0
"""Seconds between two arrivals that the format can tell: 2**15 ticks of 250 us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackConfig:
    """How often feedback goes, and how much it holds."""

    shortest: float = 0.05
    """Seconds between two of them at high rates: the sender's control loop is no faster."""

    longest: float = 0.25
    """Likewise at low rates."""

    share: float = 0.05
    """Of the rate that arrives: so much may feedback take of the way back."""

    eager_seconds: float = 0.5
    """From the first packet on, in which feedback goes as at high rates: the sender starts from a
    guess, and holds pictures back until it hears what the path takes."""

    after_loss: float = 0.02
    """Seconds to the next one once a number is missing: time for a reordered packet to come, and
    still soon.  Never less than this between two feedbacks."""

    back_window: float = 0.5
    """Seconds for which arrivals are remembered, to be reported again around a late one."""

    max_packets: int = 4_096
    """Arrivals remembered: 0.5 s at 100 Mbit/s."""

    max_statuses: int = 400
    """Packets of one feedback: two bytes and a half each at worst, so 1,000 bytes."""

    max_jump: int = 3_000
    """Numbers ahead or back beyond which the sender has restarted its count."""


class FeedbackGenerator:
    """Collects arrivals and makes feedback of them.

    Args:
        local_ssrc: Whom the feedback comes from.
        config: Tuning.

    """

    def __init__(self, local_ssrc: Ssrc, config: FeedbackConfig | None = None) -> None:
        self._local_ssrc: Final = local_ssrc
        self._config: Final = config or FeedbackConfig()
        self._count = 0
        self._media_ssrc = 0
        self._sizes: Final[deque[tuple[float, int]]] = deque(maxlen=2_048)
        self._bits = 0  # sum of _sizes
        self._sent_at: float | None = None
        self._eager_until: float | None = None
        self._reset()

    def _reset(self) -> None:
        self._unwrapper = Unwrapper()
        self._arrivals: dict[int, float] = {}  # by continued number
        self._base: int | None = None  # first number that the next feedback tells
        self._highest = 0
        self._floor = -(1 << 17)  # up to here arrivals are forgotten and no more to be told
        self._due: float | None = None

    def handle_arrival(self, number: int, *, ssrc: int, size: int, now: float) -> int:
        """Log a packet.

        Args:
            number: Its transport-wide number, 16 bits.
            ssrc: Its source, which feedback names.
            size: Bytes.
            now: When it came.

        Returns:
            How many numbers right before it are missing for the first time.

        """
        self._media_ssrc = ssrc
        self._measure(size, now)
        extended = self._unwrapper.unwrap(number)
        if self._base is not None and abs(extended - self._highest) > self._config.max_jump:
            self._reset()
            extended = self._unwrapper.unwrap(number)
        if extended in self._arrivals or extended <= self._floor:
            return 0
        if self._base is None:
            self._base = self._highest = extended
        missing = 0
        if extended > self._highest:
            missing = extended - self._highest - 1
            self._highest = extended
        elif extended < self._base:
            self._base = extended
        self._arrivals[extended] = now
        self._forget(now)
        if self._eager_until is None:
            self._eager_until = now + self._config.eager_seconds
        due = (self._sent_at if self._sent_at is not None else now) + self._interval(now)
        if missing:
            earliest = now if self._sent_at is None else self._sent_at
            due = min(due, max(now, earliest) + self._config.after_loss)
        self._due = due if self._due is None else min(self._due, due)
        return missing

    def poll_timeout(self) -> float | None:
        """Return when the next feedback is due, or :obj:`None` if there is nothing to tell."""
        return self._due

    def poll_feedback(self, now: float) -> TransportFeedback | None:
        """Return the next feedback if it is due; call until :obj:`None`."""
        if self._due is None or now < self._due or self._base is None:
            return None
        base, end = self._base, self._highest + 1
        if not self._arrivals or base >= end:
            self._due = None
            return None
        arrivals: list[float | None] = []
        last: float | None = None
        for number in range(base, min(end, base + self._config.max_statuses)):
            arrival = self._arrivals.get(number)
            if arrival is not None:
                if last is not None and abs(arrival - last) >= _MAX_STEP:
                    break
                last = arrival
            arrivals.append(arrival)
        self._base = base + len(arrivals)
        self._sent_at = now
        if self._base >= end:
            self._due = None
        if last is None:  # nothing but losses in reach: the next one starts behind them
            return self.poll_feedback(now)
        feedback = TransportFeedback(
            self._local_ssrc, self._media_ssrc, base & 0xFFFF, self._count, arrivals
        )
        self._count = (self._count + 1) & 0xFF
        return feedback

    def restart(self) -> None:
        """Forget everything but the count: the path was gone, and the next may be another one."""
        self._reset()
        self._eager_until = None

    def _interval(self, now: float) -> float:
        """Return the seconds between two feedbacks at the rate that arrives now."""
        config = self._config
        if self._eager_until is not None and now < self._eager_until:
            return config.shortest
        rate = max(self._bits, 1)  # bits of the last second
        return min(max(_FEEDBACK_BITS / (config.share * rate), config.shortest), config.longest)

    def _measure(self, size: int, now: float) -> None:
        sizes = self._sizes
        if len(sizes) == sizes.maxlen:
            self._bits -= sizes[0][1]
        sizes.append((now, 8 * size))
        self._bits += 8 * size
        while sizes[0][0] < now - 1.0:
            self._bits -= sizes.popleft()[1]

    def _forget(self, now: float) -> None:
        """Drop arrivals that were reported and are out of the window, in order of insertion."""
        config = self._config
        while self._arrivals:
            number, arrival = next(iter(self._arrivals.items()))
            is_old = arrival < now - config.back_window and number < (self._base or 0)
            if not is_old and len(self._arrivals) <= config.max_packets:
                break
            del self._arrivals[number]
            self._floor = max(self._floor, number)
            if self._base is not None:
                self._base = max(self._base, self._floor + 1)
