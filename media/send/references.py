"""References: which pictures encoder and decoder keep, so that a loss need not cost a key frame.

Two pictures stay in both codecs until they are replaced, the golden and the alternate one
(:class:`~ringline.media.codecs.video_codec.Reference`).  They are refreshed in turn.  A receiver
that lost something names the newest of them that it has whole (RPSI, RFC 4585 §6.3.3), and the
next frame is predicted from that one alone: a delta frame, some times smaller than a key frame.

The receiver alone knows what it has, since losses are repaired on ways that a sender does not see;
so nothing is assumed here but what it says.

Invariants:

1. A frame is predicted from a kept picture only if the receiver named it and it is still kept.
2. A picture is not replaced while the receiver has not been heard since the other one was sent:
   after an outage the older one is what it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.media.codecs.video_codec import Reference
from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import ReferenceMark

__all__ = ["ReferenceConfig", "ReferencePlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceConfig:
    """How often pictures are kept."""

    interval: float = 0.5
    """Seconds from one kept picture to the next.  A frame from one that is half a second old is
    hardly larger than any other, from one of 2 s three times; and to keep one costs nothing."""

    round_trips: float = 6.0
    """The same in round trips, where that is longer: a picture is kept for two intervals, and must
    still be there when a receiver that has waited for retransmissions asks for it."""

    max_interval: float = 1.5
    """Bound of both."""


@dataclass(slots=True)
class _Kept:
    picture_id: int
    sent_at: float


_REFRESH: Final = (Reference.REFRESH_GOLDEN, Reference.REFRESH_ALTERNATE)
_ONLY: Final = (Reference.GOLDEN_ONLY, Reference.ALTERNATE_ONLY)
_MARKS: Final = {
    Reference.LAST: ReferenceMark.LAST,
    Reference.REFRESH_GOLDEN: ReferenceMark.REFRESH_GOLDEN,
    Reference.REFRESH_ALTERNATE: ReferenceMark.REFRESH_ALTERNATE,
    Reference.GOLDEN_ONLY: ReferenceMark.GOLDEN_ONLY,
    Reference.ALTERNATE_ONLY: ReferenceMark.ALTERNATE_ONLY,
}


class ReferencePlan:
    """Decides what each frame of one stream is predicted from.

    Args:
        config: Tuning.

    Attributes:
        recoveries: Frames sent that mended a loss.

    """

    def __init__(self, config: ReferenceConfig | None = None) -> None:
        self._config: Final = config or ReferenceConfig()
        self._kept: Final[list[_Kept | None]] = [None, None]  # golden, alternate
        self._interval = self._config.interval
        self._heard_until: float | None = None  # what left before this was reported on
        self._wanted: int | None = None  # place of the picture that the next frame is to be from
        self._recovered_at: float | None = None
        self.recoveries = 0

    def handle_heard(self, round_trip: float, now: float) -> None:
        """Take note that the receiver has reported on what left a round trip ago."""
        config = self._config
        self._heard_until = now - round_trip
        interval = max(config.interval, config.round_trips * round_trip)
        self._interval = min(interval, config.max_interval)

    def handle_request(self, picture_id: int, patience: float, now: float) -> bool | None:
        """Take the receiver's word on the picture that it has.

        Args:
            picture_id: Of that picture.
            patience: Seconds within which another request cannot have seen the last answer.
            now: The present.

        Returns:
            Whether it is heeded; :obj:`None` if that picture is not kept any more.

        """
        if self._wanted is not None or (
            self._recovered_at is not None and now - self._recovered_at < patience
        ):
            return False
        for place, kept in enumerate(self._kept):
            if kept is not None and kept.picture_id == picture_id:
                self._wanted = place
                return True
        return None

    def handle_return(self) -> bool:
        """Take note that packets get through again: go on from what the receiver should have.

        Returns:
            Whether there is such a picture: one that was reported on before the silence.

        """
        heard_until = self._heard_until
        if heard_until is None:
            return False
        known = [
            (kept.sent_at, place)
            for place, kept in enumerate(self._kept)
            if kept is not None and kept.sent_at <= heard_until
        ]
        if not known:
            return False
        self._wanted = max(known)[1]
        return True

    def choose(self, now: float) -> Reference:
        """Return what the next frame is to be predicted from, and what it is to leave behind."""
        if self._wanted is not None:
            return _ONLY[self._wanted]
        golden, alternate = self._kept
        if golden is None or alternate is None:
            return Reference.LAST  # before the first key frame
        older = int(alternate.sent_at < golden.sent_at)
        newest = max(golden.sent_at, alternate.sent_at)
        is_known = self._heard_until is None or self._heard_until >= newest
        return _REFRESH[older] if is_known and now - newest >= self._interval else Reference.LAST

    def handle_picture(
        self, picture_id: int, picture: EncodedPicture, reference: Reference, now: float
    ) -> ReferenceMark:
        """Take note of a frame that is sent; return what it is to say of itself."""
        if picture.key:
            self._kept[:] = [_Kept(picture_id, now), _Kept(picture_id, now)]
            self._wanted = None
            return ReferenceMark.LAST
        if reference in _REFRESH:
            self._kept[_REFRESH.index(reference)] = _Kept(picture_id, now)
        elif reference in _ONLY:
            self.recoveries += 1
            self._wanted = None
            self._recovered_at = now
        return _MARKS[reference]
