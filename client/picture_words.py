"""Picture words: what a person is told when network or device change a picture.

Of ours both have a say: congestion control's watch (:mod:`ringline.media.send.picture_state`) and
the budget of this computer, which also sends fewer pictures.  One word is said for the two of them,
so that neither contradicts the other.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from ringline.client.events import PictureChanged

__all__ = ["Cause", "PictureWord", "SentPicture", "picture_changed"]

PictureWord = Literal["full", "coarser", "smaller", "paused"]
Cause = Literal["network", "device"]

_DEVICE_CALM: Final = 2.5
"""Seconds that the computer must have had time again before that is believed: what the network
does in its place is told by the watch, up to two seconds later."""

_TEXTS: Final[dict[tuple[str, PictureWord], str]] = {
    ("sending", "full"): "your picture is back",
    ("sending", "coarser"): "your picture becomes coarser: your {cause}",
    ("sending", "smaller"): "your picture becomes smaller: your {cause}",
    ("sending", "paused"): "video paused: your {cause}",
    ("receiving", "full"): "their picture is back",
    ("receiving", "coarser"): "their picture becomes coarser: their {cause}",
    ("receiving", "smaller"): "their picture becomes smaller: their {cause}",
    ("receiving", "paused"): "their video is paused: their {cause}",
}


def picture_changed(
    direction: Literal["sending", "receiving"],
    state: PictureWord,
    cause: Cause,
) -> PictureChanged:
    """Return the event that says it, with a line for a person."""
    text = _TEXTS[direction, state].format(cause=cause)
    return PictureChanged(direction, state, cause, text)


class SentPicture:
    """What is said of the picture that we send.

    Attributes:
        said: Last, and whose doing it is; the same for ourselves and for the other side.

    """

    def __init__(self) -> None:
        self.said: tuple[PictureWord, Cause] = ("full", "network")
        self._watched: tuple[PictureWord, Cause] = self.said
        self._limited_until = -math.inf  # by this computer

    def handle_watch(self, state: PictureWord, cause: Cause) -> None:
        """Take the word of the watch."""
        self._watched = state, cause

    def handle_cpu(self, now: float, *, limited: bool) -> None:
        """Take whether this computer is what limits the picture."""
        if limited:
            self._limited_until = math.inf
        elif self._limited_until == math.inf:
            self._limited_until = now + _DEVICE_CALM

    def poll_change(self, now: float) -> PictureChanged | None:
        """Return what is to be said now."""
        state, cause = self._watched
        if now < self._limited_until and state in ("full", "coarser"):
            state, cause = "smaller", "device"
        if state == "full":
            cause = self.said[1]  # which is over
        if now >= self._limited_until:
            self._limited_until = -math.inf
        if (state, cause) == self.said:
            return None
        self.said = state, cause
        return picture_changed("sending", state, cause)

    def poll_timeout(self) -> float | None:
        """Return when to poll again though nothing comes."""
        return self._limited_until if math.isfinite(self._limited_until) else None
