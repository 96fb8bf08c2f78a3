"""Recover by ULPFEC: packets of media that were lost, out of parity packets (RFC 5109).

Stage between :mod:`.arrive` and everything that knows a stream's packets.  It takes RED off
(RFC 2198), remembers what came for a while, and gives back what parity allows as if it had come.
A parity packet itself goes on as a packet of nothing, like padding: its number is used up, so
that no gap is seen where it was.

What parity says is a set of equations over the lost packets, with XOR for plus.  They are solved
together, so that two parity packets over the same two losses and one of them mend both.

A packet that came as a retransmission is here, but is not reckoned with: its header may differ
from that of the first sending, which is what was protected.

Invariants:

1. Memory is bounded, in packets and in time.
2. A packet is given out once: not if it came, not twice.
3. What does not look like a packet of this stream's media is not given out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import reduce
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.parameters import StreamParameters
from ringline.media.receive.arrive import Arrival
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import parse_red
from ringline.media.rtp.ulpfec import image_of, packet_of, parse_ulpfec, xor_images

__all__ = ["UlpFecConfig", "UlpFecRecovery"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UlpFecConfig:
    """How much an :class:`UlpFecRecovery` remembers."""

    max_packets: int = 192
    """Numbers behind the newest for which packets are kept: four times what one parity packet can
    be over, so that some reordering does not matter; 230 kB."""

    max_parity: int = 48
    """Parity packets that wait for more packets to come; all that can be over one span."""

    max_age: float = 1.0
    """Seconds that one waits: by then the picture has long been given up."""


@dataclass(slots=True)
class _Parity:
    members: frozenset[int]
    image: bytes
    arrived_at: float
    is_used: bool = False


class UlpFecRecovery:
    """Recovers the packets of one stream.

    Args:
        parameters: Of the stream; ``red_payload_type`` and ``ulpfec_payload_type`` are set.
        ids: The negotiated header extensions.
        config: Tuning.

    Attributes:
        packets: Parity packets that came.
        bytes: Their payload.
        discarded: Of them, those that were of no use.
        recovered: Packets of media given back.
        malformed: RED or parity that does not parse.

    """

    def __init__(
        self, parameters: StreamParameters, ids: ExtensionIds, config: UlpFecConfig | None = None
    ) -> None:
        self._config: Final = config or UlpFecConfig()
        self._parameters: Final = parameters
        self._ids: Final = ids
        self._media: Final = parameters.payload_type
        self._red: Final = parameters.red_payload_type
        self._ulpfec: Final = parameters.ulpfec_payload_type
        self.packets = 0
        self.bytes = 0
        self.discarded = 0
        self.recovered = 0
        self.malformed = 0
        self.restart()

    def restart(self) -> None:
        """Forget the stream: another one begins."""
        # By continued number; None for a packet that came, but not as it was protected.
        self._here: dict[int, bytes | None] = {}
        self._parity: list[_Parity] = []
        self._highest = -1

    def handle_arrival(self, arrival: Arrival, datagram: bytes, now: float) -> list[Arrival]:
        """Take a packet.

        Args:
            arrival: The packet in its place; RED is taken off it.
            datagram: The packet as it came.
            now: The present.

        Returns:
            What was recovered by it, then itself.

        """
        packet, sequence = arrival.packet, arrival.sequence
        block_type: int | None = packet.payload_type
        if block_type == self._red:
            block_type = self._unwrap(packet)
        self._highest = max(self._highest, sequence)
        if block_type == self._ulpfec:
            payload, packet.payload = packet.payload, b""
            is_news = self._take_parity(sequence, payload, now)
        elif block_type == self._media:
            if not arrival.retransmitted:
                self._here[sequence] = datagram
            else:
                self._here.setdefault(sequence, None)
            is_news = any(sequence in parity.members for parity in self._parity)
        else:
            packet.payload = b""
            is_news = False
        self._forget(now)
        if not is_news:
            return [arrival]
        recovered = self._recover(packet.ssrc)
        return [*(self._arrive(arrival, number, packet) for number, packet in recovered), arrival]

    # Private

    def _unwrap(self, packet: RtpPacket) -> int | None:
        """Take RED off a packet; return the type of what it holds, or :obj:`None`."""
        try:
            primary = parse_red(packet.payload)[-1]
        except ParseError as error:
            self.malformed += 1
            logger.debug("RED dropped: %s", error)
            packet.payload = b""
            return None
        packet.payload, packet.payload_type = primary.payload, self._media
        return primary.payload_type

    def _take_parity(self, sequence: int, payload: bytes, now: float) -> bool:
        self.packets += 1
        self.bytes += len(payload)
        try:
            fec = parse_ulpfec(payload)
        except ParseError as error:
            self.malformed += 1
            self.discarded += 1
            logger.debug("parity dropped: %s", error)
            return False
        # Parity has the numbers behind what it is over.
        behind = (sequence - fec.first_number) & 0xFFFF
        first = sequence - behind
        members = frozenset(first + offset for offset in fec.offsets)
        if behind > self._config.max_packets or all(self._here.get(n) for n in members):
            self.discarded += 1
            return False
        self._parity.append(_Parity(members, fec.image, now))
        return True

    def _recover(self, ssrc: int) -> list[tuple[int, RtpPacket]]:
        """Solve for what is missing; return what is new, by number."""
        recovered = []
        for number, used in self._solve():
            known = reduce(frozenset.__xor__, (parity.members for parity in used)) - {number}
            packet = self._rebuild(number, used, known, ssrc)
            if packet is None:
                self._drop(used)
                continue
            for parity in used:
                parity.is_used = True
            if number not in self._here:
                self.recovered += 1
                recovered.append((number, RtpPacket.parse(packet, self._ids)))
            self._here[number] = packet
        self._drop([p for p in self._parity if all(self._here.get(n) for n in p.members)])
        return sorted(recovered, key=lambda each: each[0])

    def _solve(self) -> list[tuple[int, list[_Parity]]]:
        """Return the packets that parity determines, with the parity packets to XOR for each.

        By elimination: a row is a bit for each missing packet, and a bit for each parity packet
        that went into it.
        """
        bits: dict[int, int] = {}
        rows: list[tuple[int, int]] = []
        for index, parity in enumerate(self._parity):
            mask, used = 0, 1 << index
            for number in parity.members:
                if not self._here.get(number):
                    mask |= bits.setdefault(number, 1 << len(bits))
            for other, others in rows:
                if mask & other & -other:  # its lowest bit is its own
                    mask, used = mask ^ other, used ^ others
            if mask:
                own = mask & -mask
                rows = [
                    (other ^ mask, others ^ used) if other & own else (other, others)
                    for other, others in rows
                ]
                rows.append((mask, used))
        found = {mask: used for mask, used in rows if not mask & mask - 1}
        return [
            (number, [p for index, p in enumerate(self._parity) if found[bit] >> index & 1])
            for number, bit in bits.items()
            if bit in found
        ]

    def _rebuild(
        self, number: int, used: list[_Parity], known: frozenset[int], ssrc: int
    ) -> bytes | None:
        """Return a packet by XOR; :obj:`None` if what comes out is none of this stream."""
        images = [parity.image for parity in used]
        try:
            for other in known:
                datagram = self._here[other]
                if datagram is None:
                    return None
                images.append(image_of(datagram, self._ids, self._red))
            data = packet_of(xor_images(images), sequence_number=number, ssrc=ssrc)
            packet = RtpPacket.parse(data, self._ids)
        except ParseError as error:
            self.malformed += 1
            logger.debug("not recovered: %s", error)
            return None
        shortest = min(len(parity.image) for parity in used if number in parity.members)
        if packet.payload_type != self._media or len(data) - 4 > shortest:
            self.malformed += 1
            return None
        return data

    def _arrive(self, arrival: Arrival, number: int, packet: RtpPacket) -> Arrival:
        return Arrival(stream=arrival.stream, packet=packet, sequence=number, recovered=True)

    def _forget(self, now: float) -> None:
        config = self._config
        oldest = self._highest - config.max_packets
        while self._here and (number := next(iter(self._here))) < oldest:
            del self._here[number]
        if len(self._here) > 2 * config.max_packets:  # they came in an odd order
            self._here = {n: data for n, data in self._here.items() if n >= oldest}
        if self._parity:
            expired = [
                parity
                for parity in self._parity
                if now - parity.arrived_at > config.max_age or min(parity.members) < oldest
            ]
            self._drop(expired or self._parity[: -config.max_parity])

    def _drop(self, parities: list[_Parity]) -> None:
        if not parities:
            return
        dropped = {id(parity) for parity in parities}
        self.discarded += sum(not p.is_used for p in self._parity if id(p) in dropped)
        self._parity = [parity for parity in self._parity if id(parity) not in dropped]
