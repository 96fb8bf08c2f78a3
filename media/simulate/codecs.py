"""Codecs: stand where VP8 and Opus stand, and cost a hundredth of their time.

They look at nothing but the marks of :mod:`ringline.media.simulate.marks`, and produce frames of
the sizes and dependencies that the real ones would.  So everything around them is the real thing:
packets, pacing, repair, jitter buffers, rate control.
"""

from __future__ import annotations

import random
from typing import Final

from ringline.media.codecs.opus import OpusConfig
from ringline.media.codecs.video_codec import Vp8Config
from ringline.media.errors import UnsupportedCodecError
from ringline.media.simulate.audio_codec import SimulatedAudioDecoder, SimulatedAudioEncoder
from ringline.media.simulate.video_codec import SimulatedVideoDecoder, SimulatedVideoEncoder

__all__ = ["SimulatedCodecs"]


class SimulatedCodecs:
    """Makes them, with the methods of :class:`~ringline.media.codecs.CodecRegistry`.

    Args:
        rng: Where the sizes' scatter comes from.

    """

    def __init__(self, rng: random.Random) -> None:
        self._rng: Final = rng

    def video_encoder(self, name: str, config: Vp8Config) -> SimulatedVideoEncoder:
        """Make a video encoder.

        Raises:
            UnsupportedCodecError: If the name is not VP8.

        """
        _expect(name, "VP8")
        return SimulatedVideoEncoder(config, self._fork_rng())

    def video_decoder(self, name: str) -> SimulatedVideoDecoder:
        """Make a video decoder; raises as :meth:`video_encoder`."""
        _expect(name, "VP8")
        return SimulatedVideoDecoder()

    def audio_encoder(self, name: str, config: OpusConfig) -> SimulatedAudioEncoder:
        """Make an audio encoder.

        Raises:
            UnsupportedCodecError: If the name is not opus.

        """
        _expect(name, "opus")
        return SimulatedAudioEncoder(config, self._fork_rng())

    def audio_decoder(self, name: str) -> SimulatedAudioDecoder:
        """Make an audio decoder; raises as :meth:`audio_encoder`."""
        _expect(name, "opus")
        return SimulatedAudioDecoder()

    def _fork_rng(self) -> random.Random:
        return random.Random(self._rng.getrandbits(64))  # noqa: S311 - sizes, not secrets


def _expect(name: str, expected: str) -> None:
    if name.lower() != expected.lower():
        raise UnsupportedCodecError(f"no codec named {name!r} here, only {expected}")
