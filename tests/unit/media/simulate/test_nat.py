from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.media.simulate.nat import (
    CONE,
    FULL_CONE,
    SYMMETRIC,
    Address,
    Nat,
    NatConfig,
    NatStats,
    Scope,
)

PUBLIC, OTHER_PUBLIC = "198.51.100.1", "198.51.100.2"
INSIDE: Address = ("10.0.0.2", 5000)
NEIGHBOUR: Address = ("10.0.0.3", 5000)
SERVER: Address = ("203.0.113.1", 3478)
SAME_HOST: Address = ("203.0.113.1", 3479)
STRANGER: Address = ("203.0.113.9", 3478)


def make_nat(config: NatConfig, address: str = PUBLIC) -> Nat:
    rng = random.Random(1)
    return Nat(config, public_address=address, rng=rng)


def test_a_cone_has_one_public_port_for_all_peers() -> None:
    nat = make_nat(CONE)
    for peer in (SERVER, SAME_HOST, STRANGER):
        assert nat.handle_outbound(INSIDE, peer, 0.0) == (PUBLIC, 5000)


def test_a_symmetric_nat_has_another_for_each() -> None:
    nat = make_nat(SYMMETRIC)
    ports = {nat.handle_outbound(INSIDE, peer, 0.0)[1] for peer in (SERVER, SAME_HOST, STRANGER)}
    assert len(ports) == 3
    assert 5000 not in ports


def test_an_address_dependent_mapping_has_one_for_each_host() -> None:
    nat = make_nat(NatConfig(mapping=Scope.ADDRESS_DEPENDENT))
    first, same, other = (
        nat.handle_outbound(INSIDE, peer, 0.0) for peer in (SERVER, SAME_HOST, STRANGER)
    )
    assert first == same != other


def test_a_port_that_is_taken_is_not_given_twice() -> None:
    nat = make_nat(CONE)
    assert nat.handle_outbound(INSIDE, SERVER, 0.0)[1] == 5000
    assert nat.handle_outbound(NEIGHBOUR, SERVER, 0.0)[1] != 5000


@pytest.mark.parametrize(
    ("filtering", "who_gets_in"),
    [
        (Scope.ENDPOINT_INDEPENDENT, [True, True, True]),
        (Scope.ADDRESS_DEPENDENT, [True, True, False]),
        (Scope.ADDRESS_AND_PORT_DEPENDENT, [True, False, False]),
    ],
)
def test_a_filter_lets_in_who_was_sent_to(filtering: Scope, who_gets_in: list[bool]) -> None:
    nat = make_nat(NatConfig(filtering=filtering))
    public = nat.handle_outbound(INSIDE, SERVER, 0.0)
    got = [nat.handle_inbound(peer, public, 0.0) for peer in (SERVER, SAME_HOST, STRANGER)]
    assert got == [INSIDE if gets_in else None for gets_in in who_gets_in]
    refused = who_gets_in.count(False)
    assert nat.stats == NatStats(outbound=1, inbound=3 - refused, filtered=refused)


def test_nobody_gets_in_where_nothing_went_out() -> None:
    nat = make_nat(FULL_CONE)
    assert nat.handle_inbound(SERVER, (PUBLIC, 5000), 0.0) is None
    nat.handle_outbound(INSIDE, SERVER, 0.0)
    assert nat.handle_inbound(SERVER, (OTHER_PUBLIC, 5000), 0.0) is None
    assert nat.stats == NatStats(outbound=1, unmapped=2)


def test_a_mapping_ends_without_outbound_traffic_whatever_comes_in() -> None:
    nat = make_nat(CONE)
    public = nat.handle_outbound(INSIDE, SERVER, 0.0)
    assert nat.handle_inbound(SERVER, public, 119.0) == INSIDE
    assert nat.handle_inbound(SERVER, public, 120.0) is None


def test_outbound_traffic_keeps_a_mapping() -> None:
    nat = make_nat(SYMMETRIC)
    public = nat.handle_outbound(INSIDE, SERVER, 0.0)
    assert nat.handle_outbound(INSIDE, SERVER, 100.0) == public
    assert nat.handle_inbound(SERVER, public, 200.0) == INSIDE
    assert nat.handle_outbound(INSIDE, SERVER, 500.0) != public


def test_the_port_of_a_mapping_that_is_over_is_free_again() -> None:
    nat = make_nat(CONE)
    nat.handle_outbound(INSIDE, SERVER, 0.0)
    assert nat.handle_outbound(NEIGHBOUR, SERVER, 120.0) == (PUBLIC, 5000)
    assert nat.handle_inbound(SERVER, (PUBLIC, 5000), 120.0) == NEIGHBOUR


def test_two_inside_meet_outside_only_where_it_hairpins() -> None:
    for hairpinning, expected in ((False, None), (True, NEIGHBOUR)):
        nat = make_nat(NatConfig(hairpinning=hairpinning))
        first = nat.handle_outbound(INSIDE, SERVER, 0.0)
        second = nat.handle_outbound(NEIGHBOUR, first, 0.0)
        assert nat.handle_inbound(first, second, 0.0) is expected


def test_a_restarted_router_knows_nobody() -> None:
    nat = make_nat(CONE)
    public = nat.handle_outbound(INSIDE, SERVER, 0.0)
    nat.forget()
    assert nat.handle_inbound(SERVER, public, 0.0) is None


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [(CONE, CONE, True), (CONE, SYMMETRIC, False), (SYMMETRIC, SYMMETRIC, False)],
)
def test_holes_are_punched_through_cones_alone(
    first: NatConfig, second: NatConfig, meet: bool
) -> None:
    """Both learn their public address from a server, then send to the other's."""
    nats = make_nat(first), make_nat(second, OTHER_PUBLIC)
    learned = [nat.handle_outbound(INSIDE, SERVER, 0.0) for nat in nats]
    sources = [
        nat.handle_outbound(INSIDE, target, 1.0)
        for nat, target in zip(nats, reversed(learned), strict=True)
    ]
    arrived = [
        nat.handle_inbound(source, target, 1.0)
        for nat, source, target in zip(nats, reversed(sources), learned, strict=True)
    ]
    assert arrived == [INSIDE if meet else None] * 2


def test_a_timeout_must_be_positive() -> None:
    with pytest.raises(ValueError, match="timeout must be positive"):
        NatConfig(timeout=0.0)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), max_size=40),
    st.sampled_from([CONE, FULL_CONE, SYMMETRIC, NatConfig(mapping=Scope.ADDRESS_DEPENDENT)]),
)
def test_an_answer_always_finds_who_asked(
    traffic: list[tuple[int, int, int]], config: NatConfig
) -> None:
    nat = make_nat(config)
    for host, peer, port in traffic:
        inside, outside = (f"10.0.0.{host}", 5000), (f"203.0.113.{peer}", port)
        public = nat.handle_outbound(inside, outside, 0.0)
        assert nat.handle_inbound(outside, public, 0.0) == inside
