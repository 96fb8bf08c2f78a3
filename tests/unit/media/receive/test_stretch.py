from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.receive.stretch import MAX_PERIOD, cross_fade, lengthen, shorten

Samples = NDArray[np.int16]


def sine(frequency: float, samples: int = 1_920) -> Samples:
    sound: Samples = (8_000 * np.sin(2 * np.pi * frequency * np.arange(samples) / 48_000)).astype(
        np.int16
    )
    return sound


def vowel(pitch: float, samples: int = 1_920) -> Samples:
    """A pulse train through two resonances: voiced sound."""
    time = np.arange(samples) / 48_000
    sound = np.zeros(samples)
    for harmonic in range(1, int(4_000 / pitch)):
        frequency = harmonic * pitch
        weight = 1 / (1 + ((frequency - 700) / 150) ** 2) + 0.4 / (
            1 + ((frequency - 1_700) / 200) ** 2
        )
        sound += weight * np.cos(2 * np.pi * frequency * time + harmonic)
    scaled: Samples = (sound * 6_000 / np.abs(sound).max()).astype(np.int16)
    return scaled


def noise(samples: int = 1_920, level: float = 1_000) -> Samples:
    return np.random.default_rng(4).normal(0, level, samples).astype(np.int16)


def level(sound: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def largest_step(sound: Samples) -> int:
    return int(np.abs(np.diff(sound.astype(int))).max())


def tone(sound: Samples) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 16))
    return float(spectrum.argmax() * 48_000 / (1 << 16))


@pytest.mark.parametrize("frequency", [70, 110, 220, 440, 1_000])
def test_a_sine_keeps_its_pitch_level_and_smoothness(frequency: float) -> None:
    sound = sine(frequency, 3_840)
    short = shorten(sound, min_likeness=0.9)
    long = lengthen(sound[:960], sound[960:], min_likeness=0.9)
    assert short is not None
    assert long is not None
    assert 120 <= len(sound) - len(short) <= MAX_PERIOD
    assert 120 <= len(long) - len(sound[960:]) <= MAX_PERIOD
    whole = np.concatenate((sound[:960], long))
    for stretched in (short, whole):
        assert largest_step(stretched) <= largest_step(sound) * 1.05 + 3
        assert level(stretched) == pytest.approx(level(sound), rel=0.03)
        assert tone(stretched) == pytest.approx(tone(sound), rel=0.02)


@pytest.mark.parametrize("pitch", [80, 130, 210, 330])
def test_a_voice_loses_or_gains_whole_periods(pitch: float) -> None:
    sound = vowel(pitch)
    period = 48_000 / pitch
    short = shorten(sound, min_likeness=0.9)
    long = lengthen(sound[:960], sound[960:], min_likeness=0.9)
    assert short is not None
    assert long is not None
    for change in (len(sound) - len(short), len(long) - 960):
        assert change / period == pytest.approx(round(change / period), abs=0.01)
        assert change >= period - 1
    # The seam has what the sound around it has: nothing that was not there is heard.
    assert level((short[:960] - sound[:960])[:960]) < 0.1 * level(sound)
    assert largest_step(np.concatenate((sound[:960], long))) <= largest_step(sound) * 1.05 + 3


def test_a_hiss_is_left_alone_unless_it_is_quiet() -> None:
    sound = noise()
    assert shorten(sound, min_likeness=0.5) is None
    assert lengthen(sound[:960], sound[960:], min_likeness=0.5) is None
    short = shorten(sound, min_likeness=-1.0)
    long = lengthen(sound[:960], sound[960:], min_likeness=-1.0)
    assert short is not None
    assert long is not None
    assert level(short[:480]) == pytest.approx(1_000, rel=0.1)  # the seam is as loud as the rest
    assert level(long[:480]) == pytest.approx(1_000, rel=0.1)


def test_the_start_of_a_word_is_left_alone() -> None:
    sound = np.concatenate((noise(960, 20), vowel(130, 960)))
    assert shorten(sound, min_likeness=0.5) is None
    assert lengthen(sound[:960], sound[960:], min_likeness=0.5) is None


def test_no_more_is_taken_or_given_than_is_asked_for() -> None:
    quiet = noise(960, 30)
    for most in (120, 125, 200, 300, 480):
        short = shorten(quiet, min_likeness=-1.0, max_period=most)
        long = lengthen(quiet, quiet, min_likeness=-1.0, max_period=most)
        assert short is not None
        assert long is not None
        assert 120 <= 960 - len(short) <= most
        assert 120 <= len(long) - 960 <= most


def test_joints_on_both_sides_are_the_sound_s_own() -> None:
    sound = vowel(130)
    short = shorten(sound, min_likeness=0.9)
    long = lengthen(sound[:960], sound[960:], min_likeness=0.9)
    assert short is not None
    assert long is not None
    taken, given = len(sound) - len(short), len(long) - 960
    assert abs(int(short[0]) - int(sound[0])) < 60
    assert (short[taken:] == sound[2 * taken :]).all()
    assert abs(int(long[0]) - int(sound[960])) < 60
    assert (long[given:] == sound[960:]).all()


@pytest.mark.parametrize("samples", [0, 1, 100, 480, 599, 600, 1_000])
def test_what_is_too_short_is_left_alone_or_works(samples: int) -> None:
    sound = np.zeros(samples, np.int16)
    for before in (sound, np.zeros(720, np.int16)):
        long = lengthen(before, sound, min_likeness=-1.0)
        assert long is None or len(long) > samples
    short = shorten(sound, min_likeness=-1.0)
    assert short is None or 0 < len(short) < samples


def test_loud_sound_is_not_turned_round() -> None:
    loud = np.full(960, 32_767, np.int16)
    short = shorten(loud, min_likeness=-1.0)
    assert short is not None
    assert (short == 32_767).all()
    faded = cross_fade(
        np.full(100, 32_000, np.float32), np.where(np.arange(100) % 3, 32_000, -32_000)
    )
    assert faded.dtype == np.int16
    assert faded[49] > 0
