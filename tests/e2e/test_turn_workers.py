"""Several workers on one port: to its clients they are one server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ringline.turn import (
    ConfigError,
    Credential,
    DropReason,
    ListenError,
    TurnConfig,
    TurnService,
    mint,
)
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    ERROR_CODE,
    EVEN_PORT,
    LIFETIME,
    NONCE,
    REALM,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    USERNAME,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
)
from ringline.turn.commands import TellWorker
from ringline.turn.fleet import Fleet, WorkerMessage, WorkerMessageKind, shared_size
from ringline.turn.long_term import long_term_key
from ringline.turn.stun import Message, MessageClass, Method
from tests.certificates import make_certificate
from tests.e2e.command_line import running
from tests.e2e.test_cli_turn import Client as PageClient
from tests.e2e.test_turn_uclient import echo_peers, verdict
from tests.e2e.turn_planes import data_plane

if sys.platform.startswith("linux"):
    from ringline.turn import io_link, io_worker, io_workers
    from ringline.turn.io_workers import Workers

KEY = long_term_key("ann", "ringline", "pa")
UDP = (REQUESTED_TRANSPORT, 17)

pytestmark = [
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="only Linux spreads clients over processes"
    ),
    pytest.mark.usefixtures("each_data_plane"),
]


def config(**settings: object) -> TurnConfig:
    defaults: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 0,
        "users": {"ann": "pa"},
        "max_allocations_per_user": 100,
        "unauthenticated_reply_burst": 1000,
    }
    defaults["data_plane"] = data_plane()
    return TurnConfig(**(defaults | settings))  # type: ignore[arg-type] # checked by itself


class Wire:
    """A client on a UDP socket."""

    def __init__(self, port: int, credential: Credential | None = None) -> None:
        self.username, self.key = "ann", KEY
        if credential is not None:
            self.username = credential.username
            self.key = long_term_key(credential.username, "ringline", credential.password)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.nonce = ""
        self.relayed = ("", 0)

    async def receive(self) -> bytes:
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65_536)

    async def ask(self, method: Method, *values: tuple[object, object]) -> Message:
        message = Message(method, MessageClass.REQUEST, os.urandom(12))
        for attribute, value in values:
            message.add(attribute, value)  # type: ignore[arg-type] # pairs as they belong together
        if self.nonce:
            message.add(USERNAME, self.username).add(REALM, "ringline").add(NONCE, self.nonce)
        self.socket.send(message.serialize(integrity_key=self.key if self.nonce else None))
        return Message.parse(await self.receive())

    async def allocate(self, *values: tuple[object, object]) -> Message:
        self.nonce = self.nonce or (await self.ask(Method.ALLOCATE)).get(NONCE) or ""
        answer = await self.ask(Method.ALLOCATE, UDP, *values)
        self.relayed = answer.get(XOR_RELAYED_ADDRESS) or ("", 0)
        return answer

    async def bind(self, peer: tuple[str, int]) -> Message:
        return await self.ask(
            Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, peer)
        )


@contextlib.asynccontextmanager
async def serving(count: int = 2, **settings: object) -> AsyncIterator[Workers]:
    async with Workers(config(**settings), count) as server:
        yield server


def worker_of(wire: Wire, count: int = 2) -> int:
    """Return in whose part of the ports a client's relay is."""
    size = (65_536 - 49_152) // count // 2 * 2
    return (wire.relayed[1] - 49_152) // size


async def replaced(server: Workers, dead: set[int]) -> None:
    """Wait until others serve in place of the dead."""
    async with asyncio.timeout(30):
        while server.workers < 2 or set(server.pids) & dead:  # noqa: ASYNC110 - no event of a test's
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def clients_of_both(
    server: Workers, credential: Credential | None = None
) -> AsyncIterator[tuple[Wire, Wire]]:
    """Give a client of the first worker, and one of the second."""
    found: dict[int, Wire] = {}
    wires: list[Wire] = []
    try:
        while len(found) < 2:  # each is as likely; 2 ^ -60 is what a hang needs
            assert len(wires) < 60
            wires.append(Wire(server.port, credential))
            await wires[-1].allocate()
            found.setdefault(worker_of(wires[-1]), wires[-1])
        yield found[0], found[1]
    finally:
        for wire in wires:
            wire.socket.close()


