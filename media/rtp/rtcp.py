"""RTCP: compound packets (RFC 3550 §6.1) of reports, requests and estimates.

| packet | type, format | source | we send | we consume |
|---|---|---|---|---|
| SenderReport | 200 | RFC 3550 §6.4.1 | yes | lip sync, round trip |
| ReceiverReport | 201 | RFC 3550 §6.4.2 | yes | loss, jitter, round trip |
| SourceDescription (CNAME) | 202 | RFC 3550 §6.5 | yes | no |
| Bye | 203 | RFC 3550 §6.6 | yes | yes |
| Nack | 205, 1 | RFC 4585 §6.2.1 | yes | yes |
| TransportFeedback | 205, 15 | draft-holmer-rmcat-transport-wide-cc-extensions-01 | yes | yes |
| PictureLossIndication | 206, 1 | RFC 4585 §6.3.1 | yes | yes |
| FullIntraRequest | 206, 4 | RFC 5104 §4.3.1 | no | as PLI |
| ReferencePictureSelection | 206, 3 | RFC 4585 §6.3.3 | to our own peers | of our own peers |
| ReceiverEstimatedMaxBitrate | 206, 15 | draft-alvestrand-rmcat-remb-03 | no | yes |

Anything else is passed over, as RFC 3550 §6.1 asks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.rtp.transport_cc import TransportFeedback

__all__ = [
    "Bye",
    "FullIntraRequest",
    "Nack",
    "PictureLossIndication",
    "ReceiverEstimatedMaxBitrate",
    "ReceiverReport",
    "ReferencePictureSelection",
    "ReportBlock",
    "RtcpPacket",
    "SenderReport",
    "SourceDescription",
    "TransportFeedback",
    "parse_compound",
    "serialize_compound",
]

_HEADER: Final = struct.Struct("!BBH")
_WORD: Final = struct.Struct("!I")
_BLOCK: Final = struct.Struct("!IIIIII")
_SENDER: Final = struct.Struct("!IQIII")

_SR, _RR, _SDES, _BYE, _RTPFB, _PSFB = 200, 201, 202, 203, 205, 206
_REMB_MAGIC: Final = b"REMB"
_MAX_NACKS_PER_BLOCK: Final = 17


@dataclass(slots=True)
class ReportBlock:
    """How one stream arrives (RFC 3550 §6.4.1).

    Attributes:
        ssrc: The stream that this is about.
        fraction_lost: Share lost since the last report, 0.0 to 1.0.
        packets_lost: In all; duplicates can make it negative.
        highest_sequence: Extended highest sequence number received, 32 bits.
        jitter: Interarrival jitter in units of the stream's clock.
        last_sr: Middle 32 bits of the NTP time of the last sender report; 0 if none came.
        delay_since_last_sr: In units of 1/65536 s.

    """

    ssrc: int
    fraction_lost: float = 0.0
    packets_lost: int = 0
    highest_sequence: int = 0
    jitter: int = 0
    last_sr: int = 0
    delay_since_last_sr: int = 0

    def serialize(self) -> bytes:
        """Return the 24 bytes of the block."""
        lost = max(-0x800000, min(self.packets_lost, 0x7FFFFF)) & 0xFFFFFF
        fraction = max(0, min(255, int(self.fraction_lost * 256)))
        return _BLOCK.pack(
            self.ssrc,
            fraction << 24 | lost,
            self.highest_sequence & 0xFFFFFFFF,
            min(self.jitter, 0xFFFFFFFF),
            self.last_sr,
            min(self.delay_since_last_sr, 0xFFFFFFFF),
        )

    @classmethod
    def parse(cls, data: bytes, position: int) -> ReportBlock:
        """Read the 24 bytes at ``position``; the caller has checked that they are there."""
        ssrc, lost, highest, jitter, last_sr, delay = _BLOCK.unpack_from(data, position)
        packets_lost = lost & 0xFFFFFF
        if packets_lost & 0x800000:
            packets_lost -= 1 << 24
        return cls(ssrc, (lost >> 24) / 256, packets_lost, highest, jitter, last_sr, delay)


@dataclass(slots=True)
class SenderReport:
    """What a sender sent, and its wall clock beside its media time.

    Attributes:
        ntp_time: Wall clock, 64-bit NTP format: seconds since 1900 as 32.32 fixed point.
        rtp_timestamp: The same instant in the stream's media time.

    """

    ssrc: int
    ntp_time: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: list[ReportBlock] = field(default_factory=list)


@dataclass(slots=True)
class ReceiverReport:
    """How streams arrive at one who may send nothing."""

    ssrc: int
    reports: list[ReportBlock] = field(default_factory=list)


@dataclass(slots=True)
class SourceDescription:
    """Names the streams that belong together (CNAME only)."""

    ssrc: int
    cname: str


@dataclass(slots=True)
class Bye:
    """These streams have ended."""

    ssrcs: list[int]


@dataclass(slots=True)
class Nack:
    """These packets have not come: send them again.

    Attributes:
        sequence_numbers: 16 bits each, in the order in which they went missing.

    """

    sender_ssrc: int
    media_ssrc: int
    sequence_numbers: list[int]


@dataclass(slots=True)
class PictureLossIndication:
    """The decoder cannot go on without a key frame."""

    sender_ssrc: int
    media_ssrc: int


@dataclass(slots=True)
class ReferencePictureSelection:
    """The decoder can go on with a frame predicted from this picture and no later one.

    Attributes:
        payload_type: Of the media that this is about.
        picture_id: Of the picture that the decoder has whole, 7 or 15 bits (RFC 7741 §5.1).

    """

    sender_ssrc: int
    media_ssrc: int
    payload_type: int
    picture_id: int


@dataclass(slots=True)
class FullIntraRequest:
    """A key frame is wanted from each of these streams."""

    sender_ssrc: int
    media_ssrcs: list[int]


@dataclass(slots=True)
class ReceiverEstimatedMaxBitrate:
    """The receiver's own estimate of the path, for senders without transport-wide feedback.

    Attributes:
        bitrate: Bits per second.

    """

    sender_ssrc: int
    bitrate: int
    media_ssrcs: list[int]


RtcpPacket = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Bye
    | Nack
    | PictureLossIndication
    | ReferencePictureSelection
    | FullIntraRequest
    | ReceiverEstimatedMaxBitrate
    | TransportFeedback
)


def serialize_compound(packets: Iterable[RtcpPacket]) -> bytes:
    """Return the packets one behind the other, as one datagram."""
    return b"".join(_serialize(packet) for packet in packets)


def parse_compound(data: bytes) -> list[RtcpPacket]:
    """Read a datagram of RTCP; kinds that we do not speak are left out.

    Raises:
        ParseError: If a length does not fit or a known kind is malformed.

    """
    packets: list[RtcpPacket] = []
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise ParseError("RTCP: no room for a header")
        first, kind, words = _HEADER.unpack_from(data, position)
        end = position + 4 * (words + 1)
        if first >> 6 != 2:
            raise ParseError(f"RTCP: version {first >> 6}, expected 2")
        if end > len(data):
            raise ParseError(f"RTCP: type {kind} of {words + 1} words does not fit")
        body = data[position + 4 : end]
        if first & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                raise ParseError("RTCP: padding is longer than the packet")
            body = body[: -body[-1]]
        packet = _parse(kind, first & 31, body)
        if packet is not None:
            packets.append(packet)
        position = end
    return packets


def _frame(count_or_format: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count_or_format, kind, len(body) // 4) + body


def _serialize(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            head = _SENDER.pack(
                packet.ssrc,
                packet.ntp_time,
                packet.rtp_timestamp & 0xFFFFFFFF,
                packet.packet_count & 0xFFFFFFFF,
                packet.octet_count & 0xFFFFFFFF,
            )
            return _reports(_SR, head, packet.reports)
        case ReceiverReport():
            return _reports(_RR, _WORD.pack(packet.ssrc), packet.reports)
        case SourceDescription():
            name = packet.cname.encode()[:255]
            body = _WORD.pack(packet.ssrc) + bytes([1, len(name)]) + name
            return _frame(1, _SDES, body + bytes(4 - len(body) % 4))
        case Bye():
            ssrcs = packet.ssrcs[:31]
            return _frame(len(ssrcs), _BYE, struct.pack(f"!{len(ssrcs)}I", *ssrcs))
        case Nack():
            head = struct.pack("!II", packet.sender_ssrc, packet.media_ssrc)
            return _frame(1, _RTPFB, head + _pack_nacks(packet.sequence_numbers))
        case PictureLossIndication():
            return _frame(1, _PSFB, struct.pack("!II", packet.sender_ssrc, packet.media_ssrc))
        case ReferencePictureSelection():
            head = struct.pack("!II", packet.sender_ssrc, packet.media_ssrc)
            return _frame(3, _PSFB, head + _pack_selection(packet))
        case FullIntraRequest():
            entries = b"".join(struct.pack("!II", ssrc, 0) for ssrc in packet.media_ssrcs)
            return _frame(4, _PSFB, struct.pack("!II", packet.sender_ssrc, 0) + entries)
        case ReceiverEstimatedMaxBitrate():
            exponent = max(0, packet.bitrate.bit_length() - 18)
            ssrcs = packet.media_ssrcs[:255]
            word = len(ssrcs) << 24 | exponent << 18 | packet.bitrate >> exponent
            head = struct.pack("!II", packet.sender_ssrc, 0) + _REMB_MAGIC + _WORD.pack(word)
            return _frame(15, _PSFB, head + struct.pack(f"!{len(ssrcs)}I", *ssrcs))
        case TransportFeedback():
            return _frame(15, _RTPFB, packet.serialize())


def _reports(kind: int, head: bytes, reports: Sequence[ReportBlock]) -> bytes:
    blocks = reports[:31]
    return _frame(len(blocks), kind, head + b"".join(block.serialize() for block in blocks))


def _pack_nacks(numbers: Sequence[int]) -> bytes:
    out = bytearray()
    position = 0
    while position < len(numbers):
        first, mask = numbers[position], 0
        position += 1
        for _ in range(_MAX_NACKS_PER_BLOCK - 1):
            if position == len(numbers):
                break
            distance = (numbers[position] - first) & 0xFFFF
            if not 1 <= distance <= 16:
                break
            mask |= 1 << distance - 1
            position += 1
        out += struct.pack("!HH", first & 0xFFFF, mask)
    return bytes(out)


def _pack_selection(packet: ReferencePictureSelection) -> bytes:
    """Return the number of unused bits, the payload type, and the picture number.

    That is in groups of 7 bits, each byte but the last with its highest bit set.
    """
    picture_id = packet.picture_id
    number = bytes([picture_id & 0x7F])
    while picture_id := picture_id >> 7:
        number = bytes([0x80 | picture_id & 0x7F]) + number
    unused = -(2 + len(number)) % 4
    return bytes([8 * unused, packet.payload_type & 0x7F]) + number + bytes(unused)


def _parse_selection(body: bytes) -> ReferencePictureSelection:
    _need(body, 12, "RPSI")
    unused, payload_type = body[8], body[9] & 0x7F
    number = body[10 : len(body) - unused // 8]
    if unused % 8 or not 1 <= len(number) <= 4:
        raise ParseError(f"RPSI: {len(body) - 10} bytes with {unused} unused bits hold no number")
    picture_id = 0
    for byte in number:
        picture_id = picture_id << 7 | byte & 0x7F
    return ReferencePictureSelection(_word(body, 0), _word(body, 4), payload_type, picture_id)


def _parse(kind: int, count: int, body: bytes) -> RtcpPacket | None:
    if kind == _SR:
        _need(body, _SENDER.size + 24 * count, "SR")
        ssrc, ntp_time, timestamp, packets, octets = _SENDER.unpack_from(body)
        reports = _blocks(body, _SENDER.size, count)
        return SenderReport(ssrc, ntp_time, timestamp, packets, octets, reports)
    if kind == _RR:
        _need(body, 4 + 24 * count, "RR")
        return ReceiverReport(_word(body, 0), _blocks(body, 4, count))
    if kind == _SDES:
        return _parse_sdes(body, count)
    if kind == _BYE:
        _need(body, 4 * count, "BYE")
        return Bye([_word(body, 4 * index) for index in range(count)])
    if kind == _RTPFB and count == 1:
        _need(body, 8, "NACK")
        return Nack(_word(body, 0), _word(body, 4), _unpack_nacks(body[8:]))
    if kind == _RTPFB and count == 15:
        return TransportFeedback.parse(body)
    if kind == _PSFB:
        return _parse_payload_feedback(count, body)
    return None


def _parse_payload_feedback(feedback_format: int, body: bytes) -> RtcpPacket | None:
    _need(body, 8, "PSFB")
    if feedback_format == 1:
        return PictureLossIndication(_word(body, 0), _word(body, 4))
    if feedback_format == 3:
        return _parse_selection(body)
    if feedback_format == 4:
        ssrcs = [_word(body, position) for position in range(8, len(body) - 7, 8)]
        return FullIntraRequest(_word(body, 0), ssrcs)
    if feedback_format == 15 and body[8:12] == _REMB_MAGIC:
        _need(body, 16, "REMB")
        word = _word(body, 12)
        count = word >> 24
        _need(body, 16 + 4 * count, "REMB")
        bitrate = (word & 0x3FFFF) << (word >> 18 & 63)
        ssrcs = [_word(body, 16 + 4 * index) for index in range(count)]
        return ReceiverEstimatedMaxBitrate(_word(body, 0), bitrate, ssrcs)
    return None


def _parse_sdes(body: bytes, count: int) -> SourceDescription | None:
    """Read the CNAME of the first chunk; browsers send one chunk."""
    if count == 0:
        return None
    _need(body, 4, "SDES")
    position = 4
    while position + 2 <= len(body) and body[position] != 0:
        kind, length = body[position], body[position + 1]
        text = body[position + 2 : position + 2 + length]
        if len(text) < length:
            raise ParseError("SDES: an item does not fit")
        if kind == 1:
            return SourceDescription(_word(body, 0), text.decode("utf-8", "replace"))
        position += 2 + length
    return None


def _unpack_nacks(body: bytes) -> list[int]:
    if len(body) % 4:
        raise ParseError(f"NACK: {len(body)} bytes of entries, expected a multiple of 4")
    numbers = []
    for first, mask in struct.iter_unpack("!HH", body):
        numbers.append(first)
        numbers += [(first + 1 + bit) & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return numbers


def _blocks(body: bytes, position: int, count: int) -> list[ReportBlock]:
    return [ReportBlock.parse(body, position + 24 * index) for index in range(count)]


def _word(body: bytes, position: int) -> int:
    value: int = _WORD.unpack_from(body, position)[0]
    return value


def _need(body: bytes, size: int, what: str) -> None:
    if len(body) < size:
        raise ParseError(f"{what}: {len(body)} bytes, expected at least {size}")
