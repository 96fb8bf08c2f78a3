"""Allocate audio: how sound spends its bits: rate, length of packets, copies against loss.

Each way to send sound has a price, in bits and in delay, and a worth: what a listener thinks of it
at the loss of the moment.  The best bargain is taken.  So there are no thresholds by rate or loss
to keep consistent; redundancy comes with the first losses where there is room, and where there is
not, the picture pays for what sound needs more.

Worth is on the scale of PESQ (1 to 4.6).  It was fitted to speech sent through libopus 1.3 at the
rates, packet lengths, losses (5 to 30 %), bursts and copies that are chosen from here.

Invariants:

1. The plan keeps to what the other side takes.
2. It costs no more than the budget, unless the least plan does.
3. More protection comes at once; less, or another rate, when it has been better for a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ringline.media.congestion.loss_pattern import residual_loss
from ringline.media.rtp.red import MAX_TIMESTAMP_OFFSET

__all__ = ["AudioDemand", "AudioPlan", "AudioPlanner"]

_FRAME: Final = 960  # samples, 20 ms

_WORTH: Final = (
    *((12_000, 3.82), (16_000, 4.06), (20_000, 4.24), (24_000, 4.32)),
    *((32_000, 4.42), (48_000, 4.50), (64_000, 4.60)),
)
"""Net rate and PESQ-WB without loss, the same at 20, 40 and 60 ms.  Below 12 kbit/s speech turns
hollow (2.6 at 8), and with headers taken the saving is small.  Above 32 voices differ: 64 kbit/s
give from 0.1 to 0.4 more, a fifth on average, and on a wide link they cost next to nothing."""

_LOSS_SCALE: Final = 0.1
_LOSS_POWER: Final = 0.65
"""PESQ above 1 falls as exp(-(loss / 0.1) ** 0.65), within 0.3, be it 5 % lost without copies or
what is left of 20 % with two: the first losses hurt most."""

_LEAST_LOSS: Final = 0.002
"""Less counts as none: a loss each 10 s, or what is remembered of one that is long past."""

_WAIT_WORTH: Final = 0.1
"""What 20 ms more of delay cost: 0.1 by the E-model (ITU-T G.107) above 177 ms from mouth to ear,
where a bad path has one soon.  Below it would be 0.02, but pictures wait for the sound as well."""

_PACKET_WORTH: Final = 0.2
"""Likewise for the length of packets, which delays at either end and at all times, while a copy is
waited for only where it is needed: 40 ms below some 200 kbit/s in all, 60 below 90."""

_PICTURE_WORTH: Final = 2.5
"""Of the logarithm of the picture's rate: halving it costs 1.7.  Sound comes first, so much that
150 kbit/s buy 20 kbit/s of it, not 32; and so that copies are not dearer than they mend."""

_PICTURE_LOSS: Final = 4.0
_LEAST_PICTURE_WORTH: Final = 0.1
"""A path that loses packets spoils the picture too: at 10 % it is worth 40 % less.  The least of
it, without a picture as well, leaves room for reports and for a rate that wavers."""

_MAX_SHARE: Final = 0.9
"""Of the budget for sound, but for the least plan."""

_DISTANCES: Final[tuple[tuple[int, ...], ...]] = (
    (),
    (1,),
    (2,),
    (1, 2),
    (1, 3),
    (2, 4),
    (1, 2, 3),
    (2, 4, 6),
)
"""How many packets behind copies are sent.  Wide ones outlive bursts: at 10 % lost three in a row,
(1, 2) score 2.8, (1, 3) 3.1, (2, 4) 3.4; a fourth copy mends nothing that the third did not."""

_INTERVAL: Final = 0.25
"""Seconds between decisions while the budget does not fall: what losses tell changes no faster."""

_MARGIN: Final = 0.03
_PATIENCE: Final = 4.0
"""Worth by which another plan must be better, and seconds for which."""

_RISEN: Final = 1.5
_SHORT_PATIENCE: Final = 0.5
"""Share of what it was made for from which the budget is another one, and the seconds then: what a
rate that was cut to empty a queue allowed is no measure of what it allows afterwards."""

_URGENT: Final = 0.3
_FALLEN: Final = 0.9
"""Worth from which it is taken at once if the budget has fallen to this share of what it was when
the present plan was made: the picture starves."""


@dataclass(slots=True)
class AudioDemand:
    """The state of the path, and what there is to send.

    Attributes:
        budget: Bits per second on the wire for everything.
        picture: Whether a picture wants the rest.
        loss: Share of the sound's packets lost, 0.0 to 1.0.
        cohesion: How much losses keep together, as
            :attr:`~ringline.media.congestion.loss_pattern.LossPattern.cohesion`.

    """

    budget: float
    picture: bool
    loss: float
    cohesion: float = 0.0


@dataclass(frozen=True, slots=True)
class AudioPlan:
    """How sound is sent.

    Attributes:
        bitrate: Of the encoder, net, bits per second.
        frame_samples: Of a packet, at 48 kHz.
        distances: How many packets behind copies are sent, ascending; empty for none.
        gross: Bits per second on the wire with copies and headers.

    """

    bitrate: int
    frame_samples: int
    distances: tuple[int, ...]
    gross: int

    @property
    def reach(self) -> int:
        """Samples that the last copy is behind."""
        return (self.distances[-1] if self.distances else 0) * self.frame_samples


class AudioPlanner:
    """Chooses, for one stream.

    Args:
        overhead: Bytes around a payload on the wire, headers of every layer included.
        red: Whether the other side takes copies.
        frame_samples: Packet lengths that it takes, at 48 kHz.

    Attributes:
        plan: The present choice.

    """

    def __init__(
        self, *, overhead: int, red: bool, frame_samples: tuple[int, ...] = (_FRAME,)
    ) -> None:
        self._candidates: Final = [  # with their worth without loss, and what waiting takes of it
            (plan := _plan(bitrate, frame, distances, overhead), worth, _wait_price(plan))
            for frame in frame_samples
            for distances in (_DISTANCES if red else _DISTANCES[:1])
            if not distances or distances[-1] * frame <= MAX_TIMESTAMP_OFFSET
            for bitrate, worth in _WORTH
        ]
        self._least: Final = min((plan for plan, *_ in self._candidates), key=lambda p: p.gross)
        # Until anything is known of the path: whole sound, no copies.
        self.plan: AudioPlan = next(
            plan for plan, *_ in reversed(self._candidates) if not plan.distances
        )
        self._decided_at: float | None = None
        self._budget = 0.0
        self._better_since: float | None = None

    def update(self, demand: AudioDemand, now: float) -> AudioPlan:
        """Return how to send from now on."""
        if (
            self._decided_at is not None
            and now - self._decided_at < _INTERVAL
            and demand.budget >= _FALLEN * self._budget
        ):
            return self.plan
        first, self._decided_at = self._decided_at is None, now
        present = best = None
        best_plan = self._least
        loss = demand.loss if demand.loss >= _LEAST_LOSS else 0.0
        residuals = {
            distances: residual_loss(loss, demand.cohesion, distances) for distances in _DISTANCES
        }
        intact = {
            distances: math.exp(-((residual / _LOSS_SCALE) ** _LOSS_POWER))
            for distances, residual in residuals.items()
        }
        picture = max(demand.picture - _PICTURE_LOSS * demand.loss, _LEAST_PICTURE_WORTH)
        picture *= _PICTURE_WORTH
        for plan, clean, wait in self._candidates:
            if plan.gross > _MAX_SHARE * demand.budget:
                continue  # not affordable
            # To who listens, and to who looks.
            worth = 1 + (clean - 1) * intact[plan.distances] - wait
            worth += picture * math.log((demand.budget - plan.gross) / demand.budget)
            if plan is self.plan:
                present = worth
            if best is None or worth > best:
                best, best_plan = worth, plan
        if first or best is None or present is None:
            self._take(best_plan, demand)
        elif best_plan is self.plan or best < present + _MARGIN:
            self._better_since = None
        elif residuals[best_plan.distances] < residuals[self.plan.distances] / 2 or (
            best > present + _URGENT and demand.budget <= _FALLEN * self._budget
        ):
            self._take(best_plan, demand)
        elif self._better_since is None:
            self._better_since = now
        elif now - self._better_since >= self._patience(demand):
            self._take(best_plan, demand)
        return self.plan

    def _patience(self, demand: AudioDemand) -> float:
        return _PATIENCE if demand.budget < _RISEN * self._budget else _SHORT_PATIENCE

    def _take(self, plan: AudioPlan, demand: AudioDemand) -> None:
        self.plan = plan
        self._budget = demand.budget
        self._better_since = None


def _plan(bitrate: int, frame: int, distances: tuple[int, ...], overhead: int) -> AudioPlan:
    if distances:
        overhead += 1 + 4 * len(distances)  # RED's headers
    gross = bitrate * (1 + len(distances)) + overhead * 8 * 48_000 // frame
    return AudioPlan(bitrate, frame, distances, gross)


def _wait_price(plan: AudioPlan) -> float:
    return (_PACKET_WORTH * plan.frame_samples + _WAIT_WORTH * plan.reach) / _FRAME
