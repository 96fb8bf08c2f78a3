"""aioice, the ICE agent under aiortc, through our TURN server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aioice import Connection, TransportPolicy, stun, turn

from ringline.turn import TurnConfig, TurnService, mint
from tests.certificates import any_certificate, make_certificate
from tests.e2e.turn_planes import data_plane

pytestmark = pytest.mark.usefixtures("each_data_plane")


class Receiver(asyncio.DatagramProtocol):
    """Keeps what came."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self.errors: list[Exception] = []
        self.failed = asyncio.Event()
        self.closed = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.put_nowait((data, addr))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed.set()

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)
        self.failed.set()


def config(**settings: object) -> TurnConfig:
    defaults: dict[str, object] = {"host": "127.0.0.1", "port": 0, "secrets": ("s",)}
    defaults["data_plane"] = data_plane()
    return TurnConfig(**(defaults | settings))  # type: ignore[arg-type] # checked by itself


async def connect(server: TurnService, user: str) -> tuple[turn.TurnTransport, Receiver]:
    minted = mint("s", user=user, call="1", expires_at=time.time() + 60)
    return await turn.create_turn_endpoint(
        Receiver,
        server_addr=("127.0.0.1", server.port),
        username=minted.username,
        password=minted.password,
    )


async def test_two_clients_meet_at_their_relayed_addresses() -> None:
    async with TurnService(config()) as server:
        (ann, to_ann), (bob, to_bob) = [await connect(server, user) for user in ("ann", "bob")]
        ann_at, bob_at = ann.get_extra_info("sockname"), bob.get_extra_info("sockname")
        async with asyncio.timeout(10):
            # A datagram opens the way only for the other side's answers: both must send first.
            bob.sendto(b"knock", ann_at)
            while not server.metrics.client_to_peer_datagrams:  # noqa: ASYNC110 - a counter
                await asyncio.sleep(0.01)
            for number in range(20):
                ann.sendto(b"%d" % number, bob_at)
            for number in range(20):
                assert await to_bob.received.get() == (b"%d" % number, ann_at)
            bob.sendto(b"back", ann_at)
            assert await to_ann.received.get() == (b"back", bob_at)
            assert server.metrics.relayed_inside == 22
            ann.close()
            bob.close()
            await to_ann.closed.wait()
            await to_bob.closed.wait()
            assert server.metrics.allocations == 0
        assert to_ann.errors == to_bob.errors == []


async def test_a_wrong_password_gets_no_relay() -> None:
    async with TurnService(config()) as server:
        with pytest.raises(stun.TransactionFailed) as caught:
            await turn.create_turn_endpoint(
                Receiver,
                server_addr=("127.0.0.1", server.port),
                username=f"{int(time.time()) + 60}:ann:1",
                password="wrong",
            )
        assert caught.value.response.error_code == 401
        assert server.metrics.allocations == 0


async def test_a_peer_inside_the_network_is_forbidden() -> None:
    async with TurnService(config()) as server:
        transport, receiver = await connect(server, "ann")
        transport.sendto(b"x", ("127.0.0.1", 9))
        async with asyncio.timeout(10):
            await receiver.failed.wait()
            (error,) = receiver.errors
            assert isinstance(error, stun.TransactionFailed)
            assert error.response.error_code == 403
            transport.close()
            await receiver.closed.wait()


@pytest.mark.parametrize("protocol", ["udp", "tcp", "tls"])
async def test_ice_connects_through_relays_alone(tmp_path: Path, protocol: str) -> None:
    certificate = make_certificate(tmp_path, "turn.example")
    async with TurnService(config(tls_port=0, tls_certificate=certificate)) as server:
        port = server.tls_port if protocol == "tls" else server.port
        assert port is not None
        # Annotated as bool, handed to asyncio, which takes a context too.
        tls: Any = any_certificate() if protocol == "tls" else False
        minted = mint("s", user="ann", call="1", expires_at=time.time() + 60)
        agents = [
            Connection(
                ice_controlling=controlling,
                components=1,
                turn_server=("127.0.0.1", port),
                turn_transport="udp" if protocol == "udp" else "tcp",
                turn_ssl=tls,
                turn_username=minted.username,
                turn_password=minted.password,
                transport_policy=TransportPolicy.RELAY,
            )
            for controlling in (True, False)
        ]
        ann, bob = agents
        async with asyncio.timeout(20):
            for agent in agents:
                await agent.gather_candidates()
                assert {candidate.type for candidate in agent.local_candidates} == {"relay"}
            for agent, other in ((ann, bob), (bob, ann)):
                for candidate in other.local_candidates:
                    await agent.add_remote_candidate(candidate)
                await agent.add_remote_candidate(None)
                agent.remote_username = other.local_username
                agent.remote_password = other.local_password
            await asyncio.gather(ann.connect(), bob.connect())
            await ann.send(b"hello")
            assert await bob.recv() == b"hello"
            await bob.send(b"you too")
            assert await ann.recv() == b"you too"
            await asyncio.gather(ann.close(), bob.close())
