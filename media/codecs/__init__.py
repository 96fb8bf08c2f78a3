"""Codecs: VP8 and Opus, chosen and made by :class:`CodecRegistry`.

::

    registry ── vp8 ─────── libvpx ── libvpx_abi ──┐
            ├── vp8_pyav    (the fallback)         ├── shared_library
            └── opus ────── libopus ───────────────┘
                   └─────── opus_packet

:mod:`~ringline.media.codecs.video_codec` says what a video codec is to the stages.
"""

from __future__ import annotations

from ringline.media.codecs.opus import OpusConfig, OpusDecoder, OpusEncoder
from ringline.media.codecs.registry import CodecRegistry, Implementation
from ringline.media.codecs.video_codec import Reference, VideoDecoder, VideoEncoder, Vp8Config

__all__ = [
    "CodecRegistry",
    "Implementation",
    "OpusConfig",
    "OpusDecoder",
    "OpusEncoder",
    "Reference",
    "VideoDecoder",
    "VideoEncoder",
    "Vp8Config",
]
