"""Registry: makes encoders and decoders by their names in SDP, and says what stands behind each.

Libraries are loaded when the registry is made, and tried before they are trusted: a picture and a
frame of sound go through encoder and decoder.  VP8 falls back from libvpx to PyAV, which costs a
key frame for each change of rate, so the loss is logged and :attr:`CodecRegistry.implementations`
tells it; Opus has nothing to fall back to.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import av
import numpy as np

from ringline.media.codecs.libopus import Libopus
from ringline.media.codecs.libvpx import Libvpx
from ringline.media.codecs.opus import OpusConfig, OpusDecoder, OpusEncoder
from ringline.media.codecs.shared_library import find_libraries
from ringline.media.codecs.video_codec import Planes, VideoDecoder, VideoEncoder, Vp8Config
from ringline.media.codecs.vp8 import Vp8Decoder, Vp8Encoder
from ringline.media.codecs.vp8_pyav import PyavVp8Decoder, PyavVp8Encoder
from ringline.media.errors import CodecError, LibraryError, UnsupportedCodecError
from ringline.media.frames import AUDIO_FRAME_SAMPLES

__all__ = ["CodecRegistry", "Implementation"]

logger = logging.getLogger(__name__)

# How far a picture of 8 by 8 squares may stray on its way through; in practice it is below 2.
_MAX_MEAN_ERROR: Final = 8.0


@dataclass(frozen=True, slots=True)
class Implementation:
    """What stands behind one codec here.

    Attributes:
        codec: Its name in SDP.
        name: ``libvpx v1.16.0``, ``PyAV 18.1.0``, ``libopus 1.6.1``; :obj:`None` if it has none.
        path: The file in use, as far as we chose one.
        origin: Where that file is from.
        is_fallback: Whether this is less than the codec should have.
        refused: Why what was tried before it was not taken, one line each.

    """

    codec: str
    name: str | None
    path: str | None
    origin: str | None
    is_fallback: bool
    refused: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" from {self.origin}: {self.path}" if self.path else ""
        why = f" ({'; '.join(self.refused)})" if self.refused else ""
        return f"{self.codec}: {self.name or 'none'}{where}{why}"


class CodecRegistry:
    """The codecs of this process.  Loading takes some tens of milliseconds; make one and share it.

    Args:
        environment: Where ``RINGLINE_LIBVPX`` and ``RINGLINE_LIBOPUS`` may name a file;
            by default :data:`os.environ`.

    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        if environment is None:
            environment = os.environ
        self._libvpx, self._vp8 = _load_vp8(environment)
        self._libopus, self._opus = _load_opus(environment)
        for implementation in self.implementations:
            if implementation.is_fallback or implementation.name is None:
                logger.warning("codec %s", implementation)
            else:
                logger.debug("codec %s", implementation)

    @property
    def has_dred(self) -> bool:
        """Whether libopus has deep redundancy (:mod:`.opus_dred`)."""
        return self._libopus is not None and self._libopus.has_dred

    @property
    def implementations(self) -> tuple[Implementation, ...]:
        """What is in use, one for each codec."""
        return (self._vp8, self._opus)

    def implementation(self, name: str) -> Implementation:
        """Return what is in use for one codec.

        Raises:
            UnsupportedCodecError: If there is no codec of that name.

        """
        for implementation in self.implementations:
            if implementation.codec.lower() == name.lower():
                return implementation
        known = ", ".join(implementation.codec for implementation in self.implementations)
        raise UnsupportedCodecError(f"no codec named {name!r}; there is {known}")

    def video_encoder(self, name: str, config: Vp8Config) -> VideoEncoder:
        """Make a video encoder.

        Args:
            name: As in SDP, in any case of letters (RFC 4855 §3).
            config: How to start.

        Raises:
            UnsupportedCodecError: If there is no video codec of that name.
            CodecError: If the library refuses.

        """
        self._expect(name, self._vp8)
        if self._libvpx is None:
            return PyavVp8Encoder(config)
        return Vp8Encoder(config, self._libvpx)

    def video_decoder(self, name: str) -> VideoDecoder:
        """Make a video decoder; raises as :meth:`video_encoder`."""
        self._expect(name, self._vp8)
        if self._libvpx is None:
            return PyavVp8Decoder()
        return Vp8Decoder(self._libvpx)

    def audio_encoder(self, name: str, config: OpusConfig) -> OpusEncoder:
        """Make an audio encoder.

        Raises:
            UnsupportedCodecError: If there is no audio codec of that name.
            LibraryError: If there is no library for it; the message says what was tried.
            CodecError: If the library refuses.

        """
        return OpusEncoder(config, self._opus_library(name))

    def audio_decoder(self, name: str) -> OpusDecoder:
        """Make an audio decoder; raises as :meth:`audio_encoder`."""
        return OpusDecoder(self._opus_library(name))

    def _opus_library(self, name: str) -> Libopus:
        self._expect(name, self._opus)
        if self._libopus is None:
            raise LibraryError("; ".join(self._opus.refused))
        return self._libopus

    def _expect(self, name: str, implementation: Implementation) -> None:
        if self.implementation(name) is not implementation:
            raise UnsupportedCodecError(f"{name!r} is no codec of this kind")


