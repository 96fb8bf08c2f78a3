"""Video codec: stands where VP8 does, looks at nothing but a picture's mark.

Sizes follow the bitrate of the moment, scatter, and stay within what a picture of that size can
be squeezed or blown up to; a key frame is 5 to 8 times a delta frame, one from a kept picture the
larger the older that is, and both are paid back.  A frame decodes whole only where what it was
predicted from is whole; if not, it decodes all the same, and the picture's mark says so.  Frames
open with VP8's true first bytes (RFC 6386 §9.1), up to the quantizer.
"""

from __future__ import annotations

import math
import random
import struct
from dataclasses import dataclass
from typing import Final

from ringline.media.codecs.video_codec import (
    Planes,
    Reference,
    Vp8Config,
    check_bitrate,
    check_cpu_used,
    check_planes,
    check_times,
)
from ringline.media.errors import CodecError
from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import is_key_frame
from ringline.media.rtp.vp8_header import write_plain_header
from ringline.media.simulate.marks import make_picture, read_picture
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = ["SimulatedVideoDecoder", "SimulatedVideoEncoder"]

_KEY_TAG: Final = b"\x10\x00\x00\x9d\x01\x2a"  # a shown key frame of version 0, and its start code
_DELTA_TAG: Final = b"\x11\x00\x00"
_HEADER_SIZE: Final = len(write_plain_header(0, key=True))  # of a delta frame too

# After these and a key frame's sides: number of this frame, of the one it needs, size of it
# all, width and height, the picture's mark, flags.
_FRAME: Final = struct.Struct("!IIIHHHB")
_NEEDS_GOLDEN: Final = 1
_BECOMES_GOLDEN: Final = 2
_IS_DAMAGED: Final = 4  # the picture was damaged before it was encoded: relayed, for one
_NEEDS_ALTERNATE: Final = 8
_BECOMES_ALTERNATE: Final = 16

# Bits per pixel and frame between which VP8's quantizer can move, measured with talking heads.
_LEAST_BITS_PER_PIXEL: Final = 0.012
_MOST_BITS_PER_PIXEL: Final = 0.6

_KEY_FACTORS: Final = (5.0, 8.0)
_AGE_FACTORS: Final = (0.45, 1.25)
"""Size over a mean delta frame's of one from a kept picture: the first and so much for each second
of its age, measured with libvpx at 320x240 and 100 kbit/s from 0.4 to 2 s."""
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
        self._golden = self._alternate = (0, 0)  # number of the picture kept, and its media time
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
        self._number += 1
        needs, flags, kept_at = self._number - 1, 0, media_time
        if reference is Reference.GOLDEN_ONLY and not key:
            (needs, kept_at), flags = self._golden, _NEEDS_GOLDEN
        elif reference is Reference.ALTERNATE_ONLY and not key:
            (needs, kept_at), flags = self._alternate, _NEEDS_ALTERNATE
        if key or reference is Reference.REFRESH_GOLDEN:
            self._golden = self._number, media_time
            flags |= _BECOMES_GOLDEN
        if key or reference is Reference.REFRESH_ALTERNATE:
            self._alternate = self._number, media_time
            flags |= _BECOMES_ALTERNATE
        least, growth = _AGE_FACTORS
        age_factor = least + growth * (media_time - kept_at) / VIDEO_CLOCK_RATE
        factor = min(max(1.0, age_factor), _KEY_FACTORS[0])
        length = self._spend(width * height, duration, key=key, factor=factor)
        mark = read_picture(planes)
        if not mark.intact:
            flags |= _IS_DAMAGED
        head = _KEY_TAG + struct.pack("<HH", width, height) if key else _DELTA_TAG
        length = max(length, len(head) + _HEADER_SIZE + _FRAME.size)
        quantizer = _quantizer(length * 8 / (width * height) / (6.0 if key else 1.0))
        head += write_plain_header(quantizer, key=key)
        head += _FRAME.pack(self._number, needs, length, width, height, mark.number, flags)
        return EncodedPicture(head + bytes(length - len(head)), key, width, height, quantizer)

    def set_bitrate(self, bitrate: int) -> None:
        """Change the target: see :meth:`VideoEncoder.set_bitrate`."""
        check_bitrate(bitrate)
        self._bitrate = bitrate

    def set_cpu_used(self, cpu_used: int) -> None:
        """Change nothing: a simulated frame takes no time at any speed."""
        check_cpu_used(cpu_used)

    def _spend(self, pixels: int, duration: int, *, key: bool, factor: float) -> int:
        """Return the bytes that the next frame takes."""
        budget = self._bitrate * duration / VIDEO_CLOCK_RATE
        if key:
            bits = budget * self._rng.uniform(*_KEY_FACTORS)
        else:
            saved = max(budget - self._overspent * _PAYBACK, budget * _LEAST_SHARE)
            bits = saved * max(0.3, self._rng.gauss(1.0, _SCATTER)) * factor
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
        self._alternate: _Buffer | None = None

    def decode(self, data: bytes) -> list[Planes]:
        """Decode one frame: see :meth:`VideoDecoder.decode`."""
        key = is_key_frame(data)
        try:
            number, needs, length, width, height, mark, flags = _FRAME.unpack_from(
                data, _HEADER_SIZE + (len(_KEY_TAG) + 4 if key else len(_DELTA_TAG))
            )
        except struct.error:
            raise CodecError(f"{len(data)} bytes are no simulated frame") from None
        if key:
            intact = True
        elif self._last is None:
            raise CodecError("a delta frame before the first key frame")
        else:
            kept = self._alternate if flags & _NEEDS_ALTERNATE else self._golden
            source = kept if flags & (_NEEDS_GOLDEN | _NEEDS_ALTERNATE) else self._last
            intact = source is not None and source.intact and source.number == needs
        intact = intact and len(data) == length and not flags & _IS_DAMAGED
        self._last = _Buffer(number, intact)
        if flags & _BECOMES_GOLDEN:
            self._golden = self._last
        if flags & _BECOMES_ALTERNATE:
            self._alternate = self._last
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
    octaves = math.log2(max(bits_per_pixel, 1e-6) / 0.054)
    return int(min(max(70 - 19.5 * octaves, 4), 106))
