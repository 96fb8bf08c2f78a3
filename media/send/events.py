"""Events: what the sending half has to say to whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass

from ringline.media.send.limitation import LimitationReason
from ringline.media.send.picture_state import PictureState

__all__ = [
    "CpuLimitChanged",
    "SendEvent",
    "SentPictureChanged",
    "SentPictureState",
    "TargetBitrateChanged",
]


@dataclass(frozen=True, slots=True)
class TargetBitrateChanged:
    """The path takes more or less than before by a tenth or more.

    Attributes:
        bitrate: Bits per second on the wire, for everything.

    """

    bitrate: int


@dataclass(frozen=True, slots=True)
class CpuLimitChanged:
    """This computer has become too busy to send what the network would take, or not any more.

    Attributes:
        limited: Whether the picture is smaller or slower for it.

    """

    mid: str
    limited: bool


@dataclass(frozen=True, slots=True)
class SentPictureChanged:
    """Pictures are sent in another size, or the first is sent.

    Attributes:
        width: Pixels.
        height: Pixels.

    """

    mid: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SentPictureState:
    """What a person is to be told of the picture has changed.

    Attributes:
        state: How it differs from what its source gives.
        reason: What keeps it so; of the state before, where nothing does any more.

    """

    mid: str
    state: PictureState
    reason: LimitationReason


SendEvent = TargetBitrateChanged | SentPictureChanged | SentPictureState | CpuLimitChanged
