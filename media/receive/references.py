"""References: which of the pictures that the decoder keeps are whole, in the order of decoding.

The receiving end of :mod:`ringline.media.send.references`.  Frames say in their descriptors what
they are predicted from and what they leave behind
(:class:`~ringline.media.rtp.vp8.ReferenceMark`).  What is written here is true of the decoder only
if it is told of every frame that the decoder gets, in that order.

Invariant: a picture is said to be whole only if nothing that it came from was lost.
"""

from __future__ import annotations

from typing import Final

from ringline.media.rtp.vp8 import ReferenceMark, Vp8Descriptor

__all__ = ["KeptPictures"]

_REFRESHED: Final[dict[int, int]] = {
    ReferenceMark.REFRESH_GOLDEN: 0,
    ReferenceMark.REFRESH_ALTERNATE: 1,
}
_NEEDED: Final[dict[int, int]] = {ReferenceMark.GOLDEN_ONLY: 0, ReferenceMark.ALTERNATE_ONLY: 1}


class KeptPictures:
    """The golden and the alternate picture of one decoder."""

    def __init__(self) -> None:
        self._pictures: Final[list[int | None]] = [None, None]  # number of each, if it is whole
        self._newest: int | None = None
        self._is_whole = False  # the picture decoded last

    @property
    def newest(self) -> int | None:
        """Number of the newest picture that is kept and whole; :obj:`None` if none is."""
        return self._newest

    def clear(self) -> None:
        """Forget all: the decoder is another one, or in an unknown state."""
        self._pictures[:] = [None, None]
        self._newest = None
        self._is_whole = False

    def mends(self, descriptor: Vp8Descriptor) -> bool:
        """Tell whether a frame decodes whole whatever came right before it."""
        place = _NEEDED.get(descriptor.reference)
        return place is not None and self._pictures[place] is not None

    def handle_frame(self, descriptor: Vp8Descriptor, *, key: bool, continuous: bool) -> None:
        """Take a frame that goes to the decoder.

        Args:
            descriptor: Of its first packet.
            key: It is a key frame.
            continuous: Nothing is missing between the frame before and this one.

        """
        number = descriptor.picture_id
        if key:
            self._is_whole = True
            self._pictures[:] = [number, number]
            self._newest = number
            return
        if self.mends(descriptor):
            self._is_whole = True
        elif not continuous or descriptor.reference in _NEEDED:
            self._is_whole = False
        place = _REFRESHED.get(descriptor.reference)
        if place is None:
            return
        if self._is_whole:
            self._pictures[place] = self._newest = number
        else:
            self._pictures[place] = None
            self._newest = self._pictures[1 - place]
