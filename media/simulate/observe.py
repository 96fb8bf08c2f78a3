"""Observe: what a person notices of one direction of a call, counted.

Sender and receiver of a simulation share a clock, so delays are true ones: from the moment when
the camera or microphone gave the frame to the moment when it was due on screen or loudspeaker.
What is asked of the numbers later (a window of time, a percentile) is taken from full records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.simulate.marks import (
    PICTURE_NUMBERS,
    SOUND_NUMBERS,
    read_picture,
    read_sound,
)
from ringline.media.simulate.profile import LinkProfile

__all__ = ["Freeze", "Observation", "Observer", "find_freezes", "percentile"]

_FREEZE_MEMORY: Final = 30  # pictures over which the mean distance is taken
_FREEZE_MARGIN: Final = 0.15
_SILENT_GAP: Final = 0.06
"""Shortest silence that counts as a gap.  Concealment covers less so that few people hear it."""

_FRAME: Final = 0.02


@dataclass(slots=True, frozen=True)
class Freeze:
    """A picture that stood still.

    Attributes:
        start: When the picture that froze was shown.
        duration: Seconds until the next one.

    """

    start: float
    duration: float


@dataclass(slots=True, frozen=True, kw_only=True)
class Observation:
    """What was noticed in a window of time.  Delays are in seconds, :obj:`None` without frames.

    Attributes:
        seconds: Length of the window.
        frames_per_second: Pictures shown.
        damaged_share: Pictures decoded over a hole, of all shown.
        size_switches_per_minute: Changes of the size that pictures came in.
        first_picture: When the first picture of the window was shown, in seconds from its start.
        freezes: As the W3C's ``freezeCount`` counts them, the window's end included.
        frozen_seconds: Their length together.
        longest_freeze: Of them, seconds.
        longest_gap: Longest time without a new picture, frozen or not, in seconds.
        picture_delay_p50: From camera to screen.
        picture_delay_p95: Likewise.
        played_seconds: Sound that was played, of whatever kind.
        concealed_ms_per_minute: Sound that was made up or missing.
        silent_gaps: Silences of 60 ms or more.
        longest_silence: Seconds.
        sound_delay_p50: From microphone to loudspeaker.
        sound_delay_p95: Likewise.
        bitrate: What reached the receiver, with headers, in bits per second.
        link_share: That by what the link can pass; :obj:`None` where it has no bottleneck.

    """

    seconds: float
    frames_per_second: float
    damaged_share: float
    size_switches_per_minute: float
    first_picture: float | None
    freezes: int
    frozen_seconds: float
    longest_freeze: float
    longest_gap: float
    picture_delay_p50: float | None
    picture_delay_p95: float | None
    played_seconds: float
    concealed_ms_per_minute: float
    silent_gaps: int
    longest_silence: float
    sound_delay_p50: float | None
    sound_delay_p95: float | None
    bitrate: float
    link_share: float | None


class Observer:
    """Records one direction, from a sender's devices to the receiver's.

    Args:
        link: The way between, for :attr:`Observation.link_share`.

    """

    def __init__(self, link: LinkProfile) -> None:
        self._link: Final = link
        self._pictures_sent: Final[dict[int, float]] = {}
        self._sounds_sent: Final[dict[int, float]] = {}
        # when, delay, intact, height
        self._shown: Final[list[tuple[float, float | None, bool, int]]] = []
        self._played: Final[list[tuple[float, float | None, bool]]] = []  # when, delay, silent
        self._arrived: Final[list[tuple[float, int]]] = []  # when, bytes

    # Inputs

    def handle_picture_sent(self, number: int, now: float) -> None:
        """Note that the camera gave a picture of :func:`make_picture`."""
        self._pictures_sent[number % PICTURE_NUMBERS] = now

    def handle_sound_sent(self, number: int, now: float) -> None:
        """Note that the microphone gave a sound of :func:`make_sound`."""
        self._sounds_sent[number % SOUND_NUMBERS] = now

    def handle_picture_shown(self, frame: VideoFrame, now: float) -> None:
        """Note that a picture is on the screen."""
        mark = read_picture(frame.planes)
        sent_at = self._pictures_sent.get(mark.number)
        delay = None if sent_at is None else now - sent_at
        self._shown.append((now, delay, mark.intact, frame.height))

    def handle_sound_played(self, frame: AudioFrame, now: float) -> None:
        """Note that a sound is on the loudspeaker."""
        number = read_sound(frame.samples)
        sent_at = None if number is None else self._sounds_sent.get(number)
        delay = None if sent_at is None else now - sent_at
        self._played.append((now, delay, not frame.samples.any()))

    def handle_datagram_arrived(self, size: int, now: float) -> None:
        """Note that a datagram, headers included, came through."""
        self._arrived.append((now, size))

    # What is asked

    def sent_at(self, number: int) -> float | None:
        """Return when the camera gave the last picture of this number, if it did."""
        return self._pictures_sent.get(number % PICTURE_NUMBERS)

    def observe(self, start: float, end: float) -> Observation:
        """Return what was noticed from ``start`` to ``end``.

        Raises:
            ValueError: If the window is empty.

        """
        if end <= start:
            raise ValueError(f"nothing is between {start} s and {end} s")
        seconds = end - start
        shown = [row for row in self._shown if start <= row[0] < end]
        played = [row for row in self._played if start <= row[0] < end]
        times = [when for when, _, _, _ in shown]
        switches = sum(a[3] != b[3] for a, b in pairwise(shown))
        edges = [start, *times, end]
        freezes = find_freezes([*times, end])
        delays = [delay for _, delay, _, _ in shown if delay is not None]
        sound_delays = [delay for _, delay, _ in played if delay is not None]
        made_up = sum(delay is None for _, delay, _ in played)
        had_begun = any(when < start and not silent for when, _, silent in self._played)
        silences = [gap for gap in _runs_of_silence(played, had_begun) if gap >= _SILENT_GAP]
        bits = sum(size for when, size in self._arrived if start <= when < end) * 8
        capacity = self._link.capacity(start, end)
        return Observation(
            seconds=seconds,
            frames_per_second=len(shown) / seconds,
            damaged_share=sum(not intact for _, _, intact, _ in shown) / max(1, len(shown)),
            size_switches_per_minute=switches * 60 / seconds,
            first_picture=times[0] - start if times else None,
            freezes=len(freezes),
            frozen_seconds=sum(freeze.duration for freeze in freezes),
            longest_freeze=max((freeze.duration for freeze in freezes), default=0.0),
            longest_gap=max(b - a for a, b in pairwise(edges)),
            picture_delay_p50=percentile(delays, 50),
            picture_delay_p95=percentile(delays, 95),
            played_seconds=len(played) * _FRAME,
            concealed_ms_per_minute=made_up * _FRAME * 1000 * 60 / seconds,
            silent_gaps=len(silences),
            longest_silence=max(silences, default=0.0),
            sound_delay_p50=percentile(sound_delays, 50),
            sound_delay_p95=percentile(sound_delays, 95),
            bitrate=bits / seconds,
            link_share=None if not capacity else bits / capacity,
        )

    def picture_after(self, when: float, *, within: float = math.inf) -> float | None:
        """Return seconds from ``when`` to the first whole picture that the camera gave after it.

        A picture from before, shown late, is no recovery.  :obj:`None` if none came ``within``.
        """
        for shown_at, delay, intact, _ in self._shown:
            if delay is not None and intact and shown_at - delay >= when:
                return shown_at - when if shown_at - when <= within else None
        return None

    def sound_after(self, when: float, *, within: float = math.inf) -> float | None:
        """Return seconds from ``when`` to the first sound that the microphone gave after it."""
        for played_at, delay, _ in self._played:
            if delay is not None and played_at - delay >= when:
                return played_at - when if played_at - when <= within else None
        return None

    def bitrates(self, start: float, end: float, *, step: float = 1.0) -> list[float]:
        """Return what arrived in each ``step`` seconds of a window, in bits per second."""
        bits = [0.0] * math.ceil((end - start) / step)
        for when, size in self._arrived:
            if start <= when < end:
                bits[int((when - start) / step)] += size * 8
        return [amount / step for amount in bits]


def find_freezes(times: Sequence[float]) -> list[Freeze]:
    """Return the freezes among the moments when pictures were shown.

    By the W3C's definition (webrtc-stats, ``freezeCount``): a distance of at least three times
    the mean of the last 30, and at least 150 ms more than it.
    """
    gaps = [after - before for before, after in pairwise(times)]
    freezes = []
    for index in range(1, len(gaps)):
        last = gaps[max(0, index - _FREEZE_MEMORY) : index]
        mean = sum(last) / len(last)
        if gaps[index] >= max(3 * mean, mean + _FREEZE_MARGIN):
            freezes.append(Freeze(times[index], gaps[index]))
    return freezes


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the value that ``percent`` of all do not exceed; :obj:`None` of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(len(ordered) * percent / 100) - 1))]


def _runs_of_silence(
    played: Sequence[tuple[float, float | None, bool]], has_begun: bool
) -> list[float]:
    """Return the length of each silence, in seconds; before the first sound of all is none."""
    runs: list[float] = []
    length = 0
    for _, _, is_silent in played:
        if not is_silent:
            has_begun = True
            if length:
                runs.append(length * _FRAME)
            length = 0
        elif has_begun:
            length += 1
    if length:
        runs.append(length * _FRAME)
    return runs
