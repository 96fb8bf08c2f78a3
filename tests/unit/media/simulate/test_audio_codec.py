from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.media.codecs.opus import OpusConfig
from ringline.media.codecs.opus_packet import has_redundancy, packet_samples
from ringline.media.errors import CodecError
from ringline.media.simulate.audio_codec import SimulatedAudioDecoder, SimulatedAudioEncoder
from ringline.media.simulate.marks import make_sound


def make_audio(bitrate: int = 32_000, loss: float = 0.0) -> SimulatedAudioEncoder:
    config = OpusConfig(bitrate=bitrate, packet_loss=loss)
    rng = random.Random(1)
    return SimulatedAudioEncoder(config, rng)


@pytest.mark.parametrize("frame_samples", [960, 1_920, 2_880])
def test_packets_open_as_opus_does(frame_samples: int) -> None:
    sound = np.concatenate([make_sound(index) for index in range(frame_samples // 960)])
    for loss in (0.0, 0.1):
        packet = make_audio(loss=loss).encode(sound)
        assert packet_samples(packet) == frame_samples
        assert has_redundancy(packet) == (loss > 0)
        assert SimulatedAudioDecoder().decode(packet).tolist() == sound.tolist()


def test_sizes_follow_the_rate() -> None:
    encoder = make_audio()
    for bitrate in (16_000, 64_000):
        encoder.set_bitrate(bitrate)
        total = sum(len(encoder.encode(make_sound(number))) for number in range(100))
        assert total * 8 / 2 == pytest.approx(bitrate, rel=0.05)


def test_redundancy_needs_loss_and_rate() -> None:
    encoder = make_audio()
    steps = [(24_000, 0.0), (24_000, 0.01), (20_000, 0.05), (20_000, 0.1), (16_000, 0.2)]
    got = []
    for rate, loss in steps:
        encoder.set_bitrate(rate)
        encoder.set_packet_loss(loss)
        got.append(has_redundancy(encoder.encode(make_sound(1))))
    assert got == [False, True, False, True, False]
    encoder.set_inband_fec(enabled=False)
    assert not has_redundancy(encoder.encode(make_sound(1)))


def test_a_lost_sound_comes_back_from_the_packet_after_it() -> None:
    encoder, decoder = make_audio(loss=0.1), SimulatedAudioDecoder()
    packets = [encoder.encode(make_sound(number)) for number in range(3)]
    decoder.decode(packets[0])
    restored = decoder.decode_redundancy(packets[2])
    assert restored is not None
    assert restored.tolist() == make_sound(1).tolist()
    assert (decoder.redundant_samples, decoder.concealed_samples) == (960, 0)


def test_of_a_longer_gap_only_the_end_comes_back() -> None:
    encoder, decoder = make_audio(loss=0.1), SimulatedAudioDecoder()
    packets = [encoder.encode(make_sound(number)) for number in range(4)]
    decoder.decode(packets[0])
    restored = decoder.decode_redundancy(packets[3], 1_920)
    assert restored is not None
    assert restored.tolist() == [*(-make_sound(0)).tolist(), *make_sound(2).tolist()]


def test_without_redundancy_nothing_comes_back() -> None:
    encoder, decoder = make_audio(), SimulatedAudioDecoder()
    assert decoder.decode_redundancy(encoder.encode(make_sound(1))) is None


def test_concealment_is_marked_and_falls_silent() -> None:
    encoder, decoder = make_audio(), SimulatedAudioDecoder()
    decoder.decode(encoder.encode(make_sound(9)))
    made_up = [decoder.conceal() for _ in range(6)]
    assert [int(samples[0]) for samples in made_up] == [-10] * 5 + [0]
    assert decoder.concealed_samples == 6 * 960


def test_silence_need_not_be_sent() -> None:
    encoder = make_audio()
    silence = np.zeros(960, np.int16)
    assert encoder.encode(silence)
    encoder.set_dtx(enabled=True)
    assert encoder.encode(silence) == b""


@given(st.binary(max_size=20))
def test_any_bytes_are_a_sound_or_a_codec_error(data: bytes) -> None:
    decoder = SimulatedAudioDecoder()
    for decode in (decoder.decode, decoder.decode_redundancy):
        try:
            decode(data)
        except CodecError:
            continue


def test_the_encoder_refuses_what_the_real_one_refuses() -> None:
    encoder = make_audio()
    for call in (
        lambda: encoder.set_bitrate(-1),
        lambda: encoder.set_packet_loss(5.0),
        lambda: encoder.set_complexity(11),
        lambda: encoder.encode(np.zeros(100, np.int16)),
    ):
        with pytest.raises(ValueError):
            call()
