from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ringline.turn import (
    ClientSocket,
    CloseRelay,
    Command,
    DropReason,
    SendToClient,
    SendToPeer,
)
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    DATA,
    DONT_FRAGMENT,
    ERROR_CODE,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    Attribute,
)
from ringline.turn.channel_data import serialize_channel_data
from ringline.turn.commands import OpenFlow, SetChannel
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]
PEER = ("8.8.8.8", 4000)
OTHER = ("1.1.1.1", 4000)


@pytest.fixture
def ann(bench: Bench) -> Client:
    """A client with an allocation."""
    client = bench.client()
    client.allocate()
    return client


def permit(client: Client, *hosts: str) -> None:
    answer = client.ask(Method.CREATE_PERMISSION, *((XOR_PEER_ADDRESS, (h, 0)) for h in hosts))
    assert answer.message_class is MessageClass.SUCCESS


def bind(client: Client, number: int, peer: tuple[str, int]) -> Message:
    return client.ask(Method.CHANNEL_BIND, (CHANNEL_NUMBER, number), (XOR_PEER_ADDRESS, peer))


def indicate(client: Client, *values: tuple[Attribute[Any], object]) -> list[Command]:
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    for attribute, value in values:
        message.add(attribute, value)
    return client.send(message.serialize())


def read_indication(client: Client, commands: list[Command]) -> tuple[tuple[str, int], bytes]:
    message = client.answer(commands)
    assert (message.method, message.message_class) == (Method.DATA, MessageClass.INDICATION)
    peer, data = message.get(XOR_PEER_ADDRESS), message.get(DATA)
    assert peer is not None
    assert data is not None
    return peer, data


# Binding


def test_a_binding_request_is_told_its_address(bench: Bench) -> None:
    ann = bench.client()
    request = Message(Method.BINDING, MessageClass.REQUEST, b"abcdefghijkl")
    (command,) = ann.send(request.serialize(fingerprint=True))
    assert isinstance(command, SendToClient)
    answer = Message.parse(command.data)
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.transaction_id == b"abcdefghijkl"
    assert answer.get(XOR_MAPPED_ADDRESS) == ("198.51.100.7", 5000)
    assert answer.has_fingerprint


def test_an_unknown_attribute_in_a_binding_request_is_named(bench: Bench) -> None:
    ann = bench.client()
    request = Message(Method.BINDING, MessageClass.REQUEST, bytes(12))
    request.values.extend([(0x0003, bytes(4)), (0xC001, b"ignored!")])
    answer = ann.answer(ann.send(request.serialize()))
    assert answer.get(ERROR_CODE) == (420, "")
    assert answer.get(UNKNOWN_ATTRIBUTES) == (3,)


# Refresh


def test_a_refresh_puts_off_the_end(bench: Bench, ann: Client) -> None:
    assert bench.advance(599.0) == []
    assert ann.ask(Method.REFRESH).get(LIFETIME) == 600
    assert bench.advance(599.9) == []
    assert bench.advance(0.1) == [CloseRelay(ann.port)]
    assert bench.server.metrics.allocations == 0
    assert bench.server.poll_timeout() is None


def test_a_refresh_can_bring_the_end_nearer(bench: Bench, ann: Client) -> None:
    assert ann.ask(Method.REFRESH, (LIFETIME, 3600)).get(LIFETIME) == 3600
    assert ann.ask(Method.REFRESH, (LIFETIME, 600)).get(LIFETIME) == 600
    assert bench.advance(600.0) == [CloseRelay(ann.port)]


