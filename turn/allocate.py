"""Allocate: from a request to a live relay (RFC 8656 §7).

::

    request ──checks──> quota, port ──OpenRelay──> opened ──> [the next socket] ──> answer
                                          └──────> failed ──> another port, or 508, 440

Most openings are of one socket.  A pair is of two neighbouring ports; a dual allocation has one
port in both families, and where one of them cannot be had the answer says so beside the other
(ADDRESS-ERROR-CODE).  The answer leaves only when the sockets are bound, so that a client never
learns of a relay that is not there.  Ports and quota are taken before the edge is asked and given
back on every way out:

1. A taken port belongs to exactly one opening, reservation or allocation.
2. A user's count is the number of ports in those that are the user's.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from ringline.turn.addresses import Address, AddressFamily, ClientSocket, family_of, parse_address
from ringline.turn.allocation import Allocation, Allocations, Mobile, Relay
from ringline.turn.attributes import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDITIONAL_ADDRESS_FAMILY_DRAFT,
    ADDRESS_ERROR_CODE,
    ALTERNATE_SERVER,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
)
from ringline.turn.bandwidth import Bandwidth, MakeBucket, TokenBucket
from ringline.turn.channel_binding import ChannelBindings
from ringline.turn.commands import CloseRelay, Command, OpenFlow, OpenRelay
from ringline.turn.config import TurnConfig
from ringline.turn.credentials import Credentials
from ringline.turn.deadlines import earliest
from ringline.turn.ended_calls import EndedCalls
from ringline.turn.error_codes import ErrorCode, reason_phrase
from ringline.turn.fleet import Fleet, WorkerMessage
from ringline.turn.lending import Claim, Lending
from ringline.turn.log_format import Event, Private
from ringline.turn.metrics import TurnMetrics
from ringline.turn.new_peers import NewPeers
from ringline.turn.peer_connections import PeerConnections
from ringline.turn.peer_policy import PeerPolicy
from ringline.turn.permission import Permissions
from ringline.turn.ports import PortPool
from ringline.turn.quota import AllocationQuota
from ringline.turn.reservation import Reservation, Reservations
from ringline.turn.respond import AttributeValue, Request, Responder
from ringline.turn.stun import Message

if TYPE_CHECKING:  # what seals tickets is loaded where clients may move
    from ringline.turn.ticket import Ticket

__all__ = ["Allocator", "granted_lifetime"]

logger = logging.getLogger(__name__)

TCP: Final = 6
UDP: Final = 17  # IP protocol number in REQUESTED-TRANSPORT
MAX_ATTEMPTS: Final = 8
"""Ports to try before 508.  The operating system gives ports of our range to others too; with a
tenth of them gone, eight failures in a row are one in 10^8."""


class _Ports(Enum):
    """Which port a client asks for."""

    ANY = "any"
    EVEN = "even"  # EVEN-PORT
    PAIR = "pair"  # EVEN-PORT with the bit that reserves the next one

    @property
    def count(self) -> int:
        return 2 if self is _Ports.PAIR else 1


@dataclass(slots=True)
class _Opening:
    """An Allocate that waits for its sockets.

    Attributes:
        waiting: Port and family of the sockets that are still to open, the next one first.
        opened: Port and local address of those that are open.
        refused: Families that cannot be had, with the reason.
        ticket: What it names, where an allocation is made again (RFC 8016): those addresses, or
            none.
        is_abandoned: The client's connection was lost meanwhile.

    """

    request: Request
    quota_name: str
    ports: _Ports
    families: tuple[AddressFamily, ...]
    lifetime: float
    relay_port: int
    refused: dict[AddressFamily, ErrorCode]
    attempts: int = 1
    ticket: Ticket | None = None
    waiting: deque[tuple[int, AddressFamily]] = field(default_factory=deque)
    opened: list[tuple[int, str]] = field(default_factory=list)
    is_abandoned: bool = False


class Allocator:
    """Performs Allocate requests, and gives back what ended allocations held.

    Args:
        rng: Chooses ports.
        random_bytes: Makes reservation tokens.
        offload: Whether the edge is told of flows.
        make_bucket: Makes what limits bandwidth.
        fleet: The other workers, if there are any.

    Attributes:
        draining: Whether new allocations are refused, because the server is about to stop.
        seal: Makes a mobility ticket for an allocation, an epoch and now; :obj:`None` if clients
            may not move.

    """

    def __init__(
        self,
        config: TurnConfig,
        allocations: Allocations,
        responder: Responder,
        commands: deque[Command],
        metrics: TurnMetrics,
        *,
        peer_connections: PeerConnections,
        credentials: Credentials,
        policy: PeerPolicy,
        rng: random.Random,
        random_bytes: Callable[[int], bytes],
        offload: bool,
        make_bucket: MakeBucket,
        fleet: Fleet | None = None,
    ) -> None:
        self._fleet: Final = fleet
        self._config: Final = config
        self._relay_families: Final = config.relay_families
        self._external: Final = config.external_addresses
        self._allocations: Final = allocations
        self._responder: Final = responder
        self._commands: Final = commands
        self._peer_connections: Final = peer_connections
        self._metrics: Final = metrics
        self._credentials: Final = credentials
        self._policy: Final = policy
        self._random_bytes: Final = random_bytes
        self._offload: Final = offload
        self._ports: Final = PortPool(config.first_relay_port, config.last_relay_port, rng)
        self.deny_own_port(config.port)
        self._quota: Final = AllocationQuota(
            per_user=config.max_allocations_per_user, total=config.max_allocations, fleet=fleet
        )
        self._bandwidth: Final = Bandwidth(
            per_allocation=config.allocation_bandwidth,
            per_user=config.user_bandwidth,
            total=config.total_bandwidth,
            burst=config.bandwidth_burst,
            make=make_bucket,
        )
        self._reservations: Final = Reservations()
        self._ended_calls: Final = EndedCalls(
            grace=config.call_end_grace, remembered=config.max_credential_lifetime
        )
        self._by_call: Final[dict[str, dict[int, Allocation]]] = {}
        self._openings_by_client: Final[dict[ClientSocket, _Opening | Claim]] = {}
        self._openings_by_port: Final[dict[int, _Opening]] = {}
        self._lending: Lending | None = None
        if fleet is not None:
            self._lending = Lending(
                fleet,
                self._ports,
                self._quota,
                self._reservations,
                commands,
                on_granted=self._use_lent,
                on_refused=self._refuse_claim,
            )
        self.draining = False
        self.seal: Callable[[Allocation, int, float], bytes] | None = None

    def handle_request(self, request: Request, allocation: Allocation | None, now: float) -> None:
        """Answer an authenticated Allocate, or begin to; the numbers are those of §7.2.

        Raises:
            ParseError: If an attribute is malformed.

        """
        if self._is_repeated(request, allocation):
            return
        code = self._check(request)
        if code is None and self.draining:
            self._turn_away(request)
            return
        if code is None and self._credentials.call_of(request.username) in self._ended_calls:
            code = ErrorCode.FORBIDDEN
        if code is not None:
            self._responder.refuse(request, code)
            return
        token = request.message.get(RESERVATION_TOKEN)
        lending = self._lending
        if token is not None and lending is not None and lending.is_elsewhere(token):
            self._claim(request, token, lending, now)
        elif token is not None:
            self._use_reservation(request, token, now)
        else:
            self._begin(request)

    def rebuild(self, request: Request, ticket: Ticket, *, wall_clock: float) -> ErrorCode | None:
        """Begin to make an allocation again that a ticket names, at the same relayed addresses.

        It is a new one in all that counts: it has its port and its place in the quota, and is
        refused where a new one would be: with a credential that has expired, too.  The answer comes
        when the sockets are open.

        Raises:
            ParseError: If an attribute is malformed.

        """
        lifetime = granted_lifetime(request.message.get(LIFETIME), self._config)
        if request.message.get(REQUESTED_TRANSPORT) not in (None, UDP):
            return ErrorCode.BAD_REQUEST
        if not self._credentials.may_allocate(request.username, wall_clock):
            return ErrorCode.UNAUTHENTICATED
        opening = self._openings_by_client.get(request.client)
        if opening is not None:
            is_same = opening.request.message.transaction_id == request.message.transaction_id
            return None if is_same else ErrorCode.ALLOCATION_MISMATCH
        if self.draining:
            self._turn_away(request)
            return None
        if self._credentials.call_of(request.username) in self._ended_calls:
            return ErrorCode.FORBIDDEN
        quota_name = self._credentials.quota_name(request.username)
        if not self._quota.user_has_room(quota_name, 1):
            return ErrorCode.ALLOCATION_QUOTA_REACHED
        if not self._quota.has_room(1):
            return ErrorCode.INSUFFICIENT_CAPACITY
        port = ticket.port
        if not self._ports.take_exactly(port):
            return ErrorCode.ALLOCATION_MISMATCH
        self._quota.take(quota_name, 1)
        opening = _Opening(
            request,
            quota_name,
            _Ports.ANY,
            ticket.families,
            lifetime,
            port,
            refused={},
            attempts=MAX_ATTEMPTS,
            ticket=ticket,
        )
        self._openings_by_client[request.client] = opening
        self._open(opening)
        return None

    def deny_own_port(self, port: int) -> None:
        """Give no relay a port that we listen on: other clients of ours could not reach it."""
        self._ports.take_exactly(port)

    def is_opening(self, client: ClientSocket) -> bool:
        """Tell whether a client waits for a relay."""
        return client in self._openings_by_client

    def handle_relay_opened(self, relay_port: int, host: str, now: float) -> None:
        """The edge has the socket of an :class:`OpenRelay`, bound to ``host``."""
        opening = self._openings_by_port.pop(relay_port)
        opening.opened.append((relay_port, host))
        opening.waiting.popleft()
        self._advance(opening, now)

    def handle_relay_failed(self, relay_port: int, now: float, *, has_address: bool) -> None:
        """The edge could not open the socket of an :class:`OpenRelay`.

        ``has_address`` tells whether another port may do; if not, this machine has no address of
        that family.
        """
        opening = self._openings_by_port.pop(relay_port)
        _, family = opening.waiting.popleft()
        may_try = has_address and not opening.is_abandoned and opening.attempts < MAX_ATTEMPTS
        if may_try and self._start_again(opening):
            return
        code = (
            ErrorCode.INSUFFICIENT_CAPACITY
            if has_address
            else ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED
        )
        opening.refused[family] = code
        if len(opening.families) == 1 or opening.ticket is not None:
            opening.waiting.clear()  # half of what was asked for is none
            self._close_opened(opening)
        self._advance(opening, now)

    def handle_timeout(self, now: float) -> None:
        """Close the reserved relays that nobody claimed, and those of calls that have ended."""
        for reservation in self._reservations.pop_expired(now):
            self._close(reservation.relay_port, reservation.quota_name)
        for call in self._ended_calls.pop_due(now):
            for allocation in list(self._by_call.get(call, {}).values()):
                families = tuple(relay.family for relay in allocation.relays)
                self._allocations.end(allocation, families)
                self.release(allocation, families)
        if self._lending is not None:
            self._lending.handle_timeout(now)

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` has something to do."""
        return earliest(
            self._reservations.next_expiry(),
            self._ended_calls.next_due(),
            None if self._lending is None else self._lending.poll_timeout(),
        )

    def handle_worker_message(self, message: WorkerMessage, relay_port: int, now: float) -> None:
        """Take what another worker said of reservations (lending.py), and whose socket came."""
        if self._lending is not None:
            self._lending.handle_message(message, relay_port, now)

    def handle_relay_returned(self, relay_port: int) -> None:
        """A port that was to be lent to another worker never reached it."""
        if self._lending is not None:
            self._lending.handle_returned(relay_port)

    def handle_call_ended(self, call: str, now: float) -> None:
        """Let the allocations of a call go when its grace is over, and make no new ones."""
        self._ended_calls.add(call, now)

    def release(self, allocation: Allocation, families: Collection[AddressFamily]) -> None:
        """Close the relays of an allocation that have ended, and it when none is left."""
        if allocation.relays:
            for family in families:
                self._commands.append(CloseRelay(allocation.relay_port, family))
            return
        self._peer_connections.close_all(allocation.relay_port)
        self._close(allocation.relay_port, allocation.quota_name)
        self._bandwidth.leave(allocation.quota_name)
        call = self._credentials.call_of(allocation.username)
        if call is not None:
            of_call = self._by_call[call]
            del of_call[allocation.relay_port]
            if not of_call:
                del self._by_call[call]
        self._metrics.allocations = len(self._allocations)
        _log_state(allocation, "ended")

    def abandon(self, client: ClientSocket) -> None:
        """Establish nothing for a client that is gone, once its socket is there."""
        opening = self._openings_by_client.get(client)
        if opening is not None:
            opening.is_abandoned = True

    def _is_repeated(self, request: Request, allocation: Allocation | None) -> bool:
        """Answer an Allocate from a client that has one: the same again, or 437 (step 2)."""
        opening = self._openings_by_client.get(request.client)
        transaction_id = request.message.transaction_id
        if opening is not None:
            if transaction_id != opening.request.message.transaction_id:
                self._responder.refuse(request, ErrorCode.ALLOCATION_MISMATCH)
            return True  # else: a retransmission; its answer is on the way
        if allocation is None:
            return False
        if transaction_id == allocation.transaction_id and request.username == allocation.username:
            self._responder.repeat(request, allocation.response)
        else:
            self._responder.refuse(request, ErrorCode.ALLOCATION_MISMATCH)
        return True

    def _check(self, request: Request) -> ErrorCode | None:
        message = request.message
        transport = message.get(REQUESTED_TRANSPORT)
        if transport is None:
            return ErrorCode.BAD_REQUEST
        if transport == TCP and self._config.tcp_allocations:
            code = _check_tcp(request)
            if code is not None:
                return code
        elif transport != UDP:
            return ErrorCode.UNSUPPORTED_TRANSPORT
        ticket = message.get(MOBILITY_TICKET)
        if self.seal is not None and ticket:
            return ErrorCode.BAD_REQUEST  # RFC 8016 §3.1: an Allocate asks for one, and has none
        family = message.get(REQUESTED_ADDRESS_FAMILY)
        additional = _additional_family(message)
        even = message.get(EVEN_PORT)
        if message.get(RESERVATION_TOKEN) is not None:
            has_more = not (family is None and additional is None and even is None)
            return ErrorCode.BAD_REQUEST if has_more else None
        if additional is not None:
            # The additional one is IPv6, beside IPv4, and no pair has two families.
            is_alone = family is None and not even
            return None if is_alone and additional == AddressFamily.IPV6 else ErrorCode.BAD_REQUEST
        if (family or AddressFamily.IPV4) not in self._relay_families:
            return ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED
        return None

    def _turn_away(self, request: Request) -> None:
        """Refuse an allocation on a server about to stop (RFC 8656 §7.2)."""
        if not self.name_alternate(request):
            self._responder.refuse(request, ErrorCode.INSUFFICIENT_CAPACITY)

    def name_alternate(self, request: Request) -> bool:
        """Name the server to ask instead, if one is configured (RFC 8489 §10)."""
        alternate = self._config.alternate_server
        if alternate is None:
            return False
        self._responder.refuse(
            request, ErrorCode.TRY_ALTERNATE, (ALTERNATE_SERVER, parse_address(alternate))
        )
        return True

    def _begin(self, request: Request) -> None:
        message = request.message
        even = message.get(EVEN_PORT)
        ports = _Ports.ANY if even is None else _Ports.PAIR if even else _Ports.EVEN
        lifetime = granted_lifetime(message.get(LIFETIME), self._config)
        quota_name = self._credentials.quota_name(request.username)
        with self._quota.exclusive():
            if not self._quota.user_has_room(quota_name, ports.count):
                self._responder.refuse(request, ErrorCode.ALLOCATION_QUOTA_REACHED)
                return
            port = self._take_port(ports) if self._quota.has_room(ports.count) else None
            if port is None:
                self._responder.refuse(request, ErrorCode.INSUFFICIENT_CAPACITY)
                return
            self._quota.take(quota_name, ports.count)
        families = _requested_families(message)
        refused = {
            family: ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED
            for family in families
            if family not in self._relay_families
        }
        opening = _Opening(request, quota_name, ports, families, lifetime, port, refused)
        self._openings_by_client[request.client] = opening
        self._open(opening)

    def _open(self, opening: _Opening) -> None:
        """Begin with all sockets of its port or ports."""
        first = opening.relay_port
        opening.waiting.extend(
            (port, family)
            for port in range(first, first + opening.ports.count)
            for family in opening.families
            if family not in opening.refused
        )
        self._open_next(opening)

    def _open_next(self, opening: _Opening) -> None:
        port, family = opening.waiting[0]
        self._openings_by_port[port] = opening
        transport = _transport_of(opening.request)
        self._commands.append(OpenRelay(port, opening.request.client, family, transport))

    def _advance(self, opening: _Opening, now: float) -> None:
        """Go on after a socket has opened, or will not."""
        if opening.is_abandoned:
            self._close_opened(opening)
        elif opening.waiting:
            self._open_next(opening)
            return
        elif opening.opened and not self._is_as_sealed(opening):
            self._close_opened(opening)
        del self._openings_by_client[opening.request.client]
        if opening.opened:
            self._finish(opening, now)
            return
        self._release_ports(opening.relay_port, opening.ports.count)
        self._quota.release(opening.quota_name, opening.ports.count)
        if opening.is_abandoned:
            return
        if opening.ticket is None:
            code = opening.refused[opening.families[0]]
        else:
            code = ErrorCode.ALLOCATION_MISMATCH  # the client has to allocate anew
        self._responder.refuse(opening.request, code)

    def _is_as_sealed(self, opening: _Opening) -> bool:
        """Tell whether an allocation that is made again has the addresses that peers know."""
        if opening.ticket is None:
            return True
        from ringline.turn.ticket import bind  # noqa: PLC0415 - see above

        relayed = [self._external.get(family_of(host), host) for _, host in opening.opened]
        return bind(opening.request.username, relayed) == opening.ticket.binding

    def _start_again(self, opening: _Opening) -> bool:
        """Try another port, if there is one."""
        port = self._take_port(opening.ports)
        if port is None:
            return False
        self._close_opened(opening)
        # Given back only now, so that the next attempt is another port.
        self._release_ports(opening.relay_port, opening.ports.count)
        opening.waiting.clear()
        opening.relay_port = port
        opening.attempts += 1
        self._open(opening)
        return True

    def _close_opened(self, opening: _Opening) -> None:
        for port in dict.fromkeys(port for port, _ in opening.opened):
            self._commands.append(CloseRelay(port))
        opening.opened.clear()

    def _finish(self, opening: _Opening, now: float) -> None:
        """Answer: everything that could be opened is."""
        extra: list[AttributeValue] = [
            (ADDRESS_ERROR_CODE, (family, code, reason_phrase(code)))
            for family, code in opening.refused.items()
        ]
        first = opening.relay_port
        for port, host in opening.opened:
            if port != first:
                extra.append((RESERVATION_TOKEN, self._reserve(opening, port, host, now)))
        hosts = [host for port, host in opening.opened if port == first]
        self._establish(
            opening.request,
            opening.quota_name,
            first,
            hosts,
            lifetime=opening.lifetime,
            now=now,
            extra=extra,
            ticket=opening.ticket,
        )

    def _reserve(self, opening: _Opening, port: int, host: str, now: float) -> bytes:
        token = self._random_bytes(8)
        if self._fleet is not None:
            token = bytes((self._fleet.index,)) + token[1:]  # names who has the port
        username = opening.request.username
        reservation = Reservation(token, port, host, username, opening.quota_name)
        self._reservations.add(reservation, now)
        return token

    def _use_reservation(self, request: Request, token: bytes, now: float) -> None:
        """Take over a reserved relay, with its port's place in the quota (step 6)."""
        lifetime = granted_lifetime(request.message.get(LIFETIME), self._config)
        reservation = self._reservations.claim(token, request.username)
        if reservation is None:
            self._responder.refuse(request, ErrorCode.INSUFFICIENT_CAPACITY)
            return
        name, port, hosts = reservation.quota_name, reservation.relay_port, [reservation.host]
        self._establish(request, name, port, hosts, lifetime=lifetime, now=now)

    def _claim(self, request: Request, token: bytes, lending: Lending, now: float) -> None:
        """Ask the worker that has a reserved port for it."""
        lifetime = granted_lifetime(request.message.get(LIFETIME), self._config)
        claim = lending.claim(request, token, lifetime, now)
        if claim is None:
            self._responder.refuse(request, ErrorCode.INSUFFICIENT_CAPACITY)
        else:
            self._openings_by_client[request.client] = claim

    def _refuse_claim(self, claim: Claim) -> None:
        """There is no such reservation, or nobody answers."""
        del self._openings_by_client[claim.request.client]
        if not claim.is_abandoned:
            self._responder.refuse(claim.request, ErrorCode.INSUFFICIENT_CAPACITY)

    def _use_lent(self, claim: Claim, quota_name: str, local: Address, now: float) -> None:
        """Establish on a port that another worker has lent."""
        del self._openings_by_client[claim.request.client]
        host, port = local
        self._establish(claim.request, quota_name, port, [host], lifetime=claim.lifetime, now=now)

    def _establish(
        self,
        request: Request,
        quota_name: str,
        port: int,
        hosts: Sequence[str],
        *,
        lifetime: float,
        now: float,
        extra: Sequence[AttributeValue] = (),
        ticket: Ticket | None = None,
    ) -> None:
        """Answer with the relays whose sockets are bound to ``hosts``, one of each family."""
        relays = {family_of(host): self._make_relay(host, port, now + lifetime) for host in hosts}
        buckets = self._bandwidth.take_part(quota_name, now)
        allocation = Allocation(
            client=request.client,
            relay_port=port,
            ipv4=relays.get(AddressFamily.IPV4),
            ipv6=relays.get(AddressFamily.IPV6),
            username=request.username,
            quota_name=quota_name,
            keys=request.keys,
            transaction_id=request.message.transaction_id,
            response=b"",
            permissions=Permissions(self._config.max_permissions),
            channels=ChannelBindings(self._config.max_channels),
            buckets=buckets,
            new_peers=NewPeers(self._config.new_peers_per_second, self._config.new_peer_burst),
            icmp=TokenBucket(self._config.icmp_per_second, float(self._config.icmp_burst)),
            transport=_transport_of(request),
            mobile=self._make_mobile(request, ticket),
        )
        values: list[AttributeValue] = [(LIFETIME, int(lifetime)), *extra]
        if ticket is None:
            relayed = [(XOR_RELAYED_ADDRESS, relay.relayed) for relay in relays.values()]
            values = [*relayed, *values, (XOR_MAPPED_ADDRESS, request.client.address)]
        if self.seal is not None and allocation.mobile is not None:
            sealed = self.seal(allocation, allocation.mobile.epoch, now)
            values.append((MOBILITY_TICKET, sealed))
        allocation.response = self._responder.succeed(request, *values)
        self._allocations.add(allocation)
        call = self._credentials.call_of(request.username)
        if call is not None:
            self._by_call.setdefault(call, {})[port] = allocation
        if self._fleet is not None:
            self._fleet.publish(port)
        if self._offload and allocation.transport == "udp":
            addresses = tuple(relay.relayed for relay in allocation.relays)
            self._commands.append(OpenFlow(port, request.client, addresses, buckets))
        self._metrics.allocations = len(self._allocations)
        self._metrics.allocations_created += 1
        _log_state(allocation, "live", lifetime=int(lifetime))

    def _make_mobile(self, request: Request, ticket: Ticket | None) -> Mobile | None:
        if ticket is not None:
            epoch = (ticket.epoch + 1) % 0x10000  # ticket.EPOCHS
            return Mobile(ticket.identity, epoch, epoch)
        if self.seal is None or request.message.get(MOBILITY_TICKET) is None:
            return None
        if _transport_of(request) != "udp":
            return None  # its connections are of the client's present address (RFC 6062)
        while (identity := self._random_bytes(4)) in self._allocations.by_identity:
            pass  # one in 400,000, where ten thousand have one
        return Mobile(identity)

    def _make_relay(self, host: str, port: int, expires_at: float) -> Relay:
        seen = self._external.get(family_of(host), host)
        self._policy.add_own_host(host)
        self._policy.add_own_host(seen)
        return Relay((host, port), (seen, port), expires_at)

    def _take_port(self, ports: _Ports) -> int | None:
        if ports is _Ports.PAIR:
            return self._ports.take_pair()
        return self._ports.take_even() if ports is _Ports.EVEN else self._ports.take()

    def _release_ports(self, first: int, count: int) -> None:
        for port in range(first, first + count):
            self._ports.release(port)

    def _close(self, port: int, quota_name: str) -> None:
        self._commands.append(CloseRelay(port))
        self._quota.release(quota_name, 1)
        if self._fleet is not None:
            self._fleet.withdraw(port)
        first, last = self._config.first_relay_port, self._config.last_relay_port
        if self._lending is None or not self._lending.give_back(port, first, last):
            self._ports.release(port)


