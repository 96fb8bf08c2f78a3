"""Profile: what a link does to datagrams, and when it changes its mind.

In text a profile is a list of stages, ``;`` between them; each stage but the first starts with
its time in seconds and ``:``, and sets only what changes::

    rate=2000,delay=40;12:loss=100;15:loss=0

========== ===================================================================================
key        meaning
========== ===================================================================================
rate       kbit/s that the bottleneck passes; 0, the default, is no bottleneck
queue      room before the bottleneck, drop-tail: ``400`` in milliseconds at ``rate`` (default
           300), ``64000B`` in bytes
delay      milliseconds on the way behind the bottleneck
jitter     up to as many milliseconds more, evenly spread; datagrams keep their order
reorder    percent of datagrams that need not keep it
loss       percent lost, each by itself
ge         ``P/R``: bursts (Gilbert-Elliott): of 100 datagrams that come in the good state P turn
           it bad, of 100 in the bad state R turn it good; in the bad state all are lost
duplicate  percent that arrive twice
========== ===================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

__all__ = ["LinkConditions", "LinkProfile", "NetworkProfile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConditions:
    """One direction of a network during one stage.

    Attributes:
        rate: Bits per second of the bottleneck, IP headers included; :obj:`None` is no bottleneck.
        queue: Longest wait before the bottleneck, in seconds; what would wait longer is dropped.
        queue_bytes: Room before the bottleneck in bytes; where set, it counts and not ``queue``.
        delay: Seconds on the way.
        jitter: Upper end of what is added to ``delay``, in seconds, evenly distributed.
        reorder: Share of datagrams that may overtake or fall behind by jitter, 0 to 1.
        loss: Share lost at random.
        burst_enter: Probability per datagram to go from the good state to the bad one.
        burst_leave: Probability per datagram to go back; their mean run is ``1 / burst_leave``.
        duplicate: Share that arrives twice.

    """

    rate: float | None = None
    queue: float = 0.3  # a home router's few hundred milliseconds
    queue_bytes: int | None = None
    delay: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0
    loss: float = 0.0
    burst_enter: float = 0.0
    burst_leave: float = 0.5
    duplicate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no link can do."""
        if self.rate is not None and not (0 < self.rate < math.inf):
            raise ValueError(f"rate must be positive, got {self.rate}")
        if self.queue_bytes is not None and self.queue_bytes < 0:
            raise ValueError(f"queue must not be negative, got {self.queue_bytes} bytes")
        for name in ("queue", "delay", "jitter"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} must not be negative or endless, got {value}")
        for name in ("reorder", "loss", "burst_enter", "burst_leave", "duplicate"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must be a share from 0 to 1, got {value}")
        if self.burst_enter > 0 and self.burst_leave == 0:
            raise ValueError("ge: a bad state that nothing ends is loss=100")

    @property
    def mean_loss(self) -> float:
        """Share lost in the long run, the queue's drops not counted."""
        bad = 0.0
        if self.burst_enter > 0:
            bad = self.burst_enter / (self.burst_enter + self.burst_leave)
        return bad + (1 - bad) * self.loss


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """One direction of a network over time.

    Attributes:
        stages: ``(start, conditions)`` with the start in seconds; the first starts at 0, the
            starts grow, the last stage does not end.

    """

    stages: tuple[tuple[float, LinkConditions], ...] = ((0.0, LinkConditions()),)

    def __post_init__(self) -> None:
        """Refuse stages out of order."""
        starts = [start for start, _ in self.stages]
        if not starts or starts[0] != 0:
            raise ValueError(f"the first stage must start at 0, got {starts[:1]}")
        for before, after in pairwise(starts):
            if not before < after < math.inf:
                raise ValueError(f"a stage at {after:g} s cannot follow one at {before:g} s")

    @classmethod
    def parse(cls, text: str) -> LinkProfile:
        """Read the form that the module's docstring shows.

        Raises:
            ValueError: If it is not of that form; the message names the part and what was due.

        """
        stages: list[tuple[float, LinkConditions]] = []
        conditions = LinkConditions()
        for index, part in enumerate(text.split(";")):
            start, settings = 0.0, part
            if ":" in part:
                when, settings = part.split(":", 1)
                start = _number(when, f"time of stage {part.strip()!r}")
            elif index:
                raise ValueError(f"stage {part.strip()!r} needs a time: '12:loss=5'")
            conditions = _parse_settings(settings, conditions)
            stages.append((start, conditions))
        return cls(tuple(stages))

    def at(self, time: float) -> LinkConditions:
        """Return the conditions ``time`` seconds after the link started."""
        stages = self.stages
        index = len(stages) - 1
        while index and stages[index][0] > time:
            index -= 1
        return stages[index][1]

    def capacity(self, start: float, end: float) -> float | None:
        """Return the bits that fit through from ``start`` to ``end``; :obj:`None` if unbounded.

        Loss comes before the bottleneck and so leaves its room to others; only a stage that
        loses everything passes nothing.
        """
        total = 0.0
        ends = [stage_start for stage_start, _ in self.stages[1:]] + [math.inf]
        for (stage_start, conditions), stage_end in zip(self.stages, ends, strict=True):
            overlap = min(end, stage_end) - max(start, stage_start)
            if overlap <= 0 or conditions.loss == 1:
                continue
            if conditions.rate is None:
                return None
            total += overlap * conditions.rate
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkProfile:
    """A network between two people, both directions.

    Attributes:
        name: What it is asked for by.
        summary: In a few words, for a list to choose from.
        up: From the first person (the caller) to the second.
        down: From the second to the first.
        text: Both, as :meth:`parse` reads them: to hand on to another process.

    """

    name: str
    summary: str
    up: LinkProfile
    down: LinkProfile
    text: str

    @classmethod
    def parse(cls, text: str, *, name: str = "custom", summary: str = "") -> NetworkProfile:
        """Read ``UP|DOWN`` or one form for both, each as :meth:`LinkProfile.parse` reads it.

        Raises:
            ValueError: As there, or if there are more than two.

        """
        parts = text.split("|")
        if len(parts) > 2:
            raise ValueError(f"a network has two directions, got {len(parts)} in {text!r}")
        links = [LinkProfile.parse(part) for part in parts]
        return cls(name=name, summary=summary or text, up=links[0], down=links[-1], text=text)


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{what}: expected a number, got {text.strip()!r}") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"{what}: must not be negative or endless, got {text.strip()}")
    return value


def _parse_settings(text: str, conditions: LinkConditions) -> LinkConditions:
    for setting in text.split(","):
        key, equals, value = (piece.strip() for piece in setting.partition("="))
        if not equals:
            raise ValueError(f"expected key=value, got {setting.strip()!r}")
        apply = _KEYS.get(key)
        if apply is None:
            raise ValueError(f"no key {key!r}; there are {', '.join(_KEYS)}")
        conditions = apply(conditions, value)
    return conditions


def _percent(value: str, key: str) -> float:
    percent = _number(value, key)
    if percent > 100:
        raise ValueError(f"{key}: at most 100 percent, got {value}")
    return percent / 100


def _set_rate(conditions: LinkConditions, value: str) -> LinkConditions:
    return replace(conditions, rate=_number(value, "rate") * 1000 or None)


def _set_queue(conditions: LinkConditions, value: str) -> LinkConditions:
    if value.endswith("B"):
        return replace(conditions, queue_bytes=int(_number(value[:-1], "queue")))
    return replace(conditions, queue=_number(value, "queue") / 1000, queue_bytes=None)


def _set_bursts(conditions: LinkConditions, value: str) -> LinkConditions:
    enter, slash, leave = value.partition("/")
    if not slash:
        raise ValueError(f"ge: expected P/R, got {value!r}")
    return replace(conditions, burst_enter=_percent(enter, "ge"), burst_leave=_percent(leave, "ge"))


_KEYS: Final[dict[str, Callable[[LinkConditions, str], LinkConditions]]] = {
    "rate": _set_rate,
    "queue": _set_queue,
    "delay": lambda c, value: replace(c, delay=_number(value, "delay") / 1000),
    "jitter": lambda c, value: replace(c, jitter=_number(value, "jitter") / 1000),
    "reorder": lambda c, value: replace(c, reorder=_percent(value, "reorder")),
    "loss": lambda c, value: replace(c, loss=_percent(value, "loss")),
    "ge": _set_bursts,
    "duplicate": lambda c, value: replace(c, duplicate=_percent(value, "duplicate")),
}
