from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.codecs.opus import OpusConfig, OpusDecoder, OpusEncoder
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.shared_library import find_libraries
from ringline.media.codecs.video_codec import VideoDecoder, VideoEncoder, Vp8Config
from ringline.media.codecs.vp8 import Vp8Decoder, Vp8Encoder
from ringline.media.codecs.vp8_pyav import PyavVp8Decoder, PyavVp8Encoder
from ringline.media.errors import UnsupportedCodecError

Planes = NDArray[np.uint8]
MakeScene = Callable[..., Callable[[int], Planes]]

CONFIG = Vp8Config(width=64, height=64)


def converse(encoder: VideoEncoder, decoder: VideoDecoder, planes: Planes) -> list[Planes]:
    frame = encoder.encode(planes, media_time=0, duration=3_000)
    assert frame is not None
    return decoder.decode(frame.data)


def test_libvpx_is_what_normally_runs(codecs: CodecRegistry, make_scene: MakeScene) -> None:
    # Without it each change of rate would cost a key frame, and nobody would be told.
    implementation = codecs.implementation("VP8")
    assert implementation.is_fallback is False
    assert implementation.name is not None
    assert implementation.name.startswith("libvpx v1.")
    assert implementation.refused == ()
    encoder, decoder = codecs.video_encoder("VP8", CONFIG), codecs.video_decoder("VP8")
    assert isinstance(encoder, Vp8Encoder)
    assert isinstance(decoder, Vp8Decoder)
    assert encoder.has_golden
    assert len(converse(encoder, decoder, make_scene(64, 64)(0))) == 1


def test_pyav_runs_where_libvpx_is_refused(
    caplog: pytest.LogCaptureFixture, make_scene: MakeScene
) -> None:
    with caplog.at_level(logging.WARNING):
        codecs = CodecRegistry({"RINGLINE_LIBVPX": "/nowhere/libvpx.so"})
    implementation = codecs.implementation("VP8")
    assert implementation.is_fallback
    assert implementation.name is not None
    assert implementation.name.startswith("PyAV ")
    (reason,) = implementation.refused
    assert reason.startswith("/nowhere/libvpx.so (environment) does not load: ")
    assert [record.getMessage() for record in caplog.records] == [f"codec {implementation}"]
    encoder, decoder = codecs.video_encoder("VP8", CONFIG), codecs.video_decoder("VP8")
    assert isinstance(encoder, PyavVp8Encoder)
    assert isinstance(decoder, PyavVp8Decoder)
    assert not encoder.has_golden
    assert len(converse(encoder, decoder, make_scene(64, 64)(0))) == 1


def test_either_decodes_what_the_other_encoded(
    codecs: CodecRegistry, make_scene: MakeScene
) -> None:
    planes = make_scene(64, 64)(0)
    fallback = CodecRegistry({"RINGLINE_LIBVPX": "/nowhere/libvpx.so"})
    for one, other in ((codecs, fallback), (fallback, codecs)):
        (shown,) = converse(one.video_encoder("VP8", CONFIG), other.video_decoder("VP8"), planes)
        assert shown.shape == planes.shape


def test_each_library_on_this_machine_encodes_the_same_bits(make_scene: MakeScene) -> None:
    picture = make_scene(320, 240)
    streams = []
    for library in find_libraries("vpx", {}):
        codecs = CodecRegistry({"RINGLINE_LIBVPX": library.path})
        assert codecs.implementation("VP8").path == library.path
        encoder = codecs.video_encoder("VP8", Vp8Config(width=320, height=240))
        sent = [encoder.encode(picture(n), media_time=n * 3_000, duration=3_000) for n in range(10)]
        streams.append([frame.data for frame in sent if frame is not None])
    assert [len(stream) for stream in streams] == [10] * len(streams)
    assert all(stream == streams[0] for stream in streams)


def test_names_are_sdp_s_in_any_case_of_letters(codecs: CodecRegistry) -> None:
    assert [each.codec for each in codecs.implementations] == ["VP8", "opus"]
    assert codecs.implementation("vp8") is codecs.implementation("VP8")
    assert isinstance(codecs.video_encoder("vp8", CONFIG), Vp8Encoder)
    assert isinstance(codecs.audio_encoder("OPUS", OpusConfig()), OpusEncoder)
    assert isinstance(codecs.audio_decoder("Opus"), OpusDecoder)


def test_an_unknown_codec_and_one_of_the_wrong_kind_are_refused(codecs: CodecRegistry) -> None:
    with pytest.raises(UnsupportedCodecError, match="'H264'; there is VP8, opus"):
        codecs.video_decoder("H264")
    with pytest.raises(UnsupportedCodecError, match="'opus' is no codec of this kind"):
        codecs.video_encoder("opus", CONFIG)
    with pytest.raises(UnsupportedCodecError, match="'VP8' is no codec of this kind"):
        codecs.audio_decoder("VP8")
    with pytest.raises(UnsupportedCodecError):
        codecs.audio_encoder("PCMU", OpusConfig())
    with pytest.raises(UnsupportedCodecError):
        codecs.implementation("")
