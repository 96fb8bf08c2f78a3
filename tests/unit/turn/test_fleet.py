from __future__ import annotations

import random
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.turn import ClientSocket, ConfigError, ParseError, SendToClient, TurnConfig
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    ERROR_CODE,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
)
from ringline.turn.commands import CloseRelay, TellWorker
from ringline.turn.config import part_of
from ringline.turn.fleet import Fleet, WorkerMessage, WorkerMessageKind, shared_size
from ringline.turn.quota import AllocationQuota
from ringline.turn.stun import Message, MessageClass, Method
from tests.unit.turn.conftest import RELAY_HOST, Bench, Client

UDP = (REQUESTED_TRANSPORT, 17)
ANN, BOB = (RELAY_HOST, 50_000), (RELAY_HOST, 60_000)


def fleets(count: int = 2) -> list[Fleet]:
    memory = memoryview(bytearray(shared_size(count)))
    return [
        Fleet(memory, index=n, count=count, key=bytes(32), lock=nullcontext()) for n in range(count)
    ]


def test_a_relay_belongs_to_another_worker_until_it_is_withdrawn() -> None:
    first, second = fleets()
    first.publish(ANN[1])
    assert second.owner_of(ANN) is None  # on an address that is not known to be ours
    first.add_host(RELAY_HOST)
    assert second.owner_of(ANN) == 0
    assert first.owner_of(ANN) is None  # its own
    assert second.owner_of(BOB) is None
    second.withdraw(ANN[1])  # not its own
    assert second.owner_of(ANN) == 0
    first.withdraw(ANN[1])
    assert second.owner_of(ANN) is None


def test_hosts_are_known_to_all_and_once() -> None:
    first, second = fleets()
    for host in ("192.0.2.1", "2001:db8::1", "192.0.2.1"):
        first.add_host(host)
    second.add_host("192.0.2.1")
    assert first.hosts() == second.hosts() == {"192.0.2.1", "2001:db8::1"}
    for number in range(100):  # more than fit
        second.add_host(f"198.51.100.{number}")
    assert len(first.hosts()) == len(second.hosts()) == 64


def test_a_user_is_counted_at_all_workers() -> None:
    first, second = (AllocationQuota(per_user=3, total=5, fleet=fleet) for fleet in fleets())
    first.take("ann", 2)
    assert second.user_has_room("ann", 1)
    assert not second.user_has_room("ann", 2)
    second.take("ann", 1)
    assert not first.user_has_room("ann", 1)
    assert first.user_has_room("bob", 3)
    first.take("bob", 2)
    assert not second.has_room(1)
    first.release("ann", 2)
    assert second.user_has_room("ann", 2)
    assert second.has_room(2)


def test_what_a_dead_worker_held_is_free() -> None:
    dead, other = fleets()
    dead.add_host(RELAY_HOST)
    dead.publish(ANN[1])
    other.publish(BOB[1])
    dead.note("ann", 3, 3)
    other.note("ann", 1, 1)
    other.forget(0)
    assert other.held_elsewhere("ann") == other.all_elsewhere() == 0
    assert other.owner_of(ANN) is None
    assert dead.held_elsewhere("ann") == 1
    assert dead.owner_of(BOB) == 1


def test_a_days_users_leave_no_trace_that_fills_up() -> None:
    first, second = fleets()
    for number in range(20_000):  # more than there are records
        first.note(f"user {number}", 1, 1)
        assert second.held_elsewhere(f"user {number}") == 1
        first.note(f"user {number}", 0, 0)
        assert second.held_elsewhere(f"user {number}") == 0


