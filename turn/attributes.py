"""Attributes: the table of every STUN and TURN attribute that this package reads or writes.

An :class:`Attribute` is a row of the table: number, name, and how its value becomes bytes and
back.  To add one, write a row.  Rows with a number below ``0x8000`` are *comprehension-required*:
a request that carries one which a server does not know must be refused (RFC 8489 §14).

Decoders raise :exc:`~ringline.turn.errors.ParseError` and nothing else.  They see the value
without its padding, and the transaction id, which the ``XOR-`` addresses are masked with.

=========================  ===========  ==========================================
value                      source       rows
=========================  ===========  ==========================================
text, opaque bytes         8489 §14     USERNAME REALM NONCE DATA RESERVATION-TOKEN
address, masked or plain   8489 §14.2   XOR-*-ADDRESS ALTERNATE-SERVER
number                     8656 §18     LIFETIME CHANNEL-NUMBER REQUESTED-* EVEN-PORT
numbers                    8489 §14.11  PASSWORD-ALGORITHM PASSWORD-ALGORITHMS
=========================  ===========  ==========================================
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ringline.turn.addresses import Address, AddressFamily, pack_host, unpack_host
from ringline.turn.errors import ParseError

__all__ = [
    "ADDITIONAL_ADDRESS_FAMILY",
    "ADDITIONAL_ADDRESS_FAMILY_DRAFT",
    "ADDRESS_ERROR_CODE",
    "ALTERNATE_SERVER",
    "ATTRIBUTES",
    "CHANNEL_NUMBER",
    "CONNECTION_ID",
    "DATA",
    "DONT_FRAGMENT",
    "DRAIN_AWARE",
    "ERROR_CODE",
    "EVEN_PORT",
    "FINGERPRINT_NUMBER",
    "ICMP",
    "LIFETIME",
    "MAGIC_COOKIE",
    "MESSAGE_INTEGRITY_NUMBER",
    "MESSAGE_INTEGRITY_SHA256_NUMBER",
    "MOBILITY_TICKET",
    "NONCE",
    "PASSWORD_ALGORITHM",
    "PASSWORD_ALGORITHMS",
    "REALM",
    "REQUESTED_ADDRESS_FAMILY",
    "REQUESTED_TRANSPORT",
    "RESERVATION_TOKEN",
    "SOFTWARE",
    "UNKNOWN_ATTRIBUTES",
    "USERHASH",
    "USERNAME",
    "XOR_MAPPED_ADDRESS",
    "XOR_PEER_ADDRESS",
    "XOR_RELAYED_ADDRESS",
    "Attribute",
]

T = TypeVar("T")

MAGIC_COOKIE: Final = 0x2112A442  # RFC 8489 §5: tells STUN from anything else on the port
_ALGORITHM: Final = struct.Struct("!HH")  # number, length of its parameters
_MAX_ALGORITHMS: Final = 16  # eight times as many as there are
_COOKIE: Final = MAGIC_COOKIE.to_bytes(4, "big")

MESSAGE_INTEGRITY_NUMBER: Final = 0x0008  # its value depends on the bytes before it: stun.py
MESSAGE_INTEGRITY_SHA256_NUMBER: Final = 0x001C  # likewise
FINGERPRINT_NUMBER: Final = 0x8028  # likewise


@dataclass(frozen=True, slots=True)
class Attribute(Generic[T]):
    """One row of the table.

    Attributes:
        encode: Value and transaction id to bytes without padding; :exc:`ValueError` if the
            value has no form on the wire.
        decode: The other way round.

    """

    number: int
    name: str
    encode: Callable[[T, bytes], bytes]
    decode: Callable[[bytes, bytes], T]


def _text(number: int, name: str, limit: int) -> Attribute[str]:
    """UTF-8 of at most ``limit`` bytes.  What is longer serves nobody but an attacker."""

    def encode(value: str, _transaction_id: bytes) -> bytes:
        data = value.encode()
        if len(data) > limit:
            raise ValueError(f"{name}: {len(data)} bytes, at most {limit} are allowed")
        return data

    def decode(data: bytes, _transaction_id: bytes) -> str:
        if len(data) > limit:
            raise ParseError(f"{name}: {len(data)} bytes, at most {limit} are allowed")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ParseError(f"{name}: not UTF-8") from None

    return Attribute(number, name, encode, decode)


def _opaque(number: int, name: str, size: int | None = None) -> Attribute[bytes]:
    def encode(value: bytes, _transaction_id: bytes) -> bytes:
        if size is not None and len(value) != size:
            raise ValueError(f"{name}: {len(value)} bytes, expected {size}")
        return value

    def decode(data: bytes, _transaction_id: bytes) -> bytes:
        if size is not None and len(data) != size:
            raise ParseError(f"{name}: {len(data)} bytes, expected {size}")
        return data

    return Attribute(number, name, encode, decode)


def _number(number: int, name: str, layout: str) -> Attribute[int]:
    """An unsigned number, the rest of its four bytes reserved: sent as zero, never looked at."""
    packing = struct.Struct(layout)

    def encode(value: int, _transaction_id: bytes) -> bytes:
        try:
            return packing.pack(value)
        except struct.error:
            raise ValueError(f"{name}: {value} does not fit") from None

    def decode(data: bytes, _transaction_id: bytes) -> int:
        if len(data) != packing.size:
            raise ParseError(f"{name}: {len(data)} bytes, expected {packing.size}")
        value: int = packing.unpack(data)[0]
        return value

    return Attribute(number, name, encode, decode)


def _flag(number: int, name: str) -> Attribute[bool]:
    """An attribute without a value: there or not."""

    def encode(_value: bool, _transaction_id: bytes) -> bytes:
        return b""

    def decode(data: bytes, _transaction_id: bytes) -> bool:
        if data:
            raise ParseError(f"{name}: {len(data)} bytes, expected none")
        return True

    return Attribute(number, name, encode, decode)


def _even_port() -> Attribute[bool]:
    """EVEN-PORT: the top bit asks to reserve the next higher port too (RFC 8656 §18.6)."""

    def encode(value: bool, _transaction_id: bytes) -> bytes:
        return b"\x80" if value else b"\x00"

    def decode(data: bytes, _transaction_id: bytes) -> bool:
        if len(data) != 1:
            raise ParseError(f"EVEN-PORT: {len(data)} bytes, expected 1")
        return data[0] & 0x80 != 0

    return Attribute(0x0018, "EVEN-PORT", encode, decode)


def _error_code() -> Attribute[tuple[int, str]]:
    """ERROR-CODE: hundreds and rest apart, then the phrase (RFC 8489 §14.8)."""

    def encode(value: tuple[int, str], _transaction_id: bytes) -> bytes:
        code, phrase = value
        return bytes((0, 0, code // 100, code % 100)) + phrase.encode()

    def decode(data: bytes, _transaction_id: bytes) -> tuple[int, str]:
        return _read_error("ERROR-CODE", data)

    return Attribute(0x0009, "ERROR-CODE", encode, decode)


def _address_error_code() -> Attribute[tuple[int, int, str]]:
    """ADDRESS-ERROR-CODE: as ERROR-CODE, after the family that it is about (RFC 8656 §18.12)."""

    def encode(value: tuple[int, int, str], _transaction_id: bytes) -> bytes:
        family, code, phrase = value
        return bytes((family, 0, code // 100, code % 100)) + phrase.encode()

    def decode(data: bytes, _transaction_id: bytes) -> tuple[int, int, str]:
        code, phrase = _read_error("ADDRESS-ERROR-CODE", data)
        return data[0], code, phrase

    return Attribute(0x8001, "ADDRESS-ERROR-CODE", encode, decode)


def _read_error(name: str, data: bytes) -> tuple[int, str]:
    if len(data) < 4:
        raise ParseError(f"{name}: {len(data)} bytes, expected 4 or more")
    hundreds, rest = data[2] & 7, data[3]
    if not 3 <= hundreds <= 6 or rest > 99:
        raise ParseError(f"{name}: {hundreds} hundreds and {rest}")
    return hundreds * 100 + rest, data[4:].decode(errors="replace")


def _number_list(number: int, name: str) -> Attribute[Sequence[int]]:
    def encode(value: Sequence[int], _transaction_id: bytes) -> bytes:
        return struct.pack(f"!{len(value)}H", *value)

    def decode(data: bytes, _transaction_id: bytes) -> Sequence[int]:
        if len(data) % 2:
            raise ParseError(f"{name}: {len(data)} bytes, expected an even number")
        return struct.unpack(f"!{len(data) // 2}H", data)

    return Attribute(number, name, encode, decode)


def _algorithms(number: int, name: str, limit: int) -> Attribute[Sequence[int]]:
    """Password algorithms, each with parameters, which none has so far (RFC 8489 §14.11)."""

    def encode(value: Sequence[int], _transaction_id: bytes) -> bytes:
        return b"".join(_ALGORITHM.pack(algorithm, 0) for algorithm in value)

    def decode(data: bytes, _transaction_id: bytes) -> Sequence[int]:
        algorithms: list[int] = []
        position = 0
        while position < len(data):
            if len(algorithms) == limit or position + _ALGORITHM.size > len(data):
                raise ParseError(f"{name}: {len(data)} bytes, more or less than expected")
            algorithm, size = _ALGORITHM.unpack_from(data, position)
            position += _ALGORITHM.size + size + -size % 4
            algorithms.append(algorithm)
        if position > len(data) or not algorithms:
            raise ParseError(f"{name}: cut short")
        return tuple(algorithms)

    return Attribute(number, name, encode, decode)


def _address(number: int, name: str, *, masked: bool) -> Attribute[Address]:
    """An address, either plain or masked with cookie and transaction id (RFC 8489 §14.2).

    The mask keeps middleboxes from rewriting what looks like an address.
    """

    def encode(value: Address, transaction_id: bytes) -> bytes:
        host, port = value
        packed = pack_host(host)
        family = AddressFamily.IPV4 if len(packed) == 4 else AddressFamily.IPV6
        if masked:
            port ^= MAGIC_COOKIE >> 16
            packed = _mask(packed, transaction_id)
        return struct.pack("!BBH", 0, family, port) + packed

    def decode(data: bytes, transaction_id: bytes) -> Address:
        if len(data) < 4:
            raise ParseError(f"{name}: {len(data)} bytes, expected 8 or 20")
        _, family, port = struct.unpack_from("!BBH", data)
        size = {AddressFamily.IPV4: 8, AddressFamily.IPV6: 20}.get(family)
        if size is None:
            raise ParseError(f"{name}: address family {family}, expected 1 or 2")
        if len(data) != size:
            raise ParseError(f"{name}: {len(data)} bytes, expected {size} for family {family}")
        packed = data[4:]
        if masked:
            port ^= MAGIC_COOKIE >> 16
            packed = _mask(packed, transaction_id)
        return unpack_host(packed), port

    return Attribute(number, name, encode, decode)


def _icmp() -> Attribute[tuple[int, int, int]]:
    """ICMP type, code, and MTU or 0, of a message about what was sent (RFC 8656 §18.13)."""
    layout = struct.Struct("!2xHI")  # the type in 7 bits, the code in 9

    def encode(value: tuple[int, int, int], _transaction_id: bytes) -> bytes:
        icmp_type, code, error_data = value
        return layout.pack(icmp_type << 9 | code, error_data)

    def decode(data: bytes, _transaction_id: bytes) -> tuple[int, int, int]:
        if len(data) != layout.size:
            raise ParseError(f"ICMP: {len(data)} bytes, expected {layout.size}")
        both, error_data = layout.unpack(data)
        return both >> 9, both & 0x1FF, error_data

    return Attribute(0x8004, "ICMP", encode, decode)


def _mask(packed: bytes, transaction_id: bytes) -> bytes:
    mask = (_COOKIE + transaction_id)[: len(packed)]
    return (int.from_bytes(packed, "big") ^ int.from_bytes(mask, "big")).to_bytes(
        len(packed), "big"
    )


# Limits of text: RFC 8489 §14.3 (USERNAME), §14.9 (REALM), §14.10 (NONCE), §14.14 (SOFTWARE).
USERNAME: Final = _text(0x0006, "USERNAME", 508)
ERROR_CODE: Final = _error_code()
UNKNOWN_ATTRIBUTES: Final = _number_list(0x000A, "UNKNOWN-ATTRIBUTES")
CHANNEL_NUMBER: Final = _number(0x000C, "CHANNEL-NUMBER", "!H2x")
LIFETIME: Final = _number(0x000D, "LIFETIME", "!I")  # seconds
XOR_PEER_ADDRESS: Final = _address(0x0012, "XOR-PEER-ADDRESS", masked=True)
DATA: Final = _opaque(0x0013, "DATA")
REALM: Final = _text(0x0014, "REALM", 763)
NONCE: Final = _text(0x0015, "NONCE", 763)
XOR_RELAYED_ADDRESS: Final = _address(0x0016, "XOR-RELAYED-ADDRESS", masked=True)
REQUESTED_ADDRESS_FAMILY: Final = _number(0x0017, "REQUESTED-ADDRESS-FAMILY", "!B3x")
EVEN_PORT: Final = _even_port()
REQUESTED_TRANSPORT: Final = _number(0x0019, "REQUESTED-TRANSPORT", "!B3x")  # IP protocol number
DONT_FRAGMENT: Final = _flag(0x001A, "DONT-FRAGMENT")
PASSWORD_ALGORITHM: Final = _algorithms(0x001D, "PASSWORD-ALGORITHM", 1)
USERHASH: Final = _opaque(0x001E, "USERHASH", 32)
XOR_MAPPED_ADDRESS: Final = _address(0x0020, "XOR-MAPPED-ADDRESS", masked=True)
RESERVATION_TOKEN: Final = _opaque(0x0022, "RESERVATION-TOKEN", 8)
CONNECTION_ID: Final = _number(0x002A, "CONNECTION-ID", "!I")  # RFC 6062 §6.2.1
ADDITIONAL_ADDRESS_FAMILY: Final = _number(0x8000, "ADDITIONAL-ADDRESS-FAMILY", "!B3x")
ADDRESS_ERROR_CODE: Final = _address_error_code()
PASSWORD_ALGORITHMS: Final = _algorithms(0x8002, "PASSWORD-ALGORITHMS", _MAX_ALGORITHMS)
ICMP: Final = _icmp()
SOFTWARE: Final = _text(0x8022, "SOFTWARE", 763)
ALTERNATE_SERVER: Final = _address(0x8023, "ALTERNATE-SERVER", masked=False)
MOBILITY_TICKET: Final = _opaque(0x8030, "MOBILITY-TICKET")  # RFC 8016 §3; empty in an Allocate
# Of no RFC.  In a Refresh: the client takes a 300 for it.  In the answer: the server drains and
# names nobody else.  Comprehension-optional, so that who does not know it passes over it.
DRAIN_AWARE: Final = _flag(0xC0DA, "DRAIN-AWARE")
# What the drafts of RFC 8656 numbered it, and coturn's clients up to 4.6 at least still send.
ADDITIONAL_ADDRESS_FAMILY_DRAFT: Final = _number(
    0x8032, "ADDITIONAL-ADDRESS-FAMILY of the drafts", "!B3x"
)

ATTRIBUTES: Final[tuple[Attribute[Any], ...]] = (
    USERNAME,
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    CHANNEL_NUMBER,
    LIFETIME,
    XOR_PEER_ADDRESS,
    DATA,
    REALM,
    NONCE,
    XOR_RELAYED_ADDRESS,
    REQUESTED_ADDRESS_FAMILY,
    EVEN_PORT,
    REQUESTED_TRANSPORT,
    DONT_FRAGMENT,
    PASSWORD_ALGORITHM,
    USERHASH,
    XOR_MAPPED_ADDRESS,
    RESERVATION_TOKEN,
    CONNECTION_ID,
    ADDITIONAL_ADDRESS_FAMILY,
    ADDRESS_ERROR_CODE,
    PASSWORD_ALGORITHMS,
    ICMP,
    SOFTWARE,
    ALTERNATE_SERVER,
    MOBILITY_TICKET,
    ADDITIONAL_ADDRESS_FAMILY_DRAFT,
    DRAIN_AWARE,
)
"""The table: every row, ascending by number."""
