"""CPU budget: how much of a picture this computer can make, beside all else that it has to do.

Beside :mod:`.scale`, which asks the same of the network and takes the answer of this module as a
ceiling.  What is measured is not the encoder's work but how long a picture is away: waiting for a
thread, on it, and waiting for the event loop to take it back.  So it does not matter whether the
processor is slow, busy with others, or throttled.  When that takes too much of the time between two
pictures, the encoder is told to hurry, then fewer pictures are made, then smaller ones; sound is
never touched.  When it takes little, the way back is gone the more cautiously, the sooner the last
attempt had to be undone.

Two more signs tell that the computer has no time: decoding takes as long as pictures are apart, and
the event loop runs late.  Both harm what is seen and heard here, and less encoding helps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.media.send.scale import Scaling

__all__ = ["CpuBudget", "CpuBudgetConfig", "CpuLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuBudgetConfig:
    """When there is too little time, and when enough again."""

    budget: float = 0.7
    """Share of the time between two pictures that one may be away to be encoded.  At 1.0 the next
    one finds the encoder busy; what is below is for the times when it takes longer than usual."""

    relaxed: float = 0.4
    """Share to be expected of a better picture that is gone back to."""

    decode_budget: float = 0.8
    """The same for decoding: what comes cannot be made smaller from here, so later."""

    lateness: float = 0.03
    """Seconds that timers may come late in the mean.  Sound is made up from some 40 ms on."""

    smoothing: float = 0.7
    """Seconds in which a new state is believed."""

    down_patience: float = 1.0
    """Seconds that there must have been too little time: another program's start takes as long."""

    up_patience: float = 5.0
    """Seconds that there must have been enough for more."""

    max_up_patience: float = 80.0
    """The most that it is doubled to for attempts that had to be undone."""

    undone_within: float = 15.0
    """Seconds within which going down means that it was wrong to go up."""

    exhausted: float = 0.9
    """Share of the time from which there is to be no picture, if nothing less would help: hardly
    one is back before the next is due.  The mean is below what a picture takes in the end, as it
    holds what those that are not back yet have taken so far."""

    pause_patience: float = 2.0
    """Seconds that there must have been too little time for that.  A try that fails is over before
    anybody is told that the picture is back (:attr:`.PictureStateConfig.calm`)."""

    resume_patience: float = 10.0
    """Seconds after which a picture is tried again; doubled up to ``max_up_patience``."""

    decoding_memory: float = 2.0
    """Seconds after the last received frame from which decoding takes no time any more."""


@dataclass(frozen=True, slots=True)
class CpuLimits:
    """What the computer has time for.

    Attributes:
        cpu_used: Speed of the encoder (:attr:`Vp8Config.cpu_used`).
        ceiling: Size and frame rate at most.

    """

    cpu_used: int
    ceiling: Scaling

    def cost(self, wanted: Scaling) -> float:
        """Return the time that pictures take a second, as a multiple of any; see ``_TIMES``."""
        numerator = min(self.ceiling.numerator, wanted.numerator)
        frame_rate = min(self.ceiling.frame_rate, wanted.frame_rate)
        return _TIMES[self.cpu_used] * (numerator / 8) ** 2 * frame_rate

    @property
    def reduces(self) -> bool:
        """Whether the picture is smaller or slower for it; haste alone is hardly seen."""
        return self.ceiling.numerator < 8 or self.ceiling.frame_rate < _FULL_RATE


_TIMES: Final = {-6: 1.0, -8: 0.7, -12: 0.63}
"""Time of a picture by the encoder's speed: measured with libvpx 1.16 at 640x480, 1.42, 1.0 and
0.9 ms.  From -6 to -12 the picture loses 0.2 dB."""

_FULL_RATE: Final = 30.0

_LADDER: Final = (
    CpuLimits(-6, Scaling(8, 30.0)),
    CpuLimits(-8, Scaling(8, 30.0)),
    CpuLimits(-12, Scaling(8, 30.0)),
    CpuLimits(-12, Scaling(8, 20.0)),
    CpuLimits(-12, Scaling(8, 15.0)),
    CpuLimits(-12, Scaling(6, 15.0)),
    CpuLimits(-12, Scaling(4, 15.0)),
    CpuLimits(-12, Scaling(4, 10.0)),
    CpuLimits(-12, Scaling(3, 10.0)),
    CpuLimits(-12, Scaling(2, 10.0)),
)
"""Haste first, it costs the least; then pictures down to what still looks like motion; then size,
as there is nothing else left.  10 a second and 160x90 of 640x360 take a fiftieth of the whole."""

_LONGEST: Final = 4.0
"""Share that a single picture counts for at most: one stall must not decide."""


