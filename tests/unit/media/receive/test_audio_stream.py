from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.frames import AudioFrame
from ringline.media.receive.audio_stream import AudioStream, AudioStreamConfig
from ringline.media.receive.conceal import ConcealConfig
from ringline.media.receive.jitter_buffer import JitterBufferConfig

COPY = b"\x48\xc0"
"""The first bytes of 20 ms of SILK with a copy of the 20 ms before (RFC 6716 §4.2.3)."""


class Decoder:
    """Packet ``n, level, ...`` is ``n`` half frames of that level; COPY stands for two."""

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        packet = packet.replace(COPY, b"\x02")
        return np.full(480 * packet[0], packet[1] * 100, np.int16)

    def decode_redundancy(self, next_packet: bytes, samples: int = 960) -> NDArray[np.int16] | None:
        return np.full(samples, 77, np.int16) if next_packet[:2] == COPY else None

    def conceal(self, samples: int = 960) -> NDArray[np.int16]:
        return np.full(samples, 55, np.int16)


def make() -> AudioStream:
    return AudioStream(Decoder(), JitterBufferConfig(), ConcealConfig(), AudioStreamConfig())


def feed(stream: AudioStream, number: int, payload: bytes, *, samples: int = 960) -> None:
    at = number * samples / 48_000
    stream.handle_packet(number, number * samples, payload, at, retransmitted=False)


def tick(stream: AudioStream, now: float) -> list[AudioFrame]:
    return stream.handle_timeout(now, lambda _media_time, _played_at: None)


def test_the_clock_starts_with_the_first_packet_and_never_stops() -> None:
    stream = make()
    assert stream.poll_timeout() is None
    assert tick(stream, 1.0) == []
    feed(stream, 0, b"\x02\x05")
    assert stream.poll_timeout() == pytest.approx(0.04)
    frames = []
    for _ in range(100):
        due = stream.poll_timeout()
        assert due is not None
        frames += tick(stream, due)
    assert len(frames) == 100
    assert (frames[0].samples == 500).all()
    assert frames[0].concealed == 0
    assert all(frame.concealed == 960 for frame in frames[1:])
    assert not frames[-1].samples.any()
    assert stream.stats().total_samples_received == 96_000


