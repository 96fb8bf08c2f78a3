"""Failover: tell soon, and never wrongly, that the selected pair has died while another lives.

::

              nothing for twice the usual gap,
              or the relay's host says no           an answer, or data
    TRUSTED ──────────────────────────> SUSPECTED ───────────────────> TRUSTED
                                          │  every pair of another relay is checked
                                          v
       enough that should have come did not, while another pair answered: FAILED

A relay that dies takes its pairs along without a word; consent (RFC 7675) needs seconds to see it.
Media that stops tells at once that something is wrong, but not what: a pause of the speaker, a
burst of loss and a dead network look the same at first.  So silence only makes us ask, and what is
asked of is the selected pair *and* the others.  Who answers decides.

Invariants:

1. A pair that anything came by within ``fail_after`` has not failed.
2. Without another pair that answers none has failed: an outage of everything changes nothing.
3. The less often something usually comes, the longer it takes: in the pauses of a speaker (DTX)
   few packets are missing, so more checks must be.

Sans I/O: part of :class:`~.check_list.CheckList`, which says what came and does what is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FailoverConfig", "SilenceWatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverConfig:
    """Times in seconds."""

    suspect_after: float = 0.25
    """Silence that makes us ask: four packets of 60 ms, the longest that sound is sent in."""

    fail_after: float = 0.6
    """Silence after which a pair may have failed: a network that holds everything back for half
    a second is common, and sound has to be back within one."""

    refused_fail_after: float = 0.3
    """Likewise where the relay's host reports that nobody listens there (ICMP)."""

    probe_interval: float = 0.08
    """Between checks of a suspected pair, whatever its round trip."""

    probe_for: float = 1.0
    """How long a suspicion is asked about so often; the usual checks follow."""

    beside: float = 0.2
    """How long another pair must have answered before the silence of this one counts: when a
    whole network comes back, one of them is heard first."""

    evidence: float = 12.0
    """Packets and answers that should have come and did not.  With 20 % lost each way an answer
    stays out 36 times of 100, so this happens once in 200,000."""

    longest_usual_gap: float = 0.5
    """Where packets come more seldom than this none is missed; checks for consent are all."""

    distrust_for: float = 10.0
    """How long a pair that failed is the last choice; twice as long each time it fails again."""

    longest_distrust: float = 300.0
    """The most of it."""


class SilenceWatch:
    """Watches one pair, the selected one.

    Args:
        config: Times.

    Attributes:
        suspected_at: When the present suspicion began, or :obj:`None`.

    """

    def __init__(self, config: FailoverConfig) -> None:
        self._config: Final = config
        self.suspected_at: float | None = None
        self._heard_at = 0.0  # anything
        self._data_at: float | None = None  # media and messages
        self._usual: float | None = None  # gap between data: the longest of late, forgotten slowly
        self._refused = False
        self._unanswered = 0
        self._asked_at = 0.0  # when asking began, or began again

    def begin(self, now: float) -> None:
        """Watch another pair: nothing is known of it yet."""
        self._heard_at = now
        self._data_at = self._usual = self.suspected_at = None
        self._refused = False
        self._unanswered = 0

    def handle_data(self, now: float) -> None:
        """Take that media or a message came by the pair."""
        if self._data_at is not None:
            gap = now - self._data_at
            usual = gap if self._usual is None else self._usual
            self._usual = max(gap, usual + (gap - usual) / 32)
        self._data_at = now
        self._trust(now)

    def handle_answer(self, now: float) -> None:
        """Take that an authenticated check or answer came by the pair."""
        if self.suspected_at is not None and self._data_at is not None:
            # Data stays out although the pair works: so it may, the next time.
            self._usual = max(self._usual or 0.0, now - self._data_at)
        self._trust(now)

    def handle_refused(self, now: float) -> None:
        """Take a word from outside, not authenticated, that the pair's relay is gone."""
        self._refused = True
        self._suspect(now)

    def handle_probe(self) -> None:
        """Take that the pair was asked once more."""
        if self.suspected_at is not None:
            self._unanswered += 1

    def handle_other_alive(self, now: float) -> None:
        """Take that another pair answered for the first time in this suspicion."""
        self._asked_at = now

    def handle_timeout(self, now: float) -> bool:
        """Let time pass; return whether a suspicion has begun."""
        due = self._suspect_due()
        if self.suspected_at is not None or due is None or now < due:
            return False
        self._suspect(now)
        return True

    def asks(self, now: float) -> bool:
        """Tell whether checks are to leave every ``probe_interval``."""
        return self.suspected_at is not None and now - self._asked_at < self._config.probe_for

    def has_failed(self, now: float, *, other_since: float, round_trip: float) -> bool:
        """Tell whether the pair is dead.

        Args:
            now: The present.
            other_since: When the first check left that another pair answered in this suspicion.
            round_trip: Of this pair, seconds.

        """
        config = self._config
        if self.suspected_at is None:
            return False
        silence = now - self._heard_at
        beside = now - other_since
        if silence < (config.refused_fail_after if self._refused else config.fail_after):
            return False
        if beside < max(config.beside, 1.5 * round_trip):
            return False
        usual = self._usual or config.longest_usual_gap
        missed = silence / max(usual, 0.02) + self._unanswered
        return self._unanswered >= 3 and (self._refused or missed >= config.evidence)

    def poll_timeout(self) -> float | None:
        """Return when to call :meth:`handle_timeout`, or :obj:`None`."""
        return None if self.suspected_at is not None else self._suspect_due()

    def _suspect_due(self) -> float | None:
        usual, config = self._usual, self._config
        if usual is None or usual > config.longest_usual_gap:
            return None
        return self._heard_at + max(config.suspect_after, 2 * usual)

    def _suspect(self, now: float) -> None:
        if self.suspected_at is None:
            self.suspected_at = self._asked_at = now
            self._unanswered = 0

    def _trust(self, now: float) -> None:
        self._heard_at = max(self._heard_at, now)
        self.suspected_at = None
        self._refused = False
