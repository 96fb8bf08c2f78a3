from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.red import RedBlock, parse_red, serialize_red


def test_the_primary_alone_is_one_byte_before_the_media() -> None:
    assert serialize_red([RedBlock(96, 0, b"picture")]) == b"\x60picture"
    assert parse_red(b"\x60picture") == [RedBlock(96, 0, b"picture")]


def test_redundant_blocks_are_laid_out_as_in_rfc_2198() -> None:
    blocks = [RedBlock(111, 1920, b"ab"), RedBlock(111, 960, b""), RedBlock(111, 0, b"cde")]
    data = serialize_red(blocks)
    assert data == bytes.fromhex("ef 1e0002 ef 0f0000 6f") + b"abcde"
    assert parse_red(data) == blocks


def test_a_primary_may_be_empty() -> None:
    assert parse_red(b"\x6f") == [RedBlock(111, 0, b"")]


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [RedBlock(111, 16_384, b"x"), RedBlock(111, 0, b"y")],
        [RedBlock(111, -1, b"x"), RedBlock(111, 0, b"y")],
        [RedBlock(111, 960, bytes(1_024)), RedBlock(111, 0, b"y")],
    ],
)
def test_what_has_no_room_in_a_header_is_refused(blocks: list[RedBlock]) -> None:
    with pytest.raises(ValueError, match="RED"):
        serialize_red(blocks)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes.fromhex("ef1e"),  # a header cut off
        bytes.fromhex("ef1e0002"),  # no primary
        bytes.fromhex("ef1e00026f") + b"a",  # a block cut off
        bytes.fromhex("ef000000") * 16 + b"\x6f",  # more blocks than anybody sends
    ],
)
def test_malformed_packets_are_refused(payload: bytes) -> None:
    with pytest.raises(ParseError):
        parse_red(payload)
