from __future__ import annotations

import numpy as np
import pytest

from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.simulate.marks import make_picture, make_sound
from ringline.media.simulate.observe import Freeze, Observer, find_freezes, percentile
from ringline.media.simulate.profile import LinkProfile

OPEN = LinkProfile()


def show(observer: Observer, number: int, now: float, *, intact: bool = True) -> None:
    observer.handle_picture_shown(VideoFrame(make_picture(number, 64, 64, intact=intact)), now)


def test_an_even_picture_never_freezes() -> None:
    assert find_freezes([index / 30 for index in range(100)]) == []


def test_a_gap_of_the_mean_and_150_ms_is_a_freeze() -> None:
    times = [index * 0.1 for index in range(10)]
    assert find_freezes([*times, times[-1] + 0.29]) == []  # not three times the mean
    end = times[-1] + 0.31
    assert find_freezes([*times, end]) == [Freeze(times[-1], end - times[-1])]


def test_at_a_high_rate_the_margin_counts_and_not_the_factor() -> None:
    times = [index * 0.02 for index in range(40)]
    assert find_freezes([*times, times[-1] + 0.16]) == []
    assert len(find_freezes([*times, times[-1] + 0.18])) == 1


def test_fewer_than_three_pictures_cannot_freeze() -> None:
    assert find_freezes([]) == find_freezes([1.0]) == find_freezes([1.0, 9.0]) == []


def test_percentiles_are_values_that_were_there() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0) == 1.0
    assert percentile(list(map(float, range(1, 101))), 95) == 95.0


def test_pictures_are_counted_timed_and_judged() -> None:
    observer = Observer(OPEN)
    for number in range(300):
        observer.handle_picture_sent(number, number / 30)
        if not 150 <= number < 165:  # half a second is missing
            show(observer, number, number / 30 + 0.05, intact=number % 10 != 0)
    seen = observer.observe(0.0, 10.0)
    assert seen.frames_per_second == pytest.approx(28.4, abs=0.1)
    assert seen.damaged_share == pytest.approx(0.1, abs=0.01)
    assert seen.first_picture == pytest.approx(0.05)
    assert seen.freezes == 1
    assert seen.frozen_seconds == pytest.approx(16 / 30)
    assert seen.longest_freeze == seen.longest_gap == pytest.approx(16 / 30)
    assert seen.picture_delay_p50 == pytest.approx(0.05)
    assert seen.picture_delay_p95 == pytest.approx(0.05)


def test_a_picture_that_never_moves_again_is_a_freeze_to_the_end() -> None:
    observer = Observer(OPEN)
    for number in range(60):
        show(observer, number, number / 30)
    seen = observer.observe(0.0, 10.0)
    assert seen.freezes == 1
    assert seen.longest_freeze == pytest.approx(10 - 59 / 30)


def test_a_window_without_pictures_is_one_long_gap() -> None:
    seen = Observer(OPEN).observe(5.0, 8.0)
    assert (seen.longest_gap, seen.first_picture, seen.picture_delay_p95) == (3.0, None, None)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is between"):
        Observer(OPEN).observe(5.0, 5.0)


def test_sound_is_told_from_concealment_and_from_silence() -> None:
    observer = Observer(OPEN)
    silence = np.zeros(960, np.int16)
    for number in range(500):
        now = number * 0.02
        observer.handle_sound_sent(number, now)
        samples = make_sound(number)
        if 100 <= number < 105:
            samples = -samples  # made up
        if 200 <= number < 204:
            samples = silence
        if 300 <= number < 302:
            samples = silence  # 40 ms, too short to count as a gap
        observer.handle_sound_played(AudioFrame(samples), now + 0.08)
    seen = observer.observe(0.0, 10.0)
    assert seen.concealed_ms_per_minute == pytest.approx(11 * 20 * 6)
    assert seen.silent_gaps == 1
    assert seen.longest_silence == pytest.approx(0.08)
    assert seen.sound_delay_p50 == seen.sound_delay_p95 == pytest.approx(0.08)
    assert seen.played_seconds == pytest.approx(9.92)


def test_silence_before_the_first_sound_is_no_gap() -> None:
    observer = Observer(OPEN)
    for index in range(50):
        samples = np.zeros(960, np.int16) if index < 25 else make_sound(index)
        observer.handle_sound_played(AudioFrame(samples), index * 0.02)
    assert observer.observe(0.0, 1.0).silent_gaps == 0


def test_a_silence_that_began_before_the_window_counts_in_it() -> None:
    observer = Observer(OPEN)
    observer.handle_sound_played(AudioFrame(make_sound(1)), 0.5)
    for index in range(50):
        observer.handle_sound_played(AudioFrame(np.zeros(960, np.int16)), 1.0 + index * 0.02)
    assert observer.observe(1.0, 2.0).longest_silence == pytest.approx(1.0)


def test_the_share_of_the_link_is_what_arrived_of_what_could() -> None:
    observer = Observer(LinkProfile.parse("rate=100"))
    for index in range(10):
        observer.handle_datagram_arrived(1000, index * 0.1)
    seen = observer.observe(0.0, 1.0)
    assert seen.bitrate == pytest.approx(80_000)
    assert seen.link_share == pytest.approx(0.8)
    assert Observer(OPEN).observe(0.0, 1.0).link_share is None


def test_bitrates_are_told_second_by_second() -> None:
    observer = Observer(OPEN)
    for when, size in ((0.1, 100), (0.9, 100), (2.5, 50)):
        observer.handle_datagram_arrived(size, when)
    assert observer.bitrates(0.0, 3.0) == [1600, 0, 400]


def test_recovery_is_a_whole_picture_taken_after_the_fault() -> None:
    observer = Observer(OPEN)
    for number, sent_at in ((1, 0.9), (2, 1.1), (3, 1.2)):
        observer.handle_picture_sent(number, sent_at)
    show(observer, 1, 1.3)  # late, but from before
    show(observer, 2, 1.4, intact=False)
    assert observer.picture_after(1.0) is None
    show(observer, 3, 1.5)
    assert observer.picture_after(1.0) == pytest.approx(0.5)
    assert observer.picture_after(1.0, within=0.4) is None


def test_sound_recovers_with_the_first_one_spoken_after_the_fault() -> None:
    observer = Observer(OPEN)
    for number, sent_at in ((1, 0.98), (2, 1.0)):
        observer.handle_sound_sent(number, sent_at)
    assert observer.sound_after(1.0) is None
    observer.handle_sound_played(AudioFrame(make_sound(1)), 1.04)
    observer.handle_sound_played(AudioFrame(-make_sound(1)), 1.06)
    observer.handle_sound_played(AudioFrame(make_sound(2)), 1.08)
    assert observer.sound_after(1.0) == pytest.approx(0.08)
    assert observer.sound_after(1.0, within=0.05) is None
