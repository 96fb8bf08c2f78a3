"""Check list: which address pair to check when, and which one media takes (RFC 8445 §6 to §8).

::

                    handle_response                  best of the valid ones
    add_pair ─> waiting ───────────> valid ─────────────────────────────────> selected
                   │    <───────────   │        (controlled: where the other side nominates)
                   v     unanswered    v
                 poll_check: soon, again after 50 ms, 100 ms, ... ; when selected, for consent

Differs from the letter of the RFC where speed asks for it, and stays compatible:

* The selected pair carries data from its first answer on, nominated or not (§12.1 allows it);
  receiving works on every pair.
* Direct pairs are nominated by their first check, as agents of RFC 5245 do, so that a peer which
  waits for nomination gets its path one round trip earlier.
* Checks go on after nomination, and a better pair that becomes valid later is moved to and
  nominated by the same flag: libwebrtc and aioice follow it.

Invariants:

1. A relayed pair is not selected while a direct one is alive, and not nominated before
   ``relay_wait`` has passed or no direct pair is left to hope for.
2. A pair that answers is selected as long as no better one answers.
3. Checks of one list leave at most every ``pace``, except triggered ones, each of which answers
   an authenticated check of the other side.
4. The list never ends by itself: losing every pair only makes it search.
5. A pair that fails (:mod:`.failover`) is left for one that answers, and chosen again only if
   nothing else works, all else failed later, or it has answered for long.
6. No pair is selected for longer than ``consent_expires`` after its last answer.

Sans I/O: feed ``handle_*``, then drain :meth:`CheckList.poll_check`, then call again at
:meth:`CheckList.poll_timeout`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Final, Generic, TypeVar

from ringline.client.failover import FailoverConfig, SilenceWatch

__all__ = ["Check", "CheckConfig", "CheckList", "Pair"]

SocketT = TypeVar("SocketT")

_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig:
    """Times in seconds."""

    pace: float = 0.005
    """Between two checks: the least that RFC 8445 §14.2 allows.  A check is some 100 bytes, so
    this is 160 kbit/s for the fraction of a second that the first round takes."""

    first_retry: float = 0.05
    """RFC 8445 §14.3 asks for 500 ms; a lost first check would then cost more than the whole
    set-up.  libwebrtc pings a weak pair every 48 ms."""

    retry_growth: float = 1.6
    """50, 80, 128, 205, 328, 524 ms: six tries in the first second and a quarter."""

    last_retry: float = 1.0
    """Where the growth ends."""

    consent_interval: float = 1.0
    """Between checks of the selected pair, plus or minus a fifth (RFC 7675 §5.1 asks for the
    variation; its 5 s would hide a lost path for too long)."""

    urgent_interval: float = 0.25
    """Likewise at most while it does not answer: a link that comes back is noticed at once."""

    standby_interval: float = 5.0
    """Between checks of other valid pairs: keeps them proven and their NAT bindings open
    (RFC 8445 §11 asks for 15 s)."""

    standby_pairs: int = 3
    """How many others are kept so, each of another foundation: two pairs over the same two relays
    would die together."""

    failover: FailoverConfig = field(default_factory=FailoverConfig)
    """When the selected pair is left for one of those."""

    alive_for: float = 2.5
    """After its last answer a pair counts as alive.  Late answers count, so a round trip of
    many seconds is alive as long as answers come at all."""

    consent_expires: float = 30.0
    """After its last answer nothing may be sent on a pair any more (RFC 7675 §5.1)."""

    relay_wait: float = 0.3
    """How long a direct pair may take before a relayed one is nominated.  Costs no time: media
    flows over the relayed pair meanwhile.  (pion waits 2 s, but moves never again.)"""

    nomination_hold: float = 0.5
    """A peer that nominates by every first check names many pairs within this; the best of
    those is meant.  Later, the newest is."""

    give_up_pair_after: float = 30.0
    """A pair without any answer for so long is no longer checked, unless nothing else works."""


@dataclass(slots=True, eq=False)
class Pair(Generic[SocketT]):
    """A local socket and a remote address.

    Attributes:
        priority: RFC 8445 §6.1.2.3; updated when the role or the remote candidate changes.
        direct: Neither end is relayed.
        foundation: Equal for pairs that share the servers of both ends (RFC 8445 §6.1.2.6).
        leaving: Its socket will go: the last choice.
        proved_since: When the first check left that was answered since the selected pair is
            suspected, or :obj:`None`.
        failed_at: When it last failed.
        distrusted_until: It failed, and is the last choice until then.
        answered_at: When the last authenticated answer came.
        round_trip: Smoothed, seconds.
        least_round_trip: Of all answers, seconds.
        nominated_at: When the other side last nominated it.
        nominated: The other side knows that we nominated it.
        mapped: The other side sees us at another address than our socket's: a NAT is between.

    """

    socket: SocketT
    remote: tuple[str, int]
    priority: int
    direct: bool
    foundation: object = None
    leaving: bool = False
    valid: bool = False
    added_at: float = 0.0
    checked_at: float = _NEVER
    answered_at: float = _NEVER
    nominated_at: float = _NEVER
    nominated: bool = False
    mapped: bool = False
    round_trip: float = 0.0
    least_round_trip: float = 0.0
    due: float = 0.0
    retry: float = 0.0
    proved_since: float | None = None
    failed_at: float = _NEVER
    distrusted_until: float = _NEVER
    failures: int = 0

    @property
    def rank(self) -> tuple[bool, int]:
        """The order of preference."""
        return (self.direct, self.priority)


@dataclass(slots=True)
class Check(Generic[SocketT]):
    """A check to send now, with USE-CANDIDATE or without."""

    pair: Pair[SocketT]
    nominate: bool


@dataclass(slots=True)
class CheckList(Generic[SocketT]):
    """The pairs of one generation.

    Args:
        config: Times.
        controlling: Whether we nominate.
        rng: For the variation of intervals.

    Attributes:
        selected: The pair that data is sent on, or :obj:`None` before any has answered.

    """

    config: CheckConfig
    controlling: bool
    rng: random.Random
    selected: Pair[SocketT] | None = None
    _pairs: list[Pair[SocketT]] = field(default_factory=list)
    _triggered: deque[Pair[SocketT]] = field(default_factory=deque)
    _followed: Pair[SocketT] | None = None  # what the other side, controlling, nominated
    _started_at: float | None = None
    _paced_until: float = _NEVER
    _watch: SilenceWatch = field(init=False)

    MAX_PAIRS: ClassVar[int] = 300
    """Three local addresses and a hundred remote candidates."""

    def __post_init__(self) -> None:
        """Watch over what will be selected."""
        self._watch = SilenceWatch(self.config.failover)

    # Inputs

    def add_pair(
        self,
        socket: SocketT,
        remote: tuple[str, int],
        *,
        priority: int,
        direct: bool,
        now: float,
        foundation: object = None,
    ) -> Pair[SocketT]:
        """Return the pair of these two, added if it is new.

        Without a ``foundation`` it shares none with another pair.  Beyond ``MAX_PAIRS`` the least
        preferred that never answered makes room.
        """
        for pair in self._pairs:
            if pair.socket is socket and pair.remote == remote:
                if pair.rank != (direct, priority):
                    pair.direct, pair.priority = direct, priority
                    self._sort()
                pair.foundation = foundation or pair.foundation  # peer-reflexive ones learn it
                return pair
        pair = Pair(socket, remote, priority, direct, foundation or (socket, remote))
        pair.leaving = any(p.leaving for p in self._pairs if p.socket is socket)
        pair.added_at = now
        pair.due = now
        pair.retry = self.config.first_retry
        if len(self._pairs) >= self.MAX_PAIRS:
            spare = next((p for p in reversed(self._pairs) if not p.valid), self._pairs[-1])
            self._drop(spare, now)
        self._pairs.append(pair)
        self._sort()
        return pair

    def remove_socket(self, socket: SocketT, now: float) -> None:
        """Forget every pair of a socket that is gone."""
        for pair in [pair for pair in self._pairs if pair.socket is socket]:
            self._drop(pair, now)

    def leave_socket(self, socket: SocketT, now: float) -> None:
        """Make the pairs of a socket that will go the last choice."""
        for pair in self._pairs:
            if pair.socket is socket:
                pair.leaving = True
            elif pair.valid:
                pair.due = now  # which of them could take over?
        self._select(now)

    def start(self, now: float) -> None:
        """Begin: the credentials of the other side are known."""
        if self._started_at is None:
            self._started_at = now
            for pair in self._pairs:
                pair.added_at = now
                pair.due = min(pair.due, now)

    def handle_request(self, pair: Pair[SocketT], now: float, *, nominate: bool) -> None:
        """Take an authenticated check of the other side, already answered."""
        if pair is self.selected:
            self._watch.handle_answer(now)
        if nominate and not self.controlling:
            pair.nominated_at = now
            self._follow(pair, now)
        if pair.valid:
            self._select(now)
        elif now - pair.checked_at > self.config.first_retry / 2 and pair not in self._triggered:
            # Their check may have opened the way that ours was lost on (RFC 8445 §7.3.1.4).
            self._triggered.append(pair)

    def handle_response(
        self, pair: Pair[SocketT], round_trip: float, now: float, *, nominated: bool
    ) -> None:
        """Take an authenticated answer, however late.

        Args:
            pair: That was checked.
            round_trip: From this very check to its answer, seconds.
            now: The present.
            nominated: The check had USE-CANDIDATE.

        """
        if pair.valid:
            pair.round_trip += (round_trip - pair.round_trip) / 4
            pair.least_round_trip = min(pair.least_round_trip, round_trip)
        else:
            pair.round_trip = pair.least_round_trip = round_trip
        pair.valid = True
        pair.answered_at = now
        pair.retry = self.config.first_retry
        self._heed_answer(pair, now - round_trip, now)
        if nominated and self.controlling and self.selected in (None, pair):
            pair.nominated = True
        self._select(now)
        pair.due = now + self._rest(pair)
        if pair is self.selected:
            pair.due = min(pair.due, self._nomination_due(pair, now))

    def handle_data(self, socket: SocketT, remote: tuple[str, int], now: float) -> None:
        """Take that something else than a check came from there."""
        pair = self.selected
        if pair is not None and pair.socket is socket and pair.remote == remote:
            self._watch.handle_data(now)

    def handle_refused(self, socket: SocketT, now: float) -> None:
        """Take a report, not authenticated, that what a socket sends reaches nobody."""
        if self.selected is not None and self.selected.socket is socket:
            if self._watch.suspected_at is None:
                self._ask_everybody(now)
            self._watch.handle_refused(now)

    def handle_role(
        self, priority: Callable[[Pair[SocketT]], int], now: float, *, controlling: bool
    ) -> None:
        """Change sides after a role conflict (RFC 8445 §7.3.1.1).

        Args:
            priority: Of a pair, in the new role.
            now: The present.
            controlling: The new role.

        """
        self.controlling = controlling
        self._followed = None
        for pair in self._pairs:
            pair.priority = priority(pair)
            pair.nominated = False
            if not pair.valid:
                pair.due = now
        self._sort()
        self._select(now)

    def handle_timeout(self, now: float) -> None:
        """Let time pass: a pair may have died, or its consent may have expired."""
        for pair in self._pairs:
            if pair.valid and now - pair.answered_at >= self.config.consent_expires:
                pair.valid = pair.nominated = False
                if pair is self.selected:
                    self.selected = None
        if self._watch.handle_timeout(now):
            self._ask_everybody(now)
        self._fail_over(now)
        self._select(now)

    # Outputs

    def poll_check(self, now: float) -> Check[SocketT] | None:
        """Return a check to send at once, or :obj:`None` until :meth:`poll_timeout`."""
        if self._started_at is None:
            return None
        while self._triggered:
            pair = self._triggered.popleft()
            if pair in self._pairs and not pair.valid:
                return self._check(pair, now)
        if now < self._paced_until:
            return None
        for pair in self._pairs:  # by preference
            if pair.due <= now:
                self._paced_until = now + self.config.pace
                return self._check(pair, now)
        return None

    def poll_timeout(self) -> float | None:
        """Return when to call :meth:`handle_timeout` and :meth:`poll_check` again."""
        if self._started_at is None or not self._pairs:
            return None
        if self._triggered:
            return self._paced_until
        due = max(min(pair.due for pair in self._pairs), self._paced_until)
        silence = None if self.selected is None else self._watch.poll_timeout()
        return due if silence is None else min(due, silence)

    def __iter__(self) -> Iterator[Pair[SocketT]]:
        """Every pair, the preferred first."""
        return iter(self._pairs)

    # When to check

    def _check(self, pair: Pair[SocketT], now: float) -> Check[SocketT]:
        pair.checked_at = now
        if pair is self.selected:
            self._watch.handle_probe()
        pair.due = now + self._patience(pair, now)
        return Check(pair, self._nominates(pair, now))

    def _patience(self, pair: Pair[SocketT], now: float) -> float:
        """Return how long to wait for the answer to a check before the next."""
        config = self.config
        if self._is_asked(pair, now):
            return config.failover.probe_interval
        searching = self._is_late(now)
        if now - max(pair.added_at, pair.answered_at) > config.give_up_pair_after and not searching:
            return float("inf")
        wait = pair.retry
        if pair is self.selected:
            limit = config.urgent_interval
        else:
            limit = config.last_retry if searching else config.standby_interval
        pair.retry = min(wait * config.retry_growth, limit)
        return max(min(wait, limit), 1.5 * pair.round_trip)

    def _rest(self, pair: Pair[SocketT]) -> float:
        """Return how long an answer lasts before the next check."""
        config = self.config
        if pair is self.selected:
            return config.consent_interval * self.rng.uniform(0.8, 1.2)
        if pair in islice(self._standbys(), config.standby_pairs):
            return config.standby_interval
        return float("inf")

    def _standbys(self) -> Iterator[Pair[SocketT]]:
        """Yield the best valid pair of each foundation but the selected one's, best first."""
        selected = self.selected
        seen = set() if selected is None else {selected.foundation}
        for pair in self._pairs:
            if pair.valid and pair.foundation not in seen:
                seen.add(pair.foundation)
                yield pair

    def _is_late(self, now: float) -> bool:
        """Whether the selected pair owes an answer for longer than it usually takes."""
        pair = self.selected
        if pair is None:
            return True
        rest = self.config.consent_interval * 1.2
        patience = max(self.config.urgent_interval, 1.5 * pair.round_trip)
        return now - pair.answered_at > rest + 2 * patience

    # Failover

    def _ask_everybody(self, now: float) -> None:
        """Check the suspected pair and those that could stand in for it."""
        for pair in self._pairs:
            pair.proved_since = None
        if self.selected is not None:
            self.selected.due = now
        for pair in islice(self._standbys(), 2 * self.config.standby_pairs):
            pair.due = now

    def _is_asked(self, pair: Pair[SocketT], now: float) -> bool:
        if not self._watch.asks(now):
            return False
        return pair is self.selected or (pair.valid and pair.proved_since is None)

    def _heed_answer(self, pair: Pair[SocketT], sent_at: float, now: float) -> None:
        suspected_at = self._watch.suspected_at
        if pair is self.selected:
            self._watch.handle_answer(now)
        elif suspected_at is not None and pair.proved_since is None and sent_at >= suspected_at:
            if not any(other.proved_since is not None for other in self._pairs):
                self._watch.handle_other_alive(now)
                if self.selected is not None:
                    self.selected.due = min(self.selected.due, now)
            pair.proved_since = sent_at

    def _fail_over(self, now: float) -> None:
        failed, config = self.selected, self.config.failover
        suspected_at = self._watch.suspected_at
        if failed is None or suspected_at is None or failed.failed_at >= suspected_at:
            return  # told once of each suspicion
        since = [p.proved_since for p in self._pairs if p.proved_since is not None and p.valid]
        if since and self._watch.has_failed(
            now, other_since=min(since), round_trip=failed.round_trip
        ):
            distrust = min(config.distrust_for * 2**failed.failures, config.longest_distrust)
            for pair in self._pairs:
                if pair.proved_since is not None:
                    continue
                if pair.foundation == failed.foundation:
                    pair.failed_at = now
                    pair.distrusted_until = now + distrust
                    pair.failures = min(pair.failures + 1, 10)
                else:
                    # It may hang on the same relay: asked with the others, it did not answer.  By
                    # the end of this it has answered, or does not count as alive any more.
                    until = now + self.config.alive_for
                    pair.distrusted_until = max(pair.distrusted_until, until)

    # Which pair is selected

    def _select(self, now: float) -> None:
        current = self.selected
        best = self._best(now)
        if best is None or best is current:
            if current is not None and self._is_late(now):
                self._hurry(now)
            return
        if current is not None:
            current.nominated = False  # should it be selected again, they must be told
        self.selected = best
        self._watch.begin(now)
        best.due = min(best.due, self._nomination_due(best, now))

    def _best(self, now: float) -> Pair[SocketT] | None:
        alive = [p for p in self._pairs if p.valid and now - p.answered_at < self.config.alive_for]
        followed = self._followed
        choice = [p for p in alive if not p.leaving and now >= p.distrusted_until]
        if alive and not choice:
            # Rather one that is leaving, or failed long ago, than the one that fails now.
            oldest = min(pair.failed_at for pair in alive)
            choice = [pair for pair in alive if pair.failed_at == oldest]
        if not self.controlling and followed is not None and followed in choice:
            return followed
        return max(choice, key=lambda pair: pair.rank, default=None)

    def _follow(self, pair: Pair[SocketT], now: float) -> None:
        followed = self._followed
        if (
            followed is None
            or pair.rank >= followed.rank
            or now - followed.nominated_at > self.config.nomination_hold
        ):
            self._followed = pair

    def _hurry(self, now: float) -> None:
        """Check every other valid pair soon: one of them may still work."""
        for pair in self._pairs:
            if pair.due > now + self.config.last_retry:
                pair.due = now + self.config.urgent_interval

    # Nomination

    def _nominates(self, pair: Pair[SocketT], now: float) -> bool:
        if not self.controlling:
            return False
        if self.selected is None:
            return pair.direct
        return pair is self.selected and now >= self._accepted_at(pair)

    def _accepted_at(self, pair: Pair[SocketT]) -> float:
        """Return from when on a pair may be nominated."""
        if pair.direct or self._started_at is None:
            return _NEVER
        hopes = any(p.direct and not p.valid for p in self._pairs)
        return self._started_at + self.config.relay_wait if hopes else _NEVER

    def _nomination_due(self, pair: Pair[SocketT], now: float) -> float:
        """Return when a pair just selected should be checked to nominate it."""
        if not self.controlling or pair.nominated:
            return float("inf")
        return max(now, self._accepted_at(pair))

    def _drop(self, pair: Pair[SocketT], now: float) -> None:
        self._pairs.remove(pair)
        if pair is self._followed:
            self._followed = None
        if pair is self.selected:
            self.selected = None
            self._select(now)

    def _sort(self) -> None:
        self._pairs.sort(key=lambda pair: pair.rank, reverse=True)
