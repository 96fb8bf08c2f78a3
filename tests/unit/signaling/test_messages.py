from __future__ import annotations

import re

import msgspec
import pytest

from ringline.signaling import messages
from ringline.signaling.messages import (
    UNRELIABLE,
    CallEnd,
    CallMessage,
    ClientMessage,
    MediaKinds,
    Message,
    Name,
    ServerMessage,
)
from ringline.signaling.wire import WireFormat


def test_no_two_messages_share_a_name() -> None:
    kinds = set(ClientMessage.__args__) | set(ServerMessage.__args__)
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


def test_the_table_in_the_docstring_names_every_message() -> None:
    assert messages.__doc__ is not None
    table = set(re.findall(r"[a-z]+(?:\.[a-z]+)?", messages.__doc__.split("The road of a call")[0]))
    kinds = set(ClientMessage.__args__) | set(ServerMessage.__args__)
    assert {str(kind.__struct_config__.tag) for kind in kinds} <= table


def test_what_makes_a_session_has_no_number_and_all_about_calls_but_statistics_has() -> None:
    unnumbered_about_calls = [kind.__name__ for kind in UNRELIABLE if issubclass(kind, CallMessage)]
    assert unnumbered_about_calls == ["CallQuality"]
    assert all(issubclass(kind, Message) for kind in UNRELIABLE)


def test_what_a_page_reads_first_is_never_left_out() -> None:
    encode = WireFormat().encode
    end = encode(CallEnd(call="01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    assert b'"reason":"hangup"' in end
    invite = messages.CallInvite(
        call="01ARZ3NDEKTSV4RRFFQ69G5FAV", to="bob", media=MediaKinds(video=True)
    )
    assert b'"media":{"audio":true,"video":true}' in encode(invite)


@pytest.mark.parametrize("name", ["ann\n", "", "-ann", "a:b", "x" * 65])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Name)
