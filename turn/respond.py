"""Respond: the answers to requests, and how many a stranger can have.

An authenticated answer is signed and says what was wrong.  An unauthenticated one may hit a
forged source: it is short, without a reason phrase, and limited per source
(:mod:`~ringline.turn.reply_limit`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ringline.turn.addresses import ClientSocket, source_of
from ringline.turn.attributes import (
    ERROR_CODE,
    NONCE,
    REALM,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    Attribute,
)
from ringline.turn.attributes import PASSWORD_ALGORITHMS as OFFERED_ALGORITHMS
from ringline.turn.commands import Command, SendToClient
from ringline.turn.error_codes import ErrorCode, reason_phrase
from ringline.turn.long_term import PASSWORD_ALGORITHMS, Keys, PasswordAlgorithm
from ringline.turn.metrics import DropReason, TurnMetrics
from ringline.turn.nonces import Nonces
from ringline.turn.reply_limit import ReplyLimit
from ringline.turn.stun import Integrity, Message, MessageClass

__all__ = ["AttributeValue", "Request", "Responder"]

logger = logging.getLogger(__name__)

AttributeValue: TypeAlias = tuple[Attribute[Any], object]


@dataclass(slots=True)
class Request:
    """A request that has proved who sent it.

    Attributes:
        keys: Of the password that it was signed with.
        algorithm: The one of them that it was signed with; the answer is, too.

    """

    message: Message
    client: ClientSocket
    username: str
    keys: Keys
    algorithm: PasswordAlgorithm


class Responder:
    """Builds answers and puts them among the commands."""

    def __init__(
        self,
        commands: deque[Command],
        metrics: TurnMetrics,
        *,
        realm: str,
        nonces: Nonces,
        limit: ReplyLimit,
    ) -> None:
        self._commands: Final = commands
        self._metrics: Final = metrics
        self._nonces: Final = nonces
        # What every challenge offers, on the wire already: neither depends on whom it is for.
        self._offer: Final = [
            (REALM.number, REALM.encode(realm, b"")),
            (OFFERED_ALGORITHMS.number, OFFERED_ALGORITHMS.encode(PASSWORD_ALGORITHMS, b"")),
        ]
        self._limit: Final = limit

    def succeed(self, request: Request, *values: AttributeValue) -> bytes:
        """Answer with success; returns the bytes, which a retransmission gets again."""
        answer = _answer(request.message, MessageClass.SUCCESS)
        for attribute, value in values:
            answer.add(attribute, value)
        data = _sign(answer, request)
        self._commands.append(SendToClient(request.client, data))
        return data

    def repeat(self, request: Request, data: bytes) -> None:
        """Answer a retransmission with the bytes that :meth:`succeed` returned."""
        self._commands.append(SendToClient(request.client, data))

    def refuse(self, request: Request, code: ErrorCode, *values: AttributeValue) -> None:
        """Answer with an error, and what belongs to it: a 420 lists, a 300 names a server."""
        answer = _answer(request.message, MessageClass.ERROR)
        answer.add(ERROR_CODE, (code, reason_phrase(code)))
        for attribute, value in values:
            answer.add(attribute, value)
        data = _sign(answer, request)
        self._metrics.error_responses[code] += 1
        self._commands.append(SendToClient(request.client, data))
        logger.debug("refused method %#x with %d", request.message.method, code)

    def challenge(
        self,
        message: Message,
        client: ClientSocket,
        code: ErrorCode,
        now: float,
        unknown: Sequence[int] = (),
    ) -> None:
        """Answer a stranger with an error; 401 and 438 bring what it takes to authenticate."""
        answer = _answer(message, MessageClass.ERROR).add(ERROR_CODE, (code, ""))
        if code in (ErrorCode.UNAUTHENTICATED, ErrorCode.STALE_NONCE):
            answer.values += self._offer
            answer.add(NONCE, self._nonces.make(client, now))
        if unknown:
            answer.add(UNKNOWN_ATTRIBUTES, unknown)
        if self._send_unauthenticated(answer, message, client, now):
            self._metrics.error_responses[code] += 1

    def tell_address(self, message: Message, client: ClientSocket, now: float) -> None:
        """Answer a Binding request: what address it came from (RFC 8489 §12)."""
        answer = _answer(message, MessageClass.SUCCESS).add(XOR_MAPPED_ADDRESS, client.address)
        self._send_unauthenticated(answer, message, client, now)

    def _send_unauthenticated(
        self, answer: Message, message: Message, client: ClientSocket, now: float
    ) -> bool:
        if not self._limit.allow(source_of(client.host), now):
            self._metrics.dropped[DropReason.RATE_LIMITED] += 1
            return False
        self._metrics.unauthenticated_replies += 1
        data = answer.serialize(fingerprint=message.has_fingerprint)
        self._commands.append(SendToClient(client, data))
        return True


def _answer(message: Message, message_class: MessageClass) -> Message:
    return Message(message.method, message_class, message.transaction_id)


def _sign(answer: Message, request: Request) -> bytes:
    """Return an answer signed the way the request was (RFC 8489 §9.2.4)."""
    return answer.serialize(
        integrity_key=request.keys.get(request.algorithm),
        integrity=request.message.integrity or Integrity.SHA1,
        fingerprint=request.message.has_fingerprint,
    )
