"""Pace: spread packets over time so that a video frame does not leave as a burst.

Stage between packetizing and departure.  A leaky bucket: each packet sent adds its size to a
*debt*, which drains at the pacing rate; the next packet may leave when the debt is zero.  A probe
cluster suspends that for some milliseconds: its packets leave at its own rate, and where there are
too few of them the pacer asks for padding.

Timers fire late, by some milliseconds on a busy computer, which is as long as a packet takes at
2 Mbit/s.  Where packets waited meanwhile that time is not lost: what could have left in it, up to
``max_late`` seconds' worth, leaves at once.

Sound does not wait for debt at all: its packets are small, even and urgent.  It is counted, so
that the rest makes room for it.

Invariants:

1. Packets of one priority leave in the order they came.
2. An audio packet leaves at once.
3. Debt is never more than ``max_debt`` seconds of traffic, so one large frame cannot silence us.
4. Forward error correction lets video pass that came up to ``max_fec_delay`` later, and no other.
   At most ``max_fec`` seconds of it wait: it is the first to go.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ringline.media.congestion.probe import ProbeCluster
from ringline.media.rtp.packet import RtpPacket

__all__ = ["Outgoing", "PaceConfig", "Pacer", "Priority"]

_CATCH_UP: Final = 0.005
"""Seconds of a probe that late timers may make up for in one go."""

_PROBE_LIFETIME: Final = 0.3
"""Seconds after which a probe that found too few packets to send is over."""


class Priority(IntEnum):
    """Which queue leaves first; the lowest value wins."""

    AUDIO = 0
    RETRANSMISSION = 1
    PARITY = 2
    """Of ULPFEC.  Before video: it is queued when a picture's last packet leaves, and between the
    packets of the next one its sequence number would be a hole."""

    VIDEO = 3
    FEC = 4
    PADDING = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceConfig:
    """How a :class:`Pacer` behaves."""

    max_debt: float = 0.25
    """Longest wait that one send can cause, in seconds: a packet of 1200 bytes at 38 kbit/s."""

    max_late: float = 0.03
    """Seconds that a late timer makes up for in one go.  The path would have been sent as much in
    them anyway; after a longer stall of the whole program it rather gets a burst of this length
    than one of the stall's."""

    max_queue: float = 1.0
    """Seconds of waiting video, at the pacing rate, from which it is thrown away: by then the call
    is better served by a fresh key frame."""

    max_fec: float = 0.15
    """Seconds of waiting forward error correction, at the pacing rate; beyond, the oldest goes.
    What has waited for so long protects what nobody waits for any more."""

    max_fec_delay: float = 0.025
    """Seconds that it may have waited and still lets a picture pass: not quite a picture's
    distance, so that of two pictures in the queue only the second waits for the first's repair."""

    max_audio: int = 3
    """Frames of sound kept while the path is gone: 60 ms, more would only be played late."""


@dataclass(slots=True)
class Outgoing:
    """A packet on its way out.

    Attributes:
        size: Bytes on the wire, headers of every layer included.
        probe: The probe cluster that it left as part of.
        queued_at: When it came; decides between video and its forward error correction alone.

    """

    packet: RtpPacket
    priority: Priority
    size: int
    probe: int | None = None
    queued_at: float = 0.0


