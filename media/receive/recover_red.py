"""Recover RED: sound that was lost comes back from the copies in later packets (RFC 2198).

Second stage of the road, for sound.  Out come blocks, each as if it had been a packet of its own:
the copies that are still missing, oldest first, then the packet's own sound.

A copy has no sequence number.  It is reckoned from its age in packets, taking the packets between
to be as long as itself; where they were not, the number is a little off, the media time never is.

Invariants:

1. What has come once, by itself or as a copy, never comes out again.
2. A copy older than the stream's first packet is not recovered: nothing was playing then.
3. Memory is bounded: the media times of the last packets.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import Final

from ringline.media.codecs.opus_packet import packet_samples
from ringline.media.errors import ParseError
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import MAX_TIMESTAMP_OFFSET, parse_red
from ringline.media.units import PayloadType

__all__ = ["RedRecovery", "SoundBlock"]

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 160
"""Media times of what came: a copy is 341 ms old at most, and an Opus frame 2.5 ms short."""


@dataclass(slots=True)
class SoundBlock:
    """One Opus packet.

    Attributes:
        sequence: Continued number; reckoned for a copy.
        timestamp: 32 bits.
        age: Ticks that it is older than the packet which brought it; 0 for that packet's own.

    """

    sequence: int
    timestamp: int
    payload: bytes
    age: int = 0


class RedRecovery:
    """Splits the packets of one stream of sound.

    Args:
        payload_type: Of the sound itself.
        red_payload_type: Of packets with copies.

    Attributes:
        copies: That came (``fecPacketsReceived``).
        copy_bytes: Their sizes.
        needless: Copies of what was here already.
        recovered: Copies of what was missing, whether or not in time to be played.
        malformed: Packets that could not be split.

    """

    def __init__(self, payload_type: PayloadType, red_payload_type: PayloadType) -> None:
        self.copies = 0
        self.copy_bytes = 0
        self.needless = 0
        self.recovered = 0
        self.malformed = 0
        self._payload_type: Final = payload_type
        self._red_payload_type: Final = red_payload_type
        self._seen: Final[deque[int]] = deque(maxlen=_REMEMBERED)
        self._first: int | None = None  # media time of the stream's first packet

    def restart(self) -> None:
        """Expect another source's packets."""
        self._seen.clear()
        self._first = None

    def handle_packet(self, packet: RtpPacket, sequence: int) -> list[SoundBlock]:
        """Take a packet of either type with its continued number; return what is new in it.

        A packet that does not parse gives nothing and is counted.
        """
        if self._first is None:
            self._first = packet.timestamp
        if packet.payload_type != self._red_payload_type:
            self._seen.append(packet.timestamp)
            return [SoundBlock(sequence, packet.timestamp, packet.payload)]
        try:
            *copies, own = parse_red(packet.payload)
        except ParseError as error:
            self.malformed += 1
            logger.debug("sound dropped: %s", error)
            return []
        blocks = []
        for copy in copies:
            if copy.payload_type != self._payload_type or not copy.payload:
                continue
            self.copies += 1
            self.copy_bytes += len(copy.payload)
            timestamp = (packet.timestamp - copy.timestamp_offset) & 0xFFFFFFFF
            is_before = (timestamp - self._first) & 0x80000000
            if is_before or timestamp in self._seen:
                self.needless += 1
                continue
            age = self._age_in_packets(copy.payload, copy.timestamp_offset)
            if age is None:
                continue
            self._seen.append(timestamp)
            self.recovered += 1
            blocks.append(
                SoundBlock(sequence - age, timestamp, copy.payload, copy.timestamp_offset)
            )
        if own.payload_type == self._payload_type:
            self._seen.append(packet.timestamp)
            blocks.append(SoundBlock(sequence, packet.timestamp, own.payload))
        else:
            self.malformed += 1
        return blocks

    def _age_in_packets(self, payload: bytes, age: int) -> int | None:
        try:
            samples = packet_samples(payload)
        except ParseError:
            self.malformed += 1
            return None
        return max(1, round(min(age, MAX_TIMESTAMP_OFFSET) / samples))
