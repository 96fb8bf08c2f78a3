"""Quality words: a judgement of a call's quality in words for a person."""

from __future__ import annotations

from typing import Final, Literal

from ringline.media.quality import Cause, DirectionQuality, Side

__all__ = ["describe_cause", "describe_quality", "grade"]

_GRADES: Final = ((4.5, "very good"), (4.0, "good"), (3.0, "fair"), (2.0, "poor"))

_CAUSES: Final = {
    (Cause.LOSS, Side.OUR_UPLOAD): "packets get lost on the way from us",
    (Cause.LOSS, Side.THEIR_UPLOAD): "packets get lost on the way from them",
    (Cause.DELAY, Side.OUR_UPLOAD): "the way from us is slow or uneven",
    (Cause.DELAY, Side.THEIR_UPLOAD): "the way from them is slow or uneven",
    (Cause.BANDWIDTH, Side.OUR_UPLOAD): "our upload has too little room",
    (Cause.BANDWIDTH, Side.THEIR_UPLOAD): "their upload has too little room",
    (Cause.CPU, Side.OUR_DEVICE): "our device is too slow",
    (Cause.CPU, Side.THEIR_DEVICE): "their camera or device is too slow",
}


def grade(score: float) -> str:
    """Return a word for a score of 1 to 5."""
    return next((word for least, word in _GRADES if score >= least), "bad")


def describe_cause(cause: Cause, side: Side | None) -> str:
    """Return what is wrong; an empty string if nothing is."""
    return "" if side is None else _CAUSES.get((cause, side), "")


def describe_quality(direction: Literal["receiving", "sending"], quality: DirectionQuality) -> str:
    """Return one line, such as ``what you see and hear is poor: our device is too slow``."""
    what = "what you see and hear" if direction == "receiving" else "what they see and hear"
    cause = describe_cause(quality.cause, quality.side)
    return f"{what} is {grade(quality.score)}" + (f": {cause}" if cause else "")
