"""What a person notices of rate control, over simulated links in virtual time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ringline.media.rtp.rtcp import Bye
from ringline.media.rtp.vp8 import Vp8Descriptor, is_key_frame

SEEDS = (1, 2)
VIDEO = 0xB


def run(virtual_call: Any, up: str, seconds: float, **changes: Any) -> Any:
    call = virtual_call(up=up, down="delay=40", **changes)
    call.connect()
    call.run(seconds)
    return call


def longest_pause(call: Any, start: float) -> float:
    times = [at for at, _ in call.received if at >= start]
    return max(float(b - a) for a, b in pairwise(times))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_open_link_is_found_within_three_seconds(virtual_call: Any, seed: int) -> None:
    call = run(virtual_call, "delay=20", 10, seed=seed)
    assert call.mean_target(2.9, 3.1) >= 1_500_000
    assert call.throughput(5, 10) >= 1_700_000  # all that a picture of this size is worth


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("up", "capacity"),
    [
        ("rate=500,delay=100,jitter=20,loss=1,queue=400", 500_000),
        ("rate=150,delay=150,jitter=30,loss=1,queue=600", 150_000),
        ("rate=2000,delay=40,queue=400", 2_000_000),
    ],
)
def test_a_narrow_link_is_used_and_its_queue_kept_short(
    virtual_call: Any, up: str, capacity: float, seed: int
) -> None:
    call = run(virtual_call, up, 25, seed=seed)
    assert call.mean_queue(5, 25) < 0.08
    assert call.throughput(5, 25) >= 0.7 * capacity
    assert longest_pause(call, 5.0) < 0.3


@pytest.mark.parametrize("kbps", [45, 60, 80])
def test_a_link_too_thin_for_a_picture_still_carries_sound(virtual_call: Any, kbps: int) -> None:
    call = run(virtual_call, f"rate={kbps},delay=50,queue=500", 30)
    assert call.mean_queue(10, 30) < 0.12
    times = [packet.timestamp for at, packet in call.received if packet.ssrc == 0xA and at > 10]
    steps = [(later - earlier) & 0xFFFFFFFF for earlier, later in pairwise(times)]
    assert max(steps) <= 2_880  # what a packet holds at most: nothing is missing
    assert sum(steps) >= 0.97 * 20 * 48_000


@pytest.mark.parametrize("seed", SEEDS)
def test_random_loss_does_not_starve_the_rate(virtual_call: Any, seed: int) -> None:
    call = run(virtual_call, "rate=2000,delay=40,loss=20", 25, seed=seed)
    assert call.mean_target(15, 25) >= 1_200_000
    assert call.throughput(15, 25) >= 800_000
    assert call.mean_queue(5, 25) < 0.08
    assert call.pipeline.stats(call.now).inherent_loss == pytest.approx(0.2, abs=0.08)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_link_that_narrows_is_drained_and_one_that_widens_is_found(
    virtual_call: Any, seed: int
) -> None:
    call = run(virtual_call, "rate=2000,delay=40;10:rate=300;22:rate=2000", 30, seed=seed)
    drained = next(s.now for s in call.between(10.3, 30) if s.queue < 0.06)
    assert drained < 11.5
    assert call.mean_queue(12, 22) < 0.08
    assert call.throughput(12, 22) >= 0.7 * 300_000
    assert call.mean_target(27.5, 28.5) >= 1_600_000


@pytest.mark.parametrize("seed", SEEDS)
def test_after_an_outage_it_goes_on_at_once(virtual_call: Any, seed: int) -> None:
    call = run(virtual_call, "rate=2000,delay=40;8:loss=100;11:loss=0", 16, seed=seed)
    before = call.mean_target(7, 8)
    assert min(sample.target for sample in call.between(8, 11)) >= 100_000
    assert call.mean_target(11.2, 11.5) >= 300_000
    assert call.mean_target(13, 14) >= 0.8 * before
    keys = []
    for at, packet in call.received:
        if packet.ssrc == VIDEO and at > 11:
            descriptor, length = Vp8Descriptor.parse(packet.payload)
            if descriptor.start and is_key_frame(packet.payload[length:]):
                keys.append(at)
    assert keys[0] < 11.5


def test_without_feedback_the_rate_falls_with_care_and_media_goes_on(virtual_call: Any) -> None:
    call = run(virtual_call, "rate=2000,delay=40", 5)
    before = call.pipeline.target_bitrate
    call.mute_feedback = True
    call.run(5.8)
    assert call.pipeline.target_bitrate > 0.6 * before
    call.run(20.0)
    assert call.pipeline.target_bitrate == 100_000
    assert longest_pause(call, 5.0) < 0.1
    call.mute_feedback = False
    call.run(24.0)
    assert call.pipeline.target_bitrate > 1_000_000


def test_reports_of_a_congested_way_back_do_not_hold_the_rate_up(virtual_call: Any) -> None:
    call = virtual_call(
        up="rate=150,delay=150,queue=600", down="rate=150,delay=150,queue=600", seed=2
    )

    def crowd() -> None:
        call.back.handle_datagram(bytes(1_000), call.now, Bye([]))

    call._every(0.06, 0.0, crowd)  # 137 kbit/s beside the reports
    call.connect()
    call.run(30.0)
    assert call.mean_queue(10, 30) < 0.15
    assert call.throughput(10, 30) >= 0.5 * 150_000


def test_a_peer_with_receiver_reports_only_is_served(virtual_call: Any) -> None:
    call = run(virtual_call, "rate=1000,delay=40", 45, report_only=True)
    assert call.throughput(30, 45) >= 500_000
    assert call.mean_queue(30, 45) < 0.2
    assert longest_pause(call, 5.0) < 0.3


def test_sound_is_not_held_up_by_the_picture(virtual_call: Any) -> None:
    call = run(virtual_call, "rate=500,delay=100,queue=400", 20)
    departures = [at for at, packet in call.departed if packet.ssrc == 0xA and at > 5]
    gaps = [b - a for a, b in pairwise(departures)]
    assert max(gaps) == pytest.approx(0.02, abs=1e-6)
    arrivals = [at for at, packet in call.received if packet.ssrc == 0xA and at > 5]
    late = sorted(at - sent - 0.1 for at, sent in zip(arrivals, departures, strict=False))
    assert late[int(0.95 * len(late))] < 0.09


def test_audio_alone_needs_no_probes(virtual_call: Any) -> None:
    call = virtual_call()
    call.session = replace(call.session, send=call.session.send[:1])
    call.__post_init__()
    call.connect()
    call.run(5.0)
    assert len(call.departed) == 251
    assert {packet.ssrc for _, packet in call.departed} == {0xA}