class CpuBudget:
    """Keeps one stream's encoding within what the computer has time for.

    Args:
        config: Tuning.
        now: The present.

    """

    def __init__(self, config: CpuBudgetConfig | None = None, *, now: float) -> None:
        self._config: Final = config or CpuBudgetConfig()
        self._level = 0
        self._encoding = _Mean(self._config.smoothing)
        self._decoding = _Mean(self._config.smoothing)
        self._lateness = _Mean(self._config.smoothing)
        self._over_since: float | None = None
        self._under_since: float | None = None
        self._up_patience = self._config.up_patience
        self._went_up_at = now - self._config.undone_within
        self._changed_at = now
        self._decoded_at: float | None = None
        self._paused = False
        self._resume_patience = self._config.resume_patience
        self._resumed_at = now - self._config.undone_within

    @property
    def limits(self) -> CpuLimits:
        """What there is time for now."""
        return _LADDER[self._level]

    @property
    def paused(self) -> bool:
        """Whether there is no time for even the least picture."""
        return self._paused

    @property
    def load(self) -> float:
        """Share of the time between two pictures that one was away of late."""
        return self._encoding.value

    # Inputs

    def handle_picture(self, away: float, interval: float, now: float) -> None:
        """Take how long a picture was away to be encoded, and that to the next one, in seconds.

        Also of one that is not back yet, when the next one comes.
        """
        self._encoding.add(min(away / interval, _LONGEST), now)

    def handle_decoding(self, seconds: float, now: float) -> None:
        """Take how long a received frame took to be decoded, when it is back."""
        before, self._decoded_at = self._decoded_at, now
        if before is not None and now > before:
            self._decoding.add(min(seconds / (now - before), _LONGEST), now)

    def handle_lateness(self, late: float, now: float) -> None:
        """Take by how many seconds a timer came late."""
        config = self._config
        self._lateness.add(min(late, _LONGEST * config.lateness), now)

    def update(self, present: Scaling, source_rate: float, now: float) -> bool:
        """Reconsider; return whether :attr:`limits` or :attr:`paused` changed.

        Args:
            present: What is encoded now.
            source_rate: Pictures a second that the source gives.
            now: The present.

        """
        config = self._config
        if self._decoded_at is not None and now - self._decoded_at > config.decoding_memory:
            self._decoded_at = None
            self._decoding.clear()
        if self._paused:
            return self._resume(now)
        wanted = self._wanted(present, source_rate)
        is_busy = (
            self._decoding.value > config.decode_budget or self._lateness.value > config.lateness
        )
        if is_busy or self._encoding.value > config.budget:
            self._under_since = None
            if self._over_since is None:
                self._over_since = now
            if now - self._over_since < config.down_patience:
                return False
            goal = self._lower(wanted, is_busy=is_busy)
            return self._pause(now) if goal == self._level else self._go(goal, now)
        self._over_since = None
        if self._changed_at == self._went_up_at < now - config.max_up_patience:
            self._up_patience = config.up_patience  # the last attempt has stood the test of time
        goal = self._higher(wanted)
        if goal == self._level:
            self._under_since = None
            return False
        if self._under_since is None:
            self._under_since = now
        if now - self._under_since < self._up_patience:
            return False
        return self._go(goal, now)

    # Private

    def _wanted(self, present: Scaling, source_rate: float) -> Scaling:
        """Return what would be encoded if there were time for anything."""
        ceiling = self.limits.ceiling
        numerator = present.numerator if present.numerator < ceiling.numerator else 8
        frame_rate = present.frame_rate if present.frame_rate < ceiling.frame_rate else _FULL_RATE
        return Scaling(numerator, min(frame_rate, source_rate))

    def _lower(self, wanted: Scaling, *, is_busy: bool) -> int:
        """Return the next level that takes less; the first that is within the budget."""
        present = self.limits.cost(wanted)
        goal = self._level
        for level in range(self._level + 1, len(_LADDER)):
            cost = _LADDER[level].cost(wanted)
            if cost > 0.97 * present:
                continue  # what it takes away is not there
            goal = level
            fits = self._encoding.value * cost / present <= self._config.budget
            # What less encoding does for the others cannot be told before it has been tried.
            if is_busy or fits:
                break
        return goal

    def _higher(self, wanted: Scaling) -> int:
        """Return the best level that there would be time for with some to spare."""
        if not self._is_calm():
            return self._level
        present = self.limits.cost(wanted)
        for level in range(self._level):
            if self._encoding.value * _LADDER[level].cost(wanted) / present < self._config.relaxed:
                return level
        return self._level

    def _is_calm(self) -> bool:
        """Tell whether neither decoding nor the event loop suffers."""
        config = self._config
        return (
            self._decoding.value <= 0.7 * config.decode_budget
            and self._lateness.value <= 0.5 * config.lateness
        )

    def _pause(self, now: float) -> bool:
        """Stop if that is the only thing left to do."""
        config = self._config
        waited = 0.0 if self._over_since is None else now - self._over_since
        if self._encoding.value <= config.exhausted or waited < config.pause_patience:
            return False
        is_undone = now - self._resumed_at < config.undone_within
        patience = 2 * self._resume_patience if is_undone else config.resume_patience
        self._resume_patience = min(patience, config.max_up_patience)
        self._paused = True
        self._over_since = self._under_since = None
        return True

    def _resume(self, now: float) -> bool:
        """Try a picture again if it is time to."""
        if not self._is_calm():
            self._under_since = None
            return False
        if self._under_since is None:
            self._under_since = now
        if now - self._under_since < self._resume_patience:
            return False
        self._paused = False
        self._under_since = None
        self._resumed_at = now
        self._encoding.clear()
        return True

    def _go(self, goal: int, now: float) -> bool:
        self._over_since = self._under_since = None
        if goal == self._level:
            return False
        config = self._config
        if goal < self._level:
            self._went_up_at = now
        elif now - self._went_up_at < config.undone_within:
            self._up_patience = min(2 * self._up_patience, config.max_up_patience)
        self._level = goal
        self._changed_at = now
        self._encoding.clear()  # what comes is to be judged by itself
        return True


class _Mean:
    """Of irregular samples, each weighed by the time since the one before."""

    def __init__(self, seconds: float) -> None:
        self._seconds: Final = seconds
        self._at: float | None = None
        self.value = 0.0

    def add(self, value: float, now: float) -> None:
        """Take a sample."""
        # The first says little: encoders start, caches fill.
        elapsed = 0.0 if self._at is None else now - self._at
        self._at = now
        self.value += min(elapsed / self._seconds, 0.25) * (value - self.value)

    def clear(self) -> None:
        """Forget."""
        self._at = None
        self.value = 0.0
