"""Video codec: what the stages may ask of an encoder and a decoder, whoever implements them.

Two implementations stand behind it: :mod:`ringline.media.codecs.vp8` on libvpx, which can do all
of this, and :mod:`ringline.media.codecs.vp8_pyav`, the fallback, which says what it cannot.

Pictures are I420 in one array, as PyAV's ``yuv420p``: ``uint8``, C-contiguous, of shape
``(height * 3 // 2, width)``, both sides even.  A codec is used by one thread at a time, any
thread; its calls release the GIL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ringline.media.errors import CodecError
from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import frame_size

__all__ = [
    "Planes",
    "Reference",
    "VideoDecoder",
    "VideoEncoder",
    "Vp8Config",
    "check_bitrate",
    "check_cpu_used",
    "check_planes",
    "check_received",
    "check_times",
    "join_planes",
]

Planes = NDArray[np.uint8]

_LARGEST_SIDE: Final = 16_383
"""14 bits in the key frame's header (RFC 6386 §9.1)."""


class Reference(Enum):
    """What one frame is predicted from and what it leaves for later ones.

    VP8 keeps pictures that later frames may refer to: the last one, and two that stay until they
    are replaced, the *golden* and the *alternate* one.  Such a picture that the receiver has is a
    way back after a loss that costs a delta frame, not a key frame; and with two of them one is
    there while the other is on its way.  A key frame replaces all, whatever is asked.
    """

    LAST = auto()
    """From the last picture; the kept ones stay as they are.  The everyday frame."""

    REFRESH_GOLDEN = auto()
    """From the last picture; becomes the golden one too."""

    GOLDEN_ONLY = auto()
    """From the golden picture alone: decodes wherever that one is, whatever was lost since."""

    REFRESH_ALTERNATE = auto()
    """From the last picture; becomes the alternate one too."""

    ALTERNATE_ONLY = auto()
    """From the alternate picture alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vp8Config:
    """How a VP8 encoder starts and behaves."""

    width: int
    """Of the first pictures.  Another size costs a key frame and a new encoder (3 ms)."""

    height: int
    """Likewise."""

    bitrate: int = 300_000
    """Target in bits per second; :meth:`VideoEncoder.set_bitrate` changes it live."""

    cpu_used: int = -6
    """Speed, -16 to -1: lower is faster.  From -4 to -12 the time falls to a third and quality by
    0.3 dB; -6 is libwebrtc's choice for desktops."""

    min_quantizer: int = 2
    """Finest step, 0 to 63.  Below 2 a still picture eats the rate and gains nothing visible."""

    max_quantizer: int = 56
    """Coarsest step, 0 to 63.  Above 56 the picture falls apart before the rate falls much; a
    smaller picture is then the better answer."""

    undershoot_percent: int = 100
    """How far below the target a frame may fall: all the way, a still picture costs nothing."""

    overshoot_percent: int = 15
    """How far above.  The rest is the pacer's to absorb, and each percent is delay there."""

    buffer_ms: int = 500
    """Size of the decoder buffer that rate control assumes.  At twice this, as libwebrtc has it,
    the encoder takes 2 s to come down from 800 to 150 kbit/s; so it takes half of that."""

    buffer_initial_ms: int = 250
    """Its filling at the start."""

    buffer_optimal_ms: int = 300
    """The filling that rate control steers to."""

    max_intra_percent: int = 450
    """Size of a key frame at most, in percent of a mean frame: about a third of a second's rate
    at 15 frames a second.  Twice this is what libwebrtc allows at 30."""

    static_threshold: int = 1
    """Blocks that change less than this are skipped; 1 skips only what truly stands still."""

    noise_sensitivity: int = 0
    """Denoiser strength, 0 to 6.  Off: it takes a tenth more time."""

    def __post_init__(self) -> None:
        """Refuse what libvpx would refuse later and in darker words."""
        if self.width % 2 or self.height % 2:
            raise ValueError(f"width and height must be even, got {self.width}x{self.height}")
        if not (0 < self.width <= _LARGEST_SIDE and 0 < self.height <= _LARGEST_SIDE):
            raise ValueError(f"VP8 has no picture of {self.width}x{self.height}")
        check_bitrate(self.bitrate)
        check_cpu_used(self.cpu_used)
        if not 0 <= self.min_quantizer <= self.max_quantizer <= 63:
            raise ValueError(
                f"quantizers must be 0 to 63 in order, got {self.min_quantizer} and "
                f"{self.max_quantizer}"
            )


