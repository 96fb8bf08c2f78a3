from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ringline.turn import SendToClient, mint
from ringline.turn.attributes import ERROR_CODE, NONCE, REALM, REQUESTED_TRANSPORT, USERNAME
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench

WALL_CLOCK = 1_700_000_000.0


def test_a_request_without_credentials_is_told_how(bench: Bench) -> None:
    ann = bench.client()
    message = ann.message(Method.ALLOCATE)
    answer = ann.answer(ann.send(message.serialize()))
    assert answer.message_class is MessageClass.ERROR
    assert answer.transaction_id == message.transaction_id
    assert answer.get(ERROR_CODE) == (401, "")
    assert answer.get(REALM) == "ringline"
    assert answer.get(NONCE)
    assert not answer.has_integrity
    assert len(answer.serialize()) <= 80  # what a forged source is hit with


def test_each_missing_part_is_a_bad_request(bench: Bench) -> None:
    ann = bench.client()
    parts = ((USERNAME, "ann"), (REALM, "ringline"), (NONCE, "n"))
    for missing in parts:
        message = ann.message(Method.ALLOCATE)
        for part in parts:
            if part is not missing:
                message.add(*part)
        answer = ann.answer(ann.send(message.serialize(integrity_key=ann.key)))
        assert answer.get(ERROR_CODE) == (400, "")
        assert answer.get(NONCE) is None


def test_a_user_name_that_is_no_text_is_a_bad_request(bench: Bench) -> None:
    ann = bench.client()
    message = ann.message(Method.ALLOCATE)
    message.values.append((USERNAME.number, b"\xff"))
    answer = ann.answer(ann.send(message.serialize(integrity_key=ann.key)))
    assert answer.get(ERROR_CODE) == (400, "")


def test_a_wrong_password_and_an_unknown_user_look_the_same(bench: Bench) -> None:
    shapes = []
    for name, password in (("ann", "wrong"), ("nobody", "pa")):
        answer = bench.client(name, password).answer(
            bench.client(name, password).request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
        )
        shapes.append([number for number, _ in answer.values])
        assert answer.get(ERROR_CODE) == (401, "")
    assert shapes[0] == shapes[1]


def test_a_stale_nonce_is_replaced_and_the_new_one_works(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(nonce_lifetime=60.0)
    ann = bench.client()
    ann.allocate()
    bench.advance(60.0)
    answer = ann.answer(ann.request(Method.REFRESH))
    assert answer.get(ERROR_CODE) == (438, "")
    assert answer.get(REALM) == "ringline"
    ann.nonce = answer.get(NONCE)
    assert ann.ask(Method.REFRESH).message_class is MessageClass.SUCCESS


def test_a_nonce_of_another_socket_is_stale(bench: Bench) -> None:
    ann, thief = bench.client(), bench.client(port=5001)
    ann.allocate()
    thief.nonce = ann.nonce
    answer = thief.answer(thief.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
    assert answer.get(ERROR_CODE) == (438, "")


def test_a_minted_credential_allocates(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(users={}, secrets=("new", "old"))
    for port, secret in ((1, "new"), (2, "old")):
        minted = mint(secret, user="bob", call="1", expires_at=WALL_CLOCK + 600)
        bench.client(minted.username, minted.password, port=port).allocate()
    assert bench.server.metrics.allocations == 2


def test_expiry_is_checked_when_allocating_and_never_again(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(users={}, secrets=("s",))
    minted = mint("s", user="bob", call="1", expires_at=WALL_CLOCK + 60)
    bob = bench.client(minted.username, minted.password)
    bob.allocate()
    bench.wall_clock += 3600
    assert bob.ask(Method.REFRESH).message_class is MessageClass.SUCCESS
    late = bench.client(minted.username, minted.password, port=5001)
    answer = late.answer(late.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
    assert answer.get(ERROR_CODE) == (401, "")


def test_a_retransmitted_allocate_is_answered_after_its_credential_expired(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(users={}, secrets=("s",))
    minted = mint("s", user="bob", call="1", expires_at=WALL_CLOCK + 60)
    bob = bench.client(minted.username, minted.password)
    data = bob.sign(bob.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
    first = bob.send(data)
    bench.wall_clock += 61
    assert bob.send(data) == first


def test_secrets_never_reach_a_log(
    make_bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        bench = make_bench(users={"ann": "hunter2"}, secrets=("topsecret",))
        ann = bench.client(password="hunter2")
        ann.allocate()
        ann.send(b"\x00\x01rubbish")
        ann.ask(Method.REFRESH)
        bench.advance(9999.0)
    assert "live" in caplog.text
    for word in ("hunter2", "topsecret", "ann", "198.51.100.7", str(ann.nonce)):
        assert word not in caplog.text


def test_the_fingerprint_comes_back_if_it_was_sent(bench: Bench) -> None:
    ann = bench.client()
    for fingerprint in (True, False):
        data = ann.sign(ann.message(Method.REFRESH), fingerprint=fingerprint)
        (command,) = ann.send(data)
        assert isinstance(command, SendToClient)
        assert Message.parse(command.data).has_fingerprint is fingerprint
