"""Frame audio: 20 ms from the microphone become what one packet holds: 20, 40 or 60 ms.

Between capture and encoding.  Longer packets save headers, and cost as much delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringline.media.frames import AUDIO_FRAME_SAMPLES

__all__ = ["AudioFramer", "FramedSound"]


@dataclass(slots=True)
class FramedSound:
    """The sound of one packet.

    Attributes:
        samples: ``int16`` of shape ``(960,)``, ``(1920,)`` or ``(2880,)``, contiguous.
        media_time: Of the first sample.

    """

    samples: NDArray[np.int16]
    media_time: int


class AudioFramer:
    """Collects.

    Attributes:
        length: Samples of a packet to be begun: a multiple of 960.  One that was begun is made as
            long as it was meant to be, or less if this has become shorter.

    """

    def __init__(self) -> None:
        self.length = AUDIO_FRAME_SAMPLES
        self._parts: Final[list[NDArray[np.int16]]] = []
        self._meant = AUDIO_FRAME_SAMPLES  # samples of the packet that was begun
        self._media_time = 0

    def handle_samples(self, samples: NDArray[np.int16], media_time: int) -> FramedSound | None:
        """Take 20 ms; return a packet's sound once it is whole.

        What was collected before a gap in media time is dropped: it is less than a packet, and
        what stopped the microphone has cut it off anyway.

        Raises:
            ValueError: If it is not 960 samples of ``int16``.

        """
        if samples.shape != (AUDIO_FRAME_SAMPLES,) or samples.dtype != np.int16:
            raise ValueError(
                f"expected {AUDIO_FRAME_SAMPLES} int16 samples, got {samples.dtype} {samples.shape}"
            )
        collected = len(self._parts) * AUDIO_FRAME_SAMPLES
        if collected and media_time != self._media_time + collected:
            self._parts.clear()
            collected = 0
        if not collected:
            self._media_time = media_time
            self._meant = self.length
            if self._meant == AUDIO_FRAME_SAMPLES:
                return FramedSound(np.ascontiguousarray(samples), media_time)
        # A copy: whoever gave the samples may write into them before the packet is whole.
        self._parts.append(samples.copy())
        collected += AUDIO_FRAME_SAMPLES
        if collected < min(self._meant, max(self.length, AUDIO_FRAME_SAMPLES)):
            return None
        sound = FramedSound(np.concatenate(self._parts), self._media_time)
        self._parts.clear()
        return sound
