from __future__ import annotations

import pytest

from ringline.media.receive.jitter_buffer import (
    Decision,
    JitterBuffer,
    JitterBufferConfig,
    Late,
    Lost,
    Pause,
    Play,
)
from ringline.media.receive.target_delay import TargetDelayConfig

FRAME = 960
SILK = b"\x48\x80"
"""20 ms of wide-band SILK (RFC 6716 §3.1): voice, and no copy of what was before."""
COPY = b"\x48\xc0"
"""Likewise with a copy."""


def fill(buffer: JitterBuffer, *numbers: int, now: float | None = None) -> None:
    """Let packets come, each when it should unless ``now`` says otherwise."""
    for number in numbers:
        at = number * 0.02 if now is None else now
        buffer.handle_packet(number, number * FRAME, SILK + bytes([number & 0xFF]), at)


def poll(buffer: JitterBuffer, at: float) -> Decision:
    decision = buffer.poll(at)
    if isinstance(decision, Play):
        buffer.handle_played(decision, FRAME)
    return decision


def played(buffer: JitterBuffer, at: float) -> int | None:
    decision = poll(buffer, at)
    return decision.payload[-1] if isinstance(decision, Play) else None


def test_before_the_first_packet_the_sender_is_silent() -> None:
    buffer = JitterBuffer()
    assert buffer.poll(0.0, 480) == Pause(480)
    assert buffer.next_timestamp is None
    assert buffer.late_samples == 0


def test_packets_are_played_in_order_whatever_order_they_come_in() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 2, 1)
    assert [played(buffer, 0.04 + n * 0.02) for n in range(3)] == [0, 1, 2]
    assert buffer.poll(0.1) == Late(FRAME)


def test_the_first_packet_waits_for_the_start_target() -> None:
    buffer = JitterBuffer(JitterBufferConfig(target=TargetDelayConfig(start=0.06)))
    fill(buffer, 0)
    assert buffer.poll(0.02) == Pause(FRAME)
    assert played(buffer, 0.06) == 0


def test_a_lost_packet_is_told_with_the_one_behind_it_if_that_has_a_copy() -> None:
    for payload in (SILK, COPY):
        buffer = JitterBuffer()
        fill(buffer, 0)
        buffer.handle_packet(2, 2 * FRAME, payload, 0.04)
        assert played(buffer, 0.04) == 0
        assert poll(buffer, 0.06) == Lost(FRAME, COPY if payload == COPY else None)
        assert played(buffer, 0.08) == payload[-1]


def test_of_two_lost_packets_only_the_second_has_a_copy() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 1)
    assert [played(buffer, 0.04), played(buffer, 0.06)] == [0, 1]
    buffer.handle_packet(4, 4 * FRAME, COPY, 0.08)
    assert [poll(buffer, 0.08), poll(buffer, 0.1)] == [Lost(FRAME, None), Lost(FRAME, COPY)]
    assert played(buffer, 0.12) == COPY[-1]


def test_a_long_packet_has_a_copy_of_all_of_the_one_before() -> None:
    """Opus frames of 60 ms: the copy is given back whole, or not at all (RFC 6716 §4.2.5)."""
    long = bytes([11 << 3, 0b1111_0000])
    buffer = JitterBuffer()
    for number in (0, 1, 4):
        buffer.handle_packet(number, number * 2_880, long, number * 0.06)
    for number in range(2):
        decision = buffer.poll(0.1 + number * 0.06)
        assert isinstance(decision, Play)
        buffer.handle_played(decision, 2_880)
    answers = [buffer.poll(0.22 + number * 0.02) for number in range(4)]
    assert answers == [Lost(FRAME, None)] * 3 + [Lost(2_880, long)]


def test_a_packet_that_comes_after_its_loss_was_told_is_dropped() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 2)
    played(buffer, 0.04)
    poll(buffer, 0.06)
    fill(buffer, 1, now=0.07)
    assert buffer.late_packets == 1
    assert played(buffer, 0.08) == 2


def test_a_duplicate_is_played_once() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 0, 1)
    assert [played(buffer, 0.04 + n * 0.02) for n in range(3)] == [0, 1, None]


def test_a_late_packet_is_played_late_and_makes_room_for_the_next() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0)
    assert played(buffer, 0.04) == 0
    assert poll(buffer, 0.06) == Late(FRAME)
    fill(buffer, 1, now=0.07)
    assert played(buffer, 0.08) == 1
    assert buffer.late_samples == FRAME
    assert buffer.late_packets == 0
    assert buffer.next_timestamp == 2 * FRAME


def test_only_as_much_is_waited_as_the_player_is_short_of() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0)
    assert played(buffer, 0.04) == 0
    assert buffer.poll(0.06, 240) == Late(240)
    fill(buffer, 1, now=0.07)
    assert played(buffer, 0.08) == 1
    assert buffer.late_samples == 240


def test_a_loss_that_looked_late_costs_one_frame_and_no_delay() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0)
    assert played(buffer, 0.04) == 0
    assert poll(buffer, 0.06) == Late(FRAME)
    fill(buffer, 2, now=0.07)
    assert played(buffer, 0.08) == 2
    assert buffer.late_samples == FRAME
    assert buffer.next_timestamp == 3 * FRAME


