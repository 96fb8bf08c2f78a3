"""Demo statistics: one row for each second of each direction of a demo call.

The demo's table, its report and its plots are all made of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["DirectionStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionStats:
    """One second of one direction: what left at the sender and what the receiver made of it.

    Attributes:
        second: Since the call was accepted; the end of the second that the row is about.
        path: ``direct``, ``relay`` or another word for the road; empty while there is none.
        width: Of the newest picture that was shown, pixels; 0 before the first one.
        height: Likewise.
        frames_per_second: Pictures that were shown in this second.
        bitrate: That left at the sender in this second, media and repair, bits per second.
        target_bitrate: What the sender's congestion control allowed at its end, bits per second.
        loss: Share of packets lost on the way in this second before repair, 0 to 1.
        round_trip: Seconds; :obj:`None` while not measured.
        latency: From capture to display, median of this second, in seconds; :obj:`None` if no
            picture was shown or the clocks are not yet compared.
        freezes: Freezes (W3C definition) that began in this second.
        frozen_seconds: How much of this second the picture was frozen, 0 to 1.
        concealed_ms: Sound that concealment made up in this second, in ms.
        sound_latency: From microphone to loudspeaker, likewise.
        repairs: What came back to life in this second, by mechanism: the fields of
            :class:`~ringline.media.receive.stats.RepairStats`.
        score: How good it was for the receiver over the last seconds, 1 to 5; :obj:`None` before
            there is a judgement.
        sound_score: Of the sound alone; :obj:`None` if none is sent.
        picture_score: Of the picture alone, likewise.
        cause: What costs the most: ``none``, ``loss``, ``delay``, ``bandwidth`` or ``cpu``.
        side: Whose fault that is, in the receiver's words; empty if there is none.

    """

    second: float
    path: str
    width: int
    height: int
    frames_per_second: float
    bitrate: float
    target_bitrate: float
    loss: float
    round_trip: float | None
    latency: float | None
    freezes: int
    frozen_seconds: float
    concealed_ms: float
    sound_latency: float | None = None
    repairs: Mapping[str, int] = field(default_factory=dict)
    score: float | None = None
    sound_score: float | None = None
    picture_score: float | None = None
    cause: str = "none"
    side: str = ""
