"""IPv6 and dual allocations: relays in the family that was asked for, or in both (RFC 8656)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ringline.turn import ClientSocket, CloseRelay, OpenRelay, SendToClient, SendToPeer
from ringline.turn.addresses import AddressFamily
from ringline.turn.attributes import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDITIONAL_ADDRESS_FAMILY_DRAFT,
    ADDRESS_ERROR_CODE,
    CHANNEL_NUMBER,
    DATA,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
)
from ringline.turn.channel_data import serialize_channel_data
from ringline.turn.commands import OpenFlow, SetChannel
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]

IPV4, IPV6 = AddressFamily.IPV4, AddressFamily.IPV6
OURS_4, OURS_6 = "203.0.113.1", "2001:db8::1"
PEER_4, PEER_6 = ("8.8.8.8", 4000), ("2001:4860:4860::8888", 4000)
UDP = (REQUESTED_TRANSPORT, 17)
WANT_4, WANT_6 = (REQUESTED_ADDRESS_FAMILY, 1), (REQUESTED_ADDRESS_FAMILY, 2)
WANT_BOTH = (ADDITIONAL_ADDRESS_FAMILY, 2)


@pytest.fixture
def both(make_bench: MakeBench) -> Bench:
    """A server with an address of each family."""
    return make_bench(host=(OURS_4, OURS_6))


@pytest.fixture
def dual(both: Bench) -> Client:
    """A client with a relay of each family, and peers of both."""
    client = both.client()
    client.allocate(WANT_BOTH)
    client.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, PEER_4), (XOR_PEER_ADDRESS, PEER_6))
    return client


def relayed(answer: Message) -> list[tuple[str, int]]:
    return answer.get_all(XOR_RELAYED_ADDRESS)


def indication(data: bytes, peer: tuple[str, int]) -> bytes:
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    return message.add(XOR_PEER_ADDRESS, peer).add(DATA, data).serialize()


@pytest.mark.parametrize(
    ("values", "code", "hosts"),
    [
        ((), 0, [OURS_4]),
        ((WANT_4,), 0, [OURS_4]),
        ((WANT_6,), 0, [OURS_6]),
        ((WANT_BOTH,), 0, [OURS_4, OURS_6]),
        (((ADDITIONAL_ADDRESS_FAMILY_DRAFT, 2),), 0, [OURS_4, OURS_6]),
        (((ADDITIONAL_ADDRESS_FAMILY, 1),), 400, []),
        (((ADDITIONAL_ADDRESS_FAMILY, 3),), 400, []),
        ((WANT_4, WANT_BOTH), 400, []),
        ((WANT_6, WANT_BOTH), 400, []),
        (((REQUESTED_ADDRESS_FAMILY, 3),), 440, []),
        ((WANT_BOTH, (EVEN_PORT, True)), 400, []),
        ((WANT_BOTH, (EVEN_PORT, False)), 0, [OURS_4, OURS_6]),
        ((WANT_BOTH, (RESERVATION_TOKEN, bytes(8))), 400, []),
        ((WANT_6, (RESERVATION_TOKEN, bytes(8))), 400, []),
    ],
)
def test_the_families_are_those_asked_for(
    both: Bench,
    code_of: CodeOf,
    values: tuple[tuple[Attribute[Any], object], ...],
    code: int,
    hosts: list[str],
) -> None:
    answer = both.client().ask(Method.ALLOCATE, UDP, *values)
    assert (code_of(answer), [host for host, _ in relayed(answer)]) == (code, hosts)
    assert answer.get(ADDRESS_ERROR_CODE) is None
    assert both.server.metrics.allocations == (code == 0)


def test_the_client_may_be_of_another_family_than_its_relay(both: Bench) -> None:
    answer = both.client(host="2001:db8:7::1").allocate()
    assert relayed(answer)[0][0] == OURS_4


@pytest.mark.parametrize(
    ("host", "plain", "other"), [(OURS_4, 0, WANT_6), (OURS_6, 440, WANT_4)], ids=["4", "6"]
)
def test_a_family_that_is_not_served_is_refused(
    make_bench: MakeBench,
    code_of: CodeOf,
    host: str,
    plain: int,
    other: tuple[Attribute[int], int],
) -> None:
    bench = make_bench(host=host)
    assert code_of(bench.client().ask(Method.ALLOCATE, UDP)) == plain
    assert code_of(bench.client(port=2).ask(Method.ALLOCATE, UDP, other)) == 440
    assert len(bench.server._allocator._ports) == (plain == 0)


@pytest.mark.parametrize(("host", "missing"), [(OURS_4, 2), (OURS_6, 1)])
def test_of_both_families_the_one_that_is_served_is_given(
    make_bench: MakeBench, host: str, missing: int
) -> None:
    answer = make_bench(host=host).client().allocate(WANT_BOTH)
    assert [each for each, _ in relayed(answer)] == [host]
    assert answer.get(ADDRESS_ERROR_CODE) == (missing, 440, "Address Family not Supported")


def test_both_relays_have_one_port_and_one_place_in_the_quota(both: Bench) -> None:
    answer = both.client().allocate(WANT_BOTH)
    (_, port), (_, other) = relayed(answer)
    assert port == other
    assert both.server._allocator._quota.held == 1
    assert len(both.server._allocator._ports) == 1


def test_the_sockets_open_one_after_the_other(both: Bench) -> None:
    both.open_relays = False
    ann = both.client()
    (first,) = ann.request(Method.ALLOCATE, UDP, WANT_BOTH)
    assert isinstance(first, OpenRelay)
    assert first == OpenRelay(first.relay_port, ann.socket, IPV4)
    both.server.handle_relay_opened(first.relay_port, OURS_4, both.now)
    assert both.drain() == [OpenRelay(first.relay_port, ann.socket, IPV6)]
    both.server.handle_relay_opened(first.relay_port, OURS_6, both.now)
    answer = ann.answer(both.drain())
    assert relayed(answer) == [(OURS_4, first.relay_port), (OURS_6, first.relay_port)]


def test_a_port_that_is_taken_in_one_family_is_replaced_in_both(both: Bench) -> None:
    both.open_relays = False
    ann = both.client()
    (first,) = ann.request(Method.ALLOCATE, UDP, WANT_BOTH)
    assert isinstance(first, OpenRelay)
    both.server.handle_relay_opened(first.relay_port, OURS_4, both.now)
    both.drain()
    both.server.handle_relay_failed(first.relay_port, both.now)
    closed, second = both.drain()
    assert isinstance(second, OpenRelay)
    assert closed == CloseRelay(first.relay_port)
    assert second == OpenRelay(second.relay_port, ann.socket, IPV4)
    assert second.relay_port != first.relay_port
    both.open_relays = True
    both.server.handle_relay_opened(second.relay_port, OURS_4, both.now)
    assert [port for _, port in relayed(ann.answer(both.drain()))] == [second.relay_port] * 2
    assert len(both.server._allocator._ports) == 1


@pytest.mark.parametrize(("lost", "left"), [(IPV4, OURS_6), (IPV6, OURS_4)])
def test_a_family_that_the_machine_lacks_is_named_beside_the_other(
    both: Bench, lost: AddressFamily, left: str
) -> None:
    both.open_relays = False
    ann = both.client()
    commands = ann.request(Method.ALLOCATE, UDP, WANT_BOTH)
    while isinstance(command := commands[0], OpenRelay):
        if command.family is lost:
            both.server.handle_relay_failed(command.relay_port, both.now, has_address=False)
        else:
            both.server.handle_relay_opened(command.relay_port, left, both.now)
        commands = both.drain()
    answer = ann.answer(commands)
    assert [host for host, _ in relayed(answer)] == [left]
    assert answer.get(ADDRESS_ERROR_CODE) == (lost, 440, "Address Family not Supported")


def test_a_family_without_a_free_port_is_named_beside_the_other(both: Bench) -> None:
    both.open_relays = False
    ann = both.client()
    commands = ann.request(Method.ALLOCATE, UDP, WANT_BOTH)
    attempts = 0
    while isinstance(command := commands[-1], OpenRelay):
        if command.family is IPV6:
            attempts += 1
            both.server.handle_relay_failed(command.relay_port, both.now)
        else:
            both.server.handle_relay_opened(command.relay_port, OURS_4, both.now)
        commands = both.drain()
    assert attempts == 8
    answer = ann.answer(commands)
    assert [host for host, _ in relayed(answer)] == [OURS_4]
    assert answer.get(ADDRESS_ERROR_CODE) == (2, 508, "Insufficient Capacity")
    assert len(both.server._allocator._ports) == 1


@pytest.mark.parametrize("values", [(WANT_6,), (WANT_BOTH,)])
def test_where_no_family_can_be_had_nothing_is_left(
    both: Bench, code_of: CodeOf, values: tuple[tuple[Attribute[Any], object], ...]
) -> None:
    both.open_relays = False
    ann = both.client()
    commands = ann.request(Method.ALLOCATE, UDP, *values)
    while isinstance(command := commands[0], OpenRelay):
        both.server.handle_relay_failed(command.relay_port, both.now, has_address=False)
        commands = both.drain()
    assert code_of(ann.answer(commands)) == 440
    assert both.server._allocator._quota.held == len(both.server._allocator._ports) == 0
    both.open_relays = True
    assert code_of(ann.ask(Method.ALLOCATE, UDP)) == 0


def test_a_client_that_hangs_up_between_the_two_sockets_leaves_nothing(both: Bench) -> None:
    both.open_relays = False
    ann = both.client()
    (first,) = ann.request(Method.ALLOCATE, UDP, WANT_BOTH)
    assert isinstance(first, OpenRelay)
    both.server.handle_relay_opened(first.relay_port, OURS_4, both.now)
    both.drain()
    both.server.handle_client_closed(ann.socket)
    both.server.handle_relay_failed(first.relay_port, both.now)
    assert both.drain() == [CloseRelay(first.relay_port)]
    assert both.server._allocator._quota.held == len(both.server._allocator._ports) == 0


def test_a_pair_of_ipv6_ports_is_reserved_and_claimed(both: Bench, code_of: CodeOf) -> None:
    ann, more = both.client(), both.client(port=5001)
    answer = ann.allocate(WANT_6, (EVEN_PORT, True))
    token = answer.get(RESERVATION_TOKEN)
    assert token is not None
    second = more.ask(Method.ALLOCATE, UDP, (RESERVATION_TOKEN, token))
    assert (code_of(second), relayed(second)) == (0, [(OURS_6, ann.port + 1)])


def test_behind_a_nat_each_family_has_its_outer_address(make_bench: MakeBench) -> None:
    bench = make_bench(host=(OURS_4, OURS_6), external_address="198.51.100.99")
    answer = bench.client().allocate(WANT_BOTH)
    assert [host for host, _ in relayed(answer)] == ["198.51.100.99", OURS_6]


@pytest.mark.parametrize(
    ("wanted", "good", "bad"), [(WANT_4, PEER_4, PEER_6), (WANT_6, PEER_6, PEER_4)]
)
def test_peers_are_of_the_family_of_the_relay(
    both: Bench,
    code_of: CodeOf,
    wanted: tuple[Attribute[int], int],
    good: tuple[str, int],
    bad: tuple[str, int],
) -> None:
    ann = both.client()
    ann.allocate(wanted)
    peer = (XOR_PEER_ADDRESS, bad)
    assert code_of(ann.ask(Method.CREATE_PERMISSION, peer)) == 443
    assert code_of(ann.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, good), peer)) == 443
    assert code_of(ann.ask(Method.CHANNEL_BIND, peer, (CHANNEL_NUMBER, 0x4000))) == 443
    assert ann.send(indication(b"x", bad)) == []
    assert ann.send(indication(b"x", good)) == []  # all or none: no permission yet
    assert code_of(ann.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, good))) == 0
    assert ann.send(indication(b"x", good)) == [SendToPeer(ann.port, good, b"x")]
    assert both.from_peer(ann.port, b"y", bad) == []


def test_data_flows_both_ways_in_both_families(both: Bench, dual: Client) -> None:
    for number, peer in ((0x4000, PEER_4), (0x4001, PEER_6)):
        assert dual.send(indication(b"a", peer)) == [SendToPeer(dual.port, peer, b"a")]
        (command,) = both.from_peer(dual.port, b"b", peer)
        assert isinstance(command, SendToClient)
        assert Message.parse(command.data).get(XOR_PEER_ADDRESS) == peer
        dual.ask(Method.CHANNEL_BIND, (XOR_PEER_ADDRESS, peer), (CHANNEL_NUMBER, number))
        framed = serialize_channel_data(number, b"c")
        assert dual.send(framed) == [SendToPeer(dual.port, peer, b"c")]
        assert both.from_peer(dual.port, b"c", peer) == [SendToClient(dual.socket, framed)]


def test_inside_the_server_the_source_is_the_relay_of_the_peers_family(
    both: Bench, dual: Client
) -> None:
    bob = both.client(username="bob", password="pb", port=5002)
    bob.allocate(WANT_BOTH)
    for ours in (OURS_4, OURS_6):
        for client, other in ((dual, bob), (bob, dual)):
            client.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, (ours, other.port)))
        (command,) = dual.send(indication(b"x", (ours, bob.port)))
        assert isinstance(command, SendToClient)
        assert command.client == bob.socket
        assert Message.parse(command.data).get(XOR_PEER_ADDRESS) == (ours, dual.port)


@pytest.mark.parametrize("ended", [IPV4, IPV6])
def test_a_refresh_of_zero_for_one_family_leaves_the_other(
    both: Bench, dual: Client, code_of: CodeOf, ended: AddressFamily
) -> None:
    gone, kept = (PEER_4, PEER_6) if ended is IPV4 else (PEER_6, PEER_4)
    family = (REQUESTED_ADDRESS_FAMILY, ended)
    answer, closed = dual.request(Method.REFRESH, (LIFETIME, 0), family)
    assert isinstance(answer, SendToClient)
    assert Message.parse(answer.data).get(LIFETIME) == 0
    assert closed == CloseRelay(dual.port, ended)
    assert both.server.metrics.allocations == 1
    assert dual.send(indication(b"x", gone)) == []
    assert both.from_peer(dual.port, b"x", gone) == []
    assert code_of(dual.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, gone))) == 443
    assert code_of(dual.ask(Method.REFRESH, family)) == 443
    assert dual.send(indication(b"x", kept)) == [SendToPeer(dual.port, kept, b"x")]
    _, closed = dual.request(Method.REFRESH, (LIFETIME, 0))
    assert closed == CloseRelay(dual.port)
    assert both.server.metrics.allocations == 0
    assert both.server._allocator._quota.held == len(both.server._allocator._ports) == 0


def test_each_family_is_refreshed_and_ends_by_itself(both: Bench, dual: Client) -> None:
    dual.ask(Method.REFRESH, (LIFETIME, 900), WANT_6)
    assert both.advance(599.0) == []
    assert both.advance(1.0) == [CloseRelay(dual.port, IPV4)]
    assert both.advance(299.0) == []
    assert both.advance(1.0) == [CloseRelay(dual.port)]
    assert both.server.poll_timeout() is None


def test_a_refresh_without_a_family_is_for_both(both: Bench, dual: Client) -> None:
    dual.ask(Method.REFRESH, (LIFETIME, 900))
    assert both.advance(899.0) == []
    assert both.advance(1.0) == [CloseRelay(dual.port)]


def test_a_data_plane_is_told_of_both_addresses(make_bench: MakeBench) -> None:
    bench = make_bench(host=(OURS_4, OURS_6), offload=True)
    ann = bench.client()
    _, flow = ann.request(Method.ALLOCATE, UDP, WANT_BOTH)
    assert isinstance(flow, OpenFlow)
    port = flow.relay_port
    assert flow == OpenFlow(port, ann.socket, ((OURS_4, port), (OURS_6, port)))
    channel, _ = ann.request(
        Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, PEER_6)
    )
    assert channel == SetChannel(port, 0x4000, PEER_6, bench.now + 600.0, relayed_only=False)


def test_strangers_of_one_ipv6_network_share_its_replies(make_bench: MakeBench) -> None:
    bench = make_bench(unauthenticated_reply_burst=3, unauthenticated_replies_per_second=0.001)
    request = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
    answered = [
        len(bench.from_client(request, ClientSocket(f"2001:db8:1:2::{n:x}", 1000)))
        for n in range(1, 6)
    ]
    assert answered == [1, 1, 1, 0, 0]
    assert len(bench.from_client(request, ClientSocket("2001:db8:1:3::1", 1000))) == 1
