from __future__ import annotations

import numpy as np
import pytest

from ringline.media.synthetic_voice import Voice


@pytest.fixture(scope="module", params=[0, 1, 2])
def ten_seconds(request: pytest.FixtureRequest) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    voice = Voice(request.param)
    return np.stack([voice.next_block() for _ in range(500)])


Blocks = np.ndarray[tuple[int, ...], np.dtype[np.int16]]


def _levels(blocks: Blocks) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """In dB below full scale, of each 20 ms."""
    power = (blocks.astype(np.float64) ** 2).mean(axis=1)
    levels: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    levels = 10 * np.log10(power / 32768**2 + 1e-12)
    return levels


def test_speech_is_as_loud_as_on_a_telephone_and_not_clipped(ten_seconds: Blocks) -> None:
    levels = _levels(ten_seconds)
    spoken = levels[levels > -45]
    assert -32 < 10 * np.log10((10 ** (spoken / 10)).mean()) < -20
    assert np.abs(ten_seconds.astype(int)).max() < 32767


def test_there_are_pauses_and_more_speech_than_pauses(ten_seconds: Blocks) -> None:
    silent = (_levels(ten_seconds) < -60).mean()
    assert 0.1 < silent < 0.5


def test_syllables_come_as_fast_as_people_speak(ten_seconds: Blocks) -> None:
    envelope = np.sqrt((ten_seconds.astype(np.float64) ** 2).mean(axis=1))
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    rates = np.fft.rfftfreq(len(envelope), 0.02)
    syllables = spectrum[(rates > 2) & (rates < 10)].sum()
    faster = spectrum[rates > 15].sum()
    assert syllables > 2 * faster


def test_voiced_sound_is_harmonic_and_its_pitch_glides(ten_seconds: Blocks) -> None:
    pitches = []
    for block in ten_seconds.reshape(-1, 1920)[:, :1920].astype(np.float64):
        if np.sqrt((block**2).mean()) < 800:
            continue
        correlation = np.correlate(block, block, "full")[1919:]
        lag = int(correlation[150:700].argmax()) + 150  # 69 to 320 Hz
        if correlation[lag] > 0.5 * correlation[0]:
            pitches.append(48000 / lag)
    assert len(pitches) > 60
    assert np.percentile(pitches, 90) / np.percentile(pitches, 10) > 1.1


def test_the_same_seed_says_the_same_and_another_something_else() -> None:
    one, same, other = (
        np.concatenate([voice.next_block() for _ in range(50)])
        for voice in (Voice(4), Voice(4), Voice(5))
    )
    assert one.dtype == np.int16
    assert one.shape == (48000,)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
