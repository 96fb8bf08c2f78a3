from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringline.media.simulate.link import Link, LinkStats
from ringline.media.simulate.profile import LinkProfile

Arrival = tuple[float, bytes]


def make_link(text: str, *, seed: int = 1, overhead: int = 0, started_at: float = 0.0) -> Link[str]:
    return Link(
        LinkProfile.parse(text),
        rng=random.Random(seed),
        overhead=overhead,
        started_at=started_at,
    )


def drain(link: Link[str]) -> list[Arrival]:
    """Let everything arrive; return what and when."""
    arrivals: list[Arrival] = []
    while (when := link.poll_timeout()) is not None:
        while (arrived := link.poll_datagram(when)) is not None:
            arrivals.append((when, arrived[0]))
    return arrivals


def send(link: Link[str], count: int, *, period: float = 0.01, size: int = 100) -> list[Arrival]:
    """Send numbered datagrams at an even pace; return what arrived and when."""
    arrivals: list[Arrival] = []
    for number in range(count):
        now = number * period
        while (when := link.poll_timeout()) is not None and when <= now:
            while (arrived := link.poll_datagram(when)) is not None:
                arrivals.append((when, arrived[0]))
        link.handle_datagram(number.to_bytes(4, "big") + bytes(size - 4), now)
    return arrivals + drain(link)


def numbers(arrivals: list[Arrival]) -> list[int]:
    return [int.from_bytes(data[:4], "big") for _, data in arrivals]


def test_nothing_on_it_wants_no_time() -> None:
    link = make_link("delay=20")
    assert link.poll_timeout() is None
    assert link.poll_datagram(1.0) is None


def test_a_datagram_comes_after_the_delay_with_its_tag() -> None:
    link = make_link("delay=20")
    link.handle_datagram(b"hello", 1.0, "here")
    assert link.poll_timeout() == pytest.approx(1.02)
    assert link.poll_datagram(1.019) is None
    assert link.poll_datagram(1.0201) == (b"hello", "here")
    assert link.poll_datagram(9.0) is None
    assert link.stats == LinkStats(1, 0, 0, 1, 0, 5, 5)


def test_the_bottleneck_spreads_a_burst_by_its_rate_headers_included() -> None:
    link = make_link("rate=80,delay=5,queue=1000", overhead=28)  # 10 bytes a millisecond
    for _ in range(3):
        link.handle_datagram(bytes(72), 0.0)
    assert [round(when, 4) for when, _ in drain(link)] == [0.015, 0.025, 0.035]


def test_a_queue_in_milliseconds_drops_what_would_wait_longer() -> None:
    link = make_link("rate=80,queue=20")
    for number in range(6):
        link.handle_datagram(bytes([number]) * 100, 0.0)  # each takes 10 ms
    assert [data[0] for _, data in drain(link)] == [0, 1, 2]  # they wait 0, 10 and 20 ms
    assert (link.stats.handled, link.stats.dropped, link.stats.delivered) == (6, 3, 3)


def test_a_queue_in_bytes_drops_what_does_not_fit() -> None:
    link = make_link("rate=80,queue=250B")
    for number in range(6):
        link.handle_datagram(bytes([number]) * 100, 0.0)
    assert [data[0] for _, data in drain(link)] == [0, 1, 2]  # one on its way, two in the queue


def test_the_queue_delay_is_what_the_next_one_would_wait() -> None:
    link = make_link("rate=80,queue=1000")
    assert link.queue_delay(0.0) == 0
    for _ in range(3):
        link.handle_datagram(bytes(100), 0.0)
    assert link.queue_delay(0.005) == pytest.approx(0.025)


def test_a_change_of_rate_reaches_what_waits() -> None:
    link = make_link("rate=80,queue=1000;0.015:rate=800")
    for _ in range(4):
        link.handle_datagram(bytes(100), 0.0)
    # two start at the old rate, the others take a millisecond each
    assert [round(when, 4) for when, _ in drain(link)] == [0.01, 0.02, 0.021, 0.022]


