"""Relays over TCP (RFC 6062) on real connections: whole, in order, and bounded."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import Mock

import pytest

from ringline.turn import TurnConfig, TurnService
from ringline.turn.attributes import (
    CONNECTION_ID,
    ERROR_CODE,
    LIFETIME,
    NONCE,
    REQUESTED_TRANSPORT,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
)
from ringline.turn.io_peer import PeerStreams
from ringline.turn.stun import Message, MessageClass, Method
from tests.e2e.test_turn_streams import Connection, connect, eventually

HOST = "127.0.0.1"
AMOUNT = 3_000_000  # many times what the buffers hold


def config(**settings: object) -> TurnConfig:
    defaults: dict[str, object] = {
        "host": HOST,
        "port": 0,
        "users": {"ann": "pa"},
        "allow_peers": ("127.0.0.0/8",),
        "tcp_allocations": True,
    }
    return TurnConfig(**(defaults | settings))  # type: ignore[arg-type] # checked by itself


class Peers:
    """A server that connections come to."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self.address = (HOST, 0)

    async def next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(5):
            return await self.came.get()


@asynccontextmanager
async def peers() -> AsyncIterator[Peers]:
    made = Peers()
    writers = []

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        made.came.put_nowait((reader, writer))

    async with await asyncio.start_server(take, HOST, 0) as server:
        made.address = server.sockets[0].getsockname()
        yield made
        for writer in writers:
            writer.close()


async def allocate(client: Connection) -> tuple[str, int]:
    client.nonce = (await client.ask(Method.ALLOCATE)).get(NONCE) or ""
    answer = await client.ask(Method.ALLOCATE, (REQUESTED_TRANSPORT, 6))
    relayed = answer.get(XOR_RELAYED_ADDRESS)
    assert relayed is not None, answer
    return relayed


async def bind(data: Connection, number: int | None) -> None:
    assert number is not None
    data.nonce = (await data.ask(Method.REFRESH)).get(NONCE) or ""
    data.tell(Method.CONNECTION_BIND, (CONNECTION_ID, number))
    async with asyncio.timeout(5):  # no byte more: what follows is the peer's
        header = await data.reader.readexactly(20)
        body = await data.reader.readexactly(int.from_bytes(header[2:4], "big"))
    answer = Message.parse(header + body)
    assert answer.message_class is MessageClass.SUCCESS, answer.get(ERROR_CODE)


async def test_much_goes_both_ways_whole_and_in_order() -> None:
    sent = random.Random(1).randbytes(AMOUNT)
    async with (
        TurnService(config()) as server,
        peers() as peer,
        connect(server, "tcp") as control,
        connect(server, "tcp") as data,
    ):
        relayed = await allocate(control)
        answer = await control.ask(Method.CONNECT, (XOR_PEER_ADDRESS, peer.address))
        reader, writer = await peer.next()
        assert writer.get_extra_info("peername") == relayed  # from the relayed address itself
        writer.write(b"early")  # before anybody is joined to it
        await bind(data, answer.get(CONNECTION_ID))
        async with asyncio.timeout(30):
            assert await data.reader.readexactly(5) == b"early"

            async def pour(into: asyncio.StreamWriter) -> None:
                into.write(sent)
                await into.drain()

            _, _, there, back = await asyncio.gather(
                pour(data.writer),
                pour(writer),
                reader.readexactly(AMOUNT),
                data.reader.readexactly(AMOUNT),
            )
        assert hashlib.sha256(there).digest() == hashlib.sha256(sent).digest()
        assert hashlib.sha256(back).digest() == hashlib.sha256(sent).digest()
        metrics = server.metrics
        assert metrics.client_to_peer_bytes == AMOUNT
        assert metrics.peer_to_client_bytes == AMOUNT + 5


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_a_peer_says_first_is_kept_for_the_client(loop: str) -> None:
    """Whichever loop it is: some begin to read before they can be told not to."""
    run = asyncio.run if loop == "asyncio" else pytest.importorskip("uvloop").run
    run(_speak_first())


async def _speak_first() -> None:
    first = random.Random(3).randbytes(AMOUNT)
    async with (
        TurnService(config()) as server,
        peers() as peer,
        connect(server, "tcp") as control,
    ):
        relayed = await allocate(control)
        answer = await control.ask(Method.CONNECT, (XOR_PEER_ADDRESS, peer.address))
        _, writer = await peer.next()
        await control.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, (HOST, 0)))
        _, caller = await asyncio.open_connection(*relayed)
        attempt = Message.parse(await control.receive())
        for number, end in (
            (answer.get(CONNECTION_ID), writer),
            (attempt.get(CONNECTION_ID), caller),
        ):
            end.write(first)
            for _ in range(5):  # round trips, in which the server reads whatever it reads
                await control.ask(Method.REFRESH)
            async with connect(server, "tcp") as data:
                await bind(data, number)
                async with asyncio.timeout(30):
                    assert await data.reader.readexactly(AMOUNT) == first
        caller.close()


