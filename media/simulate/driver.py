"""Driver: runs sessions and the links between them in virtual time.

The counterpart of :mod:`ringline.media.driver` for tests and experiments.  Nothing waits: the
clock, which starts at 0.0, jumps to whatever is due next, so a minute of a call takes as long as
its computing does.  Codec jobs run in place and take no virtual time, unless a node says how
much (:attr:`Node.job_seconds`).

Invariants:

1. Time never goes back, and every endpoint sees its timeout at exactly the time it asked for, on
   its own clock: that of a node may run faster or slower than the simulation's.
2. After each input the endpoint is drained (see :mod:`ringline.media.session`).
3. What is due at the same time happens in a fixed order: what was scheduled, then links, then
   endpoints, each in the order they were made.  So the seed alone decides a run.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from typing import Final, Protocol

from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.jobs import Job
from ringline.media.simulate.link import Link
from ringline.media.simulate.profile import LinkProfile, NetworkProfile

__all__ = ["Endpoint", "Node", "Simulation", "SimulationError"]

_WIRE_OVERHEAD: Final = 38
"""What each datagram takes beside itself: IPv4 20, UDP 8, and the 10 of SRTP's tag, as sessions
are simulated without encryption."""

_MAX_REPEATS: Final = 1000
"""Timeouts of one endpoint at one time; more mean that it never gets on."""


class SimulationError(Exception):
    """An endpoint broke the contract of a driver; the simulation cannot go on."""


class Endpoint(Protocol):
    """What the driver runs; a :class:`~ringline.media.session.MediaSession` is one."""

    def handle_datagram(self, data: bytes, now: float) -> None:
        """Take a datagram from the network."""

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""

    def handle_job(self, job: Job, now: float) -> None:
        """Take back a job that has run."""

    def poll_datagram(self, now: float) -> bytes | None:
        """Return the next datagram that leaves now."""

    def poll_job(self) -> Job | None:
        """Return the next job to run."""

    def poll_audio(self) -> AudioFrame | None:
        """Return 20 ms of sound that is due now."""

    def poll_video(self) -> VideoFrame | None:
        """Return a picture that is due now."""

    def poll_event(self) -> object | None:
        """Return what happened."""

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` is due."""


class Node:
    """An endpoint in its place in a simulation.  Made by :meth:`Simulation.add`.

    Attributes:
        name: For messages.
        clock_rate: Seconds that this node's clock counts in a second of the simulation.
        endpoint: What runs here.  Whoever calls one of its inputs calls :meth:`drain` after it.
        on_audio: Called with each 20 ms of sound and the simulation's time when it is due.
        on_video: Called with each picture, likewise.
        on_event: Called with each event, likewise.
        job_seconds: Tells how long a job takes, as if on a thread of its lane's own; :obj:`None`
            for no time at all.
        on_arrived: Called with the size on the wire of each datagram that comes, likewise.

    """

    def __init__(
        self, name: str, endpoint: Endpoint, simulation: Simulation, clock_rate: float
    ) -> None:
        self.name: Final = name
        self.clock_rate: Final = clock_rate
        self.endpoint: Final = endpoint
        self.on_audio: Callable[[AudioFrame, float], None] | None = None
        self.on_video: Callable[[VideoFrame, float], None] | None = None
        self.on_event: Callable[[object, float], None] | None = None
        self.on_arrived: Callable[[int, float], None] | None = None
        self.job_seconds: Callable[[Job], float] | None = None
        self._lane_free_at: Final[dict[str, float]] = {}
        self._simulation: Final = simulation
        self._reached = 0.0  # the latest timeout that was handled, on the node's clock
        self._asked: float | None = endpoint.poll_timeout()  # on the node's clock
        self._out: Link[Node] | None = None
        self._peer: Node | None = None

    @property
    def now(self) -> float:
        """What the node's clock says: the ``now`` of whatever is given to the endpoint."""
        return max(self._simulation.now * self.clock_rate, self._reached)

    @property
    def due(self) -> float | None:
        """When the endpoint's timeout is due by the simulation's clock, as of the last drain."""
        return None if self._asked is None else self._asked / self.clock_rate

    def route(self, link: Link[Node], peer: Node) -> None:
        """Send what leaves here over ``link`` to ``peer``; links may be shared."""
        self._out, self._peer = link, peer

    def handle_datagram(self, data: bytes, now: float) -> None:
        """Take what a link brings."""
        if self.on_arrived is not None:
            self.on_arrived(len(data) + _WIRE_OVERHEAD, now)
        self.endpoint.handle_datagram(data, self.now)
        self.drain()

    def handle_timeout(self) -> None:
        """Do what is due."""
        # The way to the other clock and back may lose the last bit of the time asked for.
        self._reached = max(self._reached, self._asked or 0.0)
        self.endpoint.handle_timeout(self.now)
        self.drain()

    def drain(self) -> None:
        """Take all outputs of the endpoint; to be called after each input."""
        endpoint, now = self.endpoint, self._simulation.now
        own_now = self.now
        while (job := endpoint.poll_job()) is not None:
            if self.job_seconds is None:
                job.run()
                endpoint.handle_job(job, own_now)
            else:
                self._start(job, self.job_seconds(job), now)
        while (data := endpoint.poll_datagram(own_now)) is not None:
            if self._out is not None:
                self._simulation.send(data, self._out, self._peer)
        while (sound := endpoint.poll_audio()) is not None:
            if self.on_audio is not None:
                self.on_audio(sound, now)
        while (picture := endpoint.poll_video()) is not None:
            if self.on_video is not None:
                self.on_video(picture, now)
        while (event := endpoint.poll_event()) is not None:
            if self.on_event is not None:
                self.on_event(event, now)
        self._asked = endpoint.poll_timeout()

    def _start(self, job: Job, seconds: float, now: float) -> None:
        """Let a job take its time, behind those of its lane."""

        def finish(_: float) -> None:
            job.run()
            job.seconds = seconds
            self.endpoint.handle_job(job, self.now)
            self.drain()

        ends_at = max(now, self._lane_free_at.get(job.lane, now)) + seconds
        self._lane_free_at[job.lane] = ends_at
        self._simulation.at(ends_at, finish)


