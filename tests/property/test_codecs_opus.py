from __future__ import annotations

import ctypes
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringline.media.codecs.libopus import Libopus
from ringline.media.codecs.opus import OpusConfig, OpusDecoder, OpusEncoder
from ringline.media.codecs.opus_packet import MAX_PACKET_SAMPLES, has_redundancy, packet_samples
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.errors import CodecError, ParseError

CODECS = CodecRegistry()

# Any first byte, then what decides the layout of the frames, then a body.
packets = st.one_of(
    st.binary(max_size=64),
    st.tuples(st.binary(min_size=2, max_size=6), st.integers(0, 700)).map(
        lambda parts: parts[0] + bytes(range(1, 200))[: parts[1] % 199] * (1 + parts[1] // 199)
    ),
)


@pytest.fixture(scope="module")
def reference() -> ctypes.CDLL:
    """Give libopus's own parsers; those of our binding are our own, so they can be compared."""
    libopus = Libopus.load({})
    return ctypes.CDLL(libopus.library.path)


@given(packets)
def test_the_parsers_raise_nothing_but_parse_error(packet: bytes) -> None:
    with suppress(ParseError):
        assert 0 < packet_samples(packet) <= MAX_PACKET_SAMPLES
    with suppress(ParseError):
        assert has_redundancy(packet) in {True, False}


@given(packets)
@example(b"\x48\x40")
def test_the_parsers_agree_with_libopus(reference: ctypes.CDLL, packet: bytes) -> None:
    theirs = reference.opus_packet_get_nb_samples(packet, len(packet), 48_000)
    if theirs <= 0:
        with pytest.raises(ParseError):
            packet_samples(packet)
        return
    assert packet_samples(packet) == theirs
    if hasattr(reference, "opus_packet_has_lbrr"):  # since 1.4
        flag = reference.opus_packet_has_lbrr(packet, len(packet))
        if flag >= 0:  # else the packet breaks off later on, which our parser does not look at
            assert has_redundancy(packet) == bool(flag)


@settings(deadline=None)  # native code on a machine that may be busy
@given(st.lists(packets, max_size=5))
def test_the_decoder_raises_nothing_but_codec_error(damaged: list[bytes]) -> None:
    decoder: OpusDecoder = CODECS.audio_decoder("opus")
    for packet in damaged:
        with suppress(CodecError):
            assert 0 < len(decoder.decode(packet)) <= MAX_PACKET_SAMPLES
        with suppress(CodecError):
            copied = decoder.decode_redundancy(packet)
            assert copied is None or len(copied) == 960
        assert len(decoder.conceal()) == 960


@settings(deadline=None)  # native code on a machine that may be busy
@given(
    st.integers(1, 1_000_000),
    st.integers(0, 10),
    st.floats(0.0, 1.0),
    st.sampled_from([960, 1_920, 2_880]),
    st.integers(0, 2**32 - 1),
)
def test_any_setting_gives_packets_that_decode_to_their_length(
    bitrate: int, complexity: int, loss: float, size: int, seed: int
) -> None:
    config = OpusConfig(bitrate=bitrate, complexity=complexity, packet_loss=loss)
    encoder: OpusEncoder = CODECS.audio_encoder("opus", config)
    decoder = CODECS.audio_decoder("opus")
    rng = np.random.default_rng(seed)
    for _ in range(3):
        packet = encoder.encode(rng.integers(-32_768, 32_768, size).astype(np.int16))
        assert packet_samples(packet) == size
        assert len(decoder.decode(packet)) == size
