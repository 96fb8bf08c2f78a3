"""Whatever arrives, memory stays bounded: the receiving stages and a session under attack."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringline.media.frames import VideoFrame
from ringline.media.receive.assemble import AssembleConfig, Assembler
from ringline.media.receive.jitter_buffer import JitterBuffer, JitterBufferConfig, Play
from ringline.media.receive.render import Renderer
from ringline.media.receive.sequence import SequenceTracker
from ringline.media.rtp.packet import is_rtcp
from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall

BytesHeld = Callable[[object], int]

numbers = st.integers(0, 60) | st.integers(-(2**40), 2**40)
media_times = st.integers(0, 40).map(lambda n: n * 960) | st.integers(-(2**40), 2**40)
steps = st.sampled_from([0.0, 0.001, 0.02, 0.02, 0.5, 30.0])
SETTINGS = settings(max_examples=150, deadline=None)


@SETTINGS
@given(
    st.lists(
        st.tuples(numbers, media_times, st.integers(0, 6_000), steps, st.booleans()), max_size=80
    )
)
def test_no_packets_make_the_jitter_buffer_grow_or_go_back(
    traffic: list[tuple[int, int, int, float, bool]],
) -> None:
    buffer = JitterBuffer(JitterBufferConfig(max_packets=10))
    now, played = 0.0, 0
    came: set[int] = set()
    due: int | None = None
    for number, media_time, samples, step, is_polled in traffic:
        now += step
        buffer.handle_packet(number, media_time, bytes(8), now)
        came.add(media_time)
        if buffer.next_timestamp is None:
            due = None  # the sender's clock has jumped
        if is_polled:
            answer = buffer.poll(now)
            if isinstance(answer, Play):
                played += 1
                assert answer.timestamp in came
                assert due is None or answer.timestamp >= due
                buffer.handle_played(answer, samples)
                due = answer.timestamp + samples
        assert buffer.path_target <= 0.4
    drained = 0
    while isinstance(answer := buffer.poll(now), Play) and drained <= 10:
        buffer.handle_played(answer, 960)
        drained += 1
    assert drained <= 10
    assert played + buffer.late_packets + buffer.discarded_packets <= len(traffic)


@SETTINGS
@given(
    st.lists(
        st.tuples(
            st.integers(0, 60) | st.integers(0, 65_535),
            st.integers(0, 20).map(lambda n: n * 3_000) | numbers,
            st.binary(max_size=12) | st.just(b"\x10\x00data") | st.just(b""),
            steps,
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_no_packets_make_the_assembler_grow_or_wait_for_ever(
    traffic: list[tuple[int, int, bytes, float, bool]],
) -> None:
    assembler = Assembler(AssembleConfig(max_packets=10))
    tracker = SequenceTracker()  # whose numbers are all that it ever sees
    now = 0.0
    frames = 0
    for number, media_time, payload, step, marker in traffic:
        now += step
        placed = tracker.handle_number(number)
        if placed is None:
            continue
        if placed[1]:
            assembler.restart()
        assembler.handle_packet(placed[0], media_time, payload, now, marker=marker)
        due = assembler.poll_timeout()
        if due is not None and due <= now:
            assembler.handle_timeout(now)
        while assembler.poll_frame() is not None:
            frames += 1
        due = assembler.poll_timeout()
        assert due is None or now < due <= now + 0.3 + 1e-9
    turns = 0
    while (due := assembler.poll_timeout()) is not None:
        assembler.handle_timeout(due)
        turns += 1
        assert turns <= 10
    while assembler.poll_frame() is not None:
        frames += 1
    assert frames <= len(traffic)


@SETTINGS
@given(st.lists(st.tuples(media_times, steps, steps, st.booleans()), max_size=60))
def test_no_media_times_make_the_renderer_grow_or_stall(
    traffic: list[tuple[int, float, float, bool]],
) -> None:
    renderer = Renderer()
    picture = VideoFrame(np.zeros((3, 2), np.uint8))
    now, shown = 0.0, 0
    for media_time, step, took, is_resumption_known in traffic:
        now += step
        renderer.handle_frame(picture, media_time, started_at=now - took, completed_at=now)
        renderer.set_resumption((now + 0.1, now + 0.3) if is_resumption_known else None)
        while renderer.poll_frame(now) is not None:
            shown += 1
    renderer.set_resumption(None)
    waiting = 0
    while (due := renderer.poll_timeout()) is not None:
        now = max(now, due)
        waiting += renderer.poll_frame(now) is not None
        assert waiting <= 30
        assert due <= now
    assert shown + waiting + renderer.dropped == len(traffic)


def mangle(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Give what an attacker makes of a datagram; payloads of RTP stay, they are the codecs'."""
    kind = rng.randrange(10)
    end = len(data) if is_rtcp(data) else min(len(data), 28)
    if kind == 0:
        return  # not this one
    if kind == 1:
        yield data[: rng.randrange(len(data) + 1)]
        return
    if kind in (2, 3, 4):
        mangled = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            mangled[rng.randrange(end)] = rng.randrange(256)
        yield bytes(mangled)
    if kind == 5:
        yield data
        yield data
        return
    if kind == 6:
        yield rng.randbytes(rng.randrange(60))
    yield data


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_datagrams_break_a_call_or_make_it_grow(seed: int, bytes_held: BytesHeld) -> None:
    """Every second datagram is touched, both ways, before encryption as a peer could."""
    rng = random.Random(seed)
    network = NetworkProfile.parse("rate=1000,delay=30,jitter=20,loss=2")
    call = SimulatedCall(network, seed=seed, config=CallConfig(width=160, height=90))
    for node in (call.a, call.b):
        take = node.handle_datagram

        def take_mangled(
            data: bytes, now: float, take: Callable[[bytes, float], None] = take
        ) -> None:
            for one in mangle(data, rng) if rng.random() < 0.5 else [data]:
                take(one, now)

        node.handle_datagram = take_mangled  # type: ignore[method-assign]  # a hostile wire
    call.run(until=10.0)
    early = max(bytes_held(call.session(node)) for node in (call.a, call.b))
    call.run(until=25.0)
    late = max(bytes_held(call.session(node)) for node in (call.a, call.b))
    assert late < max(2 * early, 1_000_000)
    for seen in call.observe(20.0, 25.0):
        assert seen.played_seconds == pytest.approx(5.0, abs=0.1)
    for stats in call.stats():
        assert stats.malformed_datagrams > 0
        assert stats.receive.malformed_packets > 0