def test_a_refresh_of_zero_ends_the_allocation(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    answered, closed = ann.request(Method.REFRESH, (LIFETIME, 0))
    answer = ann.answer([answered])
    assert answer.get(LIFETIME) == 0
    assert closed == CloseRelay(ann.port)
    assert bench.from_peer(ann.port, b"late", PEER) == []
    assert code_of(ann.ask(Method.REFRESH, (LIFETIME, 0))) == 437


def test_a_refresh_for_another_family_is_refused(ann: Client, code_of: CodeOf) -> None:
    assert code_of(ann.ask(Method.REFRESH, (REQUESTED_ADDRESS_FAMILY, 2))) == 443
    assert code_of(ann.ask(Method.REFRESH, (REQUESTED_ADDRESS_FAMILY, 1))) == 0


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_an_allocation_there_is_nothing_to_do(
    bench: Bench, code_of: CodeOf, method: Method
) -> None:
    values = ((XOR_PEER_ADDRESS, PEER), (CHANNEL_NUMBER, 0x4000))
    assert code_of(bench.client().ask(method, *values)) == 437


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_an_allocation_is_its_makers_only(
    bench: Bench, ann: Client, code_of: CodeOf, method: Method
) -> None:
    bob = bench.client("bob", "pb")  # on the same socket
    values = ((XOR_PEER_ADDRESS, PEER), (CHANNEL_NUMBER, 0x4000), (LIFETIME, 0))
    assert code_of(bob.ask(method, *values)) == 441
    assert ann.ask(Method.REFRESH).message_class is MessageClass.SUCCESS


# Permissions and indications


def test_data_flows_both_ways_with_a_permission(bench: Bench, ann: Client) -> None:
    permit(ann, PEER[0])
    assert indicate(ann, (XOR_PEER_ADDRESS, PEER), (DATA, b"ping")) == [
        SendToPeer(ann.port, PEER, b"ping")
    ]
    # Whatever the port: a permission is for a host.
    source = (PEER[0], 9)
    commands = bench.from_peer(ann.port, b"pong", source)
    assert read_indication(ann, commands) == (source, b"pong")
    metrics = bench.server.metrics
    assert (metrics.client_to_peer_datagrams, metrics.client_to_peer_bytes) == (1, 4)
    assert (metrics.peer_to_client_datagrams, metrics.peer_to_client_bytes) == (1, 4)


def test_nothing_flows_without_a_permission(bench: Bench, ann: Client) -> None:
    permit(ann, PEER[0])
    assert indicate(ann, (XOR_PEER_ADDRESS, OTHER), (DATA, b"x")) == []
    assert bench.from_peer(ann.port, b"x", OTHER) == []
    assert bench.server.metrics.dropped[DropReason.NO_PERMISSION] == 2


def test_a_permission_ends_after_five_minutes(bench: Bench, ann: Client) -> None:
    permit(ann, PEER[0])
    bench.advance(299.9)
    assert len(bench.from_peer(ann.port, b"x", PEER)) == 1
    bench.advance(0.1)
    assert bench.from_peer(ann.port, b"x", PEER) == []
    assert indicate(ann, (XOR_PEER_ADDRESS, PEER), (DATA, b"x")) == []


def test_permissions_are_installed_all_or_none(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    values = ((XOR_PEER_ADDRESS, PEER), (XOR_PEER_ADDRESS, ("10.0.0.1", 1)))
    assert code_of(ann.ask(Method.CREATE_PERMISSION, *values)) == 403
    assert bench.from_peer(ann.port, b"x", PEER) == []


def test_a_permission_needs_a_peer(ann: Client, code_of: CodeOf) -> None:
    assert code_of(ann.ask(Method.CREATE_PERMISSION)) == 400


def test_an_ipv6_peer_is_of_the_wrong_family(ann: Client, code_of: CodeOf) -> None:
    peer = (XOR_PEER_ADDRESS, ("2606:4700::1111", 9))
    assert code_of(ann.ask(Method.CREATE_PERMISSION, peer)) == 443
    assert code_of(ann.ask(Method.CHANNEL_BIND, peer, (CHANNEL_NUMBER, 0x4000))) == 443


def test_permissions_have_a_limit(make_bench: MakeBench, code_of: CodeOf) -> None:
    bench = make_bench(max_permissions=2)
    ann = bench.client()
    ann.allocate()
    permit(ann, "8.8.8.1", "8.8.8.2")
    third = (XOR_PEER_ADDRESS, ("8.8.8.3", 0))
    assert code_of(ann.ask(Method.CREATE_PERMISSION, third)) == 508
    assert code_of(bind(ann, 0x4000, ("8.8.8.3", 9))) == 508
    permit(ann, "8.8.8.1")
    bench.advance(300.0)
    permit(ann, "8.8.8.3")


def test_the_dont_fragment_bit_is_passed_on(ann: Client) -> None:
    permit(ann, PEER[0])
    values = ((XOR_PEER_ADDRESS, PEER), (DATA, b"x"), (DONT_FRAGMENT, True))
    assert indicate(ann, *values) == [SendToPeer(ann.port, PEER, b"x", dont_fragment=True)]


@pytest.mark.parametrize(
    "values",
    [
        ((DATA, b"x"),),
        ((XOR_PEER_ADDRESS, PEER),),
        ((XOR_PEER_ADDRESS, (PEER[0], 0)), (DATA, b"x")),
    ],
)
def test_half_an_indication_goes_nowhere(
    ann: Client, values: tuple[tuple[Attribute[Any], object], ...]
) -> None:
    permit(ann, PEER[0])
    assert indicate(ann, *values) == []


def test_an_indication_with_an_unknown_attribute_goes_nowhere(ann: Client) -> None:
    permit(ann, PEER[0])
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    message.add(XOR_PEER_ADDRESS, PEER).add(DATA, b"x").values.append((0x7F00, b""))
    assert ann.send(message.serialize()) == []


def test_a_datagram_too_long_for_an_indication_is_dropped(bench: Bench, ann: Client) -> None:
    permit(ann, PEER[0])
    assert bench.from_peer(ann.port, bytes(65_500), PEER) == []
    assert bench.server.metrics.dropped[DropReason.OVERSIZE] == 1


# Channels


def test_data_flows_both_ways_on_a_channel(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    assert code_of(bind(ann, 0x4000, PEER)) == 0
    assert ann.send(b"\x40\x00\x00\x04ping") == [SendToPeer(ann.port, PEER, b"ping")]
    assert ann.send(b"\x40\x00\x00\x03abc\x00") == [SendToPeer(ann.port, PEER, b"abc")]
    assert ann.send(b"\x40\x00\x00\x00") == [SendToPeer(ann.port, PEER, b"")]
    assert bench.from_peer(ann.port, b"pong", PEER) == [
        SendToClient(ann.socket, b"\x40\x00\x00\x04pong")
    ]


def test_a_channel_is_for_one_port_and_its_permission_for_the_host(
    bench: Bench, ann: Client
) -> None:
    bind(ann, 0x4000, PEER)
    source = (PEER[0], 9)
    assert read_indication(ann, bench.from_peer(ann.port, b"x", source)) == (source, b"x")


def test_a_live_channel_keeps_its_permission(bench: Bench, ann: Client) -> None:
    bind(ann, 0x4000, PEER)
    bench.advance(599.0)
    assert len(bench.from_peer(ann.port, b"x", PEER)) == 1
    assert len(bench.from_peer(ann.port, b"x", (PEER[0], 9))) == 1


def test_binding_again_refreshes_channel_and_permission(bench: Bench, ann: Client) -> None:
    bind(ann, 0x4000, PEER)
    bench.advance(500.0)
    ann.ask(Method.REFRESH)
    bind(ann, 0x4000, PEER)
    bench.advance(599.0)
    assert len(ann.send(b"\x40\x00\x00\x01x")) == 1
    assert len(bench.from_peer(ann.port, b"x", (PEER[0], 9))) == 1


def test_a_channel_ends_after_ten_minutes(bench: Bench, ann: Client, code_of: CodeOf) -> None:
    bind(ann, 0x4000, PEER)
    ann.ask(Method.REFRESH, (LIFETIME, 3600))
    bench.advance(600.0)
    assert ann.send(b"\x40\x00\x00\x01x") == []
    assert bench.from_peer(ann.port, b"x", PEER) == []
    assert bench.server.metrics.dropped[DropReason.NO_CHANNEL] == 1
    assert code_of(bind(ann, 0x4000, OTHER)) == 0
    assert code_of(bind(ann, 0x4001, PEER)) == 0


@pytest.mark.parametrize(
    ("number", "peer", "code"),
    [
        (0x4000, PEER, 0),
        (0x7FFF, OTHER, 0),
        (0x3FFF, OTHER, 400),
        (0x8000, OTHER, 400),
        (0x4000, OTHER, 400),
        (0x4001, PEER, 400),
        (0x4001, (OTHER[0], 0), 400),
        (0x4001, ("127.0.0.1", 9), 403),
    ],
)
def test_a_channel_is_one_number_for_one_peer(
    ann: Client, code_of: CodeOf, number: int, peer: tuple[str, int], code: int
) -> None:
    assert code_of(bind(ann, 0x4000, PEER)) == 0
    assert code_of(bind(ann, number, peer)) == code


@pytest.mark.parametrize("missing", [CHANNEL_NUMBER, XOR_PEER_ADDRESS])
def test_a_binding_needs_number_and_peer(
    ann: Client, code_of: CodeOf, missing: Attribute[Any]
) -> None:
    values: list[tuple[Attribute[Any], object]] = [
        (CHANNEL_NUMBER, 0x4000),
        (XOR_PEER_ADDRESS, PEER),
    ]
    kept = [value for value in values if value[0] is not missing]
    assert code_of(ann.ask(Method.CHANNEL_BIND, *kept)) == 400


def test_channels_have_a_limit(make_bench: MakeBench, code_of: CodeOf) -> None:
    bench = make_bench(max_channels=1)
    ann = bench.client()
    ann.allocate()
    assert code_of(bind(ann, 0x4000, PEER)) == 0
    assert code_of(bind(ann, 0x4001, OTHER)) == 508
    assert code_of(bind(ann, 0x4000, PEER)) == 0


def test_channel_data_that_is_nobodys_is_dropped_and_counted(bench: Bench, ann: Client) -> None:
    bind(ann, 0x4000, PEER)
    stranger = ClientSocket("198.51.100.99", 1)
    assert bench.from_client(b"\x40\x00\x00\x01x", stranger) == []
    assert ann.send(b"\x40\x01\x00\x01x") == []
    assert ann.send(b"\x40\x00\x00\x09x") == []
    dropped = bench.server.metrics.dropped
    assert dropped[DropReason.NO_ALLOCATION] == 1
    assert dropped[DropReason.NO_CHANNEL] == 1
    assert dropped[DropReason.MALFORMED] == 1


def test_channels_end_with_their_allocation(bench: Bench, ann: Client) -> None:
    bind(ann, 0x4000, PEER)
    ann.request(Method.REFRESH, (LIFETIME, 0))
    ann.allocate()
    assert ann.send(b"\x40\x00\x00\x01x") == []
    assert bench.from_peer(ann.port, b"x", PEER) == []


# From relay to relay


@pytest.fixture
def bob(bench: Bench) -> Client:
    """Another client with an allocation."""
    client = bench.client("bob", "pb", host="198.51.100.8")
    client.allocate()
    return client


def test_two_relays_talk_inside_the_server(
    bench: Bench, ann: Client, bob: Client, code_of: CodeOf
) -> None:
    ours = "203.0.113.1"
    assert code_of(bind(ann, 0x4000, (ours, bob.port))) == 0
    assert code_of(bind(bob, 0x4001, (ours, ann.port))) == 0
    assert ann.send(serialize_channel_data(0x4000, b"hello")) == [
        SendToClient(bob.socket, serialize_channel_data(0x4001, b"hello"))
    ]
    assert bench.server.metrics.relayed_inside == 1


def test_inside_the_server_permissions_count_as_ever(
    bench: Bench, ann: Client, bob: Client
) -> None:
    ours = "203.0.113.1"
    bind(ann, 0x4000, (ours, bob.port))
    assert ann.send(serialize_channel_data(0x4000, b"x")) == []
    assert bench.server.metrics.dropped[DropReason.NO_PERMISSION] == 1
    permit(bob, ours)
    commands = ann.send(serialize_channel_data(0x4000, b"x"))
    assert read_indication(bob, commands) == ((ours, ann.port), b"x")
    assert indicate(bob, (XOR_PEER_ADDRESS, (ours, ann.port)), (DATA, b"y")) == [
        SendToClient(ann.socket, b"\x40\x00\x00\x01y")
    ]


def test_a_relay_that_ended_is_no_way_into_the_machine(
    bench: Bench, ann: Client, bob: Client
) -> None:
    ours = "203.0.113.1"
    bind(ann, 0x4000, (ours, bob.port))
    permit(ann, ours)
    bob.request(Method.REFRESH, (LIFETIME, 0))
    assert ann.send(serialize_channel_data(0x4000, b"x")) == []
    assert indicate(ann, (XOR_PEER_ADDRESS, (ours, 22)), (DATA, b"x")) == []
    # Nor is it believed when something on this machine sends to the relay.
    assert bench.from_peer(ann.port, b"x", (ours, 22)) == []
    assert bench.from_peer(ann.port, b"x", (ours, bob.port)) == []


def test_an_address_of_ours_without_a_relay_is_forbidden(ann: Client, code_of: CodeOf) -> None:
    assert code_of(bind(ann, 0x4000, ("203.0.113.1", 9))) == 403


def test_behind_a_nat_relays_meet_at_their_outer_addresses(
    make_bench: MakeBench, code_of: CodeOf
) -> None:
    bench = make_bench(external_address="192.0.2.200")
    ann, bob = bench.client(), bench.client("bob", "pb", host="198.51.100.8")
    ann.allocate()
    bob.allocate()
    bind(bob, 0x4001, ("192.0.2.200", ann.port))
    assert code_of(bind(ann, 0x4000, ("192.0.2.200", bob.port))) == 0
    assert ann.send(serialize_channel_data(0x4000, b"x")) == [
        SendToClient(bob.socket, serialize_channel_data(0x4001, b"x"))
    ]


# What nobody should send


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\x00",
        b"\x80\x00\x00\x00",
        b"\x16\xfe\xff\x00\x00\x00",
        Message(Method.BINDING, MessageClass.SUCCESS, bytes(12)).serialize(),
        Message(Method.ALLOCATE, MessageClass.ERROR, bytes(12)).serialize(),
        Message(0x00A, MessageClass.REQUEST, bytes(12)).serialize(),
        Message(Method.BINDING, MessageClass.INDICATION, bytes(12)).serialize(),
        Message(Method.SEND, MessageClass.REQUEST, bytes(12)).serialize(),
        Message(Method.ALLOCATE, MessageClass.INDICATION, bytes(12)).serialize(),
        Message(Method.DATA, MessageClass.INDICATION, bytes(12))
        .add(XOR_PEER_ADDRESS, PEER)
        .add(DATA, b"x")
        .serialize(),
    ],
)
def test_what_nobody_should_send_is_not_answered(ann: Client, data: bytes) -> None:
    permit(ann, PEER[0])
    assert ann.send(data) == []


def test_a_timeout_before_its_time_does_nothing(bench: Bench, ann: Client) -> None:
    assert bench.server.poll_timeout() == bench.now + 600.0
    assert bench.advance(1.0) == []
    assert ann.ask(Method.REFRESH).message_class is MessageClass.SUCCESS


# A data plane beside it


def test_a_data_plane_is_told_of_flows_and_channels(make_bench: MakeBench) -> None:
    bench = make_bench(offload=True)
    ann = bench.client()
    answer, flow = ann.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
    assert isinstance(answer, SendToClient)
    assert isinstance(flow, OpenFlow)
    port = flow.relay_port
    assert flow == OpenFlow(port, ann.socket, (("203.0.113.1", port),))
    channel, answer = ann.request(
        Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, PEER)
    )
    assert channel == SetChannel(port, 0x4000, PEER, bench.now + 600.0, relayed_only=False)
    assert isinstance(answer, SendToClient)
    # What a data plane leaves is judged as without one.
    assert ann.send(serialize_channel_data(0x4000, b"x")) == [SendToPeer(port, PEER, b"x")]
    assert CloseRelay(port) in ann.request(Method.REFRESH, (LIFETIME, 0))


def test_a_data_plane_is_told_which_peers_are_ours(make_bench: MakeBench) -> None:
    bench = make_bench(offload=True)
    ann, bob = bench.client(), bench.client(port=5001)
    for each in (ann, bob):
        (_, flow) = each.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
        assert isinstance(flow, OpenFlow)
        each.port = flow.relay_port
    channel, _ = ann.request(
        Method.CHANNEL_BIND,
        (CHANNEL_NUMBER, 0x4000),
        (XOR_PEER_ADDRESS, ("203.0.113.1", bob.port)),
    )
    assert isinstance(channel, SetChannel)
    assert channel.relayed_only


def test_a_refused_channel_is_no_news_to_a_data_plane(make_bench: MakeBench) -> None:
    bench = make_bench(offload=True)
    ann = bench.client()
    ann.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
    (answer,) = ann.request(
        Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, ("127.0.0.1", 9))
    )
    assert isinstance(answer, SendToClient)
