"""A server that drains moves the clients that can be moved, and keeps the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringline.turn.attributes import ALTERNATE_SERVER, DRAIN_AWARE, LIFETIME
from ringline.turn.commands import CloseRelay
from ringline.turn.stun import Message, MessageClass, Method
from tests.unit.turn.conftest import Bench

MakeBench = Callable[..., Bench]
CodeOf = Callable[[Message], int]
AWARE = (DRAIN_AWARE, True)


def test_a_client_that_can_move_is_told_where_to_and_keeps_its_relay_until_it_has(
    make_bench: MakeBench, code_of: CodeOf
) -> None:
    bench = make_bench(alternate_server="192.0.2.9:3479")
    ann = bench.client()
    ann.allocate()
    assert ann.ask(Method.REFRESH, AWARE).get(LIFETIME) == 600
    bench.server.drain()
    answer = ann.ask(Method.REFRESH, AWARE)
    assert code_of(answer) == 300
    assert answer.get(ALTERNATE_SERVER) == ("192.0.2.9", 3479)
    kept = ann.ask(Method.REFRESH)
    assert kept.get(LIFETIME) == 600
    assert kept.get(DRAIN_AWARE) is None
    ended, closed = ann.request(Method.REFRESH, (LIFETIME, 0), AWARE)
    assert ann.answer([ended]).message_class is MessageClass.SUCCESS
    assert closed == CloseRelay(ann.port)
    assert code_of(ann.ask(Method.REFRESH, AWARE)) == 437


def test_a_client_that_cannot_move_goes_on(make_bench: MakeBench) -> None:
    bench = make_bench(alternate_server="192.0.2.9:3479")
    ann = bench.client()
    ann.allocate()
    bench.server.drain()
    answer = ann.ask(Method.REFRESH)
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.get(DRAIN_AWARE) is None


@pytest.mark.parametrize("drains", [False, True])
def test_a_server_that_knows_no_other_says_in_the_answer_that_it_drains(
    bench: Bench, drains: bool
) -> None:
    ann = bench.client()
    ann.allocate()
    if drains:
        bench.server.drain()
    answer = ann.ask(Method.REFRESH, AWARE)
    assert answer.get(LIFETIME) == 600
    assert answer.get(DRAIN_AWARE) is (True if drains else None)
