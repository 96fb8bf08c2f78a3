"""TurnServer: the whole server but its sockets.

::

    client ─┬ ChannelData ──> channel ────────────┬─> peer is a live relay of ours? ─┬─> SendToPeer
            ├ Send ─────────> permission, policy ─┘                                  │
            │                                                     inside the server  │
    peer ───┼─> handle_peer_datagram ─────────────┬──────────────────────────────────┘
            │                                     └─> channel or permission ─┐
            ├ Binding ───────────────────────────────────────────────────────┼─> SendToClient
            └ Allocate, Refresh, CreatePermission, ChannelBind               │
                └─> authenticate.py ──> allocate.py, maintain.py ──> respond ─┘

Like every core it is driven, it drives nothing: one input (``handle_*``), then
:meth:`TurnServer.poll_command` until it returns :obj:`None`, then a look at
:meth:`TurnServer.poll_timeout`.  ``now`` is seconds on one monotonic clock.  An edge in a hurry
empties :attr:`TurnServer.outbox` itself, once for several inputs but before it performs a command.

Invariants:

1. Nothing a client sends before it has authenticated changes any state of variable size.
2. No datagram reaches a peer, or comes from one, without a live permission of that client.
3. A peer address that is ours leads to a live relay of ours, or nowhere, unless allowed.
4. What reaches a peer, or comes from one, has a relay of the peer's family behind it.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ringline.turn.addresses import Address, AddressFamily, ClientKey, ClientSocket
from ringline.turn.allocate import Allocator
from ringline.turn.allocation import Allocation, Allocations
from ringline.turn.attributes import (
    ATTRIBUTES,
    DATA,
    DONT_FRAGMENT,
    ICMP,
    MOBILITY_TICKET,
    UNKNOWN_ATTRIBUTES,
    XOR_PEER_ADDRESS,
)
from ringline.turn.authenticate import Authenticator
from ringline.turn.bandwidth import MakeBucket, TokenBucket, may_pass
from ringline.turn.channel_data import CHANNEL_HEADER
from ringline.turn.commands import Command, SendToClient, SendToPeer, TellWorker
from ringline.turn.config import TurnConfig
from ringline.turn.credentials import Credentials
from ringline.turn.deadlines import earliest
from ringline.turn.error_codes import ErrorCode
from ringline.turn.errors import ParseError
from ringline.turn.fleet import Fleet, WorkerMessage, WorkerMessageKind
from ringline.turn.maintain import Maintainer
from ringline.turn.metrics import DropReason, TurnMetrics
from ringline.turn.nonces import Nonces, SecurityFeature
from ringline.turn.outbox import Outbox
from ringline.turn.peer_connections import PeerConnections
from ringline.turn.peer_policy import PeerPolicy, Verdict, parse_networks
from ringline.turn.reply_limit import ReplyLimit
from ringline.turn.respond import Request, Responder
from ringline.turn.stun import Message, MessageClass, Method

if TYPE_CHECKING:
    from ringline.turn.mobility import Mobility

__all__ = ["TurnServer"]

logger = logging.getLogger(__name__)

MAX_DATA: Final = 65_000
"""Bytes that fit a Data indication with room for its attributes, in the 16 bits of its length."""


class TurnServer:
    """A STUN and TURN server.

    Args:
        config: How it behaves; ``port`` is the one that it really listens on.
        wall_clock: Seconds since 1970, which credentials expire by.
        rng: Chooses relay ports.
        random_bytes: Makes keys, tokens and transaction ids.
        dont_fragment: Whether the edge can set the DF bit.  If not, DONT-FRAGMENT is refused as
            an attribute that is not understood, as RFC 8656 §15 wants.
        offload: Whether the edge has a data plane that wants to know flows and channels.
        make_bucket: Makes what limits bandwidth; of the data plane's make where there is one.
        fleet: The other workers, if this is one of several; ``config`` is then its part.

    Attributes:
        metrics: What has happened.
        outbox: Datagrams that are passed on.

    """

    def __init__(
        self,
        config: TurnConfig,
        *,
        wall_clock: Callable[[], float],
        rng: random.Random | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        dont_fragment: bool = True,
        offload: bool = False,
        make_bucket: MakeBucket = TokenBucket,
        fleet: Fleet | None = None,
    ) -> None:
        self._fleet: Final = fleet
        self.metrics: Final = TurnMetrics()
        self._config: Final = config
        self._random_bytes: Final = random_bytes
        self._commands: Final[deque[Command]] = deque()
        self.outbox: Final = Outbox()
        self._allocations: Final = Allocations()
        self._policy: Final = PeerPolicy(
            allow=parse_networks(config.allow_peers),
            deny=parse_networks(config.deny_peers),
            own_ports=(config.port,),
            fleet=fleet,
        )
        for host in (
            *config.hosts,
            *config.relay_addresses.values(),
            *config.external_addresses.values(),
        ):
            self._policy.add_own_host(host)
        self._known: Final = frozenset(
            row.number for row in ATTRIBUTES if dont_fragment or row is not DONT_FRAGMENT
        )
        credentials = Credentials(
            users=config.users,
            secrets=config.secrets,
            max_lifetime=config.max_credential_lifetime,
            realm=config.realm,
        )
        features = SecurityFeature.PASSWORD_ALGORITHMS
        if credentials.can_be_hashed:
            features |= SecurityFeature.USERNAME_ANONYMITY
        nonce_key = random_bytes(32) if fleet is None else fleet.key
        nonces = Nonces(nonce_key, lifetime=config.nonce_lifetime, features=features)
        self._authenticator: Final = Authenticator(
            credentials, nonces, realm=config.realm, wall_clock=wall_clock
        )
        self._responder: Final = Responder(
            self._commands,
            self.metrics,
            realm=config.realm,
            nonces=nonces,
            limit=ReplyLimit(
                random_bytes(32),
                rate=config.unauthenticated_replies_per_second,
                burst=config.unauthenticated_reply_burst,
            ),
        )
        self._peer_connections: Final = PeerConnections(
            self._allocations,
            self._responder,
            self._policy,
            self._commands,
            self.metrics,
            limit=config.max_peer_connections,
            random_bytes=random_bytes,
        )
        self._allocator: Final = Allocator(
            config,
            self._allocations,
            self._responder,
            self._commands,
            self.metrics,
            peer_connections=self._peer_connections,
            credentials=credentials,
            policy=self._policy,
            rng=rng or random.SystemRandom(),
            random_bytes=random_bytes,
            offload=offload,
            make_bucket=make_bucket,
            fleet=fleet,
        )
        self._maintainer: Final = Maintainer(
            config,
            self._allocations,
            self._allocator,
            self._responder,
            self._policy,
            offload=self._commands if offload else None,
            fleet=fleet,
        )
        self._mobility: Mobility | None = None
        if config.mobility:
            self._mobility = self._make_mobility(config, wall_clock, offload=offload)

    def _make_mobility(
        self, config: TurnConfig, wall_clock: Callable[[], float], *, offload: bool
    ) -> Mobility:
        from ringline.turn.mobility import Mobility  # noqa: PLC0415 - the cipher takes its time
        from ringline.turn.ticket import Tickets  # noqa: PLC0415 - likewise

        mobility = Mobility(
            config,
            self._allocations,
            self._allocator,
            self._responder,
            self.metrics,
            tickets=Tickets(
                config.mobility_keys, realm=config.realm, random_bytes=self._random_bytes
            ),
            wall_clock=wall_clock,
            offload=self._commands if offload else None,
        )
        self._allocator.seal = mobility.seal
        return mobility

    # Inputs

    def handle_client_datagram(self, data: bytes, source: ClientKey, now: float) -> None:
        """Take a datagram, or what stands for one on a connection, that a client sent.

        ``source`` is a :class:`~ringline.turn.addresses.ClientSocket` or its like.
        """
        if len(data) < 4 or data[0] > 0x7F:
            self._drop(DropReason.MALFORMED)
        elif data[0] >= 0x40:
            self._handle_channel_data(data, source, now)
        else:
            self._handle_stun(data, ClientSocket._make(source), now)

    def handle_client_closed(self, client: ClientSocket) -> None:
        """End what belongs to a client whose connection is gone: its five-tuple is no more."""
        allocation = self._allocations.by_client.get(client)
        if allocation is not None and allocation.mobile is not None:
            self._allocations.detach(allocation)
        elif allocation is not None:
            families = tuple(AddressFamily)
            self._allocations.end(allocation, families)
            self._allocator.release(allocation, families)
        self._peer_connections.handle_client_closed(client)
        self._allocations.forget_expected(client)
        self._allocator.abandon(client)

    def has_allocation(self, client: ClientSocket) -> bool:
        """Tell whether a client has a live allocation, or a peer's connection."""
        return client in self._allocations.by_client or self._peer_connections.holds(client)

    def handle_peer_accepted(self, relay_port: int, source: Address, now: float) -> int | None:
        """Take a TCP connection to a relay.

        Returns:
            What it is called in commands from now on; :obj:`None`: close it at once.

        """
        return self._peer_connections.handle_accepted(relay_port, source, now)

    def handle_peer_connected(self, number: int, now: float) -> None:
        """The edge has performed :class:`ConnectPeer`."""
        self._peer_connections.handle_connected(number, now)

    def handle_peer_closed(self, number: int) -> None:
        """A peer's connection is gone, or :class:`ConnectPeer` could not be performed."""
        self._peer_connections.handle_closed(number)

    def handle_peer_datagram(
        self, relay_port: int, data: bytes, source: Address, now: float
    ) -> None:
        """Take a datagram that came to a relay socket."""
        allocation = self._allocations.by_port.get(relay_port)
        if allocation is None:  # a reserved port, or a late one
            self._drop(DropReason.NO_ALLOCATION)
        else:
            self._deliver(allocation, source, data, now, inside=False)

    def handle_peer_icmp(
        self, relay_port: int, peer: Address, icmp_type: int, code: int, now: float, *, mtu: int
    ) -> None:
        """Take an ICMP message about a datagram that a relay has sent to ``peer``.

        Its client is told, if it has a permission for that peer; who sent the message does not
        matter (RFC 8656 §11.5).  ``mtu`` is of the next hop, where the message has one.
        """
        allocation = self._allocations.by_port.get(relay_port)
        if allocation is None:
            self._drop(DropReason.NO_ALLOCATION)
            return
        is_ipv6 = ":" in peer[0]
        if icmp_type not in (_ICMPV6_TYPES if is_ipv6 else _ICMP_TYPES):
            self._drop(DropReason.ICMP)
            return
        permission = allocation.permissions.find(peer[0], now)
        if permission is None or permission.relayed_only:
            self._drop(DropReason.NO_PERMISSION)
            return
        if not allocation.icmp.has(1, now):
            self._drop(DropReason.ICMP)
            return
        allocation.icmp.take(1)
        is_too_big = icmp_type == 2 if is_ipv6 else (icmp_type, code) == (3, 4)
        indication = Message(Method.DATA, MessageClass.INDICATION, self._random_bytes(12))
        indication.add(XOR_PEER_ADDRESS, peer)
        indication.add(ICMP, (icmp_type, code, mtu if is_too_big else 0))
        self._commands.append(SendToClient(allocation.client, indication.serialize()))

    def handle_relay_opened(self, relay_port: int, host: str, now: float) -> None:
        """The edge has performed :class:`OpenRelay`; the socket is bound to ``host``."""
        self._allocator.handle_relay_opened(relay_port, host, now)

    def handle_relay_failed(self, relay_port: int, now: float, *, has_address: bool = True) -> None:
        """The edge could not perform :class:`OpenRelay`.

        ``has_address`` tells whether another port may do; if not, this machine has no address of
        that family.
        """
        self._allocator.handle_relay_failed(relay_port, now, has_address=has_address)

    def handle_call_ended(self, call: str, now: float) -> None:
        """The signaling server says that a call is over: its allocations end after a grace.

        ``call`` is what its credentials were minted for.
        """
        self._allocator.handle_call_ended(call, now)

    def handle_worker_message(self, data: bytes, now: float, *, relay_port: int = 0) -> None:
        """Take what another worker said; ``relay_port`` is that of a socket that came along."""
        try:
            message = WorkerMessage.parse(data)
        except ParseError as error:
            self._drop(DropReason.MALFORMED, error)
            return
        if message.kind is not WorkerMessageKind.DATA:
            self._allocator.handle_worker_message(message, relay_port, now)
            return
        allocation = self._allocations.by_relayed.get(message.target)
        if allocation is None:
            self._drop(DropReason.NO_ALLOCATION)
        else:  # the other worker has looked at its client's permission, this is ours
            self._deliver(allocation, message.source, message.data, now, inside=True)

    def handle_relay_returned(self, relay_port: int) -> None:
        """The edge could not perform a :class:`TellWorker` with this relay."""
        self._allocator.handle_relay_returned(relay_port)

    def handle_timeout(self, now: float) -> None:
        """Let end what is due; harmless when nothing is."""
        for allocation, families in self._allocations.pop_expired(now):
            self._allocator.release(allocation, families)
        self._allocator.handle_timeout(now)
        self._peer_connections.handle_timeout(now)

    def deny_own_port(self, port: int) -> None:
        """Let no client reach a port that this process listens on, whatever range is open."""
        self._policy.add_own_port(port)
        self._allocator.deny_own_port(port)

    def set_interfaces(self, hosts: Iterable[str]) -> None:
        """Learn the addresses of this machine: no client is led there but to relays of ours.

        Those told before are forgotten.
        """
        self._policy.set_interfaces(hosts)

    def drain(self) -> None:
        """Refuse new allocations from now on, naming another server if one is configured."""
        self._allocator.draining = True

    # Outputs

    @property
    def draining(self) -> bool:
        """Whether :meth:`drain` was called."""
        return self._allocator.draining

    @property
    def has_command(self) -> bool:
        """Whether there is something to do besides emptying the outbox."""
        return bool(self._commands)

    def poll_command(self) -> Command | None:
        """Return the next thing to do, or :obj:`None`.

        What an edge has left in the outbox comes first, as commands.
        """
        outbox = self.outbox
        if outbox.to_peers or outbox.to_clients:
            self._commands.extendleft(reversed(outbox.take_commands()))
        return self._commands.popleft() if self._commands else None

    def poll_timeout(self) -> float | None:
        """Return when to call :meth:`handle_timeout`, or :obj:`None` if nothing can end."""
        return earliest(
            self._allocations.next_expiry(),
            self._allocator.poll_timeout(),
            self._peer_connections.poll_timeout(),
        )

    # Data, the short way

    def _handle_channel_data(self, data: bytes, source: ClientKey, now: float) -> None:
        allocation = self._allocations.by_client.get(source)
        if allocation is None and self._mobility is not None:
            allocation = self._move(source, now)
        if allocation is None:
            self._drop(DropReason.NO_ALLOCATION)
            return
        number, length = CHANNEL_HEADER.unpack_from(data)
        binding = allocation.channels.by_number.get(number)
        if binding is None or binding.expires_at <= now:
            self._drop(DropReason.NO_CHANNEL)
            return
        if length > len(data) - 4:
            self._drop(DropReason.MALFORMED)
            return
        payload = data[4 : 4 + length]  # what follows is padding
        self._send(allocation, binding.peer, payload, now, relayed_only=binding.relayed_only)

    def _send(
        self,
        allocation: Allocation,
        peer: Address,
        data: bytes,
        now: float,
        *,
        relayed_only: bool,
        dont_fragment: bool = False,
    ) -> None:
        """Pass on what a client may send; it has a relay of the peer's family (invariant 4)."""
        target = self._allocations.by_relayed.get(peer)
        worker = None if target or self._fleet is None else self._fleet.owner_of(peer)
        if target is None and worker is None and relayed_only:
            self._drop(DropReason.NO_ALLOCATION)
            return
        if allocation.buckets and not may_pass(allocation.buckets, len(data), now):
            self._drop(DropReason.BANDWIDTH)
            return
        metrics = self.metrics
        metrics.client_to_peer_datagrams += 1
        metrics.client_to_peer_bytes += len(data)
        if target is None and worker is None:
            if dont_fragment:
                self._commands.append(SendToPeer(allocation.relay_port, peer, data, dont_fragment))
            else:
                self.outbox.add_for_peer(allocation.relay_port, peer, data)
        elif (relay := allocation.relay_to(peer[0])) is not None:
            metrics.relayed_inside += 1
            if target is not None:
                self._deliver(target, relay.relayed, data, now, inside=True)
            elif worker is not None:
                self._hand_over(worker, relay.relayed, peer, data)

    def _hand_over(self, worker: int, source: Address, target: Address, data: bytes) -> None:
        """Let another worker deliver what is for a relay of its."""
        assert self._fleet is not None  # noqa: S101 - there is another worker
        message = WorkerMessage(
            WorkerMessageKind.DATA, self._fleet.index, source=source, target=target, data=data
        )
        self._commands.append(TellWorker(worker, message.serialize(), is_data=True))

    def _deliver(
        self, allocation: Allocation, source: Address, data: bytes, now: float, *, inside: bool
    ) -> None:
        """Pass on to a client what a peer sent, if the client wants it.

        ``inside`` tells that it comes from a relay of ours.  An address of ours that is meant
        for relays only is not believed when the datagram came by a socket.
        """
        binding = allocation.channels.by_peer.get(source)
        if (
            binding is not None
            and binding.expires_at > now
            and (inside or not binding.relayed_only)
        ):
            message = CHANNEL_HEADER.pack(binding.number, len(data)) + data
        else:
            permission = allocation.permissions.find(source[0], now)
            if permission is None or (permission.relayed_only and not inside):
                self._drop(DropReason.NO_PERMISSION)
                return
            if len(data) > MAX_DATA:
                self._drop(DropReason.OVERSIZE)
                return
            indication = Message(Method.DATA, MessageClass.INDICATION, self._random_bytes(12))
            message = indication.add(XOR_PEER_ADDRESS, source).add(DATA, data).serialize()
        if allocation.buckets and not may_pass(allocation.buckets, len(data), now):
            self._drop(DropReason.BANDWIDTH)
            return
        metrics = self.metrics
        metrics.peer_to_client_datagrams += 1
        metrics.peer_to_client_bytes += len(data)
        self.outbox.add_for_client(allocation.client, message)

    # STUN

    def _handle_stun(self, data: bytes, source: ClientSocket, now: float) -> None:
        if self._is_relay_of_ours(source):
            # A relay of ours asks for a relay: somebody builds a loop (invariant 3).
            self._drop(DropReason.DENIED_PEER)
            return
        try:
            message = Message.parse(data)
        except ParseError as error:
            self._drop(DropReason.MALFORMED, error)
            return
        if message.message_class is MessageClass.REQUEST:
            self._handle_request(message, source, now)
        elif message.message_class is MessageClass.INDICATION:
            self._handle_indication(message, source, now)
        else:
            self._drop(DropReason.MALFORMED)  # we have asked nothing

    def _is_relay_of_ours(self, source: ClientSocket) -> bool:
        is_udp = source.transport == "udp"
        if is_udp and self._fleet is not None and self._fleet.owner_of(source.address) is not None:
            return True
        owner = self._allocations.by_port.get(source.port)
        return (
            owner is not None
            and is_udp == (owner.transport == "udp")
            and any(source.address in (each.local, each.relayed) for each in owner.relays)
        )

    def _handle_indication(self, message: Message, source: ClientSocket, now: float) -> None:
        if message.method == Method.BINDING:
            return  # a keep-alive
        allocation = self._allocations.by_client.get(source)
        if allocation is None and self._mobility is not None:
            allocation = self._move(source, now)
        if allocation is None:
            self._drop(DropReason.NO_ALLOCATION)
            return
        try:
            peer, data = message.get(XOR_PEER_ADDRESS), message.get(DATA)
            dont_fragment = message.get(DONT_FRAGMENT) is not None
        except ParseError as error:
            self._drop(DropReason.MALFORMED, error)
            return
        unknown = message.unknown_required(self._known)
        is_wrong = message.method != Method.SEND or allocation.transport != "udp"
        if is_wrong or unknown or peer is None or data is None:
            self._drop(DropReason.MALFORMED)
            return
        if allocation.permissions.find(peer[0], now) is None:
            self._drop(DropReason.NO_PERMISSION)
            return
        verdict = self._policy.judge(peer)
        if verdict is Verdict.DENIED or peer[1] == 0:
            self._drop(DropReason.DENIED_PEER)
            return
        if not allocation.new_peers.admit((peer,), now):
            self._drop(DropReason.NEW_PEERS)
            return
        self._send(
            allocation,
            peer,
            data,
            now,
            relayed_only=verdict is Verdict.RELAYED_ONLY,
            dont_fragment=dont_fragment,
        )

    def _handle_request(self, message: Message, source: ClientSocket, now: float) -> None:
        if message.method == Method.BINDING:
            self._handle_binding(message, source, now)
            return
        is_tcp = message.method in _OF_TCP and self._config.tcp_allocations
        if message.method not in _AUTHENTICATED and not is_tcp:
            self._drop(DropReason.MALFORMED)
            return
        allocation = self._allocations.by_client.get(source)
        if allocation is None and self._mobility is not None:
            allocation = self._allocations.find_pending(source, now)
        try:
            if message.method == Method.CONNECTION_BIND:
                allocation = self._peer_connections.owner(message)
            request = self._authenticator.authenticate(message, source, allocation, now)
        except ParseError as error:
            logger.debug("bad credentials: %s", error)
            request = ErrorCode.BAD_REQUEST
        if isinstance(request, ErrorCode):
            self._responder.challenge(message, source, request, now)
            return
        unknown = message.unknown_required(self._known)
        if unknown:
            self._responder.refuse(
                request, ErrorCode.UNKNOWN_ATTRIBUTE, (UNKNOWN_ATTRIBUTES, unknown)
            )
            return
        try:
            ticket = message.get(MOBILITY_TICKET)
            if self._mobility is not None and message.method == Method.REFRESH and ticket:
                self._mobility.resume(request, ticket, allocation, now)
                return
            if allocation is not None and allocation.client != source:
                self._follow(allocation, request, now)
            if message.method == Method.ALLOCATE:
                self._allocator.handle_request(request, allocation, now)
            elif is_tcp:
                self._handle_tcp_request(request, allocation, now)
            else:
                self._maintainer.handle_request(request, allocation, now)
        except ParseError as error:
            logger.debug("bad request: %s", error)
            self._responder.refuse(request, ErrorCode.BAD_REQUEST)

    def _handle_tcp_request(
        self, request: Request, allocation: Allocation | None, now: float
    ) -> None:
        if request.message.method == Method.CONNECT:
            code = self._peer_connections.handle_connect(request, allocation, now)
        else:
            code = self._peer_connections.handle_bind(request)
        if code is not None:
            self._responder.refuse(request, code)

    def _move(self, source: ClientKey, now: float) -> Allocation | None:
        """Return the allocation whose client is expected at a socket; there it is."""
        allocation = self._allocations.find_pending(source, now)
        if allocation is not None and self._mobility is not None:
            self._mobility.move(allocation)
        return allocation

    def _follow(self, allocation: Allocation, request: Request, now: float) -> None:
        """Let a request of an owner who is expected at its socket be the sign of being there."""
        if self._mobility is None or request.username != allocation.username:
            return
        is_expected = self._allocations.find_pending(request.client, now) is allocation
        if is_expected and request.message.method != Method.ALLOCATE:
            self._mobility.move(allocation)

    def _handle_binding(self, message: Message, source: ClientSocket, now: float) -> None:
        unknown = message.unknown_required(self._known)
        if unknown:
            code = ErrorCode.UNKNOWN_ATTRIBUTE
            self._responder.challenge(message, source, code, now, unknown)
        else:
            self._responder.tell_address(message, source, now)

    def _drop(self, reason: DropReason, error: ParseError | None = None) -> None:
        self.metrics.dropped[reason] += 1
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("dropped: %s %s", reason.value, error or "")


# RFC 8656 §11.5.  Unreachable and time exceeded; and of IPv6 packet too big, which is 2.
_ICMP_TYPES: Final = (3, 11)
_ICMPV6_TYPES: Final = (1, 2, 3)
_OF_TCP: Final = frozenset({Method.CONNECT, Method.CONNECTION_BIND})  # RFC 6062
_AUTHENTICATED: Final = frozenset(
    {Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND}
)
