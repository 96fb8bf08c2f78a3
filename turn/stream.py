"""Stream: messages out of the bytes of a TCP or TLS connection (RFC 8656 §3.1, §12.5).

Both kinds of message say how long they are in their first four bytes, and both are a multiple of
four bytes long here: ChannelData is padded, which its length does not count.

Invariants:

1. At most one message's bytes and one read's are held.
2. A message longer than ``limit`` is refused by its header, before its bytes have come.
"""

from __future__ import annotations

from typing import Final

from ringline.turn.errors import ParseError

__all__ = ["MAX_MESSAGE", "STRANGER_LIMIT", "StreamReader", "pad"]

MAX_MESSAGE: Final = 20 + 0xFFFF
"""Bytes of the longest message there is, header included."""

STRANGER_LIMIT: Final = 2_048
"""What a message may have before the connection has an allocation: a request with every attribute
that one can have is well below, and a thousand idle connections hold 2 MB."""


class StreamReader:
    """Cuts messages out of what comes.

    Attributes:
        limit: Bytes that a message may have; to be raised when the client has proved who it is.

    """

    def __init__(self, limit: int = STRANGER_LIMIT) -> None:
        self.limit = limit
        self._held = bytearray()
        self._position = 0  # of the next message; what is before it was given out

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the messages that are whole now, ChannelData with its padding.

        Raises:
            ParseError: If no message begins so, or it is longer than the limit.  There is no way
                to find the next one: the connection is of no more use.

        """
        self.push(data)
        messages = []
        while (message := self.pop()) is not None:
            messages.append(message)
        return messages

    def push(self, data: bytes) -> None:
        """Take bytes, to be asked for messages by :meth:`pop` until there is none."""
        self._held += data

    def pop(self) -> bytes | None:
        """Return the next message that is whole, or :obj:`None`.

        Raises:
            ParseError: As :meth:`feed` does.

        """
        held, position = self._held, self._position
        if len(held) - position >= 4:
            size = _size(held, position)
            if size > self.limit:
                raise ParseError(f"stream: a message of {size} bytes, at most {self.limit}")
            if len(held) - position >= size:
                self._position += size
                return bytes(held[position : position + size])
        del held[:position]
        self._position = 0
        return None

    def take_rest(self) -> bytes:
        """Return what has come and is no message yet, where no more messages follow."""
        rest = bytes(self._held[self._position :])
        self._held.clear()
        self._position = 0
        return rest


def pad(message: bytes) -> bytes:
    """Return a message as a connection carries it: a multiple of four bytes."""
    missing = -len(message) % 4
    return message + bytes(missing) if missing else message


def _size(held: bytearray, position: int) -> int:
    first, length = held[position], held[position + 2] << 8 | held[position + 3]
    if first < 0x40:
        if length % 4:
            raise ParseError(f"stream: STUN of {length} bytes, expected a multiple of four")
        return 20 + length
    if first < 0x80:
        return 4 + length + -length % 4
    raise ParseError(f"stream: no message begins with 0x{first:02x}")
