"""Mobility: an allocation follows its client, and nobody else (RFC 8016)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ringline.turn import ClientSocket, CloseRelay, OpenRelay, SendToClient, SendToPeer
from ringline.turn.attributes import (
    ADDITIONAL_ADDRESS_FAMILY,
    CHANNEL_NUMBER,
    DATA,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_TRANSPORT,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
)
from ringline.turn.channel_data import serialize_channel_data
from ringline.turn.commands import OpenFlow, SetChannel
from ringline.turn.credentials import mint
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]

PEER = ("8.8.8.8", 4000)
UDP = (REQUESTED_TRANSPORT, 17)
WANTED = (MOBILITY_TICKET, b"")
KEYS = ("the key of the fleet", "the one before it")
FRAMED = serialize_channel_data(0x4000, b"x")


@pytest.fixture
def mobile(make_bench: MakeBench) -> Bench:
    """A server whose clients may move."""
    return make_bench(mobility=True, mobility_keys=KEYS)


@pytest.fixture
def ann(mobile: Bench) -> Client:
    """A client with a ticket and a channel."""
    client = mobile.client()
    client.allocate(WANTED)
    client.ask(Method.CHANNEL_BIND, (XOR_PEER_ADDRESS, PEER), (CHANNEL_NUMBER, 0x4000))
    return client


def fresh_ticket(client: Client) -> bytes:
    ticket = client.ask(Method.REFRESH).get(MOBILITY_TICKET)
    assert ticket
    return ticket


def resume(client: Client, ticket: bytes, **more: Any) -> Message:
    values = [(LIFETIME, more["lifetime"])] if "lifetime" in more else []
    return client.ask(Method.REFRESH, (MOBILITY_TICKET, ticket), *values)


def moved(client: Client, ticket: bytes) -> bytes:
    """Move a client for good; return its new ticket."""
    given = resume(client, ticket).get(MOBILITY_TICKET)
    assert given
    client.send(FRAMED)
    return given


def test_it_is_off_by_default(bench: Bench, code_of: CodeOf) -> None:
    answer = bench.client().allocate((MOBILITY_TICKET, b"anything"))
    assert answer.get(MOBILITY_TICKET) is None
    there = bench.client(port=5001)
    assert code_of(there.ask(Method.REFRESH, (MOBILITY_TICKET, b"anything"))) == 437


def test_an_allocate_asks_with_an_empty_ticket(mobile: Bench, code_of: CodeOf) -> None:
    assert mobile.client().allocate(WANTED).get(MOBILITY_TICKET)
    assert mobile.client(port=2).allocate().get(MOBILITY_TICKET) is None
    assert code_of(mobile.client(port=3).ask(Method.ALLOCATE, UDP, (MOBILITY_TICKET, b"x"))) == 400


def test_data_goes_the_old_way_until_the_client_is_heard_on_the_new(
    mobile: Bench, ann: Client
) -> None:
    there = mobile.client(host="198.51.100.99", port=7)
    answer = resume(there, fresh_ticket(ann))
    assert answer.get(LIFETIME) == 600
    assert answer.get(XOR_RELAYED_ADDRESS) is None
    # Make before break: both ways are listened to, and data goes the old one.
    assert mobile.from_peer(ann.port, b"x", PEER) == [SendToClient(ann.socket, FRAMED)]
    assert ann.send(FRAMED) == [SendToPeer(ann.port, PEER, b"x")]
    assert there.send(FRAMED) == [SendToPeer(ann.port, PEER, b"x")]
    assert mobile.from_peer(ann.port, b"x", PEER) == [SendToClient(there.socket, FRAMED)]
    assert ann.send(FRAMED) == []


@pytest.mark.parametrize(
    "sign",
    [
        lambda client: client.send(FRAMED),
        lambda client: client.send(
            Message(Method.SEND, MessageClass.INDICATION, bytes(12))
            .add(XOR_PEER_ADDRESS, PEER)
            .add(DATA, b"x")
            .serialize()
        ),
        lambda client: client.request(Method.REFRESH),
        lambda client: client.request(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, PEER)),
    ],
    ids=["ChannelData", "Send", "Refresh", "CreatePermission"],
)
def test_anything_from_the_new_socket_is_a_sign_of_being_there(
    mobile: Bench, ann: Client, sign: Callable[[Client], list[object]]
) -> None:
    there = mobile.client(port=5001)
    resume(there, fresh_ticket(ann))
    assert len(sign(there)) == 1
    assert mobile.from_peer(ann.port, b"x", PEER) == [SendToClient(there.socket, FRAMED)]


def test_an_allocate_is_no_such_sign(mobile: Bench, ann: Client, code_of: CodeOf) -> None:
    there = mobile.client(port=5001)
    resume(there, fresh_ticket(ann))
    assert code_of(there.ask(Method.ALLOCATE, UDP)) == 437
    assert mobile.from_peer(ann.port, b"x", PEER) == [SendToClient(ann.socket, FRAMED)]


def test_moving_takes_no_port_and_no_quota(make_bench: MakeBench) -> None:
    bench = make_bench(mobility=True, max_allocations_per_user=1)
    ann = bench.client()
    ann.allocate(WANTED)
    ticket = fresh_ticket(ann)
    for port in range(6000, 6010):
        ticket = moved(bench.client(port=port), ticket)
        assert bench.server._allocator._quota.held == 1
        assert bench.server.metrics.allocations == len(bench.server._allocator._ports) == 1


def test_a_ticket_is_its_owners_only(mobile: Bench, ann: Client, code_of: CodeOf) -> None:
    bob = mobile.client(username="bob", password="pb", port=5001)
    assert code_of(resume(bob, fresh_ticket(ann))) == 441
    assert bob.send(FRAMED) == []
    assert mobile.from_peer(ann.port, b"x", PEER) == [SendToClient(ann.socket, FRAMED)]


def test_a_used_ticket_is_void(mobile: Bench, ann: Client, code_of: CodeOf) -> None:
    first = fresh_ticket(ann)
    second = moved(mobile.client(port=5001), first)
    assert second != first
    assert code_of(resume(mobile.client(port=5002), first)) == 437
    moved(mobile.client(port=5003), second)
    assert code_of(resume(mobile.client(port=5004), second)) == 437


def test_until_the_client_is_heard_the_old_ticket_stands(mobile: Bench, ann: Client) -> None:
    """Its answer may have been lost on the way to a network that was left again."""
    first = fresh_ticket(ann)
    lost, there = mobile.client(port=5001), mobile.client(port=5002)
    resume(lost, first)
    moved(there, first)
    assert lost.send(FRAMED) == []  # one move is pending at a time
    assert mobile.from_peer(ann.port, b"x", PEER) == [SendToClient(there.socket, FRAMED)]


def test_a_client_that_is_not_heard_stays_where_it_was(mobile: Bench, ann: Client) -> None:
    there = mobile.client(port=5001)
    resume(there, fresh_ticket(ann))
    mobile.advance(30.0)
    assert there.send(FRAMED) == []
    assert ann.send(FRAMED) == [SendToPeer(ann.port, PEER, b"x")]


def test_a_retransmitted_resume_gets_the_same_answer(mobile: Bench, ann: Client) -> None:
    there = mobile.client(port=5001)
    data = there.sign(there.message(Method.REFRESH, (MOBILITY_TICKET, fresh_ticket(ann))))
    assert there.send(data) == there.send(data)


def test_a_retransmission_after_the_client_was_heard_gets_the_same_answer(
    mobile: Bench, ann: Client
) -> None:
    there = mobile.client(port=5001)
    data = there.sign(there.message(Method.REFRESH, (MOBILITY_TICKET, fresh_ticket(ann))))
    first = there.send(data)
    there.send(FRAMED)
    assert there.send(data) == first


def test_a_retransmission_from_where_the_client_was_gets_the_same_answer(
    mobile: Bench, ann: Client, code_of: CodeOf
) -> None:
    data = ann.sign(ann.message(Method.REFRESH, (MOBILITY_TICKET, fresh_ticket(ann))))
    first = ann.send(data)
    assert code_of(ann.answer(first)) == 0
    assert ann.send(data) == first
    ticket = Message.parse(first[0].data).get(MOBILITY_TICKET)  # type: ignore[union-attr] # above
    assert ticket
    moved(mobile.client(port=5001), ticket)
    stale = ann.send(data)  # somebody else's socket by now, for all that is known
    assert code_of(ann.answer(stale)) == 437


@pytest.mark.parametrize("ticket", [b"x", bytes(32), bytes(1500)])
def test_what_is_no_ticket_is_a_mismatch(mobile: Bench, code_of: CodeOf, ticket: bytes) -> None:
    assert code_of(resume(mobile.client(), ticket)) == 437
    assert mobile.server._allocator._quota.held == 0


def test_a_client_with_an_allocation_cannot_have_another(
    mobile: Bench, ann: Client, code_of: CodeOf
) -> None:
    there = mobile.client(port=5001)
    there.allocate()
    assert code_of(resume(there, fresh_ticket(ann))) == 437


def test_a_ticket_before_authentication_is_not_even_opened(
    mobile: Bench, ann: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = fresh_ticket(ann)
    mobility = mobile.server._mobility
    assert mobility is not None
    monkeypatch.setattr(mobility, "_tickets", None)  # to open one would raise
    request = Message(Method.REFRESH, MessageClass.REQUEST, bytes(12)).add(MOBILITY_TICKET, ticket)
    for port in range(2000):
        mobile.from_client(request.serialize(), ClientSocket("198.51.100.9", port + 1))
    assert mobile.server._allocations._by_pending == {}
    assert mobile.server.metrics.allocations == 1


def test_a_resume_with_lifetime_zero_ends_it(mobile: Bench, ann: Client) -> None:
    there = mobile.client(port=5001)
    values = ((MOBILITY_TICKET, fresh_ticket(ann)), (LIFETIME, 0))
    _, closed = there.request(Method.REFRESH, *values)
    assert closed == CloseRelay(ann.port)
    assert mobile.server._allocator._quota.held == len(mobile.server._allocator._ports) == 0


def test_an_allocation_that_ends_while_a_move_is_pending_leaves_nothing(
    mobile: Bench, ann: Client
) -> None:
    there = mobile.client(port=5001)
    resume(there, fresh_ticket(ann))
    mobile.advance(600.0)
    allocations = mobile.server._allocations
    assert (len(allocations), allocations.by_client) == (0, {})
    assert (allocations.by_identity, allocations._by_pending) == ({}, {})
    assert there.send(FRAMED) == []


def test_a_lost_connection_is_no_end_for_a_client_that_may_come_back(mobile: Bench) -> None:
    ann = mobile.client()
    ann.socket = ClientSocket("198.51.100.7", 5000, "tcp")
    ann.allocate(WANTED)
    ann.ask(Method.CHANNEL_BIND, (XOR_PEER_ADDRESS, PEER), (CHANNEL_NUMBER, 0x4000))
    ticket = fresh_ticket(ann)
    mobile.server.handle_client_closed(ann.socket)
    assert mobile.drain() == []
    assert ann.send(FRAMED) == []  # whoever has that socket next is a stranger
    moved(mobile.client(port=5001), ticket)
    (command,) = mobile.from_peer(ann.port, b"x", PEER)
    assert isinstance(command, SendToClient)
    assert command.client.port == 5001


def test_a_data_plane_is_told_where_the_client_is(make_bench: MakeBench) -> None:
    bench = make_bench(mobility=True, offload=True)
    ann, there = bench.client(), bench.client(port=5001)
    answer, flow = ann.request(Method.ALLOCATE, UDP, WANTED)
    assert isinstance(answer, SendToClient)
    assert isinstance(flow, OpenFlow)
    ticket = Message.parse(answer.data).get(MOBILITY_TICKET)
    channel = (XOR_PEER_ADDRESS, PEER), (CHANNEL_NUMBER, 0x4000)
    told, _ = ann.request(Method.CHANNEL_BIND, *channel)
    there.request(Method.REFRESH, (MOBILITY_TICKET, ticket))
    assert there.send(FRAMED) == [
        SendToPeer(flow.relay_port, PEER, b"x"),
        OpenFlow(flow.relay_port, there.socket, flow.relayed),
        told,
    ]
    assert isinstance(told, SetChannel)


def test_tickets_are_never_logged(mobile: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ann = mobile.client()
        ann.allocate(WANTED)
        ticket = fresh_ticket(ann)
        moved(mobile.client(port=5001), ticket)
        resume(mobile.client(port=5002), ticket)
    assert caplog.text
    for form in (ticket.hex(), repr(ticket), repr(ticket[8:20])[2:-1]):
        assert form not in caplog.text
    assert KEYS[0] not in repr(mobile.config)


# On another server of the fleet


@pytest.fixture
def elsewhere(make_bench: MakeBench) -> Bench:
    """Another one, which has taken over the address; its key was rotated."""
    return make_bench(mobility=True, mobility_keys=("a key that is newer", *KEYS))


def test_another_server_with_the_address_makes_the_allocation_again(
    ann: Client, elsewhere: Bench, code_of: CodeOf
) -> None:
    ticket = fresh_ticket(ann)
    there = elsewhere.client(port=5001)
    answer = resume(there, ticket)
    assert code_of(answer) == 0
    assert answer.get(MOBILITY_TICKET) not in (None, b"", ticket)
    assert there.send(FRAMED) == []  # channels are the client's to ask for again
    there.ask(Method.CHANNEL_BIND, (XOR_PEER_ADDRESS, PEER), (CHANNEL_NUMBER, 0x4000))
    assert there.send(FRAMED) == [SendToPeer(ann.port, PEER, b"x")]
    assert elsewhere.from_peer(ann.port, b"x", PEER) == [SendToClient(there.socket, FRAMED)]
    assert elsewhere.server._allocator._quota.held == 1
    assert code_of(resume(elsewhere.client(port=5002), ticket)) == 437  # it was used
    assert code_of(resume(there, answer.get(MOBILITY_TICKET) or b"")) == 0


def test_both_relays_are_made_again_or_none(make_bench: MakeBench, code_of: CodeOf) -> None:
    hosts = ("203.0.113.1", "2001:db8::1")
    one, two = (make_bench(mobility=True, mobility_keys=KEYS, host=hosts) for _ in range(2))
    ann, there = one.client(), two.client()
    ann.allocate(WANTED, (ADDITIONAL_ADDRESS_FAMILY, 2))
    ticket = fresh_ticket(ann)
    two.open_relays = False
    (first,) = there.request(Method.REFRESH, (MOBILITY_TICKET, ticket))
    assert first == OpenRelay(ann.port, there.socket)
    two.server.handle_relay_opened(ann.port, hosts[0], two.now)
    two.drain()
    two.server.handle_relay_failed(ann.port, two.now)
    closed, answer = two.drain()
    assert closed == CloseRelay(ann.port)
    assert code_of(there.answer([answer])) == 437
    assert two.server._allocator._quota.held == len(two.server._allocator._ports) == 0
    two.open_relays = True
    assert code_of(resume(there, ticket)) == 0
    assert len(two.server._allocations.by_port[ann.port].relays) == 2


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"external_address": "198.51.100.1"}, 437),  # peers know another address
        ({"first_relay_port": 60_000, "last_relay_port": 60_000}, 437),
        ({"mobility_keys": ("some other fleet's",)}, 437),
        ({"mobility_keys": KEYS, "realm": "elsewhere"}, 437),
        ({"mobility": False, "mobility_keys": ()}, 437),
        ({}, 0),
    ],
)
def test_where_the_address_or_the_key_is_not_the_allocation_is_not(
    ann: Client, make_bench: MakeBench, code_of: CodeOf, settings: dict[str, Any], code: int
) -> None:
    bench = make_bench(**({"mobility": True, "mobility_keys": KEYS} | settings))
    there = bench.client()
    # Which address a socket has is known when it is open, so that one may be closed again.
    *_, answer = there.request(Method.REFRESH, (MOBILITY_TICKET, fresh_ticket(ann)))
    assert code_of(there.answer([answer])) == code
    held = int(code == 0)
    assert bench.server._allocator._quota.held == len(bench.server._allocator._ports) == held


def test_an_expired_ticket_makes_nothing(ann: Client, elsewhere: Bench, code_of: CodeOf) -> None:
    ticket = fresh_ticket(ann)
    elsewhere.wall_clock += 660.0  # its end is told in minutes
    assert code_of(resume(elsewhere.client(), ticket)) == 437


def test_a_refresh_renews_what_the_device_keeps(
    mobile: Bench, ann: Client, elsewhere: Bench, code_of: CodeOf
) -> None:
    for bench in (mobile, elsewhere):
        bench.wall_clock += 500.0
        bench.now += 500.0
    ticket = fresh_ticket(ann)
    elsewhere.wall_clock += 500.0
    assert code_of(resume(elsewhere.client(), ticket)) == 0


def test_elsewhere_it_counts_like_any_other(
    ann: Client, make_bench: MakeBench, code_of: CodeOf
) -> None:
    bench = make_bench(mobility=True, mobility_keys=KEYS, max_allocations_per_user=1)
    bench.client(port=1).allocate()
    assert code_of(resume(bench.client(port=2), fresh_ticket(ann))) == 486
    bench.server.drain()
    assert code_of(resume(bench.client(port=3), fresh_ticket(ann))) == 508


def test_elsewhere_a_call_that_is_over_gets_nothing(make_bench: MakeBench, code_of: CodeOf) -> None:
    one, two = (
        make_bench(mobility=True, mobility_keys=KEYS, users={}, secrets=("s",)) for _ in range(2)
    )
    credential = mint("s", user="ann", call="3f2a", expires_at=one.wall_clock + 600)
    ann, there = (bench.client(credential.username, credential.password) for bench in (one, two))
    ann.allocate(WANTED)
    ticket = fresh_ticket(ann)
    two.server.handle_call_ended("3f2a", two.now)
    assert code_of(resume(there, ticket)) == 403
    assert two.server._allocator._quota.held == 0


def test_elsewhere_another_user_gets_nothing(
    ann: Client, elsewhere: Bench, code_of: CodeOf
) -> None:
    bob = elsewhere.client(username="bob", password="pb")
    *_, answer = bob.request(Method.REFRESH, (MOBILITY_TICKET, fresh_ticket(ann)))
    assert code_of(bob.answer([answer])) == 437
    assert elsewhere.server._allocator._quota.held == 0


@pytest.mark.parametrize("transport", [b"", b"\6\0\0\0", b"\x11\0\0"], ids=["none", "TCP", "short"])
def test_elsewhere_what_is_not_for_udp_takes_nothing(
    ann: Client, elsewhere: Bench, code_of: CodeOf, transport: bytes
) -> None:
    there = elsewhere.client()
    raw = Attribute(REQUESTED_TRANSPORT.number, "raw", lambda value, _: value, lambda data, _: data)
    ticket = fresh_ticket(ann)
    assert code_of(there.ask(Method.REFRESH, (MOBILITY_TICKET, ticket), (raw, transport))) == 400
    allocator = elsewhere.server._allocator
    assert allocator._quota.held == len(allocator._ports) == len(allocator._openings_by_client) == 0
    assert code_of(resume(there, ticket)) == 0


def test_elsewhere_an_expired_credential_makes_nothing(
    make_bench: MakeBench, code_of: CodeOf
) -> None:
    one, two = (
        make_bench(mobility=True, mobility_keys=KEYS, users={}, secrets=("s",)) for _ in range(2)
    )
    credential = mint("s", user="ann", call="3f2a", expires_at=one.wall_clock + 60)
    ann, there = (bench.client(credential.username, credential.password) for bench in (one, two))
    ann.allocate(WANTED)
    ticket = fresh_ticket(ann)
    one.wall_clock += 61.0
    two.wall_clock += 61.0
    assert code_of(resume(there, ticket)) == 401
    assert two.server._allocator._quota.held == 0
    moved(one.client(credential.username, credential.password, port=5001), ticket)  # lives on
