from __future__ import annotations

import numpy as np
import pytest

from ringline.media.send.frame_audio import AudioFramer, FramedSound


def frame(number: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.full(960, number, np.int16)


def feed(framer: AudioFramer, first: int, count: int) -> list[FramedSound]:
    given = (framer.handle_samples(frame(n), n * 960) for n in range(first, first + count))
    return [sound for sound in given if sound is not None]


@pytest.mark.parametrize("length", [960, 1_920, 2_880])
def test_each_packet_is_as_long_as_wanted_and_stamped_by_its_first_sample(length: int) -> None:
    framer = AudioFramer()
    framer.length = length
    sounds = feed(framer, 0, 12)
    assert [sound.media_time for sound in sounds] == list(range(0, 12 * 960, length))
    assert [len(sound.samples) for sound in sounds] == [length] * (12 * 960 // length)
    heard = np.concatenate([sound.samples for sound in sounds])
    assert heard.tolist() == np.repeat(np.arange(12), 960).tolist()


def test_a_new_length_holds_from_the_next_packet_on() -> None:
    framer = AudioFramer()
    framer.length = 1_920
    assert feed(framer, 0, 1) == []
    framer.length = 2_880
    sounds = feed(framer, 1, 4)
    assert [(s.media_time, len(s.samples)) for s in sounds] == [(0, 1_920), (1_920, 2_880)]


def test_a_packet_that_was_begun_is_cut_short_if_shorter_ones_are_wanted() -> None:
    framer = AudioFramer()
    framer.length = 2_880
    assert feed(framer, 0, 2) == []
    framer.length = 960
    sounds = feed(framer, 2, 2)
    assert [(s.media_time, len(s.samples)) for s in sounds] == [(0, 2_880), (2_880, 960)]


def test_what_was_begun_before_a_gap_is_dropped() -> None:
    framer = AudioFramer()
    framer.length = 1_920
    assert feed(framer, 0, 1) == []
    sounds = feed(framer, 10, 2)
    assert [(s.media_time, len(s.samples)) for s in sounds] == [(9_600, 1_920)]


def test_samples_may_be_written_over_once_they_are_given() -> None:
    framer = AudioFramer()
    framer.length = 1_920
    samples = frame(1)
    framer.handle_samples(samples, 0)
    samples[:] = 9
    sound = framer.handle_samples(frame(2), 960)
    assert sound is not None
    assert sound.samples.tolist() == [1] * 960 + [2] * 960


@pytest.mark.parametrize(
    "samples", [np.zeros(959, np.int16), np.zeros(1_920, np.int16), np.zeros(960, np.float32)]
)
def test_what_is_no_frame_is_refused(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    with pytest.raises(ValueError, match="960"):
        AudioFramer().handle_samples(samples, 0)
