"""The TURN server on real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Self

import ifaddr
import pytest

from ringline.turn import DropReason, ListenError, Message, TurnConfig, TurnService
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    DATA,
    DONT_FRAGMENT,
    EVEN_PORT,
    ICMP,
    LIFETIME,
    NONCE,
    REALM,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
)
from ringline.turn.io_icmp import CAN_READ_ERRORS
from ringline.turn.io_interfaces import interface_addresses
from ringline.turn.long_term import long_term_key
from ringline.turn.peer_policy import Verdict
from ringline.turn.stun import MessageClass, Method
from tests.e2e.turn_planes import data_plane

KEY = long_term_key("ann", "ringline", "pa")

pytestmark = pytest.mark.usefixtures("each_data_plane")


def config(**settings: object) -> TurnConfig:
    defaults: dict[str, object] = {"host": "127.0.0.1", "port": 0, "users": {"ann": "pa"}}
    defaults["data_plane"] = data_plane()
    return TurnConfig(**(defaults | settings))  # type: ignore[arg-type] # checked by itself


class Wire:
    """A UDP socket with time limits."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            return await loop.sock_recvfrom(self.socket, 65_536)

    async def ask(self, server: TurnService, message: Message, nonce: str = "") -> Message:
        if nonce:
            message.add(USERNAME, "ann").add(REALM, "ringline").add(NONCE, nonce)
        data = message.serialize(integrity_key=KEY if nonce else None)
        self.socket.sendto(data, ("127.0.0.1", server.port))
        return Message.parse((await self.receive())[0])

    async def allocate(self, server: TurnService, **extra: bytes | int) -> tuple[Message, str]:
        nonce = (await self.ask(server, request(Method.ALLOCATE))).get(NONCE) or ""
        message = request(Method.ALLOCATE).add(REQUESTED_TRANSPORT, 17)
        if "family" in extra:
            message.add(REQUESTED_ADDRESS_FAMILY, int(extra["family"]))
        if "even" in extra:
            message.add(EVEN_PORT, bool(extra["even"]))
        if "token" in extra:
            message.add(RESERVATION_TOKEN, bytes(extra["token"]))
        return await self.ask(server, message, nonce), nonce


def request(method: Method) -> Message:
    return Message(method, MessageClass.REQUEST, bytes([method]) * 12)


def relayed_address(answer: Message) -> tuple[str, int]:
    address = answer.get(XOR_RELAYED_ADDRESS)
    assert address is not None
    return address


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - counters raise no event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("start", [TurnService.start, None])
async def test_it_starts_and_closes_in_both_ways(
    start: Callable[[TurnConfig], Awaitable[TurnService]] | None,
) -> None:
    if start is None:
        async with TurnService(config()) as server:
            port = server.port
    else:
        server = await start(config())
        port = server.port
        await server.close()
    assert port > 0
    await server.close()  # harmless
    again = await TurnService.start(config(port=port))  # the port is free
    await again.close()


async def test_a_port_in_use_is_one_clear_line() -> None:
    async with TurnService(config()) as server:
        with pytest.raises(ListenError) as caught:
            await TurnService.start(config(port=server.port))
    assert str(caught.value) == (
        f"TURN: cannot listen on 127.0.0.1:{server.port}/udp: Address already in use"
    )


async def test_metrics_belong_to_an_open_server() -> None:
    server = TurnService(config())
    with pytest.raises(RuntimeError, match="not open"):
        _ = server.metrics
    async with server:
        assert server.metrics.allocations == 0
        with pytest.raises(RuntimeError, match="opened once"):
            await server.open()


async def test_binding_tells_the_reflexive_address() -> None:
    async with TurnService(config()) as server:
        with Wire() as wire:
            answer = await wire.ask(server, request(Method.BINDING))
            assert answer.get(XOR_MAPPED_ADDRESS) == wire.address


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - loopback clients only
async def test_data_goes_to_a_peer_and_back(host: str) -> None:
    async with TurnService(config(host=host, allow_peers=("127.0.0.0/8",))) as server:
        with Wire() as client, Wire() as peer:
            answer, nonce = await client.allocate(server)
            relayed = relayed_address(answer)
            assert relayed[0] == "127.0.0.1"  # the address that faces the client
            bind = request(Method.CHANNEL_BIND).add(CHANNEL_NUMBER, 0x4000)
            bound = await client.ask(server, bind.add(XOR_PEER_ADDRESS, peer.address), nonce)
            assert bound.message_class is MessageClass.SUCCESS
            client.socket.sendto(b"\x40\x00\x00\x04ping", ("127.0.0.1", server.port))
            assert await peer.receive() == (b"ping", relayed)
            peer.socket.sendto(b"pong", relayed)
            assert (await client.receive())[0] == b"\x40\x00\x00\x04pong"
            indication = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
            indication.add(XOR_PEER_ADDRESS, peer.address).add(DATA, b"x").add(DONT_FRAGMENT, True)
            client.socket.sendto(indication.serialize(), ("127.0.0.1", server.port))
            assert await peer.receive() == (b"x", relayed)


