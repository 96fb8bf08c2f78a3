from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.turn.errors import ParseError
from ringline.turn.server_url import MAX_URL_LENGTH, ServerUrl, parse_server_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("stun:relay.example", ("stun", "relay.example", 3478, "udp")),
        ("stuns:relay.example", ("stuns", "relay.example", 5349, "tcp")),
        ("turn:192.0.2.1:99", ("turn", "192.0.2.1", 99, "udp")),
        ("turn:relay.example?transport=tcp", ("turn", "relay.example", 3478, "tcp")),
        ("turns:relay.example:443", ("turns", "relay.example", 443, "tcp")),
        ("TURNS:relay.example?transport=UDP", ("turns", "relay.example", 5349, "udp")),
        ("turn:[2001:db8::1]:3478", ("turn", "2001:db8::1", 3478, "udp")),
        ("turns:[2001:db8:0::1]?transport=tcp", ("turns", "2001:db8:0::1", 5349, "tcp")),
        ("stun:[::ffff:192.0.2.1]", ("stun", "::ffff:192.0.2.1", 3478, "udp")),
        ("turn:relay.example?transport=sctp", ("turn", "relay.example", 3478, "sctp")),
    ],
)
def test_a_url_is_taken_apart(url: str, parts: tuple[str, str, int, str]) -> None:
    found = parse_server_url(url)
    assert found == ServerUrl(*parts)
    assert found.relays == url.lower().startswith("turn")
    assert found.secure == (url.lower().partition(":")[0] in ("stuns", "turns"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relay.example:3478",
        "http://relay.example",
        "turn:",
        "turn:relay.example:0",
        "turn:relay.example:65536",
        "turn:relay.example:123456",
        "turn:relay.example:\u0661",
        "turn:relay.example\n",
        "turn:alice@relay.example",
        "turn:2001:db8::1",
        "turn:[relay.example]",
        "turn:[2001:db8::1",
        "turn:[2001:db8:::1]",
        "turn:[fe80::1%25eth0]",
        "turn:relay.example?transport=",
        "stun:relay.example?transport=udp",
        "turn:" + MAX_URL_LENGTH * "a",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ParseError):
        parse_server_url(url)


@given(st.text() | st.from_regex(r"turns?:\[?[0-9a-f:.]{0,40}\]?(:[0-9]{0,6})?(\?transport=.*)?"))
def test_any_text_is_taken_or_refused(url: str) -> None:
    with contextlib.suppress(ParseError):
        found = parse_server_url(url)
        assert found.scheme in ("stun", "stuns", "turn", "turns")
        assert found.host
        assert 0 < found.port < 1 << 16
