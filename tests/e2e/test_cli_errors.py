"""What a person gets wrong is one clear line on standard error and a code, never a traceback."""

from __future__ import annotations

import signal
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command_line import ringline, running, serving

ANYWHERE = ("--local", "--audio", "voice", "--video", "pattern")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving("--dev") as (url, _):
        yield url


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("call", "desk", "--play", "/no/film.mp4"), 1, "no such file: /no/film.mp4"),
        (("call", "desk", "--play", __file__), 1, "not a media file"),
        (("call", "desk", "--record", "/no/out.mkv", *ANYWHERE), 1, "/no/out.mkv"),
        (("answer", "--record", "/no/out.mkv", *ANYWHERE), 1, "/no/out.mkv"),
        (("call", "desk", "--audio", "none", "--video", "none"), 1, "nothing to send"),
        (("call", "desk", "--server", "ftp://here", *ANYWHERE), 1, "'ftp://here'"),
        (("call", "desk", "--server", "ws://localhost:1", *ANYWHERE), 7, "ws://localhost:1"),
        (("call", "desk", "--network", "slow"), 2, "g3, g2"),
        (("demo", "--network", "loss=120"), 2, "at most 100 percent"),
        (("demo", "--play", "/no/film.mp4"), 1, "no such file: /no/film.mp4"),
        (("token", "desk", "--key-file", "/no/key"), 1, "no such key file: /no/key"),
        (("serve", "--key-file", "/no/key"), 1, "no such key file: /no/key"),
        (("serve", "--dev", "--host", "192.0.2.77", "--port", "0"), 1, "192.0.2.77"),
        (("doctor", "ftp://here"), 1, "'ftp://here'"),
    ],
)
def test_one_line_says_what_is_wrong(arguments: tuple[str, ...], code: int, text: str) -> None:
    outcome = ringline(*arguments)
    assert outcome.code == code
    assert text in outcome.err
    assert outcome.err.startswith("ringline: ")
    assert len(outcome.err.splitlines()) == 1


def test_a_film_without_picture_says_how_to_send_its_sound(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(96_000))
    for command in (("call", "desk"), ("answer",), ("demo",)):
        outcome = ringline(*command, "--play", str(path))
        assert outcome.code == 1
        assert f"no picture in {path}" in outcome.err
        assert f"--audio {path} --video none" in outcome.err


def test_a_port_in_use(server: str) -> None:
    port = server.rpartition(":")[2]
    outcome = ringline("serve", "--dev", "--port", port, "--turn-port", "0")
    assert outcome.code == 1
    assert outcome.err == (
        f"ringline: host, port: cannot listen on 127.0.0.1:{port}/tcp: Address already in use\n"
    )


def test_nobody_of_that_name(server: str) -> None:
    outcome = ringline("call", "nobody", "--as", "lab", "--server", server, *ANYWHERE)
    assert outcome.code == 7
    assert outcome.err == "ringline: nobody is not there\n"


def test_nobody_calls_oneself(server: str) -> None:
    outcome = ringline("call", "lab", "--as", "lab", "--server", server, *ANYWHERE)
    assert outcome.code == 1
    assert outcome.err == "ringline: you are lab yourself; call somebody else\n"


def test_a_name_that_somebody_else_has(server: str) -> None:
    with running("answer", "--as", "taken", "--server", server, "--json", *ANYWHERE) as answering:
        answering.wait_for("ready")
        outcome = ringline("answer", "--as", "taken", "--server", server, *ANYWHERE)
    assert outcome.code == 8
    assert "taken" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [("call",), ("call", "desk", "--seconds", "soon"), ("dance",), ("demo", "--fast")]
)
def test_a_command_line_that_cannot_be_meant_so(arguments: tuple[str, ...]) -> None:
    outcome = ringline(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_cleanly(number: signal.Signals) -> None:
    with serving("--dev") as (_, server):
        outcome = server.finish(number)
    assert (outcome.code, outcome.err) == (0, "")


def test_scripts_get_the_error_as_json_too() -> None:
    outcome = ringline("call", "desk", "--play", "/no/film.mp4", "--json")
    assert outcome.of_type("error") == [
        {"type": "error", "text": "no such file: /no/film.mp4", "code": 1}
    ]
