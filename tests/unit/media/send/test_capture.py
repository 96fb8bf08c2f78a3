from __future__ import annotations

import pytest

from ringline.media.send.capture import AudioTiming, VideoTiming


def test_a_pictures_stamp_is_its_capture_time_at_90_khz() -> None:
    timing = VideoTiming()
    assert timing.stamp(2.0, 2.01, max_frame_rate=30) == 180_000
    assert timing.stamp(2.0 + 1 / 30, 2.05, max_frame_rate=30) == 183_000


def test_a_late_picture_is_dropped() -> None:
    timing = VideoTiming()
    assert timing.stamp(1.0, 1.25, max_frame_rate=30) is None
    assert timing.stamp(1.2, 1.25, max_frame_rate=30) == 108_000


def test_a_picture_out_of_order_is_dropped() -> None:
    timing = VideoTiming()
    assert timing.stamp(1.0, 1.0, max_frame_rate=30) is not None
    assert timing.stamp(1.0, 1.0, max_frame_rate=30) is None
    assert timing.stamp(0.99, 1.0, max_frame_rate=30) is None


def test_pictures_are_thinned_out_to_the_frame_rate() -> None:
    timing = VideoTiming()
    taken = [
        index
        for index in range(12)
        if timing.stamp(index / 30, index / 30, max_frame_rate=15) is not None
    ]
    assert taken == [0, 2, 4, 6, 8, 10]


def test_jitter_of_capture_costs_no_picture() -> None:
    timing = VideoTiming()
    early_and_late = [0.0, 0.030, 0.070, 0.097, 0.136, 0.166, 0.203]
    assert all(timing.stamp(at, at, max_frame_rate=30) is not None for at in early_and_late)


def test_sound_counts_samples_whatever_the_jitter_of_capture() -> None:
    timing = AudioTiming()
    stamps = [timing.stamp(at, 960) for at in (1.0, 1.021, 1.038, 1.09, 1.095)]
    assert stamps == [48_000, 48_960, 49_920, 50_880, 51_840]


def test_a_gap_in_sound_is_a_jump_of_whole_frames() -> None:
    timing = AudioTiming()
    timing.stamp(1.0, 960)
    assert timing.stamp(1.525, 960) == 48_000 + 26 * 960
    assert timing.stamp(1.545, 960) == 48_000 + 27 * 960


def test_sound_and_picture_agree_on_every_moment() -> None:
    audio, video = AudioTiming(), VideoTiming()
    audio.stamp(5.0, 960)
    video.stamp(5.0, 5.0, max_frame_rate=30)
    assert audio.at(7.25) / 48_000 == pytest.approx(7.25)
    assert video.at(7.25) / 90_000 == pytest.approx(7.25)


def test_a_drifting_device_is_tracked_for_the_reports() -> None:
    timing = AudioTiming()
    captured_at, stamp = 0.0, 0
    for index in range(5_000):  # 100 s of a device that is 200 ppm slow
        captured_at = index * 0.02 * 1.0002
        stamp = timing.stamp(captured_at, 960)
    assert stamp == 4_999 * 960
    assert timing.at(captured_at) == pytest.approx(stamp, abs=5)  # 0.1 ms
    assert abs(captured_at * 48_000 - stamp) > 900  # which counting alone would be off by
