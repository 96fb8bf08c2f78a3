"""STUN: bytes to messages and back (RFC 8489 §5, §14).

::

     0                   1                   2                   3
    |0 0|  class and method, interleaved |  length without these 20 bytes |
    |                    magic cookie 0x2112A442                          |
    |                    transaction id, 96 bits                          |
    |  attribute number     |  length     |  value, padded to 4 bytes  ...
             ... MESSAGE-INTEGRITY and, or, MESSAGE-INTEGRITY-SHA256, FINGERPRINT

Invariants of :meth:`Message.parse`:

1. It raises :exc:`~ringline.turn.errors.ParseError` or nothing.
2. What follows MESSAGE-INTEGRITY is not part of the message: nobody vouches for it (§14.5).
   Only its stronger sister and FINGERPRINT may follow, and the latter is checked here.
3. Values are cut out, not decoded: :meth:`Message.get` does that, so that a message for which
   there is no use costs little.

Where an attribute comes twice the first one counts (§14).
"""

from __future__ import annotations

import hmac
import struct
import zlib
from collections.abc import Container
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, TypeVar

from ringline.turn.attributes import (
    FINGERPRINT_NUMBER,
    MAGIC_COOKIE,
    MESSAGE_INTEGRITY_NUMBER,
    MESSAGE_INTEGRITY_SHA256_NUMBER,
    Attribute,
)
from ringline.turn.errors import ParseError

__all__ = ["HEADER_SIZE", "Integrity", "Message", "MessageClass", "Method"]

T = TypeVar("T")

HEADER_SIZE: Final = 20
MAX_ATTRIBUTES: Final = 128
"""More in one message is an attempt to keep us busy: a CreatePermission for a hundred peers, the
largest message with a use, stays below."""

_HEADER: Final = struct.Struct("!HHI12s")
_ATTRIBUTE: Final = struct.Struct("!HH")
_LENGTH: Final = struct.Struct("!H")
_PADDING: Final = (b"", bytes(3), bytes(2), bytes(1))  # by the last two bits of a length
_FINGERPRINT_SIZE: Final = 4 + 4
_FINGERPRINT_MASK: Final = 0x5354554E  # RFC 8489 §14.7: so that it differs from a CRC inside data


class MessageClass(IntEnum):
    """What part of an exchange a message is (RFC 8489 §5)."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Method(IntEnum):
    """What is asked for (RFC 8489 §18.2, RFC 8656 §17)."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A  # RFC 6062 §6.1, and the two below
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C


class Integrity(Enum):
    """How a message is signed: attribute, digest and its size in bytes (RFC 8489 §14.5, §14.6).

    A digest may be sent shortened where a usage of STUN says so; TURN does not.
    """

    SHA1 = (MESSAGE_INTEGRITY_NUMBER, "sha1", 20)
    SHA256 = (MESSAGE_INTEGRITY_SHA256_NUMBER, "sha256", 32)

    def __init__(self, number: int, digest: str, size: int) -> None:
        self.number = number
        self.digest = digest
        self.size = size


_INTEGRITIES: Final = {integrity.number: integrity for integrity in Integrity}


