"""Picture words: what a person is told when network or device change a picture."""

from __future__ import annotations

from typing import Final, Literal

from ringline.client.events import PictureChanged

__all__ = ["PictureWord", "picture_changed"]

PictureWord = Literal["full", "coarser", "smaller", "paused"]

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
    cause: Literal["network", "device"],
) -> PictureChanged:
    """Return the event that says it, with a line for a person."""
    text = _TEXTS[direction, state].format(cause=cause)
    return PictureChanged(direction, state, cause, text)
