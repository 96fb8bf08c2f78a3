"""Encode audio: the decisions around Opus: at what rate, and with how much redundancy.

Second stage of the road, for sound.  It is encoded in place: 0.2 ms.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringline.media.codecs.opus import OpusConfig, OpusEncoder, Samples
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.send.encode import EncodeConfig

__all__ = ["AudioEncode", "audio_level"]

_LOSS_STEP: Final = 0.05
_MAX_LOSS_HINT: Final = 0.2
"""Steps in which the encoder is told of loss, and the most it is told, as libwebrtc: each step
takes from the sound to pay for redundancy."""

_VOICE_LEVEL: Final = 50
"""-dBov; louder than this is taken for voice."""


class AudioEncode:
    """Encodes the sound of one stream.

    Args:
        config: Tuning.
        codecs: Makes the encoder, at the first frame.
        in_band_fec: Whether the other side makes use of redundancy (``useinbandfec``).
        dtx: Whether silence is left out.

    """

    def __init__(
        self,
        config: EncodeConfig,
        *,
        codecs: CodecRegistry,
        in_band_fec: bool,
        dtx: bool = False,
    ) -> None:
        self._config: Final = config
        self._codecs: Final = codecs
        self._in_band_fec: Final = in_band_fec
        self._dtx: Final = dtx
        self._encoder: OpusEncoder | None = None
        self._bitrate = OpusConfig().bitrate
        self._hint = 0.0

    def set_conditions(self, bitrate: int, loss: float) -> None:
        """Take a new share in net bits per second, and the loss of late, 0.0 to 1.0."""
        hint = 0.0
        if self._in_band_fec and loss >= self._config.loss_hint_from:
            steps = max(1, round(loss / _LOSS_STEP))
            hint = min(steps * _LOSS_STEP, _MAX_LOSS_HINT)
        encoder = self._encoder
        if encoder is not None:
            if bitrate != self._bitrate:
                encoder.set_bitrate(bitrate)
            if hint != self._hint:
                encoder.set_packet_loss(hint)
        self._bitrate = bitrate
        self._hint = hint

    def encode(self, samples: Samples) -> bytes:
        """Return the Opus packet of 20, 40 or 60 ms; empty if there is nothing to send (DTX).

        Raises:
            CodecError: If there is no encoder or it failed.
            ValueError: If it is not so many samples of ``int16``.

        """
        if self._encoder is None:
            config = OpusConfig(
                bitrate=self._bitrate,
                inband_fec=self._in_band_fec,
                packet_loss=self._hint,
                dtx=self._dtx,
            )
            self._encoder = self._codecs.audio_encoder("opus", config)
        return self._encoder.encode(samples)


def audio_level(samples: Samples) -> tuple[bool, int]:
    """Return whether there is voice, and the level in -dBov, 0 to 127 (RFC 6464 §3)."""
    wave = samples.astype(np.float32)
    power = float(np.dot(wave, wave)) / max(len(wave), 1)
    if power < 1e-3:
        return False, 127
    level = min(max(round(-10 * float(np.log10(power / 32_768**2))), 0), 127)
    return level <= _VOICE_LEVEL, level
