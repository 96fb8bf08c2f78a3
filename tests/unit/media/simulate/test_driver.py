from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.jobs import Job
from ringline.media.simulate.driver import Simulation, SimulationError
from ringline.media.simulate.profile import LinkProfile, NetworkProfile

ONE_WAY = 0.01
NETWORK = NetworkProfile.parse("delay=10")


class Doubling:
    """A job: doubles a number."""

    lane = "doubling"
    seconds = 0.0

    def __init__(self, value: int) -> None:
        self.value = value

    def run(self) -> None:
        self.value *= 2


class Echo:
    """An endpoint that answers each datagram and ticks when told to; it writes all inputs down."""

    def __init__(self, *, answers: bool = False, period: float | None = None) -> None:
        self.log: list[tuple[float, str]] = []
        self.outgoing: deque[bytes] = deque()
        self.sent_at: list[float] = []
        self.jobs: deque[Job] = deque()
        self.sounds: deque[AudioFrame] = deque()
        self.pictures: deque[VideoFrame] = deque()
        self.events: deque[object] = deque()
        self._answers = answers
        self._period = period
        self._due = period

    def handle_datagram(self, data: bytes, now: float) -> None:
        self.log.append((now, f"datagram {data.decode()}"))
        if self._answers:
            self.outgoing.append(b"re " + data)

    def handle_timeout(self, now: float) -> None:
        self.log.append((now, "timeout"))
        if self._due is not None and self._period is not None:
            self._due += self._period

    def handle_job(self, job: Job, now: float) -> None:
        assert isinstance(job, Doubling)
        self.log.append((now, f"job {job.value}"))

    def poll_datagram(self, now: float) -> bytes | None:
        if not self.outgoing:
            return None
        self.sent_at.append(now)
        return self.outgoing.popleft()

    def poll_job(self) -> Job | None:
        return self.jobs.popleft() if self.jobs else None

    def poll_audio(self) -> AudioFrame | None:
        return self.sounds.popleft() if self.sounds else None

    def poll_video(self) -> VideoFrame | None:
        return self.pictures.popleft() if self.pictures else None

    def poll_event(self) -> object | None:
        return self.events.popleft() if self.events else None

    def poll_timeout(self) -> float | None:
        return self._due


def test_time_starts_at_zero_and_ends_where_told() -> None:
    simulation = Simulation()
    assert simulation.now == 0.0
    simulation.run(until=5.0)
    assert simulation.now == 5.0


def test_a_datagram_goes_there_and_its_answer_back() -> None:
    simulation = Simulation()
    caller, callee = Echo(), Echo(answers=True)
    a, b = simulation.add("a", caller), simulation.add("b", callee)
    simulation.connect(a, b, NETWORK)
    caller.outgoing.append(b"hello")
    a.drain()
    simulation.run(until=1.0)
    assert callee.log == [(ONE_WAY, "datagram hello")]
    assert caller.log == [(2 * ONE_WAY, "datagram re hello")]
    assert (caller.sent_at, callee.sent_at) == ([0.0], [ONE_WAY])


def test_a_timeout_comes_exactly_when_asked_for() -> None:
    simulation = Simulation()
    endpoint = Echo(period=0.3)
    simulation.add("a", endpoint)
    simulation.run(until=1.0)
    assert endpoint.log == [(0.3, "timeout"), (0.6, "timeout"), (pytest.approx(0.9), "timeout")]


def test_what_is_due_at_the_end_still_happens() -> None:
    simulation = Simulation()
    endpoint = Echo(period=0.5)
    simulation.add("a", endpoint)
    simulation.run(until=0.5)
    assert endpoint.log == [(0.5, "timeout")]


def test_jobs_run_in_place_and_come_back() -> None:
    simulation = Simulation()
    endpoint = Echo()
    node = simulation.add("a", endpoint)
    endpoint.jobs.extend([Doubling(1), Doubling(2)])
    node.drain()
    assert endpoint.log == [(0.0, "job 2"), (0.0, "job 4")]


def test_every_output_reaches_who_asked_for_it() -> None:
    simulation = Simulation()
    endpoint = Echo()
    node = simulation.add("a", endpoint)
    seen: list[tuple[object, float]] = []
    node.on_audio = lambda sound, now: seen.append((sound, now))
    node.on_video = lambda picture, now: seen.append((picture, now))
    node.on_event = lambda event, now: seen.append((event, now))
    sound = AudioFrame(np.zeros(960, np.int16))
    picture = VideoFrame(np.zeros((3, 2), np.uint8))
    endpoint.sounds.append(sound)
    endpoint.pictures.append(picture)
    endpoint.events.append("event")
    simulation.at(2.0, lambda _: node.drain())
    simulation.run(until=3.0)
    assert [(id(what), when) for what, when in seen] == [
        (id(sound), 2.0),
        (id(picture), 2.0),
        (id("event"), 2.0),
    ]