def test_jitter_keeps_the_order_and_its_bounds() -> None:
    arrivals = send(make_link("delay=50,jitter=40"), 500)
    assert numbers(arrivals) == list(range(500))
    delays = [when - number * 0.01 for number, (when, _) in enumerate(arrivals)]
    assert min(delays) >= 0.05 - 1e-9
    assert max(delays) <= 0.09 + 1e-9
    assert max(delays) - min(delays) > 0.03


def test_reordering_mixes_the_order_and_loses_nothing() -> None:
    got = numbers(send(make_link("delay=50,jitter=40,reorder=20"), 500))
    assert got != list(range(500))
    assert sorted(got) == list(range(500))


def test_random_loss_is_near_its_share_and_counted() -> None:
    link = make_link("loss=20")
    got = numbers(send(link, 5_000))
    assert 0.18 < 1 - len(got) / 5_000 < 0.22
    assert link.stats.lost == 5_000 - len(got)


def test_bursts_have_their_share_and_length() -> None:
    link = make_link("ge=2/25")
    got = set(numbers(send(link, 20_000)))
    runs, run = [], 0
    for number in range(20_000):
        if number in got:
            runs += [run] if run else []
            run = 0
        else:
            run += 1
    assert link.stats.lost / 20_000 == pytest.approx(2 / 27, rel=0.15)
    assert sum(runs) / len(runs) == pytest.approx(4, rel=0.15)


def test_a_bad_state_ends_with_its_stage() -> None:
    got = numbers(send(make_link("ge=100/0.001;1:ge=0/50"), 200))
    assert got == list(range(100, 200))


def test_duplicates_come_twice_and_are_counted() -> None:
    link = make_link("duplicate=100,delay=1")
    assert numbers(send(link, 3)) == [0, 0, 1, 1, 2, 2]
    assert (link.stats.delivered, link.stats.duplicated) == (6, 3)


def test_an_outage_takes_all_that_comes_and_leaves_what_is_on_the_way() -> None:
    got = numbers(send(make_link("delay=100;1:loss=100;2:loss=0"), 300))
    assert got == [*range(100), *range(200, 300)]


def test_the_profile_counts_from_the_start_of_the_link() -> None:
    link = make_link("delay=10;5:delay=30", started_at=100.0)
    link.handle_datagram(b"a", 104.9)
    link.handle_datagram(b"b", 105.1)
    assert [round(when, 3) for when, _ in drain(link)] == [104.91, 105.13]


def test_a_new_profile_holds_from_now_on() -> None:
    link = make_link("delay=10")
    link.handle_datagram(b"a", 5.0)
    link.set_profile(LinkProfile.parse("delay=50;1:delay=90"), 5.0)
    link.handle_datagram(b"b", 5.0)
    link.handle_datagram(b"c", 6.5)
    assert [round(when, 3) for when, _ in drain(link)] == [5.01, 5.05, 6.59]


def test_one_seed_is_one_run() -> None:
    text = "rate=500,delay=20,jitter=30,reorder=5,loss=5,ge=2/25,duplicate=2"
    first, again, other = (send(make_link(text, seed=seed), 300) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 0.05), st.integers(1, 1500)), max_size=60),
    st.integers(50, 5_000),
    st.integers(0, 500),
    st.sampled_from(["", ",loss=10", ",jitter=30", ",jitter=30,reorder=30", ",ge=5/20"]),
)
def test_whatever_comes_is_bounded_counted_and_in_order(
    traffic: list[tuple[float, int]], rate: int, queue: int, faults: str
) -> None:
    link = make_link(f"rate={rate},queue={queue},delay=10{faults}")
    now = 0.0
    for gap, size in traffic:
        now += gap
        link.handle_datagram(bytes(size), now)
        assert link.queue_delay(now) <= queue / 1000 + 1500 * 8 / (rate * 1000) + 1e-9
    arrivals = drain(link)
    stats = link.stats
    assert stats.handled == len(traffic) == stats.lost + stats.dropped + stats.delivered
    if "reorder" not in faults and "jitter" not in faults:
        for (before, _), (after, data) in pairwise(arrivals):
            assert after - before >= len(data) * 8 / (rate * 1000) - 1e-6
