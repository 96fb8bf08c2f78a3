from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ringline.media.codecs.video_codec import Vp8Config
from ringline.media.frames import VideoFrame
from ringline.media.send.encode_job import VideoEncodeJob


def job(encoder: Any, size: tuple[int, int]) -> VideoEncodeJob:
    return VideoEncodeJob(
        lane="encode 1",
        encoder=encoder,
        frame=VideoFrame(np.full((540, 640), 90, np.uint8), 0.0),
        size=size,
        media_time=0,
        encoder_time=0,
        duration=3_000,
        bitrate=123_000,
        force_key=False,
    )


@pytest.fixture
def encoder(fake_codecs: Any) -> Any:
    return fake_codecs.video_encoder("VP8", Vp8Config(width=640, height=360))


def test_it_tells_the_encoder_the_rate_and_keeps_the_result(encoder: Any) -> None:
    work = job(encoder, (640, 360))
    work.run()
    assert encoder.bitrate == 123_000
    assert work.picture is not None
    assert (work.picture.width, work.picture.height) == (640, 360)
    assert work.error is None


@pytest.mark.parametrize("size", [(480, 270), (320, 180), (240, 134), (160, 90)])
def test_it_scales_to_the_size_asked_for(encoder: Any, size: tuple[int, int]) -> None:
    job(encoder, size).run()
    assert encoder.sizes == [size]


def test_a_failure_is_kept_and_not_raised(encoder: Any) -> None:
    encoder.fails = True
    work = job(encoder, (640, 360))
    work.run()
    assert work.picture is None
    assert isinstance(work.error, ValueError)