class Simulation:
    """Endpoints, links and a clock.

    Args:
        seed: Decides everything that chance decides.

    """

    def __init__(self, *, seed: int = 0) -> None:
        self._rng: Final = random.Random(seed)  # noqa: S311 - faults, not secrets
        self._now = 0.0
        self._nodes: Final[list[Node]] = []
        self._links: Final[list[Link[Node]]] = []
        self._scheduled: Final[list[tuple[float, int, Callable[[float], None]]]] = []
        self._serial = 0
        self._repeats = 0

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._now

    def fork_rng(self) -> random.Random:
        """Return a generator of its own for one part: what it draws changes nothing elsewhere."""
        return random.Random(self._rng.getrandbits(64))  # noqa: S311 - likewise

    # Building

    def add(self, name: str, endpoint: Endpoint, *, clock_rate: float = 1.0) -> Node:
        """Add an endpoint.

        Args:
            name: For messages.
            endpoint: What runs there.
            clock_rate: Seconds that its clock counts in a second of the simulation: 1.0003 for
                one that is 300 ppm fast.  All clocks start at 0.

        Raises:
            ValueError: If the clock would stand or go back.

        """
        if clock_rate <= 0:
            raise ValueError(f"clock rate must be positive, got {clock_rate}")
        node = Node(name, endpoint, self, clock_rate)
        self._nodes.append(node)
        return node

    def add_link(self, profile: LinkProfile) -> Link[Node]:
        """Add one direction of a network, to be used by :meth:`Node.route`; it starts now."""
        link: Link[Node] = Link(
            profile, rng=self.fork_rng(), started_at=self._now, overhead=_WIRE_OVERHEAD
        )
        self._links.append(link)
        return link

    def connect(
        self, first: Node, second: Node, network: NetworkProfile
    ) -> tuple[Link[Node], Link[Node]]:
        """Put a network between two endpoints; return its ways ``(up, down)``."""
        up, down = self.add_link(network.up), self.add_link(network.down)
        first.route(up, second)
        second.route(down, first)
        return up, down

    def at(self, when: float, action: Callable[[float], None]) -> None:
        """Call ``action(now)`` at a time; what it does to an endpoint it must drain.

        Raises:
            ValueError: If the time is over.

        """
        if when < self._now:
            raise ValueError(f"{when} s is over, it is {self._now} s")
        self._serial += 1
        heapq.heappush(self._scheduled, (when, self._serial, action))

    def every(
        self, period: float, action: Callable[[float], None], *, start: float | None = None
    ) -> None:
        """Call ``action(now)`` each ``period`` seconds for ever, without drift."""
        if period <= 0:
            raise ValueError(f"period must be positive, got {period}")
        first = self._now if start is None else start

        def repeat(count: int) -> Callable[[float], None]:
            def run(now: float) -> None:
                self.at(first + (count + 1) * period, repeat(count + 1))
                action(now)

            return run

        self.at(first, repeat(0))

    def send(self, data: bytes, link: Link[Node], to: Node | None) -> None:
        """Put a datagram on a link now."""
        link.handle_datagram(data, self._now, to)

    # Running

    def run(self, until: float) -> None:
        """Go on until the clock says ``until``, what is due then included.

        Raises:
            SimulationError: If an endpoint asks for the same time again and again.

        """
        while (when := self._next_time()) <= until:
            if when > self._now:
                self._now = when
                self._repeats = 0
            self._step()
        self._now = max(self._now, until)

    def _next_time(self) -> float:
        when = self._scheduled[0][0] if self._scheduled else math.inf
        for link in self._links:
            due = link.poll_timeout()
            if due is not None and due < when:
                when = due
        for node in self._nodes:
            due = node.due
            if due is not None and due < when:
                when = due
        return when

    def _step(self) -> None:
        now = self._now
        while self._scheduled and self._scheduled[0][0] <= now:
            heapq.heappop(self._scheduled)[2](now)
        for link in self._links:
            due = link.poll_timeout()
            if due is None or due > now:
                continue
            while (arrived := link.poll_datagram(now)) is not None:
                data, node = arrived
                if node is not None:
                    node.handle_datagram(data, now)
        for node in self._nodes:
            if node.due is not None and node.due <= now:
                self._count_repeat(node)
                node.handle_timeout()

    def _count_repeat(self, node: Node) -> None:
        self._repeats += 1
        if self._repeats > _MAX_REPEATS * len(self._nodes):
            raise SimulationError(f"{node.name} asks for {node.due} s for ever, at {self._now} s")
