from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ringline.turn import CloseRelay, OpenRelay, SendToClient, TurnServer
from ringline.turn.allocate import MAX_ATTEMPTS
from ringline.turn.attributes import (
    ALTERNATE_SERVER,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
)
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]
UDP = (REQUESTED_TRANSPORT, 17)


def test_the_answer_waits_for_the_socket(bench: Bench) -> None:
    bench.open_relays = False
    ann = bench.client()
    data = ann.sign(ann.message(Method.ALLOCATE, UDP))
    (command,) = ann.send(data)
    assert isinstance(command, OpenRelay)
    assert command.client == ann.socket
    assert 49_152 <= command.relay_port <= 65_535
    assert ann.send(data) == []  # a retransmission meanwhile
    assert bench.server.metrics.allocations == 0
    bench.server.handle_relay_opened(command.relay_port, "203.0.113.1", bench.now)
    answer = ann.answer(bench.drain())
    assert answer.verify_integrity(ann.key)
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.get(XOR_RELAYED_ADDRESS) == ("203.0.113.1", command.relay_port)
    assert answer.get(XOR_MAPPED_ADDRESS) == ann.socket.address
    assert answer.get(LIFETIME) == 600
    assert bench.server.metrics.allocations == 1


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 600), (1, 600), (777, 777), (3600, 3600), (2**32 - 1, 3600)]
)
def test_the_lifetime_is_between_the_default_and_an_hour(
    bench: Bench, asked: int | None, granted: int
) -> None:
    values = () if asked is None else ((LIFETIME, asked),)
    assert bench.client().allocate(*values).get(LIFETIME) == granted
    assert bench.server.poll_timeout() == bench.now + granted


def test_a_retransmitted_allocate_gets_the_same_answer(bench: Bench) -> None:
    ann = bench.client()
    data = ann.sign(ann.message(Method.ALLOCATE, UDP))
    first = ann.send(data)
    bench.now += 1.0
    assert ann.send(data) == first
    assert bench.server.metrics.allocations_created == 1


def test_another_allocate_on_the_same_socket_is_a_mismatch(bench: Bench, code_of: CodeOf) -> None:
    ann = bench.client()
    ann.allocate()
    assert code_of(ann.ask(Method.ALLOCATE, UDP)) == 437


def test_another_allocate_while_the_socket_opens_is_a_mismatch(
    bench: Bench, code_of: CodeOf
) -> None:
    bench.open_relays = False
    ann = bench.client()
    assert len(ann.request(Method.ALLOCATE, UDP)) == 1
    assert code_of(ann.ask(Method.ALLOCATE, UDP)) == 437


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ((), 400),
        (((REQUESTED_TRANSPORT, 6),), 442),
        ((UDP, (REQUESTED_ADDRESS_FAMILY, 1)), 0),
        ((UDP, (REQUESTED_ADDRESS_FAMILY, 2)), 440),
        ((UDP, (REQUESTED_ADDRESS_FAMILY, 9)), 440),
        ((UDP, (RESERVATION_TOKEN, bytes(8))), 508),
        ((UDP, (RESERVATION_TOKEN, bytes(8)), (EVEN_PORT, False)), 400),
        ((UDP, (RESERVATION_TOKEN, bytes(8)), (REQUESTED_ADDRESS_FAMILY, 1)), 400),
        ((UDP, (DONT_FRAGMENT, True)), 0),
    ],
)
def test_what_is_asked_for_decides(
    bench: Bench, code_of: CodeOf, values: tuple[tuple[Attribute[Any], object], ...], code: int
) -> None:
    assert code_of(bench.client().ask(Method.ALLOCATE, *values)) == code
    assert bench.server.metrics.allocations == (code == 0)


def test_a_malformed_attribute_is_a_bad_request(bench: Bench, code_of: CodeOf) -> None:
    ann = bench.client()
    message = ann.message(Method.ALLOCATE)
    message.values.append((REQUESTED_TRANSPORT.number, b"\x11"))
    assert code_of(ann.answer(ann.send(ann.sign(message)))) == 400


def test_a_port_that_is_taken_is_replaced_by_another(bench: Bench, code_of: CodeOf) -> None:
    bench.open_relays = False
    ann = bench.client()
    commands = ann.request(Method.ALLOCATE, UDP)
    tried = []
    for _ in range(MAX_ATTEMPTS):
        (command,) = commands
        assert isinstance(command, OpenRelay)
        tried.append(command.relay_port)
        bench.server.handle_relay_failed(command.relay_port, bench.now)
        commands = bench.drain()
    assert code_of(ann.answer(commands)) == 508
    assert all(a != b for a, b in itertools.pairwise(tried))
    # Nothing was kept: the same client can try again, with all of its quota.
    bench.open_relays = True
    for port in range(12):
        bench.client(port=port).allocate()


