"""Codecs: stand where VP8 and Opus stand, and cost a hundredth of their time.

They look at nothing but the marks of :mod:`ringline.media.simulate.marks`, and produce frames of
the sizes and dependencies that the real ones would.  So everything around them is the real thing:
packets, pacing, repair, jitter buffers, rate control.

What they keep of the real ones:

* sizes follow the bitrate of the moment, scatter, and stay within what a picture of that size
  can be squeezed or blown up to; a key frame is 5 to 8 times a delta frame and is paid back;
* a frame decodes whole only where what it was predicted from is whole; if not, it decodes all the
  same, and the picture's mark says so;
* frames and packets open with the true first bytes (RFC 6386 §9.1, RFC 6716 §3.1), so whoever
  looks for key frames, sizes or redundancy without a decoder finds them.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringline.media.codecs.opus import OpusConfig, Samples
from ringline.media.codecs.opus_packet import has_redundancy, packet_samples
from ringline.media.codecs.video_codec import (
    Planes,
    Reference,
    Vp8Config,
    check_bitrate,
    check_cpu_used,
    check_planes,
    check_times,
)
from ringline.media.errors import CodecError, ParseError, UnsupportedCodecError
from ringline.media.frames import AUDIO_FRAME_SAMPLES, EncodedPicture
from ringline.media.rtp.vp8 import is_key_frame
from ringline.media.simulate.marks import make_picture, read_picture
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = [
    "SimulatedAudioDecoder",
    "SimulatedAudioEncoder",
    "SimulatedCodecs",
    "SimulatedVideoDecoder",
    "SimulatedVideoEncoder",
]


class SimulatedCodecs:
    """Makes them, with the methods of :class:`~ringline.media.codecs.CodecRegistry`.

    Args:
        rng: Where the sizes' scatter comes from.

    """

    def __init__(self, rng: random.Random) -> None:
        self._rng: Final = rng

    def video_encoder(self, name: str, config: Vp8Config) -> SimulatedVideoEncoder:
        """Make a video encoder.

        Raises:
            UnsupportedCodecError: If the name is not VP8.

        """
        _expect(name, "VP8")
        return SimulatedVideoEncoder(config, self._fork_rng())

    def video_decoder(self, name: str) -> SimulatedVideoDecoder:
        """Make a video decoder; raises as :meth:`video_encoder`."""
        _expect(name, "VP8")
        return SimulatedVideoDecoder()

    def audio_encoder(self, name: str, config: OpusConfig) -> SimulatedAudioEncoder:
        """Make an audio encoder.

        Raises:
            UnsupportedCodecError: If the name is not opus.

        """
        _expect(name, "opus")
        return SimulatedAudioEncoder(config, self._fork_rng())

    def audio_decoder(self, name: str) -> SimulatedAudioDecoder:
        """Make an audio decoder; raises as :meth:`audio_encoder`."""
        _expect(name, "opus")
        return SimulatedAudioDecoder()

    def _fork_rng(self) -> random.Random:
        return random.Random(self._rng.getrandbits(64))  # noqa: S311 - sizes, not secrets


# Video

_KEY_TAG: Final = b"\x10\x00\x00\x9d\x01\x2a"  # a shown key frame of version 0, and its start code
_DELTA_TAG: Final = b"\x11\x00\x00"

# After the tag and a key frame's sides: number of this frame, of the one it needs, size of it
# all, width and height, the picture's mark, flags.
_FRAME: Final = struct.Struct("!IIIHHHB")
_NEEDS_GOLDEN: Final = 1
_BECOMES_GOLDEN: Final = 2
_IS_DAMAGED: Final = 4  # the picture was damaged before it was encoded: relayed, for one

# Bits per pixel and frame between which VP8's quantizer can move, measured with talking heads.
_LEAST_BITS_PER_PIXEL: Final = 0.012
_MOST_BITS_PER_PIXEL: Final = 0.6

_KEY_FACTORS: Final = (5.0, 8.0)
_SCATTER: Final = 0.12  # of delta frames' sizes, as a standard deviation of the mean
_PAYBACK: Final = 0.2  # share of what was overspent that the next frame saves
_LEAST_SHARE: Final = 0.4  # but it gets at least this share of its own


class SimulatedVideoEncoder:
    """A :class:`~ringline.media.codecs.video_codec.VideoEncoder`.

    Args:
        config: How to start.
        rng: Scatter of the sizes.

    """

    def __init__(self, config: Vp8Config, rng: random.Random) -> None:
        self._rng: Final = rng
        self._bitrate = config.bitrate
        self._size: tuple[int, int] | None = None
        self._number = 0
        self._golden = 0
        self._overspent = 0.0  # bits
        self._last_time: int | None = None

    @property
    def has_golden(self) -> bool:
        """Always."""
        return True

    def encode(
        self,
        planes: Planes,
        *,
        media_time: int,
        duration: int,
        force_key: bool = False,
        reference: Reference = Reference.LAST,
    ) -> EncodedPicture:
        """Encode one picture: see :meth:`VideoEncoder.encode`; it never lets one go."""
        width, height = check_planes(planes)
        check_times(media_time, duration, self._last_time)
        self._last_time = media_time
        key = force_key or self._size != (width, height)
        self._size = (width, height)
        length = self._spend(width * height, duration, key=key)

        self._number += 1
        needs, flags = self._number - 1, 0
        if reference is Reference.GOLDEN_ONLY and not key:
            needs, flags = self._golden, _NEEDS_GOLDEN
        if key or reference is Reference.REFRESH_GOLDEN:
            self._golden = self._number
            flags |= _BECOMES_GOLDEN
        mark = read_picture(planes)
        if not mark.intact:
            flags |= _IS_DAMAGED
        head = _KEY_TAG + struct.pack("<HH", width, height) if key else _DELTA_TAG
        length = max(length, len(head) + _FRAME.size)
        head += _FRAME.pack(self._number, needs, length, width, height, mark.number, flags)
        bits_per_pixel = length * 8 / (width * height) / (6.0 if key else 1.0)
        return EncodedPicture(
            head + bytes(length - len(head)), key, width, height, _quantizer(bits_per_pixel)
        )

    def set_bitrate(self, bitrate: int) -> None:
        """Change the target: see :meth:`VideoEncoder.set_bitrate`."""
        check_bitrate(bitrate)
        self._bitrate = bitrate

    def set_cpu_used(self, cpu_used: int) -> None:
        """Change nothing: a simulated frame takes no time at any speed."""
        check_cpu_used(cpu_used)

    def _spend(self, pixels: int, duration: int, *, key: bool) -> int:
        """Return the bytes that the next frame takes."""
        budget = self._bitrate * duration / VIDEO_CLOCK_RATE
        if key:
            bits = budget * self._rng.uniform(*_KEY_FACTORS)
        else:
            saved = max(budget - self._overspent * _PAYBACK, budget * _LEAST_SHARE)
            bits = saved * max(0.3, self._rng.gauss(1.0, _SCATTER))
        key_factor = 4.0 if key else 1.0
        floor = pixels * _LEAST_BITS_PER_PIXEL * key_factor
        bits = min(max(bits, floor), pixels * _MOST_BITS_PER_PIXEL * key_factor)
        # What it did not use at a rate beyond its needs it does not hold against later frames.
        self._overspent = max(self._overspent + bits - budget, -budget)
        return round(bits / 8)


@dataclass(slots=True)
class _Buffer:
    """A picture that the decoder keeps to predict from."""

    number: int
    intact: bool


class SimulatedVideoDecoder:
    """A :class:`~ringline.media.codecs.video_codec.VideoDecoder`.

    Attributes:
        decoded: Pictures that came out whole.
        decoded_through: Pictures that came out damaged, for want of what they were made from.

    """

    def __init__(self) -> None:
        self.decoded = 0
        self.decoded_through = 0
        self._last: _Buffer | None = None
        self._golden: _Buffer | None = None

    def decode(self, data: bytes) -> list[Planes]:
        """Decode one frame: see :meth:`VideoDecoder.decode`."""
        key = is_key_frame(data)
        try:
            number, needs, length, width, height, mark, flags = _FRAME.unpack_from(
                data, len(_KEY_TAG) + 4 if key else len(_DELTA_TAG)
            )
        except struct.error:
            raise CodecError(f"{len(data)} bytes are no simulated frame") from None
        if key:
            intact = True
        elif self._last is None:
            raise CodecError("a delta frame before the first key frame")
        else:
            source = self._golden if flags & _NEEDS_GOLDEN else self._last
            intact = source is not None and source.intact and source.number == needs
        intact = intact and len(data) == length and not flags & _IS_DAMAGED
        self._last = _Buffer(number, intact)
        if flags & _BECOMES_GOLDEN:
            self._golden = self._last
        if intact:
            self.decoded += 1
        else:
            self.decoded_through += 1
        try:
            return [make_picture(mark, width, height, intact=intact)]
        except ValueError as error:
            raise CodecError(str(error)) from None


def _quantizer(bits_per_pixel: float) -> int:
    """Return what libvpx would say, by a line through three measured points at 640x480."""
    octaves = np.log2(max(bits_per_pixel, 1e-6) / 0.054)
    return int(min(max(70 - 19.5 * octaves, 4), 106))


# Audio

_CONFIGS: Final = {960: 9, 1_920: 10, 2_880: 11}  # SILK, wide band (RFC 6716 §3.1, table 2)
_LEVEL: Final = struct.Struct("!h")
_FADE_FRAMES: Final = 5  # concealment is silent after 100 ms of it


class SimulatedAudioEncoder:
    """Stands where :class:`~ringline.media.codecs.opus.OpusEncoder` does.

    Args:
        config: How to start.
        rng: Scatter of the sizes.

    """

    def __init__(self, config: OpusConfig, rng: random.Random) -> None:
        self._rng: Final = rng
        self._frame_samples: Final = config.frame_samples
        self._bitrate = config.bitrate
        self._inband_fec = config.inband_fec
        self._packet_loss = config.packet_loss
        self._dtx = config.dtx
        self._previous = 0  # level of the 20 ms before

    @property
    def frame_samples(self) -> int:
        """Samples that :meth:`encode` takes."""
        return self._frame_samples

    @property
    def lookahead(self) -> int:
        """Delay of the codec in samples: none."""
        return 0

    def encode(self, samples: Samples) -> bytes:
        """Encode one frame: see :meth:`OpusEncoder.encode`."""
        if samples.dtype != np.int16 or samples.shape != (self._frame_samples,):
            raise ValueError(
                f"expected {self._frame_samples} int16 samples, got {samples.dtype} {samples.shape}"
            )
        middles = range(AUDIO_FRAME_SAMPLES // 2, self._frame_samples, AUDIO_FRAME_SAMPLES)
        levels = [int(samples[middle]) for middle in middles]
        if self._dtx and not any(levels):
            self._previous = 0
            return b""
        count = len(levels)
        head = bytes(
            [
                _CONFIGS[self._frame_samples] << 3,
                # voice in each 20 ms, then whether there is redundancy
                0xFF << (8 - count) & 0xFF | self._has_redundancy << (7 - count),
            ]
        )
        head += b"".join(map(_LEVEL.pack, [self._previous, *levels]))
        self._previous = levels[-1]
        budget = self._bitrate / 8 * self._frame_samples / 48_000
        length = round(budget * max(0.5, self._rng.gauss(1.0, 0.08)))
        return head + bytes(max(0, length - len(head)))

    def set_bitrate(self, bitrate: int) -> None:
        """Change the target, in bits per second."""
        check_bitrate(bitrate)
        self._bitrate = bitrate

    def set_complexity(self, complexity: int) -> None:
        """Change nothing: a simulated frame takes no time at any effort."""
        if not 0 <= complexity <= 10:
            raise ValueError(f"complexity must be 0 to 10, got {complexity}")

    def set_inband_fec(self, enabled: bool) -> None:
        """Allow or forbid redundancy."""
        self._inband_fec = enabled

    def set_packet_loss(self, ratio: float) -> None:
        """Tell the loss to expect, 0 to 1."""
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"loss must be 0 to 1, got {ratio}")
        self._packet_loss = ratio

    def set_dtx(self, enabled: bool) -> None:
        """Allow or forbid discontinuous transmission."""
        self._dtx = enabled

    @property
    def _has_redundancy(self) -> bool:
        """As measured: from 24 kbit/s on with any loss, from 20 at a tenth, from 16 at a third."""
        if not self._inband_fec:
            return False
        rate, loss = self._bitrate, self._packet_loss
        return (
            (rate >= 24_000 and loss >= 0.01)
            or (rate >= 20_000 and loss >= 0.10)
            or (rate >= 16_000 and loss >= 0.30)
        )


class SimulatedAudioDecoder:
    """Stands where :class:`~ringline.media.codecs.opus.OpusDecoder` does.

    Attributes:
        concealed_samples: What it made up.
        redundant_samples: What it took from the copy in the packet after.

    """

    def __init__(self) -> None:
        self.concealed_samples = 0
        self.redundant_samples = 0
        self._level = 0
        self._concealed_frames = 0  # in a row

    def decode(self, packet: bytes) -> Samples:
        """Decode a packet that came: see :meth:`OpusDecoder.decode`."""
        _, levels = _parse_sound(packet)
        self._level = levels[-1]
        self._concealed_frames = 0
        return np.repeat(np.array(levels, np.int16), AUDIO_FRAME_SAMPLES)

    def decode_redundancy(
        self, next_packet: bytes, samples: int = AUDIO_FRAME_SAMPLES
    ) -> Samples | None:
        """Decode a lost frame from its copy: see :meth:`OpusDecoder.decode_redundancy`.

        Of a gap longer than 20 ms only the end is in the copy; what is before it is made up.
        """
        previous, _ = _parse_sound(next_packet)
        if not has_redundancy(next_packet):
            return None
        made_up = max(0, samples - AUDIO_FRAME_SAMPLES)
        head = self.conceal(made_up) if made_up else np.empty(0, np.int16)
        self.redundant_samples += samples - made_up
        self._level = previous
        self._concealed_frames = 0
        return np.concatenate([head, np.full(samples - made_up, previous, np.int16)])

    def conceal(self, samples: int = AUDIO_FRAME_SAMPLES) -> Samples:
        """Make up a lost frame: the last level below zero, silence after 100 ms of it."""
        self.concealed_samples += samples
        self._concealed_frames += 1
        level = -abs(self._level) if self._concealed_frames <= _FADE_FRAMES else 0
        return np.full(samples, level, np.int16)


def _parse_sound(packet: bytes) -> tuple[int, list[int]]:
    """Return the level before and those of the packet, one for each 20 ms."""
    try:
        count = packet_samples(packet) // AUDIO_FRAME_SAMPLES
        levels = [_LEVEL.unpack_from(packet, 2 + 2 * index)[0] for index in range(count + 1)]
    except (ParseError, struct.error):
        raise CodecError(f"{len(packet)} bytes are no simulated sound") from None
    if count == 0:
        raise CodecError("less than 20 ms are no simulated sound")
    return levels[0], levels[1:]


def _expect(name: str, expected: str) -> None:
    if name.lower() != expected.lower():
        raise UnsupportedCodecError(f"no codec named {name!r} here, only {expected}")
