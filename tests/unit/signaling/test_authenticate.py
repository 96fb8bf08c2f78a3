from __future__ import annotations

import pytest

from ringline.signaling.authenticate import authenticate_by_name, authenticate_by_token
from ringline.signaling.codes import ErrorCode
from ringline.signaling.errors import HelloRefusedError
from ringline.signaling.messages import Hello
from ringline.signaling.tokens import TokenKeys, mint_token

NOW = 1_800_000_000.0
KEYS = TokenKeys(keys={"1": b"k" * 32})


def test_a_token_says_who_it_is() -> None:
    token = mint_token(KEYS, "ann", wallclock=NOW)
    authenticate = authenticate_by_token(KEYS, lambda: NOW)
    assert authenticate(Hello(device="d", token=token, name="bob")) == "ann"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, ErrorCode.UNAUTHORIZED),
        ("nonsense", ErrorCode.UNAUTHORIZED),
        (mint_token(KEYS, "ann", wallclock=NOW - 7200), ErrorCode.TOKEN_EXPIRED),
    ],
)
def test_without_a_good_token_nobody_comes_in(token: str | None, code: ErrorCode) -> None:
    with pytest.raises(HelloRefusedError) as refused:
        authenticate_by_token(KEYS, lambda: NOW)(Hello(device="d", token=token, name="ann"))
    assert refused.value.code is code
    assert token is None or token not in str(refused.value)


def test_in_dev_mode_the_name_is_enough() -> None:
    assert authenticate_by_name(Hello(device="d", name="ann")) == "ann"


@pytest.mark.parametrize("name", [None, "", "a b", "a:b", "x" * 65, "\n"])
def test_impossible_names_are_refused(name: str | None) -> None:
    with pytest.raises(HelloRefusedError) as refused:
        authenticate_by_name(Hello(device="d", name=name))
    assert refused.value.code is ErrorCode.NAME_INVALID
