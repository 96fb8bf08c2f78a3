"""Signaling over real sockets on loopback: server, client connection, and what is between."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from ringline.client.errors import (
    LocalError,
    NameTakenError,
    ServerUnreachableError,
    SignalingError,
    UnauthorizedError,
)
from ringline.client.io_signaling import SignalingConnection, websocket_url
from ringline.client.signaling_link import LinkConfig, LinkState, StateChanged
from ringline.signaling import messages as wire
from ringline.signaling.codes import EndReason
from ringline.signaling.config import ServerConfig
from ringline.signaling.errors import ServerStartError
from ringline.signaling.io_server import RinglineServer
from ringline.signaling.tokens import TokenKeys, mint_token
from ringline.turn.attributes import ERROR_CODE, NONCE, REALM, REQUESTED_TRANSPORT, USERNAME
from ringline.turn.long_term import long_term_key
from ringline.turn.stun import Message, MessageClass, Method

IDS = [f"01ARZ3NDEKTSV4RRFFQ69G5F{n:02d}" for n in range(20)]
KEYS = TokenKeys(keys={"1": b"k" * 32})
CONFIG = ServerConfig(dev=True, port=0, turn_port=0, drain_time=0.2)


class Person:
    """A connected client with an inbox."""

    def __init__(self, url: str, name: str, device: str | None = None) -> None:
        self.inbox: asyncio.Queue[wire.ServerMessage] = asyncio.Queue()
        self.states: asyncio.Queue[StateChanged] = asyncio.Queue()
        self.connection = SignalingConnection(
            url,
            name=name,
            device=device,
            on_message=self.inbox.put_nowait,
            on_state=self.states.put_nowait,
        )

    async def hear(self, kind: type[wire.Message]) -> wire.ServerMessage:
        """Return the next message, which is of this kind."""
        async with asyncio.timeout(5):
            message = await self.inbox.get()
        assert isinstance(message, kind), message
        return message

    async def state(self) -> LinkState:
        async with asyncio.timeout(5):
            return (await self.states.get()).state


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[RinglineServer]:
    async with RinglineServer(getattr(request, "param", CONFIG)) as running:
        yield running


@pytest.fixture
async def ann(server: RinglineServer) -> AsyncIterator[Person]:
    person = Person(server.url, "ann")
    await person.connection.connect()
    assert await person.state() is LinkState.CONNECTED
    yield person
    await person.connection.close()


@pytest.fixture
async def bob(server: RinglineServer) -> AsyncIterator[Person]:
    person = Person(server.url.replace("http", "ws"), "bob")
    await person.connection.connect()
    assert await person.state() is LinkState.CONNECTED
    yield person
    await person.connection.close()


async def cut(server: RinglineServer) -> None:
    """Cut all sockets of a server as a broken network does."""
    for found in list(server._websockets._sockets.values()):
        assert found.transport is not None
        found.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "server",
    [CONFIG, pytest.param(dataclasses.replace(CONFIG, turn_workers=2), id="two TURN workers")],
    indirect=True,
)
async def test_a_call_from_invite_to_hang_up(
    server: RinglineServer, ann: Person, bob: Person
) -> None:
    offer, answer = wire.Description(sdp="v=0 offer"), wire.Description(sdp="v=0 answer")
    ann.connection.send(wire.CallInvite(call=IDS[0], to="bob", offer=offer))
    created = await ann.hear(wire.CallCreated)
    assert isinstance(created, wire.CallCreated)
    address = f"turn:127.0.0.1:{server.turn_port}"
    assert created.ice_servers[1].urls == (f"{address}?transport=udp", f"{address}?transport=tcp")
    incoming = await bob.hear(wire.CallIncoming)
    assert isinstance(incoming, wire.CallIncoming)
    assert (incoming.sender, incoming.offer) == ("ann", offer)
    bob.connection.send(wire.CallRinging(call=IDS[0]))
    await ann.hear(wire.CallRinging)
    bob.connection.send(wire.CallAccept(call=IDS[0], answer=answer))
    accept = await ann.hear(wire.CallAccept)
    assert isinstance(accept, wire.CallAccept)
    assert accept.answer == answer
    await ann.hear(wire.CallSnapshot)
    await bob.hear(wire.CallSnapshot)
    ann.connection.send(wire.CallEnd(call=IDS[0]))
    for person in (ann, bob):
        end = await person.hear(wire.CallEnd)
        assert isinstance(end, wire.CallEnd)
        assert (end.reason, end.sender) == (EndReason.HANGUP, "ann")
        assert person.inbox.empty()
    # Its credentials are of no more use: the relay was told.
    credential = created.ice_servers[1]
    assert credential.credential is not None
    assert await allocate_code(server, str(credential.username), credential.credential) == 403


async def allocate_code(server: RinglineServer, username: str, password: str) -> int:
    """Return what a relay refuses an allocation with."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire_socket:
        wire_socket.setblocking(False)
        wire_socket.connect(("127.0.0.1", server.turn_port))
        message = Message(Method.ALLOCATE, MessageClass.REQUEST, bytes(12))
        message.add(REQUESTED_TRANSPORT, 17)
        async with asyncio.timeout(5):
            wire_socket.send(message.serialize())
            challenge = Message.parse(await loop.sock_recv(wire_socket, 2000))
            realm, nonce = challenge.get(REALM), challenge.get(NONCE)
            assert realm is not None
            assert nonce is not None
            message.add(USERNAME, username).add(REALM, realm).add(NONCE, nonce)
            wire_socket.send(
                message.serialize(integrity_key=long_term_key(username, realm, password))
            )
            answer = Message.parse(await loop.sock_recv(wire_socket, 2000))
    error = answer.get(ERROR_CODE)
    return 0 if error is None else error[0]


