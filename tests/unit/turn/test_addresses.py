from __future__ import annotations

import pytest

from ringline.turn import ClientSocket
from ringline.turn.addresses import pack_host, parse_address, unpack_host


@pytest.mark.parametrize(
    ("packed", "host"),
    [
        (bytes([192, 0, 2, 1]), "192.0.2.1"),
        (bytes(15) + b"\x01", "::1"),
        (bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"),
    ],
)
def test_a_host_has_one_spelling(packed: bytes, host: str) -> None:
    assert unpack_host(packed) == host
    assert pack_host(host) == packed


@pytest.mark.parametrize("host", ["", "relay.example", "1.2.3", "1.2.3.4.5", "::g", "01.2.3.4"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ValueError):
        pack_host(host)


def test_a_client_socket_is_told_from_one_over_another_transport() -> None:
    client = ClientSocket("192.0.2.1", 5)
    assert client.address == ("192.0.2.1", 5)
    assert tuple(client) != ("192.0.2.1", 5)
    assert client == ClientSocket("192.0.2.1", 5, "udp")


@pytest.mark.parametrize(
    ("text", "address"),
    [("192.0.2.1:3478", ("192.0.2.1", 3478)), ("[2001:DB8::1]:1", ("2001:db8::1", 1))],
)
def test_an_address_is_written_with_its_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "host:1", "2001:db8::1:1"],
)
def test_an_address_without_a_good_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_address(text)
