from __future__ import annotations

from ringline.turn.reservation import Reservation, Reservations

ONE = Reservation(b"token-01", 50_001, "203.0.113.1", "ann", "ann")


def test_a_reservation_is_claimed_once_by_its_user() -> None:
    reservations = Reservations()
    reservations.add(ONE, 0.0)
    assert reservations.claim(b"token-02", "ann") is None
    assert reservations.claim(ONE.token, "bob") is None
    assert reservations.claim(ONE.token, "ann") is ONE
    assert reservations.claim(ONE.token, "ann") is None
    assert len(reservations) == 0
    assert reservations.pop_expired(99.0) == []


def test_an_unclaimed_reservation_ends_after_half_a_minute() -> None:
    reservations = Reservations()
    reservations.add(ONE, 10.0)
    assert reservations.next_expiry() == 40.0
    assert reservations.pop_expired(39.9) == []
    assert reservations.pop_expired(40.0) == [ONE]
    assert reservations.next_expiry() is None
