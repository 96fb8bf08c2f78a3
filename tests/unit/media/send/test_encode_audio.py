from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ringline.media.send.encode_audio import AudioEncode, audio_level


def test_sound_follows_the_rate(fake_codecs: Any) -> None:
    stage = AudioEncode(codecs=fake_codecs, in_band_fec=True)
    stage.set_conditions(24_000, 0.0)
    assert len(stage.encode(np.zeros(960, np.int16))) == 60
    stage.set_conditions(16_000, 0.0)
    assert len(stage.encode(np.zeros(1_920, np.int16))) == 80


@pytest.mark.parametrize(
    ("bitrate", "hints"),
    [
        (32_000, [0.0, 0.0, 0.05, 0.05, 0.05, 0.05, 0.0]),
        (24_000, [0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 0.0]),
        (20_000, [0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.0]),
        (16_000, [0.0] * 7),
    ],
)
def test_the_encoder_is_told_of_loss_where_that_pays(
    fake_codecs: Any, bitrate: int, hints: list[float]
) -> None:
    stage = AudioEncode(codecs=fake_codecs, in_band_fec=True)
    stage.set_conditions(bitrate, 0.0)
    stage.encode(np.zeros(960, np.int16))
    told = []
    for loss in (0.0, 0.009, 0.012, 0.05, 0.12, 0.5, 0.0):
        stage.set_conditions(bitrate, loss)
        told.append(fake_codecs.audio[0].loss)
    assert told == hints


def test_the_least_rates_are_encoded_with_the_most_care(fake_codecs: Any) -> None:
    stage = AudioEncode(codecs=fake_codecs, in_band_fec=True)
    stage.set_conditions(48_000, 0.0)
    stage.encode(np.zeros(960, np.int16))
    assert fake_codecs.audio[0].complexity == 5
    stage.set_conditions(32_000, 0.0)
    assert fake_codecs.audio[0].complexity == 9


def test_no_redundancy_is_made_for_who_cannot_use_it(fake_codecs: Any) -> None:
    stage = AudioEncode(codecs=fake_codecs, in_band_fec=False)
    stage.set_conditions(24_000, 0.2)
    stage.encode(np.zeros(960, np.int16))
    assert fake_codecs.audio[0].loss == 0.0


@pytest.mark.parametrize(
    ("amplitude", "expected"), [(0, (False, 127)), (32_767, (True, 0)), (60, (False, 55))]
)
def test_the_audio_level_is_that_of_the_frame(amplitude: int, expected: tuple[bool, int]) -> None:
    samples = np.full(960, amplitude, np.int16)
    assert audio_level(samples) == expected
