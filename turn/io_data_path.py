"""Data path: the sockets that datagrams come and go by, and what the core commands done with them.

::

    listener ──> _read_listener ─┐                           ┌─> outbox ───> _empty ──> io_burst
    relay ─────> _read_relay ────┼─> TurnServer.handle_... ──┤
    io_stream ─> handle_message ─┤                           └─> commands ─> _perform ─> sockets
    io_link ───> _read_link ─────┘
    the compiled data plane ──> _read_plane: what it leaves

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
import errno
import logging
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ringline.turn.addresses import Address, AddressFamily, ClientSocket
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
from ringline.turn.io_burst import Burst
from ringline.turn.io_icmp import CAN_READ_ERRORS, REPORTED, ErrorQueues, send_past_report
from ringline.turn.io_interfaces import address_facing
from ringline.turn.io_peer import PeerStreams
from ringline.turn.io_socket import open_udp, send_unfragmented
from ringline.turn.io_stream import StreamListener
from ringline.turn.metrics import DropReason
from ringline.turn.outbox import Outbox
from ringline.turn.server import TurnServer

if TYPE_CHECKING:
    from ringline.turn._relay import DataPlane
    from ringline.turn.io_link import Link

__all__ = ["NO_SUCH_FAMILY", "DataPath"]

logger = logging.getLogger(__name__)

NO_SUCH_FAMILY: Final = frozenset(
    {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH}
)
"""What the system says where this machine has no address of a family."""

_BATCH: Final = 32
"""Datagrams read in one wake-up of a socket, so that a busy one does not starve the others."""

_DATAGRAM: Final = 65_536  # the largest there is
_RESEND: Final = 0.1  # seconds until another worker that was full is tried again


class DataPath:
    """What joins a core to its sockets, from :meth:`open` to :meth:`close`.

    Args:
        core: Whose commands are done.
        listeners: UDP sockets for clients; they are closed by who has bound them.
        streams: Listeners of connections, by transport.
        relay_hosts: Where relays of a family are opened, if that is one address for all clients.
        plane: The compiled data plane, if there is one; it is closed with this.
        link: To the other workers, if this is one of several; likewise.

    """

    def __init__(
        self,
        core: TurnServer,
        *,
        listeners: Mapping[AddressFamily, socket.socket],
        streams: Mapping[str, StreamListener],
        relay_hosts: Mapping[AddressFamily, str],
        plane: DataPlane | None,
        link: Link | None,
    ) -> None:
        self._core: Final = core
        self._streams: Final = streams
        self._relay_hosts: Final = relay_hosts
        self._plane = plane
        self._link: Final = link
        self._loop: Final = asyncio.get_running_loop()
        self._listener4 = listeners.get(AddressFamily.IPV4)
        self._listener6 = listeners.get(AddressFamily.IPV6)
        self._relays4: Final[dict[int, socket.socket]] = {}
        self._relays6: Final[dict[int, socket.socket]] = {}
        self._offloaded: Final[set[int]] = set()  # relay ports that the data plane knows
        self._burst: Final = Burst(self._count_failure)
        self._errors: ErrorQueues | None = None  # where the system has such
        self._peers: PeerStreams | None = None  # where relays over TCP are on
        self._timer: asyncio.Handle | None = None
        self._due: float | None = None  # when that is; uvloop's own does not tell if it is now
        self._resender: asyncio.TimerHandle | None = None

    def open(self, *, tcp_allocations: bool) -> None:
        """Begin to read; once."""
        add_reader = self._loop.add_reader
        if CAN_READ_ERRORS:
            self._errors = ErrorQueues(self._handle_icmp)
            add_reader(self._errors.fileno(), self._errors.read)
        if self._link is not None:
            add_reader(self._link.fileno(), self._read_link, self._link)
            self._link.greet()
            self._resend_later(self._link)
        if tcp_allocations:
            self._peers = PeerStreams(self._core, self.settle)
        if self._plane is not None:
            add_reader(self._plane.fileno(), self._read_plane, self._plane)
        elif self._listener4 is not None:
            add_reader(self._listener4, self._read_listener, self._listener4)
        if self._listener6 is not None:
            add_reader(self._listener6, self._read_listener, self._listener6)

    async def close(self) -> None:
        """Close every relay, and read nothing any more.  Harmless when closed already."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._due = None
        if self._peers is not None:
            self._peers.close()
            await asyncio.sleep(0)  # they hear of it in the next turn of the loop
        for port in self._relays4.keys() | self._relays6.keys():
            self._close_relay(port, None)
        if self._link is not None:
            self._loop.remove_reader(self._link.fileno())
            if self._resender is not None:
                self._resender.cancel()
            self._link.close()
        if self._errors is not None:
            self._loop.remove_reader(self._errors.fileno())
            self._errors.close()
            self._errors = None
        if self._plane is not None:
            self._loop.remove_reader(self._plane.fileno())
            self.count_passed()
            self._plane.close()
            self._plane = None
        for listener in (self._listener4, self._listener6):
            if listener is not None:
                self._loop.remove_reader(listener)
        self._listener4 = self._listener6 = None

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled data plane passes datagrams on."""
        return self._plane is not None

    def settle(self) -> None:
        """Do what the core wants done, after an input that did not come by way of here."""
        self._perform()
        self._arm()

    def count_passed(self) -> None:
        """Add what the data plane has counted, which it does by itself until somebody asks."""
        if self._plane is None:
            return
        to_peer, to_peer_bytes, to_client, to_client_bytes, inside, failed, over = (
            self._plane.take_counts()
        )
        metrics = self._core.metrics
        metrics.client_to_peer_datagrams += to_peer
        metrics.client_to_peer_bytes += to_peer_bytes
        metrics.peer_to_client_datagrams += to_client
        metrics.peer_to_client_bytes += to_client_bytes
        metrics.relayed_inside += inside
        metrics.dropped[DropReason.SOCKET] += failed
        metrics.dropped[DropReason.BANDWIDTH] += over

    # Inputs

    def handle_message(self, message: bytes, client: ClientSocket) -> None:
        """Take what a client's connection brought."""
        self._core.handle_client_datagram(message, client, self._loop.time())
        self.settle()

    def handle_closed(self, client: ClientSocket) -> None:
        """Take that a client's connection is gone."""
        self._core.handle_client_closed(client)
        self.settle()

    def _handle_icmp(
        self, relay_port: int, peer: Address, icmp_type: int, code: int, mtu: int
    ) -> None:
        self._core.handle_peer_icmp(relay_port, peer, icmp_type, code, self._loop.time(), mtu=mtu)
        self._perform()

    def _read_listener(self, listener: socket.socket) -> None:
        core, now = self._core, self._loop.time()
        receive, handle = listener.recvfrom, core.handle_client_datagram
        for _ in range(_BATCH):
            try:
                data, source = receive(_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._count_failure(error)
                break
            handle(data, (source[0], source[1], "udp"), now)
            if core.has_command:
                self._perform()
        self._empty(core.outbox)
        self._arm()

    def _read_relay(self, port: int, relay: socket.socket) -> None:
        core, now = self._core, self._loop.time()
        receive, handle = relay.recvfrom, core.handle_peer_datagram
        for _ in range(_BATCH):
            try:
                data, source = receive(_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in REPORTED:
                    continue  # the error queue says it all
                self._count_failure(error)
                break
            handle(port, data, source[:2], now)
        self._empty(core.outbox)  # a peer makes the core command nothing, and moves no deadline

    def _read_plane(self, plane: DataPlane) -> None:
        """Let the compiled data plane work, and do what it leaves."""
        core, now = self._core, self._loop.time()
        left = plane.run(now)
        if not left:
            return  # the core has heard of nothing, so that no timer changes
        for port, data, host, source_port in left:
            if port == 0:
                core.handle_client_datagram(data, (host, source_port, "udp"), now)
            else:
                core.handle_peer_datagram(port, data, (host, source_port), now)
            if core.has_command:
                self._perform()
        self._empty(core.outbox)
        self._arm()

    def _read_link(self, link: Link) -> None:
        """Take what other workers say."""
        core, now = self._core, self._loop.time()
        for _ in range(_BATCH):
            received = link.receive()
            if received is None:
                break
            message, relay = received
            port = 0
            if relay is not None:  # it is ours from now on
                port = relay.getsockname()[1]
                self._add_relay(port, relay)
            core.handle_worker_message(message, now, relay_port=port)
            self.settle()

    # Commands

    def _perform(self) -> None:
        """Do what the core commands, until there is nothing left (the drain rule)."""
        core = self._core
        self._empty(core.outbox)  # first, as sockets may be closed or given away now
        while (command := core.poll_command()) is not None:
            if isinstance(command, SendToClient):
                self._send_to_client(command.client, [command.data])
            elif isinstance(command, SendToPeer):
                self._send_to_peer(command)
            elif isinstance(command, OpenRelay):
                self._open_relay(command)
            elif isinstance(command, CloseRelay):
                self._close_relay(command.relay_port, command.family)
            elif isinstance(command, TellWorker):
                self._tell_worker(command)
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

    def _send_to_peer(self, command: SendToPeer) -> None:
        relays = self._relays6 if ":" in command.peer[0] else self._relays4
        relay = relays[command.relay_port]
        if not command.dont_fragment:
            self._burst.send(relay, command.peer, [command.data])
            return
        try:
            send_past_report(send_unfragmented, relay, command)
        except OSError as error:
            self._count_failure(error)

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
            self._loop.add_reader(relay, self._read_relay, port, relay)
        self._offloaded.add(port)

    def _open_relay(self, command: OpenRelay) -> None:
        core, port, now = self._core, command.relay_port, self._loop.time()
        try:
            host = self._relay_hosts.get(command.family)
            if host is None:
                host = address_facing(command.client.address, command.family)
            if command.transport == "tcp" and self._peers is not None:
                self._peers.open_relay(port, host)
                core.handle_relay_opened(port, host, now)
                return
            relay = open_udp(host, port)
        except OSError as error:
            logger.debug("TURN: cannot open a relay on port %d: %s", port, error)
            core.handle_relay_failed(port, now, has_address=error.errno not in NO_SUCH_FAMILY)
            return
        self._add_relay(port, relay)
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

    def _add_relay(self, port: int, relay: socket.socket) -> None:
        relays = self._relays6 if relay.family == socket.AF_INET6 else self._relays4
        relays[port] = relay
        if self._plane is None or relays is self._relays6:  # else OpenFlow tells who reads it
            self._loop.add_reader(relay, self._read_relay, port, relay)
        if self._errors is not None:
            self._errors.watch(port, relay)

    def _ignore_relay(self, relay: socket.socket) -> None:
        self._loop.remove_reader(relay)
        if self._errors is not None:
            self._errors.forget(relay)

    def _tell_worker(self, command: TellWorker) -> None:
        port = command.relay_port
        relay = None
        if port is not None:
            relay = self._relays4.pop(port, None) or self._relays6.pop(port)
            self._ignore_relay(relay)
        link = self._link
        try:
            if link is not None and (command.is_data or relay is not None):
                link.send(command.worker, command.message, relay)
            elif link is not None:
                link.send_surely(command.worker, command.message)
                self._resend_later(link)
        except OSError as error:
            self._count_failure(error)
            if port is not None:
                self._core.handle_relay_returned(port)
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

    def _arm(self) -> None:
        """Set the one timer to when the core wants it; on the data path that is one comparison."""
        due = self._core.poll_timeout()
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = None if due is None else self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._due = None
        self._core.handle_timeout(self._loop.time())
        self.settle()

    def _count_failure(self, error: OSError) -> None:
        self._core.metrics.dropped[DropReason.SOCKET] += 1
        logger.debug("TURN: socket: %s", error)
