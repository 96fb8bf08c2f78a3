from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringline.media.errors import CodecError
from ringline.media.receive.conceal import Concealer

FRAME = 960


class Decoder:
    """Says which of its methods made the sound; refuses what starts with 0xFF."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        self.calls.append("decode")
        if packet[:1] == b"\xff":
            raise CodecError("damaged")
        return np.full(FRAME * packet[0], 10_000, np.int16)

    def decode_redundancy(
        self, next_packet: bytes, samples: int = FRAME
    ) -> NDArray[np.int16] | None:
        self.calls.append("redundancy")
        if next_packet[:1] == b"\xff":
            raise CodecError("damaged")
        return np.full(samples, 5_000, np.int16) if next_packet[:1] == b"\x02" else None

    def conceal(self, samples: int = FRAME) -> NDArray[np.int16]:
        self.calls.append("conceal")
        return np.full(samples, 1_000, np.int16)


def test_made_up_sound_fades_after_60_ms_and_is_silence_after_100() -> None:
    decoder = Decoder()
    concealer = Concealer(decoder)
    frames = [concealer.conceal() for _ in range(8)]
    assert all((frame == 1_000).all() for frame in frames[:3])
    assert frames[3][0] == 1_000
    assert 490 <= frames[3][-1] <= 510
    assert frames[4][-1] <= 1
    assert not any(frame.any() for frame in frames[5:])
    assert decoder.calls == ["conceal"] * 5  # silence costs nothing
    assert all(len(frame) == FRAME for frame in frames)


def test_sound_comes_back_by_a_ramp_after_silence_only() -> None:
    concealer = Concealer(Decoder())
    concealer.conceal()
    back = concealer.decode(b"\x01")
    assert back is not None
    assert (back == 10_000).all()
    for _ in range(6):
        concealer.conceal()
    back = concealer.decode(b"\x01")
    assert back is not None
    assert back[0] == 0
    assert (np.diff(back[:240].astype(int)) >= 0).all()
    assert (back[240:] == 10_000).all()


def test_sound_comes_back_from_the_level_that_the_fade_has_reached() -> None:
    """The decoder goes on at full level, which would be a step of half of it after 80 ms."""
    for length in (FRAME, 120):  # 120: a packet shorter than the ramp
        concealer = Concealer(Decoder())
        faded = [concealer.conceal() for _ in range(4)]
        assert 490 <= faded[-1][-1] <= 510
        back = concealer.recover(b"\x02", length)
        assert back is not None
        assert len(back) == length
        assert back[0] == 2_500  # the half of 5,000
        assert (np.diff(back.astype(int)) >= 0).all()
        assert back[-1] == 5_000
        following = concealer.decode(b"\x01")
        assert following is not None
        assert (following == 10_000).all()


def test_a_damaged_packet_is_counted_and_is_none() -> None:
    concealer = Concealer(Decoder())
    assert concealer.decode(b"\xff") is None
    assert concealer.decode(b"\x00") is None  # no sound in it
    assert concealer.failed_packets == 1


def test_the_packet_behind_a_loss_gives_it_back_if_it_has_a_copy() -> None:
    concealer = Concealer(Decoder())
    copy = concealer.recover(b"\x02")
    assert copy is not None
    assert (copy == 5_000).all()
    assert concealer.recover(b"\x01") is None
    assert concealer.recover(b"\xff") is None
    assert concealer.recovered_frames == 1


def test_what_is_lost_is_given_back_in_any_length() -> None:
    """A decoder works in steps of 2.5 ms; what is asked for may have been cut."""
    concealer = Concealer(Decoder())
    assert len(concealer.conceal(77)) == 77
    copy = concealer.recover(b"\x02", 961)
    assert copy is not None
    assert len(copy) == 961


def test_quiet_is_measured_by_the_usual_level() -> None:
    concealer = Concealer(Decoder())
    noise = np.random.default_rng(1).normal(0, 1, FRAME)
    loud, soft = (noise * 8_000).astype(np.int16), (noise * 1_000).astype(np.int16)
    assert not concealer.is_quiet(soft)
    assert not concealer.is_quiet(loud)
    assert concealer.is_quiet(soft)
    assert concealer.is_quiet(np.full(FRAME, 9_000, np.int16))  # a constant is not heard
