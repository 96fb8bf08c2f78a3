"""Playout delay: how long is a browser to hold pictures, so that retransmissions come in time?

libwebrtc waits for jitter only where ULPFEC was negotiated: what parity did not mend stops the
picture until its retransmission is there, each time.  Where that happens again and again, a
picture that is later by a round trip and does not stop is the better one, and the sender may say
so (the ``playout-delay`` header extension).  Where retransmissions are lost as often as that, it
is two round trips.  The browser lets sound wait along.

Our own receiver judges for itself (:mod:`ringline.media.receive.render_delay`) and is told nothing.

Invariants:

1. Nothing is said before retransmissions have become a habit, and then again and again: the packet
   that carries it may be lost.
2. What is said stays within ``0 .. max_delay``, and changes by at most ``slew`` a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["PlayoutDelay", "PlayoutDelayConfig"]

_UNIT: Final = 0.01  # seconds
_NO_LIMIT: Final = 1000
"""Ten seconds, libwebrtc's own bound.  Below half a second, with a least of 0, it would take it for
a wish to show everything at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayoutDelayConfig:
    """When to wait, and for how long."""

    habit: float = 0.1
    """Pictures asked for again a second from which a browser is told to wait: at less than one in
    ten seconds each is a short stop, and seldom enough."""

    rare: float = 0.04
    """And below which it is told to wait no more."""

    memory: float = 15.0
    """Seconds after which a request weighs a third, as in our own receiver."""

    least_observed: float = 3.0
    """Seconds of the stream that a rate is told by at least: two losses in its first second tell
    as little as one."""

    tries: int = 3
    """Retransmissions of a packet that may be waited for."""

    margin: float = 0.04
    """Seconds over the round trips until the retransmission is there: the loss is noticed by the
    packet behind it, often the next picture's, and the pacer may be sending something else."""

    max_delay: float = 0.35
    """Seconds.  With the path's own time more is no conversation, so what takes longer is not
    waited for at all."""

    dead_zone: float = 0.03
    """Seconds by which another delay must differ to be wanted."""

    slew: float = 0.1
    """Seconds by which the delay changes in a second: the browser takes what it is told at once,
    and stops for as long.  Its sound follows by stretching, and a fifth of real time is heard:
    PESQ fell from 3.7 to 3.3 at 500 kbit/s and 200 ms of round trip."""


class PlayoutDelay:
    """Decides for one stream.

    Args:
        config: Tuning.
        now: The present.

    Attributes:
        delay: Seconds that pictures are to be held at least; 0.0: as the receiver likes.

    """

    def __init__(self, config: PlayoutDelayConfig | None = None, *, now: float) -> None:
        self._config: Final = config or PlayoutDelayConfig()
        self.delay = 0.0
        self._tries = 0  # that are waited for
        self._wanted = 0.0
        self._moved_at = now
        self._repeated = [0.0] * self._config.tries  # pictures, by how often; as remembered
        self._began = now
        self._at: float | None = None
        self._round_trip = 0.0

    def handle_repeated(self, tries: Iterable[int], round_trip: float, now: float) -> None:
        """Take note that parts of pictures are sent again.

        Args:
            tries: For each picture of the request how often that makes, 1 or more.
            round_trip: Seconds.
            now: The present.

        """
        self._forget(now)
        for number in tries:
            self._repeated[min(number, len(self._repeated)) - 1] += 1.0
        self._round_trip = round_trip

    def poll_limits(self, now: float) -> tuple[int, int] | None:
        """Return the extension for a picture that is sent now; :obj:`None`: there is none."""
        if self._at is None:
            self._moved_at = now
            return None
        self._forget(now)
        config = self._config
        observed = max(now - self._began, config.least_observed)
        seconds = config.memory * -math.expm1(-observed / config.memory)
        # What is a habit stays one until it has become rare.
        while self._tries < config.tries and self._repeated[self._tries] >= config.habit * seconds:
            self._tries += 1
        while self._tries and self._repeated[self._tries - 1] < config.rare * seconds:
            self._tries -= 1
        tries, wanted = self._tries, 0.0
        while tries and (wanted := tries * self._round_trip + config.margin) > config.max_delay:
            tries, wanted = tries - 1, 0.0
        if abs(wanted - self._wanted) >= config.dead_zone:
            self._wanted = wanted
        step = config.slew * min(now - self._moved_at, 1.0)
        self._moved_at = now
        self.delay += min(max(self._wanted - self.delay, -step), step)
        return round(self.delay / _UNIT), _NO_LIMIT

    def _forget(self, now: float) -> None:
        if self._at is not None:
            keep = math.exp(-(now - self._at) / self._config.memory)
            self._repeated = [pictures * keep for pictures in self._repeated]
        self._at = now
