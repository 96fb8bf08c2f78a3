from __future__ import annotations

import pytest

from ringline.turn import ParseError
from ringline.turn.channel_data import (
    is_channel_data,
    parse_channel_data,
    serialize_channel_data,
)


def test_number_and_payload_come_back() -> None:
    data = serialize_channel_data(0x4001, b"hello")
    assert data == b"\x40\x01\x00\x05hello"
    assert is_channel_data(data)
    assert parse_channel_data(data) == (0x4001, b"hello")


def test_padding_is_ignored() -> None:
    assert parse_channel_data(b"\x40\x01\x00\x05hello\x00\x00\x00") == (0x4001, b"hello")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x40\x01\x00", b"\x40\x01\x00\x05hell", b"\x00\x01\x00\x00", b"\x80\x01\x00\x00"],
)
def test_what_breaks_the_format_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_channel_data(data)
