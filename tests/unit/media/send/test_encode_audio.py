from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ringline.media.send.encode import EncodeConfig
from ringline.media.send.encode_audio import AudioEncode, audio_level


def test_sound_follows_rate_and_loss(fake_codecs: Any) -> None:
    stage = AudioEncode(EncodeConfig(), codecs=fake_codecs, in_band_fec=True)
    stage.set_conditions(24_000, 0.0)
    assert len(stage.encode(np.zeros(960, np.int16))) == 60
    hints = []
    for loss in (0.0, 0.009, 0.012, 0.06, 0.12, 0.5, 0.0):
        stage.set_conditions(16_000, loss)
        hints.append(fake_codecs.audio[0].loss)
    assert hints == pytest.approx([0.0, 0.0, 0.05, 0.05, 0.1, 0.2, 0.0])
    assert fake_codecs.audio[0].bitrate == 16_000


def test_no_redundancy_is_made_for_who_cannot_use_it(fake_codecs: Any) -> None:
    stage = AudioEncode(EncodeConfig(), codecs=fake_codecs, in_band_fec=False)
    stage.set_conditions(24_000, 0.2)
    stage.encode(np.zeros(960, np.int16))
    assert fake_codecs.audio[0].loss == 0.0


@pytest.mark.parametrize(
    ("amplitude", "expected"), [(0, (False, 127)), (32_767, (True, 0)), (60, (False, 55))]
)
def test_the_audio_level_is_that_of_the_frame(amplitude: int, expected: tuple[bool, int]) -> None:
    samples = np.full(960, amplitude, np.int16)
    assert audio_level(samples) == expected
