"""Wire: between a WebSocket's text frames and messages.

Bounds are in the types (:mod:`ringline.signaling.messages`), so that what was parsed is good to
use.  Depth is bounded by the types as well: unknown fields are skipped, not built.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ringline.signaling.errors import ParseError, UnsupportedError
from ringline.signaling.messages import ClientMessage, Message, ServerMessage

__all__ = ["MAX_MESSAGE_BYTES", "WireFormat"]

MAX_MESSAGE_BYTES: Final = 65_536
"""A session description has 3 to 8 kB; LiveKit allows 2 MiB, aiohttp 4 MiB by default."""


class _Envelope(msgspec.Struct):
    """What can be read of a message that is otherwise not understood."""

    t: str = ""
    id: str | None = None
    seq: int = 0


class WireFormat:
    """Encodes and parses messages; holds the compiled coders, shared by all sessions."""

    def __init__(self) -> None:
        self._encode: Final = msgspec.json.Encoder().encode
        self._decode_client: Final = msgspec.json.Decoder(ClientMessage).decode
        self._decode_server: Final = msgspec.json.Decoder(ServerMessage).decode
        self._decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
        self._known: Final = frozenset(
            kind.__struct_config__.tag
            for kind in (*ClientMessage.__args__, *ServerMessage.__args__)
        )

    def encode(self, message: Message) -> bytes:
        """Return the text frame's bytes (UTF-8)."""
        return self._encode(message)

    def parse_client_message(self, data: bytes | str) -> ClientMessage:
        """Return what a client sent.

        Raises:
            ParseError: If it is no message of a client.

        """
        try:
            message: ClientMessage = self._decode_client(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._explain(data, error) from None
        return message

    def parse_server_message(self, data: bytes | str) -> ServerMessage:
        """Return what a server sent.

        Raises:
            ParseError: If it is no message of a server.

        """
        try:
            message: ServerMessage = self._decode_server(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._explain(data, error) from None
        return message

    def _explain(self, data: bytes | str, error: Exception) -> ParseError:
        try:
            envelope = self._decode_envelope(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return ParseError(f"expected a JSON object with a field 't': {error}")
        # Bounded, as they go back out in an error message.
        ref = (envelope.id or envelope.t)[:64] or None
        seq = envelope.seq if 0 <= envelope.seq < 2**53 else 0
        if envelope.t and envelope.t not in self._known:
            return UnsupportedError(f"unknown message type {ref!r}", ref=ref, seq=seq)
        return ParseError(str(error)[:256], ref=ref, seq=seq)
