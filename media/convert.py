"""Convert: any picture to I420 with even sides, any sound to 20 ms blocks of mono at 48 kHz.

Used where frames come in (files, devices, programs) and where they go out (recordings).  The
work is FFmpeg's, through PyAV; here are only its settings.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["SampleGrouper", "SoundConverter", "fit_into", "fit_size", "i420_planes", "rotate"]

_BLACK_LUMA: Final = 16
_NEUTRAL_CHROMA: Final = 128


def fit_size(width: int, height: int, *, max_width: int, max_height: int) -> tuple[int, int]:
    """Return the largest even size of this shape within the limits, never larger than it is."""
    scale = min(1.0, max_width / width, max_height / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def i420_planes(picture: av.VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    """Return the picture scaled to an even size, as :attr:`VideoFrame.planes` has it."""
    if picture.format.name != "yuv420p" or (picture.width, picture.height) != (width, height):
        picture = picture.reformat(width=width, height=height, format="yuv420p")
    return picture.to_ndarray().astype(np.uint8, copy=False)


def rotate(planes: NDArray[np.uint8], quarter_turns: int) -> NDArray[np.uint8]:
    """Turn I420 planes counter-clockwise by quarters: films of telephones lie on their side."""
    quarter_turns %= 4
    if quarter_turns == 0:
        return planes
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    parts = [np.rot90(part, quarter_turns) for part in (planes[:height], chroma[0], chroma[1])]
    out_width = parts[0].shape[1]
    turned = np.concatenate([part.reshape(-1) for part in parts])
    return turned.reshape(-1, out_width)


def fit_into(planes: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return I420 planes scaled into an even size, black where the shapes differ."""
    own_width, own_height = planes.shape[1], planes.shape[0] * 2 // 3
    if (own_width, own_height) == (width, height):
        return planes
    scale = min(width / own_width, height / own_height)
    inner_width = min(width, max(2, round(own_width * scale / 2) * 2))
    inner_height = min(height, max(2, round(own_height * scale / 2) * 2))
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
    inner = i420_planes(picture, inner_width, inner_height)
    if (inner_width, inner_height) == (width, height):
        return inner
    out = np.full((height * 3 // 2, width), _NEUTRAL_CHROMA, np.uint8)
    out[:height] = _BLACK_LUMA
    left, top = (width - inner_width) // 4 * 2, (height - inner_height) // 4 * 2
    out[top : top + inner_height, left : left + inner_width] = inner[:inner_height]
    chroma = out[height:].reshape(2, height // 2, width // 2)
    chroma[
        :,
        top // 2 : top // 2 + inner_height // 2,
        left // 2 : left // 2 + inner_width // 2,
    ] = inner[inner_height:].reshape(2, inner_height // 2, inner_width // 2)
    return out


class SampleGrouper:
    """Cuts sound of any lengths into blocks of 960 samples; what is left over waits."""

    def __init__(self) -> None:
        self._pieces: Final[deque[NDArray[np.int16]]] = deque()
        self._waiting = 0

    def push(self, samples: NDArray[np.int16]) -> None:
        """Append samples, ``int16`` of shape ``(n,)``."""
        if len(samples):
            self._pieces.append(samples)
            self._waiting += len(samples)

    def poll(self) -> NDArray[np.int16] | None:
        """Return the next 960 samples, or :obj:`None` while there are fewer."""
        if self._waiting < AUDIO_FRAME_SAMPLES:
            return None
        self._waiting -= AUDIO_FRAME_SAMPLES
        if len(self._pieces[0]) == AUDIO_FRAME_SAMPLES:
            return self._pieces.popleft()
        block = np.empty(AUDIO_FRAME_SAMPLES, np.int16)
        filled = 0
        while filled < AUDIO_FRAME_SAMPLES:
            piece = self._pieces[0]
            taken = piece[: AUDIO_FRAME_SAMPLES - filled]
            block[filled : filled + len(taken)] = taken
            filled += len(taken)
            if len(taken) == len(piece):
                self._pieces.popleft()
            else:
                self._pieces[0] = piece[len(taken) :]
        return block


class SoundConverter:
    """Resamples decoded sound to mono, 48 kHz, ``int16``; its format may change on the way."""

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None

    def convert(self, sound: av.AudioFrame) -> NDArray[np.int16]:
        """Return what is ready after this frame, of shape ``(n,)``."""
        kept = self.flush() if self._format not in (None, _format_of(sound)) else None
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_CLOCK_RATE)
            self._format = _format_of(sound)
        # Without its timestamp, else the resampler would stretch sound to fit sloppy ones.
        pts, sound.pts = sound.pts, None
        fresh = _samples_of(self._resampler.resample(sound))
        sound.pts = pts
        return fresh if kept is None else np.concatenate([kept, fresh])

    def flush(self) -> NDArray[np.int16]:
        """Return what the resampler still held back, and start afresh."""
        resampler, self._resampler, self._format = self._resampler, None, None
        return _samples_of([] if resampler is None else resampler.resample(None))


def _format_of(sound: av.AudioFrame) -> tuple[str, str, int]:
    return sound.format.name, sound.layout.name, sound.sample_rate


def _samples_of(frames: list[av.AudioFrame]) -> NDArray[np.int16]:
    pieces = [frame.to_ndarray().reshape(-1) for frame in frames]
    return np.concatenate(pieces).astype(np.int16, copy=False) if pieces else np.zeros(0, np.int16)