async def test_callers_at_different_workers_reach_each_other_and_count_once() -> None:
    async with serving() as server, clients_of_both(server) as (ann, bob):
        for wire, other in ((ann, bob), (bob, ann)):
            answer = await wire.bind(other.relayed)
            assert answer.message_class is MessageClass.SUCCESS
        for wire, other in ((ann, bob), (bob, ann)):
            wire.socket.send(b"\x40\x00\x00\x04ping")
            assert await other.receive() == b"\x40\x00\x00\x04ping"
        metrics = await server.read_metrics()
        assert metrics.relayed_inside == 2
        assert metrics.client_to_peer_datagrams == metrics.peer_to_client_datagrams == 2


async def test_without_the_permission_of_the_other_side_nothing_is_handed_over() -> None:
    async with serving() as server, clients_of_both(server) as (ann, bob):
        await ann.bind(bob.relayed)
        ann.socket.send(b"\x40\x00\x00\x04ping")
        async with asyncio.timeout(10):
            while not sum((await server.read_metrics()).dropped.values()):
                pass
        with pytest.raises(BlockingIOError):
            bob.socket.recv(100)


@contextlib.contextmanager
def squatter(near: int) -> Iterator[tuple[str, int]]:
    """Bind a port near another one, as some other program of this machine might."""
    for port in range(near + 2, near + 100) if near < 65_400 else range(near - 100, near - 2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as local:
            try:
                local.bind(("127.0.0.1", port))
            except OSError:
                continue
            yield "127.0.0.1", port
            return
    pytest.fail("no port is free")


async def test_an_address_of_ours_without_a_relay_is_forbidden_at_any_worker() -> None:
    async with serving() as server, clients_of_both(server) as (ann, bob):
        with squatter(bob.relayed[1]) as address:
            answer = await ann.bind(address)
        error = answer.get(ERROR_CODE)
        assert error is not None
        assert error[0] == 403


async def test_the_quota_of_a_user_is_one() -> None:
    async with serving(max_allocations_per_user=6) as server:
        wires = [Wire(server.port) for _ in range(12)]
        try:
            answers = [await wire.allocate() for wire in wires]
            granted = [wire for wire in wires if wire.relayed[1]]
            codes = [answer.get(ERROR_CODE) for answer in answers if answer.get(ERROR_CODE)]
            assert len(granted) == 6
            assert {code[0] for code in codes if code is not None} == {486}
            await granted[0].ask(Method.REFRESH, (LIFETIME, 0))
            late = Wire(server.port)
            wires.append(late)
            assert (await late.allocate()).message_class is MessageClass.SUCCESS
            assert (await server.read_metrics()).allocations == 6
        finally:
            for wire in wires:
                wire.socket.close()


async def test_a_nonce_of_one_worker_is_good_at_another() -> None:
    # Bound to the client's address, so what can be seen is that a successor takes it.
    async with serving() as server, clients_of_both(server) as (ann, _):
        before = set(server.pids)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await replaced(server, before)
        answer = await ann.ask(Method.ALLOCATE, UDP)
        assert answer.message_class is MessageClass.SUCCESS


async def test_a_reserved_port_is_found_from_any_worker() -> None:
    async with serving() as server:
        wires: list[Wire] = []
        crossed = straight = 0
        token: bytes | None = None
        try:
            while not (crossed and straight):
                assert len(wires) < 60
                rtp, rtcp = Wire(server.port), Wire(server.port)
                wires += [rtp, rtcp]
                token = (await rtp.allocate((EVEN_PORT, True))).get(RESERVATION_TOKEN)
                assert token is not None
                # Whose client the second one is shows where it allocates by itself.
                probe = await rtcp.allocate()
                assert probe.message_class is MessageClass.SUCCESS
                own = worker_of(rtcp)
                await rtcp.ask(Method.REFRESH, (LIFETIME, 0))
                answer = await rtcp.allocate((RESERVATION_TOKEN, token))
                assert rtcp.relayed == (rtp.relayed[0], rtp.relayed[1] + 1), answer
                if own == worker_of(rtp):
                    straight += 1
                    continue
                crossed += 1
                # It works like any other, for a client of the worker that lent it too.
                assert (await rtp.bind(rtcp.relayed)).message_class is MessageClass.SUCCESS
                assert (await rtcp.bind(rtp.relayed)).message_class is MessageClass.SUCCESS
                for wire, other in ((rtp, rtcp), (rtcp, rtp)):
                    wire.socket.send(b"\x40\x00\x00\x02hi")
                    assert await other.receive() == b"\x40\x00\x00\x02hi"
            again = Wire(server.port)
            wires.append(again)
            refused = await again.allocate((RESERVATION_TOKEN, token or b""))
            assert refused.get(ERROR_CODE) == (508, "Insufficient Capacity")
        finally:
            for wire in wires:
                wire.socket.close()


async def test_a_dead_worker_is_replaced_and_the_others_keep_their_calls() -> None:
    async with serving() as server, clients_of_both(server) as (ann, bob):
        before = await server.read_metrics()
        victim = server.pids[0]
        os.kill(victim, signal.SIGKILL)
        assert (await bob.ask(Method.REFRESH)).message_class is MessageClass.SUCCESS
        await replaced(server, {victim})
        # The other one never noticed: it is still at its worker, and so is its relay.
        assert (await bob.ask(Method.REFRESH)).message_class is MessageClass.SUCCESS
        gone = (await ann.ask(Method.REFRESH)).get(ERROR_CODE)
        assert gone is not None
        assert gone[0] == 437
        assert (await ann.allocate()).message_class is MessageClass.SUCCESS
        after = await server.read_metrics()
        assert after.allocations_created == before.allocations_created + 1  # none is forgotten
        assert after.allocations <= before.allocations


async def test_a_call_that_ended_is_over_at_all_workers_and_their_successors() -> None:
    credential = mint("secret", user="ann", call="3f2a", expires_at=time.time() + 600)
    other = mint("secret", user="ann", call="77", expires_at=time.time() + 600)
    async with (
        serving(secrets=("secret",), call_end_grace=0.0) as server,
        clients_of_both(server, credential) as clients,
        clients_of_both(server, other) as others,
    ):
        server.end_call("3f2a")
        for client in clients:
            async with asyncio.timeout(10):
                while (await client.ask(Method.REFRESH)).get(ERROR_CODE) is None:
                    pass  # the order is on its way, or the timer
            answer = await client.ask(Method.ALLOCATE, UDP)
            assert (answer.get(ERROR_CODE) or (0,))[0] == 403
        for client in others:
            assert (await client.ask(Method.REFRESH)).message_class is MessageClass.SUCCESS
        before = set(server.pids)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        server.end_call("77")  # while nobody is there to hear it
        await replaced(server, before)
        for client in (*clients, *others):
            answer = await client.ask(Method.ALLOCATE, UDP)
            assert (answer.get(ERROR_CODE) or (0,))[0] == 403


async def test_a_taken_port_and_too_few_ports_are_named() -> None:
    async with serving() as server:
        with pytest.raises(ListenError, match=f"127.0.0.1:{server.port}/udp: Address already"):
            async with Workers(config(port=server.port), 2):
                pass
    with pytest.raises(ConfigError, match="workers: 50000 to 50002 are too few relay ports"):
        async with Workers(config(first_relay_port=50_000, last_relay_port=50_002), 2):
            pass


@pytest.mark.skipif(shutil.which("turnutils_uclient") is None, reason="coturn is not installed")
@pytest.mark.parametrize("options", ["-y -c -m 8", "-y -s -m 8", "-c -m 8", "-m 8", "-t -y -c"])
async def test_coturns_client_loses_nothing(options: str) -> None:
    users, opened = {"alice": "s3cret"}, ("127.0.0.0/8",)
    async with serving(users=users, allow_peers=opened) as server, echo_peers() as peer:
        where = "" if "-y" in options else f"-e 127.0.0.1 -r {peer}"
        arguments = f"-p {server.port} -L 127.0.0.1 -u alice -w s3cret -n 20 {where} {options}"
        process = await asyncio.create_subprocess_exec(
            "turnutils_uclient",
            *arguments.split(),
            "127.0.0.1",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        assert verdict(process.returncode or 0, output.decode(errors="replace")) == ""


def test_the_command_sums_drains_and_ends_all() -> None:
    arguments = ("turn", "--host", "127.0.0.1", "--port", "0", "--json", "--user", "ann:pa")
    with (
        running(*arguments, "--metrics-port", "0", "--workers", "2") as server,
        PageClient(server) as client,
    ):
        assert server.entries[0]["workers"] == 2
        assert client.ask(Method.ALLOCATE, UDP).message_class is MessageClass.SUCCESS
        assert '"allocations": 1, "workers": 2' in client.page("health")[1]
        assert "ringline_turn_allocations 1.0" in client.page("metrics")[1]
        server.process.send_signal(signal.SIGTERM)
        while client.page("health")[0] == 200:
            pass  # the signal is on its way
        others = [PageClient.__new__(PageClient) for _ in range(8)]
        for other in others:  # at either worker
            other.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            other.socket.settimeout(10)
            other.socket.connect(client.socket.getpeername())
            other.nonce = ""
            with other:
                refused = other.ask(Method.ALLOCATE, UDP).get(ERROR_CODE)
                assert refused is not None
                assert refused[0] == 508
        assert client.ask(Method.REFRESH).message_class is MessageClass.SUCCESS
        assert server.process.poll() is None
        client.ask(Method.REFRESH, (LIFETIME, 0))
        assert server.finish().code == 0


def test_the_log_says_once_what_happens_to_all() -> None:
    arguments = ("turn", "--host", "127.0.0.1", "--port", "0", "--json", "--user", "ann:pa")
    with running(*arguments, "--workers", "2") as server:
        server.wait_for("turn")
        server.process.send_signal(signal.SIGHUP)
        outcome = server.finish(signal.SIGTERM)
    assert outcome.code == 0
    said = [line.partition("TURN: ")[2].split()[0] for line in outcome.err.splitlines()]
    assert said == ["listening", "listening", "2", "reloaded", 'draining"', "no", "closed"]


def test_a_worker_that_fails_says_so_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(control: socket.socket) -> None:
        control.close()
        raise RuntimeError("why")

    monkeypatch.setattr(io_worker, "_serve", fail)
    monkeypatch.setattr(io_worker, "_SIGNALS", ())  # this process goes on
    ours, theirs = socket.socketpair()
    with ours:
        monkeypatch.setattr(sys, "argv", ["io_worker", str(theirs.detach())])
        assert io_worker.main() == 1
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


async def test_one_that_keeps_dying_is_started_less_and_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as server:
        for _ in range(2):
            victim = server.pids[0]
            os.kill(victim, signal.SIGKILL)
            await replaced(server, {victim})
    deaths = [record.getMessage() for record in caplog.records if "ended with" in record.message]
    assert [text.partition("; ")[0] for text in deaths] == ["TURN: worker 0 ended with -9"] * 2
    delays = [float(text.split()[-2]) for text in deaths]
    assert delays == [0.2, 0.4]


@pytest.mark.parametrize("trouble", ["does not come up", "cannot be started"])
async def test_one_that_cannot_be_started_is_tried_again(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "python"
    if trouble == "does not come up":
        program.write_text("#!/bin/sh\nexec sleep 600\n")
        program.chmod(0o700)
    async with serving() as server:
        with monkeypatch.context() as patched:
            patched.setattr("ringline.turn.io_workers._START_PATIENCE", 0.5)
            patched.setattr(sys, "executable", str(program))
            victim = server.pids[0]
            os.kill(victim, signal.SIGKILL)
            async with asyncio.timeout(30):
                while trouble not in caplog.text:  # noqa: ASYNC110 - no event of a test's
                    await asyncio.sleep(0.05)
        await replaced(server, {victim})


async def test_where_one_cannot_start_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    start = io_workers._Worker.start

    async def fail_first(worker: io_workers._Worker, state: dict[str, Any]) -> None:
        if worker.index == 0:
            raise ListenError("no")
        await asyncio.sleep(0)
        await start(worker, state)

    monkeypatch.setattr(io_workers._Worker, "start", fail_first)
    with pytest.raises(ListenError, match="no"):
        async with serving():
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_must_arrive_waits_for_a_worker_that_is_full() -> None:
    """A lost HELLO or RETURN would lose the ports that were lent."""
    pairs = [io_link.open_pair() for _ in range(2)]
    heard, towards = pairs[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, heard:
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(1_000_000):
                towards.send(b"full")
        memory = memoryview(bytearray(shared_size(2)))
        fleet = Fleet(memory, index=0, count=2, key=bytes(32), lock=contextlib.nullcontext())
        link = io_link.Link(0, pairs[0][0], [sending for _, sending in pairs])
        place = io_link.WorkerPlace({"udp": {"127.0.0.1": udp}}, link, fleet)
        settings = config(port=udp.getsockname()[1], tcp=False)
        async with TurnService(settings, place=place) as service:
            message = WorkerMessage(WorkerMessageKind.RETURN, 0, target=("", 50_000)).serialize()
            service._data_path()._tell_worker(TellWorker(1, message))
            assert service.metrics.dropped[DropReason.SOCKET] == 0
            service._data_path()._tell_worker(TellWorker(1, b"data", is_data=True))
            assert service.metrics.dropped[DropReason.SOCKET] == 1
            kinds: list[WorkerMessageKind] = []
            async with asyncio.timeout(10):
                while len(kinds) < 2:
                    data = await asyncio.get_running_loop().sock_recv(heard, 100)
                    if data != b"full":
                        kinds.append(WorkerMessage.parse(data).kind)
        assert kinds == [WorkerMessageKind.HELLO, WorkerMessageKind.RETURN]


async def test_settings_may_be_long() -> None:
    users = {f"user{number}": "p" * 32 for number in range(2000)} | {"ann": "pa"}
    async with serving(users=users) as server:
        wire = Wire(server.port)
        with wire.socket:
            assert (await wire.allocate()).message_class is MessageClass.SUCCESS


async def test_all_workers_read_the_certificate_again(tmp_path: Path) -> None:
    path = make_certificate(tmp_path, "old.example")
    async with serving(tls_port=0, tls_certificate=path) as server:
        assert await names_shown(server) == {"old.example"}
        renew(path, tmp_path)
        server.reload()
        await server.read_metrics()  # comes after it on the same socket
        assert await names_shown(server) == {"new.example"}


async def test_a_successor_has_the_certificate_that_is_in_force(tmp_path: Path) -> None:
    path = make_certificate(tmp_path, "old.example")
    async with serving(tls_port=0, tls_certificate=path, tls_private_key=path) as server:
        spoil(path)
        with pytest.raises(ConfigError, match="tls_certificate: no certificate"):
            server.reload()
        victim = server.pids[0]
        os.kill(victim, signal.SIGKILL)
        await replaced(server, {victim})
        assert await names_shown(server) == {"old.example"}
        renew(path, tmp_path)
        server.reload()
        await server.read_metrics()  # comes after it on the same socket
        assert await names_shown(server) == {"new.example"}


def spoil(path: str) -> None:
    """Leave no certificate in the file that a server was started with."""
    Path(path).write_text("broken")


def renew(path: str, folder: Path) -> None:
    """Put another certificate in place of the one that a server was started with."""
    Path(make_certificate(folder, "new.example")).replace(path)


async def names_shown(server: Workers) -> set[str]:
    """Return what certificates say to clients of either worker."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    names = set()
    for _ in range(12):
        _, writer = await asyncio.open_connection("127.0.0.1", server.tls_port, ssl=context)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        names |= {name for name in ("old.example", "new.example") if name.encode() in der}
        writer.close()
        await writer.wait_closed()
    return names
