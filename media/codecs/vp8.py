"""VP8 on libvpx (RFC 6386): live rate, golden frames and speed without a new encoder.

Invariants:

1. A change of rate or speed never causes a key frame.
2. Every stream is error resilient: a frame's entropy coding never depends on a lost frame.  It
   costs 0.1 to 0.2 dB, and without it a golden frame is no way back after a loss.
3. The encoder places no key frame by itself but the first, one on a change of size, and those
   asked for.
4. A picture is read where it lies (no copy) and is not needed after the call.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from ringline.media.codecs.libvpx import Libvpx
from ringline.media.codecs.libvpx_abi import (
    BUFFER_IS_I420,
    DEADLINE_REALTIME,
    DECODER_ABI,
    ERROR_RESILIENT,
    KEY_FRAMES_ON_DEMAND,
    PACKET_IS_FRAME,
    RATE_CONTROL_CBR,
    Control,
    EncodeFlag,
)
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
from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import is_key_frame
from ringline.media.units import VIDEO_CLOCK_RATE

__all__ = ["Vp8Decoder", "Vp8Encoder"]

_NO_GOLDEN: Final = EncodeFlag.NO_REFERENCE_GOLDEN | EncodeFlag.NO_UPDATE_GOLDEN
_NO_ALTERNATE: Final = EncodeFlag.NO_REFERENCE_ALTERNATE | EncodeFlag.NO_UPDATE_ALTERNATE

_FLAGS: Final[dict[Reference, EncodeFlag]] = {
    Reference.LAST: _NO_GOLDEN | _NO_ALTERNATE,
    Reference.REFRESH_GOLDEN: (
        _NO_ALTERNATE | EncodeFlag.NO_REFERENCE_GOLDEN | EncodeFlag.FORCE_GOLDEN
    ),
    Reference.GOLDEN_ONLY: (
        _NO_ALTERNATE | EncodeFlag.NO_REFERENCE_LAST | EncodeFlag.NO_UPDATE_GOLDEN
    ),
    Reference.REFRESH_ALTERNATE: (
        _NO_GOLDEN | EncodeFlag.NO_REFERENCE_ALTERNATE | EncodeFlag.FORCE_ALTERNATE
    ),
    Reference.ALTERNATE_ONLY: (
        _NO_GOLDEN | EncodeFlag.NO_REFERENCE_LAST | EncodeFlag.NO_UPDATE_ALTERNATE
    ),
}


class Vp8Encoder:
    """A :class:`~ringline.media.codecs.video_codec.VideoEncoder`.

    Args:
        config: How to start.
        libvpx: The library.

    Raises:
        CodecError: If libvpx refuses.

    """

    def __init__(self, config: Vp8Config, libvpx: Libvpx) -> None:
        self._libvpx: Final = libvpx
        self._ffi: Final = libvpx.ffi
        self._lib: Final = libvpx.lib
        self._settings: Final = config
        self._cpu_used = config.cpu_used
        self._bitrate = config.bitrate
        self._last_time: int | None = None
        self._image: Final = self._ffi.new("vpx_image_t *")
        self._quantizer: Final = self._ffi.new("int *")
        self._open(config.width, config.height)

    @property
    def has_golden(self) -> bool:
        """Always: see :class:`Reference`."""
        return True

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the last picture, or what was configured."""
        return self._config.g_w, self._config.g_h

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
        if (width, height) != self.size:
            # A key frame it is in any case.  A living encoder could shrink, but would hold what the
            # last size overspent against the next one for seconds, at its coarsest.
            self._open(width, height)
        self._last_time = media_time

        flags = EncodeFlag.FORCE_KEY if force_key else _FLAGS[reference]
        pixels = self._ffi.from_buffer("unsigned char[]", planes)
        self._lib.vpx_img_wrap(self._image, BUFFER_IS_I420, width, height, 1, pixels)
        code = self._lib.vpx_codec_encode(
            self._context, self._image, media_time, duration, int(flags), DEADLINE_REALTIME
        )
        self._libvpx.check(code, "encode", self._context)
        data = self._collect()
        if not data:
            return None
        self._control(Control.GET_LAST_QUANTIZER, self._quantizer)
        return EncodedPicture(
            data, is_key_frame(data), width, height, quantizer=int(self._quantizer[0])
        )

    def set_bitrate(self, bitrate: int) -> None:
        """Change the target: see :meth:`VideoEncoder.set_bitrate`.  About 0.1 ms, no key frame."""
        check_bitrate(bitrate)
        self._bitrate = bitrate
        kbps = _kilobits(bitrate)
        if kbps != self._config.rc_target_bitrate:
            self._config.rc_target_bitrate = kbps
            self._apply()

    def set_cpu_used(self, cpu_used: int) -> None:
        """Change the speed: see :meth:`VideoEncoder.set_cpu_used`."""
        check_cpu_used(cpu_used)
        if cpu_used == self._cpu_used:
            return
        self._cpu_used = cpu_used
        self._control(Control.SET_CPU_USED, self._ffi.cast("int", cpu_used))

    def _open(self, width: int, height: int) -> None:
        """Start an encoder for pictures of ``width`` by ``height``."""
        settings, libvpx = self._settings, self._libvpx
        config = libvpx.new_config()
        config.g_w, config.g_h = width, height
        config.g_timebase.num, config.g_timebase.den = 1, VIDEO_CLOCK_RATE
        config.g_threads = 1  # a thread each would fight over the cores with the other stages
        config.g_lag_in_frames = 0
        config.g_error_resilient = ERROR_RESILIENT
        config.rc_end_usage = RATE_CONTROL_CBR
        config.rc_target_bitrate = _kilobits(self._bitrate)
        config.rc_min_quantizer = settings.min_quantizer
        config.rc_max_quantizer = settings.max_quantizer
        config.rc_undershoot_pct = settings.undershoot_percent
        config.rc_overshoot_pct = settings.overshoot_percent
        config.rc_buf_sz = settings.buffer_ms
        config.rc_buf_initial_sz = settings.buffer_initial_ms
        config.rc_buf_optimal_sz = settings.buffer_optimal_ms
        config.rc_dropframe_thresh = 0  # which frames to skip is the pacer's knowledge
        config.rc_resize_allowed = 0  # and the picture's size the ladder's
        config.kf_mode = KEY_FRAMES_ON_DEMAND

        context = self._ffi.new("vpx_codec_ctx_t *")
        code = self._lib.vpx_codec_enc_init_ver(
            context, self._lib.vpx_codec_vp8_cx(), config, 0, libvpx.abi
        )
        libvpx.check(code, "enc_init")
        # libvpx keeps a pointer to the configuration, so the destructor holds on to it.
        destroy = partial(_destroy, self._lib, config)
        self._context: Any = self._ffi.gc(context, destroy)
        self._config: Any = config
        for control, value in (
            (Control.SET_CPU_USED, self._cpu_used),
            (Control.SET_NOISE_SENSITIVITY, settings.noise_sensitivity),
            (Control.SET_STATIC_THRESHOLD, settings.static_threshold),
            (Control.SET_TOKEN_PARTITIONS, 0),
            (Control.SET_MAX_INTRA_BITRATE_PERCENT, settings.max_intra_percent),
        ):
            self._control(control, self._ffi.cast("int", value))

    def _apply(self) -> None:
        code = self._lib.vpx_codec_enc_config_set(self._context, self._config)
        self._libvpx.check(code, "enc_config_set", self._context)

    def _control(self, control: Control, value: Any) -> None:  # noqa: ANN401 - a C value
        code = self._lib.vpx_codec_control_(self._context, control, value)
        self._libvpx.check(code, f"control {control.name}", self._context)

    def _collect(self) -> bytes:
        """Return the frame that the last call left behind; empty if it was dropped."""
        iterator = self._ffi.new("const void **")
        data = b""
        while packet := self._lib.vpx_codec_get_cx_data(self._context, iterator):
            if packet.kind == PACKET_IS_FRAME:
                frame = packet.data.frame
                data += bytes(self._ffi.buffer(frame.buf, frame.sz))
        return data


