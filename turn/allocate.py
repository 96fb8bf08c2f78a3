"""Allocate: from a request to a live relay (RFC 8656 §7).

::

    request ──checks──> quota, port ──OpenRelay──> opened ──> [second port of a pair] ──> answer
                                          └──────> failed ──> another port, or 508

The answer leaves only when the socket is bound, so that a client never learns of a relay that is
not there.  Ports and quota are taken before the edge is asked and given back on every way out:

1. A taken port belongs to exactly one opening, reservation or allocation.
2. A user's count is the number of ports in those that are the user's.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ringline.turn.addresses import Address, AddressFamily, ClientSocket, parse_address
from ringline.turn.allocation import Allocation, Allocations
from ringline.turn.attributes import (
    ALTERNATE_SERVER,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
)
from ringline.turn.channel_binding import ChannelBindings
from ringline.turn.commands import CloseRelay, Command, OpenFlow, OpenRelay
from ringline.turn.config import TurnConfig
from ringline.turn.credentials import Credentials
from ringline.turn.error_codes import ErrorCode
from ringline.turn.metrics import TurnMetrics
from ringline.turn.peer_policy import PeerPolicy
from ringline.turn.permission import Permissions
from ringline.turn.ports import PortPool
from ringline.turn.quota import AllocationQuota
from ringline.turn.reservation import Reservation, Reservations
from ringline.turn.respond import AttributeValue, Request, Responder

__all__ = ["Allocator", "granted_lifetime"]

logger = logging.getLogger(__name__)

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
    """An Allocate that waits for its socket.

    Attributes:
        host: Local address of the first socket of a pair, once it is open.
        is_abandoned: The client's connection was lost meanwhile.

    """

    request: Request
    quota_name: str
    ports: _Ports
    lifetime: float
    relay_port: int
    attempts: int = 1
    host: str | None = None
    is_abandoned: bool = False


class Allocator:
    """Performs Allocate requests, and gives back what ended allocations held.

    Args:
        rng: Chooses ports.
        random_bytes: Makes reservation tokens.
        offload: Whether the edge is told of flows.

    Attributes:
        draining: Whether new allocations are refused, because the server is about to stop.

    """

    def __init__(
        self,
        config: TurnConfig,
        allocations: Allocations,
        responder: Responder,
        commands: deque[Command],
        metrics: TurnMetrics,
        *,
        credentials: Credentials,
        policy: PeerPolicy,
        rng: random.Random,
        random_bytes: Callable[[int], bytes],
        offload: bool,
    ) -> None:
        self._config: Final = config
        self._allocations: Final = allocations
        self._responder: Final = responder
        self._commands: Final = commands
        self._metrics: Final = metrics
        self._credentials: Final = credentials
        self._policy: Final = policy
        self._random_bytes: Final = random_bytes
        self._offload: Final = offload
        self._ports: Final = PortPool(config.first_relay_port, config.last_relay_port, rng)
        self._quota: Final = AllocationQuota(
            per_user=config.max_allocations_per_user, total=config.max_allocations
        )
        self._reservations: Final = Reservations()
        self._openings_by_client: Final[dict[ClientSocket, _Opening]] = {}
        self._openings_by_port: Final[dict[int, _Opening]] = {}
        self.draining = False

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
        if code is not None:
            self._responder.refuse(request, code)
            return
        token = request.message.get(RESERVATION_TOKEN)
        if token is not None:
            self._use_reservation(request, token, now)
        else:
            self._begin(request)

    def handle_relay_opened(self, relay_port: int, host: str, now: float) -> None:
        """The edge has the socket of an :class:`OpenRelay`, bound to ``host``."""
        opening = self._openings_by_port.pop(relay_port)
        if opening.is_abandoned:
            self._give_up(opening, relay_port)
            return
        if opening.ports is _Ports.PAIR and opening.host is None:
            opening.host = host
            self._open(opening, relay_port + 1)
            return
        del self._openings_by_client[opening.request.client]
        values: tuple[AttributeValue, ...] = ()
        if opening.host is not None:
            token = self._reserve(opening, relay_port, host, now)
            values = ((RESERVATION_TOKEN, token),)
        local = (opening.host or host, opening.relay_port)
        self._establish(
            opening.request, opening.quota_name, local, opening.lifetime, now, extra=values
        )

    def handle_relay_failed(self, relay_port: int) -> None:
        """The edge could not open the socket of an :class:`OpenRelay`."""
        opening = self._openings_by_port.pop(relay_port)
        if opening.host is not None:
            self._commands.append(CloseRelay(opening.relay_port))
            opening.host = None
        failed = opening.relay_port
        port = self._take_port(opening.ports) if opening.attempts < MAX_ATTEMPTS else None
        # Given back only now, so that the next attempt is another port.
        self._release_ports(failed, opening.ports.count)
        if port is None:
            del self._openings_by_client[opening.request.client]
            self._quota.release(opening.quota_name, opening.ports.count)
            self._responder.refuse(opening.request, ErrorCode.INSUFFICIENT_CAPACITY)
            return
        opening.relay_port = port
        opening.attempts += 1
        self._open(opening, port)

    def handle_timeout(self, now: float) -> None:
        """Close the reserved relays that nobody claimed."""
        for reservation in self._reservations.pop_expired(now):
            self._close(reservation.relay_port, reservation.quota_name)

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` has something to do."""
        return self._reservations.next_expiry()

    def release(self, allocation: Allocation) -> None:
        """Close the relay of an allocation that is out of the table."""
        self._close(allocation.relay_port, allocation.quota_name)
        self._metrics.allocations = len(self._allocations)
        logger.info("allocation %d: live -> ended", allocation.relay_port)

    def abandon(self, client: ClientSocket) -> None:
        """Establish nothing for a client that is gone, once its socket is there."""
        opening = self._openings_by_client.get(client)
        if opening is not None:
            opening.is_abandoned = True

    def _give_up(self, opening: _Opening, opened: int) -> None:
        """Close what was opened for a client that is gone."""
        self._commands.append(CloseRelay(opened))
        if opening.host is not None:
            self._commands.append(CloseRelay(opening.relay_port))
        self._release_ports(opening.relay_port, opening.ports.count)
        self._quota.release(opening.quota_name, opening.ports.count)
        del self._openings_by_client[opening.request.client]

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
        if transport != UDP:
            return ErrorCode.UNSUPPORTED_TRANSPORT
        family = message.get(REQUESTED_ADDRESS_FAMILY)
        reserved = message.get(RESERVATION_TOKEN) is not None
        if reserved and (family is not None or message.get(EVEN_PORT) is not None):
            return ErrorCode.BAD_REQUEST
        if family is not None and family != AddressFamily.IPV4:
            return ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED
        return None

    def _turn_away(self, request: Request) -> None:
        """Refuse an allocation on a server about to stop (RFC 8489 §10, RFC 8656 §7.2)."""
        alternate = self._config.alternate_server
        if alternate is None:
            self._responder.refuse(request, ErrorCode.INSUFFICIENT_CAPACITY)
        else:
            address = parse_address(alternate)
            self._responder.refuse(request, ErrorCode.TRY_ALTERNATE, (ALTERNATE_SERVER, address))

    def _begin(self, request: Request) -> None:
        even = request.message.get(EVEN_PORT)
        ports = _Ports.ANY if even is None else _Ports.PAIR if even else _Ports.EVEN
        lifetime = granted_lifetime(request.message.get(LIFETIME), self._config)
        quota_name = self._credentials.quota_name(request.username)
        if not self._quota.user_has_room(quota_name, ports.count):
            self._responder.refuse(request, ErrorCode.ALLOCATION_QUOTA_REACHED)
            return
        port = self._take_port(ports) if self._quota.has_room(ports.count) else None
        if port is None:
            self._responder.refuse(request, ErrorCode.INSUFFICIENT_CAPACITY)
            return
        self._quota.take(quota_name, ports.count)
        opening = _Opening(request, quota_name, ports, lifetime, port)
        self._openings_by_client[request.client] = opening
        self._open(opening, port)

    def _open(self, opening: _Opening, port: int) -> None:
        self._openings_by_port[port] = opening
        self._commands.append(OpenRelay(port, opening.request.client))

    def _reserve(self, opening: _Opening, port: int, host: str, now: float) -> bytes:
        token = self._random_bytes(8)
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
        local = (reservation.host, reservation.relay_port)
        self._establish(request, reservation.quota_name, local, lifetime, now)

    def _establish(
        self,
        request: Request,
        quota_name: str,
        local: Address,
        lifetime: float,
        now: float,
        *,
        extra: tuple[AttributeValue, ...] = (),
    ) -> None:
        host, port = local
        relayed = (self._config.external_address or host, port)
        self._policy.add_own_host(host)
        self._policy.add_own_host(relayed[0])
        response = self._responder.succeed(
            request,
            (XOR_RELAYED_ADDRESS, relayed),
            (LIFETIME, int(lifetime)),
            *extra,
            (XOR_MAPPED_ADDRESS, request.client.address),
        )
        self._allocations.add(
            Allocation(
                client=request.client,
                relay_port=port,
                local=local,
                relayed=relayed,
                username=request.username,
                quota_name=quota_name,
                keys=request.keys,
                transaction_id=request.message.transaction_id,
                response=response,
                expires_at=now + lifetime,
                permissions=Permissions(self._config.max_permissions),
                channels=ChannelBindings(self._config.max_channels),
            )
        )
        if self._offload:
            self._commands.append(OpenFlow(port, request.client, relayed))
        self._metrics.allocations = len(self._allocations)
        self._metrics.allocations_created += 1
        logger.info("allocation %d: opened -> live for %.0f s", port, lifetime)

    def _take_port(self, ports: _Ports) -> int | None:
        if ports is _Ports.PAIR:
            return self._ports.take_pair()
        return self._ports.take_even() if ports is _Ports.EVEN else self._ports.take()

    def _release_ports(self, first: int, count: int) -> None:
        for port in range(first, first + count):
            self._ports.release(port)

    def _close(self, port: int, quota_name: str) -> None:
        self._commands.append(CloseRelay(port))
        self._ports.release(port)
        self._quota.release(quota_name, 1)


def granted_lifetime(requested: int | None, config: TurnConfig) -> float:
    """Return the lifetime for a LIFETIME other than 0 (RFC 8656 §7.2, §8.2).

    Never below the default: a client that asked for less would have to refresh more often, for
    nobody's gain.
    """
    if requested is None:
        return config.default_lifetime
    return min(max(float(requested), config.default_lifetime), config.max_lifetime)
