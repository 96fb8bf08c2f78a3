"""Every attack on TURN servers that is known in public, each a test.

Those by connections are in test_stream.py and tests/e2e/test_turn_streams.py; those on the
compiled data plane in tests/e2e/test_turn_data_plane.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ringline.turn import ClientSocket, DropReason, OpenRelay, SendToClient, SendToPeer, TurnServer
from ringline.turn.attributes import (
    ADDITIONAL_ADDRESS_FAMILY,
    CHANNEL_NUMBER,
    DATA,
    EVEN_PORT,
    LIFETIME,
    NONCE,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    UNKNOWN_ATTRIBUTES,
    XOR_PEER_ADDRESS,
    Attribute,
)
from ringline.turn.credentials import mint
from ringline.turn.stun import HEADER_SIZE, Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]
PEER = ("8.8.8.8", 4000)

INSIDE = {
    "CVE-2020-26262: unspecified": "0.0.0.0",  # noqa: S104 - an attack
    "CVE-2020-26262: this network": "0.0.0.7",
    "CVE-2020-26262: IPv6 loopback": "::1",
    "CVE-2020-26262: IPv6 unspecified": "::",
    "loopback": "127.0.0.1",
    "CVE-2026-27624: mapped loopback": "::ffff:127.0.0.1",
    "CVE-2026-27624: mapped private": "::ffff:10.0.0.1",
    "coturn 1945: compatible": "::127.0.0.1",
    "coturn 1945: 6to4": "2002:7f00:1::1",
    "coturn 1945: NAT64": "64:ff9b::127.0.0.1",
    "NAT64 of a public host": "64:ff9b::8.8.8.8",
    "local NAT64": "64:ff9b:1::7f00:1",
    "6to4 of a public host": "2002:808:808::1",
    "mapped public host": "::ffff:8.8.8.8",
    "Teredo": "2001:0:808:808::1",
    "our own IPv6 address, mapped likewise": "::ffff:203.0.113.1",
    "discard": "100::1",
    "IPv6 documentation": "3fff::1",
    "IPv6 benchmarks": "2001:2::1",
    "segment routing": "5f00::1",
    "coturn 1947: cloud metadata": "169.254.169.254",
    "coturn 1947: link-local": "fe80::1",
    "coturn 1947: unique local": "fd00::1",
    "coturn 1947: site-local": "fec0::1",
    "CVE-2017-12249: private 10": "10.1.2.3",
    "CVE-2017-12249: private 172": "172.20.1.1",
    "CVE-2017-12249: private 192": "192.168.0.1",
    "shared": "100.64.3.4",
    "multicast": "224.0.0.251",
    "IPv6 multicast": "ff02::fb",
    "broadcast": "255.255.255.255",
}


FAMILIES: dict[str, tuple[tuple[Attribute[int], int], ...]] = {
    "IPv4": (),
    "IPv6": ((REQUESTED_ADDRESS_FAMILY, 2),),
    "both": ((ADDITIONAL_ADDRESS_FAMILY, 2),),
}


@pytest.fixture
def ann(bench: Bench) -> Client:
    """A client with an allocation and a permission for one public peer."""
    client = bench.client()
    client.allocate()
    client.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, PEER))
    return client


@pytest.mark.parametrize("families", FAMILIES.values(), ids=FAMILIES.keys())
@pytest.mark.parametrize("host", INSIDE.values(), ids=INSIDE.keys())
def test_the_inside_cannot_be_reached(
    make_bench: MakeBench,
    code_of: CodeOf,
    host: str,
    families: tuple[tuple[Attribute[int], int], ...],
) -> None:
    """CVE-2020-26262, CVE-2026-27624, CVE-2017-12249, coturn #1945 and #1947."""
    bench = make_bench(host=("203.0.113.1", "2001:db8::1"))
    ann = bench.client()
    ann.allocate(*families)
    peer = (XOR_PEER_ADDRESS, (host, 80))
    assert code_of(ann.ask(Method.CREATE_PERMISSION, peer)) == 403
    assert code_of(ann.ask(Method.CHANNEL_BIND, peer, (CHANNEL_NUMBER, 0x4000))) == 403
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    assert ann.send(message.add(*peer).add(DATA, b"x").serialize()) == []
    assert ann.send(b"\x40\x00\x00\x01x") == []
    assert bench.from_peer(ann.port, b"x", (host, 80)) == []
    # RFC 6062 Connect, the fifth way in (pion #570), is off; for where it is on see below.
    assert ann.request(Method.CONNECT, peer) == []


