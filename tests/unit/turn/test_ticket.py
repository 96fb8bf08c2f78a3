"""Mobility tickets: sealed for those who have the key, and noise for everybody else."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.turn.addresses import AddressFamily
from ringline.turn.ticket import EPOCHS, Ticket, Tickets, bind

KEY, OTHER = "k" * 32, "o" * 32
IPV4, IPV6 = AddressFamily.IPV4, AddressFamily.IPV6
TICKET = Ticket(b"abcd", 7, (IPV4, IPV6), 50_000, 1_700_000_640, b"1234")


def tickets(*keys: str, realm: str = "ringline", seed: int = 1) -> Tickets:
    return Tickets(keys, realm=realm, random_bytes=random.Random(seed).randbytes)


def test_what_one_server_of_a_fleet_seals_another_opens() -> None:
    assert tickets(KEY, seed=2).open(tickets(KEY).seal(TICKET)) == TICKET


def test_a_key_can_be_rotated() -> None:
    sealed = tickets(KEY).seal(TICKET)
    assert tickets(OTHER, KEY).open(sealed) == TICKET
    assert tickets(OTHER).open(sealed) is None
    assert tickets(KEY).open(tickets(OTHER, KEY).seal(TICKET)) is None


def test_another_realm_does_not_open_it() -> None:
    assert tickets(KEY, realm="elsewhere").open(tickets(KEY).seal(TICKET)) is None


def test_without_keys_a_server_opens_its_own_only() -> None:
    one = tickets(seed=1)
    sealed = one.seal(TICKET)
    assert one.open(sealed) == TICKET
    assert tickets(seed=2).open(sealed) is None


def test_a_ticket_changes_whole_with_each_use() -> None:
    one = tickets(KEY)
    first, second = one.seal(TICKET), one.seal(dataclasses.replace(TICKET, epoch=8))
    assert len(first) == len(second) == 32  # what coturn's client has room for
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 5


@pytest.mark.parametrize("families", [(IPV4,), (IPV6,), (IPV4, IPV6)])
@pytest.mark.parametrize("epoch", [0, EPOCHS - 1])
def test_a_ticket_is_read_as_it_was_written(
    families: tuple[AddressFamily, ...], epoch: int
) -> None:
    ticket = dataclasses.replace(TICKET, families=families, epoch=epoch, port=65_535)
    assert tickets(KEY).open(tickets(KEY).seal(ticket)) == ticket


def test_no_byte_of_a_ticket_is_zero() -> None:
    one = tickets(KEY)
    for epoch in range(300):
        ticket = dataclasses.replace(TICKET, epoch=epoch)
        sealed = one.seal(ticket)
        assert 0 not in sealed
        assert one.open(sealed) == ticket


def test_its_end_is_rounded_up_to_a_minute() -> None:
    late = tickets(KEY).seal(dataclasses.replace(TICKET, expires_at=1_700_000_581))
    assert tickets(KEY).open(late) == TICKET


def test_a_binding_is_of_one_owner_and_these_addresses() -> None:
    assert bind("ann", ("a", "b")) == bind("ann", ("b", "a"))
    assert len({bind("ann", ("a",)), bind("bob", ("a",)), bind("ann", ("b",))}) == 3


@pytest.mark.parametrize("position", [0, 3, 15, 16, -1])
def test_a_flipped_bit_opens_nothing(position: int) -> None:
    sealed = bytearray(tickets(KEY).seal(TICKET))
    sealed[position] ^= 1
    assert tickets(KEY).open(bytes(sealed)) is None


@given(st.binary(max_size=200))
def test_noise_opens_nothing_and_raises_nothing(data: bytes) -> None:
    assert tickets(KEY, OTHER).open(data) is None


@given(st.binary(min_size=32, max_size=32))
def test_noise_of_the_right_length_does_not_either(data: bytes) -> None:
    assert tickets(KEY, OTHER).open(data) is None


@pytest.mark.parametrize(("clock", "read"), [(0, 1_577_836_800), (1 << 40, 2_584_469_700)])
def test_a_clock_that_is_far_off_stops_no_ticket(clock: int, read: int) -> None:
    ticket = tickets(KEY).open(tickets(KEY).seal(dataclasses.replace(TICKET, expires_at=clock)))
    assert ticket is not None
    assert ticket.expires_at == read
