from __future__ import annotations

import pytest

from ringline.media.receive.synchronize import LipSync, SenderClock
from ringline.media.rtp.rtcp import SenderReport

WALL = 3_900_000_000.0


def report(wallclock: float, timestamp: int) -> SenderReport:
    return SenderReport(1, int(wallclock * 2**32), timestamp & 0xFFFFFFFF, 0, 0)


def test_without_a_report_nothing_is_known() -> None:
    clock = SenderClock(48_000)
    assert clock.wallclock(5) is None
    assert clock.captured_at(5) is None
    clock.handle_sender_report(SenderReport(1, 0, 5, 0, 0), 1.0)  # a sender without a clock
    assert clock.captured_at(5) is None


def test_media_time_is_counted_from_the_last_report_also_across_the_wrap() -> None:
    clock = SenderClock(48_000)
    clock.handle_sender_report(report(WALL, -480), 10.0)
    assert clock.wallclock(480) == pytest.approx(WALL + 0.02, abs=1e-6)
    assert clock.wallclock(2**32 + 480) == pytest.approx(WALL + 0.02, abs=1e-6)
    assert clock.wallclock(-960) == pytest.approx(WALL - 0.01, abs=1e-6)


def test_capture_is_told_on_our_clock_less_half_a_round_trip() -> None:
    clock = SenderClock(48_000)
    clock.handle_sender_report(report(WALL, 0), 10.05)
    clock.handle_sender_report(report(WALL + 1.0, 48_000), 11.02)  # the faster one counts
    clock.handle_sender_report(report(WALL + 2.0, 96_000), 12.09)
    clock.handle_round_trip(0.04)
    assert clock.captured_at(96_000) == pytest.approx(12.0, abs=1e-5)


def test_another_source_starts_from_nothing() -> None:
    clock = SenderClock(48_000)
    clock.handle_sender_report(report(WALL, 0), 10.0)
    clock.restart()
    assert clock.captured_at(0) is None


def play(sync: LipSync, seconds: float, *, audio: float, video: float) -> None:
    """Show and sound ten a second, with the given latencies before what the sync adds."""
    for step in range(int(seconds * 10)):
        now = 100.0 + step / 10
        sync.handle_audio(WALL + now - audio - sync.audio_delay, now)
        sync.handle_video(WALL + now - video - sync.video_delay, now)


def test_streams_that_go_together_are_left_alone() -> None:
    sync = LipSync()
    assert sync.offset is None
    play(sync, 20, audio=0.08, video=0.04)
    assert sync.offset == pytest.approx(-0.04, abs=1e-3)
    assert (sync.audio_delay, sync.video_delay) == (0.0, 0.0)


def test_a_picture_far_ahead_waits_for_its_sound() -> None:
    sync = LipSync()
    play(sync, 30, audio=0.2, video=0.05)
    assert sync.audio_delay == 0.0
    assert -0.065 < (sync.offset or 0.0) < -0.02
    assert 0.08 <= sync.video_delay <= 0.13


def test_sound_far_ahead_waits_for_its_picture() -> None:
    sync = LipSync()
    play(sync, 30, audio=0.05, video=0.15)
    assert sync.video_delay == 0.0
    assert 0.0 < (sync.offset or 0.0) < 0.045
    assert 0.05 <= sync.audio_delay <= 0.1


def test_nothing_waits_for_long() -> None:
    sync = LipSync()
    play(sync, 60, audio=0.9, video=0.05)
    assert sync.audio_delay == 0.0
    assert sync.video_delay == pytest.approx(0.1)
    sync = LipSync()
    play(sync, 60, audio=0.05, video=0.9)
    assert sync.audio_delay == pytest.approx(0.1)
    assert sync.video_delay == 0.0


def test_a_delay_is_given_back_when_it_is_not_needed() -> None:
    sync = LipSync()
    play(sync, 30, audio=0.2, video=0.05)
    play(sync, 60, audio=0.05, video=0.05)
    assert sync.audio_delay == pytest.approx(0.0, abs=0.021)
    assert sync.video_delay < 0.041
    assert abs(sync.offset or 0.0) < 0.05


def test_a_clock_that_is_set_is_no_offset_to_chase() -> None:
    sync = LipSync()
    play(sync, 5, audio=0.05, video=0.05)
    play(sync, 5, audio=1_000.05, video=1_000.05)
    assert sync.offset == pytest.approx(0.0, abs=0.01)
    sync.restart()
    assert sync.offset is None
