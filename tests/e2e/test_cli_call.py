"""Calls between two processes of the command line, over loopback."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringline.client import Client
from ringline.client.verify_recording import inspect_recording
from tests.e2e.command_line import ringline, running, serving

SYNTHETIC = ("--local", "--json", "--audio", "voice", "--video", "pattern")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving("--dev") as (url, _):
        yield url


def test_two_people_talk_and_one_records(server: str, tmp_path: Path) -> None:
    film = tmp_path / "heard.mkv"
    with running(
        *("answer", "--as", "desk", "--once", "--server", server, "--record", str(film)),
        *SYNTHETIC,
    ) as answering:
        answering.wait_for("ready", name="desk")
        caller = ringline(
            "call", "desk", "--as", "lab", "--server", server, "--seconds", "3", *SYNTHETIC
        )
        callee = answering.finish()
    assert (caller.code, caller.err) == (0, "")
    assert (callee.code, callee.err) == (0, "")
    assert [entry["state"] for entry in caller.of_type("state")] == [
        "calling",
        "ringing",
        "connecting",
        "connected",
    ]
    assert [entry["state"] for entry in callee.of_type("state")] == [
        "incoming",
        "connecting",
        "connected",
    ]
    for side in (caller, callee):
        (path,) = side.of_type("path")
        assert (path["path"], path["kind"]) == ("direct", "host")
        assert len(side.of_type("stats")) in (3, 4)
        last = side.of_type("stats")[-1]
        # A machine that is busy with other tests may send a smaller one: it is the CPU ladder's.
        assert last["received"]["width"] in (640, 480, 320, 240, 160)
        assert last["sent"]["bitrate"] > 50_000
        (ended,) = side.of_type("ended")
        assert ended["reason"] == "hangup"
        assert ended["impression"]["moving_seconds"] > 2
        assert ended["impression"]["heard_seconds"] > 1
    facts = inspect_recording(film)
    assert facts.moving_seconds > 2
    assert facts.sound_seconds > 0.5


def test_a_call_without_pictures_through_the_relay(server: str) -> None:
    with running(
        "answer", "--as", "phone", "--once", "--server", server, "--relay", *SYNTHETIC
    ) as answering:
        answering.wait_for("ready")
        caller = ringline(
            *("call", "phone", "--as", "lab", "--server", server, "--seconds", "2", "--relay"),
            *("--local", "--json", "--audio", "voice", "--video", "none"),
        )
        callee = answering.finish()
    assert (caller.code, callee.code) == (0, 0)
    assert caller.of_type("path")[-1]["path"] == "relay"
    impression = callee.of_type("ended")[0]["impression"]
    assert impression["pictures"] == 0
    assert impression["heard_seconds"] > 1
    assert caller.of_type("ended")[0]["impression"]["pictures"] == 0  # nobody asked for video


def test_who_is_in_a_call_is_busy_and_ctrl_c_hangs_up(server: str) -> None:
    with running("answer", "--as", "bench", "--server", server, *SYNTHETIC) as answering:
        answering.wait_for("ready")
        with running("call", "bench", "--as", "ann", "--server", server, *SYNTHETIC) as first:
            first.wait_for("state", state="connected")
            second = ringline("call", "bench", "--as", "ben", "--server", server, *SYNTHETIC)
            assert second.code == 3
            assert second.of_type("error")[0]["code"] == 3
            assert second.err == "ringline: bench is in another call\n"
            assert first.finish(signal.SIGINT).code == 0
        answering.wait_for("ended", reason="hangup")
        assert answering.finish(signal.SIGTERM).code == 0


async def test_a_call_that_is_declined_has_its_own_code(server: str) -> None:
    async with Client(server, name="shy"):  # without a handler every call is declined
        outcome = await asyncio.to_thread(
            ringline, "call", "shy", "--as", "lab", "--server", server, *SYNTHETIC
        )
    assert outcome.code == 4
    assert outcome.err == "ringline: shy declined\n"


def test_a_token_lets_its_bearer_in_and_nobody_else(tmp_path: Path) -> None:
    with serving(home=tmp_path) as (url, _):
        key = tmp_path / "ringline" / "token.key"
        assert key.stat().st_mode & 0o077 == 0
        tokens = {
            name: ringline("token", name, home=tmp_path).out.strip() for name in ("lab", "desk")
        }
        with running(
            "answer", "--once", "--server", url, "--token", tokens["desk"], *SYNTHETIC
        ) as answering:
            assert answering.wait_for("ready")["name"] == "desk"
            call = ("call", "desk", "--server", url, "--seconds", "1", *SYNTHETIC)
            assert ringline(*call, "--token", tokens["lab"]).code == 0
            assert answering.finish().code == 0
        without = ringline(*call, "--as", "lab")
        wrong = ringline(*call, "--token", tokens["lab"].replace(".", "._", 2))
    assert (without.code, wrong.code) == (8, 8)
    assert len(without.err.splitlines()) == len(wrong.err.splitlines()) == 1
    assert tokens["lab"][-20:] not in wrong.err