def test_outputs_that_nobody_asked_for_are_taken_all_the_same() -> None:
    simulation = Simulation()
    endpoint = Echo()
    node = simulation.add("a", endpoint)
    endpoint.sounds.append(AudioFrame(np.zeros(960, np.int16)))
    endpoint.pictures.append(VideoFrame(np.zeros((3, 2), np.uint8)))
    endpoint.events.append("event")
    endpoint.outgoing.append(b"to nobody")
    node.drain()
    left = [endpoint.sounds, endpoint.pictures, endpoint.events, endpoint.outgoing]
    assert not any(left)


def test_what_repeats_does_not_drift() -> None:
    simulation = Simulation()
    times: list[float] = []
    simulation.every(1 / 30, times.append, start=0.5)
    simulation.run(until=1000.5)
    assert len(times) == 30_001
    assert times[-1] == pytest.approx(1000.5, abs=1e-9)


def test_the_past_cannot_be_scheduled() -> None:
    simulation = Simulation()
    simulation.run(until=2.0)
    with pytest.raises(ValueError, match=r"1\.0 s is over"):
        simulation.at(1.0, lambda _: None)
    with pytest.raises(ValueError, match="period must be positive"):
        simulation.every(0.0, lambda _: None)


def test_a_link_starts_when_it_is_added() -> None:
    simulation = Simulation()
    simulation.run(until=10.0)
    link = simulation.add_link(LinkProfile.parse("delay=10;1:delay=500"))
    endpoint = Echo()
    node = simulation.add("a", endpoint)
    simulation.at(10.5, lambda _: simulation.send(b"x", link, node))
    simulation.run(until=10.6)
    assert endpoint.log == [(10.51, "datagram x")]


def test_two_calls_can_share_a_bottleneck() -> None:
    simulation = Simulation()
    shared = simulation.add_link(LinkProfile.parse("rate=80,queue=1000"))
    senders = [Echo(), Echo()]
    receivers = [Echo(), Echo()]
    for sender, receiver in zip(senders, receivers, strict=True):
        node = simulation.add("sender", sender)
        node.route(shared, simulation.add("receiver", receiver))
        sender.outgoing.append(bytes(62).replace(b"\0", b"x"))  # 100 bytes on the wire, 10 ms
        node.drain()
    simulation.run(until=1.0)
    assert [round(receiver.log[0][0], 4) for receiver in receivers] == [0.01, 0.02]


def test_sizes_on_the_wire_are_told() -> None:
    simulation = Simulation()
    a, b = simulation.add("a", Echo()), simulation.add("b", Echo())
    up, _ = simulation.connect(a, b, NETWORK)
    seen: list[tuple[int, float]] = []
    b.on_arrived = lambda size, now: seen.append((size, now))
    simulation.send(bytes(2).replace(b"\0", b"x"), up, b)
    simulation.run(until=1.0)
    assert seen == [(2 + 38, ONE_WAY)]


def test_an_endpoint_that_never_gets_on_is_an_error() -> None:
    simulation = Simulation()
    simulation.add("stuck", Echo(period=0.0))
    with pytest.raises(SimulationError, match=r"stuck asks for 0\.0 s for ever"):
        simulation.run(until=1.0)


def test_generators_differ_and_repeat_with_the_seed() -> None:
    first, second = (Simulation(seed=3) for _ in range(2))
    draws = [first.fork_rng().random() for _ in range(3)]
    assert len(set(draws)) == 3
    assert draws == [second.fork_rng().random() for _ in range(3)]
    assert draws[0] != Simulation(seed=4).fork_rng().random()


def test_a_node_may_have_a_clock_that_runs_fast() -> None:
    simulation = Simulation()
    exact, fast = Echo(), Echo(period=1.0)
    first = simulation.add("exact", exact)
    second = simulation.add("fast", fast, clock_rate=1.25)
    simulation.connect(first, second, NETWORK)
    exact.outgoing.append(b"hello")
    simulation.at(3.99, lambda _: first.drain())
    simulation.run(4.0)
    # Its own seconds are exact, and five of them pass in four.
    assert fast.log == [
        (1.0, "timeout"),
        (2.0, "timeout"),
        (3.0, "timeout"),
        (4.0, "timeout"),
        (5.0, "datagram hello"),
        (5.0, "timeout"),
    ]
    assert (first.now, second.now) == (4.0, 5.0)
    assert exact.sent_at == [3.99]


def test_every_timeout_is_met_exactly_on_a_clock_of_any_rate() -> None:
    simulation = Simulation()
    ticking = Echo(period=0.1)
    simulation.add("drifting", ticking, clock_rate=1.0003)
    simulation.run(100.0)
    times = [when for when, _ in ticking.log]
    assert len(times) == 1000
    due = 0.1
    for when in times:
        assert when == pytest.approx(due, abs=1e-12)
        due += 0.1


def test_a_clock_must_run() -> None:
    with pytest.raises(ValueError, match="clock rate must be positive, got 0"):
        Simulation().add("dead", Echo(), clock_rate=0)
