"""The first seconds of a call, on a network where calls have been before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ringline.media.simulate import CallConfig, NetworkProfile, SimulatedCall

NARROW = NetworkProfile.parse("rate=150,delay=100,queue=600|rate=150,delay=100,queue=600")
SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Start:
    longest_queue: float
    concealed_ms_per_minute: float
    sound_delay_p95: float
    first_picture: float


def start(known: int | None, seed: int, network: NetworkProfile = NARROW) -> Start:
    call = SimulatedCall(network, seed=seed, config=CallConfig(answering_video=False))
    if known is not None:
        call.session(call.a).expect_bitrate(known, call.a.now)
    queue = 0.0
    for step in range(1, int(20 * SECONDS) + 1):
        call.run(until=step / 20)
        queue = max(queue, call.up.queue_delay(call.simulation.now))
    seen = call.a_to_b.observe(0.0, SECONDS)
    assert seen.sound_delay_p95 is not None
    assert seen.first_picture is not None
    return Start(queue, seen.concealed_ms_per_minute, seen.sound_delay_p95, seen.first_picture)


@pytest.mark.parametrize("seed", [1, 2])
def test_who_was_on_a_narrow_link_before_starts_without_filling_it(seed: int) -> None:
    unknown, known = start(None, seed), start(140_000, seed)
    assert known.longest_queue < 0.2 < unknown.longest_queue
    assert known.concealed_ms_per_minute < unknown.concealed_ms_per_minute
    assert known.sound_delay_p95 < unknown.sound_delay_p95
    assert known.first_picture <= unknown.first_picture


@pytest.mark.parametrize("seed", [1, 2])
def test_a_memory_of_a_better_day_costs_neither_queue_nor_sound(seed: int) -> None:
    unknown, wrong = start(None, seed), start(2_000_000, seed)
    assert wrong.longest_queue <= unknown.longest_queue + 0.05
    assert wrong.concealed_ms_per_minute <= unknown.concealed_ms_per_minute + 300
    assert wrong.sound_delay_p95 <= unknown.sound_delay_p95 + 0.05


def test_a_memory_of_a_worse_day_is_overcome_within_seconds() -> None:
    wide = NetworkProfile.parse("rate=2000,delay=40|rate=2000,delay=40")
    call = SimulatedCall(wide, seed=1, config=CallConfig(answering_video=False))
    call.session(call.a).expect_bitrate(100_000, call.a.now)
    call.run(until=8.0)
    send = call.stats()[0].send
    assert send.target_bitrate > 1_000_000
    reached = call.session(call.a).reached_bitrate
    assert reached is not None
    assert 300_000 < reached < 2_000_000


def test_what_is_expected_counts_only_before_anything_has_left() -> None:
    wide = NetworkProfile.parse("rate=2000,delay=40|rate=2000,delay=40")
    call = SimulatedCall(wide, seed=1, config=CallConfig(answering_video=False))
    assert call.session(call.a).reached_bitrate is None
    call.run(until=2.0)
    before = call.stats()[0].send.target_bitrate
    call.session(call.a).expect_bitrate(100_000, call.a.now)
    assert call.stats()[0].send.target_bitrate == before


def test_statistics_are_those_of_the_moment() -> None:
    wide = NetworkProfile.parse("rate=2000,delay=40|rate=2000,delay=40")
    call = SimulatedCall(wide, seed=1, config=CallConfig(answering_video=False))
    call.run(until=1.0)
    before = call.stats()
    counted = [sum(stream.packets_sent for stream in side.send.streams) for side in before]
    heard = [sum(stream.packets_received for stream in side.receive.streams) for side in before]
    call.run(until=2.0)
    after = call.stats()
    for side, sent, received in zip(before, counted, heard, strict=True):
        assert sum(stream.packets_sent for stream in side.send.streams) == sent
        assert sum(stream.packets_received for stream in side.receive.streams) == received
    assert sum(stream.packets_sent for stream in after[0].send.streams) > counted[0]