@pytest.mark.parametrize("halves", [1, 2, 3, 6])
def test_packets_of_any_length_are_cut_into_frames(halves: int) -> None:
    stream = make()
    frames: list[AudioFrame] = []
    for number in range(120 // halves):
        feed(stream, number, bytes([halves, 21]), samples=480 * halves)
        now = number * halves * 0.01
        while (due := stream.poll_timeout()) is not None and due <= now:
            frames += tick(stream, due)
    assert len(frames) >= 50
    assert all(len(frame.samples) == 960 for frame in frames)
    assert all((frame.samples == 2_100).all() for frame in frames)


def test_a_copy_in_the_packet_behind_it_is_no_concealment() -> None:
    stream = make()
    for number in (0, 2):
        feed(stream, number, COPY + b"\x05")
    frames = [tick(stream, 0.04 + n * 0.02)[0] for n in range(3)]
    assert [int(frame.samples[-1]) for frame in frames] == [500, 77, 500]
    assert [frame.concealed for frame in frames] == [0, 0, 0]
    stats = stream.stats()
    assert (stats.concealed_samples, stats.repairs.in_band_fec) == (0, 1)


def play(stream: AudioStream, packets: Sequence[tuple[float, int, bytes]]) -> list[AudioFrame]:
    """Let packets come (when, number, payload) and time pass; return what was played."""
    frames: list[AudioFrame] = []
    for at, number, payload in packets:
        while (due := stream.poll_timeout()) is not None and due < at:
            frames += tick(stream, due)
        stream.handle_packet(number, number * 960, payload, at, retransmitted=False)
    return frames


class Voice(Decoder):
    """Packets are pieces of a voice of 150 Hz, by their number; ``Q`` in one makes it quiet."""

    def __init__(self) -> None:
        time = np.arange(960 * 256) / 48_000
        phases = 2 * np.pi * 150 * time[:, None] * np.arange(1, 12)
        self.sound = np.cos(phases).sum(axis=1) * 1_500

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        level = 0.01 if packet[2:3] == b"Q" else 1.0
        start = packet[1] * 960
        sound: NDArray[np.int16] = (self.sound[start : start + 960] * level).astype(np.int16)
        return sound


def voice() -> AudioStream:
    return AudioStream(Voice(), JitterBufferConfig(), ConcealConfig(), AudioStreamConfig())


def test_delay_is_got_rid_of_in_a_pause_once_it_has_been_too_long_for_a_while() -> None:
    stream = voice()
    pauses = (*range(150, 156), 399, *range(420, 430))  # too soon, too short, and fit
    packets = [(n * 0.02, n, bytes([2, n % 250]) + b"Q" * (n in pauses)) for n in range(440)]
    frames = play(stream, packets[:420])
    stats = stream.stats()
    assert stats.removed_samples_for_acceleration == 0
    frames += play(stream, packets[420:])
    # From 40 ms to what leaves the next packet here when it is asked for.
    assert 320 <= stats.removed_samples_for_acceleration <= 960
    assert stats.concealed_samples == 0
    levels = [float(np.abs(frame.samples).max()) for frame in frames]
    assert sum(level < 1_000 for level in levels) in (16, 17)


class LongPackets(Voice):
    """The same voice in packets of 60 ms, ``Q`` or ``V`` for each of their frames."""

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        frames = [(packet[1] * 3 + index, packet[2 + index : 3 + index]) for index in range(3)]
        sound = [
            self.sound[n * 960 : (n + 1) * 960] * (0.01 if q == b"Q" else 1.0) for n, q in frames
        ]
        return np.concatenate(sound).astype(np.int16)


def test_long_packets_are_shortened_frame_by_frame() -> None:
    """A pause in the middle of speech is one in packets of 60 ms too."""
    stream = AudioStream(LongPackets(), JitterBufferConfig(), ConcealConfig(), AudioStreamConfig())
    pauses = {140: b"VQQ", 141: b"QQV"}
    stream.set_lip_sync_delay(0.09)
    before = 0
    for number in range(145):
        if number == 30:
            stream.set_lip_sync_delay(0.0)
        while (due := stream.poll_timeout()) is not None and due < number * 0.06:
            tick(stream, due)
        payload = bytes([2, number % 80]) + pauses.get(number, b"VVV")
        stream.handle_packet(number, number * 2_880, payload, number * 0.06, retransmitted=False)
        if number == 139:
            before = stream.stats().removed_samples_for_acceleration
    stats = stream.stats()
    # Three of the four quiet frames are known to be a pause, and each gives a period of its own.
    assert 3 * 240 <= stats.removed_samples_for_acceleration - before <= 3 * 720
    assert stats.concealed_samples == 0


def test_within_a_voice_the_delay_changes_by_whole_periods() -> None:
    """Lip sync wants 80 ms more for a while: nothing is made up, and no seam is heard."""
    stream = voice()
    packets = [(n * 0.02, n, bytes([2, n % 250])) for n in range(1_000)]
    frames = play(stream, packets[:120])
    stream.set_lip_sync_delay(0.08)
    frames += play(stream, packets[120:250])
    stats = stream.stats()
    inserted = stats.inserted_samples_for_deceleration
    assert 2_240 <= inserted <= 4_800
    assert inserted % 320 == 0  # periods of 150 Hz
    stream.set_lip_sync_delay(0.0)
    frames += play(stream, packets[250:])
    removed = stats.removed_samples_for_acceleration
    assert 2_240 <= removed <= 4_800
    assert removed % 320 == 0
    assert stats.concealed_samples == 0
    assert all(frame.concealed == 0 for frame in frames)
    sound = np.concatenate([frame.samples for frame in frames]).astype(int)
    clean = Voice().sound.astype(int)
    assert np.abs(np.diff(sound)).max() <= np.abs(np.diff(clean)).max() + 10


def test_a_packet_that_does_not_decode_is_a_lost_one() -> None:
    class Broken(Decoder):
        def decode(self, packet: bytes) -> NDArray[np.int16]:
            return super().decode(packet)[:0] if packet[1] == 0 else super().decode(packet)

    stream = AudioStream(Broken(), JitterBufferConfig(), ConcealConfig(), AudioStreamConfig())
    for number in range(3):
        feed(stream, number, b"\x02\x00" if number == 1 else b"\x02\x05")
    frames = [tick(stream, 0.04 + n * 0.02)[0] for n in range(3)]
    assert [frame.concealed for frame in frames] == [0, 960, 0]
    assert stream.stats().concealed_samples == 960


def test_concealment_that_has_faded_out_is_counted_as_silent() -> None:
    stream = make()
    frames: list[AudioFrame] = []
    for number in range(40):
        if not 10 <= number < 25:  # 300 ms are lost
            feed(stream, number, b"\x02\x05")
        frames += tick(stream, number * 0.02 + 0.005)
    made_up = [frame for frame in frames if frame.concealed]
    silent = [frame for frame in made_up if not frame.samples.any()]
    stats = stream.stats()
    assert stats.concealed_samples == 960 * len(made_up) > 0
    assert stats.silent_concealed_samples == 960 * len(silent) == 960 * (len(made_up) - 5)


def test_silence_of_the_sender_is_no_concealment() -> None:
    stream = make()
    for number in range(40):
        if not 10 <= number < 25:  # it paused
            sequence = number if number < 10 else number - 15
            stream.handle_packet(
                sequence, number * 960, b"\x02\x05", number * 0.02, retransmitted=False
            )
        tick(stream, number * 0.02 + 0.005)
    stats = stream.stats()
    assert (stats.concealed_samples, stats.silent_concealed_samples) == (0, 0)


def test_padding_starts_nothing() -> None:
    stream = make()
    feed(stream, 0, b"")
    assert stream.poll_timeout() is None


def test_another_source_is_played_on_the_same_clock() -> None:
    stream = make()
    feed(stream, 0, b"\x02\x05")
    tick(stream, 0.04)
    stream.restart()
    stream.handle_packet(9_000, 2**31 + 77, b"\x02\x09", 0.05, retransmitted=False)
    frames = [tick(stream, 0.06 + n * 0.02)[0] for n in range(3)]
    assert [int(frame.samples[-1]) for frame in frames] == [55, 900, 55]
    assert stream.poll_timeout() == pytest.approx(0.12)
