"""Events: what happens in a call, as a closed union for ``match``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ringline.client.call_state import CallState
from ringline.client.transport import PathKind
from ringline.media.frames import Kind
from ringline.media.quality import QualityChanged

__all__ = [
    "CallEvent",
    "Ended",
    "PathChanged",
    "PictureChanged",
    "QualityChanged",
    "RemoteMuted",
    "StateChanged",
    "VideoRequested",
]


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The call moved on."""

    state: CallState


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Media goes another way.

    Attributes:
        kind: ``host`` (same network), ``srflx`` (direct through NATs) or ``relay`` (TURN).

    """

    kind: PathKind


@dataclass(frozen=True, slots=True)
class RemoteMuted:
    """The other side stopped sending a kind, or went on."""

    kind: Kind
    muted: bool


@dataclass(frozen=True, slots=True)
class VideoRequested:
    """The other side asks for video; answer by :meth:`Call.answer_video`."""


@dataclass(frozen=True, slots=True)
class PictureChanged:
    """Network or device make a picture worse, or let it be good again.

    It comes before the picture breaks, where that can be foreseen, and not more often than every
    two seconds, but for a pause: a user interface shows each as it comes.

    What our own device cannot do, fewer pictures among it, is told as ``smaller``.

    Attributes:
        direction: Whether it is the picture that we send or the other side's.
        state: How it differs from what its camera gives: ``full`` is not at all.
        cause: ``network`` or ``device``, of whoever sends it.
        text: One line for a person, for instance ``"video paused: your network"``.

    """

    direction: Literal["sending", "receiving"]
    state: Literal["full", "coarser", "smaller", "paused"]
    cause: Literal["network", "device"]
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a call.

    Attributes:
        reason: One of the closed list of end reasons of ``ringline.v1``.
        detail: More for a person; may be empty.

    """

    reason: str
    detail: str = ""


CallEvent = (
    StateChanged
    | PathChanged
    | RemoteMuted
    | VideoRequested
    | PictureChanged
    | QualityChanged
    | Ended
)
