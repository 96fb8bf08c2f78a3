from __future__ import annotations

import pytest

from ringline.client.errors import LocalError
from ringline.client.key_file import make_key_file, parse_key_file
from ringline.signaling.tokens import mint_token, verify_token


def test_a_fresh_file_mints_tokens_that_it_verifies() -> None:
    keys = parse_key_file(make_key_file(), where="key")
    token = mint_token(keys, "desk", wallclock=1000.0)
    assert verify_token(keys, token, wallclock=1001.0) == "desk"


def test_the_random_bytes_are_the_key() -> None:
    keys = parse_key_file(make_key_file(lambda size: b"\x07" * size), where="key")
    assert list(keys.keys.values()) == [b"\x07" * 32]


def test_a_key_is_replaced_by_a_new_line_on_top() -> None:
    old, new = "01" * 32, "02" * 32
    before = parse_key_file(old, where="key")
    after = parse_key_file(f"# since today\n{new}\n\n{old}\n", where="key")
    token = mint_token(before, "lab", wallclock=1000.0)
    assert verify_token(after, token, wallclock=1001.0) == "lab"
    assert next(iter(after.keys.values())) == b"\x02" * 32


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected at least one token key"),
        ("# nothing\n", "expected at least one token key"),
        ("\nnot a key", "key, line 2: expected hexadecimal digits"),
        ("0102", "has 2 bytes"),
    ],
)
def test_a_bad_file_is_one_clear_line(text: str, reason: str) -> None:
    with pytest.raises(LocalError, match=reason):
        parse_key_file(text, where="key")


def test_a_key_never_reaches_a_message() -> None:
    secret = "ab" * 31 + "xy"
    with pytest.raises(LocalError) as caught:
        parse_key_file(secret, where="key")
    assert "abab" not in str(caught.value)
