from __future__ import annotations

import pytest

from ringline.turn import ClientSocket
from ringline.turn.nonces import Nonces, SecurityFeature

CLIENT = ClientSocket("198.51.100.7", 5000)
NONCES = Nonces(bytes(32), lifetime=60.0)


def test_a_nonce_is_fresh_for_its_lifetime() -> None:
    nonce = NONCES.make(CLIENT, 10.0)
    assert NONCES.is_fresh(nonce, CLIENT, 10.0)
    assert NONCES.is_fresh(nonce, CLIENT, 69.9)
    assert not NONCES.is_fresh(nonce, CLIENT, 70.0)


@pytest.mark.parametrize(
    "other", [ClientSocket("198.51.100.8", 5000), ClientSocket("198.51.100.7", 5001)]
)
def test_a_nonce_is_good_at_one_socket_only(other: ClientSocket) -> None:
    assert not NONCES.is_fresh(NONCES.make(CLIENT, 10.0), other, 10.0)


def test_another_key_makes_other_nonces() -> None:
    other = Nonces(bytes(31) + b"1", lifetime=60.0)
    assert not other.is_fresh(NONCES.make(CLIENT, 10.0), CLIENT, 10.0)


@pytest.mark.parametrize(
    "nonce",
    [
        "",
        "0" * 36,
        "zz",
        "\u00e4" * 36,
        "f" * 700,
        "obMatJos2AAAB",
        "obMatJos2AAAB\u00e4",
        "obMatJos2AAABAA=A",
    ],
)
def test_invented_nonces_are_stale(nonce: str) -> None:
    assert not NONCES.is_fresh(nonce, CLIENT, 10.0)


def test_the_time_in_a_nonce_cannot_be_changed() -> None:
    nonce = NONCES.make(CLIENT, 10.0)
    later = NONCES.make(CLIENT, 90.0)
    split = len("obMatJos2AAAB") + 8  # where the time ends
    assert not NONCES.is_fresh(later[:split] + nonce[split:], CLIENT, 90.0)


def test_the_features_are_in_front_and_cannot_be_taken_away() -> None:
    both = SecurityFeature.PASSWORD_ALGORITHMS | SecurityFeature.USERNAME_ANONYMITY
    nonces = Nonces(bytes(32), lifetime=60.0, features=both)
    nonce = nonces.make(CLIENT, 10.0)
    assert nonce.startswith("obMatJos2AAAD")
    assert NONCES.make(CLIENT, 10.0).startswith("obMatJos2AAAB")
    assert not nonces.is_fresh(nonce.replace("AAAD", "AAAA", 1), CLIENT, 10.0)
