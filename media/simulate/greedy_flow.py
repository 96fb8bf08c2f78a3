"""Greedy flow: a download that takes of a link what it can get, as TCP does.

It stands in for whatever else uses a network while a call is on.  Congestion control is NewReno's
(RFC 5681): slow start, one packet more each round trip, half the window after a loss, one packet
after a timeout.  That is what fills queues; what the bytes are does not matter, so nothing is
sent twice: a lost packet only counts.

    sender, receiver = start_greedy_flow(call.simulation, call.up, call.down, start=10, end=20)
"""

from __future__ import annotations

import struct
from typing import Final

from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.jobs import Job
from ringline.media.simulate.driver import Node, Simulation
from ringline.media.simulate.link import Link

__all__ = ["GreedyReceiver", "GreedySender", "start_greedy_flow"]

_NUMBER: Final = struct.Struct("!Q")
_PACKET_SIZE: Final = 1410
"""Bytes: with the driver's overhead, as much as a TCP segment with its headers."""

_INITIAL_WINDOW: Final = 10.0  # packets (RFC 6928)
_REORDERING: Final = 3  # packets acknowledged beyond one that is taken for lost (RFC 5681 §3.2)
_LEAST_TIMEOUT: Final = 0.2  # seconds, as Linux has it
_MOST_TIMEOUT: Final = 10.0


class _Peer:
    """The outputs of an endpoint that has neither picture nor sound."""

    def handle_job(self, job: Job, now: float) -> None:
        """Take nothing: there are no jobs."""

    def poll_job(self) -> Job | None:
        """Return nothing."""
        return None

    def poll_audio(self) -> AudioFrame | None:
        """Return nothing."""
        return None

    def poll_video(self) -> VideoFrame | None:
        """Return nothing."""
        return None

    def poll_event(self) -> object | None:
        """Return nothing."""
        return None


class GreedySender(_Peer):
    """Sends as much as the window allows, from ``start`` to ``end``.

    Args:
        start: Seconds on the simulation's clock.
        end: Likewise.

    Raises:
        ValueError: If there is no time between them.

    Attributes:
        acknowledged: Bytes that arrived, headers not counted.

    """

    def __init__(self, *, start: float, end: float) -> None:
        if end <= start:
            raise ValueError(f"nothing is between {start} s and {end} s")
        self.acknowledged = 0
        self._start: Final = start
        self._end: Final = end
        self._window = _INITIAL_WINDOW
        self._threshold = float("inf")  # where slow start ends
        self._next = 0
        self._flying: Final[dict[int, float]] = {}  # number: when sent, in that order
        self._recovering_until = -1  # losses of packets up to this one are of the same event
        self._round_trip: float | None = None
        self._timeout = 1.0
        self._timer: float | None = None

    def handle_datagram(self, data: bytes, now: float) -> None:
        """Take an acknowledgement: the number of a packet that arrived."""
        (number,) = _NUMBER.unpack_from(data)
        sent_at = self._flying.pop(number, None)
        if sent_at is None:
            return
        self.acknowledged += _PACKET_SIZE
        sample = now - sent_at
        before = sample if self._round_trip is None else self._round_trip
        self._round_trip = 0.875 * before + 0.125 * sample
        self._timeout = max(_LEAST_TIMEOUT, 2 * self._round_trip)
        if self._window < self._threshold:
            self._window += 1
        else:
            self._window += 1 / self._window
        lost = [other for other in self._flying if other <= number - _REORDERING]
        for other in lost:
            del self._flying[other]
        if lost and lost[-1] > self._recovering_until:
            self._recovering_until = self._next - 1
            self._window = self._threshold = max(2.0, self._window / 2)
        self._timer = now + self._timeout

    def handle_timeout(self, now: float) -> None:
        """Begin, or begin again where nothing comes back."""
        if self._timer is not None and now >= self._timer:
            self._flying.clear()
            self._threshold = max(2.0, self._window / 2)
            self._window = 1.0
            self._timeout = min(2 * self._timeout, _MOST_TIMEOUT)
            self._timer = None

    def poll_datagram(self, now: float) -> bytes | None:
        """Return the next packet, if the window has room."""
        if not self._start <= now < self._end or len(self._flying) >= int(self._window):
            return None
        number = self._next
        self._next += 1
        self._flying[number] = now
        if self._timer is None:
            self._timer = now + self._timeout
        return _NUMBER.pack(number).ljust(_PACKET_SIZE, b"\0")

    def poll_timeout(self) -> float | None:
        """Return when to begin, or when to stop waiting."""
        if self._next == 0:
            return self._start
        return self._timer if self._flying else None


class GreedyReceiver(_Peer):
    """Acknowledges each packet at once."""

    def __init__(self) -> None:
        self._acknowledgement: bytes | None = None

    def handle_datagram(self, data: bytes, now: float) -> None:  # noqa: ARG002 - an endpoint's
        """Take a packet."""
        self._acknowledgement = data[: _NUMBER.size].ljust(40, b"\0")

    def handle_timeout(self, now: float) -> None:
        """Do nothing: none is ever due."""

    def poll_datagram(self, now: float) -> bytes | None:  # noqa: ARG002 - an endpoint's
        """Return the acknowledgement of the packet that came."""
        data, self._acknowledgement = self._acknowledgement, None
        return data

    def poll_timeout(self) -> float | None:
        """Return nothing: it only answers."""
        return None


def start_greedy_flow(
    simulation: Simulation, way: Link[Node], back: Link[Node], *, start: float, end: float
) -> tuple[GreedySender, GreedyReceiver]:
    """Let a flow share links with whoever uses them already; raises as :class:`GreedySender`.

    Args:
        simulation: Where the links are from.
        way: Takes the data.
        back: Takes what acknowledges it.
        start: When the flow begins, seconds on the simulation's clock.
        end: When it has had enough.

    """
    sender, receiver = GreedySender(start=start, end=end), GreedyReceiver()
    first = simulation.add("greedy sender", sender)
    second = simulation.add("greedy receiver", receiver)
    first.route(way, second)
    second.route(back, first)
    return sender, receiver
