from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.codecs.video_codec import Reference, Vp8Config
from ringline.media.codecs.vp8_pyav import PyavVp8Decoder, PyavVp8Encoder
from ringline.media.errors import CodecError

Planes = NDArray[np.uint8]
MakeScene = Callable[..., Callable[[int], Planes]]
Psnr = Callable[[Planes, Planes], float]

FRAME = 3_000  # 1/30 s


def keys_after(
    changes: dict[int, int], *, frames: int, make_scene: MakeScene, bitrate: int = 400_000
) -> list[int]:
    """Change the rate before some frames; return which frames are key frames."""
    encoder = PyavVp8Encoder(Vp8Config(width=64, height=64, bitrate=bitrate))
    planes = make_scene(64, 64)(0)
    keys = []
    for number in range(frames):
        if number in changes:
            encoder.set_bitrate(changes[number])
        frame = encoder.encode(planes, media_time=number * FRAME, duration=FRAME)
        assert frame is not None
        if frame.key:
            keys.append(number)
    return keys


def test_what_goes_in_comes_out(make_scene: MakeScene, psnr: Psnr) -> None:
    picture = make_scene(320, 240)
    encoder = PyavVp8Encoder(Vp8Config(width=320, height=240))
    decoder = PyavVp8Decoder()
    assert encoder.has_golden is False
    shown = planes = picture(0)
    for number in range(30):
        planes = picture(number)
        frame = encoder.encode(planes, media_time=number * FRAME, duration=FRAME)
        assert frame is not None
        assert (frame.key, frame.width, frame.height, frame.quantizer) == (
            *(number == 0, 320, 240),
            None,
        )
        (shown,) = decoder.decode(frame.data)
        assert shown.shape == planes.shape
        assert shown.flags.c_contiguous
    assert psnr(shown, planes) > 35
    assert abs(shown[240:].astype(int) - planes[240:]).mean() < 2


def test_a_small_change_of_rate_never_makes_a_new_encoder(make_scene: MakeScene) -> None:
    assert keys_after({10: 490_000, 50: 310_000}, frames=150, make_scene=make_scene) == [0]


def test_a_worthwhile_change_waits_for_three_seconds(make_scene: MakeScene) -> None:
    assert keys_after({10: 500_000, 95: 700_000}, frames=200, make_scene=make_scene) == [0, 90, 180]


def test_a_drop_by_forty_percent_does_not_wait(make_scene: MakeScene) -> None:
    assert keys_after({10: 240_000, 20: 241_000}, frames=120, make_scene=make_scene) == [0, 10]


def test_the_rate_that_was_asked_for_comes(make_scene: MakeScene) -> None:
    encoder = PyavVp8Encoder(Vp8Config(width=320, height=240, bitrate=800_000))
    encoder.set_bitrate(200_000)
    picture = make_scene(320, 240)
    sizes = []
    for number in range(120):
        frame = encoder.encode(picture(number), media_time=number * FRAME, duration=FRAME)
        assert frame is not None
        sizes.append(len(frame.data))
    assert sum(sizes[-60:]) * 8 / 2 == pytest.approx(200_000, rel=0.25)


def test_key_frames_come_when_asked_for_and_in_place_of_golden_recovery(
    make_scene: MakeScene,
) -> None:
    encoder = PyavVp8Encoder(Vp8Config(width=64, height=64))
    planes = make_scene(64, 64)(0)
    keys = []
    for number in range(12):
        frame = encoder.encode(
            planes,
            media_time=number * FRAME,
            duration=FRAME,
            force_key=number == 4,
            reference={
                6: Reference.REFRESH_GOLDEN,
                7: Reference.REFRESH_ALTERNATE,
                8: Reference.GOLDEN_ONLY,
                10: Reference.ALTERNATE_ONLY,
            }.get(number, Reference.LAST),
        )
        assert frame is not None
        if frame.key:
            keys.append(number)
    assert keys == [0, 4, 8, 10]


def test_a_new_size_starts_with_a_key_frame(make_scene: MakeScene) -> None:
    encoder, decoder = PyavVp8Encoder(Vp8Config(width=320, height=180)), PyavVp8Decoder()
    time = 0
    for width, height in [(320, 180), (160, 90), (640, 360)]:
        for number in range(3):
            time += FRAME
            encoder.set_cpu_used(-8)
            frame = encoder.encode(
                make_scene(width, height)(number), media_time=time, duration=FRAME
            )
            assert frame is not None
            assert (frame.key, frame.width, frame.height) == (number == 0, width, height)
            (shown,) = decoder.decode(frame.data)
            assert shown.shape == (height * 3 // 2, width)


def test_wrong_times_and_settings_are_refused() -> None:
    encoder = PyavVp8Encoder(Vp8Config(width=64, height=64))
    planes = np.zeros((96, 64), np.uint8)
    assert encoder.encode(planes, media_time=10, duration=FRAME) is not None
    with pytest.raises(ValueError):
        encoder.encode(planes, media_time=10, duration=FRAME)
    with pytest.raises(ValueError):
        encoder.set_bitrate(-1)
    with pytest.raises(ValueError):
        encoder.set_cpu_used(0)


def test_a_damaged_frame_is_refused_and_the_next_key_frame_shown(make_scene: MakeScene) -> None:
    encoder, decoder = PyavVp8Encoder(Vp8Config(width=64, height=64)), PyavVp8Decoder()
    frame = encoder.encode(make_scene(64, 64)(0), media_time=0, duration=FRAME)
    assert frame is not None
    for damaged in (b"", frame.data[:5], b"\x00" * 50, b"\xff" * 50):
        with pytest.raises(CodecError):
            decoder.decode(damaged)
    assert len(decoder.decode(frame.data)) == 1
    with pytest.raises(CodecError, match="64x64"):
        PyavVp8Decoder(max_pixels=100).decode(frame.data)