@pytest.mark.parametrize("host", INSIDE.values(), ids=INSIDE.keys())
def test_the_inside_cannot_be_connected_to(
    make_bench: MakeBench, code_of: CodeOf, host: str
) -> None:
    """Pion #570: the policy was asked everywhere but at RFC 6062's Connect."""
    bench = make_bench(tcp_allocations=True)
    ann = bench.client(transport="tcp")
    ann.allocate_tcp()
    assert code_of(ann.ask(Method.CONNECT, (XOR_PEER_ADDRESS, (host, 80)))) == 403
    assert bench.server.metrics.peer_connections == 0


def test_our_own_listener_cannot_be_reached(make_bench: MakeBench, code_of: CodeOf) -> None:
    """Coturn #1946: a client reaches what the server itself is made of."""
    bench = make_bench(allow_peers=("203.0.113.0/24",))
    ann = bench.client()
    ann.allocate()
    listener = (XOR_PEER_ADDRESS, ("203.0.113.1", 3478))
    assert code_of(ann.ask(Method.CHANNEL_BIND, listener, (CHANNEL_NUMBER, 0x4000))) == 403
    assert code_of(ann.ask(Method.CREATE_PERMISSION, listener)) == 0  # a permission has no port
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    assert ann.send(message.add(*listener).add(DATA, b"x").serialize()) == []
    assert bench.server.metrics.dropped[DropReason.DENIED_PEER] == 1


def test_a_service_on_another_address_of_this_machine_cannot_be_reached(
    make_bench: MakeBench, code_of: CodeOf
) -> None:
    bench = make_bench(host="0.0.0.0")  # noqa: S104 - where it matters most
    bench.server.set_interfaces(["8.8.8.8"])
    ann = bench.client()
    ann.allocate()
    bound = (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, ("8.8.8.8", 5432))
    assert code_of(ann.ask(Method.CHANNEL_BIND, *bound)) == 403
    # A relay of ours may be there one day, so that a permission can be had; it leads nowhere else.
    assert code_of(ann.ask(Method.CREATE_PERMISSION, bound[1])) == 0
    sent = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    sent.add(XOR_PEER_ADDRESS, ("8.8.8.8", 5432)).add(DATA, b"select")
    assert ann.send(sent.serialize()) == []
    assert bench.from_peer(ann.port, b"answer", ("8.8.8.8", 5432)) == []


def test_the_operators_port_cannot_be_reached(make_bench: MakeBench, code_of: CodeOf) -> None:
    """Coturn #1946: the page with metrics is nobody's peer, even where loopback is open."""
    bench = make_bench(allow_peers=("127.0.0.0/8",))
    bench.server.deny_own_port(9641)
    ann = bench.client()
    ann.allocate()
    page = (XOR_PEER_ADDRESS, ("127.0.0.1", 9641))
    assert code_of(ann.ask(Method.CHANNEL_BIND, page, (CHANNEL_NUMBER, 0x4000))) == 403
    assert code_of(ann.ask(Method.CREATE_PERMISSION, page)) == 0  # a permission has no port
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    assert ann.send(message.add(*page).add(DATA, b"x").serialize()) == []
    assert bench.server.metrics.dropped[DropReason.DENIED_PEER] == 1


@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1"])
def test_a_relay_cannot_become_a_client(make_bench: MakeBench, host: str) -> None:
    bench = make_bench(host=("203.0.113.1", "2001:db8::1"))
    ann = bench.client()
    ann.allocate((ADDITIONAL_ADDRESS_FAMILY, 2))
    request = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
    assert bench.from_client(request, ClientSocket(host, ann.port)) == []
    assert len(bench.from_client(request, ClientSocket(host, ann.port + 1))) == 1


def test_what_follows_the_integrity_is_ignored(bench: Bench, ann: Client) -> None:
    """Coturn ab762f33: an attacker on the path appends to what the client signed."""
    signed = ann.sign(ann.message(Method.REFRESH))
    tail = Message(0, MessageClass.REQUEST, bytes(12)).add(LIFETIME, 0).serialize()[HEADER_SIZE:]
    length = (len(signed) - HEADER_SIZE + len(tail)).to_bytes(2, "big")
    answer = ann.answer(ann.send(signed[:2] + length + signed[4:] + tail))
    assert answer.get(LIFETIME) == 600
    assert bench.server.metrics.allocations == 1


def test_a_peer_appended_after_the_integrity_gets_no_permission(bench: Bench, ann: Client) -> None:
    message = ann.message(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, PEER))
    signed = ann.sign(message)
    extra = Message(0, MessageClass.REQUEST, message.transaction_id)
    tail = extra.add(XOR_PEER_ADDRESS, ("1.1.1.1", 9)).serialize()[HEADER_SIZE:]
    length = (len(signed) - HEADER_SIZE + len(tail)).to_bytes(2, "big")
    answer = ann.answer(ann.send(signed[:2] + length + signed[4:] + tail))
    assert answer.message_class is MessageClass.SUCCESS
    assert bench.from_peer(ann.port, b"x", ("1.1.1.1", 9)) == []


