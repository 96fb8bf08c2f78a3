"""coturn's load client through our TURN server: UDP, TCP and TLS, and not one packet lost.

The client exits 0 even when it loses packets, so its words are what is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from ringline.turn import TurnConfig, TurnService
from tests.certificates import make_certificate
from tests.e2e.test_turn_streams import eventually
from tests.e2e.turn_planes import data_plane

CLIENT = shutil.which("turnutils_uclient")
pytestmark = [
    pytest.mark.skipif(CLIENT is None, reason="turnutils_uclient (coturn) not installed"),
    pytest.mark.usefixtures("each_data_plane"),
]

TO_PEER = {
    "channels": "-c",
    "indications": "-s",
    "channels, padded": "-c -D",
    "pair by EVEN-PORT and RESERVATION-TOKEN": "",
    "DONT-FRAGMENT and extra requests": "-c -g -G",
    "random disconnects": "-c -B -m 4",
    "IPv4 by name of the family": "-c -X",
    "mobility asked for where there is none": "-c -M",
}
BY_STREAM = {
    "TCP, channels": "-t -c",
    "TCP, indications": "-t -s",
    "TCP, channels, padded": "-t -c -D",
    "TCP, pair by EVEN-PORT and RESERVATION-TOKEN": "-t",
    "TCP, extra requests": "-t -c -g -G",
    "TCP, random disconnects": "-t -c -B -m 4",
    "TLS, channels": "-t -S -c",
    "TLS, channels, padded": "-t -S -c -D",
    "TLS, indications": "-t -S -s",
    "TLS, random disconnects": "-t -S -c -B -m 4",
    "TLS, time-limited credentials": "-t -S -c -W fleet",
}
TO_CLIENT = {
    "client to client, channels": "-y -c",
    "client to client, indications": "-y -s",
    "client to client, extra requests": "-y -c -g -G",
    "client to client, TCP": "-y -c -t",
    "client to client, TCP, indications": "-y -s -t",
}
BY_FAMILY = {
    "IPv6, channels": "-x -e ::1 -c",
    "IPv6, indications": "-x -e ::1 -s",
    "IPv6, pair": "-x -e ::1",
    "IPv6, TCP": "-x -e ::1 -c -t",
    "IPv4 by name": "-X -e 127.0.0.1 -c",
    "both, to IPv4": "-Z -e 127.0.0.1 -c",
    "both, to IPv6": "-Z -e ::1 -c",
    "both, to IPv6, indications": "-Z -e ::1 -s",
    "IPv6, client to client": "-x -y -c",
    "both, client to client": "-Z -y -s",
}


class Echo(asyncio.DatagramProtocol):
    """A peer that sends back what it gets."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


@contextlib.contextmanager
def two_ports(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket]]:
    """Bind an even port and the next one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        for port in range(34_800, 40_000, 2):
            pair = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(2)]
            for each in pair:
                stack.enter_context(each)
                each.setblocking(False)
            with contextlib.suppress(OSError):
                pair[0].bind((host, port))
                pair[1].bind((host, port + 1))
                yield pair[0], pair[1]
                return
        pytest.fail("no two neighbouring ports are free")


@contextlib.asynccontextmanager
async def echo_peers(host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Run peers on two neighbouring ports, as RTP and RTCP have; yield the first."""
    loop = asyncio.get_running_loop()
    with two_ports(host) as pair:
        peers = [await loop.create_datagram_endpoint(Echo, sock=each) for each in pair]
        try:
            yield pair[0].getsockname()[1]
        finally:
            for transport, _ in peers:
                transport.close()
            await asyncio.sleep(0)


async def run(
    server: TurnService,
    options: str,
    password: str = "s3cret",  # noqa: S107 - a test
    patience: float = 60,
    host: str = "127.0.0.1",
) -> tuple[int, str]:
    """Return exit code and words of the client."""
    assert CLIENT is not None
    port = server.tls_port if "-S" in options else server.port
    arguments = f"-p {port} -L {host} -u alice -n 20 -m 2 {options}".split()
    process = await asyncio.create_subprocess_exec(
        CLIENT,
        *arguments,
        *(() if "-W" in arguments else ("-w", password)),
        host,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(patience):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace")


def verdict(code: int, output: str) -> str:
    """Return what is wrong, or nothing."""
    if code != 0 or "ERROR" in output:
        return f"exit code {code}: {output[-2000:]}"
    totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", output, re.MULTILINE)
    lost = re.findall(r"Total lost packets (\d+)", output)
    if not totals or int(totals[-1][0]) < 40:
        return f"hardly anything was sent: {output[-2000:]}"
    if totals[-1][0] != totals[-1][1]:
        return f"sent {totals[-1][0]}, received {totals[-1][1]}: {output[-2000:]}"
    return "" if lost == ["0"] else f"lost {lost}: {output[-2000:]}"


def config(**settings: object) -> TurnConfig:
    defaults: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 0,
        "users": {"alice": "s3cret"},
        "secrets": ("rotated", "fleet"),
        "max_allocations_per_user": 200,
        "unauthenticated_reply_burst": 1000,
    }
    defaults["data_plane"] = data_plane()
    return TurnConfig(**(defaults | settings))  # type: ignore[arg-type] # checked by itself


