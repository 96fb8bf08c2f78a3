"""Synchronize: when was it captured, and do lips and voice go together?

Sender reports give each stream's media time beside the sender's wall clock (RFC 3550 §6.4.1).
Two streams of one sender are thereby on one clock, and what is shown and what is heard can be
compared.  The one that is ahead is held back, in small steps, as little as is not noticed:
ITU-R BT.1359 puts the threshold of notice at sound 45 ms early or 125 ms late.

The sender's wall clock is not ours.  The difference is estimated from the report that came
fastest, less half a round trip; :attr:`VideoFrame.captured_at` is right as far as both ways take
the same time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from ringline.media.rtp.rtcp import SenderReport

__all__ = ["LipSync", "SenderClock", "SynchronizeConfig"]

_NTP_FRACTION: Final = 1 << 32
_REPORTS: Final = 8
"""Reports of which the fastest counts: 8 s, in which clocks drift by less than a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynchronizeConfig:
    """How a :class:`LipSync` behaves."""

    sound_early: float = 0.04
    """Seconds by which sound may be ahead of the picture: just below what is noticed."""

    sound_late: float = 0.04
    """Seconds by which it may be behind: a third of what is noticed.  More than the sound's own
    buffer takes on a clean link, so there the picture never waits."""

    step: float = 0.02
    """Seconds by which a delay changes at a time: one frame of sound."""

    interval: float = 0.5
    """Seconds between changes, so that one shows before the next is decided."""

    max_video_delay: float = 0.1
    """Bound of how long the picture is held back for the sound.  Where sound takes longer yet it is
    later than ``sound_late``, up to what is noticed (125 ms) and beyond: a conversation suffers
    more from the delay of both."""

    max_audio_delay: float = 0.1
    """Bound of how long sound is held back for the picture: a conversation feels it sooner."""

    smoothing: float = 0.1
    """Weight of each new measurement: a late picture or two are no reason to act."""


class SenderClock:
    """The media time of one stream on its sender's wall clock and on ours.

    Args:
        clock_rate: Ticks of its media time a second.

    """

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate: Final = clock_rate
        self._offsets: Final[deque[float]] = deque(maxlen=_REPORTS)
        self._report: tuple[float, int] | None = None  # wall clock, timestamp
        self._half_round_trip = 0.0

    def restart(self) -> None:
        """Forget all reports: another source begins."""
        self._offsets.clear()
        self._report = None

    def handle_sender_report(self, report: SenderReport, now: float) -> None:
        """Take a report of the stream's source."""
        wallclock = report.ntp_time / _NTP_FRACTION
        if report.ntp_time == 0:
            return  # the sender has no wall clock (RFC 3550 §6.4.1)
        self._report = (wallclock, report.rtp_timestamp)
        self._offsets.append(now - wallclock)

    def handle_round_trip(self, round_trip: float) -> None:
        """Take a new measurement, in seconds."""
        self._half_round_trip = round_trip / 2

    def wallclock(self, timestamp: int) -> float | None:
        """Return when this was captured on the sender's clock, or :obj:`None` if unknown.

        Args:
            timestamp: Media time; its low 32 bits count, and it must be near the last report.

        """
        if self._report is None:
            return None
        wallclock, reported = self._report
        ticks = (timestamp - reported + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        return wallclock + ticks / self._clock_rate

    def captured_at(self, timestamp: int) -> float | None:
        """Return when this was captured on our clock, or :obj:`None` if unknown."""
        wallclock = self.wallclock(timestamp)
        if wallclock is None:
            return None
        return wallclock + min(self._offsets) - self._half_round_trip


class LipSync:
    """Compares one stream of sound and one of pictures, and decides who waits.

    Args:
        config: Tuning.

    Attributes:
        audio_delay: Seconds by which sound is to be held back.
        video_delay: Seconds by which pictures are to be held back.

    """

    def __init__(self, config: SynchronizeConfig | None = None) -> None:
        self._config: Final = config or SynchronizeConfig()
        self._audio: float | None = None  # smoothed: when heard minus when captured
        self._video: float | None = None
        self._decide_at: float | None = None
        self.audio_delay = 0.0
        self.video_delay = 0.0

    @property
    def offset(self) -> float | None:
        """Seconds by which pictures are later than their sound, or :obj:`None` if unknown."""
        if self._audio is None or self._video is None:
            return None
        return self._video - self._audio

    def restart(self) -> None:
        """Forget what was measured: one of the streams begins anew."""
        self._audio = self._video = None
        self.audio_delay = self.video_delay = 0.0

    def handle_audio(self, wallclock: float, now: float) -> None:
        """Take note that sound captured at ``wallclock`` is heard now."""
        self._audio = self._smooth(self._audio, now - wallclock)
        self._decide(now)

    def handle_video(self, wallclock: float, now: float) -> None:
        """Take note that a picture captured at ``wallclock`` is shown now."""
        self._video = self._smooth(self._video, now - wallclock)
        self._decide(now)

    def _smooth(self, old: float | None, new: float) -> float:
        if old is None or abs(new - old) > 1.0:  # a clock was set: the old value is void
            return new
        return old + self._config.smoothing * (new - old)

    def _decide(self, now: float) -> None:
        offset = self.offset
        if offset is None:
            return
        config = self._config
        if self._decide_at is None:
            self._decide_at = now + config.interval
        if now < self._decide_at:
            return
        self._decide_at = now + config.interval
        if offset > config.sound_early:
            self._shift(min(config.step, offset - config.sound_early))
        elif offset < -config.sound_late:
            self._shift(-min(config.step, -config.sound_late - offset))
        elif abs(offset) < config.sound_early / 2:  # well together: see whether less will do
            self.audio_delay = max(0.0, self.audio_delay - config.step / 4)
            self.video_delay = max(0.0, self.video_delay - config.step / 4)

    def _shift(self, step: float) -> None:
        """Hold sound back by ``step`` more (or pictures, if negative), first letting the other go.

        A delay that is taken away is as good as one that is given, and costs nobody anything.
        """
        config = self._config
        if step > 0.0:
            released = min(step, self.video_delay)
            self.video_delay -= released
            self.audio_delay = min(self.audio_delay + step - released, config.max_audio_delay)
        else:
            released = min(-step, self.audio_delay)
            self.audio_delay -= released
            self.video_delay = min(self.video_delay - step - released, config.max_video_delay)
