"""Encode audio: the decisions around Opus: at what rate, and with how much redundancy.

Second stage of the road, for sound.  It is encoded in place: 0.2 ms.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ringline.media.codecs.opus import OpusConfig, OpusEncoder, Samples
from ringline.media.codecs.registry import CodecRegistry

__all__ = ["AudioEncode", "audio_level"]

_IN_BAND: Final = ((32_000, 0.01, 0.05), (24_000, 0.03, 0.10), (20_000, 0.06, 0.10))
"""Net rate, the loss from which a coarse copy in the packet pays there, and the loss that the
encoder is told, which makes it add one.  Measured with libopus 1.3 (PESQ at 0, 2, 5, 10 % loss): at
32 kbit/s 4.4, 3.8, 3.0, 2.4 without and 4.2, 4.2, 3.9, 3.6 with it; at 24 kbit/s 4.3, 3.8, 3.0, 2.4
and 3.9, 3.8, 3.6, 3.3; at 20 kbit/s it takes as much as it gives up to 5 %, at 16 there is none.
Told of more than that, it is worse at any loss: 20 % at 24 kbit/s scores 2.9 on a clean path."""

_FULL_EFFORT_BELOW: Final = 48_000
_FULL_EFFORT: Final = 9
_LESS_EFFORT: Final = 5
"""Complexity, by net rate.  9 scores more than 5 (PESQ, four voices): at 16 kbit/s 0.1 to 0.4, at
32 from 0.04 to 0.45, at 64 from 0.01 to 0.1.  It costs 0.15 of 0.30 ms a frame, over half a
percent of a core on the thread that keeps time, which more bits buy where there are any."""

_VOICE_LEVEL: Final = 50
"""-dBov; louder than this is taken for voice."""


class AudioEncode:
    """Encodes the sound of one stream.

    Args:
        codecs: Makes the encoder, at the first frame.
        in_band_fec: Whether the other side makes use of redundancy (``useinbandfec``).
        dtx: Whether silence is left out.

    """

    def __init__(
        self,
        *,
        codecs: CodecRegistry,
        in_band_fec: bool,
        dtx: bool = False,
    ) -> None:
        self._codecs: Final = codecs
        self._in_band_fec: Final = in_band_fec
        self._dtx: Final = dtx
        self._encoder: OpusEncoder | None = None
        self._bitrate = OpusConfig().bitrate
        self._hint = 0.0

    def set_conditions(self, bitrate: int, loss: float) -> None:
        """Take a new share in net bits per second, and the loss of late, 0.0 to 1.0."""
        hint = _loss_hint(bitrate, loss) if self._in_band_fec else 0.0
        encoder = self._encoder
        if encoder is not None:
            if bitrate != self._bitrate:
                encoder.set_bitrate(bitrate)
                encoder.set_complexity(_complexity(bitrate))
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
                complexity=_complexity(self._bitrate),
                inband_fec=self._in_band_fec,
                packet_loss=self._hint,
                dtx=self._dtx,
            )
            self._encoder = self._codecs.audio_encoder("opus", config)
        return self._encoder.encode(samples)


def _loss_hint(bitrate: int, loss: float) -> float:
    """Return the loss to tell the encoder of."""
    for least, pays_from, hint in _IN_BAND:
        if bitrate >= least:
            return hint if loss >= pays_from else 0.0
    return 0.0


def _complexity(bitrate: int) -> int:
    return _FULL_EFFORT if bitrate < _FULL_EFFORT_BELOW else _LESS_EFFORT


def audio_level(samples: Samples) -> tuple[bool, int]:
    """Return whether there is voice, and the level in -dBov, 0 to 127 (RFC 6464 §3)."""
    wave = samples.astype(np.float32)
    power = float(wave @ wave) / max(len(wave), 1)
    if power < 1e-3:
        return False, 127
    level = min(max(round(-10 * math.log10(power / 32_768**2)), 0), 127)
    return level <= _VOICE_LEVEL, level
