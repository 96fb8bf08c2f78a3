"""Frames: what flows between the stages of the road, raw and encoded.

``captured_at`` is always on the ``now`` clock of this process: on the sending side the moment
when the device or file gave the frame, on the receiving side the same moment as far as sender
reports tell (RFC 3550 §6.4.1), else :obj:`None`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import av
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AUDIO_FRAME_SAMPLES",
    "AudioFrame",
    "EncodedAudio",
    "EncodedPicture",
    "Kind",
    "VideoFrame",
]

Kind = Literal["audio", "video"]

AUDIO_FRAME_SAMPLES: Final = 960
"""Samples of one 20 ms frame at 48 kHz: the grain in which sound is captured and played."""

PixelFormat = Literal["rgb24", "bgr24", "gray"]


@dataclass(slots=True)
class VideoFrame:
    """One raw picture.

    Attributes:
        planes: I420, ``uint8`` of shape ``(height * 3 // 2, width)``: the rows of Y, then those
            of U and V packed two half rows to a row, as PyAV's ``yuv420p`` array.  Width and
            height are even.  Treat it as read-only: stages share it.
        captured_at: See the module's docstring.

    """

    planes: NDArray[np.uint8]
    captured_at: float | None = None

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.planes.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.planes.shape[0]) * 2 // 3

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The Y plane, ``uint8`` of shape ``(height, width)``: a view, not a copy."""
        return self.planes[: self.height]

    @classmethod
    def from_ndarray(
        cls,
        array: NDArray[np.uint8],
        *,
        format: PixelFormat = "rgb24",  # noqa: A002 - PyAV's word
        captured_at: float | None = None,
    ) -> VideoFrame:
        """Make a frame from ``uint8`` pixels of shape ``(height, width, 3)``, gray without the 3.

        Raises:
            ValueError: If the shape or type does not fit, or a side is odd.

        """
        shape = (array.shape[0], array.shape[1]) if array.ndim >= 2 else (0, 0)
        if array.dtype != np.uint8 or array.ndim != (2 if format == "gray" else 3) or 0 in shape:
            raise ValueError(f"expected uint8 {format} pixels, got {array.dtype} {array.shape}")
        if shape[0] % 2 or shape[1] % 2:
            raise ValueError(f"width and height must be even, got {shape[1]}x{shape[0]}")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format=format)
        return cls(picture.to_ndarray(format="yuv420p").astype(np.uint8, copy=False), captured_at)

    def to_ndarray(
        self,
        format: PixelFormat = "rgb24",  # noqa: A002 - PyAV's word
    ) -> NDArray[np.uint8]:
        """Return the pixels, ``uint8`` of shape ``(height, width, 3)``, gray without the 3.

        Black is 0 and white is 255 in each format; in :attr:`luma` they are 16 and 235.
        """
        picture = av.VideoFrame.from_ndarray(self.planes, format="yuv420p")
        return picture.to_ndarray(format=format).astype(np.uint8, copy=False)


@dataclass(slots=True)
class AudioFrame:
    """A piece of sound, mono at 48 kHz.

    Attributes:
        samples: ``int16`` of shape ``(n,)``; ``n`` is 960 (20 ms) everywhere between stages.
        captured_at: See the module's docstring.
        concealed: Samples of these that concealment made up; 0 for sound as it was sent.

    """

    samples: NDArray[np.int16]
    captured_at: float | None = None
    concealed: int = 0

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / 48_000


@dataclass(slots=True)
class EncodedPicture:
    """One VP8 frame (RFC 6386) on its way to packets, or out of them.

    Attributes:
        data: The frame as the encoder gave it.
        key: Whether it decodes without any frame before it.
        width: Of the picture, pixels; 0 where it is not known (a delta frame just received).
        height: Likewise.
        quantizer: 0 (finest) to 127, or :obj:`None` where the encoder does not tell.

    """

    data: bytes
    key: bool
    width: int = 0
    height: int = 0
    quantizer: int | None = None


@dataclass(slots=True)
class EncodedAudio:
    """One Opus packet (RFC 6716).

    Attributes:
        data: The packet; empty when the encoder had nothing to say (DTX).
        samples: How much sound it holds, in samples at 48 kHz.

    """

    data: bytes
    samples: int = AUDIO_FRAME_SAMPLES