async def test_a_cut_socket_is_replaced_and_nothing_is_lost(
    server: RinglineServer, ann: Person, bob: Person
) -> None:
    ann.connection.send(wire.CallInvite(call=IDS[0], to="bob"))
    await ann.hear(wire.CallCreated)
    await bob.hear(wire.CallIncoming)
    bob.connection.send(wire.CallAccept(call=IDS[0]))
    for person in (ann, bob):
        while not isinstance(await person.inbox.get(), wire.CallSnapshot):
            pass
    await cut(server)
    assert await ann.state() is LinkState.RECONNECTING
    ann.connection.send(wire.MediaRequest(call=IDS[0]))  # said while there is no socket
    assert await ann.state() is LinkState.CONNECTED
    assert await bob.state() is LinkState.RECONNECTING
    assert await bob.state() is LinkState.CONNECTED
    heard = []
    async with asyncio.timeout(5):
        while "MediaRequest" not in heard:
            heard.append(type(await bob.inbox.get()).__name__)
    assert "CallEnd" not in heard
    assert server.hub.session_count == 2


async def test_messages_can_be_iterated_over(server: RinglineServer) -> None:
    connection = SignalingConnection(server.url, name="ann")
    await connection.connect()
    assert connection.name == "ann"
    connection.send(wire.CallInvite(call=IDS[0], to="nobody"))
    heard = []
    async with asyncio.timeout(5):
        async for message in connection:
            heard.append(message)
            await connection.close()
    ((end),) = heard
    assert isinstance(end, wire.CallEnd)
    assert end.reason is EndReason.OFFLINE
    await connection.wait_closed()


async def test_a_taken_name_is_refused_in_one_line(server: RinglineServer, ann: Person) -> None:
    with pytest.raises(NameTakenError, match="the name 'ann' is taken"):
        await SignalingConnection(server.url, name="ann").connect()
    assert ann.connection.state is LinkState.CONNECTED


async def test_a_name_is_free_once_its_holder_left(server: RinglineServer) -> None:
    for _ in range(2):
        connection = SignalingConnection(server.url, name="cid")
        await connection.connect()
        await connection.close()


async def test_an_impossible_name_is_refused(server: RinglineServer) -> None:
    with pytest.raises(SignalingError, match="1 to 64 letters"):
        await SignalingConnection(server.url, name="a b").connect()


async def test_with_keys_only_a_good_token_comes_in() -> None:
    config = ServerConfig(token_keys=KEYS, port=0, turn=False)
    async with RinglineServer(config) as server:
        with pytest.raises(UnauthorizedError, match="not valid"):
            await SignalingConnection(server.url, token="no.good.token").connect()
        with pytest.raises(UnauthorizedError, match="wants a token"):
            await SignalingConnection(server.url, name="ann").connect()
        good = SignalingConnection(
            server.url, token=lambda: mint_token(KEYS, "ann", wallclock=time.time())
        )
        await good.connect()
        assert good.name == "ann"
        await good.close()


async def test_a_server_that_is_not_there_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(
        ServerUnreachableError, match=rf"nobody answers at ws://127.0.0.1:{port}/ws"
    ):
        await SignalingConnection(f"127.0.0.1:{port}", name="ann").connect()


async def test_another_web_server_is_no_ringline_server() -> None:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/there", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for path in ("", "/there"):
        with pytest.raises(ServerUnreachableError, match="is no Ringline server"):
            await SignalingConnection(url + path, name="ann").connect()
    await runner.cleanup()


async def test_a_server_that_says_nothing_is_given_up() -> None:
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(
        lambda _reader, writer: writers.append(writer), "127.0.0.1", 0
    )
    port = silent.sockets[0].getsockname()[1]
    connection = SignalingConnection(
        f"ws://127.0.0.1:{port}", name="ann", config=LinkConfig(welcome_timeout=0.2)
    )
    with pytest.raises(ServerUnreachableError, match="did not answer"):
        await connection.connect()
    silent.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    await silent.wait_closed()


async def test_a_port_in_use_is_one_clear_line(server: RinglineServer) -> None:
    with pytest.raises(
        ServerStartError, match=rf"^host, port: cannot listen on 127.0.0.1:{server.port}/tcp"
    ):
        async with RinglineServer(ServerConfig(dev=True, port=server.port, turn=False)):
            pass
    assert server.turn_port is not None
    with pytest.raises(
        ServerStartError,
        match=rf"^host, turn_port: TURN: cannot listen on .*:{server.turn_port}/udp",
    ):
        async with RinglineServer(ServerConfig(dev=True, port=0, turn_port=server.turn_port)):
            pass


