"""Header extensions: the one- and two-byte forms of RFC 8285, and those that we speak.

Which number stands for which extension is negotiated per session (``a=extmap``), so both
directions take an :class:`ExtensionIds`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ringline.media.errors import ParseError

__all__ = [
    "URIS",
    "ExtensionIds",
    "HeaderExtensions",
    "blank_stamps",
    "parse_extensions",
    "serialize_extensions",
]

_HEADER: Final = struct.Struct("!HH")
_ONE_BYTE: Final = 0xBEDE
_TWO_BYTE: Final = 0x1000  # the low four bits are "appbits" (RFC 8285 §4.3)

URIS: Final = {
    "mid": "urn:ietf:params:rtp-hdrext:sdes:mid",
    "audio_level": "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "absolute_send_time": "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "transport_sequence_number": (
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    ),
    "playout_delay": "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
}
"""Field of :class:`ExtensionIds` to the URI that SDP names it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionIds:
    """The negotiated numbers, 1 to 14; :obj:`None` is an extension that is not spoken."""

    mid: int | None = None
    audio_level: int | None = None
    absolute_send_time: int | None = None
    transport_sequence_number: int | None = None
    playout_delay: int | None = None


@dataclass(slots=True)
class HeaderExtensions:
    """What a packet's header carries beside the fixed fields.

    Attributes:
        mid: Which m-section it belongs to (RFC 8843 §15).
        audio_level: ``(voice, level)``: level in -dBov, 0 loudest to 127 silent (RFC 6464).
        absolute_send_time: Departure, seconds modulo 64 as 6.18 fixed point.
        transport_sequence_number: 16 bits, one count for all packets of a transport.
        playout_delay: ``(least, most)`` that the receiver should hold pictures, in hundredths of a
            second, 12 bits each (libwebrtc's; from its own best moment on).

    """

    mid: str | None = None
    audio_level: tuple[bool, int] | None = None
    absolute_send_time: int | None = None
    transport_sequence_number: int | None = None
    playout_delay: tuple[int, int] | None = None


def serialize_extensions(values: HeaderExtensions, ids: ExtensionIds) -> bytes:
    """Return profile, length and data in the one-byte form; empty if there is nothing to say."""
    out = bytearray()
    if values.mid and ids.mid is not None:
        mid = values.mid.encode()[:16]
        out.append(ids.mid << 4 | len(mid) - 1)
        out += mid
    if values.audio_level is not None and ids.audio_level is not None:
        voice, level = values.audio_level
        out.append(ids.audio_level << 4)
        out.append(voice << 7 | min(level, 127))
    if values.absolute_send_time is not None and ids.absolute_send_time is not None:
        out.append(ids.absolute_send_time << 4 | 2)
        out += (values.absolute_send_time & 0xFFFFFF).to_bytes(3, "big")
    number = values.transport_sequence_number
    if number is not None and ids.transport_sequence_number is not None:
        out.append(ids.transport_sequence_number << 4 | 1)
        out += (number & 0xFFFF).to_bytes(2, "big")
    if values.playout_delay is not None and ids.playout_delay is not None:
        least, most = (min(limit, 0xFFF) for limit in values.playout_delay)
        out.append(ids.playout_delay << 4 | 2)
        out += (least << 12 | most).to_bytes(3, "big")
    if not out:
        return b""
    out += bytes(-len(out) % 4)
    return _HEADER.pack(_ONE_BYTE, len(out) // 4) + out


def parse_extensions(profile: int, data: bytes, ids: ExtensionIds) -> HeaderExtensions:
    """Read the extension block of a packet; unknown numbers and odd lengths are passed over.

    Args:
        profile: The 16 bits that name the form; an unknown form has nothing for us.
        data: The block without profile and length.
        ids: The negotiated numbers.

    Raises:
        ParseError: If an element reaches beyond the block.

    """
    values = HeaderExtensions()
    for number, begin, end in _elements(profile, data):
        _read(values, ids, number, data[begin:end])
    return values


def blank_stamps(data: bytearray, position: int, ids: ExtensionIds) -> int:
    """Set to zero what is stamped at departure, the send time and the transport-wide number.

    So parity that was computed before holds (:mod:`.ulpfec`).

    Args:
        data: Part of a packet; changed in place.
        position: Where in it the extension header begins.
        ids: The negotiated numbers.

    Returns:
        Where the extension ends.

    Raises:
        ParseError: If the extension, or an element of it, reaches beyond its end.

    """
    begin = position + 4
    if begin > len(data):
        raise ParseError("header extension: no room for its header")
    end = begin + 4 * int.from_bytes(data[position + 2 : begin], "big")
    if end > len(data):
        raise ParseError("header extension: longer than the packet")
    profile = int.from_bytes(data[position : position + 2], "big")
    stamps = (ids.absolute_send_time, ids.transport_sequence_number)
    for number, first, last in _elements(profile, bytes(data[begin:end])):
        if number in stamps:
            data[begin + first : begin + last] = bytes(last - first)
    return end


def _elements(profile: int, data: bytes) -> Iterator[tuple[int, int, int]]:
    """Go through an extension block: number, begin and end of each element."""
    if profile == _ONE_BYTE:
        header_length = 1
    elif profile & 0xFFF0 == _TWO_BYTE:
        header_length = 2
    else:
        return
    position, end = 0, len(data)
    while position < end:
        first = data[position]
        if first == 0:  # padding
            position += 1
            continue
        if header_length == 1:
            number, length = first >> 4, (first & 15) + 1
            if number in (0, 15):  # 15 is reserved, 0 has no length: stop (RFC 8285 §4.2)
                break
        else:
            if position + 2 > end:
                raise ParseError("header extension: no room for the length")
            number, length = first, data[position + 1]
        position += header_length
        if position + length > end:
            raise ParseError(f"header extension {number}: {length} bytes do not fit")
        yield number, position, position + length
        position += length


def _read(values: HeaderExtensions, ids: ExtensionIds, number: int, body: bytes) -> None:
    if number == ids.transport_sequence_number:
        if len(body) >= 2:
            values.transport_sequence_number = int.from_bytes(body[:2], "big")
    elif number == ids.absolute_send_time:
        if len(body) == 3:
            values.absolute_send_time = int.from_bytes(body, "big")
    elif number == ids.playout_delay:
        if len(body) == 3:
            limits = int.from_bytes(body, "big")
            values.playout_delay = (limits >> 12, limits & 0xFFF)
    elif number == ids.audio_level:
        if body:
            values.audio_level = (body[0] >> 7 == 1, body[0] & 127)
    elif number == ids.mid:
        values.mid = body.decode("ascii", "replace")
