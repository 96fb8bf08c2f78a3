"""Scores: what was shown and played, held against what was sent.

The sound is scored in pieces of 4 s, each laid where it fits the sent sound best, so a steady
delay costs nothing and a change of it within a piece does, as it does to a listener.
"""

# ruff: noqa: INP001 - scripts beside each other, no package

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pesq import PesqError, pesq
from pystoi import stoi
from scipy.signal import correlate, resample_poly  # type: ignore[import-untyped]

from ringline.media.convert import fit_into

__all__ = ["PIECE_SECONDS", "SoundPiece", "picture_psnr", "score_sound"]

PIECE_SECONDS: Final = 4
"""Long enough for PESQ, short enough to tell good times from bad."""

_PIECE: Final = PIECE_SECONDS * 16_000
_LONGEST_DELAY: Final = 2 * 16_000
_STRIP: Final = 2 / 45  # of the height: the number is no part of the picture
_SILENCE: Final = 50  # of 32768: a piece that is never louder has nothing to score


@dataclass(slots=True, frozen=True)
class SoundPiece:
    """Four seconds of what was heard.

    Attributes:
        start: When they began to play, in seconds of the call.
        pesq: Wide-band PESQ (ITU-T P.862.2), 1 to 4.64; 1 for silence.
        stoi: Intelligibility, 0 to 1.
        delay: From microphone to loudspeaker, codec included, in seconds; :obj:`None` for silence.

    """

    start: float
    pesq: float
    stoi: float
    delay: float | None


def picture_psnr(shown: NDArray[np.uint8], sent: NDArray[np.uint8]) -> float:
    """Return the luma PSNR in dB of I420 planes, at the size of the sent ones."""
    height, width = sent.shape[0] * 2 // 3, sent.shape[1]
    shown = fit_into(shown, width, height)
    top = round(height * _STRIP)
    error = sent[top:height].astype(np.int16) - shown[top:height]
    mean = float(np.square(error, dtype=np.int32).mean())
    return float(10 * np.log10(255**2 / max(mean, 1e-3)))


def score_sound(
    played: NDArray[np.int16], sent: NDArray[np.int16], *, played_from: float, start: float
) -> list[SoundPiece]:
    """Score each whole piece that was played from ``start`` on.

    Args:
        played: What came from the loudspeaker without a break, ``int16`` at 48 kHz.
        sent: What went into the microphone from second 0 on, likewise.
        played_from: When the first played sample was due, in seconds of the call.
        start: Seconds of the call.

    """
    heard = resample_poly(played.astype(np.float32), 1, 3)
    spoken = resample_poly(sent.astype(np.float32), 1, 3)
    offset = round(played_from * 16_000)
    pieces = []
    for first in range(max(0, round(start * 16_000) - offset), len(heard) - _PIECE + 1, _PIECE):
        piece = heard[first : first + _PIECE]
        when = first + offset
        earliest = max(0, when - _LONGEST_DELAY)
        window = spoken[earliest : when + _PIECE + 320]
        if np.abs(piece).max() < _SILENCE or len(window) < _PIECE:
            pieces.append(SoundPiece(when / 16_000, 1.0, 0.0, None))
            continue
        place = int(np.argmax(correlate(window, piece, mode="valid", method="fft")))
        original = window[place : place + _PIECE]
        try:
            quality = float(pesq(16_000, original, piece, "wb"))
        except PesqError:  # it hears no speech in one of them
            quality = 1.0
        intelligible = float(stoi(original, piece, 16_000))
        delay = (when - earliest - place) / 16_000
        pieces.append(SoundPiece(when / 16_000, quality, intelligible, delay))
    return pieces