async def test_too_long_a_message_closes_the_socket(server: RinglineServer) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(server.url + "/ws", protocols=(wire.SUBPROTOCOL,)) as socket_,
    ):
        await socket_.send_str(json.dumps({"t": "hello", "name": "ann", "device": "1"}))
        await socket_.receive(timeout=5)
        await socket_.send_str('{"t":"ping","x":"' + "x" * 65_536 + '"}')
        closing = await socket_.receive(timeout=5)
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_pages_of_other_origins_and_other_protocols_are_refused(
    server: RinglineServer,
) -> None:
    async with aiohttp.ClientSession() as http:
        for headers, protocols, status in (
            ({"Origin": "https://evil.test"}, (wire.SUBPROTOCOL,), 403),
            ({}, ("other",), 400),
            ({}, (), 400),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(server.url + "/ws", protocols=protocols, headers=headers)
            assert refused.value.status == status
        async with http.ws_connect(
            server.url + "/ws", protocols=(wire.SUBPROTOCOL,), headers={"Origin": server.url}
        ) as own:
            assert own.protocol == wire.SUBPROTOCOL


async def test_small_messages_do_not_wait_and_are_not_compressed(server: RinglineServer) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(server.url + "/ws", protocols=(wire.SUBPROTOCOL,), compress=15) as offered,
    ):
        assert offered.compress == 0
        (found,) = server._websockets._sockets.values()
        assert found.transport is not None
        raw = found.transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_page_health_and_metrics(server: RinglineServer, ann: Person) -> None:
    assert ann.connection.state is LinkState.CONNECTED
    async with aiohttp.ClientSession() as http:
        async with http.get(server.url + "/") as page:
            assert page.status == 200
            assert page.content_type == "text/html"
            assert page.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
        async with http.get(server.url + "/health") as health:
            assert health.status == 200
            assert (await health.json())["status"] == "ok"
        async with http.get(server.url + "/metrics") as metrics:
            text = await metrics.text()
    assert "ringline_ws_connections 1.0" in text
    assert "ann" not in text.replace("cannot", "")


async def test_a_server_inside_another_application() -> None:
    app = web.Application()
    inner = RinglineServer(CONFIG)
    inner.add_routes(app, prefix="/calls")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/calls"
    assert inner.turn_port is not None
    connection = SignalingConnection(url + "/ws", name="ann")
    await connection.connect()
    async with aiohttp.ClientSession() as http, http.get(url + "/") as page:
        assert page.status == 200
    await connection.close()
    await runner.cleanup()
    assert inner.turn_port is None


async def test_a_stop_by_signal_tells_the_clients_first() -> None:
    async with RinglineServer(CONFIG) as server:
        person = Person(server.url, "ann")
        await person.connection.connect()
        stopping = asyncio.create_task(server.wait_stopped())
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        await stopping
    await person.hear(wire.ServerDrain)
    assert await person.state() is LinkState.CONNECTED
    assert await person.state() is LinkState.RECONNECTING
    await person.connection.close()


async def test_a_receiver_that_does_not_read_holds_up_nobody_and_is_cut() -> None:
    config = ServerConfig(
        dev=True, port=0, turn=False, drain_time=0.1, messages_per_second=1e6, message_burst=10**6
    )
    async with RinglineServer(config) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: ringline.v1\r\n\r\n"
        )
        hello = b'{"t":"hello","name":"slow","device":"1"}'
        writer.write(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)  # masked with zeros
        while b"welcome" not in await reader.read(1024):
            pass
        ann = Person(server.url, "ann")
        await ann.connection.connect()
        ann.connection.send(wire.CallInvite(call=IDS[0], to="slow"))
        await ann.hear(wire.CallCreated)
        for _ in range(400):  # 12 MB: more than any kernel's buffers take
            ann.connection.send(wire.SdpOffer(call=IDS[0], sdp="x" * 30_000))
        ann.connection.send(wire.CallInvite(call=IDS[1], to="nobody"))
        await ann.hear(wire.CallEnd)
        assert server.hub.connection_count == 1
        assert server.hub.session_count == 2  # it may resume
        await ann.connection.close()
        writer.transport.abort()


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("localhost:8080", "ws://localhost:8080/ws"),
        ("ws://h:1", "ws://h:1/ws"),
        ("wss://h/", "wss://h/ws"),
        ("http://h:1/ws", "ws://h:1/ws"),
        ("https://h/calls/ws", "wss://h/calls/ws"),
        ("ws://[::1]:8080", "ws://[::1]:8080/ws"),
    ],
)
def test_servers_as_people_type_them(typed: str, url: str) -> None:
    assert websocket_url(typed) == url


@pytest.mark.parametrize("typed", ["", "ftp://h", "ws://", "ws://h:x", "ws://h:0", "ws://["])
def test_what_is_no_server(typed: str) -> None:
    with pytest.raises(LocalError, match="expected a server like"):
        websocket_url(typed)
