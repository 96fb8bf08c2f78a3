"""TurnService: the life of the TURN server on asyncio, from binding its sockets to closing them.

What happens in between is :mod:`~ringline.turn.io_data_path`'s.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from ringline.turn.addresses import AddressFamily, family_of, format_address
from ringline.turn.bandwidth import TokenBucket
from ringline.turn.config import TurnConfig
from ringline.turn.errors import ConfigError, ListenError
from ringline.turn.io_certificate import check_certificate, load_certificate, tls_context
from ringline.turn.io_data_path import NO_SUCH_FAMILY, DataPath
from ringline.turn.io_interfaces import interface_addresses
from ringline.turn.io_plane import make_data_plane
from ringline.turn.io_socket import CAN_SET_DONT_FRAGMENT, open_udp
from ringline.turn.io_stream import StreamListener
from ringline.turn.metrics import DropReason, TurnMetrics
from ringline.turn.server import TurnServer

if TYPE_CHECKING:
    from ringline.turn.io_link import WorkerPlace

__all__ = [
    "FREE_PORT_ATTEMPTS",
    "LISTENER_BUFFER",
    "TurnService",
    "log_listening",
    "what_is_reloaded",
]

logger = logging.getLogger(__name__)

FREE_PORT_ATTEMPTS: Final = 20
"""Where any free port will do, it has to be free for TCP as well."""

LISTENER_BUFFER: Final = 4 << 20
"""Bytes: a burst of key frames from every client; the kernel may cap it."""

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class TurnService:
    """A running TURN server.

    Either ``async with TurnService(config) as server:`` or
    ``server = await TurnService.start(config)`` and later ``await server.close()``.

    Args:
        config: How it behaves.
        wall_clock: Seconds since 1970, which time-limited credentials expire by.
        place: What a worker has from its supervisor, if this is one; it is closed with the server.

    """

    def __init__(
        self,
        config: TurnConfig,
        *,
        wall_clock: Callable[[], float] = time.time,
        place: WorkerPlace | None = None,
    ) -> None:
        self._place: Final = place
        # A worker's supervisor says for all of them what happens to each.
        self._level: Final = logging.INFO if place is None else logging.DEBUG
        self._config = config
        self._wall_clock: Final = wall_clock
        self._listeners: Final[dict[AddressFamily, socket.socket]] = {}
        self._streams: Final[dict[str, StreamListener]] = {}  # by transport
        self._tls: ssl.SSLContext | None = None
        self._core: TurnServer | None = None
        self._path: DataPath | None = None  # there with the core
        self._loop: Final = asyncio.get_running_loop()

    @classmethod
    async def start(cls, config: TurnConfig) -> Self:
        """Open a server.

        Raises:
            ConfigError: If certificate or data plane cannot be used.
            ListenError: If the port is taken or the address is not ours.

        """
        server = cls(config)
        await server.open()
        return server

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses that it listens on; wildcards if so configured."""
        return self._config.hosts

    @property
    def port(self) -> int:
        """The UDP port that it listens on, and the TCP port if it does."""
        return self._config.port

    @property
    def workers(self) -> int:
        """How many processes serve: this one."""
        return 1

    @property
    def tcp(self) -> bool:
        """Whether it serves TCP on the same port."""
        return "tcp" in self._streams

    @property
    def tls_port(self) -> int | None:
        """The TCP port that it serves TLS on, if it does."""
        listener = self._streams.get("tls")
        return None if listener is None else listener.port

    @property
    def metrics(self) -> TurnMetrics:
        """The counters of this moment; some move on only when this is asked again.

        Raises:
            RuntimeError: If the server is not open.

        """
        self._data_path().count_passed()
        return self._running().metrics

    async def open(self) -> None:
        """Bind the listening socket and begin to serve; once.

        Raises:
            ConfigError: If certificate or data plane cannot be used.
            ListenError: If the port is taken or the address is not ours.
            RuntimeError: If it was opened before: a server is opened once.

        """
        if self._core is not None:
            raise RuntimeError("a TURN server is opened once; this one was")
        config = self._config
        if config.tls_certificate is not None:
            self._tls = tls_context(config)
        await self._listen()
        try:
            plane = make_data_plane(config.data_plane, self._listeners.get(AddressFamily.IPV4))
        except ConfigError:
            self._close_listeners()
            await self._close_streams()
            raise
        self._core = TurnServer(
            self._config,
            wall_clock=self._wall_clock,
            dont_fragment=CAN_SET_DONT_FRAGMENT,
            offload=plane is not None,
            make_bucket=TokenBucket if plane is None else plane.make_bucket,
            fleet=None if self._place is None else self._place.fleet,
        )
        self._path = DataPath(
            self._core,
            listeners=self._listeners,
            streams=self._streams,
            relay_hosts=self._relay_hosts(),
            plane=plane,
            link=None if self._place is None else self._place.link,
        )
        self.read_interfaces()
        if self.tls_port is not None:
            self._core.deny_own_port(self.tls_port)
        self._path.open(tcp_allocations=config.tcp_allocations)
        ports = {transport: listener.port for transport, listener in self._streams.items()}
        log_listening(self.hosts, {"udp": self.port} | ports, self._level)

    async def read_metrics(self) -> TurnMetrics:
        """Return the counters of this moment, as :class:`~ringline.turn.io_workers.Workers` does.

        Raises:
            RuntimeError: If the server is not open.

        """
        return self.metrics

    @property
    def data_plane(self) -> str:
        """What passes datagrams on: ``python`` or ``compiled``."""
        return "compiled" if self._path is not None and self._path.is_compiled else "python"

    @property
    def draining(self) -> bool:
        """Whether new allocations are refused because the server is about to stop."""
        return self._running().draining

    def drain(self) -> None:
        """Allow no new allocation from now on; those that are there go on."""
        self._running().drain()
        left = self.metrics.allocations
        logger.log(self._level, "TURN: draining, %d allocations are left", left)

    def end_call(self, call: str) -> None:
        """Let the allocations end that were made with credentials for this call.

        They go on for ``call_end_grace`` seconds; new ones are refused from now on.  Harmless for
        a call that has none, or when said twice.  A worker speaks for itself: who has several
        tells :meth:`Workers.end_call <ringline.turn.io_workers.Workers.end_call>`.
        """
        self._running().handle_call_ended(call, self._loop.time())
        self._data_path().settle()

    def deny_own_port(self, port: int) -> None:
        """Let no client reach a port that this process listens on, whatever range is open."""
        self._running().deny_own_port(port)

    def reload(self) -> None:
        """Read again what may have changed: this machine's addresses, certificate and key.

        Connections that are open keep the old certificate.

        Raises:
            ConfigError: If they cannot be read; the old ones stay in force.

        """
        self.read_interfaces()
        if self._tls is not None:
            check_certificate(self._config)  # before the live one is touched
            load_certificate(self._tls, self._config)
        logger.log(self._level, "TURN: reloaded %s", what_is_reloaded(self._config))

    def read_interfaces(self) -> None:
        """Find out which addresses are ours, whatever they are used for: no client is led there.

        Where the system does not tell, what was known stays.
        """
        hosts = interface_addresses()
        if hosts is not None:
            self._running().set_interfaces(hosts)

    async def _listen(self) -> None:
        """Open the UDP sockets and the listeners of connections, UDP and TCP on one port."""
        config = self._config
        if self._place is not None:
            await self._inherit(self._place)
            return
        attempts = 1 if config.port else FREE_PORT_ATTEMPTS
        for attempt in range(attempts):
            try:
                self._listen_udp(config)
                await self._listen_streams(self.port)
            except ListenError:
                self._close_listeners()
                await self._close_streams()
                if attempt + 1 == attempts:
                    raise
            else:
                return

    def _listen_udp(self, config: TurnConfig) -> None:
        port = config.port
        for host in config.hosts:
            try:
                listener = open_udp(host, port, buffer=LISTENER_BUFFER)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                where = format_address((host, port))
                is_last = not self._listeners and host == config.hosts[-1]
                if host in _WILDCARDS and error.errno in NO_SUCH_FAMILY and not is_last:
                    logger.warning("TURN: not listening on %s: %s", where, reason)
                    continue
                raise ListenError(
                    f"TURN: cannot listen on {where}/udp: {reason}", "host", "port"
                ) from None
            self._listeners[family_of(host)] = listener
            port = listener.getsockname()[1]  # where any would do, the first one decides
        self._serve_by_datagram(port)

    def _serve_by_datagram(self, port: int) -> None:
        hosts = self._config.hosts
        served = tuple(host for host in hosts if family_of(host) in self._listeners)
        self._config = dataclasses.replace(self._config, host=served, port=port)

    def _relay_hosts(self) -> dict[AddressFamily, str]:
        """Return where relays of a family are opened, if that is one address for all clients."""
        named = {family_of(each): each for each in self.hosts if each not in _WILDCARDS}
        return {**named, **self._config.relay_addresses}

    async def _inherit(self, place: WorkerPlace) -> None:
        """Take the sockets that the supervisor has bound.

        What fails here ends the worker, and with the process what it holds.
        """
        for host, listener in place.sockets["udp"].items():
            self._listeners[family_of(host)] = listener
        self._serve_by_datagram(self._config.port)
        if self._config.tcp:
            await self._listen_stream("tcp", self.port, None, place.sockets["tcp"])
        if self._tls is not None:
            await self._listen_stream("tls", self._config.tls_port, self._tls, place.sockets["tls"])

    def _close_listeners(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    async def _listen_streams(self, port: int) -> None:
        if self._config.tcp:
            await self._listen_stream("tcp", port, None)
        if self._tls is not None:
            await self._listen_stream("tls", self._config.tls_port, self._tls)

    async def _listen_stream(
        self,
        transport: Literal["tcp", "tls"],
        port: int,
        tls: ssl.SSLContext | None,
        bound: Mapping[str, socket.socket] | None = None,
    ) -> None:
        listener = StreamListener(
            self._config,
            transport,
            on_dropped=self._count_drop,
            on_message=lambda message, client: self._data_path().handle_message(message, client),
            on_closed=lambda client: self._data_path().handle_closed(client),
            has_allocation=lambda client: self._running().has_allocation(client),
        )
        self._streams[transport] = listener
        await listener.open(port, tls, bound=bound)

    async def _close_streams(self) -> None:
        for listener in self._streams.values():
            await listener.close()
        self._streams.clear()

    async def close(self) -> None:
        """Close every socket; allocations end without a word.  Harmless when closed already."""
        await self._close_streams()
        if self._path is not None:
            await self._path.close()
        elif self._place is not None:
            self._place.link.close()
        if self._listeners:
            self._close_listeners()
            logger.log(self._level, "TURN: closed port %d/udp", self.port)

    def _running(self) -> TurnServer:
        if self._core is None:
            raise RuntimeError("the TURN server is not open")
        return self._core

    def _data_path(self) -> DataPath:
        if self._path is None:
            raise RuntimeError("the TURN server is not open")
        return self._path

    def _count_drop(self, reason: DropReason) -> None:
        self._running().metrics.dropped[reason] += 1


def log_listening(hosts: Sequence[str], ports: Mapping[str, int], level: int) -> None:
    """Log where a server listens, with the port of each transport."""
    for transport, port in ports.items():
        for host in hosts:
            logger.log(level, "TURN: listening on %s/%s", format_address((host, port)), transport)


def what_is_reloaded(config: TurnConfig) -> str:
    """Return what a reload reads again, in words."""
    what = "this machine's addresses"
    return what if config.tls_certificate is None else f"{what}, certificate and key"
