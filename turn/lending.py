"""Lending: a reserved port goes from the worker that has it to the one whose client claims it.

The kernel gives each of a client's sockets to any worker, so that a RESERVATION-TOKEN may come to
another one than made it.  The token names its maker::

    claimer ──CLAIM──> maker ──GRANT, with the socket──> claimer ... ──RETURN──> maker
                         └───REFUSE──────────────────────> claimer

The port is lent: it is the claimer's, with its place in the quota, until its allocation ends, and
goes back to the maker's pool then, or when the claimer dies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ringline.turn.addresses import Address
from ringline.turn.commands import CloseRelay, Command, TellWorker
from ringline.turn.deadlines import Deadlines
from ringline.turn.fleet import Fleet, WorkerMessage, WorkerMessageKind
from ringline.turn.ports import PortPool
from ringline.turn.quota import AllocationQuota
from ringline.turn.reservation import Reservations
from ringline.turn.respond import Request

__all__ = ["CLAIM_PATIENCE", "Claim", "Lending"]

CLAIM_PATIENCE: Final = 1.0
"""Seconds in which another worker has to answer; it needs none, unless it is dead."""


@dataclass(slots=True)
class Claim:
    """An Allocate that waits for another worker's port.

    Attributes:
        lifetime: Of the allocation that it asks for.
        is_abandoned: The client's connection was lost meanwhile.

    """

    request: Request
    lifetime: float
    is_abandoned: bool = False


class Lending:
    """One worker's part of it.

    Args:
        fleet: The other workers.
        ports: Those of this one, of which some are lent.
        quota: Where a reserved port has its place.
        reservations: What this one has to lend.
        commands: Where the edge is told.
        on_granted: Called with a claim, the name that its port is counted under, the address that
            the socket is bound to, and now.  The place in the quota is taken.
        on_refused: Called with a claim that comes to nothing.

    """

    def __init__(
        self,
        fleet: Fleet,
        ports: PortPool,
        quota: AllocationQuota,
        reservations: Reservations,
        commands: deque[Command],
        *,
        on_granted: Callable[[Claim, str, Address, float], None],
        on_refused: Callable[[Claim], None],
    ) -> None:
        self._fleet: Final = fleet
        self._ports: Final = ports
        self._quota: Final = quota
        self._reservations: Final = reservations
        self._commands: Final = commands
        self._on_granted: Final = on_granted
        self._on_refused: Final = on_refused
        self._claims: Final[dict[bytes, Claim]] = {}  # under way, by token
        self._deadlines: Final[Deadlines[bytes]] = Deadlines()
        self._lent: Final[dict[int, int]] = {}  # ports of ours, to the worker that has them

    def is_elsewhere(self, token: bytes) -> bool:
        """Tell whether another worker made a token."""
        fleet = self._fleet
        return len(token) == 8 and token[0] != fleet.index and token[0] < fleet.count

    def claim(self, request: Request, token: bytes, lifetime: float, now: float) -> Claim | None:
        """Ask the worker that has the port for it; :obj:`None` if that is under way already."""
        if token in self._claims:
            return None
        claim = self._claims[token] = Claim(request, lifetime)
        self._deadlines.schedule(token, now + CLAIM_PATIENCE)
        self._tell(token[0], WorkerMessageKind.CLAIM, token=token, name=request.username)
        return claim

    def handle_message(self, message: WorkerMessage, relay_port: int, now: float) -> None:
        """Take what another worker said; ``relay_port`` is that of a socket that came along."""
        match message.kind:
            case WorkerMessageKind.CLAIM:
                self._lend(message)
            case WorkerMessageKind.GRANT:
                self._take_over(message, relay_port, now)
            case WorkerMessageKind.REFUSE:
                claim = self._take_out(message.token)
                if claim is not None:
                    self._on_refused(claim)
            case WorkerMessageKind.RETURN:
                self.handle_returned(message.target[1])
            case WorkerMessageKind.HELLO:
                for port in [p for p, worker in self._lent.items() if worker == message.sender]:
                    self.handle_returned(port)
            case _:  # DATA is the server's
                pass

    def handle_returned(self, port: int) -> None:
        """A port that was lent is ours again, or never reached the other worker."""
        if self._lent.pop(port, None) is not None:
            self._ports.release(port)

    def handle_timeout(self, now: float) -> None:
        """Give up claims that nobody answers."""
        for token in self._deadlines.pop_due(now):
            self._on_refused(self._claims.pop(token))

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` has something to do."""
        return self._deadlines.next_due()

    def give_back(self, port: int, first: int, last: int) -> bool:
        """Give a port back whose relay is closed, if it is lent; else it is of our own part.

        Args:
            port: The port.
            first: The first port of our part.
            last: The last one.

        """
        home = self._fleet.home_of(port, first, last)
        if home is None:
            return False
        self._tell(home, WorkerMessageKind.RETURN, target=("", port))
        return True

    def _lend(self, message: WorkerMessage) -> None:
        """Give a reserved port, with its socket and its place in the quota, to who claims it."""
        reservation = self._reservations.claim(message.token, message.name)
        if reservation is None:
            self._tell(message.sender, WorkerMessageKind.REFUSE, token=message.token)
            return
        port = reservation.relay_port
        self._quota.release(reservation.quota_name, 1)
        self._lent[port] = message.sender
        self._tell(
            message.sender,
            WorkerMessageKind.GRANT,
            relay_port=port,
            source=(reservation.host, port),
            token=message.token,
            name=reservation.quota_name,
        )

    def _take_over(self, message: WorkerMessage, relay_port: int, now: float) -> None:
        """Use a port that another worker has lent, or send it back if nobody waits for it."""
        claim = self._take_out(message.token)
        if claim is not None and not claim.is_abandoned and relay_port == message.source[1]:
            self._quota.take(message.name, 1)
            self._on_granted(claim, message.name, message.source, now)
            return
        if claim is not None:
            self._on_refused(claim)
        if relay_port:
            self._commands.append(CloseRelay(relay_port))
        self._tell(message.sender, WorkerMessageKind.RETURN, target=message.source)

    def _take_out(self, token: bytes) -> Claim | None:
        claim = self._claims.pop(token, None)
        if claim is not None:
            self._deadlines.cancel(token)
        return claim

    def _tell(
        self,
        worker: int,
        kind: WorkerMessageKind,
        *,
        relay_port: int | None = None,
        source: Address = ("", 0),
        target: Address = ("", 0),
        token: bytes = b"",
        name: str = "",
    ) -> None:
        message = WorkerMessage(kind, self._fleet.index, source, target, token, name)
        self._commands.append(TellWorker(worker, message.serialize(), relay_port))
