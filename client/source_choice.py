"""Source choice: what the words behind ``--play``, ``--audio`` and ``--video`` ask for.

======= ================================= ==========================================
kind    word                              means
======= ================================= ==========================================
audio   ``auto`` (the default)            the microphone, or a voice where there is none
audio   ``mic``, ``mic:NAME``             the microphone, and an error where there is none
audio   ``voice``                         a synthetic voice
video   ``auto`` (the default)            the camera, or a moving picture where there is none
video   ``camera``, ``camera:NAME``       the camera, and an error where there is none
video   ``pattern``                       a synthetic moving picture
both    ``none``                          nothing of that kind is sent
both    anything else                     a file that FFmpeg opens
======= ================================= ==========================================

``--play FILE`` sets both, and the two keep one time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ringline.client.errors import LocalError
from ringline.media.frames import Kind

__all__ = ["Origin", "SourceChoice", "choose_sources"]


class Origin(Enum):
    """Where frames come from."""

    AUTO = "auto"
    DEVICE = "device"
    SYNTHETIC = "synthetic"
    FILE = "file"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """One kind's source.

    Attributes:
        name: Path of the file, or name of the device (empty is the best one).

    """

    origin: Origin
    name: str = ""


_DEVICE: Final[dict[Kind, str]] = {"audio": "mic", "video": "camera"}
_SYNTHETIC: Final[dict[Kind, str]] = {"audio": "voice", "video": "pattern"}


def choose_sources(
    *, play: str | None, audio: str | None, video: str | None
) -> tuple[SourceChoice, SourceChoice]:
    """Return what to send: sound, then picture.

    Args:
        play: The file of ``--play``, if given.
        audio: The word of ``--audio``, if given; stronger than ``play``.
        video: Likewise of ``--video``.

    Raises:
        LocalError: If nothing would be sent at all, or a word is empty.

    """
    choices = (_choose("audio", audio, play), _choose("video", video, play))
    if all(choice.origin is Origin.NONE for choice in choices):
        raise LocalError("--audio none and --video none leave nothing to send")
    return choices


def _choose(kind: Kind, word: str | None, play: str | None) -> SourceChoice:
    if word is None:
        return SourceChoice(Origin.AUTO) if play is None else SourceChoice(Origin.FILE, play)
    if not word:
        raise LocalError(f"--{kind} is empty; expected auto, none, a device or a file")
    device, colon, name = word.partition(":")
    if device == _DEVICE[kind] and (not colon or name):
        return SourceChoice(Origin.DEVICE, name)
    fixed = {
        "auto": Origin.AUTO,
        _SYNTHETIC[kind]: Origin.SYNTHETIC,
        "none": Origin.NONE,
    }
    origin = fixed.get(word)
    return SourceChoice(Origin.FILE, word) if origin is None else SourceChoice(origin)
