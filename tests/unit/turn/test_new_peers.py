from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringline.turn import DropReason
from ringline.turn.attributes import CHANNEL_NUMBER, DATA, XOR_PEER_ADDRESS
from ringline.turn.new_peers import REMEMBERED, NewPeers
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]


def test_new_peers_are_limited_and_known_ones_are_not() -> None:
    peers = NewPeers(1.0, 3)
    assert peers.admit([("8.8.8.8", port) for port in (1, 2, 3)], 0.0)
    assert not peers.admit([("8.8.8.8", 4)], 0.0)
    assert all(peers.admit([("8.8.8.8", port)], 0.0) for port in (1, 2, 3))
    assert not peers.admit([("8.8.8.8", 4), ("8.8.8.8", 5)], 1.0)  # all or none
    assert peers.admit([("8.8.8.8", 4)], 1.0)


def test_what_is_remembered_is_bounded() -> None:
    peers = NewPeers(1e9, 10_000)
    for port in range(10_000):
        assert peers.admit([("8.8.8.8", port)], float(port))
    assert len(peers._known) == REMEMBERED


def test_ports_cannot_be_scanned(make_bench: MakeBench) -> None:
    """Enable Security's list of TURN threats: a port scan through the relay."""
    bench = make_bench(new_peer_burst=10)
    ann = bench.client()
    ann.allocate()
    ann.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, ("8.8.8.8", 0)))
    reached = 0
    for port in range(1, 1001):
        message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
        message.add(XOR_PEER_ADDRESS, ("8.8.8.8", port)).add(DATA, b"x")
        reached += len(ann.send(message.serialize()))
    assert reached == 9
    assert bench.server.metrics.dropped[DropReason.NEW_PEERS] == 991


def test_hosts_cannot_be_scanned(make_bench: MakeBench, code_of: CodeOf) -> None:
    """Enable Security's list of TURN threats: permission after permission, then channels."""
    bench = make_bench(new_peer_burst=10, max_permissions=1000, max_channels=1000)
    ann = bench.client()
    ann.allocate()
    codes = [
        code_of(ann.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, (f"8.8.4.{host}", 0))))
        for host in range(1, 10)
    ] + [
        code_of(
            ann.ask(
                Method.CHANNEL_BIND,
                (CHANNEL_NUMBER, 0x4000 + host),
                (XOR_PEER_ADDRESS, (f"8.8.8.{host}", 9)),
            )
        )
        for host in range(1, 10)
    ]
    assert codes == [0] * 10 + [508] * 8
    bench.advance(1.0)  # five more
    again = (XOR_PEER_ADDRESS, ("8.8.4.1", 0))
    assert code_of(ann.ask(Method.CREATE_PERMISSION, again)) == 0  # no news