@dataclass(slots=True)
class Message:
    """A STUN message.

    Attributes:
        method: One of :class:`Method`, or a number that we do not know.
        transaction_id: 12 bytes; a response carries that of its request.
        values: Number and value of each attribute, in the order of the wire; in a parsed message
            only those that count, thus without signatures and FINGERPRINT.
        integrity: How it was signed, the stronger way where it was both; set by :meth:`parse`.
        has_fingerprint: Whether FINGERPRINT was there, and right; set by :meth:`parse`.

    """

    method: int
    message_class: MessageClass
    transaction_id: bytes
    values: list[tuple[int, bytes]] = field(default_factory=list)
    integrity: Integrity | None = None
    has_fingerprint: bool = False
    _covered: bytes = b""  # the bytes before the signature, set by parse
    _digest: bytes = b""  # the signature, set by parse

    def add(self, attribute: Attribute[T], value: T) -> Message:
        """Append an attribute; returns the message, so that calls chain.

        Raises:
            ValueError: If the value has no form on the wire.

        """
        self.values.append((attribute.number, attribute.encode(value, self.transaction_id)))
        return self

    def get(self, attribute: Attribute[T]) -> T | None:
        """Return the first value of an attribute, or :obj:`None` if it is not there.

        Raises:
            ParseError: If it is malformed.

        """
        wanted = attribute.number
        for number, value in self.values:
            if number == wanted:
                return attribute.decode(value, self.transaction_id)
        return None

    def get_all(self, attribute: Attribute[T]) -> list[T]:
        """Return every value of an attribute that may come more than once.

        Raises:
            ParseError: If one is malformed.

        """
        return [
            attribute.decode(value, self.transaction_id)
            for number, value in self.values
            if number == attribute.number
        ]

    def unknown_required(self, known: Container[int]) -> list[int]:
        """Return the comprehension-required numbers not in ``known``, each once, in order."""
        unknown = (n for n, _ in self.values if n < 0x8000 and n not in known)
        return list(dict.fromkeys(unknown))

    def verify_integrity(self, key: bytes) -> bool:
        """Tell whether it was signed with ``key``; takes the same time either way."""
        if self.integrity is None:
            return False
        expected = hmac.digest(key, self._covered, self.integrity.digest)
        return hmac.compare_digest(expected, self._digest)

    def serialize(
        self,
        *,
        integrity_key: bytes | None = None,
        integrity: Integrity = Integrity.SHA1,
        fingerprint: bool = False,
    ) -> bytes:
        """Return the bytes of the message, padding zero.

        Args:
            integrity_key: Sign with this key, if given.
            integrity: How it is signed then.
            fingerprint: Whether FINGERPRINT ends the message.

        Raises:
            ValueError: If it is longer than the length field can say.

        """
        parts: list[bytes] = []
        for number, value in self.values:
            size = len(value)
            parts += (_ATTRIBUTE.pack(number, size), value, _PADDING[size & 3])
        body = b"".join(parts)
        integrity_size = 4 + integrity.size
        if len(body) + integrity_size + _FINGERPRINT_SIZE > 0xFFFF:
            raise ValueError(f"STUN: attributes of {len(body)} bytes do not fit one message")
        if integrity_key is not None:
            covered = self._header(len(body) + integrity_size) + body
            digest = hmac.digest(integrity_key, covered, integrity.digest)
            body += _ATTRIBUTE.pack(integrity.number, len(digest)) + digest
        if fingerprint:
            covered = self._header(len(body) + _FINGERPRINT_SIZE) + body
            crc = zlib.crc32(covered) ^ _FINGERPRINT_MASK
            body += struct.pack("!HHI", FINGERPRINT_NUMBER, 4, crc)
        return self._header(len(body)) + body

    def _header(self, length: int) -> bytes:
        method, kind = self.method, self.message_class
        bits = (method & 0xF80) << 2 | (method & 0x070) << 1 | method & 0x00F
        bits |= (kind & 2) << 7 | (kind & 1) << 4
        return _HEADER.pack(bits, length, MAGIC_COOKIE, self.transaction_id)

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Read one message that fills ``data`` exactly.

        Raises:
            ParseError: If it is no STUN message, is cut short, or its FINGERPRINT is wrong.

        """
        if len(data) < HEADER_SIZE:
            raise ParseError(f"STUN: {len(data)} bytes, a header has {HEADER_SIZE}")
        bits, length, cookie, transaction_id = _HEADER.unpack_from(data)
        if bits & 0xC000 or cookie != MAGIC_COOKIE:
            raise ParseError("STUN: the first bits or the magic cookie are another protocol's")
        if length % 4 or HEADER_SIZE + length != len(data):
            raise ParseError(f"STUN: length {length} in a datagram of {len(data)} bytes")
        message = cls(
            method=(bits & 0x3E00) >> 2 | (bits & 0x00E0) >> 1 | bits & 0x000F,
            message_class=MessageClass((bits & 0x0100) >> 7 | (bits & 0x0010) >> 4),
            transaction_id=transaction_id,
        )
        message._read_attributes(data)
        return message

    def _read_attributes(self, data: bytes) -> None:
        position, end, count = HEADER_SIZE, len(data), 0
        while position < end:
            # Both lengths are multiples of four, so a whole attribute header is left.
            number, size = _ATTRIBUTE.unpack_from(data, position)
            start = position + 4
            following = start + size + (-size % 4)
            if following > end:
                raise ParseError(f"STUN: attribute 0x{number:04x} of {size} bytes does not fit")
            count += 1
            if count > MAX_ATTRIBUTES:
                raise ParseError(f"STUN: more than {MAX_ATTRIBUTES} attributes")
            if number == FINGERPRINT_NUMBER:
                self._check_fingerprint(data, position, size)
            elif (integrity := _INTEGRITIES.get(number)) is not None:
                self._read_integrity(integrity, data, position, size)
            elif self.integrity is not None:
                pass  # invariant 2
            else:
                self.values.append((number, data[start : start + size]))
            position = following

    def _read_integrity(self, integrity: Integrity, data: bytes, position: int, size: int) -> None:
        if self.integrity is integrity or self.integrity is Integrity.SHA256:
            return  # the first one counts, and nothing vouches for what follows the stronger
        if size != integrity.size:
            raise ParseError(f"STUN: signature of {size} bytes, expected {integrity.size}")
        # It was computed as if the message ended with it.
        following = position + 4 + size
        said = _LENGTH.pack(following - HEADER_SIZE)
        self._covered = data[:2] + said + data[4:position]
        self._digest = data[position + 4 : following]
        self.integrity = integrity

    def _check_fingerprint(self, data: bytes, position: int, size: int) -> None:
        if size != 4 or position + _FINGERPRINT_SIZE != len(data):
            raise ParseError("STUN: FINGERPRINT is not the last four bytes of the message")
        said: int = struct.unpack_from("!I", data, position + 4)[0]
        if said != zlib.crc32(data[:position]) ^ _FINGERPRINT_MASK:
            raise ParseError("STUN: FINGERPRINT does not match")
        self.has_fingerprint = True
