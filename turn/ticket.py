"""Tickets: which allocation it is, sealed, for the device to keep (RFC 8016 §3, MOBILITY-TICKET).

::

    AES-SIV (RFC 5297), the realm authenticated beside it:
    | tag, 16 | identity, 4 | epoch, 2 | families, 1 | port, 2 | end in minutes, 3 | binding, 4 |

32 bytes and none of them zero, because coturn's client has room for no more and keeps them as a C
string: the byte of the families has six bits to spare, counted up until that is so.  The families
and the port are what another server needs to open the relays again.  The binding is a digest of the
user's name and the relayed addresses, with which it sees whether they are what peers know.  Whoever
has the key reads and makes tickets; nobody else can tell one from noise.  SIV needs no nonce, and
gives equal bytes only for equal tickets, which are of the same epoch and the same minute.

Keys come as texts, the first seals and all open, so that a fleet can rotate one; without any, a key
of its own makes tickets good on this server alone.  Nothing here writes to a log.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ringline.turn.addresses import AddressFamily

__all__ = ["EPOCHS", "TICKET_SIZE", "Ticket", "Tickets", "bind"]

EPOCHS: Final = 1 << 16
TICKET_SIZE: Final = 32

_PLAIN: Final = struct.Struct("!4sHBHBH4s")
_LABEL: Final = b"ringline TURN mobility ticket"
_FIRST_MINUTE: Final = 1_577_836_800 // 60  # of 2020, so that three bytes last until 2051
_LAST_MINUTE: Final = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is sealed.

    Attributes:
        identity: Random, an allocation's own for its life, wherever it lives.
        epoch: Counts the uses, modulo :data:`EPOCHS`: a ticket of an earlier one is void.
        families: Of its relays.
        port: Of its relays.
        expires_at: When the allocation ends, wall clock, seconds since 1970, a whole minute.
        binding: What :func:`bind` makes of its owner and its relayed addresses.

    """

    identity: bytes
    epoch: int
    families: tuple[AddressFamily, ...]
    port: int
    expires_at: int
    binding: bytes


class Tickets:
    """Seals tickets and opens them.

    Args:
        keys: Texts that the fleet shares, newest first.
        realm: Tickets of another realm do not open.
        random_bytes: Makes the key where there is none.

    """

    def __init__(
        self, keys: Sequence[str], *, realm: str, random_bytes: Callable[[int], bytes]
    ) -> None:
        secrets = [hmac.digest(key.encode(), _LABEL, "sha512") for key in keys]
        self._ciphers: Final = [AESSIV(secret) for secret in secrets or [random_bytes(64)]]
        self._beside: Final = [realm.encode()]

    def seal(self, ticket: Ticket) -> bytes:
        """Return a ticket as the attribute carries it."""
        minute = -(-ticket.expires_at // 60) - _FIRST_MINUTE
        minute = min(max(minute, 0), _LAST_MINUTE)  # a clock that is wrong stops no allocation
        families = sum(ticket.families)  # 1 and 2 are bits
        sealed = b""
        for spare in range(0, 256, 4):
            plain = _PLAIN.pack(
                ticket.identity,
                ticket.epoch,
                spare | families,
                ticket.port,
                minute >> 16,
                minute & 0xFFFF,
                ticket.binding,
            )
            sealed = self._ciphers[0].encrypt(plain, self._beside)
            if 0 not in sealed:  # seven in eight have none
                break
        return sealed

    def open(self, data: bytes) -> Ticket | None:
        """Return what is sealed, or :obj:`None` if no key of ours sealed it."""
        if len(data) != TICKET_SIZE:
            return None
        for cipher in self._ciphers:
            try:
                return _read(cipher.decrypt(data, self._beside))
            except InvalidTag:
                continue
        return None


def bind(username: str, hosts: Iterable[str]) -> bytes:
    """Return a digest of an allocation's owner and the hosts of its relayed addresses."""
    return hashlib.sha256("\n".join((username, *sorted(hosts))).encode()).digest()[:4]


def _read(plain: bytes) -> Ticket:
    identity, epoch, bits, port, high, low, binding = _PLAIN.unpack(plain)
    families = tuple(family for family in AddressFamily if bits & family)
    expires_at = ((high << 16 | low) + _FIRST_MINUTE) * 60
    return Ticket(identity, epoch, families, port, expires_at, binding)
