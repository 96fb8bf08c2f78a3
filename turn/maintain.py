"""Maintain: what an owner asks of a live allocation: Refresh, CreatePermission, ChannelBind.

Each request changes all that it asks for, or nothing and names the reason.  Whose allocation it
is decides first: none there is 437, somebody else's is 441.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from ringline.turn.addresses import Address
from ringline.turn.allocate import Allocator, granted_lifetime
from ringline.turn.allocation import Allocation, Allocations
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    DRAIN_AWARE,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_ADDRESS_FAMILY,
    XOR_PEER_ADDRESS,
)
from ringline.turn.commands import Command, SetChannel
from ringline.turn.config import TurnConfig
from ringline.turn.error_codes import ErrorCode
from ringline.turn.fleet import Fleet
from ringline.turn.peer_policy import PeerPolicy, Verdict
from ringline.turn.respond import AttributeValue, Request, Responder
from ringline.turn.stun import Method

__all__ = ["Maintainer"]


class Maintainer:
    """Performs the requests of owners.

    Args:
        offload: Where the edge is told of channels, if it wants to know.
        fleet: The other workers, if there are any.

    """

    def __init__(
        self,
        config: TurnConfig,
        allocations: Allocations,
        allocator: Allocator,
        responder: Responder,
        policy: PeerPolicy,
        *,
        offload: deque[Command] | None,
        fleet: Fleet | None = None,
    ) -> None:
        self._fleet: Final = fleet
        self._config: Final = config
        self._allocations: Final = allocations
        self._allocator: Final = allocator
        self._responder: Final = responder
        self._policy: Final = policy
        self._offload: Final = offload

    def handle_request(self, request: Request, allocation: Allocation | None, now: float) -> None:
        """Answer an authenticated request about the client's allocation, if it has one.

        Raises:
            ParseError: If an attribute is malformed.

        """
        if allocation is None:
            code: ErrorCode | None = ErrorCode.ALLOCATION_MISMATCH
        elif request.username != allocation.username:
            code = ErrorCode.WRONG_CREDENTIALS
        elif request.message.method == Method.REFRESH:
            code = self._refresh(request, allocation, now)
        elif request.message.method == Method.CREATE_PERMISSION:
            code = self._create_permission(request, allocation, now)
        else:
            code = self._bind_channel(request, allocation, now)
        if code is not None:
            self._responder.refuse(request, code)

    def _refresh(self, request: Request, allocation: Allocation, now: float) -> ErrorCode | None:
        """Put off the end of an allocation, or end it: both its relays, or that of one family.

        RFC 8656 §8.
        """
        family = request.message.get(REQUESTED_ADDRESS_FAMILY)
        requested = request.message.get(LIFETIME)
        families = [r.family for r in allocation.relays if family is None or r.family == family]
        if not families:
            return ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH
        if requested == 0:
            self._allocations.end(allocation, families)
            self._responder.succeed(request, (LIFETIME, 0))
            self._allocator.release(allocation, families)
            return None
        leave = self._allocator.draining and request.message.get(DRAIN_AWARE) is not None
        if leave and self._config.alternate_server is not None:
            # RFC 8489 §10 allows it for any request, but a client that does not expect it would
            # give up its allocation, which lives on.
            self._allocator.name_alternate(request)
            return None
        lifetime = granted_lifetime(requested, self._config)
        self._allocations.extend(allocation, families, now + lifetime)
        values: list[AttributeValue] = [(LIFETIME, int(lifetime))]
        if leave:
            values.append((DRAIN_AWARE, True))
        seal, mobile = self._allocator.seal, allocation.mobile
        if seal is not None and mobile is not None:
            # The same epoch, a later end: what the device keeps is never older than a refresh.
            values.append((MOBILITY_TICKET, seal(allocation, mobile.epoch, now)))
        self._responder.succeed(request, *values)
        return None

    def _create_permission(
        self, request: Request, allocation: Allocation, now: float
    ) -> ErrorCode | None:
        """Install or renew permissions, all that are asked for or none (RFC 8656 §10.2)."""
        hosts = [host for host, _ in request.message.get_all(XOR_PEER_ADDRESS)]
        if not hosts:
            return ErrorCode.BAD_REQUEST
        verdicts: dict[str, Verdict] = {}
        for host in hosts:
            verdict, code = self._judge((host, 0), allocation)
            if code is not None:
                return code
            verdicts[host] = verdict
        if not allocation.permissions.has_room(verdicts, now):
            return ErrorCode.INSUFFICIENT_CAPACITY
        if not allocation.new_peers.admit([(host, 0) for host in verdicts], now):
            return ErrorCode.INSUFFICIENT_CAPACITY
        for host, verdict in verdicts.items():
            allocation.permissions.install(
                host,
                now + self._config.permission_lifetime,
                relayed_only=verdict is Verdict.RELAYED_ONLY,
            )
        self._responder.succeed(request)
        return None

    def _bind_channel(
        self, request: Request, allocation: Allocation, now: float
    ) -> ErrorCode | None:
        """Bind or renew a channel, and the permission that it implies (RFC 8656 §12.2).

        The permission lasts as long as the channel: clients that only ever renew their channels
        would else lose what peers send after five minutes.
        """
        number = request.message.get(CHANNEL_NUMBER)
        peer = request.message.get(XOR_PEER_ADDRESS)
        if number is None or peer is None or peer[1] == 0 or allocation.transport != "udp":
            return ErrorCode.BAD_REQUEST
        if allocation.channels.conflicts(number, peer, now):
            return ErrorCode.BAD_REQUEST
        verdict, code = self._judge(peer, allocation)
        if code is not None:
            return code
        relayed_only = verdict is Verdict.RELAYED_ONLY
        if relayed_only and not self._is_relay(peer):
            return ErrorCode.FORBIDDEN  # ours, and no relay: say so rather than drop its data
        if not allocation.channels.has_room(number, now) or not allocation.permissions.has_room(
            (peer[0],), now
        ):
            return ErrorCode.INSUFFICIENT_CAPACITY
        if not allocation.new_peers.admit((peer,), now):
            return ErrorCode.INSUFFICIENT_CAPACITY
        expires_at = now + self._config.channel_lifetime
        allocation.channels.bind(number, peer, expires_at, relayed_only=relayed_only)
        if self._offload is not None:
            self._offload.append(
                SetChannel(allocation.relay_port, number, peer, expires_at, relayed_only)
            )
        allocation.permissions.install(
            peer[0],
            max(expires_at, now + self._config.permission_lifetime),
            relayed_only=relayed_only,
        )
        self._responder.succeed(request)
        return None

    def _is_relay(self, peer: Address) -> bool:
        """Tell whether a live relay of ours is there, whichever worker's."""
        return peer in self._allocations.by_relayed or (
            self._fleet is not None and self._fleet.owner_of(peer) is not None
        )

    def _judge(self, peer: Address, allocation: Allocation) -> tuple[Verdict, ErrorCode | None]:
        verdict = self._policy.judge(peer)
        if verdict is Verdict.DENIED:
            return verdict, ErrorCode.FORBIDDEN
        if allocation.relay_to(peer[0]) is None:
            return verdict, ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH
        return verdict, None