def test_after_a_long_stall_the_oldest_go_and_a_word_is_kept() -> None:
    buffer = JitterBuffer()
    for number in range(20):
        fill(buffer, number)
        played(buffer, 0.02 + number * 0.02)
    assert played(buffer, 0.42) == 19
    for number in range(35):
        assert poll(buffer, 0.44 + number * 0.02) == Late(FRAME)
    fill(buffer, *range(20, 55), now=1.135)
    assert played(buffer, 1.14) == 42  # 200 ms, the target and itself
    assert buffer.discarded_packets == 22


def test_a_pause_of_the_sender_is_no_loss() -> None:
    buffer = JitterBuffer()
    fill(buffer, *range(5))
    for number in range(5):
        played(buffer, 0.04 + number * 0.02)
    assert poll(buffer, 0.14) == Late(FRAME)  # it cannot be known yet
    buffer.handle_packet(5, 20 * FRAME, b"a", 0.4)  # the next number, 300 ms on
    assert poll(buffer, 0.42) == Pause(FRAME)
    assert played(buffer, 0.44) == ord("a")
    assert buffer.late_samples == 0


def test_a_clean_link_asks_for_half_a_frame_and_jitter_for_more() -> None:
    buffer = JitterBuffer()
    assert buffer.target == pytest.approx(0.04)
    fill(buffer, *range(200))
    assert buffer.target == pytest.approx(0.01)
    for number in range(200, 800):
        fill(buffer, number, now=number * 0.02 + (0.05 if number % 5 == 0 else 0.0))
    assert buffer.target == pytest.approx(0.065)


def test_the_target_is_bounded_and_lip_sync_adds_to_it() -> None:
    buffer = JitterBuffer()
    fill(buffer, *range(200))
    buffer.set_extra_delay(0.03)
    assert buffer.target == pytest.approx(0.04)
    buffer.set_extra_delay(5.0)
    assert buffer.target == pytest.approx(0.4)


def test_the_delay_is_told_by_the_target() -> None:
    buffer = JitterBuffer()
    fill(buffer, *range(200))
    decision = buffer.poll(4.0)
    assert isinstance(decision, Play)
    sent_at = decision.timestamp / 48_000
    assert buffer.slack(decision, sent_at + 0.09) == pytest.approx(0.08)
    buffer.set_extra_delay(0.2)
    assert buffer.slack(decision, sent_at + 0.09) == pytest.approx(-0.12)
    buffer.handle_played(decision, FRAME)
    assert buffer.has_next


def test_copies_of_lost_packets_are_waited_for_where_there_are_losses() -> None:
    for loss_every, target in ((10, 0.03), (1_000, 0.01)):
        buffer = JitterBuffer()
        for number in range(1_500):
            if number % loss_every:
                buffer.handle_packet(number, number * FRAME, COPY, number * 0.02)
        assert buffer.target == pytest.approx(target)


def test_a_copy_from_elsewhere_takes_the_lost_packet_s_place() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 2, 3)
    buffer.handle_packet(1, FRAME, SILK + b"\x01", 0.06, repaired=True)
    buffer.handle_packet(2, 2 * FRAME, SILK + b"\x02", 0.06, repaired=True)
    assert [played(buffer, 0.06 + n * 0.02) for n in range(5)] == [0, 1, 2, 3, None]
    buffer.handle_packet(3, 3 * FRAME, SILK + b"\x03", 0.08, repaired=True)
    assert buffer.late_packets == 0


def test_a_repaired_packet_says_nothing_about_the_path() -> None:
    buffer = JitterBuffer()
    for number in range(200):
        buffer.handle_packet(number, number * FRAME, SILK, number * 0.02)
        buffer.handle_packet(number, number * FRAME, SILK, number * 0.02 + 0.3, repaired=True)
    assert buffer.target == pytest.approx(0.01)


def test_a_clock_that_jumps_is_followed() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 1)
    played(buffer, 0.04)
    buffer.handle_packet(2, 10**9, b"j", 0.06)
    assert poll(buffer, 0.06) == Pause(FRAME)
    assert poll(buffer, 0.08) == Pause(FRAME)
    assert played(buffer, 0.1) == ord("j")
    buffer.handle_packet(3, 500, b"k", 0.12)  # and back
    assert [played(buffer, 0.12 + n * 0.02) for n in range(3)][-1] == ord("k")


def test_what_is_held_is_bounded() -> None:
    buffer = JitterBuffer(JitterBufferConfig(max_packets=10))
    fill(buffer, *range(50), now=0.0)
    assert len(buffer._packets) == 10
    assert buffer.discarded_packets == 40


def test_packets_that_overlap_what_was_played_are_dropped() -> None:
    buffer = JitterBuffer(JitterBufferConfig(target=TargetDelayConfig(start=0.1)))
    buffer.handle_packet(0, 0, b"a", 0.0)
    buffer.handle_packet(1, 960, b"b", 0.0)
    buffer.handle_packet(2, 2_880, b"c", 0.04)
    decision = buffer.poll(0.1)
    assert isinstance(decision, Play)
    buffer.handle_played(decision, 2_880)  # it held 60 ms
    assert buffer.late_packets == 1
    assert played(buffer, 0.16) == ord("c")


def test_a_restart_forgets_the_stream() -> None:
    buffer = JitterBuffer()
    fill(buffer, *range(10))
    played(buffer, 0.2)
    buffer.restart()
    assert buffer.poll(0.22) == Pause(FRAME)
    assert buffer.target == pytest.approx(0.04)
