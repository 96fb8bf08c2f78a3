from __future__ import annotations

import numpy as np
import pytest

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.video_codec import Vp8Config
from ringline.media.rtp.vp8_header import read_quantizer, write_plain_header

KEY_TAG = b"\x10\x00\x00\x9d\x01\x2a\x40\x01\xf0\x00"
DELTA_TAG = b"\x11\x00\x00"


@pytest.mark.parametrize("rest", [b"", b"\xff\xff\xff", bytes(80)])
@pytest.mark.parametrize(("tag", "key"), [(KEY_TAG, True), (DELTA_TAG, False)])
def test_what_is_written_is_read_whatever_follows(tag: bytes, key: bool, rest: bytes) -> None:
    for quantizer in range(128):
        frame = tag + write_plain_header(quantizer, key=key) + rest
        assert read_quantizer(frame) == quantizer


def test_it_is_what_the_encoder_says_at_any_rate() -> None:
    codecs = CodecRegistry()
    encoder = codecs.video_encoder("VP8", Vp8Config(width=160, height=120, bitrate=100_000))
    noise = np.random.default_rng(1).integers(0, 255, (180, 160), dtype=np.uint8)
    seen = set()
    for number in range(60):
        encoder.set_bitrate((30_000, 1_500_000)[number // 30])
        frame = encoder.encode(
            np.roll(noise, number, axis=1).copy(),
            media_time=number * 3_000,
            duration=3_000,
            force_key=number % 20 == 0,
        )
        if frame is not None and frame.quantizer is not None:
            assert read_quantizer(frame.data) == frame.quantizer
            seen.add(frame.quantizer)
    assert len(seen) > 5


@pytest.mark.parametrize("data", [b"", b"\x11\x00\x00\x00", KEY_TAG, KEY_TAG + b"\x00"])
def test_a_frame_without_a_header_has_none(data: bytes) -> None:
    assert read_quantizer(data) is None