class Pacer:
    """Decides when each packet may leave.

    Args:
        config: Tuning.
        rate: Pacing rate at first, bits per second.
        can_pad: Whether the caller can make padding; if not, probes use what there is.
        now: The present.

    """

    def __init__(self, config: PaceConfig, *, rate: int, can_pad: bool, now: float) -> None:
        self._config: Final = config
        self._can_pad: Final = can_pad
        self._queues: Final[tuple[deque[Outgoing], ...]] = tuple(deque() for _ in Priority)
        self._waiting = 0  # packets that debt keeps from leaving: all but audio
        self._queued_bytes = 0  # of all but audio and forward error correction
        self._fec_bytes = 0  # of that
        self._debt = 0.0  # bits sent but not yet drained
        self._drained_at = now
        self._rate = float(rate)
        self._probe: ProbeCluster | None = None
        self._probe_bytes = 0
        self._probe_packets = 0
        self._probe_next_at = 0.0
        self._probe_ends_at = 0.0

    # Inputs

    def set_rate(self, rate: int, now: float) -> None:
        """Change the pacing rate, in bits per second."""
        if rate <= 0:
            raise ValueError(f"rate must be positive, got {rate}")
        self._drain(now)
        self._rate = float(rate)
        self._debt = min(self._debt, self._rate * self._config.max_debt)

    def handle_packet(self, outgoing: Outgoing) -> None:
        """Queue a packet; :meth:`poll_packet` returns it when it may leave."""
        queue = self._queues[outgoing.priority]
        if not self._waiting:  # so the time up to now was idle, and nothing is to be made up for
            self._drain(max(outgoing.queued_at, self._drained_at))
        queue.append(outgoing)
        if outgoing.priority is Priority.AUDIO:
            if len(queue) > self._config.max_audio:
                queue.popleft()
            return
        self._waiting += 1
        if outgoing.priority is Priority.FEC:
            self._fec_bytes += outgoing.size
            while self._fec_bytes * 8 > self._rate * self._config.max_fec and len(queue) > 1:
                self._fec_bytes -= queue.popleft().size
                self._waiting -= 1
        else:
            self._queued_bytes += outgoing.size

    def start_probe(self, cluster: ProbeCluster, now: float) -> None:
        """Send the next packets as a cluster."""
        self._probe = cluster
        self._probe_bytes = self._probe_packets = 0
        self._probe_next_at = now
        self._probe_ends_at = now + _PROBE_LIFETIME

    def drop_video(self) -> int:
        """Throw away everything but sound; return how many packets of video that were."""
        dropped = len(self._queues[Priority.VIDEO])
        for queue in self._queues[Priority.RETRANSMISSION :]:
            queue.clear()
        self._waiting = self._queued_bytes = self._fec_bytes = 0
        self._probe = None
        return dropped

    # Outputs

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait; not counted is sound, and forward error correction, which gives way."""
        return self._queued_bytes

    @property
    def overfull(self) -> bool:
        """Whether more waits than is worth sending; the caller then drops and starts afresh."""
        return self._queued_bytes * 8 > self._rate * self._config.max_queue

    def poll_packet(self, now: float) -> Outgoing | None:
        """Return the next packet that may leave at ``now``, or :obj:`None`."""
        self._drain(now)
        if self._probe is not None and now > self._probe_ends_at:
            self._probe = None
        audio = self._queues[Priority.AUDIO]
        if audio:
            return self._leave(audio.popleft(), now)
        if not self._waiting or not self._is_open(now):
            return None
        outgoing = self._next()
        self._waiting -= 1
        if outgoing.priority is Priority.FEC:
            self._fec_bytes -= outgoing.size
        else:
            self._queued_bytes -= outgoing.size
        return self._leave(outgoing, now)

    def poll_padding(self, now: float) -> int | None:
        """Return how many bytes of padding a probe needs now, or :obj:`None`.

        Ask when :meth:`poll_packet` gave nothing; queue a packet of about that size.
        """
        if self._probe is None or not self._can_pad:
            return None
        if self._queues[Priority.AUDIO] or self._waiting or not self._is_open(now):
            return None
        size = self._probe.size // self._probe.packets
        return min(max(size, 1), 1_200)

    def poll_timeout(self) -> float | None:
        """Return when :meth:`poll_packet` should next be called, or :obj:`None` if idle."""
        if self._queues[Priority.AUDIO]:
            return self._drained_at
        if self._probe is not None and (self._can_pad or self._waiting):
            return self._probe_next_at
        if not self._waiting:
            return None
        return self._drained_at + self._debt / self._rate

    # Inside

    def _is_open(self, now: float) -> bool:
        if self._probe is not None:
            return now >= self._probe_next_at
        # A millionth of a second's worth: rounding must not cost another turn of the timer.
        return self._debt <= self._rate * 1e-6

    def _next(self) -> Outgoing:
        """Take the packet whose turn it is; one waits."""
        video, fec = self._queues[Priority.VIDEO], self._queues[Priority.FEC]
        if video and fec and video[0].queued_at - fec[0].queued_at > self._config.max_fec_delay:
            before = self._queues[: Priority.VIDEO]
            first = next((queue for queue in before if queue), fec)
            return first.popleft()
        return next(queue for queue in self._queues if queue).popleft()

    def _leave(self, outgoing: Outgoing, now: float) -> Outgoing:
        bits = outgoing.size * 8
        self._debt = min(self._debt + bits, self._rate * self._config.max_debt)
        probe = self._probe
        if probe is not None:
            outgoing.probe = probe.number
            self._probe_bytes += outgoing.size
            self._probe_packets += 1
            due = max(self._probe_next_at, now - _CATCH_UP)
            self._probe_next_at = due + bits / probe.bitrate
            if self._probe_bytes >= probe.size and self._probe_packets >= probe.packets:
                self._probe = None
        return outgoing

    def _drain(self, now: float) -> None:
        least = -self._config.max_late * self._rate if self._waiting else 0.0
        self._debt = max(least, self._debt - (now - self._drained_at) * self._rate)
        self._drained_at = now
