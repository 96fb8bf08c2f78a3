"""Mobility: a client whose address has changed goes on with the allocation it had (RFC 8016).

::

    Allocate, MOBILITY-TICKET empty ──> answer with a ticket of epoch n
    Refresh with that ticket, from a new socket
      ├ allocation is here ──> pending: answer with a ticket of a later epoch; data still goes the
      │                        old way, and both ways are listened to (make before break)
      │                          ├ anything from the new socket ──> moved; the old ticket is void
      │                          └ 30 s of nothing ──> stays where it was
      └ allocation is unknown, yet the ticket opens ──> rebuilt, if its relayed addresses can be
                                                         had here; permissions and channels are the
                                                         client's to ask for again

A ticket is looked at after its bearer has authenticated, so that a flood of them costs no more than
any other request, and it is good for its owner alone (441).  What is no ticket of ours, or one
whose time is over, or one that was used before while its allocation lives, is 437.  A ticket
outlives an allocation that ended early: it could be made again until then, like any new one.  Off
by default.  See docs/decisions/0005-sealed-mobility-tickets.md.

Invariants:

1. An allocation has at most one pending move.
2. Moving changes neither port nor quota.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from ringline.turn.allocate import Allocator, granted_lifetime
from ringline.turn.allocation import Allocation, Allocations, Mobile, PendingMove
from ringline.turn.attributes import LIFETIME, MOBILITY_TICKET
from ringline.turn.commands import Command, OpenFlow, SetChannel
from ringline.turn.config import TurnConfig
from ringline.turn.error_codes import ErrorCode
from ringline.turn.metrics import TurnMetrics
from ringline.turn.respond import Request, Responder
from ringline.turn.ticket import EPOCHS, Ticket, Tickets, bind

__all__ = ["Mobility"]

logger = logging.getLogger(__name__)

PATIENCE: Final = 30.0
"""Seconds in which a client must be heard from its new socket; a round trip and some losses."""


class Mobility:
    """Performs Refresh requests that carry a ticket.

    Args:
        wall_clock: Seconds since 1970, which tickets expire by.
        offload: Where the edge is told of moved flows, if it wants to know.

    """

    def __init__(
        self,
        config: TurnConfig,
        allocations: Allocations,
        allocator: Allocator,
        responder: Responder,
        metrics: TurnMetrics,
        *,
        tickets: Tickets,
        wall_clock: Callable[[], float],
        offload: deque[Command] | None,
    ) -> None:
        self._config: Final = config
        self._allocations: Final = allocations
        self._allocator: Final = allocator
        self._responder: Final = responder
        self._metrics: Final = metrics
        self._tickets: Final = tickets
        self._wall_clock: Final = wall_clock
        self._offload: Final = offload

    def seal(self, allocation: Allocation, epoch: int, now: float) -> bytes:
        """Return a ticket for an allocation as it is now."""
        assert allocation.mobile is not None  # noqa: S101 - the caller has looked
        ends_in = max(relay.expires_at for relay in allocation.relays) - now
        return self._tickets.seal(
            Ticket(
                allocation.mobile.identity,
                epoch,
                tuple(relay.family for relay in allocation.relays),
                allocation.relay_port,
                int(self._wall_clock() + ends_in),
                bind(allocation.username, (relay.relayed[0] for relay in allocation.relays)),
            )
        )

    def resume(
        self, request: Request, sealed: bytes, allocation: Allocation | None, now: float
    ) -> None:
        """Answer a Refresh with a ticket; ``allocation`` is what its sender has, if anything."""
        ticket = self._tickets.open(sealed)
        target = None if ticket is None else self._allocations.by_identity.get(ticket.identity)
        if ticket is None:
            code: ErrorCode | None = ErrorCode.ALLOCATION_MISMATCH
        elif target is None or target.mobile is None:
            code = self._rebuild(request, ticket, allocation)
        elif target.username != request.username:
            code = ErrorCode.WRONG_CREDENTIALS
        else:
            code = self._begin(request, ticket, target, target.mobile, allocation, now=now)
        if code is not None:
            self._responder.refuse(request, code)

    def move(self, allocation: Allocation) -> None:
        """The client was heard from where it was expected: the new way is the only one now."""
        self._allocations.move(allocation)
        self._metrics.allocations_moved += 1
        logger.info("allocation %d: moved to another socket", allocation.relay_port)
        if self._offload is None:
            return
        port = allocation.relay_port
        relayed = tuple(relay.relayed for relay in allocation.relays)
        self._offload.append(OpenFlow(port, allocation.client, relayed, allocation.buckets))
        for each in allocation.channels.by_number.values():
            self._offload.append(
                SetChannel(port, each.number, each.peer, each.expires_at, each.relayed_only)
            )

    def _begin(
        self,
        request: Request,
        ticket: Ticket,
        target: Allocation,
        mobile: Mobile,
        allocation: Allocation | None,
        *,
        now: float,
    ) -> ErrorCode | None:
        """Expect the client of an allocation that is here at its new socket."""
        pending = mobile.pending
        transaction_id = request.message.transaction_id
        is_served = request.client == target.client or (
            pending is not None and request.client == pending.client
        )
        if is_served and mobile.answered == (request.client, transaction_id):
            self._responder.repeat(request, mobile.response)
            return None
        if (target.client, target.transaction_id) == (request.client, transaction_id):
            self._responder.repeat(request, target.response)
            return None
        is_current = ticket.epoch == mobile.epoch or (
            pending is not None and ticket.epoch == pending.epoch
        )
        if not is_current or allocation not in (None, target):
            return ErrorCode.ALLOCATION_MISMATCH
        if self._allocator.is_opening(request.client):
            return ErrorCode.ALLOCATION_MISMATCH
        families = [relay.family for relay in target.relays]
        requested = request.message.get(LIFETIME)
        if requested == 0:
            self._allocations.end(target, families)
            self._responder.succeed(request, (LIFETIME, 0))
            self._allocator.release(target, families)
            return None
        lifetime = granted_lifetime(requested, self._config)
        self._allocations.extend(target, families, now + lifetime)
        epoch = (mobile.last_epoch + 1) % EPOCHS
        mobile.answered = request.client, transaction_id
        mobile.response = self._responder.succeed(
            request,
            (LIFETIME, int(lifetime)),
            (MOBILITY_TICKET, self.seal(target, epoch, now)),
        )
        mobile.last_epoch = epoch
        if request.client == target.client:  # it had not moved, or was back before anybody knew
            self._allocations.forget_move(target)
            mobile.epoch = epoch
            return None
        self._allocations.expect(target, PendingMove(request.client, epoch, now + PATIENCE))
        return None

    def _rebuild(
        self, request: Request, ticket: Ticket, allocation: Allocation | None
    ) -> ErrorCode | None:
        """Make again, here, an allocation of another server of the fleet, or of an earlier life."""
        lifetime = request.message.get(LIFETIME)
        wall_clock = self._wall_clock()
        if allocation is not None or lifetime == 0 or ticket.expires_at <= wall_clock:
            return ErrorCode.ALLOCATION_MISMATCH
        return self._allocator.rebuild(request, ticket, wall_clock=wall_clock)
