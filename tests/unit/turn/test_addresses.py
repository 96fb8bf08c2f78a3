from __future__ import annotations

import pytest

from ringline.turn import ClientSocket
from ringline.turn.addresses import pack_host, unpack_host


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
