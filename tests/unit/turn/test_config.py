from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ringline.turn import ConfigError, TurnConfig
from ringline.turn.addresses import AddressFamily
from ringline.turn.config import part_of


def test_credentials_are_all_that_must_be_given() -> None:
    assert TurnConfig(secrets=("s",)).port == 3478
    assert TurnConfig(users={"ann": "pa"}).realm == "ringline"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"secrets": ()}, "users, secrets: none given.*--user NAME:PASSWORD"),
        ({"secrets": ("a", "")}, "secrets"),
        ({"users": {"ann": ""}}, "users: one has an empty name or password"),
        ({"users": {"ann": "pa", "": "pb"}}, "users: one has an empty name or password"),
        ({"alternate_server": "turn2.example:3478"}, "alternate_server: expected address and port"),
        ({"alternate_server": "192.0.2.1"}, "alternate_server: expected address and port"),
        ({"realm": ""}, "realm"),
        ({"realm": "r" * 128}, "realm"),
        ({"host": "localhost"}, "host"),
        ({"host": ()}, "host"),
        ({"host": ("192.0.2.1", "192.0.2.2")}, "host"),
        ({"host": "::ffff:192.0.2.1"}, "host"),
        ({"host": "fe80::1"}, "host"),
        ({"relay_host": ("192.0.2.1", "::")}, "relay_host"),
        ({"host": "192.0.2.1", "external_address": "2001:db8::1"}, "external_address"),
        ({"relay_host": "0.0.0.0"}, "relay_host"),  # noqa: S104 - refused, not bound
        ({"external_address": "relay.example"}, "external_address"),
        ({"port": 65_536}, "port"),
        ({"tls_certificate": ""}, "tls_certificate: expected a file"),
        ({"tls_certificate": "a.pem", "tls_private_key": ""}, "tls_private_key: expected a file"),
        ({"first_relay_port": 0}, "first_relay_port"),
        ({"first_relay_port": 60_000, "last_relay_port": 50_000}, "first_relay_port"),
        ({"last_relay_port": 65_536}, "first_relay_port"),
        ({"allow_peers": ("10.0.0.1/8",)}, "allow_peers"),
        ({"deny_peers": ("everybody",)}, "deny_peers"),
        ({"max_allocations_per_user": 0}, "max_allocations_per_user"),
        ({"nonce_lifetime": -1.0}, "nonce_lifetime"),
        ({"max_lifetime": 60.0}, "max_lifetime"),
        ({"default_lifetime": float("nan")}, "default_lifetime"),
        ({"max_lifetime": float("nan")}, "max_lifetime"),
        ({"max_lifetime": float("inf")}, "max_lifetime: expected at most 4294967295"),
        ({"permission_lifetime": float("inf")}, "permission_lifetime"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}"):
        TurnConfig(**({"secrets": ("s",)} | settings))


def test_addresses_are_one_of_each_family_in_their_canonical_spelling() -> None:
    config = TurnConfig(
        secrets=("s",),
        host=("192.0.2.1", "2001:DB8:0::1"),
        relay_host="2001:db8::2",
        external_address=("198.51.100.1",),
    )
    ipv4, ipv6 = AddressFamily.IPV4, AddressFamily.IPV6
    assert config.hosts == ("192.0.2.1", "2001:db8::1")
    assert config.relay_addresses == {ipv6: "2001:db8::2"}
    assert config.external_addresses == {ipv4: "198.51.100.1"}
    assert config.relay_families == {ipv4, ipv6}
    assert TurnConfig(secrets=("s",), host="::").relay_families == {ipv6}
    assert TurnConfig(secrets=("s",)).hosts == ("0.0.0.0", "::")  # noqa: S104 - compared


def test_secrets_and_passwords_are_not_shown() -> None:
    shown = repr(TurnConfig(users={"ann": "hunter2"}, secrets=("topsecret",)))
    assert "hunter2" not in shown
    assert "topsecret" not in shown


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TurnConfig(secrets=("s",)).port = 1  # type: ignore[misc] # what is tested


def test_relays_over_tcp_are_for_one_process() -> None:
    config = TurnConfig(users={"a": "b"}, tcp_allocations=True)
    with pytest.raises(ConfigError, match="tcp_allocations: not with several workers"):
        part_of(config, 0, 2)
