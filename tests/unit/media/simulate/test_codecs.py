from __future__ import annotations

import inspect
import random

import pytest

from ringline.media.codecs.opus import OpusConfig, OpusDecoder, OpusEncoder
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.video_codec import VideoDecoder, VideoEncoder, Vp8Config
from ringline.media.errors import UnsupportedCodecError
from ringline.media.simulate.audio_codec import SimulatedAudioDecoder, SimulatedAudioEncoder
from ringline.media.simulate.codecs import SimulatedCodecs
from ringline.media.simulate.video_codec import SimulatedVideoDecoder, SimulatedVideoEncoder


def make_codecs() -> SimulatedCodecs:
    return SimulatedCodecs(random.Random(1))


def test_names_are_those_of_sdp_in_any_case() -> None:
    codecs = make_codecs()
    codecs.video_decoder("vp8")
    codecs.audio_decoder("OPUS")
    for make in (codecs.video_decoder, codecs.audio_decoder):
        with pytest.raises(UnsupportedCodecError):
            make("H264")
    with pytest.raises(UnsupportedCodecError):
        codecs.video_encoder("opus", Vp8Config(width=64, height=64))
    with pytest.raises(UnsupportedCodecError):
        codecs.audio_encoder("VP8", OpusConfig())


@pytest.mark.parametrize(
    ("real", "simulated"),
    [
        (CodecRegistry, SimulatedCodecs),
        (VideoEncoder, SimulatedVideoEncoder),
        (VideoDecoder, SimulatedVideoDecoder),
        (OpusEncoder, SimulatedAudioEncoder),
        (OpusDecoder, SimulatedAudioDecoder),
    ],
)
def test_they_can_be_called_as_the_real_ones(real: type, simulated: type) -> None:
    about_libraries = {"has_dred", "implementation", "implementations"}
    for name, method in vars(real).items():
        if name.startswith("_") or name in about_libraries:
            continue
        stand_in = getattr(simulated, name)
        if callable(method):
            assert [*inspect.signature(stand_in).parameters] == [
                *inspect.signature(method).parameters
            ], name
