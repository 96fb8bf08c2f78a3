"""Through coturn, a TURN server of other hands, over UDP and over TCP."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringline.client.io_aiortc import IceServer
from ringline.media.simulate import find_network
from ringline.media.simulate.link import Link
from tests.e2e.transport_ends import LOOPBACK, MakePair

pytestmark = pytest.mark.skipif(
    shutil.which("turnserver") is None, reason="coturn's turnserver is not installed"
)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A coturn on loopback that relays to loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    server = await asyncio.create_subprocess_exec(
        *("turnserver", "-n", "--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"),
        *("--listening-port", str(number), "--user", "alice:secret", "--realm", "test"),
        *("--lt-cred-mech", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli"),
        *("--pidfile", str(tmp_path / "pid"), "--log-file", str(tmp_path / "log"), "--simple-log"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=tmp_path,
    )
    async with asyncio.timeout(10.0):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", number)
            except OSError:
                await asyncio.sleep(0.05)  # there is no other sign of its being ready
                continue
            writer.close()
            await writer.wait_closed()
            break
    yield number
    server.kill()
    await server.wait()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_relayed_call_through_coturn(
    port: int, make_pair: MakePair, transport: str
) -> None:
    pair = make_pair(replace(LOOPBACK, policy="relay"))
    url = f"turn:127.0.0.1:{port}?transport={transport}"
    channel = pair.offerer.transport.open_channel("chat")
    await pair.connect([IceServer(url=url, username="alice", credential="secret")])
    await pair.answerer.until(lambda: pair.answerer.channels)
    received = pair.answerer.listen(pair.answerer.channels[0])
    message = "x" * 20_000  # many datagrams
    channel.send(message)
    await pair.answerer.until(lambda: received)
    assert received == [message]
    for end in pair:
        assert (end.path.kind, end.path.protocol) == ("relay", transport)


async def test_no_connection_goes_past_an_emulated_link(port: int, make_pair: MakePair) -> None:
    def link(now: float) -> Link[Any]:
        return Link(find_network("delay=50").up, rng=random.Random(1), started_at=now)

    pair = make_pair(replace(LOOPBACK, policy="relay", link=link))
    urls = [f"turn:127.0.0.1:{port}?transport={transport}" for transport in ("tcp", "udp")]
    await pair.connect([IceServer(url=url, username="alice", credential="secret") for url in urls])
    for end in pair:
        assert end.path.protocol == "udp"
        assert end.path.round_trip > 0.1
        assert len(end.transport.local_description.candidates) == 1
