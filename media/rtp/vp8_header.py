"""VP8 header: how coarsely a frame is quantized, read from the frame itself (RFC 6386 §9, §19.2).

No decoder tells it, and it is what says whether a picture is good.  The header is coded by VP8's
arithmetic coder (§7), here always with even odds; some thirty flags stand before the number.
"""

from __future__ import annotations

from typing import Final

from ringline.media.rtp.vp8 import is_key_frame

__all__ = ["read_quantizer", "write_plain_header"]

_TAG_SIZE: Final = 3
_KEY_TAG_SIZE: Final = 10  # with start code and sides
_MOST_BYTES: Final = 64
"""Of the header that are looked at: all flags set, the number ends before the 40th."""


def read_quantizer(data: bytes) -> int | None:
    """Return a frame's base quantizer, 0 (finest) to 127; :obj:`None` if it is too short."""
    key = is_key_frame(data)
    start = _KEY_TAG_SIZE if key else _TAG_SIZE
    if len(data) < start + 2:
        return None
    coder = _BoolDecoder(data[start : start + _MOST_BYTES])
    read = coder.read
    if key:
        read(2)  # color_space, clamping_type
    if read(1):  # segmentation_enabled
        _skip_segmentation(coder)
    read(1 + 6 + 3)  # filter_type, loop_filter_level, sharpness_level
    if read(1) and read(1):  # loop_filter_adj_enable, mode_ref_lf_delta_update
        for _ in range(8):
            _skip_optional(coder, 6 + 1)
    read(2)  # log2_nbr_of_dct_partitions
    return read(7)  # y_ac_qi


def write_plain_header(quantizer: int, *, key: bool) -> bytes:
    """Return a header with every flag clear and this quantizer, for frames that are simulated."""
    coder = _BoolEncoder()
    coder.write(0, (2 if key else 0) + 1 + 10 + 1 + 2)
    coder.write(quantizer & 127, 7)
    return coder.finish()


def _skip_segmentation(coder: _BoolDecoder) -> None:
    updates_map, updates_data = coder.read(1), coder.read(1)
    if updates_data:
        coder.read(1)  # segment_feature_mode
        for _ in range(4):
            _skip_optional(coder, 7 + 1)  # quantizer
        for _ in range(4):
            _skip_optional(coder, 6 + 1)  # loop filter
    if updates_map:
        for _ in range(3):
            _skip_optional(coder, 8)


def _skip_optional(coder: _BoolDecoder, bits: int) -> None:
    if coder.read(1):
        coder.read(bits)


class _BoolDecoder:
    """The decoder of RFC 6386 §7.3 for bits of even odds; behind the end it reads zeros."""

    def __init__(self, data: bytes) -> None:
        self._data: Final = data
        self._at = 2
        self._value = int.from_bytes(data[:2], "big")
        self._range = 255
        self._shifted = 0

    def read(self, count: int) -> int:
        """Return an unsigned number of so many bits."""
        number, value, span, shifted = 0, self._value, self._range, self._shifted
        for _ in range(count):
            split = 1 + ((span - 1) >> 1)
            if value >= split << 8:
                number = number << 1 | 1
                value -= split << 8
                span -= split
            else:
                number <<= 1
                span = split
            while span < 128:
                value <<= 1
                span <<= 1
                shifted += 1
                if shifted == 8:
                    shifted = 0
                    if self._at < len(self._data):
                        value |= self._data[self._at]
                    self._at += 1
        self._value, self._range, self._shifted = value, span, shifted
        return number


class _BoolEncoder:
    """The encoder of RFC 6386 §7.3, likewise."""

    def __init__(self) -> None:
        self._bottom = 0  # a number that grows to the left: all that was written
        self._range = 255
        self._bits = 0

    def write(self, number: int, count: int) -> None:
        """Append an unsigned number of so many bits."""
        for place in reversed(range(count)):
            split = 1 + ((self._range - 1) >> 1)
            if number >> place & 1:
                self._bottom += split
                self._range -= split
            else:
                self._range = split
            while self._range < 128:
                self._range <<= 1
                self._bottom <<= 1
                self._bits += 1

    def finish(self) -> bytes:
        """Return the bytes, padded so that nothing after them changes what they say."""
        pad = -self._bits % 8
        return (self._bottom << pad).to_bytes((self._bits + pad) // 8 + 1, "big")
