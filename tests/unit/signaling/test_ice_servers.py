from __future__ import annotations

from ringline.signaling.call import MintedServers
from ringline.signaling.ice_servers import no_ice_servers, turn_minter
from ringline.turn.credentials import Credentials

NOW = 1_800_000_000.0


def minted(*, external_host: str | None, reached_host: str) -> MintedServers:
    mint = turn_minter(
        secret="s3cret",
        port=3478,
        lifetime=600.0,
        external_host=external_host,
        wallclock=lambda: NOW,
    )
    return mint("ann", "CALL", reached_host)


def test_the_turn_server_takes_what_is_minted_until_it_runs_out() -> None:
    servers, expires_in_ms = minted(external_host=None, reached_host="192.0.2.7")
    relay = servers[1]
    accepted = Credentials(users={}, secrets=["s3cret"], max_lifetime=86_400.0, realm="ringline")
    assert relay.username == "1800000600:ann:CALL"
    assert accepted.passwords(relay.username) == (relay.credential,)
    assert accepted.may_allocate(relay.username, NOW + 599.0)
    assert not accepted.may_allocate(relay.username, NOW + 601.0)
    assert expires_in_ms == 600_000


def test_each_client_gets_the_host_that_it_reached() -> None:
    servers, _ = minted(external_host=None, reached_host="192.0.2.7")
    assert [server.urls for server in servers] == [
        ("stun:192.0.2.7:3478",),
        ("turn:192.0.2.7:3478?transport=udp", "turn:192.0.2.7:3478?transport=tcp"),
    ]


def test_a_configured_host_goes_first() -> None:
    servers, _ = minted(external_host="turn.example", reached_host="192.0.2.7")
    assert servers[0].urls == ("stun:turn.example:3478",)


def test_ipv6_addresses_get_brackets() -> None:
    servers, _ = minted(external_host=None, reached_host="2001:db8::1")
    assert servers[0].urls == ("stun:[2001:db8::1]:3478",)


def test_other_servers_come_after_ours_with_a_credential_that_they_take() -> None:
    others = ("turn:a.example:3478?transport=udp", "turns:b.example:5349")
    mint = turn_minter(
        secret="s3cret",
        port=3478,
        lifetime=600.0,
        external_host=None,
        wallclock=lambda: NOW,
        others=others,
    )
    servers, _ = mint("ann", "CALL", "192.0.2.7")
    assert servers[-1].urls == others
    assert servers[-1].username == "1800000600:ann:CALL"
    assert servers[-1].credential == servers[1].credential
    assert len(servers) == 3


def test_other_servers_may_be_all_that_there_are() -> None:
    mint = turn_minter(
        secret="s3cret",
        port=None,
        lifetime=600.0,
        external_host=None,
        wallclock=lambda: NOW,
        others=("turn:a.example",),
    )
    servers, expires_in_ms = mint("ann", "CALL", "192.0.2.7")
    assert [server.urls for server in servers] == [("turn:a.example",)]
    assert expires_in_ms == 600_000


def test_without_turn_there_are_none() -> None:
    assert no_ice_servers("ann", "CALL", "192.0.2.7") == MintedServers((), 0)
