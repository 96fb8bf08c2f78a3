"""Quality judge: from what happened in a window to a score, and to what it is to blame on.

Each trouble costs points; those of the same cause on the same side are added, and the dearest is
named.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ringline.media.e_model import SoundConditions, SoundRating, rate_sound
from ringline.media.picture_score import PictureConditions, PictureRating, rate_picture
from ringline.media.quality_conditions import (
    ReceivedPicture,
    ReceivedSound,
    SentPicture,
    SentSound,
)

__all__ = ["Cause", "DirectionQuality", "Side", "judge_receiving", "judge_sending"]

_POINTS_PER_R: Final = 1 / 20
"""In the middle of the E-model's curve: to weigh causes in sound and picture alike."""

_SOUND_WEIGHT: Final = 0.6
"""Audio goes on: a call without a picture is a call, one without sound is none."""

_WORSE_WEIGHT: Final = 0.5
"""Of the worse of the two: people judge a call by what annoys them."""

_COPIES_FROM: Final = 0.01
_COPIES_SHARE: Final = 0.5
"""Loss from which copies of sound are sent along, and the share of it that is missed all the same:
with Opus' own coarse copies, PESQ at 5, 10 and 20 % is what 0.6, 0.5 and 0.4 of it would cost."""

_KEY_FRAME_STOP: Final = 0.15
"""Seconds beside the round trip that a picture stands until a key frame that was asked for is
shown."""

_REPEATED_LOSS_SHARE: Final = 2.0
"""Share of the time that a picture stands for each that is lost and whose repair is lost as well
(loss squared): in simulation 0.005 at 5 % and 0.08 at 20 %."""

_SLOW_DEVICE: Final = 0.7
"""Share of the time that goes into a codec from which the device is the one that is too slow."""

_FEW_LOST: Final = 0.25
"""Share of the sound made up from which on lost packets are why; else they were late."""

_COARSE: Final = 55.0
"""Quantizer from which a low frame rate is want of bandwidth rather than of computing power."""

_LOSSY: Final = 0.002
"""Packet loss from which a freeze is taken to be its work."""


class Cause(Enum):
    """What keeps a direction from being better."""

    NONE = "none"
    LOSS = "loss"
    DELAY = "delay"
    BANDWIDTH = "bandwidth"
    CPU = "cpu"


class Side(Enum):
    """Where the cause is.

    An upload is the whole way from that side to the other; which part of it is to blame cannot be
    told from its ends, but nearly always it is the first.
    """

    OUR_UPLOAD = "our upload"
    THEIR_UPLOAD = "their upload"
    OUR_DEVICE = "our device"
    THEIR_DEVICE = "their device"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionQuality:
    """One way of a call, over the last seconds.

    Attributes:
        score: 1 to 5, of everything.
        sound: 1 to 5; :obj:`None` if none is sent.
        picture: 1 to 5; :obj:`None` if none is sent.
        cause: What costs the most; ``NONE`` for a score that is good.
        side: Whose; :obj:`None` without a cause.
        mouth_to_ear: Seconds, estimated; :obj:`None` without sound.

    """

    score: float
    sound: float | None
    picture: float | None
    cause: Cause
    side: Side | None
    mouth_to_ear: float | None


_Blame = tuple[float, Cause, Side]
"""Points of the score that a cause on a side costs."""


def judge_receiving(
    sound: ReceivedSound | None, picture: ReceivedPicture | None, good: float
) -> DirectionQuality | None:
    """Return how good what we get is; without cause if the score is ``good``."""
    if sound is None and picture is None:
        return None
    blames: list[_Blame] = []
    heard = seen = None
    if sound is not None:
        heard = rate_sound(
            SoundConditions(
                loss=sound.made_up,
                burst_ratio=sound.burst_ratio,
                bitrate=sound.bitrate,
                mouth_to_ear=sound.mouth_to_ear,
            )
        )
        is_lost = sound.packet_loss >= _FEW_LOST * sound.made_up
        blames += _blame_sound(
            heard, Side.THEIR_UPLOAD, missing=Cause.LOSS if is_lost else Cause.DELAY
        )
    if picture is not None:
        seen = rate_picture(
            PictureConditions(
                frozen=picture.frozen,
                pixels=picture.pixels,
                frame_rate=picture.frame_rate,
                quantizer=picture.quantizer,
                delay=picture.delay,
            )
        )
        blames += _blame_received_picture(seen, picture)
    return _sum_up(heard, seen, blames, None if sound is None else sound.mouth_to_ear, good)