def test_of_two_peers_in_an_indication_the_first_counts(ann: Client) -> None:
    """Coturn #2016: the last one won, which nobody had judged."""
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    message.add(XOR_PEER_ADDRESS, PEER).add(XOR_PEER_ADDRESS, ("10.0.0.1", 9)).add(DATA, b"x")
    assert ann.send(message.serialize()) == [SendToPeer(ann.port, PEER, b"x")]


def test_no_byte_of_an_answer_is_left_from_something_else(bench: Bench, ann: Client) -> None:
    """CVE-2020-4067, coturn #1984: padding leaked memory."""
    bench.from_peer(ann.port, b"secret secret", PEER)
    (command,) = bench.from_peer(ann.port, b"x", PEER)
    assert isinstance(command, SendToClient)
    assert command.data.endswith(b"\x00\x13\x00\x01x\x00\x00\x00")


def test_a_length_of_65535_is_no_surprise(ann: Client) -> None:
    """Coturn #1844, #1964: lengths cut to 16 bits."""
    header = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
    for number in (0x0006, 0x0008, 0x0013, 0x8028):
        attribute = number.to_bytes(2, "big") + b"\xff\xff"
        assert ann.send(header[:2] + b"\x00\x04" + header[4:] + attribute) == []
        assert ann.send(header[:2] + b"\xff\xfc" + header[4:] + attribute) == []
    assert ann.send(b"\x40\x00\xff\xff") == []


def test_every_cut_of_a_request_is_harmless(bench: Bench) -> None:
    """CVE-2026-40613: one short packet killed the server; for the compiled part see e2e."""
    ann = bench.client()
    request = ann.sign(ann.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
    for end in range(len(request)):
        assert ann.send(request[:end]) == []


def test_relay_ports_and_nonces_differ_between_servers(
    make_bench: MakeBench,
) -> None:
    """CVE-2025-69217: who knows the generator knows the next port and nonce."""
    bench = make_bench()
    first, second = bench.client(port=1), bench.client(port=2)
    first.allocate()
    second.allocate()
    assert abs(first.port - second.port) > 1
    assert first.nonce != second.nonce


def test_a_flood_of_forged_requests_takes_no_memory(bench: Bench) -> None:
    """Coturn #780, #1999: each spoofed Allocate held 18 KB for a minute."""
    server = bench.server
    requests = [
        Message(method, MessageClass.REQUEST, bytes(12)).serialize()
        for method in (Method.ALLOCATE, Method.BINDING, Method.REFRESH)
    ]
    ann = bench.client()
    ann.nonce = "0" * 36
    requests.append(ann.sign(ann.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))))
    for number in range(100_000):
        source = ClientSocket(
            f"8.{number >> 16}.{number >> 8 & 255}.{number & 255}", number % 60_000
        )
        server.handle_client_datagram(requests[number % 4], source, bench.now)
        while server.poll_command() is not None:
            pass
    assert len(server._allocations) == 0
    assert len(server._allocator._ports) == 0
    assert server._allocator._quota._held == {}
    assert server._allocator._openings_by_client == {}
    assert len(server._allocator._reservations) == 0
    assert server.poll_timeout() is None
    assert server.metrics.unauthenticated_replies == 100_000


def test_a_forged_source_is_hit_ten_times_a_second_and_no_more(
    make_bench: MakeBench,
) -> None:
    bench = make_bench(unauthenticated_reply_burst=20)
    request = Message(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).serialize()
    hits = sum(
        len(bench.from_client(request, ClientSocket("8.8.8.8", port))) for port in range(1000)
    )
    assert hits == 20
    bench.now += 1.0
    again = [bench.from_client(request, ClientSocket("8.8.8.8", port)) for port in range(1000)]
    assert sum(map(len, again)) == 10
    assert bench.server.metrics.dropped[DropReason.RATE_LIMITED] == 1970


def test_guessing_passwords_is_limited_too(make_bench: MakeBench) -> None:
    bench = make_bench(unauthenticated_reply_burst=5)
    eve = bench.client(password="guess")
    answers = [eve.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)) for _ in range(50)]
    assert sum(map(len, answers)) == 4  # one of the five went for the nonce


