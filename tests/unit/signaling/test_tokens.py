from __future__ import annotations

import jwt
import pytest

from ringline.signaling.errors import TokenError, TokenExpiredError
from ringline.signaling.tokens import TokenKeys, mint_token, verify_token

NOW = 1_800_000_000.0
OLD, NEW = b"o" * 32, b"n" * 32
KEYS = TokenKeys(keys={"2": NEW, "1": OLD})


def test_a_minted_token_stands_for_its_name() -> None:
    assert verify_token(KEYS, mint_token(KEYS, "ann", wallclock=NOW), wallclock=NOW) == "ann"


def test_the_first_key_mints_and_an_older_one_is_still_good() -> None:
    token = mint_token(KEYS, "ann", wallclock=NOW)
    assert jwt.get_unverified_header(token)["kid"] == "2"
    older = mint_token(TokenKeys(keys={"1": OLD}), "ann", wallclock=NOW)
    assert verify_token(KEYS, older, wallclock=NOW) == "ann"


def test_a_key_that_was_taken_out_is_good_no_more() -> None:
    older = mint_token(TokenKeys(keys={"1": OLD}), "ann", wallclock=NOW)
    with pytest.raises(TokenError, match="key that this server does not have"):
        verify_token(TokenKeys(keys={"2": NEW}), older, wallclock=NOW)


def test_a_token_expires_but_for_the_clocks_difference() -> None:
    token = mint_token(KEYS, "ann", wallclock=NOW, lifetime=60.0)
    assert verify_token(KEYS, token, wallclock=NOW + 69.0) == "ann"
    with pytest.raises(TokenExpiredError):
        verify_token(KEYS, token, wallclock=NOW + 70.0)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é" * 8])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        verify_token(KEYS, token, wallclock=NOW)


def test_a_forged_signature_is_refused() -> None:
    forged = mint_token(TokenKeys(keys={"2": b"x" * 32}), "ann", wallclock=NOW)
    with pytest.raises(TokenError, match="not valid"):
        verify_token(KEYS, forged, wallclock=NOW)


def test_an_unsigned_token_is_refused() -> None:
    claims = {"sub": "ann", "iss": "ringline", "exp": NOW + 60}
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": "2"})
    with pytest.raises(TokenError):
        verify_token(KEYS, unsigned, wallclock=NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "ann", "iss": "ringline", "exp": NOW + 86_400},  # good for a day
        {"sub": "ann", "iss": "ringline", "exp": NOW + 60, "iat": NOW + 60},  # of the future
        {"sub": "ann", "iss": "other", "exp": NOW + 60},
        {"sub": "a:b", "iss": "ringline", "exp": NOW + 60},
        {"sub": "ann", "iss": "ringline"},
        {"iss": "ringline", "exp": NOW + 60},
    ],
)
def test_claims_that_no_issuer_of_ours_makes_are_refused(claims: dict[str, object]) -> None:
    token = jwt.encode(claims, NEW, algorithm="HS256", headers={"kid": "2"})
    with pytest.raises(TokenError):
        verify_token(KEYS, token, wallclock=NOW)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "-a", "x" * 65])
def test_impossible_names_are_not_minted(name: str) -> None:
    with pytest.raises(ValueError, match="no possible name"):
        mint_token(KEYS, name, wallclock=NOW)


def test_tokens_are_not_minted_for_longer_than_an_hour() -> None:
    with pytest.raises(ValueError, match="lifetime"):
        mint_token(KEYS, "ann", wallclock=NOW, lifetime=3601.0)


def test_short_or_missing_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        TokenKeys(keys={"1": b"short"})
    with pytest.raises(ValueError, match="at least one"):
        TokenKeys(keys={})


def test_keys_do_not_show_in_a_log() -> None:
    assert "ooo" not in repr(KEYS)
