from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.receive.comfort_noise import ComfortNoise
from ringline.media.receive.conceal import Concealer

Samples = NDArray[np.int16]


def hum(seconds: float, level: float, seed: int = 1) -> Samples:
    """Return noise below 1 kHz, as of a fan."""
    count = round(seconds * 48_000)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    spectrum[np.fft.rfftfreq(count, 1 / 48_000) > 1_000] = 0
    sound = np.fft.irfft(spectrum, count)
    scaled: Samples = (sound * level / sound.std()).astype(np.int16)
    return scaled


def share_below(sound: NDArray[np.float64], frequency: float) -> float:
    power = np.square(np.abs(np.fft.rfft(sound)))
    return float(power[np.fft.rfftfreq(len(sound), 1 / 48_000) <= frequency].sum() / power.sum())


def learned(background: Samples) -> ComfortNoise:
    noise = ComfortNoise()
    for start in range(0, len(background), 960):
        noise.learn(background[start : start + 960])
    return noise


def test_there_is_none_before_a_pause_was_heard() -> None:
    noise = ComfortNoise()
    noise.learn(np.ones(100, np.int16))  # too short to tell
    assert not noise.make(960).any()


@pytest.mark.parametrize("level", [20.0, 100.0, 400.0])
def test_it_is_as_loud_as_the_background_and_of_its_colour(level: float) -> None:
    made = learned(hum(1.0, level)).make(48_000)
    assert abs(20 * np.log10(made.std() / level)) < 1.5
    assert share_below(made, 1_500) > 0.95


def test_white_noise_stays_white() -> None:
    background = np.random.default_rng(2).normal(0, 60, 48_000).astype(np.int16)
    assert share_below(learned(background).make(48_000), 12_000) == pytest.approx(0.5, abs=0.05)


def test_a_word_that_ends_does_not_make_it_loud_and_no_background_is_louder_than_a_bound() -> None:
    noise = learned(hum(1.0, 50.0))
    noise.learn(hum(0.02, 500.0))
    assert noise.make(48_000).std() < 100
    assert learned(hum(1.0, 9_000.0)).make(48_000).std() < 1_100


def test_it_goes_on_without_a_seam() -> None:
    whole, parts = learned(hum(1.0, 100.0)), learned(hum(1.0, 100.0))
    pieces = [parts.make(count) for count in (960, 120, 1_800)]
    assert np.allclose(whole.make(2_880), np.concatenate(pieces))


class Fan:
    """Decodes to a fan's hum; what it makes up for a loss is a loud tone."""

    def __init__(self) -> None:
        self.sound = hum(4.0, 100.0, seed=7)
        self.position = 0

    def decode(self, packet: bytes) -> Samples:
        del packet
        self.position += 960
        return self.sound[self.position - 960 : self.position]

    def decode_redundancy(self, next_packet: bytes, samples: int = 960) -> Samples | None:
        del next_packet, samples
        return None

    def conceal(self, samples: int = 960) -> Samples:
        return (3_000 * np.sin(np.arange(samples) * 2 * np.pi / 120)).astype(np.int16)


def test_a_long_gap_ends_in_the_background_and_begins_and_ends_without_a_click() -> None:
    concealer = Concealer(Fan())
    for _ in range(50):
        sound = concealer.decode(b"x")
        assert sound is not None
        concealer.is_quiet(sound)
    gap = [concealer.conceal() for _ in range(15)]
    assert concealer.is_silent
    back = concealer.decode(b"x")
    assert back is not None
    heard = np.concatenate(gap[5:]).astype(float)
    assert abs(20 * np.log10(heard.std() / 100)) < 2
    assert share_below(heard, 1_500) > 0.95
    loud = np.abs(np.diff(np.concatenate(gap[:3]).astype(int))).max()
    after = np.concatenate((*gap[3:], back)).astype(int)
    assert np.abs(np.diff(after)).max() <= loud + 20  # the tone's own steps, with some noise
    quiet = np.concatenate((gap[-1], back)).astype(int)
    assert np.abs(np.diff(quiet)).max() <= 3 * np.abs(np.diff(Fan().sound.astype(int))).max()
