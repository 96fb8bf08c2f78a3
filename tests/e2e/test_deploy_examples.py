"""The examples say nothing that the command does not know, and leave no setting out."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main

from ringline.client.__main__ import app
from ringline.turn import ConfigError
from ringline.turn.config import TurnConfig
from ringline.turn.settings import RunConfig, load_settings

FOLDER = Path(__file__).parent.parent.parent / "examples" / "deploy"
UNIT = FOLDER / "ringline-turn.service"
CONTAINER = FOLDER / "Containerfile"
FILE = FOLDER / "turn.toml"

SECRETS = 'secrets = ["of the test"]'
"""Without any, no settings are complete."""


def commands() -> dict[str, list[str]]:
    """Return what is run, without the path of the program."""
    unit = re.search(r"^ExecStart=(.+)$", UNIT.read_text(), re.MULTILINE)
    container = re.search(r"^ENTRYPOINT (.+)$", CONTAINER.read_text(), re.MULTILINE)
    assert unit is not None
    assert container is not None
    return {"unit": shlex.split(unit[1]), "container": json.loads(container[1])}


@pytest.mark.parametrize("where", ["unit", "container"])
def test_the_command_takes_the_options(where: str) -> None:
    program, name, *arguments = commands()[where]
    assert program == "/opt/ringline/bin/ringline"
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined] # a group has them
    context = command.make_context(name, list(arguments))
    assert context.params["workers"] == 0
    assert context.params["metrics_port"] == 9641
    assert context.params["config"] == Path("/etc/ringline/turn.toml")


def test_the_wait_for_calls_to_end_is_longer_than_the_drain() -> None:
    seconds = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    stop = re.search(r"--stop-timeout (\d+)", CONTAINER.read_text())
    assert seconds is not None
    assert stop is not None
    assert min(int(seconds[1]), int(stop[1])) > RunConfig().drain_limit


def directive(name: str) -> list[str]:
    """Return the words that the unit gives to a directive, none if it does not name it."""
    return [
        word
        for value in re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)
        for word in value.split()
    ]


def test_the_unit_lets_the_relay_list_the_addresses_of_the_machine() -> None:
    # What it does not know to be its own it does not deny as a peer.
    assert {"AF_INET", "AF_INET6", "AF_NETLINK"} <= set(directive("RestrictAddressFamilies"))


def test_the_unit_has_a_user_that_files_can_be_given_to() -> None:
    assert directive("DynamicUser") == []
    [user], [group] = directive("User"), directive("Group")
    assert user == group != "root"
    # The steps at the top make that user and let it read.
    assert re.search(rf"^# +useradd --system .* {user}$", UNIT.read_text(), re.MULTILINE)
    assert f"chgrp {group} /etc/ringline/turn.toml" in UNIT.read_text()


def test_the_container_says_who_must_be_able_to_read() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", CONTAINER.read_text(), re.MULTILINE)
    assert user is not None
    assert f"chgrp {user[2]} " in CONTAINER.read_text()


def settings_shown(*, examples: bool) -> dict[str, str]:
    """Return the lines that the file comments out, by setting: the defaults, or the examples."""
    lines = re.findall(r"^#((\w+) = .+)$", FILE.read_text(), re.MULTILINE)
    names = [name for _, name in lines]
    assert len(set(names)) == len(names)
    return {name: line for line, name in lines if line.endswith("  # example") is examples}


def test_the_file_has_every_setting_and_no_other() -> None:
    shown = settings_shown(examples=False).keys() | settings_shown(examples=True).keys()
    assert shown == {
        field.name for config in (TurnConfig, RunConfig) for field in dataclasses.fields(config)
    }


def test_the_file_says_a_line_about_every_setting() -> None:
    lines = FILE.read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"#\w+ = ", line):
            assert re.match(r"# \S.*\.$", before), line


def test_the_file_shows_the_defaults() -> None:
    lines = settings_shown(examples=False)
    shown = load_settings(text="\n".join([SECRETS, *lines.values()]))
    defaults = load_settings(text=SECRETS)
    assert shown == defaults
    # Equal would also be a default of whatever is left out.
    for name in settings_shown(examples=True):
        default = getattr(defaults.turn, name, None) or getattr(defaults.run, name, None)
        assert name == "secrets" or not default, name


def test_the_file_shows_examples_that_are_taken() -> None:
    examples = settings_shown(examples=True)
    # Its keys are of no use without it.
    settings = load_settings(text="\n".join(["mobility = true", *examples.values()]))
    for name in examples:
        assert getattr(settings.turn, name, None) or getattr(settings.run, name, None), name


def test_the_file_as_it_is_lets_nobody_in() -> None:
    with pytest.raises(ConfigError, match="users, secrets"):
        load_settings(text=FILE.read_text())


def test_the_health_check_asks_the_port_that_is_opened() -> None:
    check = re.search(r"^HEALTHCHECK .*$", CONTAINER.read_text(), re.MULTILINE)
    assert check is not None
    assert "127.0.0.1:9641/health" in check[0]


def test_the_image_is_of_the_format_that_has_health_checks() -> None:
    build = re.search(r"^# +podman build (.*)$", CONTAINER.read_text(), re.MULTILINE)
    assert build is not None
    assert "--format docker" in build[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # The program is elsewhere here, and systemd wants it to exist.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/ringline/bin/ringline", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr
