"""Allocate: one gross budget, divided: audio first, then repair, then the picture.

The budget is bits per second on the wire.  Codecs are told net rates, so the headers are taken
off here: at 150 kbit/s they are a third of what sound costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LAYER_OVERHEAD", "Allocation", "Demand", "allocate"]

LAYER_OVERHEAD: Final = 38
"""Bytes around an RTP packet on the wire: IPv4 20, UDP 8, SRTP tag 10 (RFC 3711, 80 bits)."""

_HEADERS: Final = LAYER_OVERHEAD + 12 + 16
"""Bytes around a payload: and the RTP header (these make 50), and 16 of header extensions."""

_MAX_REPAIR: Final = 0.3
"""Of the video's share: beyond, retransmission costs more picture than it mends."""

_REPAIR_COPIES: Final = 2
"""A retransmission may be lost as well, and from the second on two copies of it go."""

_MIN_REPAIR_LOSS: Final = 0.01
"""Less is carried by the slack between target and encoder."""


@dataclass(slots=True)
class Demand:
    """Who wants a part.

    Attributes:
        audio: Gross rate of sound, its copies included (:mod:`.allocate_audio`); 0 for none.
        video: Whether a picture is sent.
        repair: Whether lost video is sent again.
        loss: Share lost of late, 0.0 to 1.0.
        residual: Of what is lost, the share that will be sent again: less than all where forward
            error correction mends the rest.
        frame_rate: Pictures a second.
        packet_size: Largest RTP packet in bytes.
        protection: Forward error correction for the picture, as a share of the picture's bytes.

    """

    audio: int
    video: bool
    repair: bool
    loss: float
    frame_rate: float
    packet_size: int
    protection: float = 0.0
    residual: float = 1.0


@dataclass(slots=True)
class Allocation:
    """Who gets what, bits per second.

    Attributes:
        video: Net, for the video encoder; may be too little to be of use, never below 0.
        video_gross: The same with its headers.
        repair: Gross, set aside for retransmissions.
        protection: Gross, for forward error correction.

    """

    video: int = 0
    video_gross: int = 0
    repair: int = 0
    protection: int = 0


def allocate(budget: float, demand: Demand) -> Allocation:
    """Divide ``budget`` bits per second.  Sound gets its least even if that is over the budget."""
    allocation = Allocation()
    if demand.video:
        rest = max(budget - demand.audio, 0.0)
        if demand.repair and demand.loss >= _MIN_REPAIR_LOSS:
            again = _REPAIR_COPIES * demand.loss * demand.loss
            share = min((demand.loss + again) * demand.residual, _MAX_REPAIR)
            share /= 1 + demand.protection  # no forward error correction is sent again
            allocation.repair = int(rest * share / (1 + share))
        gross = (rest - allocation.repair) / (1 + demand.protection)
        allocation.protection = int(gross * demand.protection)
        packets = max(demand.frame_rate, gross / (8 * (demand.packet_size + LAYER_OVERHEAD)))
        allocation.video_gross = int(gross)
        allocation.video = int(max(gross - packets * _HEADERS * 8, 0.0))
    return allocation
