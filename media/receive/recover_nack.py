"""Recover by NACK: ask for packets that did not come (RFC 4585 §6.2.1), in time to be of use.

Two signs tell that a packet is missing:

* a gap in the stream's own numbers, seen when its next packet comes: certain, but at 15 frames
  a second 67 ms late;
* a gap in the transport-wide numbers, seen when *any* packet comes, sound each 20 ms: it does
  not tell whose packet is missing, so the next numbers of the stream are asked for on suspicion.
  A sender that has not sent them yet passes over the request.  This brings the share of frames
  that miss a 100 ms deadline at 10 % loss from 10 % to 2 %.

A packet is asked for at once where the path does not reorder, else after the time in which most
reordered packets come; where forward error correction flows, after the time in which that mends
most losses; again each round trip; never once its deadline has passed.  When it should
come is told to those who have to bridge the time.

Invariants:

1. At most ``max_missing`` packets are remembered.
2. No packet is asked for twice within ``max(round trip, 20 ms) + 10 ms``.
3. A packet that came is never asked for, nor one that the stream has gone on without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ringline.media.receive.arrival_delay import DelayHistogram

__all__ = ["NackConfig", "NackRecovery", "recovery_deadline"]

_REORDER_BIN: Final = 0.005
_REORDER_FORGET: Final = 0.98
_MEND_BIN: Final = 0.005
_MEND_SHARE: Final = 0.9
"""Of the losses that forward error correction mends, those to wait for."""

_ANSWER_SMOOTHING: Final = 0.1
"""Weight of each new answer: ten losses tell how long repair takes here, pacing included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NackConfig:
    """How a :class:`NackRecovery` behaves."""

    default_round_trip: float = 0.1
    """Seconds until the round trip is measured."""

    min_round_trip: float = 0.02
    """A retransmission takes this long even on a local network: the sender paces it."""

    retry_margin: float = 0.01
    """Added to the round trip before asking again: a little late is cheaper than twice."""

    min_deadline: float = 0.3
    """Seconds from noticing a loss for which the picture waits: a shorter freeze is not noticed
    as one."""

    deadline_round_trips: float = 6.0
    """The same in round trips, where that is longer: five requests, of which at 20 % loss one in
    three thousand fails, and at 20 % both ways one in 160.  With three of them a picture was given
    up each three seconds, for a key frame that fared no better."""

    max_deadline: float = 1.0
    """Bound of both: later a key frame is the better repair."""

    trusted_requests: int = 2
    """Requests for a packet after which it is doubtful that it comes in time: at a loss of 20 % one
    in 125 packets gets there.  A frame that does without it then costs less than waiting on."""

    trusted_time: float = 0.4
    """Seconds after which one request less will do."""

    max_missing: int = 1_000
    """Packets remembered as missing.  More is an outage, and nothing is asked for."""

    max_wait: float = 0.05
    """Seconds that reordering may make us wait before asking."""

    hold: float = 0.035
    """Seconds that forward error correction is given before asking, until it is known how long it
    takes: the repair packets of this picture, and of the next at 30 a second."""

    min_hold: float = 0.01
    max_hold: float = 0.07
    """Bounds of what is learned: two pictures at 30 a second, one at 15."""

    hold_after: float = 0.5
    """Seconds after the last repair packet for which more are reckoned with."""

    max_request: int = 200
    """Numbers of one request, so that it fits a datagram."""


def recovery_deadline(config: NackConfig, round_trip: float | None) -> float:
    """Return how many seconds a missing packet is waited for."""
    rtt = config.default_round_trip if round_trip is None else round_trip
    return min(max(config.min_deadline, config.deadline_round_trips * rtt), config.max_deadline)


@dataclass(slots=True)
class _Missing:
    noticed_at: float
    next_request: float
    asked_at: float | None = None
    suspected: bool = False  # from a transport-wide gap: it may not exist
    requests: int = 0


