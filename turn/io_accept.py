"""Accept: from a connection that comes in to a transport, over TLS when its handshake is done.

What a stranger can have before the handshake is over is bounded here: how many wait for it, of one
source and in all, and for how long.  Whoever comes beyond that is closed at once, before a byte is
read or a key is used.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from ringline.turn.addresses import source_of
from ringline.turn.config import TurnConfig
from ringline.turn.metrics import DropReason

__all__ = ["Acceptor"]

logger = logging.getLogger(__name__)

_BACKLOG: Final = 128
_BATCH: Final = 32  # connections taken in one wake-up
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_PAUSE: Final = 1.0  # seconds until it tries again to accept


class Acceptor:
    """Accepts the connections of one kind.

    Args:
        config: The limits.
        tls: What handshakes are made with; :obj:`None`: there are none.
        make_protocol: Makes what a connection is given to.
        has_room: Tells whether a source may have a connection more, besides so many handshakes of
            its and so many of all.
        on_dropped: Called when one goes no further.

    """

    def __init__(
        self,
        config: TurnConfig,
        tls: ssl.SSLContext | None,
        *,
        make_protocol: Callable[[], asyncio.Protocol],
        has_room: Callable[[str, int, int], bool],
        on_dropped: Callable[[DropReason], None],
    ) -> None:
        self._config: Final = config
        self._tls: Final = tls
        self._make_protocol: Final = make_protocol
        self._has_room: Final = has_room
        self._on_dropped: Final = on_dropped
        self._listening: Final[list[socket.socket]] = []
        self._pending: Final[Counter[str]] = Counter()  # under way, by source
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._loop: Final = asyncio.get_running_loop()

    def listen(self, bound: socket.socket) -> None:
        """Accept on a bound socket, which is closed with this.

        Raises:
            OSError: If that cannot be; the socket is closed.

        """
        try:
            bound.setblocking(False)
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
        self._listening.append(bound)
        self._loop.add_reader(bound, self._accept, bound)

    @property
    def port(self) -> int:
        """The port of the first socket."""
        port: int = self._listening[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Accept no more, and end the handshakes that are under way."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                accepted, address = listening.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:  # it stays readable: to try at once would be to spin
                    self._loop.remove_reader(listening)
                    self._loop.call_later(_EXHAUSTED_PAUSE, self._listen_again, listening)
                return
            source = source_of(address[0])
            if self._may_begin(source):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pending[source] += 1
                task = self._loop.create_task(self._attach(accepted, source))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._on_dropped(DropReason.RATE_LIMITED)
                accepted.close()

    def _may_begin(self, source: str) -> bool:
        total, own = len(self._tasks), self._pending[source]
        if self._tls is not None and (
            total >= self._config.max_handshakes or own >= self._config.max_handshakes_per_source
        ):
            return False
        return self._has_room(source, own, total)

    def _listen_again(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    async def _attach(self, accepted: socket.socket, source: str) -> None:
        patience = None if self._tls is None else self._config.handshake_patience
        try:
            await self._loop.connect_accepted_socket(
                self._make_protocol, accepted, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except OSError as error:  # ssl.SSLError and TimeoutError are such
            accepted.close()
            self._on_dropped(DropReason.HANDSHAKE)
            logger.debug("TURN: a connection did not come about: %s", error)
        except asyncio.CancelledError:
            accepted.close()
            raise
        finally:
            self._pending[source] -= 1
            if not self._pending[source]:
                del self._pending[source]