def _requested_families(message: Message) -> tuple[AddressFamily, ...]:
    """Return the families that an Allocate which passed the checks asks for."""
    if _additional_family(message) is not None:
        return AddressFamily.IPV4, AddressFamily.IPV6
    return (AddressFamily(message.get(REQUESTED_ADDRESS_FAMILY) or AddressFamily.IPV4),)


def _additional_family(message: Message) -> int | None:
    family = message.get(ADDITIONAL_ADDRESS_FAMILY)
    return message.get(ADDITIONAL_ADDRESS_FAMILY_DRAFT) if family is None else family


def _log_state(allocation: Allocation, state: str, **more: object) -> None:
    if logger.isEnabledFor(logging.INFO):
        client = allocation.client
        logger.info(
            Event(
                "allocation",
                port=allocation.relay_port,
                state=state,
                user=Private("user", allocation.username),
                client=Private("address", client.host),
                client_port=client.port,
                transport=client.transport,
                **more,
            )
        )


def _transport_of(request: Request) -> Literal["udp", "tcp"]:
    return "tcp" if request.message.get(REQUESTED_TRANSPORT) == TCP else "udp"


def _check_tcp(request: Request) -> ErrorCode | None:
    """Return why a relay over TCP cannot be as it is wanted (RFC 6062 §5.1)."""
    of_udp: tuple[Attribute[Any], ...] = (
        DONT_FRAGMENT,
        EVEN_PORT,
        RESERVATION_TOKEN,
        ADDITIONAL_ADDRESS_FAMILY,
        ADDITIONAL_ADDRESS_FAMILY_DRAFT,
        MOBILITY_TICKET,  # it ends with its control connection
    )
    if request.client.transport == "udp" or any(
        request.message.get(attribute) is not None for attribute in of_udp
    ):
        return ErrorCode.BAD_REQUEST
    return None


def granted_lifetime(requested: int | None, config: TurnConfig) -> float:
    """Return the lifetime for a LIFETIME other than 0 (RFC 8656 §7.2, §8.2).

    Never below the default: a client that asked for less would have to refresh more often, for
    nobody's gain.
    """
    if requested is None:
        return config.default_lifetime
    return min(max(float(requested), config.default_lifetime), config.max_lifetime)