class NackRecovery:
    """Knows what is missing from one stream and when to ask for it.

    Args:
        config: Tuning.

    Attributes:
        requests: Packets asked for, each time counted.
        recovered: Packets that came after they were asked for.

    """

    def __init__(self, config: NackConfig | None = None) -> None:
        self._config: Final = config or NackConfig()
        self._reordering: Final = DelayHistogram(bin_width=_REORDER_BIN, forget=_REORDER_FORGET)
        self._missing: dict[int, _Missing] = {}
        self._highest: int | None = None
        self._last_arrival: float | None = None
        self._round_trip = self._config.default_round_trip
        self._deadline = recovery_deadline(self._config, None)
        self._due: float | None = None
        self._mending: Final = DelayHistogram(bin_width=_MEND_BIN)
        self._mended_until = -math.inf  # forward error correction is reckoned with
        self._answer_time: float | None = None  # from a request to its packet, smoothed
        self.requests = 0
        self.recovered = 0

    def handle_round_trip(self, round_trip: float) -> None:
        """Take a new measurement, in seconds."""
        self._round_trip = round_trip

    def set_deadline(self, deadline: float) -> None:
        """Set how many seconds after it was noticed a packet is still of use."""
        self._deadline = deadline

    def restart(self) -> None:
        """Forget what is missing: the stream begins anew."""
        self._missing.clear()
        self._highest = None
        self._due = None

    def handle_packet(self, sequence: int, now: float, *, retransmitted: bool = False) -> None:
        """Take the continued number of a packet that came."""
        missing = self._missing.pop(sequence, None)
        if missing is not None:
            self._learn(missing, now, retransmitted=retransmitted)
        if self._highest is None:
            self._highest = sequence
        elif sequence > self._highest:
            self._notice(self._highest + 1, sequence, now)
            self._highest = sequence
        if not retransmitted:
            self._last_arrival = now

    def handle_recovered(self, sequence: int, now: float) -> None:
        """Take the continued number of a packet that did not come and is not missed any more."""
        missing = self._missing.pop(sequence, None)
        if missing is not None:
            self._reordering.add(0.0)
            self._mending.add(now - missing.noticed_at)
        elif self._highest is not None and sequence > self._highest:
            self._notice(self._highest + 1, sequence, now)
            self._highest = sequence

    def handle_repair(self, last: int, now: float) -> None:
        """Take note of a repair packet: all numbers up to ``last`` are on their way or lost."""
        self._mended_until = now + self._config.hold_after
        if self._highest is not None and last > self._highest:
            self._notice(self._highest + 1, last + 1, now)
            self._highest = last

    def handle_transport_gap(self, count: int, now: float) -> None:
        """Suspect that the next ``count`` packets are lost: that many of the transport are.

        Only the part of the gap that the packet behind it does not explain belongs here.
        """
        if self._highest is None:
            return
        for sequence in range(self._highest + 1, self._highest + 1 + min(count, 16)):
            if sequence not in self._missing:
                self._add(sequence, now, suspected=True)

    def handle_passed(self, sequence: int) -> None:
        """Ask no more for what is before ``sequence``: the stream has gone on without it."""
        if not self._missing or min(self._missing) >= sequence:
            return
        for number in [number for number in self._missing if number < sequence]:
            del self._missing[number]

    def expected_at(self, now: float) -> tuple[float, float] | None:
        """Return when the first missing packet should come, or :obj:`None` if none is missing.

        Returns:
            Two moments: the one, and the one in case that this answer is lost.  A request whose
            answer is overdue is taken to have been lost.

        """
        missing = self._first_certain(now)
        if missing is None:
            return None
        answer = self._retry() if self._answer_time is None else self._answer_time
        answer += self._config.retry_margin
        if missing.asked_at is not None and now < missing.asked_at + answer:
            return missing.asked_at + answer, missing.next_request + answer
        when = max(missing.next_request, now) + answer
        if missing.asked_at is None and now < self._mended_until:
            return max(missing.next_request, now), when
        return when, when + self._retry()

    def is_doubtful(self, now: float) -> bool:
        """Tell whether a frame that does without the first missing packet is the better hope.

        It has been asked for often, or a second time and long ago.
        """
        if not self._missing:
            return False
        missing, config = self._missing[min(self._missing)], self._config
        since = now - missing.noticed_at
        return missing.requests > config.trusted_requests or (
            missing.requests > 1 and since > config.trusted_time
        )

    def poll_timeout(self) -> float | None:
        """Return when :meth:`poll_request` should next be called, or :obj:`None`."""
        return self._due

    def poll_request(self, now: float) -> list[int]:
        """Return the continued numbers to ask for at ``now``, oldest first; call until empty."""
        if self._due is None or now < self._due:
            return []
        config = self._config
        retry = self._retry()
        wanted: list[int] = []
        self._due = None
        for sequence in sorted(self._missing):
            missing = self._missing[sequence]
            if now >= missing.noticed_at + self._deadline:
                del self._missing[sequence]
                self._reordering.add(0.0)
                continue
            if now >= missing.next_request and len(wanted) < config.max_request:
                wanted.append(sequence)
                missing.asked_at = now
                missing.requests += 1
                missing.next_request = now + retry
            self._wake(min(missing.next_request, missing.noticed_at + self._deadline))
        self.requests += len(wanted)
        return wanted

    # Private

    def _notice(self, first: int, end: int, now: float) -> None:
        """Add the numbers from ``first`` to before ``end``, unless nothing can save them."""
        count = end - first
        if count == 0:
            return
        # They left spread over the time in which nothing came.  After an outage the oldest are
        # of no use any more, and to ask for them all would fill the path that has just returned.
        silence = 0.0 if self._last_arrival is None else now - self._last_arrival
        is_outage = silence * count / (count + 1) > 2 * self._deadline
        if is_outage or count > self._config.max_missing:
            self._missing.clear()
            self._due = None
            return
        for sequence in range(first, end):
            known = self._missing.get(sequence)
            if known is None:
                self._add(sequence, now, suspected=False)
            else:
                known.suspected = False

    def _add(self, sequence: int, now: float, *, suspected: bool) -> None:
        if len(self._missing) >= self._config.max_missing:
            del self._missing[next(iter(self._missing))]
        request = now + max(self._wait(), self._hold(now))
        self._missing[sequence] = _Missing(now, request, suspected=suspected)
        self._wake(request)

    def _first_certain(self, now: float) -> _Missing | None:
        """Return the oldest missing packet; a mere suspicion only where nothing tells better."""
        if not self._missing:  # as for nearly every packet
            return None
        numbers = sorted(self._missing)
        if now < self._mended_until:
            numbers = [
                number
                for number in numbers
                if not self._missing[number].suspected or self._missing[number].requests
            ]
        return self._missing[numbers[0]] if numbers else None

    def _retry(self) -> float:
        """Return the seconds between two requests for the same packet."""
        return max(self._round_trip, self._config.min_round_trip) + self._config.retry_margin

    def _wait(self) -> float:
        """Return how long to wait for a reordered packet: so that most of them come unasked."""
        # The first bin is packets that were lost or hardly late.
        usual = self._reordering.quantile(0.5)
        return 0.0 if usual <= _REORDER_BIN else min(usual, self._config.max_wait)

    def _hold(self, now: float) -> float:
        """Return how long forward error correction has before a packet is asked for."""
        config = self._config
        if now >= self._mended_until:
            return 0.0
        if self._mending.observations == 0:
            return config.hold
        return min(max(self._mending.quantile(_MEND_SHARE), config.min_hold), config.max_hold)

    def _learn(self, missing: _Missing, now: float, *, retransmitted: bool) -> None:
        """Tell a reordered packet from a repaired one, and remember which is usual here."""
        asked_at = missing.asked_at
        # Where there is no RTX, a repair looks like the packet itself; but no answer comes in
        # less than half of a round trip.
        came_late = not retransmitted and (
            asked_at is None or now - asked_at < 0.5 * self._round_trip
        )
        if came_late:
            if not missing.suspected:  # a suspected packet is usually just on time
                self._reordering.add(now - missing.noticed_at)
            return
        self._reordering.add(0.0)
        self.recovered += 1
        if asked_at is not None and missing.requests == 1:  # else it may answer any of them
            took = now - asked_at
            before = took if self._answer_time is None else self._answer_time
            self._answer_time = before + _ANSWER_SMOOTHING * (took - before)

    def _wake(self, when: float) -> None:
        self._due = when if self._due is None else min(self._due, when)
