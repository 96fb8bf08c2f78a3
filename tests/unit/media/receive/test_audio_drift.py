"""Sound over a long time, in virtual time: clocks that drift, and memory that does not grow."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.receive.audio_stream import AudioStream, AudioStreamConfig
from ringline.media.receive.conceal import ConcealConfig
from ringline.media.receive.jitter_buffer import JitterBufferConfig

MINUTES = 4


class Voice:
    """Each packet is 20 ms of a voice of 125 Hz that pauses for a quarter of each second."""

    def __init__(self) -> None:
        time = np.arange(AUDIO_FRAME_SAMPLES) / 48_000
        phases = 2 * np.pi * 125 * time[:, None] * np.arange(1, 12)  # 20 ms are 2.5 periods
        self.even: NDArray[np.int16] = (np.cos(phases).sum(axis=1) * 1_500).astype(np.int16)
        turned = phases + np.pi * np.arange(1, 12)
        self.odd: NDArray[np.int16] = (np.cos(turned).sum(axis=1) * 1_500).astype(np.int16)
        self.pause: NDArray[np.int16] = np.random.default_rng(1).normal(0, 20, 960).astype(np.int16)

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        number = int.from_bytes(packet[1:], "big")
        voice = self.odd if number % 2 else self.even
        return self.pause if number % 50 < 12 else voice

    def decode_redundancy(self, next_packet: bytes, samples: int = 960) -> NDArray[np.int16] | None:
        del next_packet, samples
        return None

    def conceal(self, samples: int = 960) -> NDArray[np.int16]:
        return np.zeros(samples, np.int16)


@pytest.mark.parametrize("drift", [-300e-6, 0.0, 300e-6])
def test_clocks_that_drift_are_followed_without_a_glitch(drift: float) -> None:
    """The sender's clock is off by ``drift``: in these minutes by 72 ms."""
    stream = AudioStream(Voice(), JitterBufferConfig(), ConcealConfig(), AudioStreamConfig())
    rng = random.Random(5)
    frames = 0
    sizes: list[int] = []
    delays: list[float] = []
    smooth = 0
    last = 0
    for number in range(MINUTES * 3_000):
        arrives = number * 0.02 * (1 + drift) + 0.05 + rng.uniform(0, 0.004)
        while (due := stream.poll_timeout()) is not None and due < arrives:
            for frame in stream.handle_timeout(due, lambda _media_time, _played_at: None):
                frames += 1
                steps = np.abs(np.diff(frame.samples.astype(int), prepend=last))
                smooth = max(smooth, int(steps.max()))
                last = int(frame.samples[-1])
                assert len(frame.samples) == 960
        payload = b"\x80" + number.to_bytes(3, "big")  # CELT: no copies
        stream.handle_packet(number, number * 960, payload, arrives, retransmitted=False)
        sizes.append(len(stream.buffer._packets))
        if number % 500 == 499:
            played = stream.buffer.next_timestamp
            assert played is not None
            delays.append((number * 960 - played) / 48_000)
    stats = stream.stats()
    assert abs(frames - MINUTES * 3_000 * (1 + drift)) <= 6
    assert stats.concealed_samples == 0
    changed = stats.inserted_samples_for_deceleration - stats.removed_samples_for_acceleration
    assert changed / 48_000 == pytest.approx(drift * MINUTES * 60, abs=0.04)
    assert max(sizes) <= 4
    assert max(delays) - min(delays) <= 0.025
    # The joint of two packets, where a voice goes on, is the steepest that there is.
    edge = int(np.abs(np.diff(np.concatenate((Voice().even, Voice().odd)).astype(int))).max())
    pause_edge = int(Voice().even.max()) + 200
    assert smooth <= max(edge, pause_edge) + 40
