from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.media.codecs.video_codec import Reference, Vp8Config
from ringline.media.errors import CodecError
from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import frame_size, is_key_frame
from ringline.media.rtp.vp8_header import read_quantizer
from ringline.media.simulate.marks import PictureMark, make_picture, read_picture
from ringline.media.simulate.video_codec import SimulatedVideoDecoder, SimulatedVideoEncoder

FRAME = 3_000  # 1/30 s


def make_encoder(bitrate: int = 500_000) -> SimulatedVideoEncoder:
    rng = random.Random(1)
    return SimulatedVideoEncoder(Vp8Config(width=640, height=360, bitrate=bitrate), rng)


def encode(encoder: SimulatedVideoEncoder, count: int, first: int = 0) -> list[EncodedPicture]:
    return [
        encoder.encode(make_picture(number), media_time=number * FRAME, duration=FRAME)
        for number in range(first, first + count)
    ]


def marks(decoder: SimulatedVideoDecoder, frames: list[EncodedPicture]) -> list[PictureMark]:
    return [read_picture(planes) for frame in frames for planes in decoder.decode(frame.data)]


def test_frames_open_as_vp8_does() -> None:
    key, delta = encode(make_encoder(), 2)
    assert (key.key, delta.key) == (True, False)
    assert is_key_frame(key.data)
    assert not is_key_frame(delta.data)
    assert frame_size(key.data) == (640, 360) == (key.width, key.height)


def test_the_rate_is_kept_over_seconds() -> None:
    for bitrate in (200_000, 500_000, 1_500_000):
        frames = encode(make_encoder(bitrate), 300)
        assert sum(len(frame.data) for frame in frames) * 8 / 10 == pytest.approx(bitrate, rel=0.05)


def test_a_new_rate_holds_from_the_next_frame_without_a_key_frame() -> None:
    encoder = make_encoder(1_500_000)
    encode(encoder, 60)
    encoder.set_bitrate(300_000)
    frames = encode(encoder, 30, first=60)
    assert not any(frame.key for frame in frames)
    assert sum(len(frame.data) for frame in frames) * 8 == pytest.approx(300_000, rel=0.15)


def test_a_key_frame_is_several_delta_frames() -> None:
    frames = encode(make_encoder(), 60)
    delta = sum(len(frame.data) for frame in frames[1:]) / 59
    assert 4.5 < len(frames[0].data) / delta < 10


def test_a_picture_has_a_least_and_a_most_size() -> None:
    assert len(encode(make_encoder(10_000), 30)[-1].data) == round(640 * 360 * 0.012 / 8)
    assert len(encode(make_encoder(90_000_000), 30)[-1].data) == round(640 * 360 * 0.6 / 8)


def test_the_quantizer_grows_as_the_rate_falls() -> None:
    steps = [encode(make_encoder(rate), 10)[-1].quantizer for rate in (1_500_000, 500_000, 100_000)]
    assert steps == sorted(steps, key=lambda step: step or 0)
    assert steps[0] != steps[2]


def test_a_frame_says_its_quantizer_where_vp8_does() -> None:
    for frame in encode(make_encoder(200_000), 3):
        assert read_quantizer(frame.data) == frame.quantizer


def test_a_change_of_size_starts_with_a_key_frame() -> None:
    encoder = make_encoder()
    encode(encoder, 2)
    frame = encoder.encode(make_picture(2, 320, 180), media_time=2 * FRAME, duration=FRAME)
    assert frame.key
    assert frame_size(frame.data) == (320, 180)


def test_a_frame_after_a_lost_one_decodes_damaged_until_a_key_frame() -> None:
    encoder, decoder = make_encoder(), SimulatedVideoDecoder()
    frames = encode(encoder, 5)
    key = encoder.encode(make_picture(5), media_time=5 * FRAME, duration=FRAME, force_key=True)
    seen = marks(decoder, [*frames[:2], *frames[3:], key])
    assert [(mark.number, mark.intact) for mark in seen] == [
        (0, True),
        (1, True),
        (3, False),
        (4, False),
        (5, True),
    ]
    assert (decoder.decoded, decoder.decoded_through) == (3, 2)


@pytest.mark.parametrize(
    ("refresh", "only"),
    [
        (Reference.REFRESH_GOLDEN, Reference.GOLDEN_ONLY),
        (Reference.REFRESH_ALTERNATE, Reference.ALTERNATE_ONLY),
    ],
)
def test_a_kept_frame_is_a_way_back_after_a_loss(refresh: Reference, only: Reference) -> None:
    encoder, decoder = make_encoder(), SimulatedVideoDecoder()
    references = [Reference.LAST, refresh, Reference.LAST, only]
    frames = [
        encoder.encode(
            make_picture(number), media_time=number * FRAME, duration=FRAME, reference=reference
        )
        for number, reference in enumerate(references)
    ]
    assert [mark.intact for mark in marks(decoder, [*frames[:2], frames[3]])] == [True] * 3
    assert not frames[3].key


def test_a_frame_from_an_old_picture_is_larger_but_no_key_frame() -> None:
    sizes = []
    for age in (0.2, 1.0, 2.0, 60.0):
        encoder = make_encoder()
        encode(encoder, 2)
        frame = encoder.encode(
            make_picture(2),
            media_time=round(age * 90_000),
            duration=FRAME,
            reference=Reference.GOLDEN_ONLY,
        )
        assert not frame.key
        sizes.append(len(frame.data))
    mean = len(encode(make_encoder(), 30)[-1].data)
    assert sizes == sorted(sizes)
    assert sizes[0] < 1.3 * mean
    assert sizes[3] < 6 * mean


def test_a_golden_frame_that_was_lost_is_no_way_back() -> None:
    encoder, decoder = make_encoder(), SimulatedVideoDecoder()
    references = [Reference.LAST, Reference.REFRESH_GOLDEN, Reference.GOLDEN_ONLY]
    frames = [
        encoder.encode(
            make_picture(number), media_time=number * FRAME, duration=FRAME, reference=reference
        )
        for number, reference in enumerate(references)
    ]
    assert [mark.intact for mark in marks(decoder, [frames[0], frames[2]])] == [True, False]


def test_a_cut_frame_decodes_damaged() -> None:
    frames, decoder = encode(make_encoder(), 1), SimulatedVideoDecoder()
    (planes,) = decoder.decode(frames[0].data[:-1])
    assert not read_picture(planes).intact


def test_a_damaged_picture_that_is_encoded_again_stays_damaged() -> None:
    decoder = SimulatedVideoDecoder()
    damaged = make_picture(0, intact=False)
    frame = make_encoder().encode(damaged, media_time=0, duration=FRAME)
    assert [mark.intact for mark in marks(decoder, [frame])] == [False]


def test_a_delta_frame_before_any_key_frame_is_an_error() -> None:
    frames = encode(make_encoder(), 2)
    with pytest.raises(CodecError, match="before the first key frame"):
        SimulatedVideoDecoder().decode(frames[1].data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_picture_or_a_codec_error(data: bytes) -> None:
    try:
        SimulatedVideoDecoder().decode(data)
    except CodecError:
        return


def test_the_encoder_refuses_what_the_real_one_refuses() -> None:
    encoder = make_encoder()
    for call in (
        lambda: encoder.set_bitrate(0),
        lambda: encoder.set_cpu_used(0),
        lambda: encoder.encode(np.zeros((5, 5), np.uint8), media_time=0, duration=1),
    ):
        with pytest.raises(ValueError):
            call()
