"""TURN by TCP and TLS on real connections of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from ringline.turn import ConfigError, DropReason, Message, TurnConfig, TurnService, io_accept
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    LIFETIME,
    NONCE,
    REALM,
    REQUESTED_TRANSPORT,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
)
from ringline.turn.long_term import long_term_key
from ringline.turn.stream import MAX_MESSAGE, StreamReader, pad
from ringline.turn.stun import MessageClass, Method
from tests.certificates import any_certificate, make_certificate

Kind = Literal["tcp", "tls"]
KEY = long_term_key("ann", "ringline", "pa")


class Connection:
    """A client's connection, with time limits."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.messages: list[bytes] = []
        self.cut = StreamReader(MAX_MESSAGE)
        self.nonce = ""

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            while not self.messages:
                data = await self.reader.read(65_536)
                if not data:
                    raise ConnectionError
                self.messages += self.cut.feed(data)
        return self.messages.pop(0)

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    def tell(self, method: int, *values: tuple[Attribute[Any], object]) -> None:
        message = Message(method, MessageClass.REQUEST, bytes(12))
        for attribute, value in values:
            message.add(attribute, value)
        if self.nonce:
            message.add(USERNAME, "ann").add(REALM, "ringline").add(NONCE, self.nonce)
        self.writer.write(message.serialize(integrity_key=KEY if self.nonce else None))

    async def ask(self, method: int, *values: tuple[Attribute[Any], object]) -> Message:
        self.tell(method, *values)
        return Message.parse(await self.receive())

    async def allocate(self) -> Message:
        self.nonce = (await self.ask(Method.ALLOCATE)).get(NONCE) or ""
        answer = await self.ask(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
        assert answer.message_class is MessageClass.SUCCESS
        return answer


@asynccontextmanager
async def connect(server: TurnService, kind: Kind) -> AsyncIterator[Connection]:
    port = server.port if kind == "tcp" else server.tls_port
    tls = any_certificate() if kind == "tls" else None
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TurnConfig]:
    certificate = make_certificate(tmp_path, "turn.example")

    def make(**settings: Any) -> TurnConfig:
        defaults: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": 0,
            "tls_port": 0,
            "tls_certificate": certificate,
            "users": {"ann": "pa"},
            "allow_peers": ("127.0.0.0/8",),
        }
        return TurnConfig(**(defaults | settings))

    return make


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_data_goes_both_ways_between_a_connection_and_a_udp_peer(
    config: Callable[..., TurnConfig], kind: Kind
) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        async with TurnService(config()) as server, connect(server, kind) as client:
            answer = await client.allocate()
            assert answer.get(XOR_MAPPED_ADDRESS) == client.writer.get_extra_info("sockname")
            relayed = answer.get(XOR_RELAYED_ADDRESS)
            assert relayed is not None
            await client.ask(
                Method.CHANNEL_BIND,
                (CHANNEL_NUMBER, 0x4000),
                (XOR_PEER_ADDRESS, peer.getsockname()),
            )
            for payload in (b"", b"a", b"hello", b"x" * 1200):
                data = b"\x40\x00" + len(payload).to_bytes(2, "big") + payload
                client.writer.write(pad(data))
                async with asyncio.timeout(5):
                    assert await loop.sock_recvfrom(peer, 2000) == (payload, relayed)
                peer.sendto(payload, relayed)
                assert await client.receive() == pad(data)


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_an_allocation_ends_with_its_connection(
    config: Callable[..., TurnConfig], kind: Kind
) -> None:
    async with TurnService(config()) as server:
        async with connect(server, kind) as client:
            await client.allocate()
            assert server.metrics.allocations == 1
        await eventually(lambda: server.metrics.allocations == 0)


async def test_what_is_no_turn_is_hung_up_on(config: Callable[..., TurnConfig]) -> None:
    async with TurnService(config()) as server, connect(server, "tcp") as client:
        client.writer.write(b"GET / HTTP/1.1\r\nHost: turn\r\n\r\n")
        assert await client.ended()
        assert server.metrics.dropped[DropReason.MALFORMED] == 1


async def test_one_address_reaches_a_wildcard_once(config: Callable[..., TurnConfig]) -> None:
    """By two of our addresses it could be there twice, and one of the two be lost from sight."""
    if not sys.platform.startswith("linux"):
        pytest.skip("elsewhere loopback has one address")
    loop = asyncio.get_running_loop()
    faults: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    first, second = (socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(2))
    with first, second:
        for each in (first, second):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.setblocking(False)
        first.bind(("127.0.0.1", 0))
        second.bind(first.getsockname())
        async with TurnService(config(host="0.0.0.0", tls_certificate=None)) as server:  # noqa: S104
            await loop.sock_connect(first, ("127.0.0.1", server.port))
            reader, writer = await asyncio.open_connection(sock=first)
            client = Connection(reader, writer)
            await client.allocate()
            await loop.sock_connect(second, ("127.0.0.2", server.port))
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    assert await loop.sock_recv(second, 1) == b""  # refused
            answer = await client.ask(Method.REFRESH)  # and the other one knows nothing of it
            assert answer.message_class is MessageClass.SUCCESS
            writer.close()
            await eventually(lambda: server.metrics.allocations == 0)
    assert faults == []


