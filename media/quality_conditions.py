"""Quality conditions: what a window of a call's counters comes to, for the judge of its quality."""

from __future__ import annotations

from dataclasses import dataclass

from ringline.media.send.limitation import LimitationReason

__all__ = ["ReceivedPicture", "ReceivedSound", "SentPicture", "SentSound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSound:
    """What was heard.

    Attributes:
        made_up: Share that concealment made up, 0 to 1.
        burst_ratio: Mean length of a gap over that of random loss.
        packet_loss: Share of packets lost on their first way, before repair.
        bitrate: Net, bits per second; :obj:`None` if nothing was decoded.
        mouth_to_ear: Seconds.

    """

    made_up: float
    burst_ratio: float
    packet_loss: float
    bitrate: float | None
    mouth_to_ear: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPicture:
    """What was seen.

    Attributes:
        frozen: Share of the time that it stood, 0 to 1.
        packet_loss: Share of packets lost on their first way.
        pixels: Width times height.
        frame_rate: Pictures a second, freezes left out.
        quantizer: Mean; :obj:`None` if nothing was decoded.
        decoding: Share of the time that decoding took.
        delay: Capture to display, seconds.

    """

    frozen: float
    packet_loss: float
    pixels: int
    frame_rate: float
    quantizer: float | None
    decoding: float
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSound:
    """What left to be heard.

    Attributes:
        loss: Share of packets that the other side did not get, before repair.
        bitrate: That the encoder is told.
        mouth_to_ear: Seconds.

    """

    loss: float
    bitrate: float | None
    mouth_to_ear: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPicture:
    """What left to be seen.

    Attributes:
        seconds: How long the window is.
        loss: As of :class:`SentSound`.
        is_paused: No picture leaves although the user wants it.
        key_frame_requests: That came.
        pixels: Width times height.
        frame_rate: Pictures encoded a second.
        quantizer: Mean; :obj:`None` if nothing was encoded, or the encoder does not tell.
        encoding: Share of the time that encoding took.
        limitation: What keeps it below what the source gives.
        round_trip: Seconds.
        delay: Capture to display, seconds.

    """

    seconds: float
    loss: float
    is_paused: bool
    key_frame_requests: int
    pixels: int
    frame_rate: float
    quantizer: float | None
    encoding: float
    limitation: LimitationReason
    round_trip: float
    delay: float
