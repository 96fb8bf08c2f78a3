"""Opus (RFC 6716, RFC 7587): speech at 48 kHz, mono, in frames of 20, 40 or 60 ms.

Every setting of the encoder is live, the frame's length too: it holds from the next frame on.  The
decoder has the three ways to fill a frame: decode it, decode the coarse copy in the packet after
it, or make it up.
An encoder or decoder is used by one thread at a time, any thread; calls release the GIL.
"""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringline.media.codecs.libopus import Libopus
from ringline.media.codecs.opus_packet import MAX_PACKET_SAMPLES, has_redundancy
from ringline.media.errors import CodecError, ParseError
from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["OpusConfig", "OpusDecoder", "OpusEncoder", "Samples"]

Samples = NDArray[np.int16]

_CHANNELS: Final = 1
_FRAME_SAMPLES: Final = (960, 1_920, 2_880)
_MAX_PACKET: Final = 4_000  # bytes; libopus's own advice, more than three frames of 1275
_SMALLEST_FRAME: Final = 120  # samples; what is concealed is a multiple of 2.5 ms

# With discontinuous transmission on, a packet this short says "as before": it need not be sent.
_DTX_BYTES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OpusConfig:
    """How an Opus encoder starts and behaves; all of it can change live."""

    bitrate: int = 32_000
    """Bits per second: full-band speech; 24,000 is the least at which redundancy is always on."""

    complexity: int = 9
    """0 to 10; 9 as libwebrtc on desktops: 0.2 to 0.35 ms a frame, where 5 takes 0.15."""

    inband_fec: bool = True
    """Allow redundancy.  None is made while :attr:`packet_loss` is 0, so this costs nothing."""

    packet_loss: float = 0.0
    """Expected loss, 0 to 1.  Leave at 0 on a clean link: from 0.01 on, redundancy takes its share
    and at 32 kbit/s the sound narrows from full band to wide band."""

    dtx: bool = False
    """Send next to nothing in silence."""


class OpusEncoder:
    """Turns frames of sound into packets.

    Args:
        config: How to start.
        libopus: The library.

    Raises:
        ValueError: If a setting is out of range.
        CodecError: If libopus refuses.

    """

    def __init__(self, config: OpusConfig, libopus: Libopus) -> None:
        self._libopus: Final = libopus
        self._requests: Final = libopus.constants
        self._state: Final = libopus.new_encoder(
            AUDIO_CLOCK_RATE, _CHANNELS, self._requests.APPLICATION_VOIP
        )
        weakref.finalize(self, libopus.destroy_encoder, self._state)
        self._packet: Final = ctypes.create_string_buffer(_MAX_PACKET)
        self._set(self._requests.SET_SIGNAL_REQUEST, self._requests.SIGNAL_VOICE)
        self.set_bitrate(config.bitrate)
        self.set_complexity(config.complexity)
        self.set_inband_fec(config.inband_fec)
        self.set_packet_loss(config.packet_loss)
        self.set_dtx(config.dtx)

    @property
    def lookahead(self) -> int:
        """Delay of the codec in samples: what goes in comes out this much later."""
        value = ctypes.c_int32()
        code = self._libopus.encoder_ctl(
            self._state, self._requests.GET_LOOKAHEAD_REQUEST, ctypes.byref(value)
        )
        self._libopus.check(code, "opus_encoder_ctl")
        return value.value

    def encode(self, samples: Samples) -> bytes:
        """Encode one frame.

        Args:
            samples: ``int16`` of shape ``(960,)``, ``(1920,)`` or ``(2880,)``, contiguous.

        Returns:
            The packet; empty if nothing need be sent (discontinuous transmission).

        Raises:
            ValueError: If the array does not fit.
            CodecError: If libopus fails.

        """
        if (
            samples.dtype != np.int16
            or samples.ndim != 1
            or len(samples) not in _FRAME_SAMPLES
            or not samples.flags.c_contiguous
        ):
            raise ValueError(
                f"expected contiguous int16 samples, {_FRAME_SAMPLES} of them, got "
                f"{samples.dtype} {samples.shape}"
            )
        length = self._libopus.encode(
            self._state, samples.tobytes(), len(samples), self._packet, _MAX_PACKET
        )
        self._libopus.check(length, "opus_encode")
        if self._dtx and length <= _DTX_BYTES:
            return b""
        return ctypes.string_at(self._packet, length)

    def set_bitrate(self, bitrate: int) -> None:
        """Change the target, in bits per second; libopus keeps it within 500 and 512,000.

        Raises:
            ValueError: If it is not positive.

        """
        if bitrate <= 0:
            raise ValueError(f"bitrate must be positive, got {bitrate}")
        self._set(self._requests.SET_BITRATE_REQUEST, bitrate)

    def set_complexity(self, complexity: int) -> None:
        """Change the effort, 0 to 10.

        Raises:
            ValueError: If it is none of these.

        """
        if not 0 <= complexity <= 10:
            raise ValueError(f"complexity must be 0 to 10, got {complexity}")
        self._set(self._requests.SET_COMPLEXITY_REQUEST, complexity)

    def set_inband_fec(self, enabled: bool) -> None:
        """Allow or forbid redundancy."""
        self._set(self._requests.SET_INBAND_FEC_REQUEST, int(enabled))

    def set_packet_loss(self, ratio: float) -> None:
        """Tell the loss to expect, 0 to 1; whole percents count.

        Raises:
            ValueError: If it is outside of that.

        """
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"loss must be 0 to 1, got {ratio}")
        self._set(self._requests.SET_PACKET_LOSS_PERC_REQUEST, round(ratio * 100))

    def set_dtx(self, enabled: bool) -> None:
        """Allow or forbid discontinuous transmission."""
        self._dtx = enabled
        self._set(self._requests.SET_DTX_REQUEST, int(enabled))

    def _set(self, request: int, value: int) -> None:
        code = self._libopus.encoder_ctl(self._state, request, ctypes.c_int32(value))
        self._libopus.check(code, "opus_encoder_ctl")


