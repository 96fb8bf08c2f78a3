"""Arrival groups: packets sent in one go, and how much later than the last group one arrived.

Second stage of the delay-based part.  A video frame leaves as a burst of packets, which queue
behind each other whatever the path does; only the delay between whole bursts tells of the path
(draft-ietf-rmcat-gcc-02 §5.2, "Pre-filtering", and §5.1, "Inter-group delay variation").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.media.congestion.feedback import ArrivedPacket

__all__ = ["ArrivalGroups", "GroupDelta"]

_GROUP_SECONDS: Final = 0.005
"""Packets sent within 5 ms of the first are one group (the draft's burst_time)."""

_BURST_SECONDS: Final = 0.005
"""Packets that arrive within 5 ms of each other and less spread than they were sent were held up
together, by a radio's scheduler for instance, and count as one group (§5.2)."""

_MAX_BURST_SECONDS: Final = 0.1
"""A burst is cut off here, as in libwebrtc: else a saturated path is one endless burst."""

_CLOCK_JUMP: Final = 3.0
"""Seconds by which arrivals may outrun departures before we take it for a jump of the receiver's
clock and start over: libwebrtc's value."""


@dataclass(slots=True)
class GroupDelta:
    """From one group to the next, in seconds.

    Attributes:
        sent: Between the last departures of the two.
        arrived: Between their last arrivals.
        arrived_at: Last arrival of the later one.

    """

    sent: float
    arrived: float
    arrived_at: float

    @property
    def variation(self) -> float:
        """How much longer the later group was under way; below 0 it was faster."""
        return self.arrived - self.sent


@dataclass(slots=True)
class _Group:
    first_sent: float
    last_sent: float
    first_arrived: float
    last_arrived: float


class ArrivalGroups:
    """Joins arrivals to groups; feed it results in order of arrival."""

    def __init__(self) -> None:
        self._current: _Group | None = None
        self._previous: _Group | None = None

    def handle_arrival(self, packet: ArrivedPacket) -> GroupDelta | None:
        """Take a packet; return the step between the two groups before the one it opens.

        Returns:
            :obj:`None` while the group is still open, and for packets that were reordered.

        """
        sent, arrived = packet.sent_at, packet.arrived_at
        group = self._current
        if group is None:
            self._current = _Group(sent, sent, arrived, arrived)
            return None
        if sent < group.first_sent:
            return None  # of a group that is already closed
        if self._belongs(group, sent, arrived):
            group.last_sent = max(group.last_sent, sent)
            group.last_arrived = max(group.last_arrived, arrived)
            return None
        delta = self._close(group)
        self._current = _Group(sent, sent, arrived, arrived)
        return delta

    def _close(self, group: _Group) -> GroupDelta | None:
        previous, self._previous = self._previous, group
        if previous is None:
            return None
        delta = GroupDelta(
            group.last_sent - previous.last_sent,
            group.last_arrived - previous.last_arrived,
            group.last_arrived,
        )
        if abs(delta.variation) > _CLOCK_JUMP:
            self._previous = None
            return None
        return delta

    @staticmethod
    def _belongs(group: _Group, sent: float, arrived: float) -> bool:
        if sent - group.first_sent <= _GROUP_SECONDS:
            return True
        since_last = arrived - group.last_arrived
        return (
            since_last - (sent - group.last_sent) < 0
            and since_last <= _BURST_SECONDS
            and arrived - group.first_arrived < _MAX_BURST_SECONDS
        )
