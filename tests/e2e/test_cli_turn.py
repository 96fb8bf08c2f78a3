"""``ringline turn``: the relay alone, as an operator runs it."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import pytest

from ringline.turn.attributes import (
    ERROR_CODE,
    LIFETIME,
    NONCE,
    REALM,
    REQUESTED_TRANSPORT,
    USERNAME,
    Attribute,
)
from ringline.turn.long_term import long_term_key
from ringline.turn.stun import Message, MessageClass, Method
from tests.e2e.command_line import Running, ringline, running

LOCAL = ("turn", "--host", "127.0.0.1", "--port", "0", "--json")
KEY = long_term_key("ann", "ringline", "pa")


class Client:
    """A client on a UDP socket, with a time limit."""

    def __init__(self, server: Running) -> None:
        opened = server.wait_for("turn")
        self.metrics_port = opened["metrics_port"]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", opened["port"]))
        self.nonce = ""

    def __enter__(self) -> Self:
        self.nonce = self.ask(Method.ALLOCATE).get(NONCE) or ""
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, method: int, *values: tuple[Attribute[int], int]) -> Message:
        message = Message(method, MessageClass.REQUEST, bytes(12))
        for attribute, value in values:
            message.add(attribute, value)
        if self.nonce:
            message.add(USERNAME, "ann").add(REALM, "ringline").add(NONCE, self.nonce)
        self.socket.send(message.serialize(integrity_key=KEY if self.nonce else None))
        return Message.parse(self.socket.recv(2000))

    def page(self, name: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.metrics_port}/{name}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def test_it_serves_shows_its_numbers_and_drains() -> None:
    with (
        running(*LOCAL, "--user", "ann:pa", "--metrics-port", "0") as server,
        Client(server) as client,
    ):
        udp = (REQUESTED_TRANSPORT, 17)
        assert client.ask(Method.ALLOCATE, udp).message_class is MessageClass.SUCCESS
        health = {"status": "ok", "allocations": 1, "workers": 1}
        assert client.page("health") == (200, json.dumps(health))
        assert "ringline_turn_allocations 1.0" in client.page("metrics")[1]
        server.process.send_signal(signal.SIGTERM)
        other = Client.__new__(Client)
        other.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.socket.settimeout(10)
        other.socket.connect(client.socket.getpeername())
        other.nonce = ""
        with other:
            while client.page("health")[0] == 200:
                pass  # the signal is on its way
            refused = other.ask(Method.ALLOCATE, udp).get(ERROR_CODE)
            assert refused is not None
            assert refused[0] == 508
        assert "ringline_turn_draining 1.0" in client.page("metrics")[1]
        assert client.ask(Method.REFRESH).message_class is MessageClass.SUCCESS
        assert server.process.poll() is None  # a call is still on
        client.ask(Method.REFRESH, (LIFETIME, 0))
        assert server.finish().code == 0


def test_a_second_signal_does_not_wait() -> None:
    with running(*LOCAL, "--user", "ann:pa", "--metrics-port", "0") as server:
        with Client(server) as client:
            client.ask(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
            server.process.send_signal(signal.SIGTERM)
            while client.page("health")[0] == 200:
                pass
        assert server.finish(signal.SIGTERM).code == 0


def test_the_page_answers_nonsense_and_logs_no_error() -> None:
    options = ("--user", "ann:pa", "--metrics-port", "0", "--verbose")
    with running(*LOCAL, *options) as server, Client(server) as client:
        assert client.page("nothing")[0] == 404
        where = ("127.0.0.1", client.metrics_port)
        for request, answer in (
            (b"nonsense\r\n\r\n", b"400"),
            (b"GET /metrics HTTP/9.9\r\n\r\n", b"400"),
            (b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400"),
            (b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        ):
            with socket.create_connection(where, timeout=10) as connection:
                connection.sendall(request)
                assert connection.recv(12)[9:12] == answer
        outcome = server.finish(signal.SIGTERM)
    assert outcome.code == 0
    assert outcome.err.count("TURN: no request for the page") == 3
    for word in ("level=error", "Traceback"):
        assert word not in outcome.err


def test_settings_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "turn.toml"
    path.write_text('host = "127.0.0.1"\nport = 0\nrealm = "calls.example"\nsecrets = ["s"]\n')
    with running("turn", "--config", str(path), "--json") as server, Client(server) as client:
        client.nonce = ""
        assert client.ask(Method.ALLOCATE).get(REALM) == "calls.example"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "users, secrets: none given"),
        (("--user", "ann"), "NAME:PASSWORD"),
        (("--user", "ann:pa", "--allow-peer", "banana"), "allow_peers"),
        (("--user", "ann:pa", "--tls-certificate", "/nowhere.pem"), "tls_certificate"),
        (("--config", "/nowhere.toml"), "cannot read /nowhere.toml: No such file"),
        (("--user", "ann:pa", "--host", "localhost"), "host: expected an IPv4 or IPv6 address"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    outcome = ringline("turn", "--port", "0", *arguments)
    assert outcome.code == 1
    assert words in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", 0))
        port = squatter.getsockname()[1]
        outcome = ringline("turn", "--host", "127.0.0.1", "--port", str(port), "--user", "a:b")
    assert outcome.code == 1
    assert f"host, port: TURN: cannot listen on 127.0.0.1:{port}/udp" in outcome.err


def test_a_metrics_host_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "turn.toml"
    path.write_text('port = 0\nsecrets = ["s"]\nmetrics_host = "no host"\nmetrics_port = 0\n')
    outcome = ringline("turn", "--config", str(path))
    assert outcome.code == 1
    assert "cannot show metrics on no host:0/tcp: " in outcome.err
    assert "Unknown error" not in outcome.err


def test_the_page_of_metrics_is_announced_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "turn.toml"
    path.write_text('port = 0\nsecrets = ["s"]\nmetrics_host = "127.0.0.2"\nmetrics_port = 0\n')
    with running("turn", "--config", str(path)) as server:
        assert server.process.stdout is not None
        announced = [server.process.stdout.readline() for _ in range(2)]
    assert announced[1].startswith("metrics and health: http://127.0.0.2:")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_redacted_log_names_nobody_and_still_connects(workers: str) -> None:
    user, password = "annabella", "geheim42"
    options = ("--redact-logs", "--log-format", "json", "--verbose", "--workers", workers)
    with running(*LOCAL, "--user", f"{user}:{password}", "--metrics-port", "0", *options) as server:
        with Client(server) as client:
            key = long_term_key(user, "ringline", password)
            for method, attribute, value in (
                (Method.ALLOCATE, REQUESTED_TRANSPORT, 17),
                (Method.CREATE_PERMISSION, LIFETIME, 1),  # refused
                (Method.REFRESH, LIFETIME, 0),
            ):
                message = Message(method, MessageClass.REQUEST, bytes([method]) * 12)
                message.add(attribute, value).add(USERNAME, user).add(REALM, "ringline")
                message.add(NONCE, client.nonce)
                client.socket.send(message.serialize(integrity_key=key))
                client.socket.recv(2000)
            client.socket.send(b"\x00\x01\x00\x00 nonsense ")
            client.page("health")
        outcome = server.finish(signal.SIGTERM)
    assert outcome.code == 0
    events = [json.loads(line) for line in outcome.err.strip().splitlines()]
    for secret in ("127.0.0.1", user, password, "::1"):
        assert secret not in outcome.err
    states = [each for each in events if each.get("event") == "allocation"]
    assert [each["state"] for each in states] == ["live", "ended"]
    for field, kind in (("user", "user-"), ("client", "address-")):
        assert states[0][field].startswith(kind)
        assert states[0][field] == states[1][field]
