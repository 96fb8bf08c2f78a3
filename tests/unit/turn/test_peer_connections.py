"""RFC 6062 in exact commands, and the attacks on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ringline.turn import ClientSocket, CloseRelay, DropReason, OpenRelay, SendToClient, mint
from ringline.turn.attributes import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDITIONAL_ADDRESS_FAMILY_DRAFT,
    CHANNEL_NUMBER,
    CONNECTION_ID,
    DATA,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
    Attribute,
)
from ringline.turn.commands import ClosePeer, ConnectPeer, JoinPeer
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from ringline.turn import Command
    from tests.unit.turn.conftest import Bench, Client

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]
TCP = (REQUESTED_TRANSPORT, 6)
PEER = ("8.8.8.8", 80)
TO_PEER = (XOR_PEER_ADDRESS, PEER)
RELAY_HOST = "203.0.113.1"


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench(tcp_allocations=True)


@pytest.fixture
def ann(bench: Bench) -> Client:
    """A client with a relay over TCP."""
    client = bench.client(transport="tcp")
    client.allocate_tcp()
    return client


def another(bench: Bench, port: int = 6000, name: str = "ann") -> Client:
    """Return one more connection of a user."""
    return bench.client(name, f"p{name[0]}", port=port, transport="tcp")


def connecting(client: Client, peer: tuple[str, int] = PEER) -> int:
    """Ask for a connection; return its number."""
    (command,) = client.request(Method.CONNECT, (XOR_PEER_ADDRESS, peer))
    assert isinstance(command, ConnectPeer)
    assert (command.relay_port, command.to) == (client.port, peer)
    return command.number


def connected(bench: Bench, client: Client, peer: tuple[str, int] = PEER) -> int:
    number = connecting(client, peer)
    bench.server.handle_peer_connected(number, bench.now)
    answer = client.answer(bench.drain())
    assert (answer.method, answer.message_class) == (Method.CONNECT, MessageClass.SUCCESS)
    assert answer.get(CONNECTION_ID) == number
    return number


def read_attempt(client: Client, commands: list[Command]) -> tuple[int, tuple[str, int]]:
    (command,) = commands
    assert isinstance(command, SendToClient)
    assert command.client == client.socket
    attempt = Message.parse(command.data)
    assert attempt.method == Method.CONNECTION_ATTEMPT
    assert attempt.message_class is MessageClass.INDICATION
    number, peer = attempt.get(CONNECTION_ID), attempt.get(XOR_PEER_ADDRESS)
    assert number is not None
    assert peer is not None
    return number, peer


def test_off_by_default(make_bench: MakeBench, code_of: CodeOf) -> None:
    bench = make_bench()
    client = bench.client(transport="tcp")
    assert code_of(client.ask(Method.ALLOCATE, TCP)) == 442
    client.allocate()
    assert client.request(Method.CONNECT, TO_PEER) == []
    assert client.request(Method.CONNECTION_BIND, (CONNECTION_ID, 1)) == []


def test_a_relay_over_tcp_is_opened_and_closed(bench: Bench) -> None:
    bench.open_relays = False
    client = bench.client(transport="tls")
    (command,) = client.request(Method.ALLOCATE, TCP)
    assert isinstance(command, OpenRelay)
    assert (command.client, command.transport) == (client.socket, "tcp")
    bench.server.handle_relay_opened(command.relay_port, RELAY_HOST, bench.now)
    assert client.answer(bench.drain()).message_class is MessageClass.SUCCESS
    assert CloseRelay(command.relay_port) in client.request(Method.REFRESH, (LIFETIME, 0))


def test_udp_clients_get_none(bench: Bench, code_of: CodeOf) -> None:
    assert code_of(bench.client().ask(Method.ALLOCATE, TCP)) == 400


@pytest.mark.parametrize(
    "value",
    [
        (DONT_FRAGMENT, True),
        (EVEN_PORT, False),
        (RESERVATION_TOKEN, bytes(8)),
        (ADDITIONAL_ADDRESS_FAMILY, 2),
        (ADDITIONAL_ADDRESS_FAMILY_DRAFT, 2),
        (MOBILITY_TICKET, b""),
    ],
)
def test_what_is_for_udp_is_refused(
    bench: Bench, code_of: CodeOf, value: tuple[Attribute[Any], object]
) -> None:
    assert code_of(bench.client(transport="tcp").ask(Method.ALLOCATE, TCP, value)) == 400


def test_a_data_plane_hears_nothing_of_it(make_bench: MakeBench) -> None:
    bench = make_bench(tcp_allocations=True, offload=True)
    bench.client(transport="tcp").allocate_tcp()  # which sees that one answer came out


def test_a_client_connects_and_binds(bench: Bench, ann: Client) -> None:
    number = connected(bench, ann)
    data = another(bench)
    answered, joined = data.request(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    assert data.answer([answered]).message_class is MessageClass.SUCCESS
    assert joined == JoinPeer(number, data.socket, ())
    assert bench.server.has_allocation(data.socket)  # the edge may not take it for a stranger
    assert bench.server.metrics.peer_connections == 1
    assert bench.advance(599.0) == []  # no time limit any more but the allocation's
    assert bench.advance(1.0) == [ClosePeer(number), CloseRelay(ann.port)]
    assert bench.server.metrics.peer_connections == 0


def test_a_peer_connects_with_a_permission(bench: Bench, ann: Client) -> None:
    ann.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, (PEER[0], 0)))
    source = (PEER[0], 3333)
    number = bench.server.handle_peer_accepted(ann.port, source, bench.now)
    assert read_attempt(ann, bench.drain()) == (number, source)
    data = another(bench)
    _, joined = data.request(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    assert isinstance(joined, JoinPeer)


def test_a_peer_without_permission_is_not_let_in(bench: Bench, ann: Client) -> None:
    assert bench.server.handle_peer_accepted(ann.port, PEER, bench.now) is None
    assert bench.server.handle_peer_accepted(ann.port + 1, PEER, bench.now) is None
    assert bench.drain() == []
    dropped = bench.server.metrics.dropped
    assert (dropped[DropReason.NO_PERMISSION], dropped[DropReason.NO_ALLOCATION]) == (1, 1)


def test_what_cannot_be_connected_to_is_447(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    number = connecting(ann)
    bench.server.handle_peer_closed(number)
    assert code_of(ann.answer(bench.drain())) == 447
    bench.server.handle_peer_closed(number)  # harmless
    bench.server.handle_peer_connected(number, bench.now)
    assert bench.drain() == []
    connecting(ann)  # it may be tried again


def test_connecting_takes_half_a_minute_at_most(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    number = connecting(ann)
    assert bench.server.poll_timeout() == bench.now + 30.0
    assert bench.advance(29.9) == []
    answered, closed = bench.advance(0.1)
    assert code_of(ann.answer([answered])) == 447
    assert closed == ClosePeer(number)


def test_one_peer_is_connected_to_once(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    number = connecting(ann)
    assert code_of(ann.ask(Method.CONNECT, TO_PEER)) == 446
    bench.server.handle_peer_connected(number, bench.now)
    bench.drain()
    assert code_of(ann.ask(Method.CONNECT, TO_PEER)) == 446
    data = another(bench)
    data.request(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    assert code_of(ann.ask(Method.CONNECT, TO_PEER)) == 446
    connecting(ann, (PEER[0], 81))
    bench.server.handle_peer_closed(number)
    connecting(ann)


@pytest.mark.parametrize(
    ("peer", "code"),
    [(None, 400), ((PEER[0], 0), 400), (("2606:4700::1", 80), 443), ((RELAY_HOST, 9), 403)],
)
def test_a_connect_needs_a_peer(
    ann: Client, code_of: CodeOf, peer: tuple[str, int] | None, code: int
) -> None:
    values = () if peer is None else ((XOR_PEER_ADDRESS, peer),)
    assert code_of(ann.ask(Method.CONNECT, *values)) == code


def test_a_relay_does_not_connect_to_itself(ann: Client, code_of: CodeOf) -> None:
    assert code_of(ann.ask(Method.CONNECT, (XOR_PEER_ADDRESS, (RELAY_HOST, ann.port)))) == 403


@pytest.mark.usefixtures("ann")
def test_connect_is_the_owners_and_for_tcp(bench: Bench, code_of: CodeOf) -> None:
    assert code_of(another(bench).ask(Method.CONNECT, TO_PEER)) == 437
    bob = bench.client("bob", "pb", transport="tcp")  # on ann's socket
    assert code_of(bob.ask(Method.CONNECT, TO_PEER)) == 441
    udp = another(bench, 7000)
    udp.allocate()
    assert code_of(udp.ask(Method.CONNECT, TO_PEER)) == 400


def test_datagrams_do_not_pass_a_relay_over_tcp(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    ann.ask(Method.CREATE_PERMISSION, TO_PEER, (XOR_PEER_ADDRESS, (RELAY_HOST, 0)))
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    assert ann.send(message.add(*TO_PEER).add(DATA, b"x").serialize()) == []
    assert code_of(ann.ask(Method.CHANNEL_BIND, TO_PEER, (CHANNEL_NUMBER, 0x4000))) == 400
    udp = another(bench, 7000)
    udp.allocate()
    to_ann = (XOR_PEER_ADDRESS, (RELAY_HOST, ann.port))
    assert code_of(udp.ask(Method.CHANNEL_BIND, to_ann, (CHANNEL_NUMBER, 0x4000))) == 403


def test_two_relays_over_tcp_meet_by_the_kernel(make_bench: MakeBench) -> None:
    bench = make_bench(tcp_allocations=True, external_address="192.0.2.200")
    ann, bob = bench.client(transport="tcp"), another(bench, 5001, "bob")
    ann.allocate_tcp()
    bob.allocate_tcp()
    to_ann, to_bob = (("192.0.2.200", each.port) for each in (ann, bob))
    (command,) = ann.request(Method.CONNECT, (XOR_PEER_ADDRESS, to_bob))
    assert isinstance(command, ConnectPeer)
    assert command.to == (RELAY_HOST, bob.port)  # past the NAT
    source = (RELAY_HOST, ann.port)
    assert bench.server.handle_peer_accepted(bob.port, source, bench.now) is None
    bob.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, to_ann))
    number = bench.server.handle_peer_accepted(bob.port, source, bench.now)
    assert read_attempt(bob, bench.drain()) == (number, to_ann)
    # Something else on this machine is no relay.
    assert bench.server.handle_peer_accepted(bob.port, (RELAY_HOST, 22), bench.now) is None


# Attacks


def test_numbers_cannot_be_guessed_or_used_by_others(
    bench: Bench, ann: Client, code_of: CodeOf
) -> None:
    number = connected(bench, ann)
    bob, data = another(bench, 6000, "bob"), another(bench, 6001)
    for guess in (0, 1, number ^ 1, 0xFFFFFFFF):
        assert code_of(data.ask(Method.CONNECTION_BIND, (CONNECTION_ID, guess))) == 400
    assert code_of(bob.ask(Method.CONNECTION_BIND, (CONNECTION_ID, number))) == 400
    assert code_of(data.ask(Method.CONNECTION_BIND)) == 400
    assert code_of(ann.ask(Method.CONNECTION_BIND, (CONNECTION_ID, number))) == 400  # control
    udp = bench.client(port=6002)
    assert code_of(udp.ask(Method.CONNECTION_BIND, (CONNECTION_ID, number))) == 400
    data.request(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    again = another(bench, 6003)
    assert code_of(again.ask(Method.CONNECTION_BIND, (CONNECTION_ID, number))) == 400


def test_a_number_that_is_not_bound_yet_is_bound_by_nobody(
    bench: Bench, ann: Client, code_of: CodeOf
) -> None:
    number = connecting(ann)
    data = another(bench)
    assert code_of(data.ask(Method.CONNECTION_BIND, (CONNECTION_ID, number))) == 400


def test_a_bind_is_signed(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    number = connected(bench, ann)
    data = another(bench)
    unsigned = data.message(Method.CONNECTION_BIND, (CONNECTION_ID, number)).serialize()
    assert code_of(data.answer(data.send(unsigned))) == 401
    eve = bench.client("ann", "guess", port=6001, transport="tcp")
    answer = eve.answer(eve.request(Method.CONNECTION_BIND, (CONNECTION_ID, number)))
    assert code_of(answer) == 401


def test_a_data_connection_may_use_the_nonce_of_its_control_connection(
    bench: Bench, ann: Client, code_of: CodeOf
) -> None:
    number = connected(bench, ann)
    data, elsewhere = another(bench), another(bench, 6001)
    elsewhere.socket = elsewhere.socket._replace(host="198.51.100.66")
    data.nonce = elsewhere.nonce = ann.nonce
    bind = (CONNECTION_ID, number)
    stale = elsewhere.answer(elsewhere.request(Method.CONNECTION_BIND, bind))
    assert code_of(stale) == 438
    assert code_of(data.answer(data.request(Method.REFRESH))) == 438  # for nothing else
    _, joined = data.request(Method.CONNECTION_BIND, bind)
    assert isinstance(joined, JoinPeer)


def test_a_malformed_number_is_a_bad_request(bench: Bench, code_of: CodeOf) -> None:
    data = another(bench)
    message = data.message(Method.CONNECTION_BIND)
    message.values.append((CONNECTION_ID.number, b"\x01"))
    assert code_of(data.answer(data.send(data.sign(message)))) == 400


def test_idle_binds_end_after_half_a_minute(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    ann.ask(Method.CREATE_PERMISSION, TO_PEER)
    by_us = connected(bench, ann)
    by_them = bench.server.handle_peer_accepted(ann.port, (PEER[0], 9), bench.now)
    assert by_them is not None
    bench.drain()
    assert bench.advance(29.9) == []
    assert bench.advance(0.1) == [ClosePeer(by_us), ClosePeer(by_them)]
    late = another(bench)
    assert code_of(late.ask(Method.CONNECTION_BIND, (CONNECTION_ID, by_us))) == 400


def test_a_flood_of_half_open_connections_is_bounded(
    make_bench: MakeBench, code_of: CodeOf
) -> None:
    bench = make_bench(tcp_allocations=True, max_peer_connections=4)
    ann = bench.client(transport="tcp")
    ann.allocate_tcp()
    ann.ask(Method.CREATE_PERMISSION, TO_PEER)
    taken = [
        bench.server.handle_peer_accepted(ann.port, (PEER[0], port), bench.now)
        for port in range(1, 1001)
    ]
    assert sum(number is not None for number in taken) == 4
    assert len(bench.drain()) == 4
    assert bench.server.metrics.dropped[DropReason.CONNECTIONS] == 996
    assert code_of(ann.ask(Method.CONNECT, TO_PEER)) == 508
    assert len(bench.advance(30.0)) == 4
    connecting(ann)


def test_ports_cannot_be_scanned_by_connecting(make_bench: MakeBench, code_of: CodeOf) -> None:
    bench = make_bench(tcp_allocations=True, new_peer_burst=10)
    ann = bench.client(transport="tcp")
    ann.allocate_tcp()
    for port in range(1, 11):
        bench.server.handle_peer_closed(connecting(ann, (PEER[0], port)))
        assert code_of(ann.answer(bench.drain())) == 447
    assert code_of(ann.ask(Method.CONNECT, (XOR_PEER_ADDRESS, (PEER[0], 11)))) == 508


def test_whoever_hangs_up_takes_the_other_along(bench: Bench, ann: Client) -> None:
    number = connected(bench, ann)
    data = another(bench)
    data.request(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    bench.server.handle_client_closed(data.socket)
    assert bench.drain() == [ClosePeer(number)]
    assert not bench.server.has_allocation(data.socket)
    number = connected(bench, ann)
    data.request(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    bench.server.handle_peer_closed(number)
    assert bench.drain() == []  # the edge has closed the client's
    assert not bench.server.has_allocation(data.socket)
    third = connecting(ann)
    bench.server.handle_client_closed(ann.socket)  # the control connection
    assert bench.drain() == [ClosePeer(third), CloseRelay(ann.port)]
    assert len(bench.server._peer_connections) == 0
    assert bench.advance(600.0) == []
    assert bench.server.poll_timeout() is None


def test_a_relay_cannot_become_a_client_over_tcp(bench: Bench, ann: Client) -> None:
    request = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
    assert bench.from_client(request, ClientSocket(RELAY_HOST, ann.port, "tcp")) == []


def test_peers_of_an_ended_call_are_let_go(make_bench: MakeBench) -> None:
    bench = make_bench(tcp_allocations=True, secrets=("s",), users={})
    made = mint("s", user="ann", call="c1", expires_at=bench.wall_clock + 60)
    ann = bench.client(made.username, made.password, transport="tcp")
    ann.allocate_tcp()
    number = connected(bench, ann)
    bench.server.handle_call_ended("c1", bench.now)
    assert bench.advance(10.0) == [ClosePeer(number), CloseRelay(ann.port)]


def test_the_bandwidth_is_the_allocations(make_bench: MakeBench) -> None:
    bench = make_bench(tcp_allocations=True, allocation_bandwidth=1000.0)
    ann = bench.client(transport="tcp")
    ann.allocate_tcp()
    number = connected(bench, ann)
    _, joined = another(bench).request(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    assert isinstance(joined, JoinPeer)
    (allocation,) = bench.server._allocations.by_client.values()
    assert joined.buckets == allocation.buckets
    assert len(joined.buckets) == 1
