from __future__ import annotations

from typing import Any, NoReturn, cast

import numpy as np
import pytest

from ringline.media.codecs.video_codec import Vp8Config
from ringline.media.errors import CodecError
from ringline.media.frames import VideoFrame
from ringline.media.send.encode_job import EncoderSlot, PrepareEncoderJob, VideoEncodeJob


class NoEncoders:
    def video_encoder(self, name: str, config: Vp8Config) -> NoReturn:
        raise CodecError(f"no {name} of {config.width}x{config.height} here")


def job(slot: EncoderSlot, size: tuple[int, int]) -> VideoEncodeJob:
    return VideoEncodeJob(
        lane="encode 1",
        slot=slot,
        frame=VideoFrame(np.full((540, 640), 90, np.uint8), 0.0),
        size=size,
        media_time=0,
        encoder_time=0,
        duration=3_000,
        bitrate=123_000,
        force_key=False,
    )


@pytest.fixture
def slot(fake_codecs: Any) -> EncoderSlot:
    return EncoderSlot(fake_codecs, Vp8Config(width=640, height=360))


def test_the_encoder_is_made_by_whichever_job_runs_first(
    slot: EncoderSlot, fake_codecs: Any
) -> None:
    assert fake_codecs.video == []
    preparation = PrepareEncoderJob(lane="encode 1", slot=slot)
    preparation.run()
    (encoder,) = fake_codecs.video
    job(slot, (640, 360)).run()
    assert fake_codecs.video == [encoder]
    assert encoder.sizes == [(640, 360)]


def test_an_encoder_that_cannot_be_made_fails_each_job_and_raises_from_none() -> None:
    slot = EncoderSlot(NoEncoders(), Vp8Config(width=640, height=360))  # type: ignore[arg-type]
    preparation = PrepareEncoderJob(lane="encode 1", slot=slot)
    preparation.run()
    assert isinstance(preparation.error, CodecError)
    work = job(slot, (640, 360))
    work.run()
    assert work.picture is None
    assert isinstance(work.error, CodecError)


def test_it_tells_the_encoder_the_rate_and_keeps_the_result(
    slot: EncoderSlot, fake_codecs: Any
) -> None:
    work = job(slot, (640, 360))
    work.run()
    (encoder,) = fake_codecs.video
    assert encoder.bitrate == 123_000
    assert work.picture is not None
    assert (work.picture.width, work.picture.height) == (640, 360)
    assert work.error is None


@pytest.mark.parametrize("size", [(480, 270), (320, 180), (240, 134), (160, 90)])
def test_it_scales_to_the_size_asked_for(
    slot: EncoderSlot, fake_codecs: Any, size: tuple[int, int]
) -> None:
    job(slot, size).run()
    (encoder,) = fake_codecs.video
    assert encoder.sizes == [size]


def test_a_failure_is_kept_and_not_raised(slot: EncoderSlot) -> None:
    cast("Any", slot.get()).fails = True
    work = job(slot, (640, 360))
    work.run()
    assert work.picture is None
    assert isinstance(work.error, ValueError)
