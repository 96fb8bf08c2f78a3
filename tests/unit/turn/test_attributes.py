from __future__ import annotations

from typing import Any

import pytest

from ringline.turn import ParseError
from ringline.turn.attributes import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDRESS_ERROR_CODE,
    ALTERNATE_SERVER,
    ATTRIBUTES,
    CHANNEL_NUMBER,
    DONT_FRAGMENT,
    ERROR_CODE,
    EVEN_PORT,
    LIFETIME,
    NONCE,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    XOR_PEER_ADDRESS,
    Attribute,
)

ID = bytes(range(12))


def test_the_table_has_each_number_once_and_in_order() -> None:
    numbers = [row.number for row in ATTRIBUTES]
    assert numbers == sorted(set(numbers))
    assert len({row.name for row in ATTRIBUTES}) == len(ATTRIBUTES)


@pytest.mark.parametrize(
    ("attribute", "value", "data"),
    [
        (LIFETIME, 600, "00000258"),
        (CHANNEL_NUMBER, 0x4001, "40010000"),
        (REQUESTED_TRANSPORT, 17, "11000000"),
        (EVEN_PORT, True, "80"),
        (EVEN_PORT, False, "00"),
        (DONT_FRAGMENT, True, ""),
        (USERNAME, "\u00e4", "c3a4"),
        (ERROR_CODE, (438, "Stale"), "000004265374616c65"),
        (ADDITIONAL_ADDRESS_FAMILY, 2, "02000000"),
        (ADDRESS_ERROR_CODE, (2, 440, "No"), "020004284e6f"),
        (UNKNOWN_ATTRIBUTES, (0x7F01, 2), "7f010002"),
        (RESERVATION_TOKEN, b"12345678", "3132333435363738"),
        (ALTERNATE_SERVER, ("192.0.2.1", 3478), "00010d96c0000201"),
        (ALTERNATE_SERVER, ("2001:db8::1", 1), "0002000120010db8000000000000000000000001"),
        (XOR_PEER_ADDRESS, ("192.0.2.1", 3478), "00012c84e112a643"),
    ],
)
def test_values_have_their_form_on_the_wire(
    attribute: Attribute[Any], value: object, data: str
) -> None:
    assert attribute.encode(value, ID).hex() == data
    assert attribute.decode(bytes.fromhex(data), ID) == value


@pytest.mark.parametrize(
    ("attribute", "data"),
    [
        (LIFETIME, "0258"),
        (CHANNEL_NUMBER, "4001"),
        (EVEN_PORT, "8000"),
        (DONT_FRAGMENT, "00"),
        (USERNAME, "ff"),
        (USERNAME, "61" * 509),
        (NONCE, "61" * 764),
        (ERROR_CODE, "000004"),
        (ERROR_CODE, "00000200"),
        (ERROR_CODE, "00000464"),
        (ADDITIONAL_ADDRESS_FAMILY, "0200"),
        (ADDRESS_ERROR_CODE, "020004"),
        (ADDRESS_ERROR_CODE, "02000764"),
        (UNKNOWN_ATTRIBUTES, "7f"),
        (RESERVATION_TOKEN, "31323334353637"),
        (XOR_PEER_ADDRESS, "0001"),
        (XOR_PEER_ADDRESS, "00032c84e112a643"),
        (XOR_PEER_ADDRESS, "00022c84e112a643"),
        (XOR_PEER_ADDRESS, "00012c84e112a64300"),
    ],
)
def test_malformed_values_are_parse_errors(attribute: Attribute[Any], data: str) -> None:
    with pytest.raises(ParseError):
        attribute.decode(bytes.fromhex(data), ID)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (LIFETIME, -1),
        (CHANNEL_NUMBER, 0x10000),
        (USERNAME, "a" * 509),
        (RESERVATION_TOKEN, b"1"),
        (XOR_PEER_ADDRESS, ("nowhere", 1)),
    ],
)
def test_values_without_a_form_on_the_wire_are_refused(
    attribute: Attribute[Any], value: object
) -> None:
    with pytest.raises(ValueError):
        attribute.encode(value, ID)


def test_the_mask_of_an_ipv6_address_has_the_transaction_id_in_it() -> None:
    address = ("2001:db8::1", 1)
    masked = XOR_PEER_ADDRESS.encode(address, ID)
    assert XOR_PEER_ADDRESS.decode(masked, ID) == address
    assert XOR_PEER_ADDRESS.decode(masked, bytes(12)) != address
