from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ringline.turn import SendToClient, mint
from ringline.turn.attributes import (
    ERROR_CODE,
    LIFETIME,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    REALM,
    REQUESTED_TRANSPORT,
    USERHASH,
    USERNAME,
    Attribute,
)
from ringline.turn.long_term import PasswordAlgorithm, long_term_key, user_hash
from ringline.turn.stun import Integrity, Message, MessageClass, Method

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench, Client

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
    assert answer.get(PASSWORD_ALGORITHMS) == (2, 1)
    assert answer.integrity is None
    assert len(answer.serialize()) <= 96  # what a forged source is hit with


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
    for word in ("hunter2", "topsecret", str(ann.nonce), ann.key.hex()):
        assert word not in caplog.text


def test_the_fingerprint_comes_back_if_it_was_sent(bench: Bench) -> None:
    ann = bench.client()
    for fingerprint in (True, False):
        data = ann.sign(ann.message(Method.REFRESH), fingerprint=fingerprint)
        (command,) = ann.send(data)
        assert isinstance(command, SendToClient)
        assert Message.parse(command.data).has_fingerprint is fingerprint


SHA256_KEY = long_term_key("ann", "ringline", "pa", PasswordAlgorithm.SHA256)


def strong(ann: Client, method: int, *values: tuple[Attribute[Any], object]) -> Message:
    """Ask as a client of RFC 8489 does that wants nobody to learn its name."""
    if ann.nonce is None:
        ann.sign(ann.message(method))
    message = ann.message(
        method,
        *values,
        (USERHASH, user_hash("ann", "ringline")),
        (REALM, "ringline"),
        (NONCE, ann.nonce),
        (PASSWORD_ALGORITHM, (2,)),
        (PASSWORD_ALGORITHMS, (2, 1)),
    )
    data = message.serialize(integrity_key=SHA256_KEY, integrity=Integrity.SHA256)
    return ann.answer(ann.send(data))


def test_the_strong_way_allocates_and_refreshes(bench: Bench) -> None:
    ann = bench.client()
    for method, value in (
        (Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)),
        (Method.REFRESH, (LIFETIME, 600)),
    ):
        answer = strong(ann, method, value)
        assert answer.message_class is MessageClass.SUCCESS
        assert answer.integrity is Integrity.SHA256
        assert answer.verify_integrity(SHA256_KEY)
    assert ann.nonce is not None
    assert ann.nonce.startswith("obMatJos2AAAD")  # algorithms and anonymity


def test_an_owner_may_change_the_algorithm(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate()
    assert strong(ann, Method.REFRESH).message_class is MessageClass.SUCCESS
    assert ann.ask(Method.REFRESH).message_class is MessageClass.SUCCESS


@pytest.mark.parametrize(
    ("chosen", "offered"),
    [
        ((1,), (1,)),  # somebody took the better one away
        ((1,), None),
        (None, (2, 1)),
        ((3,), (2, 1)),
        ((2,), (1, 2)),
    ],
)
def test_algorithms_that_were_not_offered_so_are_a_bad_request(
    bench: Bench, chosen: tuple[int, ...] | None, offered: tuple[int, ...] | None
) -> None:
    ann = bench.client()
    message = ann.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
    if chosen is not None:
        message.add(PASSWORD_ALGORITHM, chosen)
    if offered is not None:
        message.add(PASSWORD_ALGORITHMS, offered)
    answer = ann.answer(ann.send(ann.sign(message)))
    assert answer.get(ERROR_CODE) == (400, "")
    assert bench.server.metrics.allocations == 0


def test_a_hash_of_nobody_looks_like_a_wrong_password(bench: Bench) -> None:
    ann = bench.client()
    ann.sign(ann.message(Method.REFRESH))
    message = ann.message(
        Method.ALLOCATE, (USERHASH, bytes(32)), (REALM, "ringline"), (NONCE, ann.nonce)
    )
    answer = ann.answer(ann.send(message.serialize(integrity_key=ann.key)))
    assert answer.get(ERROR_CODE) == (401, "")


def test_minted_names_cannot_be_found_by_their_hash_and_clients_are_told(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(users={}, secrets=("s",))
    minted = mint("s", user="bob", call="1", expires_at=WALL_CLOCK + 600)
    bob = bench.client(minted.username, minted.password)
    bob.allocate()
    assert bob.nonce is not None
    assert bob.nonce.startswith("obMatJos2AAAB")
    # Whoever owns a live allocation may use the hash all the same.
    message = bob.message(
        Method.REFRESH,
        (USERHASH, user_hash(minted.username, "ringline")),
        (REALM, "ringline"),
        (NONCE, bob.nonce),
    )
    answer = bob.answer(bob.send(message.serialize(integrity_key=bob.key)))
    assert answer.message_class is MessageClass.SUCCESS