def test_a_replayed_request_from_elsewhere_is_stale(bench: Bench, code_of: CodeOf) -> None:
    ann = bench.client()
    recorded = ann.sign(ann.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
    eve = bench.client(host="198.51.100.66")
    answer = eve.answer(eve.send(recorded))
    assert code_of(answer) == 438
    assert answer.get(NONCE) != ann.nonce


def test_the_chance_is_the_operating_systems_unless_injected(make_bench: MakeBench) -> None:
    """CVE-2025-69217: nobody can compute the next relay port from the ones that were seen."""
    config = make_bench().config
    first_ports = set()
    for seed in range(8):
        random.seed(0)  # must be of no consequence
        bench = make_bench()
        bench.server = TurnServer(config, wall_clock=lambda: 0.0)
        bench.open_relays = False
        (command,) = bench.client(port=seed + 1).request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
        assert isinstance(command, OpenRelay)
        first_ports.add(command.relay_port)
    assert len(first_ports) > 1  # eight of 16,384 alike: once in 10^29


@pytest.mark.parametrize("even", [False, True])
def test_even_ports_do_not_use_up_the_pool(make_bench: MakeBench, even: bool) -> None:
    """Coturn 4adbd82e: each EVEN-PORT left the odd neighbour taken for ever."""
    bench = make_bench(first_relay_port=50_000, last_relay_port=50_003)
    ann = bench.client()
    first = ann.sign(ann.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17), (EVEN_PORT, even)))
    last = ann.sign(ann.message(Method.REFRESH, (LIFETIME, 0)))
    for _ in range(5_000):
        bench.now += 0.001
        (answer,) = ann.send(first)
        assert isinstance(answer, SendToClient)
        assert Message.parse(answer.data).message_class is MessageClass.SUCCESS
        ann.send(last)
        if even:
            bench.server.handle_timeout(bench.now)
            bench.server._allocator.handle_timeout(bench.now + 30.0)  # nobody claims the odd one
            bench.drain()
    assert len(bench.server._allocator._ports) == 0
    assert bench.server._allocator._quota.held == 0


@pytest.mark.parametrize("size", [0, 1, 4, 31, 200, 60_000])
def test_a_token_of_another_mechanism_is_not_understood(
    bench: Bench, ann: Client, code_of: CodeOf, size: int
) -> None:
    """CVE-2026-43994, coturn #1838: OAuth, which overflowed before it had checked anybody."""
    access_token = 0x001B
    message = ann.message(Method.REFRESH)
    message.values.append((access_token, bytes(size)))
    answer = ann.answer(ann.send(ann.sign(message)))
    assert code_of(answer) == 420
    assert answer.get(UNKNOWN_ATTRIBUTES) == (access_token,)
    stranger = bench.client(port=7)
    unsigned = stranger.message(Method.ALLOCATE)
    unsigned.values.append((access_token, bytes(size)))
    assert code_of(stranger.answer(stranger.send(unsigned.serialize()))) == 401


def test_a_dtls_hello_is_not_answered(bench: Bench) -> None:
    """GHSA-5x2p-4vqj-f6m4: ClientHellos took memory before the cookie.  There is no DTLS here."""
    hello = b"\x16\xfe\xfd" + bytes(10) + b"\x01" + bytes(200)
    for port in range(1, 1000):
        assert bench.from_client(hello, ClientSocket("198.51.100.7", port)) == []
    assert bench.server.metrics.dropped[DropReason.MALFORMED] == 999


@pytest.mark.parametrize("method", [Method.BINDING, Method.ALLOCATE, Method.REFRESH])
def test_an_answer_to_a_stranger_is_short(bench: Bench, method: Method) -> None:
    """The 401 reflection: what we answer is the request and 108 bytes more at most."""
    request = Message(method, MessageClass.REQUEST, bytes(12))
    for extra in range(4):
        request.values.append((0x7F00 + extra, b""))
        data = request.serialize()
        (answer,) = bench.from_client(data, ClientSocket("8.8.8.8", 53))
        assert isinstance(answer, SendToClient)
        assert len(answer.data) <= len(data) + 108


def test_a_signed_request_without_attributes_it_needs_is_answered_shortly(
    bench: Bench, code_of: CodeOf
) -> None:
    ann = bench.client()
    message = Message(Method.ALLOCATE, MessageClass.REQUEST, bytes(12))
    answer = ann.answer(ann.send(message.serialize(integrity_key=b"guess")))
    assert code_of(answer) == 400
    assert len(answer.values) == 1  # the code, with no words


def test_a_credential_is_short_lived_and_its_user_has_a_quota(
    make_bench: MakeBench, code_of: CodeOf
) -> None:
    """STUNner's SECURITY.md: static credentials in a page are used by everybody."""
    bench = make_bench(users={}, secrets=("s",), max_allocations_per_user=1)
    for call, port, code in (("c1", 1, 0), ("c2", 2, 486)):  # another call, the same user
        made = mint("s", user="ann", call=call, expires_at=bench.wall_clock + 60)
        client = bench.client(made.username, made.password, port=port)
        assert code_of(client.ask(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))) == code
    for lasts in (-1, 86_401):
        made = mint("s", user="bob", call="c", expires_at=bench.wall_clock + lasts)
        late = bench.client(made.username, made.password, port=9)
        refused = late.answer(late.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
        assert code_of(refused) == 401