async def test_every_mode_to_a_peer_loses_nothing() -> None:
    modes = TO_PEER | {"time-limited credentials": "-c -W fleet"}
    async with TurnService(config(allow_peers=("127.0.0.0/8",))) as server, echo_peers() as port:
        results = await asyncio.gather(
            *(run(server, f"-e 127.0.0.1 -r {port} {options}") for options in modes.values())
        )
    wrong = {mode: verdict(*result) for mode, result in zip(modes, results, strict=True)}
    assert {mode: what for mode, what in wrong.items() if what} == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_every_mode_of_both_families_loses_nothing(host: str) -> None:
    settings = config(host=("127.0.0.1", "::1"), allow_peers=("127.0.0.0/8", "::1/128"))
    async with (
        TurnService(settings) as server,
        echo_peers() as port4,
        echo_peers("::1") as port6,
    ):
        results = await asyncio.gather(
            *(
                run(server, f"{options} -r {port6 if '::1' in options else port4}", host=host)
                for options in BY_FAMILY.values()
            )
        )
    wrong = {mode: verdict(*result) for mode, result in zip(BY_FAMILY, results, strict=True)}
    assert {mode: what for mode, what in wrong.items() if what} == {}


async def test_clients_that_move_lose_nothing() -> None:
    settings = config(
        host=("127.0.0.1", "::1"), allow_peers=("127.0.0.0/8", "::1/128"), mobility=True
    )
    async with (
        TurnService(settings) as server,
        echo_peers() as port4,
        echo_peers("::1") as port6,
    ):
        modes = [
            f"-M -c -e 127.0.0.1 -r {port4}",
            f"-M -s -e 127.0.0.1 -r {port4}",
            f"-M -c -t -e 127.0.0.1 -r {port4}",
            f"-M -c -x -e ::1 -r {port6}",
            "-M -c -y",
        ]
        results = await asyncio.gather(*(run(server, options) for options in modes))
        assert server.metrics.allocations_moved > 0
    wrong = {mode: verdict(*result) for mode, result in zip(modes, results, strict=True)}
    assert {mode: what for mode, what in wrong.items() if what} == {}


async def test_ipv6_asked_for_where_there_is_none_is_refused() -> None:
    async with TurnService(config()) as server:
        code, output = await run(server, "-x -y -c")
        assert code != 0
        assert "440" in output
        assert server.metrics.allocations_created == 0


async def test_every_mode_by_connection_loses_nothing(tmp_path: Path) -> None:
    settings = config(
        allow_peers=("127.0.0.0/8",),
        tls_port=0,
        tls_certificate=make_certificate(tmp_path, "turn.example"),
    )
    async with TurnService(settings) as server, echo_peers() as port:
        results = await asyncio.gather(
            *(run(server, f"-e 127.0.0.1 -r {port} {options}") for options in BY_STREAM.values())
        )
    wrong = {mode: verdict(*result) for mode, result in zip(BY_STREAM, results, strict=True)}
    assert {mode: what for mode, what in wrong.items() if what} == {}


async def test_relays_over_tcp_lose_nothing(tmp_path: Path) -> None:
    settings = config(
        tcp_allocations=True,
        allow_peers=("127.0.0.0/8",),
        tls_port=0,
        tls_certificate=make_certificate(tmp_path, "turn.example"),
    )
    peer = await asyncio.start_server(echo_stream, "127.0.0.1", 0)
    port = peer.sockets[0].getsockname()[1]
    modes = {
        "to a peer": f"-T -e 127.0.0.1 -r {port}",
        "to a peer, long messages": f"-T -l 1400 -e 127.0.0.1 -r {port}",
        "to a peer, TLS": f"-t -S -T -e 127.0.0.1 -r {port}",
        "client to client": "-y -T",
        "client to client, TLS": "-y -t -S -T",
    }
    async with peer, TurnService(settings) as server:
        results = await asyncio.gather(*(run(server, options) for options in modes.values()))
        await eventually(lambda: server.metrics.peer_connections == 0)
    wrong = {mode: verdict(*result) for mode, result in zip(modes, results, strict=True)}
    assert {mode: what for mode, what in wrong.items() if what} == {}


async def test_without_the_setting_there_are_no_relays_over_tcp() -> None:
    async with TurnService(config()) as server:
        code, _ = await run(server, "-y -T", patience=30)
        assert code != 0
        assert server.metrics.allocations_created == 0


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a peer over TCP that sends back what it gets."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_client_to_client_needs_no_open_range() -> None:
    async with TurnService(config()) as server:
        results = await asyncio.gather(*(run(server, options) for options in TO_CLIENT.values()))
        metrics = server.metrics
    wrong = {mode: verdict(*result) for mode, result in zip(TO_CLIENT, results, strict=True)}
    assert {mode: what for mode, what in wrong.items() if what} == {}
    assert metrics.relayed_inside == metrics.client_to_peer_datagrams > 0


async def test_a_wrong_password_allocates_nothing() -> None:
    async with TurnService(config()) as server:
        code, output = await run(server, "-c -y", password="wrong")
        assert code != 0
        assert "Cannot complete Allocation" in output
        assert server.metrics.allocations_created == 0


async def test_it_serves_on_after_a_client_that_breaks_the_rules() -> None:
    async with TurnService(config(allow_peers=("127.0.0.0/8",))) as server, echo_peers() as port:
        # Channel numbers out of the range, and every tenth byte wrong: known to fail or to hang
        # with every server, so that all there is to see is that ours lives on.
        await run(server, f"-e 127.0.0.1 -r {port} -c -N")
        with contextlib.suppress(TimeoutError):
            await run(server, f"-e 127.0.0.1 -r {port} -c -R", patience=5)
        assert verdict(*await run(server, f"-e 127.0.0.1 -r {port} -c")) == ""


async def test_its_stun_client_learns_its_address() -> None:
    client = shutil.which("turnutils_stunclient")
    assert client is not None  # it comes with the load client
    async with TurnService(config()) as server:
        process = await asyncio.create_subprocess_exec(
            client,
            *f"-p {server.port} -L 127.0.0.1 127.0.0.1".split(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
        assert b"reflexive addr: 127.0.0.1:" in output
