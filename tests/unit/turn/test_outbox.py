from __future__ import annotations

from typing import TYPE_CHECKING

from ringline.turn import ClientSocket, SendToClient, SendToPeer
from ringline.turn.attributes import CHANNEL_NUMBER, XOR_PEER_ADDRESS
from ringline.turn.channel_data import serialize_channel_data
from ringline.turn.outbox import Outbox
from ringline.turn.stun import Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench

ANN, BOB = ClientSocket("198.51.100.7", 5000), ClientSocket("2001:db8::7", 5000)
PEER, OTHER = ("8.8.8.8", 99), ("8.8.8.8", 100)


def test_what_goes_to_one_address_is_together_and_in_order() -> None:
    outbox = Outbox()
    outbox.add_for_peer(50_000, PEER, b"1")
    outbox.add_for_peer(50_000, OTHER, b"2")
    outbox.add_for_peer(50_001, PEER, b"3")
    outbox.add_for_peer(50_000, PEER, b"4")
    outbox.add_for_client(ANN, b"5")
    outbox.add_for_client(BOB, b"6")
    outbox.add_for_client(ANN, b"7")
    assert outbox.to_peers == {
        (50_000, PEER): [b"1", b"4"],
        (50_000, OTHER): [b"2"],
        (50_001, PEER): [b"3"],
    }
    assert outbox.to_clients == {ANN: [b"5", b"7"], BOB: [b"6"]}
    assert outbox.take_commands() == [
        SendToPeer(50_000, PEER, b"1"),
        SendToPeer(50_000, PEER, b"4"),
        SendToPeer(50_000, OTHER, b"2"),
        SendToPeer(50_001, PEER, b"3"),
        SendToClient(ANN, b"5"),
        SendToClient(ANN, b"7"),
        SendToClient(BOB, b"6"),
    ]
    assert outbox.to_peers == {}
    assert outbox.to_clients == {}
    assert outbox.take_commands() == []


def test_a_server_gathers_what_it_passes_on_until_it_is_taken_or_polled_for(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate()
    ann.ask(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, PEER))
    server = bench.server
    for number in range(2):
        payload = b"%d" % number
        server.handle_client_datagram(
            serialize_channel_data(0x4000, payload), ("198.51.100.7", 5000, "udp"), bench.now
        )
        server.handle_peer_datagram(ann.port, payload, PEER, bench.now)
    assert not server.has_command
    assert server.outbox.to_peers == {(ann.port, PEER): [b"0", b"1"]}
    to_ann = [serialize_channel_data(0x4000, b"0"), serialize_channel_data(0x4000, b"1")]
    assert server.outbox.to_clients == {ann.socket: to_ann}
    server.handle_client_datagram(ann.sign(ann.message(Method.REFRESH)), ann.socket, bench.now)
    assert server.has_command
    *passed_on, answer = bench.drain()
    assert passed_on == [
        SendToPeer(ann.port, PEER, b"0"),
        SendToPeer(ann.port, PEER, b"1"),
        *(SendToClient(ann.socket, data) for data in to_ann),
    ]
    assert ann.answer([answer]).method == Method.REFRESH
    assert server.poll_command() is None
