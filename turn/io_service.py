"""TurnService: the sockets and the clock of the TURN server, on asyncio.

One UDP socket of each family for all clients beside the connections of
:mod:`~ringline.turn.io_stream`, one socket per relay, one timer.  The UDP sockets are read by
``loop.add_reader`` and written at once, without asyncio's transports between: a relay must not
queue what the network does not take, and a wake-up can then read all that has come instead of one
datagram.  What a wake-up passes on is sent at its end, together where it goes to one address
(:mod:`~ringline.turn.io_burst`).

There are no decisions here: each datagram goes to :class:`~ringline.turn.server.TurnServer`, and
what it commands is done before the next one is read, but for the sending.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import ipaddress
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from ringline.turn.addresses import (
    Address,
    AddressFamily,
    ClientSocket,
    family_of,
    format_address,
)
from ringline.turn.bandwidth import TokenBucket
from ringline.turn.commands import (
    ClosePeer,
    CloseRelay,
    ConnectPeer,
    JoinPeer,
    OpenFlow,
    OpenRelay,
    SendToClient,
    SendToPeer,
    SetChannel,
    TellWorker,
)
from ringline.turn.config import TurnConfig
from ringline.turn.errors import ConfigError, ListenError
from ringline.turn.io_burst import Burst
from ringline.turn.io_icmp import (
    CAN_READ_ERRORS,
    REPORTED,
    ErrorQueues,
    send_past_report,
)
from ringline.turn.io_interfaces import interface_addresses
from ringline.turn.io_peer import PeerStreams
from ringline.turn.io_socket import CAN_SET_DONT_FRAGMENT, open_udp, send_unfragmented
from ringline.turn.io_stream import StreamListener
from ringline.turn.metrics import DropReason, TurnMetrics
from ringline.turn.outbox import Outbox
from ringline.turn.server import TurnServer

if TYPE_CHECKING:
    from ringline.turn._relay import DataPlane
    from ringline.turn.io_link import Link, WorkerPlace

__all__ = ["FREE_PORT_ATTEMPTS", "LISTENER_BUFFER", "TurnService", "check_certificate"]

logger = logging.getLogger(__name__)

_BATCH: Final = 32
"""Datagrams read in one wake-up of a socket, so that a busy one does not starve the others."""

FREE_PORT_ATTEMPTS: Final = 20
"""Where any free port will do, it has to be free for TCP as well."""

_PLANE_INTERFACE: Final = 3
"""Of the compiled data plane that this file can work with: INTERFACE of ``_relay.c``."""

_DATAGRAM: Final = 65_536  # the largest there is
LISTENER_BUFFER: Final = 4 << 20
"""Bytes: a burst of key frames from every client; the kernel may cap it."""


_RESEND: Final = 0.1  # seconds until another worker that was full is tried again

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_NO_SUCH_FAMILY: Final = frozenset(
    {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH}
)
_ANYWHERE: Final = {AddressFamily.IPV4: "192.0.2.1", AddressFamily.IPV6: "2001:db8::1"}
"""Somewhere in the Internet, to ask the kernel for the route to; nothing is ever sent there."""

_LOOPBACK: Final = {AddressFamily.IPV4: "127.0.0.1", AddressFamily.IPV6: "::1"}


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
        self._config = config
        self._wall_clock: Final = wall_clock
        self._relays4: Final[dict[int, socket.socket]] = {}
        self._relays6: Final[dict[int, socket.socket]] = {}
        self._listeners: Final[dict[AddressFamily, socket.socket]] = {}
        self._listener4: socket.socket | None = None  # the same, for the data path
        self._listener6: socket.socket | None = None
        self._relay_hosts: dict[AddressFamily, str] = {}  # where it is one for all clients
        self._offloaded: Final[set[int]] = set()  # relay ports that the data plane knows
        self._streams: Final[dict[str, StreamListener]] = {}  # by transport
        self._tls: ssl.SSLContext | None = None
        self._plane: DataPlane | None = None
        self._core: TurnServer | None = None
        self._burst: Final = Burst(lambda error: self._count_failure(self._running(), error))
        self._errors: ErrorQueues | None = None  # where the system has such
        self._peers: PeerStreams | None = None  # where relays over TCP are on
        self._timer: asyncio.Handle | None = None
        self._due: float | None = None  # when that is; uvloop's own does not tell if it is now
        self._resender: asyncio.TimerHandle | None = None
        self._loop: Final = asyncio.get_running_loop()

    @classmethod
    async def start(cls, config: TurnConfig) -> Self:
        """Open a server.

        Raises:
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
        core = self._running()
        self._count_passed(core)
        return core.metrics

    async def open(self) -> None:
        """Bind the listening socket and begin to serve; once.

        Raises:
            ListenError: If the port is taken or the address is not ours.
            RuntimeError: If it was opened before: a server is opened once.

        """
        if self._core is not None:
            raise RuntimeError("a TURN server is opened once; this one was")
        config = self._config
        if config.tls_certificate is not None:
            self._tls = _tls_context(config)
        await self._listen()
        try:
            self._plane = _make_data_plane(config.data_plane, self._listener4)
        except ConfigError:
            self._close_listeners()
            await self._close_streams()
            raise
        self._core = TurnServer(
            self._config,
            wall_clock=self._wall_clock,
            dont_fragment=CAN_SET_DONT_FRAGMENT,
            offload=self._plane is not None,
            make_bucket=TokenBucket if self._plane is None else self._plane.make_bucket,
            fleet=None if self._place is None else self._place.fleet,
        )
        self.read_interfaces()
        if CAN_READ_ERRORS:
            self._errors = ErrorQueues(self._handle_icmp)
            self._loop.add_reader(self._errors.fileno(), self._errors.read)
        if self._place is not None:
            link = self._place.link
            self._loop.add_reader(link.fileno(), self._read_link, link, self._core)
            link.greet()
            self._resend_later(link)
        if config.tcp_allocations:
            self._peers = PeerStreams(self._core, self._settle)
        if self.tls_port is not None:
            self._core.deny_own_port(self.tls_port)
        for family, listener in self._listeners.items():
            if self._plane is None or family is AddressFamily.IPV6:
                self._loop.add_reader(listener, self._read_listener, listener, self._core)
        if self._plane is not None:
            self._loop.add_reader(self._plane.fileno(), self._read_plane, self._plane, self._core)
        for host in self.hosts:
            logger.info("TURN: listening on %s/udp", format_address((host, self.port)))

    async def read_metrics(self) -> TurnMetrics:
        """Return the counters of this moment, as :class:`~ringline.turn.io_workers.Workers` does.

        Raises:
            RuntimeError: If the server is not open.

        """
        return self.metrics

    @property
    def data_plane(self) -> str:
        """What passes datagrams on: ``python`` or ``compiled``."""
        return "python" if self._plane is None else "compiled"

    @property
    def draining(self) -> bool:
        """Whether new allocations are refused because the server is about to stop."""
        return self._running().draining

    def drain(self) -> None:
        """Allow no new allocation from now on; those that are there go on."""
        self._running().drain()
        logger.info("TURN: draining, %d allocations are left", self.metrics.allocations)

    def end_call(self, call: str) -> None:
        """Let the allocations end that were made with credentials for this call.

        They go on for ``call_end_grace`` seconds; new ones are refused from now on.  Harmless for
        a call that has none, or when said twice.  A worker speaks for itself: who has several
        tells :meth:`Workers.end_call <ringline.turn.io_workers.Workers.end_call>`.
        """
        core = self._running()
        core.handle_call_ended(call, self._loop.time())
        self._arm(core)

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
            _load_certificate(self._tls, self._config)
            logger.info("TURN: the certificate was read again")

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
                if host in _WILDCARDS and error.errno in _NO_SUCH_FAMILY and not is_last:
                    logger.warning("TURN: not listening on %s: %s", where, reason)
                    continue
                raise ListenError(f"TURN: cannot listen on {where}/udp: {reason}") from None
            self._listeners[family_of(host)] = listener
            port = listener.getsockname()[1]  # where any would do, the first one decides
        self._serve_by_datagram(port)

    def _serve_by_datagram(self, port: int) -> None:
        hosts = self._config.hosts
        served = tuple(host for host in hosts if family_of(host) in self._listeners)
        self._config = dataclasses.replace(self._config, host=served, port=port)
        self._listener4 = self._listeners.get(AddressFamily.IPV4)
        self._listener6 = self._listeners.get(AddressFamily.IPV6)
        named = {family_of(each): each for each in served if each not in _WILDCARDS}
        self._relay_hosts = {**named, **self._config.relay_addresses}

    async def _inherit(self, place: WorkerPlace) -> None:
        """Take the sockets that the supervisor has bound."""
        for host, listener in place.sockets["udp"].items():
            self._listeners[family_of(host)] = listener
        self._serve_by_datagram(self._config.port)
        if self._config.tcp:
            await self._listen_stream("tcp", self.port, None, place.sockets["tcp"])
        if self._tls is not None:
            await self._listen_stream("tls", self._config.tls_port, self._tls, place.sockets["tls"])

    def _close_listeners(self) -> None:
        for listener in self._listeners.values():
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        self._listener4 = self._listener6 = None

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
            on_message=self._handle_message,
            on_closed=self._handle_closed,
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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._due = None
        await self._close_streams()
        if self._peers is not None:
            self._peers.close()
            await asyncio.sleep(0)  # they hear of it in the next turn of the loop
        for port in self._relays4.keys() | self._relays6.keys():
            self._close_relay(port, None)
        if self._place is not None:
            self._loop.remove_reader(self._place.link.fileno())
            if self._resender is not None:
                self._resender.cancel()
            self._place.link.close()
        if self._errors is not None:
            self._loop.remove_reader(self._errors.fileno())
            self._errors.close()
            self._errors = None
        if self._plane is not None:
            self._loop.remove_reader(self._plane.fileno())
            if self._core is not None:
                self._count_passed(self._core)
            self._plane.close()
            self._plane = None
        if self._listeners:
            self._close_listeners()
            logger.info("TURN: closed port %d/udp", self.port)

    def _running(self) -> TurnServer:
        if self._core is None:
            raise RuntimeError("the TURN server is not open")
        return self._core

    def _handle_message(self, message: bytes, client: ClientSocket) -> None:
        """Take what a connection brought."""
        core = self._running()
        core.handle_client_datagram(message, client, self._loop.time())
        self._perform(core)
        self._arm(core)

    def _handle_icmp(
        self, relay_port: int, peer: Address, icmp_type: int, code: int, mtu: int
    ) -> None:
        core = self._running()
        core.handle_peer_icmp(relay_port, peer, icmp_type, code, self._loop.time(), mtu=mtu)
        self._perform(core)

    def _handle_closed(self, client: ClientSocket) -> None:
        core = self._running()
        core.handle_client_closed(client)
        self._perform(core)
        self._arm(core)

    def _count_drop(self, reason: DropReason) -> None:
        self._running().metrics.dropped[reason] += 1

    def _read_listener(self, listener: socket.socket, core: TurnServer) -> None:
        now = self._loop.time()
        receive, handle = listener.recvfrom, core.handle_client_datagram
        for _ in range(_BATCH):
            try:
                data, source = receive(_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._count_failure(core, error)
                break
            handle(data, (source[0], source[1], "udp"), now)
            if core.has_command:
                self._perform(core)
        self._empty(core.outbox)
        self._arm(core)

    def _read_plane(self, plane: DataPlane, core: TurnServer) -> None:
        """Let the compiled data plane work, and do what it leaves."""
        now = self._loop.time()
        left = plane.run(now)
        if not left:
            return  # the core has heard of nothing, so that no timer changes
        for port, data, host, source_port in left:
            if port == 0:
                core.handle_client_datagram(data, (host, source_port, "udp"), now)
            else:
                core.handle_peer_datagram(port, data, (host, source_port), now)
            if core.has_command:
                self._perform(core)
        self._empty(core.outbox)
        self._arm(core)

    def _count_passed(self, core: TurnServer) -> None:
        """Add what the data plane has counted, which it does by itself until somebody asks."""
        if self._plane is None:
            return
        to_peer, to_peer_bytes, to_client, to_client_bytes, inside, failed, over = (
            self._plane.take_counts()
        )
        metrics = core.metrics
        metrics.client_to_peer_datagrams += to_peer
        metrics.client_to_peer_bytes += to_peer_bytes
        metrics.peer_to_client_datagrams += to_client
        metrics.peer_to_client_bytes += to_client_bytes
        metrics.relayed_inside += inside
        metrics.dropped[DropReason.SOCKET] += failed
        metrics.dropped[DropReason.BANDWIDTH] += over

    def _read_relay(self, port: int, relay: socket.socket, core: TurnServer) -> None:
        now = self._loop.time()
        receive, handle = relay.recvfrom, core.handle_peer_datagram
        for _ in range(_BATCH):
            try:
                data, source = receive(_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in REPORTED:
                    continue  # the error queue says it all
                self._count_failure(core, error)
                break
            handle(port, data, source[:2], now)
        self._empty(core.outbox)  # a peer makes the core command nothing, and moves no deadline

    def _read_link(self, link: Link, core: TurnServer) -> None:
        """Take what other workers say."""
        now = self._loop.time()
        for _ in range(_BATCH):
            received = link.receive()
            if received is None:
                break
            message, relay = received
            port = 0
            if relay is not None:  # it is ours from now on
                port = relay.getsockname()[1]
                self._add_relay(port, relay, core)
            core.handle_worker_message(message, now, relay_port=port)
            self._perform(core)
        self._arm(core)

    def _tell_worker(self, core: TurnServer, command: TellWorker) -> None:
        port = command.relay_port
        relay = None
        if port is not None:
            relay = self._relays4.pop(port, None) or self._relays6.pop(port)
            self._ignore_relay(relay)
        place = self._place
        try:
            if place is not None and (command.is_data or relay is not None):
                place.link.send(command.worker, command.message, relay)
            elif place is not None:
                place.link.send_surely(command.worker, command.message)
                self._resend_later(place.link)
        except OSError as error:
            self._count_failure(core, error)
            if port is not None:
                core.handle_relay_returned(port)
        finally:
            if relay is not None:
                relay.close()

    def _resend_later(self, link: Link) -> None:
        if link.has_kept and self._resender is None:
            self._resender = self._loop.call_later(_RESEND, self._resend, link)

    def _resend(self, link: Link) -> None:
        self._resender = None
        link.resend()
        self._resend_later(link)

    def _perform(self, core: TurnServer) -> None:
        """Do what the core commands, until there is nothing left (the drain rule)."""
        self._empty(core.outbox)  # first, as sockets may be closed or given away now
        while (command := core.poll_command()) is not None:
            if isinstance(command, SendToClient):
                self._send_to_client(command.client, [command.data])
            elif isinstance(command, SendToPeer):
                self._send_to_peer(core, command)
            elif isinstance(command, OpenRelay):
                self._open_relay(core, command)
            elif isinstance(command, CloseRelay):
                self._close_relay(command.relay_port, command.family)
            elif isinstance(command, TellWorker):
                self._tell_worker(core, command)
            elif isinstance(command, ConnectPeer | JoinPeer | ClosePeer):
                self._perform_tcp(command)
            elif self._plane is not None:
                self._tell_plane(self._plane, command)

    def _empty(self, outbox: Outbox) -> None:
        """Send what the core has passed on."""
        send = self._burst.send
        for (port, peer), datagrams in outbox.to_peers.items():
            relays = self._relays6 if ":" in peer[0] else self._relays4
            send(relays[port], peer, datagrams)
        for client, datagrams in outbox.to_clients.items():
            self._send_to_client(client, datagrams)
        outbox.clear()

    def _send_to_client(self, client: ClientSocket, datagrams: list[bytes]) -> None:
        host, port, transport = client
        if transport != "udp":
            for data in datagrams:
                self._streams[transport].send(client, data)
            return
        listener = self._listener6 if ":" in host else self._listener4
        if listener is not None:  # else closed in this very turn of the loop
            self._burst.send(listener, (host, port), datagrams)

    def _send_to_peer(self, core: TurnServer, command: SendToPeer) -> None:
        relays = self._relays6 if ":" in command.peer[0] else self._relays4
        relay = relays[command.relay_port]
        if not command.dont_fragment:
            self._burst.send(relay, command.peer, [command.data])
            return
        try:
            send_past_report(send_unfragmented, relay, command)
        except OSError as error:
            self._count_failure(core, error)

    def _perform_tcp(self, command: ConnectPeer | JoinPeer | ClosePeer) -> None:
        peers = self._peers
        if peers is None:
            return
        if isinstance(command, ConnectPeer):
            peers.connect(command.number, command.relay_port, command.to)
        elif isinstance(command, ClosePeer):
            peers.close_peer(command.number)
        else:
            listener = self._streams.get(command.client.transport)
            client = None if listener is None else listener.data_connection(command.client)
            if client is not None:
                peers.join(command.number, client, command.buckets)

    def _settle(self) -> None:
        core = self._running()
        self._perform(core)
        self._arm(core)

    def _tell_plane(self, plane: DataPlane, command: OpenFlow | SetChannel) -> None:
        """Tell the data plane what it can do; it speaks IPv4, and leaves the rest to the core."""
        port = command.relay_port
        if isinstance(command, SetChannel):
            if port in self._offloaded and ":" not in command.peer[0]:
                plane.set_channel(
                    port, command.number, command.peer, command.expires_at, command.relayed_only
                )
            return
        relayed = next((each for each in command.relayed if ":" not in each[0]), None)
        if relayed is None:
            return
        if port in self._offloaded:  # its client has moved
            plane.close_flow(port)
        client, relay = command.client, self._relays4[port]
        if client.transport == "udp" and ":" not in client.host:
            self._loop.remove_reader(relay)
            plane.open_flow(port, relay.fileno(), client.address, relayed, command.buckets)
        else:  # what goes to this client is not for the plane
            plane.open_flow(port, -1, relayed, relayed)
            self._loop.add_reader(relay, self._read_relay, port, relay, self._running())
        self._offloaded.add(port)

    def _open_relay(self, core: TurnServer, command: OpenRelay) -> None:
        port, now = command.relay_port, self._loop.time()
        try:
            host = self._relay_host(command.client, command.family)
            if command.transport == "tcp" and self._peers is not None:
                self._peers.open_relay(port, host)
                core.handle_relay_opened(port, host, now)
                return
            relay = open_udp(host, port)
        except OSError as error:
            logger.debug("TURN: cannot open a relay on port %d: %s", port, error)
            core.handle_relay_failed(port, now, has_address=error.errno not in _NO_SUCH_FAMILY)
            return
        self._add_relay(port, relay, core)
        core.handle_relay_opened(port, host, now)

    def _close_relay(self, port: int, family: AddressFamily | None) -> None:
        if self._peers is not None:
            self._peers.close_relay(port)
        for each, relays in (
            (AddressFamily.IPV4, self._relays4),
            (AddressFamily.IPV6, self._relays6),
        ):
            relay = relays.pop(port, None) if family in (None, each) else None
            if relay is None:
                continue
            if self._plane is not None and relays is self._relays4:
                self._plane.close_flow(port)
                self._offloaded.discard(port)
            self._ignore_relay(relay)
            relay.close()

    def _add_relay(self, port: int, relay: socket.socket, core: TurnServer) -> None:
        relays = self._relays6 if relay.family == socket.AF_INET6 else self._relays4
        relays[port] = relay
        if self._plane is None or relays is self._relays6:  # else OpenFlow tells who reads it
            self._loop.add_reader(relay, self._read_relay, port, relay, core)
        if self._errors is not None:
            self._errors.watch(port, relay)

    def _ignore_relay(self, relay: socket.socket) -> None:
        self._loop.remove_reader(relay)
        if self._errors is not None:
            self._errors.forget(relay)

    def _relay_host(self, client: ClientSocket, family: AddressFamily) -> str:
        """Return the address that a relay of a family is opened on.

        Raises:
            OSError: If this machine has none.

        """
        fixed = self._relay_hosts.get(family)
        if fixed is not None:
            return fixed
        # Connecting a datagram socket sends nothing; it only asks the kernel for the route.
        kind = socket.AF_INET6 if family is AddressFamily.IPV6 else socket.AF_INET
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.connect((_towards(client.host, family), client.port))
            facing: str = probe.getsockname()[0]
        return facing

    def _arm(self, core: TurnServer) -> None:
        """Set the one timer to when the core wants it; on the data path that is one comparison."""
        due = core.poll_timeout()
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = None if due is None else self._loop.call_at(due, self._on_timer, core)

    def _on_timer(self, core: TurnServer) -> None:
        self._timer = self._due = None
        core.handle_timeout(self._loop.time())
        self._perform(core)
        self._arm(core)

    def _count_failure(self, core: TurnServer, error: OSError) -> None:
        core.metrics.dropped[DropReason.SOCKET] += 1
        logger.debug("TURN: socket: %s", error)


def _towards(client: str, family: AddressFamily) -> str:
    """Return a host of a family that lies where the client is."""
    if family_of(client) is family:
        return client
    return (_LOOPBACK if ipaddress.ip_address(client).is_loopback else _ANYWHERE)[family]


def _make_data_plane(wanted: str, listener: socket.socket | None) -> DataPlane | None:
    """Return the compiled data plane; :obj:`None` for the way that is there everywhere.

    Args:
        wanted: What is configured.
        listener: The IPv4 one, if there is one.

    Raises:
        ConfigError: If it is wanted and was not built, or not from this version, or has nothing to
            listen on.

    """
    if wanted == "python":
        return None
    try:
        from ringline.turn import _relay  # noqa: PLC0415 - it may not be there
    except ImportError as error:
        if wanted == "compiled":
            raise ConfigError(
                f"data_plane: the compiled one was not built here ({error}); it needs Linux and, "
                "when Ringline is installed, a C compiler"
            ) from None
        return None
    if getattr(_relay, "INTERFACE", None) != _PLANE_INTERFACE:
        stale = (
            "the compiled data plane was built from another version of Ringline; install Ringline "
            "again (pip install --editable . in a checkout)"
        )
        if wanted == "compiled":
            raise ConfigError(f"data_plane: {stale}")
        logger.warning("TURN: %s; datagrams are passed on by Python, which is slower", stale)
        return None
    if listener is None:
        if wanted == "compiled":
            raise ConfigError("data_plane: the compiled one is for IPv4, which host does not name")
        return None
    return _relay.DataPlane(listener.fileno())


def check_certificate(config: TurnConfig) -> None:
    """Find out whether certificate and key can be used.

    Raises:
        ConfigError: If not.

    """
    if config.tls_certificate is not None:
        _tls_context(config)


def _tls_context(config: TurnConfig) -> ssl.SSLContext:
    """Return what TLS connections are accepted with.

    Raises:
        ConfigError: If certificate or key cannot be used.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 §3.1.1
    _load_certificate(context, config)
    return context


def _load_certificate(context: ssl.SSLContext, config: TurnConfig) -> None:
    assert config.tls_certificate is not None  # noqa: S101 - the caller has looked
    try:
        context.load_cert_chain(config.tls_certificate, config.tls_private_key)
    except (OSError, ssl.SSLError) as error:
        files = config.tls_certificate
        if config.tls_private_key is not None:
            files += f", {config.tls_private_key}"
        raise ConfigError(f"tls_certificate: cannot use {files}: {error}") from None
