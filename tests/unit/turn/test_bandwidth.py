from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ringline.turn import DropReason, SendToClient, SendToPeer
from ringline.turn.attributes import CHANNEL_NUMBER, DATA, LIFETIME, XOR_PEER_ADDRESS
from ringline.turn.bandwidth import Bandwidth, TokenBucket, may_pass
from ringline.turn.channel_data import serialize_channel_data
from ringline.turn.config import TurnConfig
from ringline.turn.errors import ConfigError
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

MakeBench = Callable[..., "Bench"]
PEER = ("8.8.8.8", 4000)
KILOBYTE = bytes(1000)


def bound(bench: Bench, name: str = "ann", port: int = 5000) -> Client:
    """Return a client with a channel to the peer."""
    client = bench.client(name, f"p{name[0]}", port=port)
    client.allocate()
    client.ask(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, PEER))
    return client


def sent(client: Client, count: int) -> int:
    """Send kilobytes to the peer; return how many went."""
    data = serialize_channel_data(0x4000, KILOBYTE)
    return sum(len(client.send(data)) for _ in range(count))


def test_a_bucket_is_full_at_first_and_fills_with_its_rate() -> None:
    bucket = TokenBucket(10.0, 100.0)
    assert bucket.has(100.0, 5.0)
    bucket.take(100.0)
    assert not bucket.has(10.0, 5.9)
    assert bucket.has(10.0, 6.0)
    assert not bucket.has(100.1, 1000.0)  # never more than it holds
    assert bucket.has(100.0, 900.0)  # a clock that goes back takes nothing


def test_all_buckets_give_or_none_does() -> None:
    large, small = TokenBucket(1.0, 100.0), TokenBucket(1.0, 10.0)
    assert not may_pass((large, small), 11, 0.0)
    assert may_pass((large, small), 10, 0.0)
    assert large.has(90.0, 0.0)
    assert not may_pass((large, small), 1, 0.0)


def test_an_allocation_has_its_bandwidth_in_both_directions(make_bench: MakeBench) -> None:
    bench = make_bench(allocation_bandwidth=100_000.0)
    ann = bound(bench)
    assert sent(ann, 60) == 60
    assert sum(len(bench.from_peer(ann.port, KILOBYTE, PEER)) for _ in range(60)) == 40
    assert sent(ann, 1) == 0
    metrics = bench.server.metrics
    assert metrics.dropped[DropReason.BANDWIDTH] == 21
    assert (metrics.client_to_peer_bytes, metrics.peer_to_client_bytes) == (60_000, 40_000)
    bench.now += 0.0101
    assert sent(ann, 2) == 1
    assert sent(bound(bench, port=5001), 1) == 1  # another allocation has its own


def test_indications_count_as_channels_do(make_bench: MakeBench) -> None:
    bench = make_bench(allocation_bandwidth=1000.0, bandwidth_burst=0.1)
    ann = bound(bench)
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    message.add(XOR_PEER_ADDRESS, PEER).add(DATA, bytes(60_000))
    assert ann.send(message.serialize()) == [SendToPeer(ann.port, PEER, bytes(60_000))]
    assert ann.send(message.serialize()) == []
    bench.from_peer(ann.port, bytes(5_535), PEER)
    assert bench.from_peer(ann.port, b"x", (PEER[0], 9)) == []  # would be an indication
    assert bench.server.metrics.dropped[DropReason.BANDWIDTH] == 2


def test_a_user_shares_one_bandwidth_among_allocations(make_bench: MakeBench) -> None:
    bench = make_bench(user_bandwidth=100_000.0)
    first, second = bound(bench, port=1), bound(bench, port=2)
    assert sent(first, 70) == 70
    assert sent(second, 70) == 30
    assert sent(bound(bench, "bob", port=3), 70) == 70


def test_allocating_again_does_not_refill(make_bench: MakeBench) -> None:
    bench = make_bench(user_bandwidth=100_000.0)
    ann = bound(bench)
    assert sent(ann, 100) == 100
    ann.request(Method.REFRESH, (LIFETIME, 0))
    assert sent(bound(bench), 1) == 0
    assert sent(bound(bench, port=9), 1) == 0


def test_all_users_share_the_total(make_bench: MakeBench) -> None:
    bench = make_bench(total_bandwidth=100_000.0)
    assert sent(bound(bench, port=1), 70) == 70
    assert sent(bound(bench, "bob", port=2), 70) == 30


def test_between_two_relays_both_pay(make_bench: MakeBench) -> None:
    bench = make_bench(user_bandwidth=100_000.0)
    ann, bob = bound(bench, port=1), bound(bench, "bob", port=2)
    for client, other in ((ann, bob), (bob, ann)):
        peer = (XOR_PEER_ADDRESS, ("203.0.113.1", other.port))
        client.ask(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4001), peer)
    assert sent(bob, 40) == 40
    data = serialize_channel_data(0x4001, KILOBYTE)
    results = [ann.send(data) for _ in range(70)]
    assert results[0] == [SendToClient(bob.socket, data)]
    assert sum(map(len, results)) == 60
    assert bench.server.metrics.dropped[DropReason.BANDWIDTH] == 10
    assert sent(ann, 70) == 30


def test_without_limits_there_are_no_buckets(bench: Bench) -> None:
    ann = bound(bench)
    (allocation,) = bench.server._allocations.by_client.values()
    assert allocation.buckets == ()
    assert sent(ann, 200) == 200


def test_users_who_left_are_forgotten_when_their_bucket_is_full() -> None:
    bandwidth = Bandwidth(per_allocation=None, per_user=1e6, total=None, burst=1.0)
    for number in range(100):
        (bucket,) = bandwidth.take_part(f"user{number}", 0.0)
        assert bucket.has(1e6, 0.0)
        bucket.take(1e6)
        bandwidth.leave(f"user{number}")
    assert len(bandwidth) == 100
    for number in range(100):
        bandwidth.take_part("ann", 10.0 + number)
        bandwidth.leave("ann")
    assert len(bandwidth) == 1


@pytest.mark.parametrize("key", ["allocation_bandwidth", "user_bandwidth", "total_bandwidth"])
def test_a_limit_of_nothing_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        TurnConfig(users={"a": "b"}, **{key: 0.0})  # type: ignore[arg-type] # checked by itself
