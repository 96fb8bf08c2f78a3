"""The compiled data plane: what it passes on is what Python would, and the rest it leaves."""

from __future__ import annotations

import dataclasses
import random
import socket
import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringline.turn import ConfigError, TurnConfig, TurnService
from ringline.turn.bandwidth import TokenBucket
from ringline.turn.io_icmp import REPORTED

if TYPE_CHECKING:
    from ringline.turn._relay import DataPlane

HOST = "127.0.0.1"


class Rig:
    """A data plane with a flow: client, relay and peer are sockets of loopback."""

    def __init__(self) -> None:
        module = pytest.importorskip(
            "ringline.turn._relay", reason="the compiled data plane was not built"
        )
        self.stack = ExitStack()
        self.listener, self.client, self.relay, self.peer, self.stranger = (
            self.open() for _ in range(5)
        )
        self.plane: DataPlane = module.DataPlane(self.listener.fileno())
        self.port = self.relay.getsockname()[1]
        self.add_flow(self.relay, self.client)
        self.bind()

    def open(self) -> socket.socket:
        opened = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        opened.bind((HOST, 0))
        opened.setblocking(False)
        return opened

    def add_flow(
        self, relay: socket.socket, client: socket.socket, buckets: tuple[object, ...] = ()
    ) -> None:
        address = relay.getsockname()
        self.plane.open_flow(address[1], relay.fileno(), client.getsockname(), address, buckets)

    def bind(self, number: int = 0x4000, expires_at: float = 100.0, **peer: object) -> None:
        address = peer.get("peer", self.peer.getsockname())
        only = bool(peer.get("relayed_only", False))
        assert isinstance(address, tuple)
        self.plane.set_channel(self.port, number, address, expires_at, only)

    def run(self, now: float = 0.0) -> list[tuple[int, bytes, str, int]]:
        return self.plane.run(now)

    def close(self) -> None:
        self.plane.close()
        self.stack.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def came(where: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    """Return what waits at a socket; on loopback what was sent is there."""
    result = []
    while True:
        try:
            result.append(where.recvfrom(70_000))
        except BlockingIOError:
            return result


def framed(payload: bytes, number: int = 0x4000) -> bytes:
    return number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload


def test_data_of_a_channel_goes_both_ways_and_is_counted(rig: Rig) -> None:
    for payload in (b"", b"x", b"hello", b"y" * 1200, b"z" * 60_000):
        rig.client.sendto(framed(payload) + bytes(-len(payload) % 4), rig.listener.getsockname())
        assert rig.run() == []
        assert came(rig.peer) == [(payload, rig.relay.getsockname())]
        rig.peer.sendto(payload, rig.relay.getsockname())
        assert rig.run() == []
        assert came(rig.client) == [(framed(payload), rig.listener.getsockname())]
    size = 1 + 5 + 1200 + 60_000
    assert rig.plane.take_counts() == (5, size, 5, size, 0, 0, 0)
    assert rig.plane.take_counts() == (0, 0, 0, 0, 0, 0, 0)


def test_a_burst_arrives_whole_and_in_order(rig: Rig) -> None:
    # Of one size, so that the kernel is given several at once; the last one is shorter.
    payloads = [bytes([number]) * 1000 for number in range(30)] + [b"end"]
    for payload in payloads:
        rig.peer.sendto(payload, rig.relay.getsockname())
    assert rig.run() == []
    assert [data for data, _ in came(rig.client)] == [framed(payload) for payload in payloads]
    for payload in payloads:
        rig.client.sendto(framed(payload), rig.listener.getsockname())
    assert rig.run() == []
    assert [data for data, _ in came(rig.peer)] == payloads


def test_a_busy_socket_is_read_again_in_the_same_turn_but_not_for_ever(rig: Rig) -> None:
    for each in (rig.listener, rig.peer):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    payloads = [b"%03d" % number for number in range(300)]
    for payload in payloads:
        rig.client.sendto(framed(payload), rig.listener.getsockname())
    assert rig.run() == []
    passed = [data for data, _ in came(rig.peer)]
    assert passed == payloads[:256]
    assert rig.run() == []
    assert [data for data, _ in came(rig.peer)] == payloads[256:]


def test_both_planes_know_the_same_errors_as_reports_of_icmp() -> None:
    module = pytest.importorskip(
        "ringline.turn._relay", reason="the compiled data plane was not built"
    )
    assert frozenset(module.REPORTED) == REPORTED
    assert len(module.REPORTED) == len(REPORTED)


def test_what_is_mixed_arrives_whole_and_in_order_at_each_address(rig: Rig) -> None:
    other = rig.open()
    rig.bind(0x4001, peer=other.getsockname())
    sizes = [(800, 700), (800, 700), (300, 0), (900, 700), (0, 700), (800, 1), (800, 700)]
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    for turn, both in enumerate(sizes):
        for payloads, number, size in zip(sent, (0x4000, 0x4001), both, strict=True):
            payloads.append(bytes([turn + 1]) * size)
            rig.client.sendto(framed(payloads[-1], number), rig.listener.getsockname())
    assert rig.run() == []
    assert [data for data, _ in came(rig.peer)] == sent[0]
    assert [data for data, _ in came(other)] == sent[1]
    assert rig.plane.take_counts() == (14, sum(map(len, sent[0] + sent[1])), 0, 0, 0, 0, 0)


def test_two_flows_reach_each_other_inside(rig: Rig) -> None:
    other_client, other_relay = rig.open(), rig.open()
    rig.add_flow(other_relay, other_client)
    rig.bind(0x4001, peer=other_relay.getsockname(), relayed_only=True)
    rig.plane.set_channel(
        other_relay.getsockname()[1], 0x4777, rig.relay.getsockname(), 100.0, True
    )
    rig.client.sendto(framed(b"inside", 0x4001), rig.listener.getsockname())
    assert rig.run() == []
    assert came(other_client) == [(framed(b"inside", 0x4777), rig.listener.getsockname())]
    assert came(other_relay) == []  # the kernel never saw it
    assert rig.plane.take_counts() == (1, 6, 1, 6, 1, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x40",
        b"\x00\x01\x00\x00" + bytes(16),  # STUN
        b"\xff" * 20,
        framed(b"x", 0x4001),  # not bound
        b"\x40\x00\x00\x05four",  # longer than it is
    ],
)
def test_what_is_no_data_of_a_channel_is_left_as_it_came(rig: Rig, data: bytes) -> None:
    rig.client.sendto(data, rig.listener.getsockname())
    assert rig.run() == [(0, data, *rig.client.getsockname())]
    assert came(rig.peer) == []


