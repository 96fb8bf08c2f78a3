"""Help, version and doctor: what a newcomer types first."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from tests.e2e.command_line import ringline, serving

COMMANDS = ("demo", "call", "answer", "serve", "turn", "token", "doctor")


def test_the_version() -> None:
    outcome = ringline("--version")
    assert outcome.out == f"ringline {importlib.metadata.version('ringline')}\n"


def test_without_a_command_there_is_help_with_every_command() -> None:
    outcome = ringline("--help")
    assert outcome.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_examples(command: str) -> None:
    outcome = ringline(command, "--help")
    assert outcome.code == 0
    assert f"    ringline {command}" in outcome.out.partition("Examples:")[2]


def test_help_loads_no_media_library() -> None:
    code = (
        "import sys, ringline.client.__main__; "
        "print([name for name in ('av', 'numpy', 'aiortc', 'aiohttp', 'rich.live') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_networks_are_listed() -> None:
    outcome = ringline("demo", "--network", "list")
    assert outcome.code == 0
    assert "g3 " in outcome.out


def test_the_doctor_looks_at_everything_and_at_a_server() -> None:
    with serving("--dev") as (url, server):
        turn_port = str(server.entries[0]["turn_port"])
        outcome = ringline("doctor", url, "--turn-port", turn_port, "--json")
    areas = {entry["area"]: entry for entry in outcome.of_type("finding")}
    assert outcome.code == 0
    assert {"Python", "aiortc", "codec VP8", "codec opus", "camera", "UDP"} <= areas.keys()
    assert areas["server"]["level"] == "ok"
    assert areas["STUN/TURN"]["level"] == "ok"


def test_the_doctor_finds_a_server_that_is_not_there() -> None:
    outcome = ringline("doctor", "ws://localhost:1")
    assert outcome.code == 1
    assert "problem  server" in outcome.out
    assert "-> start one: ringline serve" in outcome.out
