from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.codecs.video_codec import Vp8Config
from ringline.media.errors import CodecError

WIDTH, HEIGHT = 96, 64

REGISTRIES = {
    "libvpx": CodecRegistry(),
    "fallback": CodecRegistry({"RINGLINE_LIBVPX": "/nowhere/libvpx.so"}),
}


def stream() -> list[bytes]:
    """Return ten frames of moving stripes, the first and the sixth a key frame."""
    encoder = REGISTRIES["libvpx"].video_encoder("VP8", Vp8Config(width=WIDTH, height=HEIGHT))
    rows, columns = np.mgrid[: HEIGHT * 3 // 2, :WIDTH]
    frames = []
    for number in range(10):
        planes = ((rows * 3 + columns * 5 + number * 11) % 256).astype(np.uint8)
        frame = encoder.encode(
            planes, media_time=number * 3_000, duration=3_000, force_key=number == 5
        )
        assert frame is not None
        frames.append(frame.data)
    return frames


FRAMES = stream()

# What a road can do to a frame: lose it, cut it, flip bits in it, put another in its place.
damages = st.one_of(
    st.just(lambda frame: frame),
    st.integers(0, 400).map(lambda length: lambda frame: frame[:length]),
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 255)), min_size=1, max_size=8).map(
        lambda flips: lambda frame: flipped(frame, flips)
    ),
    st.binary(max_size=200).map(lambda other: lambda _: other),
)


def flipped(frame: bytes, flips: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(frame)
    for where, bits in flips:
        # Half of them in the header, where most can go wrong.
        damaged[where % min(len(damaged), 40 if where % 2 else len(damaged))] ^= bits
    return bytes(damaged)


@pytest.mark.parametrize("which", REGISTRIES)
@settings(deadline=None)  # native code on a machine that may be busy
@given(damage=st.lists(damages, min_size=10, max_size=10))
def test_a_damaged_stream_raises_nothing_but_codec_error(
    which: str, damage: list[Callable[[bytes], bytes]]
) -> None:
    decoder = REGISTRIES[which].video_decoder("VP8")
    for frame, change in zip(FRAMES, damage, strict=True):
        try:
            pictures = decoder.decode(change(frame))
        except CodecError:
            continue
        for planes in pictures:
            assert planes.dtype == np.uint8
            assert planes.shape[0] % 3 == planes.shape[1] % 2 == 0
    (shown,) = decoder.decode(FRAMES[0])  # and a whole key frame is shown, whatever came before
    assert shown.shape == (HEIGHT * 3 // 2, WIDTH)
