from __future__ import annotations

import dataclasses

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import (
    URIS,
    ExtensionIds,
    HeaderExtensions,
    blank_stamps,
    parse_extensions,
    serialize_extensions,
)

IDS = ExtensionIds(
    mid=1, audio_level=2, absolute_send_time=4, transport_sequence_number=3, playout_delay=5
)
ONE_BYTE, TWO_BYTE = 0xBEDE, 0x1000


def test_each_extension_has_its_uri() -> None:
    assert list(URIS) == [field.name for field in dataclasses.fields(ExtensionIds)]


def test_all_extensions_fit_one_block() -> None:
    values = HeaderExtensions("a1", (True, 30), 0x123456, 0xABCD, (26, 1000))
    data = serialize_extensions(values, IDS)
    assert data.hex() == "bede0004" + "116131" + "209e" + "42123456" + "31abcd" + "5201a3e8"
    assert parse_extensions(ONE_BYTE, data[4:], IDS) == values


def test_what_was_not_negotiated_is_not_sent() -> None:
    values = HeaderExtensions("a", (True, 30), 1, 2, (0, 1))
    assert serialize_extensions(values, ExtensionIds()) == b""


def test_an_empty_mid_is_not_sent() -> None:
    assert serialize_extensions(HeaderExtensions(mid=""), IDS) == b""


def test_the_two_byte_form_is_read() -> None:
    data = bytes.fromhex("0302abcd" + "0000" + "010161" + "0900")
    values = parse_extensions(TWO_BYTE | 5, data, IDS)
    assert values == HeaderExtensions(mid="a", transport_sequence_number=0xABCD)


def test_unknown_numbers_and_forms_are_passed_over() -> None:
    data = bytes.fromhex("9100ff" + "31abcd" + "0000")
    assert parse_extensions(ONE_BYTE, data, IDS) == HeaderExtensions(
        transport_sequence_number=0xABCD
    )
    assert parse_extensions(0x1234, data, IDS) == HeaderExtensions()


def test_number_15_ends_the_block() -> None:
    assert parse_extensions(ONE_BYTE, bytes.fromhex("f031abcd"), IDS) == HeaderExtensions()


def test_number_0_with_a_length_ends_the_block() -> None:
    assert parse_extensions(ONE_BYTE, bytes.fromhex("01aabb31abcd0000"), IDS) == HeaderExtensions()


def test_odd_lengths_are_passed_over() -> None:
    data = bytes.fromhex("30ab" + "41abcd" + "000000")
    assert parse_extensions(ONE_BYTE, data, IDS) == HeaderExtensions()


@pytest.mark.parametrize(
    ("profile", "data"),
    [(ONE_BYTE, "31ab"), (ONE_BYTE, "3f"), (TWO_BYTE, "03"), (TWO_BYTE, "0305")],
)
def test_an_element_beyond_the_block_is_refused(profile: int, data: str) -> None:
    with pytest.raises(ParseError):
        parse_extensions(profile, bytes.fromhex(data), IDS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xbe\xde\x00",
        b"\xbe\xde\x00\x01",
        b"\xbe\xde\x00\x02\x00\x00\x00",
        b"\xbe\xde\x00\x01\x33ab\x00",
    ],
)
def test_stamps_of_a_header_that_is_cut_off_are_not_blanked(data: bytes) -> None:
    with pytest.raises(ParseError):
        blank_stamps(bytearray(data), 0, ExtensionIds(absolute_send_time=3))


def test_only_stamps_are_blanked_in_both_forms() -> None:
    ids = ExtensionIds(mid=1, absolute_send_time=2, transport_sequence_number=3)
    one = bytearray(b"csrc\xbe\xde\x00\x03\x10v\x22abc\x31de\0\0\0DATA")
    assert blank_stamps(one, 4, ids) == 20
    assert one == b"csrc\xbe\xde\x00\x03\x10v\x22\0\0\0\x31\0\0\0\0\0DATA"
    two = bytearray(b"\x10\x00\x00\x02\x01\x01v\x02\x03abcDATA")
    assert blank_stamps(two, 0, ids) == 12
    assert two == b"\x10\x00\x00\x02\x01\x01v\x02\x03\0\0\0DATA"
