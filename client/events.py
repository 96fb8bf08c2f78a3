"""Events: what happens in a call, as a closed union for ``match``."""

from __future__ import annotations

from dataclasses import dataclass

from ringline.client.call_state import CallState
from ringline.client.transport import PathKind
from ringline.media.frames import Kind
from ringline.media.quality import QualityChanged

__all__ = [
    "CallEvent",
    "Ended",
    "PathChanged",
    "QualityChanged",
    "RemoteMuted",
    "SendingPaused",
    "SendingReduced",
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
class SendingPaused:
    """We stopped sending a kind because the network has no room, or went on.

    Attributes:
        reason: One line for a person, for instance ``"video paused: your network"``.

    """

    kind: Kind
    paused: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SendingReduced:
    """We send less of a picture than there is, because this computer is busy, or all again.

    Attributes:
        reason: One line for a person, for instance ``"picture smaller: this computer is busy"``.

    """

    kind: Kind
    reduced: bool
    reason: str


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
    | SendingPaused
    | SendingReduced
    | QualityChanged
    | Ended
)