async def test_one_source_has_so_many_connections_and_no_more(
    config: Callable[..., TurnConfig],
) -> None:
    settings = config(max_connections_per_source=2)
    async with (
        TurnService(settings) as server,
        connect(server, "tcp") as first,
        connect(server, "tcp") as second,
    ):
        async with connect(server, "tcp") as third:
            assert await third.ended()
        assert server.metrics.dropped[DropReason.RATE_LIMITED] == 1
        for client in (first, second):
            assert (await client.ask(Method.BINDING)).message_class is MessageClass.SUCCESS
        first.writer.close()
        await first.writer.wait_closed()
        await asyncio.sleep(0)
        async with connect(server, "tcp") as fourth:
            assert (await fourth.ask(Method.BINDING)).message_class is MessageClass.SUCCESS


def silent(server: TurnService) -> socket.socket:
    """Return a connection whose handshake does not begin."""
    assert server.tls_port is not None
    return socket.create_connection(("127.0.0.1", server.tls_port), timeout=5)


async def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    async with asyncio.timeout(5):
        try:
            return await asyncio.get_running_loop().sock_recv(connection, 1) == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize(
    "limit",
    [
        "max_handshakes",
        "max_handshakes_per_source",
        "max_connections",
        "max_connections_per_source",
    ],
)
async def test_handshakes_that_do_not_go_on_are_bounded(
    config: Callable[..., TurnConfig], limit: str
) -> None:
    async with TurnService(config(**{limit: 3})) as server:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(silent(server)) for _ in range(3)]
            beyond = stack.enter_context(silent(server))
            assert await is_closed(beyond)
            assert server.metrics.dropped[DropReason.RATE_LIMITED] == 1
            # Handshakes are not what TCP without TLS waits for.
            async with connect(server, "tcp") as client:
                assert (await client.ask(Method.BINDING)).message_class is MessageClass.SUCCESS
            held[0].close()
            await eventually(lambda: server.metrics.dropped[DropReason.HANDSHAKE] == 1)
            async with connect(server, "tls") as client:
                assert (await client.ask(Method.BINDING)).message_class is MessageClass.SUCCESS
        await eventually(lambda: server.metrics.dropped[DropReason.HANDSHAKE] == 3)
        acceptor = server._streams["tls"]._acceptor
        assert acceptor is not None
        assert (acceptor._pending, acceptor._tasks) == ({}, set())


async def test_a_handshake_has_its_time_and_no_more(config: Callable[..., TurnConfig]) -> None:
    async with TurnService(config(handshake_patience=0.05)) as server:
        with silent(server) as waiting:
            assert await is_closed(waiting)
        assert server.metrics.dropped[DropReason.HANDSHAKE] == 1
        with silent(server) as rude:
            rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
            await eventually(lambda: server.metrics.dropped[DropReason.HANDSHAKE] == 2)


async def test_closing_the_server_ends_handshakes(config: Callable[..., TurnConfig]) -> None:
    server = await TurnService.start(config())
    with silent(server) as waiting:
        async with connect(server, "tls"):  # came later: the first one has been accepted
            await server.close()
        assert await is_closed(waiting)


async def test_without_descriptors_it_accepts_later(
    config: Callable[..., TurnConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io_accept, "_EXHAUSTED_PAUSE", 0.01)
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "no more")]

    def fail_first(self: socket.socket) -> tuple[socket.socket, Any]:
        if failures:
            raise failures.pop()
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", fail_first)
    async with TurnService(config()) as server, connect(server, "tcp") as client:
        assert (await client.ask(Method.BINDING)).message_class is MessageClass.SUCCESS
    assert failures == []


async def test_a_new_certificate_is_for_new_connections(
    config: Callable[..., TurnConfig], tmp_path: Path
) -> None:
    settings = config()
    async with TurnService(settings) as server:
        assert await shown_certificate(server) == "turn.example"
        shutil.move(make_certificate(tmp_path, "renewed.example"), str(settings.tls_certificate))
        server.reload()
        assert await shown_certificate(server) == "renewed.example"
        shutil.copy(__file__, str(settings.tls_certificate))  # which is no certificate
        with pytest.raises(ConfigError, match="tls_certificate"):
            server.reload()
        assert await shown_certificate(server) == "renewed.example"


async def shown_certificate(server: TurnService) -> str:
    """Return whom the server's certificate names."""
    async with connect(server, "tls") as client:
        sealed = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    subject = x509.load_der_x509_certificate(sealed).subject
    (name,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


async def test_a_client_that_gives_its_relay_back_may_stay(
    config: Callable[..., TurnConfig],
) -> None:
    async with TurnService(config()) as server, connect(server, "tcp") as client:
        await client.allocate()
        await client.ask(Method.REFRESH, (LIFETIME, 0))
        assert server.metrics.allocations == 0
        assert (await client.ask(Method.BINDING)).message_class is MessageClass.SUCCESS


async def test_closing_the_server_closes_the_connections(
    config: Callable[..., TurnConfig],
) -> None:
    server = await TurnService.start(config())
    async with connect(server, "tcp") as client:
        assert (await client.ask(Method.BINDING)).message_class is MessageClass.SUCCESS
        await server.close()
        assert await client.ended()


async def test_without_a_certificate_there_is_no_tls_and_tcp_can_be_off() -> None:
    settings = TurnConfig(host="127.0.0.1", port=0, users={"ann": "pa"}, tcp=False)
    async with TurnService(settings) as server:
        assert server.tls_port is None
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