@pytest.mark.skipif(not CAN_READ_ERRORS, reason="only Linux tells what became of a datagram")
@pytest.mark.parametrize(
    ("host", "refusal"), [("127.0.0.1", (3, 3, 0)), ("::1", (1, 4, 0))], ids=["IPv4", "IPv6"]
)
async def test_a_client_is_told_that_nobody_listens_and_loses_nothing_by_it(
    host: str, refusal: tuple[int, int, int]
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if ":" in host:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    settings = config(host=("127.0.0.1", "::1"), allow_peers=("127.0.0.0/8", "::1"))
    async with TurnService(
        settings if ":" in host else config(allow_peers=("127.0.0.0/8",))
    ) as server:
        with Wire() as client, socket.socket(family, socket.SOCK_DGRAM) as alive:
            alive.bind((host, 0))
            alive.setblocking(False)
            with socket.socket(family, socket.SOCK_DGRAM) as dead:
                dead.bind((host, 0))
                nobody = dead.getsockname()[:2]
            _, nonce = await client.allocate(server, family=2 if ":" in host else 1)
            for number, peer in ((0x4000, alive.getsockname()[:2]), (0x4001, nobody)):
                bound = request(Method.CHANNEL_BIND)
                bound.add(CHANNEL_NUMBER, number).add(XOR_PEER_ADDRESS, peer)
                answer = await client.ask(server, bound, nonce)
                assert answer.message_class is MessageClass.SUCCESS
            to_nobody, there = b"\x40\x01\x00\x02hi", ("127.0.0.1", server.port)
            # In bursts: those of one may go out as one, and are then reported as one.
            for burst in range(8):
                numbers = range(5 * burst, 5 * burst + 5)
                for number in numbers:
                    client.socket.sendto(to_nobody, there)
                    client.socket.sendto(b"\x40\x00\x00\x01" + bytes((number,)), there)
                async with asyncio.timeout(5):
                    for number in numbers:
                        data = await asyncio.get_running_loop().sock_recv(alive, 100)
                        assert data == bytes((number,))
            told = 0
            while told < 5:
                message = Message.parse((await client.receive())[0])
                assert (message.method, message.message_class) == (
                    Method.DATA,
                    MessageClass.INDICATION,
                )
                assert message.get(XOR_PEER_ADDRESS) == nobody
                assert message.get(ICMP) == refusal
                assert message.get(DATA) is None
                told += 1
            assert server.metrics.dropped[DropReason.SOCKET] == 0


async def test_a_pair_of_ports_is_open_before_the_answer() -> None:
    async with TurnService(config()) as server:
        with Wire() as rtp, Wire() as rtcp:
            first, _ = await rtp.allocate(server, even=True)
            token = first.get(RESERVATION_TOKEN)
            assert token is not None
            second, _ = await rtcp.allocate(server, token=token)
            assert relayed_address(second)[1] == relayed_address(first)[1] + 1
            for answer in (first, second):
                assert port_is_taken(relayed_address(answer)[1])


async def test_a_taken_relay_port_is_passed_over() -> None:
    with Wire() as squatter:
        taken = squatter.address[1]
        first = taken if taken < 65_535 else taken - 1
        settings = config(first_relay_port=first, last_relay_port=first + 1)
        async with TurnService(settings) as server:
            with Wire() as client:
                answer, _ = await client.allocate(server)
                # One of two is free, and each attempt takes another than the last.
                assert relayed_address(answer)[1] in {first, first + 1} - {taken}


async def test_the_relay_closes_with_its_allocation() -> None:
    async with TurnService(config()) as server:
        with Wire() as client:
            answer, nonce = await client.allocate(server)
            port = relayed_address(answer)[1]
            assert port_is_taken(port)
            await client.ask(server, request(Method.REFRESH).add(LIFETIME, 0), nonce)
            assert not port_is_taken(port)
            assert server.metrics.allocations == 0


async def test_the_timer_ends_an_allocation() -> None:
    settings = config(default_lifetime=0.2, max_lifetime=0.2)
    async with TurnService(settings) as server:
        with Wire() as client:
            answer, _ = await client.allocate(server)
            assert server.metrics.allocations == 1
            await eventually(lambda: server.metrics.allocations == 0)
            assert not port_is_taken(relayed_address(answer)[1])


async def test_closing_closes_the_relays() -> None:
    server = await TurnService.start(config())
    with Wire() as client:
        answer, _ = await client.allocate(server)
        await server.close()
        assert not port_is_taken(relayed_address(answer)[1])


async def test_what_the_network_does_not_take_is_counted() -> None:
    async with TurnService(config(allow_peers=("240.0.0.0/4",))) as server:
        with Wire() as client:
            _, nonce = await client.allocate(server)
            peer = ("255.255.255.255", 9)  # broadcast, which the socket may not send to
            permission = request(Method.CREATE_PERMISSION).add(XOR_PEER_ADDRESS, peer)
            await client.ask(server, permission, nonce)
            indication = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
            indication.add(XOR_PEER_ADDRESS, peer).add(DATA, b"x")
            client.socket.sendto(indication.serialize(), ("127.0.0.1", server.port))
            await eventually(lambda: server.metrics.dropped[DropReason.SOCKET] == 1)
            refreshed = await client.ask(server, request(Method.REFRESH), nonce)
            assert refreshed.message_class is MessageClass.SUCCESS


async def test_rubbish_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with TurnService(config()) as server:
        with Wire() as wire, caplog.at_level(logging.DEBUG):
            for data in (b"", b"\x00", b"\x40\x00", b"\xff" * 1500, bytes(20), b"\x00" * 65_507):
                wire.socket.sendto(data, ("127.0.0.1", server.port))
            answer = await wire.ask(server, request(Method.BINDING))
            assert answer.message_class is MessageClass.SUCCESS
        assert server.metrics.dropped[DropReason.MALFORMED] == 6


async def test_it_knows_the_addresses_of_this_machine_and_looks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = interface_addresses()
    assert found is not None
    assert "127.0.0.1" in found
    for host in found:
        assert str(ipaddress.ip_address(host)) == host  # canonical, and without a zone
    adapters: list[ifaddr.Adapter] = []
    monkeypatch.setattr("ifaddr.get_adapters", adapters.copy)
    async with TurnService(config()) as server:
        judge = server._running()._policy.judge
        assert judge(("8.8.8.8", 5432)) is Verdict.ALLOWED
        addresses = [ifaddr.IP("8.8.8.8", 24, "a"), ifaddr.IP(("2606:4700::1", 0, 2), 64, "a")]
        adapters.append(ifaddr.Adapter("a", "a", addresses))
        server.reload()
        assert judge(("8.8.8.8", 5432)) is judge(("2606:4700::1", 1)) is Verdict.RELAYED_ONLY

        def fail() -> None:
            raise PermissionError

        monkeypatch.setattr("ifaddr.get_adapters", fail)
        server.reload()
        assert judge(("8.8.8.8", 5432)) is Verdict.RELAYED_ONLY


def port_is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


async def test_what_is_over_the_bandwidth_is_dropped_whichever_way_it_goes() -> None:
    # An hour for the next byte, so that the machine's speed is of no consequence.
    settings = config(allow_peers=("127.0.0.0/8",), user_bandwidth=1.0, bandwidth_burst=100_000.0)
    async with TurnService(settings) as server:
        with Wire() as client, Wire() as peer:
            answer, nonce = await client.allocate(server)
            bind = request(Method.CHANNEL_BIND).add(CHANNEL_NUMBER, 0x4000)
            await client.ask(server, bind.add(XOR_PEER_ADDRESS, peer.address), nonce)
            relayed = relayed_address(answer)
            for _ in range(60):
                client.socket.sendto(b"\x40\x00\x03\xe8" + bytes(1000), ("127.0.0.1", server.port))
            for _ in range(60):
                await peer.receive()
            indication = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
            indication.add(XOR_PEER_ADDRESS, peer.address).add(DATA, bytes(10_000))
            client.socket.sendto(indication.serialize(), ("127.0.0.1", server.port))
            assert len((await peer.receive())[0]) == 10_000  # from the same bucket
            for _ in range(60):
                peer.socket.sendto(bytes(1000), relayed)
            for _ in range(30):
                await client.receive()
            await eventually(lambda: server.metrics.dropped[DropReason.BANDWIDTH] == 30)
            metrics = server.metrics
            assert (metrics.client_to_peer_bytes, metrics.peer_to_client_bytes) == (70_000, 30_000)
            assert sum(metrics.dropped.values()) == 30
