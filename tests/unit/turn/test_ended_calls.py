from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ringline.turn import CloseRelay, mint
from ringline.turn.attributes import LIFETIME, REQUESTED_TRANSPORT
from ringline.turn.ended_calls import REMEMBERED, EndedCalls
from ringline.turn.stun import Message, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

CodeOf = Callable[[Message], int]
MakeBench = Callable[..., "Bench"]
UDP = (REQUESTED_TRANSPORT, 17)


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench(secrets=("secret",), users={"carl": "pc"})


def in_call(bench: Bench, user: str, call: str, port: int) -> Client:
    made = mint("secret", user=user, call=call, expires_at=bench.wall_clock + 600)
    return bench.client(made.username, made.password, port=port)


def test_the_allocations_of_an_ended_call_go_on_for_a_grace_and_no_longer(bench: Bench) -> None:
    ann, bob = in_call(bench, "ann", "c1", 1), in_call(bench, "bob", "c1", 2)
    other, static = in_call(bench, "ann", "c2", 3), bench.client("carl", "pc", port=4)
    for client in (ann, bob, other, static):
        client.allocate()
    bench.server.handle_call_ended("c1", bench.now)
    bench.server.handle_call_ended("c1", bench.now + 5.0)  # said twice
    assert bench.server.poll_timeout() == bench.now + 10.0
    assert bench.advance(9.9) == []
    assert bench.advance(0.1) == [CloseRelay(ann.port), CloseRelay(bob.port)]
    assert bench.server.metrics.allocations == 2
    assert bench.advance(5.0) == []


def test_an_ended_call_gets_no_new_allocation(bench: Bench, code_of: CodeOf) -> None:
    ann = in_call(bench, "ann", "c1", 1)
    ann.allocate()
    bench.server.handle_call_ended("c1", bench.now)
    assert code_of(in_call(bench, "ann", "c1", 2).ask(Method.ALLOCATE, UDP)) == 403
    assert code_of(ann.ask(Method.REFRESH)) == 0  # within the grace
    assert code_of(in_call(bench, "ann", "c2", 3).ask(Method.ALLOCATE, UDP)) == 0
    bench.advance(86_400.0)
    bench.wall_clock += 86_400.0
    assert len(bench.server._allocator._ended_calls) == 0
    assert bench.server.poll_timeout() is None


def test_an_allocation_that_ended_by_itself_is_no_trouble(bench: Bench) -> None:
    ann = in_call(bench, "ann", "c1", 1)
    ann.allocate()
    bench.server.handle_call_ended("c1", bench.now)
    ann.request(Method.REFRESH, (LIFETIME, 0))
    assert bench.advance(10.0) == []
    assert bench.server._allocator._by_call == {}


def test_a_static_user_cannot_be_named_like_a_call(make_bench: MakeBench) -> None:
    bench = make_bench(users={"9999999999:ann:c1": "p"})
    client = bench.client("9999999999:ann:c1", "p")
    client.allocate()
    bench.server.handle_call_ended("c1", bench.now)
    assert bench.advance(10.0) == []


def test_what_is_remembered_is_bounded() -> None:
    ended = EndedCalls(grace=10.0, remembered=600.0)
    for number in range(REMEMBERED + 10):
        ended.add(f"c{number}", 0.0)
    assert len(ended) == REMEMBERED
    assert "c9" not in ended
    assert "c10" in ended
    assert None not in ended
    assert len(ended.pop_due(10.0)) == REMEMBERED + 10
    assert ended.pop_due(600.0) == []
    assert len(ended) == 0
    assert ended.next_due() is None


def test_what_is_forgotten_for_room_leaves_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringline.turn.ended_calls.REMEMBERED", 2)
    ended = EndedCalls(grace=10.0, remembered=100.0)
    for index in range(50):
        ended.add(f"c{index}", float(index))
    assert len(ended._forget) == len(ended) == 2
    assert len(ended.pop_due(59.0)) == 50  # their allocations end all the same
    ended.add("c0", 90.0)
    ended.pop_due(100.0)  # when c0 would have been forgotten, had it been remembered
    assert "c0" in ended