async def test_a_relay_that_can_accept_nobody_waits_before_it_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with TurnService(config()) as server, connect(server, "tcp") as control:
        relayed = await allocate(control)
        await control.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, (HOST, 0)))
        tries = []
        accept = socket.socket.accept

        def full(listener: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
            if listener.getsockname() != relayed:
                return accept(listener)
            tries.append(listener)
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "accept", full)
            _, writer = await asyncio.open_connection(*relayed)
            await eventually(lambda: bool(tries))
            for _ in range(5):
                await control.ask(Method.REFRESH)
            assert len(tries) == 1
        attempt = Message.parse(await control.receive())
        assert attempt.get(XOR_PEER_ADDRESS) == writer.get_extra_info("sockname")
        writer.close()


async def test_a_port_has_one_listener() -> None:
    core, settle = Mock(), Mock()
    streams = PeerStreams(core, settle)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    streams.open_relay(port, HOST)
    first = streams._relays[port]
    streams.open_relay(port, HOST)
    assert first.fileno() == -1
    streams.close()


async def test_who_is_not_read_is_not_read_for() -> None:
    async with (
        TurnService(config()) as server,
        peers() as peer,
        connect(server, "tcp") as control,
        connect(server, "tcp") as data,
    ):
        await allocate(control)
        answer = await control.ask(Method.CONNECT, (XOR_PEER_ADDRESS, peer.address))
        _, writer = await peer.next()
        await bind(data, answer.get(CONNECTION_ID))
        data.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport's
        taken = 0
        chunk = bytes(1 << 20)
        for _ in range(64):
            writer.write(chunk)
            taken += len(chunk)
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                break
        else:
            pytest.fail("64 MiB were taken for a client that does not read")
        waiting = server.metrics.peer_to_client_bytes
        await asyncio.sleep(0.1)
        assert server.metrics.peer_to_client_bytes == waiting  # it has stopped
        data.writer.transport.resume_reading()  # type: ignore[attr-defined] # a transport's
        async with asyncio.timeout(30):
            await data.reader.readexactly(taken)


async def test_what_a_peer_says_last_still_comes() -> None:
    async with (
        TurnService(config()) as server,
        peers() as peer,
        connect(server, "tcp") as control,
        connect(server, "tcp") as data,
    ):
        await allocate(control)
        answer = await control.ask(Method.CONNECT, (XOR_PEER_ADDRESS, peer.address))
        _, writer = await peer.next()
        writer.write(b"last words")
        writer.close()
        await bind(data, answer.get(CONNECTION_ID))
        async with asyncio.timeout(5):
            assert await data.reader.read() == b"last words"
        await eventually(lambda: server.metrics.peer_connections == 0)


async def test_a_peer_that_connects_is_announced() -> None:
    async with (
        TurnService(config()) as server,
        connect(server, "tcp") as control,
        connect(server, "tcp") as data,
    ):
        relayed = await allocate(control)
        reader, writer = await asyncio.open_connection(*relayed)
        async with asyncio.timeout(5):
            assert await reader.read() == b""  # no permission
        writer.close()
        await control.ask(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, (HOST, 0)))
        reader, writer = await asyncio.open_connection(*relayed)
        attempt = Message.parse(await control.receive())
        assert attempt.get(XOR_PEER_ADDRESS) == writer.get_extra_info("sockname")
        await bind(data, attempt.get(CONNECTION_ID))
        data.writer.write(b"hello")
        async with asyncio.timeout(5):
            assert await reader.readexactly(5) == b"hello"
            await control.ask(Method.REFRESH, (LIFETIME, 0))
            assert await reader.read() == b""  # the allocation ended
            assert await data.reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*relayed)


async def test_nobody_there_is_447() -> None:
    async with peers() as peer:
        nobody = peer.address
    async with TurnService(config()) as server, connect(server, "tcp") as control:
        await allocate(control)
        answer = await control.ask(Method.CONNECT, (XOR_PEER_ADDRESS, nobody))
        error = answer.get(ERROR_CODE)
        assert error is not None
        assert error[0] == 447
        assert server.metrics.peer_connections == 0


async def test_over_the_bandwidth_it_is_slower_and_nothing_is_lost() -> None:
    settings = config(allocation_bandwidth=400_000.0, bandwidth_burst=0.1)
    sent = random.Random(2).randbytes(300_000)
    loop = asyncio.get_running_loop()
    async with (
        TurnService(settings) as server,
        peers() as peer,
        connect(server, "tcp") as control,
        connect(server, "tcp") as data,
    ):
        await allocate(control)
        answer = await control.ask(Method.CONNECT, (XOR_PEER_ADDRESS, peer.address))
        reader, _ = await peer.next()
        await bind(data, answer.get(CONNECTION_ID))
        began = loop.time()
        for start in range(0, len(sent), 10_000):
            data.writer.write(sent[start : start + 10_000])
        async with asyncio.timeout(30):
            assert await reader.readexactly(len(sent)) == sent
            # What was read at once is owed: the next byte waits until it is paid.
            data.writer.write(b"x")
            await reader.readexactly(1)
        assert loop.time() - began > 0.4
