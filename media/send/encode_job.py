"""Encode job: one picture on its way through scaler and encoder, on whichever thread runs it."""

from __future__ import annotations

from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.codecs.video_codec import VideoEncoder
from ringline.media.errors import CodecError
from ringline.media.frames import EncodedPicture, VideoFrame

__all__ = ["VideoEncodeJob"]


class VideoEncodeJob:
    """Scales and encodes one picture.

    Attributes:
        media_time: Of the picture, 1/90000 s, not wrapped.
        duration: Likewise, how long it is shown.
        bitrate: That the encoder is told.
        force_key: Whether it must be a key frame.
        picture: The result; :obj:`None` if the encoder let it go or failed.
        error: What it failed with.

    """

    def __init__(
        self,
        *,
        lane: str,
        encoder: VideoEncoder,
        frame: VideoFrame,
        size: tuple[int, int],
        media_time: int,
        encoder_time: int,
        duration: int,
        bitrate: int,
        force_key: bool,
    ) -> None:
        self.media_time: Final = media_time
        self._encoder_time: Final = encoder_time
        self.duration: Final = duration
        self.bitrate: Final = bitrate
        self.force_key: Final = force_key
        self.picture: EncodedPicture | None = None
        self.error: Exception | None = None
        self._lane: Final = lane
        self._encoder: Final = encoder
        self._frame: Final = frame
        self._size: Final = size

    @property
    def lane(self) -> str:
        """One lane per stream: an encoder has state."""
        return self._lane

    def run(self) -> None:
        """Do the work."""
        try:
            self._encoder.set_bitrate(self.bitrate)
            self.picture = self._encoder.encode(
                _scaled(self._frame, self._size),
                media_time=self._encoder_time,
                duration=self.duration,
                force_key=self.force_key,
            )
        except (CodecError, ValueError) as error:
            self.error = error


def _scaled(frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    if size == (frame.width, frame.height):
        return frame.planes
    picture = av.VideoFrame.from_ndarray(frame.planes, format="yuv420p")
    smaller = picture.reformat(*size, interpolation="FAST_BILINEAR")
    return np.asarray(smaller.to_ndarray(), dtype=np.uint8)