def test_strangers_on_both_sides_are_left(rig: Rig) -> None:
    rig.stranger.sendto(framed(b"x"), rig.listener.getsockname())
    assert rig.run() == [(0, framed(b"x"), *rig.stranger.getsockname())]
    rig.stranger.sendto(b"x", rig.relay.getsockname())
    assert rig.run() == [(rig.port, b"x", *rig.stranger.getsockname())]
    assert came(rig.client) == []


def test_an_expired_channel_is_left_and_one_bound_again_is_not(rig: Rig) -> None:
    rig.client.sendto(framed(b"x"), rig.listener.getsockname())
    assert rig.run(now=100.0) != []
    rig.peer.sendto(b"x", rig.relay.getsockname())
    assert rig.run(now=100.0) != []
    rig.bind(expires_at=200.0)
    rig.peer.sendto(b"x", rig.relay.getsockname())
    assert rig.run(now=100.0) == []


def test_every_number_may_have_a_channel_and_those_that_ended_are_in_nobodys_way(rig: Rig) -> None:
    for now in (0.0, 1000.0):
        rig.run(now)
        for index in range(0x4000):
            rig.bind(0x4000 + index, now + 100.0, peer=("192.0.2.1", 1 + index + int(now)))
    rig.bind(0x7FFF, 2000.0)
    rig.client.sendto(framed(b"x", 0x7FFF), rig.listener.getsockname())
    assert rig.run(1000.0) == []
    assert came(rig.peer) == [(b"x", rig.relay.getsockname())]


def test_a_number_or_a_peer_has_one_channel(rig: Rig) -> None:
    rig.bind(0x4000, peer=rig.stranger.getsockname())  # the number, after it expired
    rig.peer.sendto(b"x", rig.relay.getsockname())
    assert rig.run() != []
    rig.bind(0x4002, peer=rig.stranger.getsockname())  # the peer
    rig.client.sendto(framed(b"x", 0x4000), rig.listener.getsockname())
    assert rig.run() != []
    rig.client.sendto(framed(b"x", 0x4002), rig.listener.getsockname())
    assert rig.run() == []