class Vp8Decoder:
    """A :class:`~ringline.media.codecs.video_codec.VideoDecoder`.

    Args:
        libvpx: The library.
        max_pixels: The largest picture accepted: 3840x2160 by default, about 50 MB of memory.

    Raises:
        CodecError: If libvpx refuses.

    """

    def __init__(self, libvpx: Libvpx, *, max_pixels: int = 3840 * 2160) -> None:
        self._libvpx: Final = libvpx
        self._ffi: Final = libvpx.ffi
        self._lib: Final = libvpx.lib
        self._max_pixels: Final = max_pixels
        config = self._ffi.new("vpx_codec_dec_cfg_t *", {"threads": 1})
        context = self._ffi.new("vpx_codec_ctx_t *")
        code = self._lib.vpx_codec_dec_init_ver(
            context, self._lib.vpx_codec_vp8_dx(), config, 0, DECODER_ABI
        )
        libvpx.check(code, "dec_init")
        self._context: Final = self._ffi.gc(context, partial(_destroy, self._lib, config))

    def decode(self, data: bytes) -> list[Planes]:
        """Decode one frame: see :meth:`VideoDecoder.decode`."""
        check_received(data, self._max_pixels)
        code = self._lib.vpx_codec_decode(
            self._context, self._ffi.from_buffer("uint8_t[]", data), len(data), self._ffi.NULL, 0
        )
        self._libvpx.check(code, "decode", self._context)
        iterator = self._ffi.new("const void **")
        pictures = []
        while image := self._lib.vpx_codec_get_frame(self._context, iterator):
            if image.d_w > 1 and image.d_h > 1:  # of a single column or row nothing is left
                pictures.append(join_planes(*(self._plane(image, index) for index in range(3))))
        return pictures

    def _plane(self, image: Any, index: int) -> Planes:  # noqa: ANN401 - a struct
        """Return a view of one plane; its rows lie ``stride`` bytes apart."""
        shift = 1 if index else 0
        width, height = (image.d_w + shift) >> shift, (image.d_h + shift) >> shift
        stride = image.stride[index]
        # The memory may end with the last row's last pixel, short of a whole stride.
        raw = self._ffi.buffer(image.planes[index], stride * (height - 1) + width)
        return np.ndarray((height, width), np.uint8, raw, strides=(stride, 1))


def _kilobits(bitrate: int) -> int:
    return max(1, round(bitrate / 1000))


def _destroy(lib: Any, _config: Any, context: Any) -> None:  # noqa: ANN401 - structs
    lib.vpx_codec_destroy(context)