def test_parts_have_equal_ranges_that_keep_pairs_together() -> None:
    config = TurnConfig(
        users={"ann": "pa"}, first_relay_port=50_001, last_relay_port=50_020, total_bandwidth=9e6
    )
    parts = [part_of(config, index, 3) for index in range(3)]
    ranges = [(part.first_relay_port, part.last_relay_port) for part in parts]
    assert ranges == [(50_002, 50_007), (50_008, 50_013), (50_014, 50_019)]
    assert {part.total_bandwidth for part in parts} == {3e6}
    for index, fleet in enumerate(fleets(3)):
        homes = [fleet.home_of(first, *ranges[index]) for first, _ in ranges]
        assert homes == [None if other == index else other for other in range(3)]
    with pytest.raises(ConfigError, match="workers: 50001 to 50020 are too few"):
        part_of(config, 0, 11)


HOSTS = st.sampled_from(["", "192.0.2.1", "2001:db8::1"])
PORTS = st.integers(0, 65_535)


@given(
    st.builds(
        WorkerMessage,
        st.sampled_from(WorkerMessageKind),
        st.integers(0, 63),
        st.tuples(HOSTS, PORTS),
        st.tuples(HOSTS, PORTS),
        st.binary(max_size=8),
        st.text(max_size=100),
        st.binary(max_size=1500),
    )
)
def test_a_message_comes_as_it_went(message: WorkerMessage) -> None:
    assert WorkerMessage.parse(message.serialize()) == message


@given(st.binary(max_size=60))
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with suppress(ParseError):
        WorkerMessage.parse(data)


class Pair:
    """Two workers of one server in virtual time; what they tell each other arrives at once."""

    def __init__(self) -> None:
        self.deliver = True
        self.benches = []
        for index, fleet in enumerate(fleets()):
            bench = Bench(fleet=fleet, max_allocations_per_user=3)
            config = part_of(bench.config, index, 2)
            self.benches.append(Bench(fleet=fleet, **_fields(config)))

    def client(self, worker: int, port: int) -> Client:
        bench = self.benches[worker]
        return Client(bench, ClientSocket("198.51.100.7", port), "ann", "pa")

    def carry(self, sender: int, commands: list[Any]) -> list[tuple[int, Any]]:
        """Carry messages until there are none; return the other commands, with their worker."""
        rest = []
        for command in commands:
            if not isinstance(command, TellWorker):
                rest.append((sender, command))
            elif self.deliver:
                other = self.benches[command.worker]
                port = command.relay_port or 0
                other.server.handle_worker_message(command.message, other.now, relay_port=port)
                rest += self.carry(command.worker, other.drain())
        return rest


def _fields(config: TurnConfig) -> dict[str, Any]:
    names = ("first_relay_port", "last_relay_port", "max_allocations_per_user")
    return {name: getattr(config, name) for name in names}


def bind(client: Client, peer: tuple[str, int]) -> None:
    answer = client.ask(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, peer))
    assert answer.message_class is MessageClass.SUCCESS


def test_what_is_for_another_workers_relay_is_handed_over_with_both_permissions() -> None:
    pair = Pair()
    ann, bob = pair.client(0, 1), pair.client(1, 2)
    ann.allocate()
    bob.allocate()
    bind(ann, (RELAY_HOST, bob.port))
    assert pair.carry(0, ann.send(b"\x40\x00\x00\x02hi")) == []  # bob has not asked for it
    bind(bob, (RELAY_HOST, ann.port))
    (came,) = pair.carry(0, ann.send(b"\x40\x00\x00\x02hi"))
    assert came == (1, SendToClient(bob.socket, b"\x40\x00\x00\x02hi"))


def test_an_address_of_ours_is_not_believed_when_it_comes_by_a_socket() -> None:
    pair = Pair()
    ann, bob = pair.client(0, 1), pair.client(1, 2)
    ann.allocate()
    bob.allocate()
    bind(bob, (RELAY_HOST, ann.port))
    assert pair.benches[1].from_peer(bob.port, b"forged", (RELAY_HOST, ann.port)) == []


def test_a_nonce_is_good_at_every_worker() -> None:
    pair = Pair()
    ann = pair.client(0, 1)
    ann.sign(ann.message(Method.REFRESH))
    moved = pair.client(1, 1)
    moved.nonce = ann.nonce
    moved.allocate()


