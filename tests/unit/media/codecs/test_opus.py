from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.codecs.opus import OpusConfig, OpusDecoder, OpusEncoder
from ringline.media.codecs.opus_packet import has_redundancy, packet_samples
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.errors import CodecError

Samples = NDArray[np.int16]
MakeEncoder = Callable[..., OpusEncoder]


@pytest.fixture
def make_encoder(codecs: CodecRegistry) -> MakeEncoder:
    return lambda **settings: codecs.audio_encoder("opus", OpusConfig(**settings))


@pytest.fixture
def decoder(codecs: CodecRegistry) -> OpusDecoder:
    return codecs.audio_decoder("opus")


def frames(sound: Samples, size: int = 960) -> list[Samples]:
    return [sound[start : start + size] for start in range(0, len(sound) - size + 1, size)]


def kilobits_per_second(packets: list[bytes], size: int = 960) -> float:
    return sum(map(len, packets)) * 8 / 1000 / (len(packets) * size / 48_000)


@pytest.mark.parametrize("size", [960, 1_920, 2_880])
def test_a_frame_of_each_length_comes_out_as_long_as_it_went_in(
    make_encoder: MakeEncoder, decoder: OpusDecoder, voice: Samples, size: int
) -> None:
    encoder = make_encoder()
    for samples in frames(voice, size)[:10]:
        packet = encoder.encode(samples)
        assert packet_samples(packet) == size
        heard = decoder.decode(packet)
        assert heard.shape == (size,)
        assert heard.dtype == np.int16


def test_what_goes_in_comes_out_later_by_the_lookahead(
    make_encoder: MakeEncoder, decoder: OpusDecoder
) -> None:
    # Noise, for it resembles itself at no other delay; VOIP's high-pass filter bends low tones.
    noise = np.random.default_rng(1).normal(0.0, 3_000.0, 48_000).astype(np.int16)
    encoder = make_encoder(bitrate=128_000)
    heard = np.concatenate([decoder.decode(encoder.encode(each)) for each in frames(noise)])
    sent = noise[: len(heard)].astype(float)
    likeness = [
        float(np.corrcoef(sent[: len(sent) - delay], heard[delay:])[0, 1]) for delay in range(600)
    ]
    assert int(np.argmax(likeness)) == encoder.lookahead
    assert max(likeness) > 0.8


def test_the_rate_changes_live(make_encoder: MakeEncoder, voice: Samples) -> None:
    encoder = make_encoder(bitrate=48_000)
    rates = []
    for bitrate in (48_000, 12_000, 24_000, 64_000):
        encoder.set_bitrate(bitrate)
        rates.append(kilobits_per_second([encoder.encode(each) for each in frames(voice)[:100]]))
    assert rates == pytest.approx([48, 12, 24, 64], rel=0.2)


