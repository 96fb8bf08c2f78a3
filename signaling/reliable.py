"""Reliable: numbering, acknowledging and repeating messages of one session in both directions.

WebSocket loses nothing while it lives; when it dies, nobody knows what arrived.  So each side
numbers its messages, keeps them until they are acknowledged, and sends them again after a resume
(as XEP-0198 does for XMPP).  Server and client use this same class.

Invariants:

1. Each reliable message is given to the receiver once, in order of its number.
2. The outbox holds at most ``max_messages`` messages and ``max_bytes`` bytes.  The oldest go
   first; after that :meth:`can_replay` is false for a peer who lacks them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Final

import msgspec

from ringline.signaling.messages import UNRELIABLE, Message

__all__ = ["Arrival", "ReliableChannel"]

_ACK_EVERY: Final = 32
"""Messages received before an acknowledgement is due by itself; an eighth of the outbox."""


class Arrival(Enum):
    """What a message's number says."""

    NEW = auto()
    """Process it."""
    DUPLICATE = auto()
    """It was had before: drop it."""
    GAP = auto()
    """Something before it is missing: drop the socket and resume."""


class ReliableChannel:
    """One session's numbers.

    Args:
        encode: Turns a message into the bytes that are sent.
        max_messages: Bound of the outbox.
        max_bytes: Bound of the outbox.

    """

    __slots__ = (
        "_ack_sent",
        "_encode",
        "_forgotten",
        "_max_bytes",
        "_max_messages",
        "_outbox",
        "_outbox_bytes",
        "_received",
        "_sent",
    )

    def __init__(
        self,
        encode: Callable[[Message], bytes],
        *,
        max_messages: int = 256,
        max_bytes: int = 262_144,
    ) -> None:
        self._encode: Final = encode
        self._max_messages: Final = max_messages
        self._max_bytes: Final = max_bytes
        self._outbox: Final[deque[tuple[int, Message, int]]] = deque()  # number, message, size
        self._outbox_bytes = 0
        self._sent = 0  # number of the last message sent
        self._forgotten = 0  # highest number that fell out of the outbox unacknowledged
        self._received = 0  # highest contiguous number received
        self._ack_sent = 0  # what we last told the peer about _received

    @property
    def received(self) -> int:
        """Highest contiguous number received."""
        return self._received

    @property
    def sent(self) -> int:
        """Number of the last reliable message sent."""
        return self._sent

    @property
    def ack_due(self) -> bool:
        """Whether the peer should be told what arrived, by a message of its own."""
        return self._received - self._ack_sent >= _ACK_EVERY

    def send(self, message: Message) -> bytes:
        """Number a message, keep it if it is reliable, and return its bytes."""
        self._ack_sent = self._received
        if isinstance(message, UNRELIABLE):
            return self._encode(msgspec.structs.replace(message, seq=0, ack=self._received))
        self._sent += 1
        stamped = msgspec.structs.replace(message, seq=self._sent, ack=self._received)
        data = self._encode(stamped)
        self._outbox.append((self._sent, stamped, len(data)))
        self._outbox_bytes += len(data)
        while len(self._outbox) > self._max_messages or self._outbox_bytes > self._max_bytes:
            self._forgotten = self._pop_oldest()
        return data

    def handle_ack(self, ack: int) -> None:
        """Forget what the peer has."""
        while self._outbox and self._outbox[0][0] <= ack:
            self._pop_oldest()

    def handle_arrival(self, seq: int, ack: int) -> Arrival:
        """Take a received message's numbers and say what to do with it."""
        self.handle_ack(ack)
        if seq == 0:
            return Arrival.NEW
        if seq <= self._received:
            return Arrival.DUPLICATE
        if seq > self._received + 1:
            return Arrival.GAP
        self._received = seq
        return Arrival.NEW

    def lacks(self, last_seq: int) -> bool:
        """Say whether something is missing, if the peer has sent up to ``last_seq``."""
        return last_seq > self._received

    def can_replay(self, last_seq: int) -> bool:
        """Say whether a peer that has all up to ``last_seq`` can be given the rest."""
        return self._forgotten <= last_seq <= self._sent

    def replay(self) -> Iterator[bytes]:
        """Return the bytes of all that is not acknowledged, oldest first, with fresh ``ack``."""
        self._ack_sent = self._received
        for _, message, _ in self._outbox:
            yield self._encode(msgspec.structs.replace(message, ack=self._received))

    def unacknowledged(self) -> list[Message]:
        """Return the messages themselves, to be sent in another session."""
        return [message for _, message, _ in self._outbox]

    def _pop_oldest(self) -> int:
        number, _, size = self._outbox.popleft()
        self._outbox_bytes -= size
        return number