def reserve(pair: Pair) -> tuple[Client, bytes]:
    ann = pair.client(0, 1)
    token = ann.allocate((EVEN_PORT, True)).get(RESERVATION_TOKEN)
    assert token is not None
    return ann, token


def lent(pair: Pair) -> dict[int, int]:
    lending = pair.benches[0].server._allocator._lending
    assert lending is not None
    return lending._lent


def claim(pair: Pair, client: Client, token: bytes) -> list[tuple[int, Any]]:
    values = client.request(Method.ALLOCATE, UDP, (RESERVATION_TOKEN, token))
    return pair.carry(1, values)


def code_of(entries: list[tuple[int, Any]]) -> int:
    ((_, command),) = entries
    assert isinstance(command, SendToClient)
    message = Message.parse(command.data)
    error = message.get(ERROR_CODE)
    return 0 if error is None else error[0]


def test_a_reserved_port_moves_to_who_claims_it_and_comes_back() -> None:
    pair = Pair()
    ann, token = reserve(pair)
    other = pair.client(1, 2)
    assert code_of(claim(pair, other, token)) == 0
    assert code_of(claim(pair, pair.client(1, 3), token)) == 508  # once
    port = ann.port + 1
    bind(ann, (RELAY_HOST, port))
    rest = pair.carry(1, other.request(Method.REFRESH, (LIFETIME, 0)))
    assert (1, CloseRelay(port)) in rest
    # All is given back: the quota, and the port.
    pool = pair.benches[0].server._allocator._ports
    assert len(pool) == 1
    assert lent(pair) == {}
    assert [b.server._allocator._quota.held for b in pair.benches] == [1, 0]


def test_another_users_reservation_is_none() -> None:
    pair = Pair()
    _, token = reserve(pair)
    bob = Client(pair.benches[1], ClientSocket("198.51.100.8", 4), "bob", "pb")
    assert code_of(claim(pair, bob, token)) == 508


def test_a_claim_at_a_dead_worker_is_refused_after_a_second() -> None:
    pair = Pair()
    _, token = reserve(pair)
    pair.deliver = False
    assert claim(pair, pair.client(1, 2), token) == []
    second = pair.benches[1]
    timeout = second.server.poll_timeout()
    assert timeout == second.now + 1.0
    assert code_of([(1, command) for command in second.advance(1.0)]) == 508


def test_a_grant_that_comes_too_late_is_sent_back() -> None:
    pair = Pair()
    _, token = reserve(pair)
    pair.deliver = False
    other = pair.client(1, 2)
    (asked,) = other.request(Method.ALLOCATE, UDP, (RESERVATION_TOKEN, token))
    assert isinstance(asked, TellWorker)
    pair.benches[1].advance(1.0)
    pair.deliver = True
    rest = pair.carry(1, [asked])
    assert [type(command) for _, command in rest] == [CloseRelay]
    assert lent(pair) == {}


def test_what_was_lent_to_a_worker_that_died_is_free() -> None:
    pair = Pair()
    _, token = reserve(pair)
    claim(pair, pair.client(1, 2), token)
    first = pair.benches[0].server
    hello = WorkerMessage(WorkerMessageKind.HELLO, 1).serialize()
    first.handle_worker_message(hello, pair.benches[0].now)
    assert len(first._allocator._ports) == 1


def test_rubbish_from_a_worker_is_dropped() -> None:
    pair = Pair()
    rng = random.Random(3)
    for _ in range(300):
        pair.benches[0].server.handle_worker_message(rng.randbytes(rng.randrange(40)), 1.0)
        assert pair.carry(0, pair.benches[0].drain()) == []


@pytest.mark.parametrize("setting", ["mobility", "tcp_allocations"])
def test_what_several_workers_cannot_do_is_named(setting: str) -> None:
    settings: dict[str, Any] = {setting: True}
    with pytest.raises(ConfigError, match=f"{setting}: not with several workers"):
        part_of(TurnConfig(users={"ann": "pa"}, **settings), 0, 2)
