from __future__ import annotations

import itertools
import random

import pytest

from ringline.turn.ports import PortPool


def pool(first: int = 50_000, last: int = 50_009) -> PortPool:
    return PortPool(first, last, random.Random(1))


def test_every_port_is_given_once_and_then_none() -> None:
    ports = pool()
    taken = [ports.take() for _ in range(10)]
    assert sorted(port for port in taken if port is not None) == list(range(50_000, 50_010))
    assert ports.take() is None
    ports.release(50_003)
    assert ports.take() == 50_003


def test_even_ports_are_even() -> None:
    ports = pool(first=50_001)
    taken = [ports.take_even() for _ in range(4)]
    assert sorted(port for port in taken if port is not None) == [50_002, 50_004, 50_006, 50_008]
    assert ports.take_even() is None


def test_a_pair_is_an_even_port_and_the_next() -> None:
    ports = pool(first=50_000, last=50_004)
    first, second = ports.take_pair(), ports.take_pair()
    assert {first, second} == {50_000, 50_002}
    assert ports.take_pair() is None  # 50005 is not ours
    assert ports.take() == 50_004
    assert len(ports) == 5


def test_a_pair_needs_both_ports() -> None:
    ports = pool(first=50_000, last=50_001)
    assert ports.take_even() == 50_000
    assert ports.take_pair() is None
    ports.release(50_000)
    assert ports.take_pair() == 50_000


def test_twenty_thousand_cycles_leak_no_port() -> None:
    ports = pool()
    for _ in range(20_000):
        even, pair = ports.take_even(), ports.take_pair()
        assert even is not None
        assert pair is not None
        for port in (even, pair, pair + 1):
            ports.release(port)
    assert len(ports) == 0


def test_ports_come_in_no_order_that_can_be_guessed() -> None:
    ports = PortPool(49_152, 65_535, random.SystemRandom())
    taken = [ports.take() or 0 for _ in range(64)]
    steps = [b - a for a, b in itertools.pairwise(taken)]
    assert len(set(steps)) > 32


def test_a_port_that_is_free_cannot_be_released() -> None:
    with pytest.raises(KeyError):
        pool().release(50_000)


def test_a_range_without_an_even_port_gives_none() -> None:
    assert pool(first=50_001, last=50_001).take_even() is None
