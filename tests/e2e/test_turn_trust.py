"""Our client and TURN servers over TLS: whose certificates it takes, and what it says if not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ringline.client import Client
from ringline.client.errors import LocalError
from ringline.client.io_aiortc import IceServer
from ringline.client.io_trust import trust_authority
from ringline.turn import TurnConfig, TurnService
from tests.certificates import Authority
from tests.e2e.command_line import ringline
from tests.e2e.transport_ends import LOOPBACK, MakePair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@asynccontextmanager
async def relay(certificate: str) -> AsyncIterator[IceServer]:
    config = TurnConfig(
        host="127.0.0.1",
        port=0,
        tls_port=0,
        tls_certificate=certificate,
        users={"ann": "pa"},
        allow_peers=("127.0.0.0/8",),
    )
    async with TurnService(config) as service:
        url = f"turns:127.0.0.1:{service.tls_port}"
        yield IceServer(url=url, username="ann", credential="pa")


async def test_a_call_goes_through_a_relay_that_a_private_authority_vouches_for(
    authority: Authority, make_pair: MakePair
) -> None:
    async with relay(authority.certify("127.0.0.1")) as server:
        tls = trust_authority(authority.path)
        pair = make_pair(replace(LOOPBACK, policy="relay", turn_tls=tls))
        await pair.connect([server])
        for end in pair:
            assert (end.path.kind, end.path.protocol) == ("relay", "tls")


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("the system's alone", "unable to get local issuer certificate"),
        ("another authority", "unable to get local issuer certificate"),
        ("another server's", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
async def test_a_certificate_that_does_not_fit_is_refused_and_said_once(
    *,
    case: str,
    reason: str,
    authority: Authority,
    make_pair: MakePair,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = Authority(tmp_path, "other")
    trusted = other if case == "another authority" else authority
    tls = None if case == "the system's alone" else trust_authority(trusted.path)
    address = "127.0.0.2" if case == "another server's" else "127.0.0.1"
    async with relay(authority.certify(address)) as server:
        pair = make_pair(replace(LOOPBACK, policy="relay", turn_tls=tls))
        pair.gather([server])
        for end in pair:
            await end.until(end.has_gathered)
            assert end.transport.local_description.candidates == ()
            assert end.transport.dropped["server refused"] == 1
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    hint = "" if case == "another server's" else "; a private authority's is named by --turn-ca"
    assert len(told) == 2  # one of each end
    for text in told:
        assert text.startswith(f"TURN: the certificate of {server.url[6:]} is refused: {reason}")
        assert hint in text
        assert ("--turn-ca" in text) == bool(hint)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot read .*: No such file"), (b"", "no certificate in PEM"), (b"\xff\x00", "PEM")],
)
def test_a_file_of_no_use_is_named_before_anybody_rings(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LocalError, match=f"turn-ca: .*{reason}"):
        trust_authority(path)


async def test_a_program_and_the_command_line_name_the_file(
    authority: Authority, tmp_path: Path
) -> None:
    me = Client("ws://localhost:1", name="lab", turn_ca=authority.path)
    assert me._config.call.transport.turn_tls is not None
    with pytest.raises(LocalError, match="turn-ca: cannot read"):
        Client("ws://localhost:1", name="lab", turn_ca=tmp_path / "none.pem")
    outcome = ringline("call", "desk", "--turn-ca", str(tmp_path / "none.pem"))
    assert outcome.code == 1
    assert "turn-ca: cannot read" in outcome.err