def test_the_length_of_frames_changes_live(
    make_encoder: MakeEncoder, decoder: OpusDecoder, voice: Samples
) -> None:
    encoder = make_encoder(bitrate=24_000)
    heard: list[Samples] = []
    position = 0
    while position < 96_000:
        size = (960, 2_880, 1_920)[position // 9_600 % 3]
        heard.append(decoder.decode(encoder.encode(voice[position : position + size])))
        assert len(heard[-1]) == size
        position += size
    sound = np.concatenate(heard)[encoder.lookahead :].astype(float)
    assert np.corrcoef(sound, voice[: len(sound)])[0, 1] > 0.8


def test_redundancy_comes_with_loss_and_goes_with_it(
    make_encoder: MakeEncoder, voice: Samples
) -> None:
    encoder = make_encoder(bitrate=32_000)
    shares = []
    for loss, allowed in ((0.0, True), (0.1, True), (0.1, False), (0.0, True)):
        encoder.set_packet_loss(loss)
        encoder.set_inband_fec(allowed)
        packets = [encoder.encode(each) for each in frames(voice)]
        shares.append(sum(map(has_redundancy, packets)) / len(packets))
    none, most, forbidden, last = shares
    assert none == 0
    assert most > 0.4
    assert forbidden == pytest.approx(0, abs=0.02)  # the first packet may still carry one
    assert last == pytest.approx(0, abs=0.02)


def test_the_copy_in_the_next_packet_heals_better_than_concealment(
    codecs: CodecRegistry, make_encoder: MakeEncoder, voice: Samples
) -> None:
    encoder = make_encoder(bitrate=32_000, packet_loss=0.2)
    packets = [encoder.encode(each) for each in frames(voice)]
    whole = codecs.audio_decoder("opus")
    intended = [whole.decode(packet).astype(float) for packet in packets]
    errors = {"copied": 0.0, "concealed": 0.0}
    lost = [n for n in range(5, len(packets) - 1, 9) if has_redundancy(packets[n + 1])]
    assert len(lost) > 5
    for way in errors:
        decoder = codecs.audio_decoder("opus")
        for number, packet in enumerate(packets):
            if number not in lost:
                decoder.decode(packet)
                continue
            filled = (
                decoder.decode_redundancy(packets[number + 1])
                if way == "copied"
                else decoder.conceal()
            )
            assert filled is not None
            assert filled.shape == (960,)
            errors[way] += float(((filled - intended[number]) ** 2).mean())
    assert errors["copied"] < errors["concealed"] / 2


def test_a_packet_without_a_copy_decodes_to_nothing_and_changes_nothing(
    codecs: CodecRegistry, make_encoder: MakeEncoder, voice: Samples
) -> None:
    encoder = make_encoder(packet_loss=0.0)
    packets = [encoder.encode(each) for each in frames(voice)[:10]]
    one, other = codecs.audio_decoder("opus"), codecs.audio_decoder("opus")
    for packet in packets:
        assert one.decode_redundancy(packet) is None
        assert np.array_equal(one.decode(packet), other.decode(packet))


def test_concealment_goes_on_from_the_sound_and_fades(
    make_encoder: MakeEncoder, decoder: OpusDecoder, voice: Samples
) -> None:
    encoder = make_encoder()
    loud = next(n for n, each in enumerate(frames(voice)) if n > 10 and np.abs(each).max() > 5_000)
    heard = [decoder.decode(encoder.encode(each)) for each in frames(voice)[: loud + 1]][-1]
    made_up = [decoder.conceal() for _ in range(50)]
    assert {each.shape for each in made_up} == {(960,)}
    level = [float(np.abs(each.astype(float)).mean()) for each in [heard, *made_up]]
    assert level[1] > level[0] / 4
    assert level[-1] < level[0] / 20


@pytest.mark.parametrize("samples", [120, 480, 960, 1_920, 2_880, 5_760])
def test_a_gap_of_any_length_is_filled(decoder: OpusDecoder, samples: int) -> None:
    assert decoder.conceal(samples).shape == (samples,)


@pytest.mark.parametrize("samples", [0, -960, 100, 5_880])
def test_a_gap_of_no_possible_length_is_refused(decoder: OpusDecoder, samples: int) -> None:
    with pytest.raises(ValueError):
        decoder.conceal(samples)
    with pytest.raises(ValueError):
        decoder.decode_redundancy(b"\x48\x40", samples)


def test_silence_costs_next_to_nothing_with_dtx(
    make_encoder: MakeEncoder, decoder: OpusDecoder, voice: Samples
) -> None:
    silence = np.zeros(960, np.int16)
    encoder = make_encoder(bitrate=24_000)
    for each in frames(voice)[:50]:
        encoder.encode(each)
    assert all(encoder.encode(silence) for _ in range(100))
    encoder.set_dtx(True)
    packets = [encoder.encode(silence) for _ in range(200)]
    sent = [packet for packet in packets[50:] if packet]
    assert 0 < len(sent) <= 12  # one in 400 ms keeps the comfort noise up to date
    for packet in packets:
        assert len(decoder.decode(packet) if packet else decoder.conceal()) == 960
    encoder.set_dtx(False)
    assert all(encoder.encode(silence) for _ in range(100))


def test_less_complexity_is_another_sound(make_encoder: MakeEncoder, voice: Samples) -> None:
    packets = []
    for complexity in (9, 0):
        encoder = make_encoder(complexity=9)
        encoder.set_complexity(complexity)
        packets.append([encoder.encode(each) for each in frames(voice)[:50]])
    assert packets[0] != packets[1]


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(959, np.int16),
        np.zeros(480, np.int16),
        np.zeros(3_840, np.int16),
        np.zeros(960, np.float32),
        np.zeros((1, 960), np.int16),
        np.zeros(1_920, np.int16)[::2],
    ],
)
def test_what_is_no_frame_is_refused(make_encoder: MakeEncoder, samples: Samples) -> None:
    encoder = make_encoder()
    with pytest.raises(ValueError):
        encoder.encode(samples)
    assert encoder.encode(np.zeros(960, np.int16))


def test_settings_out_of_range_are_refused(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder()
    for setting, value in (
        (encoder.set_bitrate, 0),
        (encoder.set_complexity, 11),
        (encoder.set_packet_loss, 2),
        (encoder.set_packet_loss, -1),
    ):
        with pytest.raises(ValueError):
            setting(value)


@pytest.mark.parametrize("packet", [b"", b"\xff", b"\x4b\x00", b"\x4a\xff"])
def test_a_damaged_packet_is_refused_and_the_next_one_decoded(
    make_encoder: MakeEncoder, decoder: OpusDecoder, voice: Samples, packet: bytes
) -> None:
    good = make_encoder().encode(voice[:960])
    with pytest.raises(CodecError):
        decoder.decode(packet)
    with pytest.raises(CodecError):
        decoder.decode_redundancy(packet)
    assert len(decoder.decode(good)) == 960


def test_other_threads_run_while_it_encodes_and_decodes(
    make_encoder: MakeEncoder, decoder: OpusDecoder, voice: Samples
) -> None:
    encoder = make_encoder()
    turns = 0
    seen = [0]

    def work() -> None:
        for each in frames(voice)[:100]:
            decoder.decode(encoder.encode(each))
            seen.append(turns)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1_000.0)  # nobody gets a turn that the worker does not give away
    try:
        worker = threading.Thread(target=work)
        worker.start()
        while worker.is_alive():
            turns += 1
            time.sleep(0)
    finally:
        sys.setswitchinterval(interval)
    worker.join()
    assert len(seen) == 101
    assert sum(later > earlier for earlier, later in pairwise(seen)) > 5
