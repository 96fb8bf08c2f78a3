"""The names of aiortc and aioice that we borrow are there, and do what we take them for."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import aioice
import aiortc
import pytest
from aioice import ice, stun, turn
from aiortc import rtcdtlstransport, sdp

from ringline.client.io_aiortc import BORROWED
from ringline.client.io_aiortc.io_dtls import process_certificate

PACKAGE = Path(importlib.import_module("ringline.client.io_aiortc").__path__[0])


def instance(owner: str) -> Any:
    """Return one of the class, or the module, that a borrowed name belongs to."""
    if owner == "aioice.Connection":
        return ice.Connection(ice_controlling=True)
    if owner == "aioice.Candidate":
        return aioice.Candidate("1", 1, "udp", 1, "192.0.2.1", 1, "host")
    if owner.startswith("aioice.turn."):
        client = getattr(turn, owner.rpartition(".")[2])
        return client(("192.0.2.1", 3478), "u", "p", 600, 240)
    if owner == "aiortc.RTCCertificate":
        return process_certificate()
    if owner in ("aiortc.RTCDtlsTransport", "aiortc.RTCSctpTransport"):
        gatherer = aiortc.RTCIceGatherer(iceServers=[])
        dtls = aiortc.RTCDtlsTransport(aiortc.RTCIceTransport(gatherer), [process_certificate()])
        return dtls if owner == "aiortc.RTCDtlsTransport" else aiortc.RTCSctpTransport(dtls)
    return importlib.import_module(owner)


@pytest.mark.parametrize(("owner", "name"), [entry[:2] for entry in BORROWED])
async def test_a_borrowed_name_is_there(owner: str, name: str) -> None:
    assert hasattr(instance(owner), name)


def test_every_private_name_in_use_is_listed() -> None:
    listed = {name for _, name, _ in BORROWED}
    for source in PACKAGE.glob("*.py"):
        for line in source.read_text().splitlines():
            if "SLF001" in line:
                used = set(re.findall(r"(?<!self)\.(_[a-z]\w*)", line))
                assert used <= listed, f"{source.name}: {line.strip()}"


def test_only_the_borrowing_package_imports_aiortc_and_aioice() -> None:
    pattern = re.compile(r"^\s*(from|import) (aiortc|aioice)\b", re.MULTILINE)
    root = PACKAGE.parents[1]
    importers = {
        path.relative_to(root).as_posix()
        for folder in ("media", "turn", "signaling", "client")
        for path in (root / folder).rglob("*.py")
        if pattern.search(path.read_text())
    }
    assert {path.rpartition("/")[0] for path in importers} == {"client/io_aiortc"}


def test_the_minor_versions_are_pinned() -> None:
    pins = {re.split(r"[^\w-]", line)[0]: line for line in requires("ringline") or []}
    for package, module in (("aiortc", aiortc), ("aioice", aioice)):
        major, minor = map(int, module.__version__.split(".")[:2])
        assert f"<{major}.{minor + 1}" in pins[package]


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (ice.Connection._add_remote_candidate, ["self", "remote_candidate", "network_host"]),
        (ice.Connection._pair_remote_candidate, ["self", "remote_candidate"]),
        (ice.Connection.request_received, ["self", "message", "addr", "protocol"]),
        (ice.Connection.check_incoming, ["self", "message", "addr", "protocol"]),
        (ice.Connection.switch_role, ["self", "ice_controlling"]),
        (ice.candidate_pair_priority, ["local", "remote", "ice_controlling"]),
        (ice.get_host_addresses, ["use_ipv4", "use_ipv6"]),
        (ice.unref_mdns_protocol, ["subscriber"]),
        (turn.TurnClientUdpProtocol.channel_bind, ["self", "channel_number", "addr"]),
        (turn.TurnClientUdpProtocol._send, ["self", "data"]),
        (stun.Message.check_message_integrity, ["self", "key"]),
        (aiortc.RTCDtlsTransport._set_role, ["self", "role"]),
        (aiortc.RTCSctpTransport._handle_data, ["self", "data"]),
        (aiortc.RTCSctpTransport._receive_data_chunk, ["self", "chunk"]),
        (aiortc.RTCSctpTransport._data_channel_receive, ["self", "stream_id", "pp_id", "data"]),
        (aiortc.RTCSctpTransport._update_rto, ["self", "R"]),
        (aiortc.RTCSctpTransport.start, ["self", "remoteCaps", "remotePort"]),
        (sdp.SessionDescription.parse, ["sdp"]),
    ],
)
def test_a_borrowed_function_takes_what_we_give(
    function: Callable[..., Any], parameters: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == parameters


async def test_dtls_asks_its_ice_transport_for_two_methods_only() -> None:
    class Seam:
        role = "controlling"

        def __init__(self) -> None:
            self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
            self.sent: list[bytes] = []
            self.other: Seam | None = None

        async def _recv(self) -> bytes:
            return await self.inbox.get()

        async def _send(self, data: bytes) -> None:
            self.sent.append(data)
            if self.other is not None:
                self.other.inbox.put_nowait(data)

    client_seam, server_seam = Seam(), Seam()
    client_seam.other, server_seam.other = server_seam, client_seam
    certificate = process_certificate()
    client, server = (
        aiortc.RTCDtlsTransport(seam, [certificate])  # type: ignore[arg-type] # the very point
        for seam in (client_seam, server_seam)
    )
    client._set_role("client")
    server._set_role("server")
    parameters = aiortc.RTCDtlsParameters(fingerprints=certificate.getFingerprints())
    await asyncio.gather(client.start(parameters), server.start(parameters))
    assert (client.state, server.state) == ("connected", "connected")
    # A flight is a datagram, and the last one is the server's: what the seam relies on.
    assert [len(client_seam.sent), len(server_seam.sent)] == [2, 2]
    assert max(map(len, client_seam.sent + server_seam.sent)) < 1200
    assert server_seam.sent[-1][0] == 20  # ChangeCipherSpec
    tasks = [client._task, server._task]
    await client.stop()
    await server.stop()
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


def test_the_srtp_profiles_that_we_prefer_are_known() -> None:
    assert rtcdtlstransport.SRTP_AES128_CM_SHA1_80 in rtcdtlstransport.SRTP_PROFILES
    assert rtcdtlstransport.SRTP_AEAD_AES_128_GCM.key_length == 16


async def test_a_success_response_is_given_to_authenticated_checks_only() -> None:
    connection = ice.Connection(ice_controlling=False)
    answers: list[stun.Message] = []

    class Socket:
        def send_stun(self, message: stun.Message, _: tuple[str, int]) -> None:
            answers.append(message)

    for key in (b"wrong password of 22 chars", connection.local_password.encode()):
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{connection.local_username}:them"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        request.add_message_integrity(key)
        message = stun.parse_message(bytes(request))
        connection.request_received(message, ("192.0.2.1", 1), Socket())  # type: ignore[arg-type]
    assert [answer.message_class for answer in answers] == [
        stun.Class.ERROR,
        stun.Class.RESPONSE,
    ]
    assert len(connection._early_checks) == 1