def test_an_address_of_ours_is_good_for_a_flow_and_nothing_else(rig: Rig) -> None:
    rig.bind(relayed_only=True)
    rig.client.sendto(framed(b"x"), rig.listener.getsockname())
    assert rig.run() == [(0, framed(b"x"), *rig.client.getsockname())]
    rig.peer.sendto(b"x", rig.relay.getsockname())  # by the kernel, so not from a flow
    assert rig.run() == [(rig.port, b"x", *rig.peer.getsockname())]


def test_a_relay_that_serves_a_connection_is_pythons(rig: Rig) -> None:
    relay = rig.open()
    rig.plane.open_flow(relay.getsockname()[1], -1, (HOST, 9), relay.getsockname())
    rig.bind(0x4001, peer=relay.getsockname())
    rig.client.sendto(framed(b"x", 0x4001), rig.listener.getsockname())
    assert rig.run() == [(0, framed(b"x", 0x4001), *rig.client.getsockname())]


def test_a_closed_flow_passes_nothing(rig: Rig) -> None:
    rig.plane.close_flow(rig.port)
    rig.plane.close_flow(rig.port)  # harmless
    rig.client.sendto(framed(b"x"), rig.listener.getsockname())
    assert rig.run() == [(0, framed(b"x"), *rig.client.getsockname())]
    rig.peer.sendto(b"x", rig.relay.getsockname())
    assert rig.run() == []  # not watched any more


def test_a_thousand_flows_come_and_go(rig: Rig) -> None:
    rng = random.Random(1)
    relayed = list(range(10_000, 11_000))
    for port in relayed:
        rig.plane.open_flow(port, -1, (HOST, port), (HOST, port))
    rng.shuffle(relayed)
    for count, port in enumerate(relayed):
        rig.plane.close_flow(port)
        if count % 50 == 0:  # the others, ours among them, are found all the same
            rig.client.sendto(framed(b"x"), rig.listener.getsockname())
            assert rig.run() == []
    assert len(came(rig.peer)) == 20


def test_a_bucket_is_the_same_in_both_makes(rig: Rig) -> None:
    rng = random.Random(3)
    ours, theirs = TokenBucket(1000.0, 5000.0), rig.plane.make_bucket(1000.0, 5000.0)
    now = 7.0
    for _ in range(2_000):
        now += rng.choice((-0.5, 0.0, 0.1, 3.0))
        size = rng.uniform(0.0, 6000.0)
        assert ours.has(size, now) is theirs.has(size, now)
        if ours.has(size, now):
            ours.take(size)
            theirs.take(size)


def test_what_is_over_the_bandwidth_is_dropped_and_counted(rig: Rig) -> None:
    rig.plane.close_flow(rig.port)
    own, shared = rig.plane.make_bucket(1000.0, 3000.0), rig.plane.make_bucket(1.0, 9000.0)
    rig.add_flow(rig.relay, rig.client, (own, shared))
    rig.bind()
    for _ in range(5):
        rig.client.sendto(framed(bytes(1000)), rig.listener.getsockname())
    assert rig.run(now=1.0) == []  # none of it is Python's to judge once more
    assert len(came(rig.peer)) == 3
    assert rig.plane.take_counts() == (3, 3000, 0, 0, 0, 0, 2)
    rig.peer.sendto(bytes(1000), rig.relay.getsockname())
    assert rig.run(now=1.9) == []
    assert came(rig.client) == []
    rig.peer.sendto(bytes(1000), rig.relay.getsockname())
    assert rig.run(now=2.0) == []
    assert len(came(rig.client)) == 1
    assert rig.plane.take_counts() == (0, 0, 1, 1000, 0, 0, 1)
    assert shared.has(5000.0, 2.0)  # what the other bucket refused it did not pay for
    assert not shared.has(5002.0, 2.0)


def test_inside_the_server_both_flows_pay(rig: Rig) -> None:
    other_client, other_relay = rig.open(), rig.open()
    bucket = rig.plane.make_bucket(1.0, 2000.0)
    rig.add_flow(other_relay, other_client, (bucket,))
    rig.bind(0x4001, peer=other_relay.getsockname(), relayed_only=True)
    other = other_relay.getsockname()[1]
    rig.plane.set_channel(other, 0x4777, rig.relay.getsockname(), 100.0, True)
    for _ in range(3):
        rig.client.sendto(framed(bytes(1000), 0x4001), rig.listener.getsockname())
    assert rig.run() == []
    assert len(came(other_client)) == 2
    assert rig.plane.take_counts() == (3, 3000, 2, 2000, 3, 0, 1)


