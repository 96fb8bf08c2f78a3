from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from ringline.turn import ConfigError
from ringline.turn.config import TurnConfig
from ringline.turn.settings import RunConfig, dump_turn, load_settings, restore_turn

USERS = {"users": {"ann": "pa"}}


def test_every_setting_has_one_name_in_all_three_places() -> None:
    names = [f.name for config in (TurnConfig, RunConfig) for f in dataclasses.fields(config)]
    assert len(set(names)) == len(names)


def test_the_file_says_everything_in_toml() -> None:
    text = """
    port = 4000
    secrets = ["new", "old"]
    default_lifetime = 700        # a whole number where seconds are wanted
    tls_certificate = "chain.pem"
    tcp = false
    metrics_port = 9641
    [users]
    ann = "pa"
    """
    settings = load_settings(text=text)
    turn = settings.turn
    assert (turn.port, turn.secrets, turn.default_lifetime) == (4000, ("new", "old"), 700.0)
    assert isinstance(turn.default_lifetime, float)
    assert turn.tls_certificate == "chain.pem"
    assert turn.tcp is False
    assert dict(turn.users) == {"ann": "pa"}
    assert settings.run.metrics_port == 9641


def test_options_beat_variables_beat_the_file() -> None:
    text = 'realm = "file"\nport = 1\nmax_channels = 1\nsecrets = ["s"]'
    environment = {
        "RINGLINE_TURN_PORT": "2",
        "RINGLINE_TURN_REALM": "variable",
        "PORT": "9",
        "RINGLINE_TOKEN": "x",
    }
    given = {"realm": "option", "port": None, "tls_port": 7}
    turn = load_settings(text=text, environment=environment, given=given).turn
    assert (turn.realm, turn.port, turn.max_channels, turn.tls_port) == ("option", 2, 1, 7)


def test_variables_have_lists_users_numbers_and_switches() -> None:
    environment = {
        "RINGLINE_TURN_SECRETS": "new, old",
        "RINGLINE_TURN_USERS": "ann:pa,bob:p:b",
        "RINGLINE_TURN_NONCE_LIFETIME": "60.5",
        "RINGLINE_TURN_METRICS_PORT": "0",
        "RINGLINE_TURN_TCP": "False",
        "RINGLINE_TURN_RELAY_HOST": "192.0.2.1",
    }
    settings = load_settings(environment=environment)
    turn = settings.turn
    assert turn.secrets == ("new", "old")
    assert dict(turn.users) == {"ann": "pa", "bob": "p:b"}
    assert (turn.nonce_lifetime, settings.run.metrics_port, turn.tcp) == (60.5, 0, False)
    assert turn.relay_host == "192.0.2.1"


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("colour = 1", "colour", "no such setting"),
        ('port = "3478"', "port", "a whole number"),
        ("port = 3478.0", "port", "a whole number"),
        ("port = true", "port", "a whole number"),
        ("tcp = 1", "tcp", "true or false"),
        ('secrets = "s"', "secrets", "a list of texts"),
        ("secrets = [1]", "secrets", "a list of texts"),
        ('users = ["ann"]', "users", 'users, each with a password (NAME = "PASSWORD"'),
        ('alternate_server = "turn2.example:3478"', "alternate_server", "192.0.2.1:3478"),
        ("realm = 1", "realm", "text"),
        ("relay_host = 1", "relay_host", "text"),
        ("drain_limit = -1", "drain_limit", "0 or more"),
        ("metrics_port = 70000", "metrics_port", "0 to 65535"),
        ("port = ", "turn.toml", "not TOML"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_place(text: str, name: str, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(text=text, source="turn.toml", given=USERS)
    assert name in str(caught.value)
    assert wanted in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("RINGLINE_TURN_PORT", "many", "a whole number"),
        ("RINGLINE_TURN_TCP", "maybe", "true or false"),
        ("RINGLINE_TURN_USERS", "ann", "users, each with a password .*NAME:PASSWORD with commas"),
        ("RINGLINE_TURN_COLOUR", "red", "no such setting"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted) as caught:
        load_settings(environment={variable: value}, given=USERS)
    assert variable in str(caught.value)


@pytest.mark.parametrize("users", ["ann:", ":pa", "ann:pa,bob:"])
def test_nobody_comes_in_with_an_empty_name_or_password(users: str) -> None:
    with pytest.raises(ConfigError, match=r"^users: one has an empty name or password"):
        load_settings(environment={"RINGLINE_TURN_USERS": users})
    name, _, password = users.rpartition(",")[2].partition(":")
    with pytest.raises(ConfigError, match=r"^users: one has an empty name or password"):
        load_settings(text=f'[users]\n"{name}" = "{password}"')


def test_no_message_repeats_a_secret() -> None:
    for environment in ({"RINGLINE_TURN_USERS": "hunter2"}, {"RINGLINE_TURN_SECRETS": ""}):
        with pytest.raises(ConfigError) as caught:
            load_settings(environment=environment)
        assert "hunter2" not in str(caught.value)


def test_nobody_to_let_in_is_an_error() -> None:
    given: dict[str, Any] = {}
    with pytest.raises(ConfigError, match="users, secrets"):
        load_settings(given=given)


def test_a_worker_is_told_every_setting() -> None:
    config = TurnConfig(
        host=("192.0.2.1", "2001:db8::1"),
        users={"ann": "pa"},
        secrets=("new", "old"),
        allow_peers=("10.0.0.0/8",),
        tcp=False,
        total_bandwidth=1e6,
    )
    assert restore_turn(json.loads(json.dumps(dump_turn(config)))) == config


@pytest.mark.parametrize("workers", [-1, 65])
def test_workers_are_few(workers: int) -> None:
    with pytest.raises(ConfigError, match=f"workers: expected 0 to 64, got {workers}"):
        RunConfig(workers=workers)


def test_clients_do_not_move_between_workers() -> None:
    given = USERS | {"mobility": True}
    assert load_settings(given=given).turn.mobility
    for workers in (0, 2):
        with pytest.raises(ConfigError, match=r"^mobility: only with workers = 1"):
            load_settings(given=given | {"workers": workers})


def test_one_address_or_two_in_a_variable() -> None:
    environment = {
        "RINGLINE_TURN_HOST": "192.0.2.1, 2001:db8::1",
        "RINGLINE_TURN_RELAY_HOST": "192.0.2.2",
    }
    turn = load_settings(environment=environment, given=USERS).turn
    assert turn.hosts == ("192.0.2.1", "2001:db8::1")
    assert turn.relay_host == "192.0.2.2"
