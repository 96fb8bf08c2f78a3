"""Protect RED: sound is sent with copies of what was sent before it (RFC 2198).

Fourth stage of the road, for sound, in place.  What a loss takes, a later packet brings back, for
no round trip: the price is bits, and at the receiver the wait for the later packet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import MAX_BLOCK_SIZE, MAX_TIMESTAMP_OFFSET, RedBlock, serialize_red
from ringline.media.units import PayloadType

__all__ = ["MAX_DISTANCE", "RedProtection"]

MAX_DISTANCE: Final = 8
"""Packets that a copy may be behind: at 40 ms they reach as far as RED's header can say."""


@dataclass(slots=True)
class _Sent:
    timestamp: int
    payload: bytes


class RedProtection:
    """Adds copies to the packets of one stream.

    Args:
        payload_type: Of RED, as negotiated.
        max_payload: Bytes of a payload at most; the oldest copies are left out where they do not
            fit.

    Attributes:
        copies: Sent so far.
        copy_bytes: Sent so far in copies and their headers.

    """

    def __init__(self, *, payload_type: PayloadType, max_payload: int) -> None:
        self.copies = 0
        self.copy_bytes = 0
        self._payload_type: Final = payload_type
        self._max_payload: Final = max_payload
        self._sent: Final[deque[_Sent]] = deque(maxlen=MAX_DISTANCE)  # newest first

    def protect(self, packet: RtpPacket, distances: Sequence[int]) -> None:
        """Turn a packet of sound into one with copies, if there is any to go with it.

        Args:
            packet: With one Opus packet; changed in place.
            distances: How many packets back each copy is taken from, ascending; 1 is the packet
                before this.

        """
        payload, payload_type = packet.payload, packet.payload_type
        blocks = [RedBlock(payload_type, 0, payload)]
        size = 1 + len(payload)
        for distance in distances:
            if distance > len(self._sent):
                break
            sent = self._sent[distance - 1]
            age = (packet.timestamp - sent.timestamp) & 0xFFFFFFFF
            fits = size + 4 + len(sent.payload) <= self._max_payload
            if age > MAX_TIMESTAMP_OFFSET or len(sent.payload) > MAX_BLOCK_SIZE or not fits:
                break  # what is behind it is older still
            size += 4 + len(sent.payload)
            blocks.insert(0, RedBlock(payload_type, age, sent.payload))
        self._sent.appendleft(_Sent(packet.timestamp, payload))
        if len(blocks) > 1:
            packet.payload_type = self._payload_type
            packet.payload = serialize_red(blocks)
            self.copies += len(blocks) - 1
            self.copy_bytes += len(packet.payload) - len(payload)