class OpusDecoder:
    """Turns packets into sound, and gaps into what sounds least like one.

    Call one of the three methods for each stretch of time, in order: the decoder's memory of the
    sound so far is what concealment goes on from.

    Args:
        libopus: The library.

    Raises:
        CodecError: If libopus refuses.

    """

    def __init__(self, libopus: Libopus) -> None:
        self._libopus: Final = libopus
        self._state: Final = libopus.new_decoder(AUDIO_CLOCK_RATE, _CHANNELS)
        weakref.finalize(self, libopus.destroy_decoder, self._state)
        self._out: Final = np.empty(MAX_PACKET_SAMPLES, np.int16)
        self._out_address: Final = self._out.ctypes.data  # to ask takes longer than to copy

    def decode(self, packet: bytes) -> Samples:
        """Decode a packet that came; stereo is mixed to mono.

        Returns:
            ``int16`` of shape ``(n,)``: as many samples as the packet holds, 120 to 5760.

        Raises:
            CodecError: If it is damaged; :meth:`conceal` then fills its place.

        """
        if not packet:
            raise CodecError("an empty packet")  # libopus would take it for a lost one
        return self._decode(packet, MAX_PACKET_SAMPLES, use_redundancy=False)

    def decode_redundancy(
        self, next_packet: bytes, samples: int = AUDIO_FRAME_SAMPLES
    ) -> Samples | None:
        """Decode a lost frame from the coarse copy in the packet after it.

        Decode ``next_packet`` itself afterwards, as if nothing had happened.

        Args:
            next_packet: The packet that came after the gap.
            samples: How much is missing right before it.

        Returns:
            ``int16`` of shape ``(samples,)``, or :obj:`None` if there is no copy in it: nothing
            was decoded then, and :meth:`conceal` is next.

        Raises:
            ValueError: As :meth:`conceal`.
            CodecError: If the packet is damaged.

        """
        _check_gap(samples)
        try:
            if not has_redundancy(next_packet):
                return None
        except ParseError as error:
            raise CodecError(str(error)) from None
        return self._decode(next_packet, samples, use_redundancy=True)

    def conceal(self, samples: int = AUDIO_FRAME_SAMPLES) -> Samples:
        """Make up a lost frame out of the sound so far; it fades as losses go on.

        Returns:
            ``int16`` of shape ``(samples,)``.

        Raises:
            ValueError: Unless ``samples`` is a multiple of 120 up to 5760.

        """
        _check_gap(samples)
        return self._decode(None, samples, use_redundancy=False)

    def _decode(self, packet: bytes | None, samples: int, *, use_redundancy: bool) -> Samples:
        length = len(packet) if packet is not None else 0
        count = self._libopus.decode(
            self._state, packet, length, self._out_address, samples, int(use_redundancy)
        )
        self._libopus.check(count, "opus_decode")
        return self._out[:count].copy()


def _check_gap(samples: int) -> None:
    if samples % _SMALLEST_FRAME or not 0 < samples <= MAX_PACKET_SAMPLES:
        raise ValueError(
            f"expected a multiple of {_SMALLEST_FRAME} up to {MAX_PACKET_SAMPLES}, got {samples}"
        )
