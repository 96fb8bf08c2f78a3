from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ringline.signaling import messages
from ringline.signaling.errors import ParseError, UnsupportedError
from ringline.signaling.messages import CallCancel, Message
from ringline.signaling.wire import WireFormat

VECTORS = Path(__file__).parents[2] / "vectors" / "signaling"
WIRE = WireFormat()


def lines(name: str) -> list[str]:
    return (VECTORS / name).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("name", "parse"),
    [("client.jsonl", WIRE.parse_client_message), ("server.jsonl", WIRE.parse_server_message)],
)
def test_golden_vectors_parse_and_are_what_we_send(
    name: str, parse: Callable[[str], Message]
) -> None:
    for line in lines(name):
        assert WIRE.encode(parse(line)).decode() == line


@pytest.mark.parametrize(
    ("name", "union"),
    [("client.jsonl", messages.ClientMessage), ("server.jsonl", messages.ServerMessage)],
)
def test_there_is_a_golden_vector_of_every_message(name: str, union: object) -> None:
    parse = WIRE.parse_client_message if name == "client.jsonl" else WIRE.parse_server_message
    kinds: tuple[type, ...] = union.__args__  # type: ignore[attr-defined] # of a union
    assert {type(parse(line)) for line in lines(name)} == set(kinds)


@pytest.mark.parametrize("line", lines("malformed_client.jsonl"))
def test_malformed_messages_are_refused(line: str) -> None:
    with pytest.raises(ParseError):
        WIRE.parse_client_message(line)


def test_unknown_fields_are_ignored() -> None:
    call = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    text = f'{{"t":"call.cancel","call":"{call}","later":{{"deep":[1,{{}}]}}}}'
    assert WIRE.parse_client_message(text) == CallCancel(call=call)


def test_an_unknown_type_is_told_apart_with_its_number() -> None:
    for parse in (WIRE.parse_client_message, WIRE.parse_server_message):
        with pytest.raises(UnsupportedError) as unsupported:
            parse('{"t":"later","seq":7,"id":"m9"}')
        assert (unsupported.value.seq, unsupported.value.ref) == (7, "m9")


@pytest.mark.parametrize("seq", ["-1", "9007199254740992", '"x"', "1e400"])
def test_a_number_out_of_bounds_is_no_number(seq: str) -> None:
    with pytest.raises(ParseError) as error:
        WIRE.parse_client_message(f'{{"t":"later","seq":{seq}}}')
    assert error.value.seq == 0


def test_deep_nesting_is_no_harm() -> None:
    for text in ("[" * 100_000, '{"t":"ping","x":' + '{"a":' * 100_000):
        with pytest.raises(ParseError):
            WIRE.parse_client_message(text)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ParseError):
        WIRE.parse_client_message(b'{"t":"ping","id":"\xff"}')
    with pytest.raises(ParseError):
        WIRE.parse_client_message('{"t":"ping","id":"\ud800"}')
