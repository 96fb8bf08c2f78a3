"""Every attack on TURN servers that is known in public and applies to UDP, each a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ringline.turn import ClientSocket, DropReason, SendToClient, SendToPeer
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    DATA,
    LIFETIME,
    NONCE,
    REQUESTED_TRANSPORT,
    XOR_PEER_ADDRESS,
)
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


@pytest.fixture
def ann(bench: Bench) -> Client:
    """A client with an allocation and a permission for one public peer."""
    client = bench.client()
    client.allocate()
    client.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, PEER))
    return client


@pytest.mark.parametrize("host", INSIDE.values(), ids=INSIDE.keys())
def test_the_inside_cannot_be_reached(
    bench: Bench, ann: Client, code_of: CodeOf, host: str
) -> None:
    peer = (XOR_PEER_ADDRESS, (host, 80))
    assert code_of(ann.ask(Method.CREATE_PERMISSION, peer)) == 403
    assert code_of(ann.ask(Method.CHANNEL_BIND, peer, (CHANNEL_NUMBER, 0x4000))) == 403
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    assert ann.send(message.add(*peer).add(DATA, b"x").serialize()) == []
    assert ann.send(b"\x40\x00\x00\x01x") == []
    assert bench.from_peer(ann.port, b"x", (host, 80)) == []
    # RFC 6062 Connect, the fifth way in (pion 570), is not served at all.
    assert ann.request(0x00A, peer) == []


def test_our_own_listener_cannot_be_reached(
    make_bench: MakeBench, code_of: CodeOf
) -> None:  # coturn 1946
    bench = make_bench(allow_peers=("203.0.113.0/24",))
    ann = bench.client()
    ann.allocate()
    listener = (XOR_PEER_ADDRESS, ("203.0.113.1", 3478))
    assert code_of(ann.ask(Method.CHANNEL_BIND, listener, (CHANNEL_NUMBER, 0x4000))) == 403
    assert code_of(ann.ask(Method.CREATE_PERMISSION, listener)) == 0  # a permission has no port
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    assert ann.send(message.add(*listener).add(DATA, b"x").serialize()) == []
    assert bench.server.metrics.dropped[DropReason.DENIED_PEER] == 1


def test_a_relay_cannot_become_a_client(bench: Bench, ann: Client) -> None:
    request = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
    assert bench.from_client(request, ClientSocket("203.0.113.1", ann.port)) == []


def test_what_follows_the_integrity_is_ignored(bench: Bench, ann: Client) -> None:
    # coturn ab762f33: an attacker on the path appends to what the client signed.
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


def test_of_two_peers_in_an_indication_the_first_counts(ann: Client) -> None:  # coturn 2016
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
    message.add(XOR_PEER_ADDRESS, PEER).add(XOR_PEER_ADDRESS, ("10.0.0.1", 9)).add(DATA, b"x")
    assert ann.send(message.serialize()) == [SendToPeer(ann.port, PEER, b"x")]


def test_no_byte_of_an_answer_is_left_from_something_else(
    bench: Bench, ann: Client
) -> None:  # CVE-2020-4067, coturn 1984
    bench.from_peer(ann.port, b"secret secret", PEER)
    (command,) = bench.from_peer(ann.port, b"x", PEER)
    assert isinstance(command, SendToClient)
    assert command.data.endswith(b"\x00\x13\x00\x01x\x00\x00\x00")


def test_a_length_of_65535_is_no_surprise(ann: Client) -> None:  # coturn 1844, 1964
    header = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
    for number in (0x0006, 0x0008, 0x0013, 0x8028):
        attribute = number.to_bytes(2, "big") + b"\xff\xff"
        assert ann.send(header[:2] + b"\x00\x04" + header[4:] + attribute) == []
        assert ann.send(header[:2] + b"\xff\xfc" + header[4:] + attribute) == []
    assert ann.send(b"\x40\x00\xff\xff") == []


def test_every_cut_of_a_request_is_harmless(bench: Bench) -> None:  # CVE-2026-40613
    ann = bench.client()
    request = ann.sign(ann.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
    for end in range(len(request)):
        assert ann.send(request[:end]) == []


def test_relay_ports_and_nonces_differ_between_servers(
    make_bench: MakeBench,
) -> None:  # CVE-2025-69217
    bench = make_bench()
    first, second = bench.client(port=1), bench.client(port=2)
    first.allocate()
    second.allocate()
    assert abs(first.port - second.port) > 1
    assert first.nonce != second.nonce


def test_a_flood_of_forged_requests_takes_no_memory(bench: Bench) -> None:  # coturn 780, 1999
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
