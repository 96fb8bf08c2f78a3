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

FRAME = 960


def fill(buffer: JitterBuffer, *numbers: int, now: float | None = None) -> None:
    """Let packets come, each when it should unless ``now`` says otherwise."""
    for number in numbers:
        at = number * 0.02 if now is None else now
        buffer.handle_packet(number, number * FRAME, bytes([number & 0xFF]), at)


def poll(buffer: JitterBuffer, at: float) -> Decision:
    decision = buffer.poll(at)
    if isinstance(decision, Play):
        buffer.handle_played(decision, FRAME)
    return decision


def played(buffer: JitterBuffer, at: float) -> int | None:
    decision = poll(buffer, at)
    return decision.payload[0] if isinstance(decision, Play) else None


def test_before_the_first_packet_the_sender_is_silent() -> None:
    buffer = JitterBuffer()
    assert buffer.poll(0.0) == Pause()
    assert buffer.next_timestamp is None
    assert buffer.late_frames == 0


def test_packets_are_played_in_order_whatever_order_they_come_in() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 2, 1)
    assert [played(buffer, 0.04 + n * 0.02) for n in range(3)] == [0, 1, 2]
    assert buffer.poll(0.1) == Late()


def test_the_first_packet_waits_for_the_start_target() -> None:
    buffer = JitterBuffer(JitterBufferConfig(start_target=0.06))
    fill(buffer, 0)
    assert buffer.poll(0.02) == Pause()
    assert played(buffer, 0.06) == 0


def test_a_lost_packet_is_told_with_the_one_behind_it() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 2)
    assert played(buffer, 0.04) == 0
    assert poll(buffer, 0.06) == Lost(b"\x02")
    assert played(buffer, 0.08) == 2
    assert buffer.lost_frames == 1


def test_of_two_lost_packets_only_the_second_has_one_behind_it() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 1)
    assert [played(buffer, 0.04), played(buffer, 0.06)] == [0, 1]
    fill(buffer, 4)
    assert [poll(buffer, 0.08), poll(buffer, 0.1)] == [Lost(None), Lost(b"\x04")]
    assert played(buffer, 0.12) == 4


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
    assert poll(buffer, 0.06) == Late()
    fill(buffer, 1, now=0.07)
    assert played(buffer, 0.08) == 1
    assert buffer.late_frames == 1
    assert buffer.late_packets == 0
    assert buffer.delay(0.1) == pytest.approx(0.06)


def test_a_loss_that_looked_late_costs_one_frame_and_no_delay() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0)
    assert played(buffer, 0.04) == 0
    assert poll(buffer, 0.06) == Late()
    fill(buffer, 2, now=0.07)
    assert played(buffer, 0.08) == 2
    assert (buffer.late_frames, buffer.lost_frames) == (1, 0)


def test_after_a_stall_the_oldest_go_and_the_target_stays() -> None:
    buffer = JitterBuffer()
    for number in range(20):
        fill(buffer, number)
        played(buffer, 0.02 + number * 0.02)
    assert played(buffer, 0.42) == 19
    for number in range(15):
        assert poll(buffer, 0.44 + number * 0.02) == Late()
    fill(buffer, *range(20, 35), now=0.735)
    first = played(buffer, 0.74)
    assert first is not None
    assert first >= 31
    assert buffer.discarded_packets == first - 20


def test_a_pause_of_the_sender_is_no_loss() -> None:
    buffer = JitterBuffer()
    fill(buffer, *range(5))
    for number in range(5):
        played(buffer, 0.04 + number * 0.02)
    assert poll(buffer, 0.14) == Late()  # it cannot be known yet
    buffer.handle_packet(5, 20 * FRAME, b"a", 0.4)  # the next number, 300 ms on
    assert poll(buffer, 0.42) == Pause()
    assert played(buffer, 0.44) == ord("a")
    assert (buffer.late_frames, buffer.lost_frames) == (0, 0)


def test_a_clean_link_asks_for_one_frame_and_jitter_for_more() -> None:
    buffer = JitterBuffer()
    assert buffer.target == pytest.approx(0.04)
    fill(buffer, *range(100))
    assert buffer.target == pytest.approx(0.02)
    for number in range(100, 200):
        fill(buffer, number, now=number * 0.02 + (0.05 if number % 5 == 0 else 0.0))
    assert buffer.target == pytest.approx(0.06)


def test_the_target_is_bounded_and_lip_sync_adds_to_it() -> None:
    buffer = JitterBuffer()
    fill(buffer, *range(50))
    buffer.set_extra_delay(0.03)
    assert buffer.target == pytest.approx(0.05)
    buffer.set_extra_delay(5.0)
    assert buffer.target == pytest.approx(0.4)


def test_delay_above_the_target_is_told_in_frames_that_are_here() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0)
    played(buffer, 0.1)
    for number in range(1, 100):
        fill(buffer, number)
        if number >= 5:
            played(buffer, 0.02 + number * 0.02)
    at = 0.02 + 100 * 0.02
    assert buffer.delay(at) == pytest.approx(0.1)
    assert buffer.target == pytest.approx(0.02)
    assert buffer.excess_frames(at) == 4
    assert buffer.excess_frames(at, queued=FRAME) == 4  # five by the clock, four are here
    buffer.set_extra_delay(0.08)
    assert buffer.excess_frames(at) == 0
    buffer.set_extra_delay(0.1)
    assert buffer.excess_frames(at) == -1
    assert buffer.has_next


def test_a_repaired_packet_says_nothing_about_the_path() -> None:
    buffer = JitterBuffer()
    for number in range(100):
        buffer.handle_packet(number, number * FRAME, b"x", number * 0.02)
        buffer.handle_packet(number, number * FRAME, b"x", number * 0.02 + 0.3, repaired=True)
    assert buffer.target == pytest.approx(0.02)


def test_a_clock_that_jumps_is_followed() -> None:
    buffer = JitterBuffer()
    fill(buffer, 0, 1)
    played(buffer, 0.04)
    buffer.handle_packet(2, 10**9, b"j", 0.06)
    assert poll(buffer, 0.06) == Pause()
    assert poll(buffer, 0.08) == Pause()
    assert played(buffer, 0.1) == ord("j")
    buffer.handle_packet(3, 500, b"k", 0.12)  # and back
    assert [played(buffer, 0.12 + n * 0.02) for n in range(3)][-1] == ord("k")


def test_what_is_held_is_bounded() -> None:
    buffer = JitterBuffer(JitterBufferConfig(max_packets=10))
    fill(buffer, *range(50), now=0.0)
    assert len(buffer._packets) == 10
    assert buffer.discarded_packets == 40


def test_packets_that_overlap_what_was_played_are_dropped() -> None:
    buffer = JitterBuffer(JitterBufferConfig(start_target=0.1))
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
    assert buffer.poll(0.22) == Pause()
    assert buffer.target == pytest.approx(0.04)
