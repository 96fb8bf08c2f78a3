"""Protect by ULPFEC: parity packets behind each picture, as browsers understand them (RFC 5109).

Stage at departure: sequence numbers, which parity names packets by, are given there.  Media go out
in RED (RFC 2198), one byte each; parity too, with the stream's SSRC and numbers (RFC 5109 §14).
When the last packet of a picture leaves, parity is made over it and queued to leave before the
next picture: numbers within a picture must have no gap.

How much is a share of the bytes of media.  What a picture of few packets is too small for is
carried over, and parity is then made over this picture and the next, as long as the first is not
too old for it to be of use.

Invariants:

1. The bytes of parity are ``protection`` times those of media, give or take a packet; twice that
   for key frames.
2. Parity is over packets of the last ``window`` seconds, and over no packet twice.
3. Nothing is made, and no packet is remembered, while ``protection`` is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.parameters import StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.red import RedBlock, serialize_red
from ringline.media.rtp.ulpfec import (
    MAX_SPAN,
    UlpFec,
    image_of,
    serialize_ulpfec,
    ulpfec_overhead,
    xor_images,
)
from ringline.media.rtp.vp8 import Vp8Descriptor, is_key_frame
from ringline.media.send.parity_masks import MAX_MEDIA, MAX_PARITY, parity_masks
from ringline.media.units import PayloadType

__all__ = ["PARITY_OVERHEAD", "UlpFecProtection", "ulpfec_protection", "ulpfec_types"]

PARITY_OVERHEAD: Final = 1 + ulpfec_overhead(MAX_SPAN)
"""Bytes that a parity packet is larger than the largest packet under it, less the extensions of
that, which are under it too: packets of media are made smaller by these, so that parity fits."""

_MIN_LOSS: Final = 0.01
"""Less is mended by retransmission at a hundredth of the cost."""

_MIN_ROUND_TRIP: Final = 0.06
"""Seconds: where it is shorter, retransmissions come within two pictures."""

_PER_LOSS: Final = (2.0, 4.0)
"""Parity packets for each lost one, least and most: half of them are where nothing was lost.  At
10 % loss and a round trip of 200 ms, two leave pictures stopped for 14 % of the time, four for 4 %
at two thirds of the delay."""

_WAIT_PER_PARITY: Final = 0.05
"""Seconds of round trip for each of them: what a loss that parity does not mend costs."""

_MAX_PROTECTION: Final = 0.5
"""Beyond, parity takes more from the picture than it saves."""

_MAX_WINDOW: Final = 0.15
"""Seconds: later, a picture is no more worth waiting for."""

_KEY_FRAME_FACTOR: Final = 2.0
"""All pictures until the next refer to a key frame: it gets twice the protection (libwebrtc's)."""


def ulpfec_types(parameters: StreamParameters) -> tuple[PayloadType, PayloadType] | None:
    """Return the payload types of RED and parity, or :obj:`None` if pictures are not protected.

    Where packets are asked for again, retransmissions must have a stream of their own: a lost
    parity packet is answered by an empty one, not by another packet under a number already used.
    """
    red, ulpfec = parameters.red_payload_type, parameters.ulpfec_payload_type
    if parameters.kind != "video" or red is None or ulpfec is None:
        return None
    if parameters.nack and parameters.rtx_ssrc is None:
        return None
    return red, ulpfec


def ulpfec_protection(loss: float, round_trip: float) -> tuple[float, float]:
    """Return the protection and the window that suit a path.

    Args:
        loss: Share of packets lost of late.
        round_trip: Seconds.

    """
    if loss < _MIN_LOSS or round_trip < _MIN_ROUND_TRIP:
        return 0.0, 0.0
    least, most = _PER_LOSS
    per_loss = min(max(least, round_trip / _WAIT_PER_PARITY), most)
    return min(per_loss * loss, _MAX_PROTECTION), min(round_trip, _MAX_WINDOW)


@dataclass(slots=True)
class _Sent:
    number: int
    timestamp: int
    datagram: bytes
    sent_at: float


class UlpFecProtection:
    """Protects the pictures of one stream.

    Args:
        parameters: Of the stream.
        types: Payload types of RED and of parity.
        ids: The negotiated header extensions.

    Attributes:
        protection: Bytes of parity as a share of those of media.
        packets: Parity packets made.
        bytes: Their payload.

    """

    def __init__(
        self,
        parameters: StreamParameters,
        types: tuple[PayloadType, PayloadType],
        ids: ExtensionIds,
    ) -> None:
        self._media: Final = parameters.payload_type
        self._red, self._ulpfec = types
        self._ids: Final = ids
        self.protection = 0.0
        self.packets = 0
        self.bytes = 0
        self._window = 0.0
        self._batch: list[_Sent] = []
        self._is_in_picture = False
        self._timestamp = 0
        self._factor = 1.0
        self._credit = 0.0  # bytes of parity that media have earned

    def set_protection(self, protection: float, window: float) -> None:
        """Set how much parity is made from now on.

        Args:
            protection: Bytes of parity as a share of those of media; 0 for none.
            window: Seconds that a packet may wait for parity: longer, and a retransmission would
                be there first, or it would be too late to be shown.

        """
        self.protection = protection
        self._window = window
        if not protection:
            self._batch.clear()
            self._credit = 0.0

    def wrap(self, packet: RtpPacket) -> RtpPacket:
        """Return the RED packet that leaves in place of a numbered packet of media.

        Retransmissions repeat the packet without RED: parity knows only what it was over.
        """
        if self.protection:
            self._begin(packet)
        payload = serialize_red([RedBlock(packet.payload_type, 0, packet.payload)])
        return replace(packet, payload_type=self._red, payload=payload)

    def handle_sent(self, packet: RtpPacket, datagram: bytes, now: float) -> list[RtpPacket]:
        """Take a packet of media that has just left; return parity, to leave right after it."""
        if not self.protection:
            return []
        self._batch.append(_Sent(packet.sequence_number, packet.timestamp, datagram, now))
        self._credit += self.protection * self._factor * len(datagram)
        if not packet.marker:
            return []
        self._is_in_picture = False
        self._forget(now)
        return self._make(packet)

    def stand_in(self, parity: RtpPacket) -> RtpPacket:
        """Return what to send when a lost parity packet is asked for: nothing, by its number.

        By then it is of no use, but some receivers must know of each number whether it was of a
        picture; an empty packet tells them.
        """
        return RtpPacket(
            payload_type=self._media,
            sequence_number=parity.sequence_number,
            timestamp=parity.timestamp,
            ssrc=parity.ssrc,
            extensions=parity.extensions,
        )

    # Private

    def _begin(self, packet: RtpPacket) -> None:
        """See whether a packet begins a picture, and what kind of one."""
        if self._is_in_picture and packet.timestamp == self._timestamp:
            return
        if self._is_in_picture:  # its end never left
            self._batch.clear()
        self._is_in_picture = True
        self._timestamp = packet.timestamp
        try:
            _, position = Vp8Descriptor.parse(packet.payload)
        except ParseError:
            return
        is_key = is_key_frame(packet.payload[position : position + 1])
        self._factor = _KEY_FRAME_FACTOR if is_key else 1.0

    def _make(self, last: RtpPacket) -> list[RtpPacket]:
        batch = self._batch
        cost = max(len(sent.datagram) for sent in batch) + PARITY_OVERHEAD
        count = max(0, min(int(self._credit / cost + 0.5), len(batch)))
        self._credit = min(self._credit - count * cost, cost)
        if count == 0:
            return []
        # More packets than one mask can tell are protected in parts.
        parts = max(-(-len(batch) // MAX_MEDIA), -(-count // MAX_PARITY))
        parity: list[RtpPacket] = []
        for part in range(parts):
            begin, end = part * len(batch) // parts, (part + 1) * len(batch) // parts
            share = (part + 1) * count // parts - part * count // parts
            if share:
                parity += self._protect(batch[begin:end], min(share, end - begin), last)
        batch.clear()
        return parity

    def _protect(self, batch: list[_Sent], count: int, last: RtpPacket) -> list[RtpPacket]:
        images = [image_of(sent.datagram, self._ids, self._red) for sent in batch]
        parity = []
        for members in parity_masks(len(batch), count):
            first = batch[members[0]].number
            fec = UlpFec(
                first_number=first,
                offsets=tuple((batch[index].number - first) & 0xFFFF for index in members),
                image=xor_images(images[index] for index in members),
            )
            payload = serialize_red([RedBlock(self._ulpfec, 0, serialize_ulpfec(fec))])
            self.packets += 1
            self.bytes += len(payload)
            parity.append(
                RtpPacket(
                    payload_type=self._red,
                    sequence_number=0,
                    timestamp=last.timestamp,
                    ssrc=last.ssrc,
                    payload=payload,
                )
            )
        return parity

    def _forget(self, now: float) -> None:
        """Drop of the pictures before this one what is too old for parity to be of use."""
        batch = self._batch
        while batch[0].timestamp != self._timestamp and (
            now - batch[0].sent_at > self._window or len(batch) > MAX_MEDIA
        ):
            del batch[0]
