"""Audio codec: stands where Opus does, looks at nothing but a sound's level.

Packets open with Opus's true first bytes (RFC 6716 §3.1, §4.2.3), so whoever looks for length or
redundancy without a decoder finds them; then come the level of the 20 ms before and those of the
packet's own.  Concealment has the last level below zero, then silence.
"""

from __future__ import annotations

import random
import struct
from typing import Final

import numpy as np

from ringline.media.codecs.opus import OpusConfig, Samples
from ringline.media.codecs.opus_packet import has_redundancy, packet_samples
from ringline.media.codecs.video_codec import check_bitrate
from ringline.media.errors import CodecError, ParseError
from ringline.media.frames import AUDIO_FRAME_SAMPLES

__all__ = ["SimulatedAudioDecoder", "SimulatedAudioEncoder"]

_CONFIGS: Final = {960: 9, 1_920: 10, 2_880: 11}  # SILK, wide band (RFC 6716 §3.1, table 2)
_LEVEL: Final = struct.Struct("!h")
_FADE_FRAMES: Final = 5  # concealment is silent after 100 ms of it


class SimulatedAudioEncoder:
    """Stands where :class:`~ringline.media.codecs.opus.OpusEncoder` does.

    Args:
        config: How to start.
        rng: Scatter of the sizes.

    """

    def __init__(self, config: OpusConfig, rng: random.Random) -> None:
        self._rng: Final = rng
        self._bitrate = config.bitrate
        self._inband_fec = config.inband_fec
        self._packet_loss = config.packet_loss
        self._dtx = config.dtx
        self._previous = 0  # level of the 20 ms before

    @property
    def lookahead(self) -> int:
        """Delay of the codec in samples: none."""
        return 0

    def encode(self, samples: Samples) -> bytes:
        """Encode one frame: see :meth:`OpusEncoder.encode`."""
        if samples.dtype != np.int16 or samples.ndim != 1 or len(samples) not in _CONFIGS:
            raise ValueError(
                f"expected int16 samples, {tuple(_CONFIGS)} of them, got {samples.dtype} "
                f"{samples.shape}"
            )
        middles = range(AUDIO_FRAME_SAMPLES // 2, len(samples), AUDIO_FRAME_SAMPLES)
        levels = [int(samples[middle]) for middle in middles]
        if self._dtx and not any(levels):
            self._previous = 0
            return b""
        count = len(levels)
        head = bytes(
            [
                _CONFIGS[len(samples)] << 3,
                # voice in each 20 ms, then whether there is redundancy
                0xFF << (8 - count) & 0xFF | self._has_redundancy << (7 - count),
            ]
        )
        head += b"".join(map(_LEVEL.pack, [self._previous, *levels]))
        self._previous = levels[-1]
        budget = self._bitrate / 8 * len(samples) / 48_000
        length = round(budget * max(0.5, self._rng.gauss(1.0, 0.08)))
        return head + bytes(max(0, length - len(head)))

    def set_bitrate(self, bitrate: int) -> None:
        """Change the target, in bits per second."""
        check_bitrate(bitrate)
        self._bitrate = bitrate

    def set_complexity(self, complexity: int) -> None:
        """Change nothing: a simulated frame takes no time at any effort."""
        if not 0 <= complexity <= 10:
            raise ValueError(f"complexity must be 0 to 10, got {complexity}")

    def set_inband_fec(self, enabled: bool) -> None:
        """Allow or forbid redundancy."""
        self._inband_fec = enabled

    def set_packet_loss(self, ratio: float) -> None:
        """Tell the loss to expect, 0 to 1."""
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"loss must be 0 to 1, got {ratio}")
        self._packet_loss = ratio

    def set_dtx(self, enabled: bool) -> None:
        """Allow or forbid discontinuous transmission."""
        self._dtx = enabled

    @property
    def _has_redundancy(self) -> bool:
        """As measured: from 24 kbit/s on with any loss, from 20 at a tenth, from 16 at a third."""
        if not self._inband_fec:
            return False
        rate, loss = self._bitrate, self._packet_loss
        return (
            (rate >= 24_000 and loss >= 0.01)
            or (rate >= 20_000 and loss >= 0.10)
            or (rate >= 16_000 and loss >= 0.30)
        )


class SimulatedAudioDecoder:
    """Stands where :class:`~ringline.media.codecs.opus.OpusDecoder` does.

    Attributes:
        concealed_samples: What it made up.
        redundant_samples: What it took from the copy in the packet after.

    """

    def __init__(self) -> None:
        self.concealed_samples = 0
        self.redundant_samples = 0
        self._level = 0
        self._concealed_frames = 0  # in a row

    def decode(self, packet: bytes) -> Samples:
        """Decode a packet that came: see :meth:`OpusDecoder.decode`."""
        _, levels = _parse_sound(packet)
        self._level = levels[-1]
        self._concealed_frames = 0
        return np.repeat(np.array(levels, np.int16), AUDIO_FRAME_SAMPLES)

    def decode_redundancy(
        self, next_packet: bytes, samples: int = AUDIO_FRAME_SAMPLES
    ) -> Samples | None:
        """Decode a lost frame from its copy: see :meth:`OpusDecoder.decode_redundancy`.

        Of a gap longer than 20 ms only the end is in the copy; what is before it is made up.
        """
        previous, _ = _parse_sound(next_packet)
        if not has_redundancy(next_packet):
            return None
        made_up = max(0, samples - AUDIO_FRAME_SAMPLES)
        head = self.conceal(made_up) if made_up else np.empty(0, np.int16)
        self.redundant_samples += samples - made_up
        self._level = previous
        self._concealed_frames = 0
        return np.concatenate([head, np.full(samples - made_up, previous, np.int16)])

    def conceal(self, samples: int = AUDIO_FRAME_SAMPLES) -> Samples:
        """Make up a lost frame: the last level below zero, silence after 100 ms of it."""
        self.concealed_samples += samples
        self._concealed_frames += 1
        level = -abs(self._level) if self._concealed_frames <= _FADE_FRAMES else 0
        return np.full(samples, level, np.int16)


def _parse_sound(packet: bytes) -> tuple[int, list[int]]:
    """Return the level before and those of the packet, one for each 20 ms."""
    try:
        count = packet_samples(packet) // AUDIO_FRAME_SAMPLES
        levels = [_LEVEL.unpack_from(packet, 2 + 2 * index)[0] for index in range(count + 1)]
    except (ParseError, struct.error):
        raise CodecError(f"{len(packet)} bytes are no simulated sound") from None
    if count == 0:
        raise CodecError("less than 20 ms are no simulated sound")
    return levels[0], levels[1:]
