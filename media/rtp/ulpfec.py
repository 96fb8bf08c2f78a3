"""ULPFEC: parity over RTP packets (RFC 5109), as browsers send it for pictures.

A parity packet is the XOR of what it protects, so with all but one of them it gives the last one
back.  What is XORed is not the packets themselves but their *images*::

    P X CC | M PT | timestamp | length behind the fixed header | all that is behind it

that is, everything but what the parity packet says otherwise: version, number and SSRC.  In a
parity packet the image is spread over two headers (RFC 5109 §7.3, §7.4)::

    E L P X CC | M PT | first number | timestamp | length          FEC header, 10 bytes
    protected length | mask, 16 or 48 bits                         header of level 0
    the rest of the image

One level is written.  Of a packet with more levels the first is read: it protects only so many
bytes of each packet, and a longer packet is then not recovered.

Two things change between the moment of protection and the network, so that they are left out on
both sides, as libwebrtc does: the RED header, and the header extensions that are stamped at
departure (they count as zero).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import ExtensionIds, blank_stamps
from ringline.media.rtp.packet import HEADER_SIZE

__all__ = [
    "MAX_SPAN",
    "UlpFec",
    "image_of",
    "packet_of",
    "parse_ulpfec",
    "serialize_ulpfec",
    "ulpfec_overhead",
    "xor_images",
]

MAX_SPAN: Final = 48
"""Numbers from the first to the last packet under one parity packet: the longer mask's bits."""

_SHORT_SPAN: Final = 16
_FEC_HEADER: Final = 10
_IMAGE_HEADER: Final = 8


@dataclass(slots=True)
class UlpFec:
    """One parity packet.

    Attributes:
        first_number: Of the packets protected, the lowest sequence number, 16 bits.
        offsets: Of all that are protected, from ``first_number``; ascending, below 48.
        image: The XOR of their images.

    """

    first_number: int
    offsets: tuple[int, ...]
    image: bytes


def ulpfec_overhead(span: int) -> int:
    """Return the bytes that a parity packet adds to the longest image behind its header.

    Args:
        span: Numbers from the first to the last packet under it.

    """
    return _FEC_HEADER + 2 + (2 if span <= _SHORT_SPAN else 6)


def image_of(datagram: bytes, ids: ExtensionIds, red_payload_type: int | None = None) -> bytes:
    """Return the image of an RTP packet.

    Args:
        datagram: The packet as it leaves or came, not encrypted.
        ids: The negotiated header extensions.
        red_payload_type: Packets of this type are protected as what RED holds.

    Raises:
        ParseError: If it is no RTP packet, or RED with more than the primary block.

    """
    if len(datagram) < HEADER_SIZE:
        raise ParseError("ULPFEC: a packet without a header has no image")
    first, second = datagram[0], datagram[1]
    rest = bytearray(datagram[HEADER_SIZE:])
    payload = 4 * (first & 15)
    if first & 0x10:
        payload = blank_stamps(rest, payload, ids)
    if red_payload_type is not None and second & 127 == red_payload_type:
        if payload >= len(rest):
            raise ParseError("ULPFEC: RED without a block")
        if rest[payload] & 0x80:
            raise ParseError("ULPFEC: RED with copies is not what was protected")
        second = second & 0x80 | rest.pop(payload)
    length = len(rest).to_bytes(2, "big")
    return b"".join((bytes((first & 0x3F, second)), datagram[4:8], length, rest))


def packet_of(image: bytes, *, sequence_number: int, ssrc: int) -> bytes:
    """Return the RTP packet that an image is of.

    Raises:
        ParseError: If the image is shorter than the packet, or is of none.

    """
    if len(image) < _IMAGE_HEADER:
        raise ParseError("ULPFEC: an image without its header")
    length = int.from_bytes(image[6:8], "big")
    if _IMAGE_HEADER + length > len(image):
        raise ParseError(f"ULPFEC: {length} bytes were not all protected")
    return b"".join(
        (
            bytes((0x80 | image[0] & 0x3F, image[1])),
            (sequence_number & 0xFFFF).to_bytes(2, "big"),
            image[2:6],
            ssrc.to_bytes(4, "big"),
            image[_IMAGE_HEADER : _IMAGE_HEADER + length],
        )
    )


def xor_images(images: Iterable[bytes]) -> bytes:
    """Return the XOR of images, as long as the longest: each ends in any number of zeros.

    By Python's integers, which take half of numpy's time at the few packets of a picture and no
    longer for many.
    """
    total, size = 0, 0
    for image in images:
        total ^= int.from_bytes(image, "little")
        size = max(size, len(image))
    return total.to_bytes(size, "little")


def serialize_ulpfec(fec: UlpFec) -> bytes:
    """Return the payload of a parity packet.

    Raises:
        ValueError: If nothing is protected, or more than the mask can tell.

    """
    if not fec.offsets or not 0 <= fec.offsets[0] <= fec.offsets[-1] < MAX_SPAN:
        raise ValueError(f"a mask of {MAX_SPAN} bits cannot tell {fec.offsets}")
    bits = _SHORT_SPAN if fec.offsets[-1] < _SHORT_SPAN else MAX_SPAN
    mask = 0
    for offset in fec.offsets:
        mask |= 1 << bits - 1 - offset
    image = fec.image
    return b"".join(
        (
            bytes((image[0] & 0x3F | (0x40 if bits == MAX_SPAN else 0), image[1])),
            (fec.first_number & 0xFFFF).to_bytes(2, "big"),
            image[2:8],
            (len(image) - _IMAGE_HEADER).to_bytes(2, "big"),
            mask.to_bytes(bits // 8, "big"),
            image[_IMAGE_HEADER:],
        )
    )


def parse_ulpfec(payload: bytes) -> UlpFec:
    """Read the payload of a parity packet: its FEC header and its first level.

    Raises:
        ParseError: If it says more than it holds, or protects nothing.

    """
    if len(payload) < ulpfec_overhead(1):
        raise ParseError(f"ULPFEC: {len(payload)} bytes are no parity packet")
    if payload[0] & 0x80:
        raise ParseError("ULPFEC: a header of a form that is not defined yet")
    bits = MAX_SPAN if payload[0] & 0x40 else _SHORT_SPAN
    begin = ulpfec_overhead(bits)
    length = int.from_bytes(payload[10:12], "big")
    if begin + length > len(payload):
        raise ParseError(f"ULPFEC: {length} protected bytes do not fit")
    mask = int.from_bytes(payload[12:begin], "big")
    if not mask:
        raise ParseError("ULPFEC: nothing is protected")
    return UlpFec(
        first_number=int.from_bytes(payload[2:4], "big"),
        offsets=tuple(offset for offset in range(bits) if mask >> bits - 1 - offset & 1),
        image=b"".join(
            (
                bytes((payload[0] & 0x3F, payload[1])),
                payload[4:10],
                payload[begin : begin + length],
            )
        ),
    )