def test_even_ports_are_even(bench: Bench) -> None:
    for port in range(8):
        ann = bench.client(port=port)
        answer = ann.allocate((EVEN_PORT, False))
        assert ann.port % 2 == 0
        assert answer.get(RESERVATION_TOKEN) is None


def test_a_reserved_port_is_got_with_its_token(bench: Bench, code_of: CodeOf) -> None:
    rtp, rtcp = bench.client(port=1), bench.client(port=2)
    token = rtp.allocate((EVEN_PORT, True)).get(RESERVATION_TOKEN)
    assert token is not None
    assert rtp.port % 2 == 0
    rtcp.allocate((RESERVATION_TOKEN, token))
    assert rtcp.port == rtp.port + 1
    # A token is good once.
    third = bench.client(port=3)
    assert code_of(third.ask(Method.ALLOCATE, UDP, (RESERVATION_TOKEN, token))) == 508


def test_a_reservation_is_its_users_only(bench: Bench, code_of: CodeOf) -> None:
    token = bench.client().allocate((EVEN_PORT, True)).get(RESERVATION_TOKEN)
    bob = bench.client("bob", "pb", port=2)
    assert code_of(bob.ask(Method.ALLOCATE, UDP, (RESERVATION_TOKEN, token))) == 508


def test_an_unclaimed_reservation_ends_after_half_a_minute(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate((EVEN_PORT, True))
    assert bench.server.poll_timeout() == bench.now + 30.0
    assert bench.advance(29.9) == []
    assert bench.advance(0.1) == [CloseRelay(ann.port + 1)]


def test_data_for_a_reserved_port_goes_nowhere(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate((EVEN_PORT, True))
    assert bench.from_peer(ann.port + 1, b"x", ("8.8.8.8", 9)) == []


def test_a_pair_needs_both_sockets(bench: Bench) -> None:
    bench.open_relays = False
    ann = bench.client()
    (first,) = ann.request(Method.ALLOCATE, UDP, (EVEN_PORT, True))
    assert isinstance(first, OpenRelay)
    bench.server.handle_relay_opened(first.relay_port, "203.0.113.1", bench.now)
    assert bench.drain() == [OpenRelay(first.relay_port + 1, ann.socket)]
    bench.server.handle_relay_failed(first.relay_port + 1, bench.now)
    closed, again = bench.drain()
    assert closed == CloseRelay(first.relay_port)
    assert isinstance(again, OpenRelay)
    assert again.relay_port % 2 == 0
    assert again.relay_port != first.relay_port


def test_a_user_has_a_quota_in_which_reservations_count(
    make_bench: MakeBench, code_of: CodeOf
) -> None:
    bench = make_bench(max_allocations_per_user=3)
    bench.client(port=1).allocate((EVEN_PORT, True))
    bench.client(port=2).allocate()
    ann = bench.client(port=3)
    assert code_of(ann.ask(Method.ALLOCATE, UDP)) == 486
    bench.client("bob", "pb", port=4).allocate()
    bench.advance(30.0)  # the reservation ends
    ann.allocate()
    assert code_of(bench.client(port=5).ask(Method.ALLOCATE, UDP)) == 486


def test_all_users_together_have_a_quota(make_bench: MakeBench, code_of: CodeOf) -> None:
    bench = make_bench(max_allocations=2)
    bench.client(port=1).allocate()
    bench.client("bob", "pb", port=2).allocate()
    assert code_of(bench.client("bob", "pb", port=3).ask(Method.ALLOCATE, UDP)) == 508


def test_without_a_free_port_there_is_no_relay(make_bench: MakeBench, code_of: CodeOf) -> None:
    bench = make_bench(first_relay_port=50_000, last_relay_port=50_000)
    ann, bob = bench.client(port=1), bench.client("bob", "pb", port=2)
    ann.allocate()
    assert code_of(bob.ask(Method.ALLOCATE, UDP)) == 508
    ann.request(Method.REFRESH, (LIFETIME, 0))
    bob.allocate()
    assert bob.port == 50_000


def test_no_relay_has_a_port_that_we_listen_on(make_bench: MakeBench, code_of: CodeOf) -> None:
    """Other clients of ours may not reach such a port, so that a relay there is half of one."""
    bench = make_bench(port=50_000, first_relay_port=50_000, last_relay_port=50_002)
    bench.server.deny_own_port(50_001)
    ann, bob = bench.client(port=1), bench.client("bob", "pb", port=2)
    ann.allocate()
    assert ann.port == 50_002
    assert code_of(bob.ask(Method.ALLOCATE, UDP)) == 508


def test_behind_a_nat_the_outer_address_is_announced(make_bench: MakeBench) -> None:
    bench = make_bench(external_address="192.0.2.200")
    ann = bench.client()
    assert ann.allocate().get(XOR_RELAYED_ADDRESS) == ("192.0.2.200", ann.port)


def test_a_server_that_cannot_forbid_fragments_does_not_know_the_attribute(
    bench: Bench, code_of: CodeOf
) -> None:
    bench.server = TurnServer(bench.config, wall_clock=lambda: 0.0, dont_fragment=False)
    answer = bench.client().ask(Method.ALLOCATE, UDP, (DONT_FRAGMENT, True))
    assert code_of(answer) == 420
    assert answer.get(UNKNOWN_ATTRIBUTES) == (DONT_FRAGMENT.number,)


def test_two_thousand_allocations_leave_nothing_behind(make_bench: MakeBench) -> None:
    bench = make_bench(unauthenticated_reply_burst=10)
    ann = bench.client()
    first = ann.sign(ann.message(Method.ALLOCATE, UDP, (EVEN_PORT, False)))
    last = ann.sign(ann.message(Method.REFRESH, (LIFETIME, 0)))
    for _ in range(2_000):
        (answer,) = ann.send(first)
        assert isinstance(answer, SendToClient)
        assert len(ann.send(last)) == 2
    allocator = bench.server._allocator
    assert len(allocator._ports) == 0
    assert allocator._quota.held == 0
    assert allocator._openings_by_client == {}
    assert allocator._openings_by_port == {}
    assert len(bench.server._allocations) == 0
    assert len(bench.server._allocations._deadlines._heap) < 20


def test_a_client_that_hangs_up_loses_its_relay(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate()
    assert bench.server.has_allocation(ann.socket)
    bench.server.handle_client_closed(ann.socket)
    assert bench.drain() == [CloseRelay(ann.port)]
    assert not bench.server.has_allocation(ann.socket)
    bench.server.handle_client_closed(ann.socket)  # harmless
    assert bench.drain() == []


@pytest.mark.parametrize("even", [None, False, True])
def test_a_client_that_hangs_up_while_its_socket_opens_leaves_nothing(
    make_bench: MakeBench, even: bool | None
) -> None:
    bench = make_bench(max_allocations_per_user=2, first_relay_port=50_000, last_relay_port=50_001)
    bench.open_relays = False
    ann = bench.client()
    values = () if even is None else ((EVEN_PORT, even),)
    (command,) = ann.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17), *values)
    assert isinstance(command, OpenRelay)
    bench.server.handle_client_closed(ann.socket)
    assert bench.drain() == []
    bench.server.handle_relay_opened(command.relay_port, "203.0.113.1", bench.now)
    assert bench.drain() == [CloseRelay(command.relay_port)]
    bench.open_relays = True
    again = bench.client(port=5001)
    again.allocate((EVEN_PORT, True))  # both ports and the whole quota are free


def test_a_pair_half_open_is_closed_whole(bench: Bench) -> None:
    bench.open_relays = False
    ann = bench.client()
    (first,) = ann.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17), (EVEN_PORT, True))
    assert isinstance(first, OpenRelay)
    bench.server.handle_relay_opened(first.relay_port, "203.0.113.1", bench.now)
    (second,) = bench.drain()
    assert isinstance(second, OpenRelay)
    bench.server.handle_client_closed(ann.socket)
    bench.server.handle_relay_opened(second.relay_port, "203.0.113.1", bench.now)
    assert bench.drain() == [CloseRelay(first.relay_port), CloseRelay(second.relay_port)]


def test_a_server_that_drains_keeps_what_is_there_and_takes_nothing_new(
    bench: Bench, code_of: CodeOf
) -> None:
    ann = bench.client()
    ann.allocate()
    assert not bench.server.draining
    bench.server.drain()
    assert bench.server.draining
    assert ann.ask(Method.REFRESH).message_class is MessageClass.SUCCESS
    assert code_of(bench.client(port=5001).ask(Method.ALLOCATE, UDP)) == 508


def test_a_server_that_drains_names_another(make_bench: MakeBench, code_of: CodeOf) -> None:
    bench = make_bench(alternate_server="192.0.2.9:3479")
    bench.server.drain()
    answer = bench.client().ask(Method.ALLOCATE, UDP)
    assert code_of(answer) == 300
    assert answer.get(ALTERNATE_SERVER) == ("192.0.2.9", 3479)
