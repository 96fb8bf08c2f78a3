from __future__ import annotations

import numpy as np
import pytest

from ringline.client.witness import Latencies, Witness
from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.synthetic import MovingPicture
from ringline.media.synthetic_voice import Voice


def still(level: int = 80, size: tuple[int, int] = (640, 360)) -> VideoFrame:
    return VideoFrame(np.full((size[1] * 3 // 2, size[0]), level, np.uint8))


def noisy(seed: int) -> VideoFrame:
    """A still picture as a codec gives it back: every pixel a little off."""
    rng = np.random.default_rng(seed)
    return VideoFrame(rng.integers(76, 85, (540, 640)).astype(np.uint8))


def show_motion(witness: Witness, begin: float, end: float) -> None:
    picture = MovingPicture(640, 360, frame_rate=30)
    for number in range(round((end - begin) * 30)):
        frame = VideoFrame(picture.draw(number + round(begin * 30)))
        witness.handle_video_frame(frame, begin + number / 30)


def tone(amplitude: int, *, concealed: int = 0) -> AudioFrame:
    wave = np.sin(np.arange(960) * 0.1) * amplitude
    return AudioFrame(wave.astype(np.int16), concealed=concealed)


def test_nothing_is_seen_or_heard_at_first() -> None:
    impression = Witness(5.0).sum_up(9.0)
    assert (impression.pictures, impression.moving_seconds, impression.heard_seconds) == (0, 0, 0)
    assert impression.longest_still == 0
    assert impression.first_picture is None
    assert impression.first_sound is None


def test_a_moving_picture_is_seen_all_the_time() -> None:
    witness = Witness(0.0)
    show_motion(witness, 1.0, 4.0)
    impression = witness.sum_up(4.0)
    assert impression.pictures == 90
    assert impression.moving_seconds == pytest.approx(3.0, abs=0.1)
    assert impression.first_picture == 1.0
    assert impression.longest_still < 0.1


def test_a_still_picture_does_not_count_however_often_it_is_sent() -> None:
    witness = Witness(0.0)
    for number in range(90):
        witness.handle_video_frame(noisy(number), number / 30)
    impression = witness.sum_up(3.0)
    assert impression.pictures == 90
    assert impression.moving_seconds == 0
    assert impression.longest_still == pytest.approx(3.0, abs=0.05)


def test_a_freeze_is_not_seen() -> None:
    witness = Witness(0.0)
    show_motion(witness, 0.0, 1.0)
    show_motion(witness, 3.0, 4.0)
    impression = witness.sum_up(4.0)
    assert impression.moving_seconds == pytest.approx(2.0, abs=0.15)
    assert impression.longest_still == pytest.approx(2.0, abs=0.1)


def test_a_change_of_resolution_is_a_new_picture() -> None:
    witness = Witness(0.0)
    witness.handle_video_frame(still(size=(64, 36)), 0.0)
    witness.handle_video_frame(still(size=(32, 18)), 0.1)
    assert witness.sum_up(0.1).moving_seconds == pytest.approx(0.1)


def test_speech_is_heard_with_its_pauses() -> None:
    witness, voice = Witness(0.0), Voice(0)
    for number in range(500):
        witness.handle_audio_frame(AudioFrame(voice.next_block()), number * 0.02)
    assert witness.sum_up(10.0).heard_seconds > 8


def test_silence_and_a_whisper_below_the_noise_are_not_heard() -> None:
    witness = Witness(0.0)
    for number in range(100):
        witness.handle_audio_frame(tone(100), number * 0.02)
    assert witness.sum_up(2.0).heard_seconds == 0


def test_what_concealment_made_up_is_not_heard() -> None:
    witness = Witness(0.0)
    for number in range(100):
        witness.handle_audio_frame(tone(8000, concealed=960), number * 0.02)
    assert witness.sum_up(2.0).heard_seconds == 0


def test_a_long_silence_between_two_words_is_not_speech() -> None:
    witness = Witness(1.0)
    witness.handle_audio_frame(tone(8000), 2.0)
    witness.handle_audio_frame(tone(8000), 7.0)
    impression = witness.sum_up(8.0)
    assert impression.heard_seconds == pytest.approx(0.04)
    assert impression.first_sound == 1.0


def test_latency_is_the_median_since_it_was_last_asked_for() -> None:
    witness = Witness(0.0)
    for number, latency in enumerate((0.1, 0.2, 0.9)):
        frame = still()
        frame.captured_at = number - latency
        witness.handle_video_frame(frame, float(number))
        sound = tone(9000)
        sound.captured_at = number - latency / 2
        witness.handle_audio_frame(sound, float(number))
    witness.handle_video_frame(still(), 4.0)  # of unknown age
    witness.handle_audio_frame(tone(9000), 4.0)
    latencies = witness.take_latencies()
    assert latencies.picture == pytest.approx(0.2)
    assert latencies.sound == pytest.approx(0.1)
    assert witness.take_latencies() == Latencies()


async def test_it_can_be_closed_like_any_sink() -> None:
    await Witness(0.0).close()
