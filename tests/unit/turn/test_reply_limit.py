from __future__ import annotations

from ringline.turn.reply_limit import SLOTS, ReplyLimit


def limit(burst: int = 3) -> ReplyLimit:
    return ReplyLimit(bytes(32), rate=10.0, burst=burst)


def test_a_source_has_its_burst_and_then_its_rate() -> None:
    replies = limit()
    assert [replies.allow("192.0.2.1", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert replies.allow("192.0.2.1", 0.1)
    assert not replies.allow("192.0.2.1", 0.1)
    # A long silence gives back the burst and no more.
    assert [replies.allow("192.0.2.1", 99.0) for _ in range(4)] == [True] * 3 + [False]


def test_sources_do_not_pay_for_one_another() -> None:
    replies = limit()
    for _ in range(9):
        replies.allow("192.0.2.1", 0.0)
    assert replies.allow("192.0.2.2", 0.0)


def test_a_flood_of_sources_takes_no_memory_and_keeps_nobody_out() -> None:
    replies = limit()
    for number in range(3 * SLOTS):
        replies.allow(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(replies._left) == SLOTS
    assert replies.allow("192.0.2.1", 0.0)
