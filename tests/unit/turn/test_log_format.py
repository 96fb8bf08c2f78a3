from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ringline.turn.attributes import LIFETIME
from ringline.turn.errors import ConfigError
from ringline.turn.log_format import Event, LogFormatter, Private, Redactor
from ringline.turn.settings import RunConfig
from ringline.turn.stun import Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench

MakeBench = Callable[..., "Bench"]
REDACTOR = Redactor(b"k" * 16)


def record(said: object, *args: object) -> logging.LogRecord:
    made = logging.LogRecord("ringline.turn.x", logging.INFO, "x.py", 1, said, args, None)
    made.created = 1_700_000_000.5
    return made


def test_an_event_is_one_line_of_keys_and_values() -> None:
    event = Event("allocation", port=50_000, state="live", client=Private("address", "192.0.2.1"))
    assert str(event) == "allocation port=50000 state=live client=192.0.2.1"
    text = LogFormatter(as_json=False, redactor=None).format(record(event))
    assert text == (
        "time=2023-11-14T22:13:20.500Z level=info logger=ringline.turn.x event=allocation "
        "port=50000 state=live client=192.0.2.1"
    )


def test_json_says_the_same() -> None:
    event = Event("allocation", port=50_000, client=Private("address", "192.0.2.1"))
    line = LogFormatter(as_json=True, redactor=None).format(record(event))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "info",
        "logger": "ringline.turn.x",
        "event": "allocation",
        "port": 50_000,
        "client": "192.0.2.1",
    }


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "name", ["\x1b[2Jx", "\x9b31mx", "x\x7f", "x\u2028y", "x\u202egnp.exe", "\x00", "a\x85b"]
)
def test_no_terminal_is_told_what_to_do(name: str, as_json: bool) -> None:
    formatter = LogFormatter(as_json=as_json, redactor=None)
    for said in (record(Event("e", user=Private("user", name))), record("%s", name)):
        line = formatter.format(said)
        assert line.isprintable()
        if as_json:
            assert name in json.loads(line).values()
    assert str(Event("e", user=Private("user", name))).isprintable()
    assert "né" in formatter.format(record(Event("e", user=Private("user", "né"))))


@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_breaks_the_line(as_json: bool) -> None:
    formatter = LogFormatter(as_json=as_json, redactor=None)
    nasty = 'x\nlevel=error message="forged"'
    for said in (record(Event("e", user=Private("user", nasty))), record("%s", nasty)):
        assert "\n" not in formatter.format(said)
        assert ' level=error message="forged"' not in formatter.format(said)


def test_pseudonyms_are_stable_and_differ_between_keys() -> None:
    ann = Private("user", "ann")
    assert REDACTOR.redact(ann) == REDACTOR.redact(Private("user", "ann"))
    assert REDACTOR.redact(ann).startswith("user-")
    assert REDACTOR.redact(ann) != REDACTOR.redact(Private("user", "bob"))
    assert REDACTOR.redact(ann) != Redactor(b"l" * 16).redact(ann)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("from 192.0.2.1:5000 to ('198.51.100.7', 9)", ("192.0.2.1", "198.51.100.7")),
        ("on [2001:db8::1]:3478, ::1 and fe80::1.", ("2001:db8::1", "::1", "fe80::1")),
        ("mapped ::ffff:192.0.2.1", ("192.0.2.1",)),
    ],
)
def test_addresses_are_found_by_their_form(text: str, hidden: tuple[str, ...]) -> None:
    shown = REDACTOR.redact(text)
    assert all(each not in shown for each in hidden)
    assert "address-" in shown


@pytest.mark.parametrize("text", ["at 12:34:56 o'clock", "version 1.2.3", "call 3f2a: live", ""])
def test_what_is_no_address_stays(text: str) -> None:
    assert REDACTOR.redact(text) == text


def test_an_address_has_one_pseudonym_wherever_it_stands() -> None:
    wrapped = REDACTOR.redact(Private("address", "192.0.2.1"))
    assert REDACTOR.redact("peer 192.0.2.1:7 left") == f"peer {wrapped}:7 left"


def test_tracebacks_are_redacted_too() -> None:
    failed = record("it failed")
    error = OSError("cannot reach 192.0.2.1")
    failed.exc_info = (OSError, error, None)
    line = LogFormatter(as_json=False, redactor=REDACTOR).format(failed)
    assert "192.0.2.1" not in line
    assert "cannot reach address-" in line
    assert "\n" not in line


def test_every_state_of_an_allocation_is_an_event(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="ringline.turn"):
        ann = bench.client()
        ann.allocate()
        ann.request(Method.REFRESH, (LIFETIME, 0))
    common = f"user=ann client={ann.socket.host} client_port=5000 transport=udp"
    assert [str(each.msg) for each in caplog.records] == [
        f"allocation port={ann.port} state=live {common} lifetime=600",
        f"allocation port={ann.port} state=ended {common}",
    ]


@pytest.mark.parametrize(("key", "value"), [("log_format", "xml"), ("log_level", "loud")])
def test_what_cannot_be_meant_is_named(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: expected .*{value}"):
        RunConfig(**{key: value})  # type: ignore[arg-type] # checked by itself