class VideoEncoder(Protocol):
    """Turns pictures into frames."""

    @property
    def has_golden(self) -> bool:
        """Whether :class:`Reference` is obeyed.

        Where not, :attr:`Reference.GOLDEN_ONLY` and :attr:`Reference.ALTERNATE_ONLY` give a key
        frame, which decodes everywhere, and the others an ordinary frame.
        """
        ...

    def encode(
        self,
        planes: Planes,
        *,
        media_time: int,
        duration: int,
        force_key: bool = False,
        reference: Reference = Reference.LAST,
    ) -> EncodedPicture | None:
        """Encode one picture.

        Args:
            planes: As the module's docstring says; not changed, not kept.  A size other than the
                last one's starts with a key frame.
            media_time: When it is shown, in 1/90000 s, not wrapped; grows from call to call.
            duration: How long, likewise: rate control takes it for the frame rate.
            force_key: Make a key frame.
            reference: What to predict from.

        Returns:
            The frame, or :obj:`None` if the encoder let this one go.

        Raises:
            ValueError: If the array or a time does not fit.
            CodecError: If the encoder failed.

        """
        ...

    def set_bitrate(self, bitrate: int) -> None:
        """Change the target from the next frame on, in bits per second.

        Raises:
            ValueError: If it is not positive.

        """
        ...

    def set_cpu_used(self, cpu_used: int) -> None:
        """Change the speed from the next frame on, -16 (fastest) to -1.

        Raises:
            ValueError: If it is none of these.

        """
        ...


class VideoDecoder(Protocol):
    """Turns frames into pictures."""

    def decode(self, data: bytes) -> list[Planes]:
        """Decode one frame.

        Returns:
            The pictures to show, usually one: fresh arrays, the caller's own.  A picture of an
            odd side loses its last row or column.

        Raises:
            CodecError: If the frame is damaged or larger than the decoder accepts.  The decoder
                goes on with the next one; what comes before a key frame may look damaged.

        """
        ...


def check_bitrate(bitrate: int) -> None:
    """Raise :exc:`ValueError` unless a rate is positive."""
    if bitrate <= 0:
        raise ValueError(f"bitrate must be positive, got {bitrate}")


def check_cpu_used(cpu_used: int) -> None:
    """Raise :exc:`ValueError` unless a speed is one of real-time mode's."""
    if not -16 <= cpu_used <= -1:
        raise ValueError(f"cpu_used must be -16 to -1, got {cpu_used}")


def check_times(media_time: int, duration: int, last: int | None) -> None:
    """Raise :exc:`ValueError` unless time grows and a frame lasts."""
    if last is not None and media_time <= last:
        raise ValueError(f"media_time {media_time} does not come after {last}")
    if duration <= 0:
        raise ValueError(f"duration must be positive, got {duration}")


def check_planes(planes: Planes) -> tuple[int, int]:
    """Return ``(width, height)`` of a picture.

    Raises:
        ValueError: If it is not I420 as the module's docstring says.

    """
    if planes.dtype != np.uint8 or planes.ndim != 2 or not planes.flags.c_contiguous:
        raise ValueError(
            f"expected a contiguous uint8 array of two dimensions, got {planes.dtype} "
            f"{planes.shape}, contiguous: {planes.flags.c_contiguous}"
        )
    rows, width = planes.shape
    height = rows * 2 // 3
    if rows == 0 or width == 0 or rows % 3 or width % 2:
        raise ValueError(f"expected (height * 3 // 2, width), both sides even, got {planes.shape}")
    if max(width, height) > _LARGEST_SIDE:
        raise ValueError(f"VP8 has no picture of {width}x{height}")
    return width, height


def check_received(data: bytes, max_pixels: int) -> None:
    """Refuse a frame before a decoder sees it.

    A key frame of ten bytes may claim 16383x16383, and a decoder would allocate for it.

    Raises:
        CodecError: If there is nothing in it, or it claims more than ``max_pixels``.

    """
    if not data:
        raise CodecError("an empty frame")
    size = frame_size(data)
    if size is not None and size[0] * size[1] > max_pixels:
        raise CodecError(f"a picture of {size[0]}x{size[1]}, more than {max_pixels} pixels")


def join_planes(luma: Planes, blue: Planes, red: Planes) -> Planes:
    """Copy three planes, with whatever strides, into one I420 array; odd sides lose a pixel."""
    height, width = luma.shape[0] & ~1, luma.shape[1] & ~1
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = luma[:height, :width]
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    chroma[0] = blue[: height // 2, : width // 2]
    chroma[1] = red[: height // 2, : width // 2]
    return planes
