from __future__ import annotations

import base64
import hmac

import pytest

from ringline.turn import mint
from ringline.turn.credentials import Credentials
from ringline.turn.long_term import user_hash

NOW = 1_700_000_000.0


def credentials(*secrets: str) -> Credentials:
    return Credentials(users={"ann": "pa"}, secrets=secrets, max_lifetime=3600.0, realm="ringline")


def test_static_users_are_found_by_the_hash_of_their_name() -> None:
    assert credentials().find_hashed(user_hash("ann", "ringline")) == "ann"
    assert credentials().find_hashed(user_hash("ann", "elsewhere")) is None
    assert credentials().can_be_hashed
    assert not credentials("s").can_be_hashed  # whom it will be minted for is not known


def test_minting_follows_the_common_form() -> None:
    minted = mint("s3cret", user="bob", call="3f2a", expires_at=NOW + 0.2)
    assert minted.username == "1700000001:bob:3f2a"
    digest = hmac.digest(b"s3cret", minted.username.encode(), "sha1")
    assert minted.password == base64.b64encode(digest).decode()


def test_a_minted_credential_is_accepted_until_it_expires() -> None:
    minted = mint("s3cret", user="bob", call="3f2a", expires_at=NOW + 600)
    accepted = credentials("s3cret")
    assert accepted.passwords(minted.username) == (minted.password,)
    assert accepted.may_allocate(minted.username, NOW)
    assert accepted.may_allocate(minted.username, NOW + 599)
    assert not accepted.may_allocate(minted.username, NOW + 600)


def test_the_old_secret_goes_on_while_the_new_one_is_brought_in() -> None:
    old = mint("old", user="bob", call="1", expires_at=NOW + 600)
    new = mint("new", user="bob", call="2", expires_at=NOW + 600)
    accepted = credentials("new", "old")
    assert old.password in accepted.passwords(old.username)
    assert new.password in accepted.passwords(new.username)


def test_a_credential_minted_for_ever_is_not_trusted() -> None:
    minted = mint("s3cret", user="bob", call="1", expires_at=NOW + 3601)
    assert not credentials("s3cret").may_allocate(minted.username, NOW)


def test_static_users_have_their_password_and_no_expiry() -> None:
    accepted = credentials()
    assert accepted.passwords("ann") == ("pa",)
    assert accepted.may_allocate("ann", NOW)
    assert accepted.quota_name("ann") == "ann"


@pytest.mark.parametrize(
    "username", ["", "bob", "x:bob:1", ":bob", "-5:bob", "9" * 13 + ":bob", "\u0661:b"]
)
def test_other_names_have_no_password(username: str) -> None:
    accepted = credentials("s3cret")
    assert accepted.passwords(username) == ()
    assert not accepted.may_allocate(username, NOW)


def test_quota_counts_the_user_whatever_the_call() -> None:
    accepted = credentials("s3cret")
    assert accepted.quota_name("1700000600:bob:1") == "bob"
    assert accepted.quota_name("1700000900:bob:2") == "bob"
    assert accepted.quota_name("1700000900:bob") == "bob"


@pytest.mark.parametrize(("user", "call"), [("a:b", "1"), ("a", "1:2")])
def test_a_colon_in_a_part_is_refused(user: str, call: str) -> None:
    with pytest.raises(ValueError, match="colon"):
        mint("s3cret", user=user, call=call, expires_at=NOW)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        mint("", user="bob", call="1", expires_at=NOW)


def test_a_password_is_not_shown() -> None:
    minted = mint("s3cret", user="bob", call="1", expires_at=NOW)
    assert minted.password not in repr(minted)