def _load_vp8(environment: Mapping[str, str]) -> tuple[Libvpx | None, Implementation]:
    refused = []
    for library in find_libraries("vpx", environment):
        try:
            libvpx = Libvpx(library)
            _try_pictures(Vp8Encoder(Vp8Config(width=64, height=64), libvpx), Vp8Decoder(libvpx))
        except CodecError as error:
            refused.append(str(error))
            continue
        return libvpx, Implementation(
            "VP8",
            f"libvpx {libvpx.version}",
            library.path,
            library.origin.value,
            is_fallback=False,
            refused=tuple(refused),
        )
    refused = refused or ["there is no libvpx, nor PyAV's wheel with one"]
    return None, Implementation(
        "VP8", f"PyAV {av.__version__}", None, None, is_fallback=True, refused=tuple(refused)
    )


def _load_opus(environment: Mapping[str, str]) -> tuple[Libopus | None, Implementation]:
    try:
        libopus = Libopus.load(environment)
        _try_sound(libopus)
    except CodecError as error:
        return None, Implementation(
            "opus", None, None, None, is_fallback=False, refused=(str(error),)
        )
    library = libopus.library
    return libopus, Implementation(
        "opus", libopus.version, library.path, library.origin.value, is_fallback=False
    )


def _try_pictures(encoder: VideoEncoder, decoder: VideoDecoder) -> None:
    """Send two pictures through, the second as a delta frame.

    Raises:
        CodecError: If anything but these pictures comes out.

    """
    shades = (np.arange(96).reshape(12, 8) * 2).astype(np.uint8)
    picture: Planes = shades.repeat(8, axis=0).repeat(8, axis=1)
    for count in range(2):
        frame = encoder.encode(picture, media_time=count * 3_000, duration=3_000)
        if frame is None or frame.key != (count == 0):
            raise CodecError("self-test: the encoder gave no frame, or not the one asked for")
        pictures = decoder.decode(frame.data)
        if len(pictures) != 1 or pictures[0].shape != picture.shape:
            raise CodecError("self-test: the decoder gave no picture, or one of another size")
        error = float(np.abs(pictures[0].astype(np.int16) - picture).mean())
        if error > _MAX_MEAN_ERROR:
            raise CodecError(f"self-test: the picture came back {error:.0f} of 255 off")


def _try_sound(libopus: Libopus) -> None:
    """Send a frame of a tone through.

    Raises:
        CodecError: If no sound of its length comes out.

    """
    config = OpusConfig()
    tone = np.sin(np.arange(AUDIO_FRAME_SAMPLES) * (2 * np.pi * 440 / 48_000)) * 8_000
    packet = OpusEncoder(config, libopus).encode(tone.astype(np.int16))
    heard = OpusDecoder(libopus).decode(packet)
    if len(heard) != AUDIO_FRAME_SAMPLES or not heard.any():
        raise CodecError("self-test: the tone came back as silence, or of another length")
