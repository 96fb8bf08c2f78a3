"""VP8 through PyAV: the fallback where no libvpx can be called directly.

The same frames, with less control.  FFmpeg takes a change of rate silently and ignores it, so the
rate follows only by a new encoder, which starts with a key frame of several times a delta
frame's size.  Hence the rule of :meth:`PyavVp8Encoder.set_bitrate`: rarely, and at once only
where staying would flood the link.  Golden frames and the quantizer are out of reach.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from ringline.media.codecs.video_codec import (
    Planes,
    Reference,
    Vp8Config,
    check_bitrate,
    check_cpu_used,
    check_planes,
    check_received,
    check_times,
    join_planes,
)
from ringline.media.errors import CodecError
from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import is_key_frame
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = ["PyavVp8Decoder", "PyavVp8Encoder"]

_TIME_BASE: Final = Fraction(1, VIDEO_CLOCK_RATE)

# A new encoder costs about half a second of the link, so it must be worth it ...
_WORTHWHILE_CHANGE: Final = 0.25
_BETWEEN_CHANGES: Final = 3 * VIDEO_CLOCK_RATE
# ... except where the old rate would fill the queue in the network faster than the key frame does.
_URGENT_DROP: Final = 0.40


class PyavVp8Encoder:
    """A :class:`~ringline.media.codecs.video_codec.VideoEncoder`.

    Args:
        config: How to start.

    Raises:
        CodecError: If FFmpeg has no VP8 encoder or refuses.

    """

    def __init__(self, config: Vp8Config) -> None:
        self._settings: Final = config
        self._cpu_used = config.cpu_used
        self._wanted = config.bitrate
        self._last_time: int | None = None
        self._changed_at: int | None = None  # media time of the last new encoder for a new rate
        self._open(config.width, config.height)

    @property
    def has_golden(self) -> bool:
        """Never: asked for a frame from a kept picture alone, this makes a key frame."""
        return False

    def encode(
        self,
        planes: Planes,
        *,
        media_time: int,
        duration: int,
        force_key: bool = False,
        reference: Reference = Reference.LAST,
    ) -> EncodedPicture | None:
        """Encode one picture: see :meth:`VideoEncoder.encode`."""
        width, height = check_planes(planes)
        check_times(media_time, duration, self._last_time)
        if (width, height) != (self._context.width, self._context.height):
            self._open(width, height)
        elif self._is_change_due(media_time):
            self._open(width, height)
            self._changed_at = media_time
        if self._changed_at is None:
            self._changed_at = media_time
        self._last_time = media_time

        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base, frame.duration = media_time, _TIME_BASE, duration
        key = force_key or reference in (Reference.GOLDEN_ONLY, Reference.ALTERNATE_ONLY)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        try:
            data = b"".join(bytes(packet) for packet in self._context.encode(frame))
        except av.error.FFmpegError as error:
            raise CodecError(f"FFmpeg's VP8 encoder: {error}") from None
        if not data:
            return None
        return EncodedPicture(data, is_key_frame(data), width, height)

    def set_bitrate(self, bitrate: int) -> None:
        """Ask for another rate, in bits per second.

        It comes with the next frame after a drop of 40 % or more; with the first frame that is
        3 s after the last change for any other of 25 % or more; else not at all.

        Raises:
            ValueError: If it is not positive.

        """
        check_bitrate(bitrate)
        self._wanted = bitrate

    def set_cpu_used(self, cpu_used: int) -> None:
        """Ask for another speed; it comes with the next new encoder."""
        check_cpu_used(cpu_used)
        self._cpu_used = cpu_used

    def _is_change_due(self, media_time: int) -> bool:
        change = (self._wanted - self._bitrate) / self._bitrate
        if change <= -_URGENT_DROP:
            return True
        return (
            abs(change) >= _WORTHWHILE_CHANGE
            and self._changed_at is not None
            and media_time - self._changed_at >= _BETWEEN_CHANGES
        )

    def _open(self, width: int, height: int) -> None:
        settings, bitrate = self._settings, self._wanted
        try:
            context = av.CodecContext.create("libvpx", "w")
            if not isinstance(context, VideoCodecContext):
                raise CodecError("FFmpeg's libvpx is not a video encoder")
            context.width, context.height = width, height
            context.pix_fmt = "yuv420p"
            context.time_base = _TIME_BASE
            context.bit_rate = bitrate
            context.qmin, context.qmax = settings.min_quantizer, settings.max_quantizer
            context.gop_size = 3_000  # 100 s at 30 frames a second; on demand in between
            context.thread_count = 1
            context.options = {
                "deadline": "realtime",
                "cpu-used": str(self._cpu_used),
                "error-resilient": "default",
                "lag-in-frames": "0",
                "auto-alt-ref": "0",
                "undershoot-pct": str(settings.undershoot_percent),
                "overshoot-pct": str(settings.overshoot_percent),
                # Least and most equal to the mean is how FFmpeg spells constant bitrate.
                "minrate": str(bitrate),
                "maxrate": str(bitrate),
                "bufsize": str(bitrate * settings.buffer_ms // 1000),
                "rc_init_occupancy": str(bitrate * settings.buffer_initial_ms // 1000),
                "max-intra-rate": str(settings.max_intra_percent),
                "static-thresh": str(settings.static_threshold),
                "noise-sensitivity": str(settings.noise_sensitivity),
            }
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise CodecError(f"FFmpeg's VP8 encoder: {error}") from None
        self._context = context
        self._bitrate = bitrate


class PyavVp8Decoder:
    """A :class:`~ringline.media.codecs.video_codec.VideoDecoder`.

    Args:
        max_pixels: The largest picture accepted.

    Raises:
        CodecError: If FFmpeg has no VP8 decoder.

    """

    def __init__(self, *, max_pixels: int = 3840 * 2160) -> None:
        self._max_pixels: Final = max_pixels
        try:
            context = av.CodecContext.create("vp8", "r")
        except (av.error.FFmpegError, ValueError) as error:
            raise CodecError(f"FFmpeg's VP8 decoder: {error}") from None
        if not isinstance(context, VideoCodecContext):
            raise CodecError("FFmpeg's vp8 is not a video decoder")
        context.thread_count = 1  # frame threads would each hold a picture back
        self._context: Final = context

    def decode(self, data: bytes) -> list[Planes]:
        """Decode one frame: see :meth:`VideoDecoder.decode`."""
        check_received(data, self._max_pixels)
        try:
            frames = self._context.decode(av.Packet(data))
        except av.error.FFmpegError as error:
            raise CodecError(f"FFmpeg's VP8 decoder: {error}") from None
        return [
            join_planes(*(_plane(frame, index) for index in range(3)))
            for frame in frames
            if frame.width > 1 and frame.height > 1
        ]


def _plane(frame: av.VideoFrame, index: int) -> Planes:
    plane = frame.planes[index]
    pixels: Planes = np.frombuffer(memoryview(plane), np.uint8)
    return pixels.reshape(-1, plane.line_size)[: plane.height, : plane.width]