@pytest.mark.parametrize("buckets", [(1,), (None, None), ("bucket",)])
def test_a_flow_takes_buckets_of_its_own_make_only(rig: Rig, buckets: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match="make_bucket"):
        rig.plane.open_flow(1, -1, (HOST, 1), (HOST, 1), buckets)
    made = tuple(rig.plane.make_bucket(1.0, 1.0) for _ in range(5))
    with pytest.raises(TypeError, match="make_bucket"):
        rig.plane.open_flow(1, -1, (HOST, 1), (HOST, 1), made)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rig: rig.plane.open_flow(rig.port, -1, (HOST, 1), (HOST, 1)),  # there already
        lambda rig: rig.plane.open_flow(0, -1, (HOST, 1), (HOST, 1)),
        lambda rig: rig.plane.open_flow(1, -1, ("::1", 1), (HOST, 1)),
        lambda rig: rig.plane.open_flow(1, -1, (HOST, 0), (HOST, 1)),
        lambda rig: rig.plane.open_flow(1, -1, (HOST, 70_000), (HOST, 1)),
        lambda rig: rig.plane.set_channel(1, 0x4000, (HOST, 1), 1.0, False),
        lambda rig: rig.plane.set_channel(rig.port, 0x3FFF, (HOST, 1), 1.0, False),
        lambda rig: rig.plane.set_channel(rig.port, 0x8000, (HOST, 1), 1.0, False),
    ],
)
def test_misuse_raises(rig: Rig, wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(ValueError, match=r"relay|address"):
        wrong(rig)


def test_after_closing_it_does_nothing(rig: Rig) -> None:
    rig.plane.close()
    rig.client.sendto(framed(b"x"), rig.listener.getsockname())
    assert rig.run() == []
    with pytest.raises(ValueError, match="closed"):
        rig.add_flow(rig.open(), rig.client)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=64)), max_size=40))
@settings(max_examples=50)
def test_whatever_comes_is_passed_on_or_left_and_never_both(
    inputs: list[tuple[bool, bytes]],
) -> None:
    rig = Rig()
    try:
        for by_client, data in inputs:
            source = rig.client if by_client else rig.stranger
            source.sendto(data, rig.listener.getsockname())
            left = rig.run()
            is_data = by_client and len(data) >= 4 and data[:2] == b"\x40\x00"
            length = int.from_bytes(data[2:4], "big")
            if is_data and length <= len(data) - 4:
                assert left == []
                assert [payload for payload, _ in came(rig.peer)] == [data[4 : 4 + length]]
            else:
                assert left == [(0, data, *source.getsockname())]
                assert came(rig.peer) == []
    finally:
        rig.close()


@pytest.mark.parametrize("wanted", ["python", "auto"])
async def test_a_service_takes_the_way_that_it_is_told(wanted: str) -> None:
    config = TurnConfig(host=HOST, port=0, users={"a": "b"}, data_plane=wanted)
    async with TurnService(config) as service:
        if wanted == "python":
            assert service.data_plane == "python"
        else:
            pytest.importorskip(
                "ringline.turn._relay", reason="the compiled data plane was not built"
            )
            assert service.data_plane == "compiled"


async def test_one_that_was_not_built_can_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("ringline.turn._relay", raising=False)
    monkeypatch.setitem(sys.modules, "ringline.turn._relay", None)
    config = TurnConfig(host=HOST, port=0, users={"a": "b"})
    async with TurnService(config) as service:
        assert service.data_plane == "python"
    wanted = TurnConfig(host=HOST, port=0, users={"a": "b"}, data_plane="compiled")
    with pytest.raises(ConfigError, match="was not built"):
        await TurnService.start(wanted)


async def test_one_of_another_version_is_told_of_and_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stale = types.ModuleType("ringline.turn._relay")  # before there was an INTERFACE
    monkeypatch.setattr("ringline.turn._relay", stale, raising=False)
    monkeypatch.setitem(sys.modules, "ringline.turn._relay", stale)
    config = TurnConfig(host=HOST, port=0, users={"a": "b"})
    async with TurnService(config) as service:
        assert service.data_plane == "python"
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "built from another version of Ringline" in warnings[0].getMessage()
    with pytest.raises(ConfigError, match="built from another version"):
        await TurnService.start(dataclasses.replace(config, data_plane="compiled"))
