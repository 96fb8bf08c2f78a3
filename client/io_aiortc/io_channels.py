"""Channels: SCTP and data channels over DTLS (RFC 8831), bounded."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import aiortc
from aiortc import rtcsctptransport

from ringline.client.io_aiortc.io_sockets import MALFORMED

__all__ = ["Channel", "Sctp"]

logger = logging.getLogger(__name__)


class Sctp(aiortc.RTCSctpTransport):
    """SCTP that bounds what a peer can make it keep, and retries in human time."""

    MAX_CHANNELS = 32
    FIRST_RTO = 0.4
    """Seconds.  RFC 9260's 3 s is made for links without a known round trip."""
    LEAST_RTO = 0.2

    def __init__(self, transport: aiortc.RTCDtlsTransport, dropped: Counter[str]) -> None:
        super().__init__(transport)
        self._dropped: Final = dropped
        self._rto = self.FIRST_RTO

    async def _handle_data(self, data: bytes) -> None:
        try:
            await super()._handle_data(data)
        except (*MALFORMED, AttributeError) as error:
            logger.debug("malformed SCTP: %s", error)
            self._dropped["malformed SCTP"] += 1

    async def _receive_data_chunk(self, chunk: rtcsctptransport.DataChunk) -> None:
        if self._advertised_rwnd > 0:
            await super()._receive_data_chunk(chunk)
        else:  # the peer ignores the window; unacknowledged, it will send this again
            self._dropped["SCTP window"] += 1

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        known = stream_id in self._data_channels
        if known or len(self._data_channels) < self.MAX_CHANNELS:
            await super()._data_channel_receive(stream_id, pp_id, data)
        else:
            self._dropped["too many channels"] += 1

    def _update_rto(self, R: float) -> None:  # noqa: N803 - aiortc's name
        super()._update_rto(R)
        self._rto = max(self.LEAST_RTO, (self._srtt or 0.0) + 4 * (self._rttvar or 0.0))


class Channel:
    """A data channel."""

    MAX_BUFFERED = 1 << 20
    """Bytes that wait to be sent."""
    MAX_UNREAD = 64
    """Messages that wait for ``on_message``."""

    def __init__(self, channel: aiortc.RTCDataChannel, dropped: Counter[str]) -> None:
        self._channel: Final = channel
        self._dropped: Final = dropped
        self._unsent: Final[deque[str | bytes]] = deque()
        self._unsent_size = 0
        self._unread: Final[deque[str | bytes]] = deque()
        self._on_message: Callable[[str | bytes], None] | None = None
        self._closing = False
        channel.on("message", self._receive)
        channel.on("open", self._flush)

    @property
    def label(self) -> str:
        """What the opener called it."""
        return self._channel.label

    @property
    def is_open(self) -> bool:
        """Whether messages go out at once."""
        return self._channel.readyState == "open"

    @property
    def on_message(self) -> Callable[[str | bytes], None] | None:
        """Who is called with each message; setting it delivers those that wait."""
        return self._on_message

    @on_message.setter
    def on_message(self, callback: Callable[[str | bytes], None] | None) -> None:
        self._on_message = callback
        while callback is not None and self._unread:
            callback(self._unread.popleft())

    def send(self, message: str | bytes) -> bool:
        """Send a message, now or when the channel opens; tell whether it was taken."""
        waiting = self._channel.bufferedAmount + self._unsent_size
        ready = self._channel.readyState
        if self._closing or ready not in ("connecting", "open"):
            return False
        if waiting + len(message) > self.MAX_BUFFERED:
            self._dropped["channel full"] += 1
            return False
        if ready == "connecting":
            self._unsent.append(message)
            self._unsent_size += len(message)
            return True
        try:
            self._channel.send(message)
        except ValueError:
            self._dropped["message too long"] += 1
            return False
        return True

    def close(self) -> None:
        """End it; what waits for an open channel is lost."""
        self._closing = True
        self._channel.close()

    def _flush(self) -> None:
        while self._unsent:
            message = self._unsent.popleft()
            self._unsent_size -= len(message)
            self.send(message)

    def _receive(self, message: str | bytes) -> None:
        if self._on_message is not None:
            self._on_message(message)
        elif len(self._unread) < self.MAX_UNREAD:
            self._unread.append(message)
        else:
            self._dropped["channel unread"] += 1