def _blame_received_picture(seen: PictureRating, picture: ReceivedPicture) -> list[_Blame]:
    is_slow = picture.decoding >= _SLOW_DEVICE
    stops: tuple[Cause, Side]
    if is_slow:
        stops = Cause.CPU, Side.OUR_DEVICE
    elif picture.packet_loss >= _LOSSY:
        stops = Cause.LOSS, Side.THEIR_UPLOAD
    else:
        stops = Cause.DELAY, Side.THEIR_UPLOAD
    rate: tuple[Cause, Side]
    if is_slow:
        rate = Cause.CPU, Side.OUR_DEVICE
    elif picture.quantizer is not None and picture.quantizer < _COARSE:
        rate = Cause.CPU, Side.THEIR_DEVICE  # there was room for more pictures
    else:
        rate = Cause.BANDWIDTH, Side.THEIR_UPLOAD
    return [
        (seen.freezes, *stops),
        (seen.frame_rate, *rate),
        (seen.size + seen.coarseness, Cause.BANDWIDTH, Side.THEIR_UPLOAD),
        (seen.delay, Cause.DELAY, Side.THEIR_UPLOAD),
    ]


def judge_sending(
    sound: SentSound | None, picture: SentPicture | None, good: float
) -> DirectionQuality | None:
    """Return how good what the other side gets probably is, likewise."""
    if sound is None and picture is None:
        return None
    blames: list[_Blame] = []
    heard = seen = None
    if sound is not None:
        heard = rate_sound(
            SoundConditions(
                loss=sound.loss * _COPIES_SHARE if sound.loss >= _COPIES_FROM else sound.loss,
                bitrate=sound.bitrate,
                mouth_to_ear=sound.mouth_to_ear,
            )
        )
        blames += _blame_sound(heard, Side.OUR_UPLOAD, missing=Cause.LOSS)
    if picture is not None:
        unrepaired = _REPEATED_LOSS_SHARE * picture.loss**2
        stop = picture.key_frame_requests * (picture.round_trip + _KEY_FRAME_STOP)
        seen = rate_picture(
            PictureConditions(
                frozen=1.0 if picture.is_paused else stop / picture.seconds + unrepaired,
                pixels=picture.pixels,
                frame_rate=picture.frame_rate,
                quantizer=picture.quantizer,
                delay=picture.delay,
            )
        )
        limit: tuple[Cause, Side] = (Cause.BANDWIDTH, Side.OUR_UPLOAD)
        if picture.limitation == "cpu" or picture.encoding >= _SLOW_DEVICE:
            limit = Cause.CPU, Side.OUR_DEVICE
        stops = limit if picture.is_paused else (Cause.LOSS, Side.OUR_UPLOAD)
        blames += [
            (seen.freezes, *stops),
            (seen.frame_rate + seen.size, *limit),
            (seen.coarseness, Cause.BANDWIDTH, Side.OUR_UPLOAD),
            (seen.delay, Cause.DELAY, Side.OUR_UPLOAD),
        ]
    return _sum_up(heard, seen, blames, None if sound is None else sound.mouth_to_ear, good)


def _blame_sound(heard: SoundRating, side: Side, *, missing: Cause) -> list[_Blame]:
    return [
        (heard.loss * _POINTS_PER_R, missing, side),
        (heard.codec * _POINTS_PER_R, Cause.BANDWIDTH, side),
        (heard.delay * _POINTS_PER_R, Cause.DELAY, side),
    ]


def _sum_up(
    heard: SoundRating | None,
    seen: PictureRating | None,
    blames: list[_Blame],
    mouth_to_ear: float | None,
    good: float,
) -> DirectionQuality:
    sound = None if heard is None else heard.score
    picture = None if seen is None else seen.score
    if sound is not None and picture is not None:
        mean = _SOUND_WEIGHT * sound + (1.0 - _SOUND_WEIGHT) * picture
        score = mean + _WORSE_WEIGHT * (min(sound, picture) - mean)
    else:
        score = sound if sound is not None else picture or 1.0
    cause, side = Cause.NONE, None
    if score < good:
        costs: dict[tuple[Cause, Side], float] = {}
        for points, what, whose in blames:
            costs[what, whose] = costs.get((what, whose), 0.0) + points
        cause, side = max(costs, key=lambda key: costs[key])
    return DirectionQuality(
        score=score,
        sound=sound,
        picture=picture,
        cause=cause,
        side=side,
        mouth_to_ear=mouth_to_ear,
    )
