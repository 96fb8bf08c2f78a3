"""What a client is told of ICMP messages about its datagrams (RFC 8656 §11.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ringline.turn import Command, DropReason, Message, ParseError, SendToClient
from ringline.turn.attributes import ADDITIONAL_ADDRESS_FAMILY, DATA, ICMP, XOR_PEER_ADDRESS
from ringline.turn.stun import MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

MakeBench = Callable[..., "Bench"]
PEER, PEER_6 = ("8.8.8.8", 4000), ("2606:4700::1111", 4000)


def permit(client: Client, *peers: tuple[str, int]) -> None:
    answer = client.ask(Method.CREATE_PERMISSION, *((XOR_PEER_ADDRESS, peer) for peer in peers))
    assert answer.message_class is MessageClass.SUCCESS


def hear(
    bench: Bench,
    port: int,
    icmp_type: int,
    code: int,
    *,
    mtu: int = 0,
    peer: tuple[str, int] = PEER,
) -> list[Command]:
    bench.server.handle_peer_icmp(port, peer, icmp_type, code, bench.now, mtu=mtu)
    return bench.drain()


@pytest.mark.parametrize(
    ("peer", "said", "told"),
    [
        (PEER, (3, 3, 0), (3, 3, 0)),  # port unreachable
        (PEER, (3, 4, 1400), (3, 4, 1400)),  # fragmentation needed
        (PEER, (11, 0, 1400), (11, 0, 0)),  # time exceeded, which has no MTU
        (PEER_6, (1, 4, 0), (1, 4, 0)),
        (PEER_6, (2, 0, 1280), (2, 0, 1280)),  # packet too big
        (PEER_6, (3, 0, 0), (3, 0, 0)),
    ],
)
def test_the_client_is_told_of_a_permitted_peer(
    make_bench: MakeBench,
    peer: tuple[str, int],
    said: tuple[int, int, int],
    told: tuple[int, int, int],
) -> None:
    bench = make_bench(host=("203.0.113.1", "2001:db8::1"))
    ann = bench.client()
    ann.allocate((ADDITIONAL_ADDRESS_FAMILY, 2))
    permit(ann, (peer[0], 1))  # the port does not matter
    (command,) = hear(bench, ann.port, said[0], said[1], mtu=said[2], peer=peer)
    assert isinstance(command, SendToClient)
    assert command.client == ann.socket
    message = Message.parse(command.data)
    assert (message.method, message.message_class) == (Method.DATA, MessageClass.INDICATION)
    assert message.get(XOR_PEER_ADDRESS) == peer
    assert message.get(ICMP) == told
    assert message.get(DATA) is None


@pytest.mark.parametrize("icmp_type", [0, 4, 5, 8, 12, 255])
def test_other_messages_are_nothing_to_a_client(bench: Bench, icmp_type: int) -> None:
    ann = bench.client()
    ann.allocate()
    permit(ann, PEER)
    assert hear(bench, ann.port, icmp_type, 0) == []
    assert bench.server.metrics.dropped[DropReason.ICMP] == 1


def test_nobody_is_told_without_a_permission_or_a_relay(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate()
    assert hear(bench, ann.port, 3, 3) == []
    assert bench.server.metrics.dropped[DropReason.NO_PERMISSION] == 1
    permit(ann, PEER)
    bench.advance(300.0)
    assert hear(bench, ann.port, 3, 3) == []  # it has expired
    assert bench.server.metrics.dropped[DropReason.NO_PERMISSION] == 2
    permit(ann, ("203.0.113.1", 5000))  # an address of ours: nothing was sent there by a socket
    assert hear(bench, ann.port, 3, 3, peer=("203.0.113.1", 5000)) == []
    assert bench.server.metrics.dropped[DropReason.NO_PERMISSION] == 3
    assert hear(bench, 1, 3, 3) == []
    assert bench.server.metrics.dropped[DropReason.NO_ALLOCATION] == 1


def test_a_flood_reaches_the_client_as_a_trickle(make_bench: MakeBench) -> None:
    bench = make_bench(icmp_per_second=2.0, icmp_burst=3)
    ann = bench.client()
    ann.allocate()
    permit(ann, PEER)
    assert [len(hear(bench, ann.port, 3, 3)) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert bench.server.metrics.dropped[DropReason.ICMP] == 2
    bench.advance(1.0)
    assert [len(hear(bench, ann.port, 3, 3)) for _ in range(3)] == [1, 1, 0]


def test_the_attribute_has_seven_bits_of_type_and_nine_of_code() -> None:
    message = Message(Method.DATA, MessageClass.INDICATION, bytes(12)).add(ICMP, (3, 4, 1400))
    assert message.serialize()[20:] == bytes.fromhex("8004 0008 0000 0604 00000578")
    message = Message(Method.DATA, MessageClass.INDICATION, bytes(12)).add(ICMP, (127, 255, 0))
    assert message.get(ICMP) == (127, 255, 0)
    with pytest.raises(ParseError, match="ICMP: 7 bytes, expected 8"):
        ICMP.decode(bytes(7), bytes(12))
