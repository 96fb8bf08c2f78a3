"""Generation: one ICE session (RFC 8445) of a transport, from its credentials to its end.

aioice's :class:`~aioice.Connection` authenticates what comes in; what goes out, and which pair
is used, is the business of :mod:`ringline.client.check_list`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Protocol

from aioice import Candidate, Connection, TransportPolicy, ice, stun
from aioice.candidate import candidate_priority
from aioice.mdns import is_mdns_hostname

from ringline.client.check_list import Check, CheckList, Pair
from ringline.client.io_aiortc.io_gather import Gatherer
from ringline.client.io_aiortc.io_sockets import MALFORMED, MAX_PEERS, BaseSocket
from ringline.client.io_udp import LinkDriver
from ringline.client.transport import (
    MAX_REMOTE_CANDIDATES,
    Address,
    IceServer,
    Path,
    PathKind,
    RemoteTransportParameters,
    TransportConfig,
)
from ringline.media.io_clock import LoopClock

__all__ = ["Generation", "GenerationOwner"]

logger = logging.getLogger(__name__)

_MAX_SENT: Final = 512
"""Checks whose answers are still taken: half a minute of a dozen unanswered pairs."""


class GenerationOwner(Protocol):
    """Hears of what happens in a generation, on the loop's thread."""

    @property
    def dropped(self) -> Counter[str]:
        """Counts by reason."""

    def candidate_found(self, generation: Generation, text: str) -> None:
        """Hear of a local candidate."""

    def candidates_complete(self, generation: Generation) -> None:
        """Hear that there are no more."""

    def alive(self, now: float) -> None:
        """Hear that the other side is."""

    def datagram_arrived(self, data: bytes, arrived_at: float) -> None:
        """Take what the other side sent that is not STUN."""

    def path_maybe_changed(self) -> None:
        """Look at the selected pair again."""


class Generation(Connection):
    """Credentials, sockets, candidates and checks of one ICE generation.

    Of :class:`aioice.Connection` it keeps the inbound side of checks and the remote candidates;
    ``gather_candidates``, ``connect``, ``query_consent`` and ``recv`` are never called.

    Args:
        number: Of the generation.
        owner: Hears of what happens, on the loop's thread.
        config: Its transport's.
        relay_only: No candidate but relayed ones.
        controlling: Whether we nominate.
        link: Passes what is sent, or :obj:`None`.

    """

    def __init__(
        self,
        number: int,
        owner: GenerationOwner,
        config: TransportConfig,
        *,
        relay_only: bool,
        controlling: bool,
        link: LinkDriver | None,
    ) -> None:
        policy = TransportPolicy.RELAY if relay_only else TransportPolicy.ALL
        super().__init__(ice_controlling=controlling, transport_policy=policy)
        self.number: Final = number
        self.dropped: Final = owner.dropped
        self.candidates: Final[list[str]] = []
        self.settled = False  # the caller has read the candidates of this machine
        self._owner: Final = owner
        self._loop: Final = asyncio.get_running_loop()
        self._clock: Final = LoopClock(self._loop)
        self._checks: Final[CheckList[BaseSocket]] = CheckList(
            config.check,
            controlling=controlling,
            rng=random.Random(),  # noqa: S311 - intervals
        )
        self._remote_by_address: Final[dict[Address, Candidate]] = {}
        self._sent: Final[dict[bytes, tuple[Pair[BaseSocket], float, bool]]] = {}
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._checked_from: tuple[BaseSocket, Address] | None = None  # by the other side
        self._gatherer: Final = Gatherer(
            self,
            config,
            relay_only=relay_only,
            link=link,
            dropped=owner.dropped,
            on_socket=self._add_socket,
            on_candidate=self._publish,
            on_complete=self._gathered,
        )

    @property
    def selected(self) -> Pair[BaseSocket] | None:
        """The pair to send on."""
        return self._checks.selected

    @property
    def gathered(self) -> bool:
        """Whether no more local candidates will come."""
        return self._gatherer.complete

    # Our side

    def gather(self, *, servers_expected: bool) -> None:
        """Bind a socket to each local address; their candidates exist on return."""
        self._gatherer.gather(servers_expected=servers_expected)

    def use_servers(self, servers: Iterable[IceServer]) -> None:
        """Ask all of them at once for candidates."""
        self._gatherer.ask(servers)

    def _add_socket(self, socket: BaseSocket) -> None:
        self._protocols.append(socket)  # type: ignore[arg-type] # does what a StunProtocol does
        self._publish(socket.local_candidate)
        for remote in self._remote_candidates:
            self._pair(socket, remote)
        self._pump()

    def _publish(self, candidate: Candidate) -> None:
        text = f"candidate:{candidate.to_sdp()} ufrag {self.local_username}"
        self.candidates.append(text)
        self._owner.candidate_found(self, text)

    def _gathered(self) -> None:
        if not self._closing:
            self._owner.candidates_complete(self)

    # The other side

    def start(self, remote: RemoteTransportParameters) -> None:
        """Begin the checks."""
        self.remote_username = remote.ufrag
        self.remote_password = remote.password
        self._early_checks_done = True
        self._checks.start(self._clock.now())
        while self._early_checks:
            self.check_incoming(*self._early_checks.popleft())
        self._pump()

    def add_remote(self, text: str) -> None:
        """Take the text of a candidate attribute; malformed or one too many is dropped."""
        try:
            candidate = Candidate.from_sdp(text.removeprefix("a=").removeprefix("candidate:"))
            if not (0 < candidate.port < 1 << 16 and 0 <= candidate.priority < 1 << 32):
                raise ValueError("port or priority out of range")
        except MALFORMED:
            self.dropped["malformed candidate"] += 1
            return
        if len(self._remote_candidates) >= MAX_REMOTE_CANDIDATES:
            self.dropped["too many candidates"] += 1
        elif is_mdns_hostname(candidate.host):
            if len(self._tasks) < MAX_REMOTE_CANDIDATES:
                self.spawn(self._add_mdns(candidate))
        else:
            before = len(self._remote_candidates)
            self._add_remote_candidate(candidate, candidate.host)
            if len(self._remote_candidates) == before:
                logger.debug("candidate known already, or not usable")
            self._pump()

    async def _add_mdns(self, candidate: Candidate) -> None:
        try:
            await self.add_remote_candidate(candidate)
        except OSError as error:
            logger.debug("no mDNS here: %s", error)
            self.dropped["mDNS"] += 1
        self._pump()

    def _pair_remote_candidate(self, remote_candidate: Candidate) -> None:
        self._remote_by_address[_address_of(remote_candidate)] = remote_candidate
        for socket in self._protocols:
            self._pair(socket, remote_candidate)  # type: ignore[arg-type] # see _add_socket

    def _pair(self, socket: BaseSocket, remote: Candidate) -> None:
        # Relaying to an mDNS candidate would tell its address to the TURN server.
        hidden = is_mdns_hostname(remote.host) and socket.local_candidate.type == "relay"
        if not hidden and socket.local_candidate.can_pair_with(remote):
            self._pair_of(socket, remote)

    def _pair_of(self, socket: BaseSocket, remote: Candidate) -> Pair[BaseSocket]:
        local = socket.local_candidate
        return self._checks.add_pair(
            socket,
            _address_of(remote),
            priority=ice.candidate_pair_priority(local, remote, self.ice_controlling),
            direct="relay" not in (local.type, remote.type),
            now=self._clock.now(),
            foundation=(local.foundation, remote.foundation),
        )

    def sort_check_list(self) -> None:
        """Do nothing: our list sorts itself."""

    def switch_role(self, ice_controlling: bool) -> None:
        """Change sides after a role conflict."""
        super().switch_role(ice_controlling)

        def priority(pair: Pair[BaseSocket]) -> int:
            remote = self._remote_by_address[pair.remote]
            local = pair.socket.local_candidate
            return ice.candidate_pair_priority(local, remote, ice_controlling)

        self._checks.handle_role(priority, self._clock.now(), controlling=ice_controlling)

    # Arrivals

    def datagram_arrived(
        self, socket: BaseSocket, data: bytes, source: Address, arrived_at: float
    ) -> None:
        """Sort what a socket read: STUN is for us, the rest for the transport (RFC 7983)."""
        if data[0] > 3:
            if source in socket.authenticated:
                self._checks.handle_data(socket, source, arrived_at)
                self._owner.datagram_arrived(data, arrived_at)
            else:
                self.dropped["unknown source"] += 1
            return
        try:
            self._stun_arrived(socket, stun.parse_message(data), source, arrived_at)
        except MALFORMED:
            self.dropped["malformed STUN"] += 1
        self._pump()

    def _stun_arrived(
        self, socket: BaseSocket, message: stun.Message, source: Address, arrived_at: float
    ) -> None:
        if message.message_class == stun.Class.REQUEST:
            if not (self._closing or socket.quiet):
                self.request_received(message, source, socket)  # type: ignore[arg-type]
            return
        if self._gatherer.handle_answer(message):
            return
        sent = self._sent.get(message.transaction_id)
        if sent is None or self.remote_password is None:
            return
        pair, sent_at, nominate = sent
        if pair.socket is not socket or pair.remote != source:
            self.dropped["asymmetric answer"] += 1  # RFC 8445 §7.2.5.2.1
            return
        if not message.check_message_integrity(self.remote_password.encode()):
            self.dropped["unauthenticated answer"] += 1
            return
        del self._sent[message.transaction_id]
        if message.message_class == stun.Class.RESPONSE:
            here = (socket.local_candidate.host, socket.local_candidate.port)
            pair.mapped = message.attributes["XOR-MAPPED-ADDRESS"] != here
            self.note_peer(socket, source, arrived_at)
            self._checks.handle_response(
                pair, arrived_at - sent_at, self._clock.now(), nominated=nominate
            )
        elif message.error_code == 487:
            self.switch_role(not self.ice_controlling)

    def check_incoming(
        self,
        message: stun.Message,
        addr: Address,
        protocol: Any,  # noqa: ANN401 - a BaseSocket
    ) -> None:
        """Take a check of the other side that aioice authenticated and answered."""
        remote = self._remote_by_address.get(addr)
        if remote is None:
            if len(self._remote_candidates) >= MAX_REMOTE_CANDIDATES:
                self.dropped["too many candidates"] += 1
                return
            remote = Candidate(
                foundation=f"prflx{len(self._remote_candidates)}",
                component=1,
                transport="udp",
                priority=message.attributes.get("PRIORITY", 1),  # RFC 8445 §7.1.1 demands one
                host=addr[0],
                port=addr[1],
                type="prflx",
            )
            self._remote_candidates.append(remote)
            self._remote_by_address[addr] = remote
        pair = self._pair_of(protocol, remote)
        nominate = "USE-CANDIDATE" in message.attributes
        self._checks.handle_request(pair, self._clock.now(), nominate=nominate)

    def note_answer(self, socket: BaseSocket, message: stun.Message, address: Address) -> None:
        """See an answer that aioice sends: success is given to authenticated checks only."""
        if message.message_class == stun.Class.RESPONSE:
            self.note_peer(socket, address, self._clock.now())
            self._checked_from = (socket, address)

    def note_peer(self, socket: BaseSocket, address: Address, now: float) -> None:
        """The other side is at that address, and alive."""
        if len(socket.authenticated) < MAX_PEERS:
            socket.authenticated.add(address)
        self._owner.alive(now)

    def socket_lost(self, socket: BaseSocket) -> None:
        """Forget a socket that is gone: a TURN server closed its connection."""
        self._checks.remove_socket(socket, self._clock.now())
        if socket in self._protocols:  # type: ignore[comparison-overlap] # see _add_socket
            self._protocols.remove(socket)  # type: ignore[arg-type]
        self._pump()

    def socket_refused(self, socket: BaseSocket) -> None:
        """Hear that what the socket sends reaches nobody, from whoever may say so."""
        self._checks.handle_refused(socket, self._clock.now())
        # We may be in the middle of sending checks.
        self._loop.call_soon(self._pump)

    def socket_leaving(self, socket: BaseSocket) -> None:
        """Hear that the socket will go: another pair is to take over."""
        self._checks.leave_socket(socket, self._clock.now())
        self._pump()

    def can_spare(self, socket: BaseSocket) -> bool:
        """Tell whether the call goes over another pair, one that stays."""
        pair = self._checks.selected
        return pair is not None and pair.socket is not socket and not pair.leaving

    # Checks

    def _pump(self) -> None:
        if self._closing:
            return
        now = self._clock.now()
        self._checks.handle_timeout(now)
        while (check := self._checks.poll_check(now)) is not None:
            self._send_check(check, now)
        when = self._checks.poll_timeout()
        if self._timer is not None:
            self._timer.cancel()
        finite = when is not None and when != float("inf")
        self._timer = self._clock.call_at(when or 0.0, self._pump) if finite else None
        self._owner.path_maybe_changed()

    def _send_check(self, check: Check[BaseSocket], now: float) -> None:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        attributes = request.attributes
        attributes["USERNAME"] = f"{self.remote_username}:{self.local_username}"
        preference = check.pair.socket.local_preference
        attributes["PRIORITY"] = candidate_priority(1, "prflx", preference)
        if self.ice_controlling:
            attributes["ICE-CONTROLLING"] = self._tie_breaker
            if check.nominate:
                attributes["USE-CANDIDATE"] = None
        else:
            attributes["ICE-CONTROLLED"] = self._tie_breaker
        request.add_message_integrity((self.remote_password or "").encode())
        while len(self._sent) >= _MAX_SENT:
            del self._sent[next(iter(self._sent))]
        self._sent[request.transaction_id] = (check.pair, now, check.nominate)
        check.pair.socket.send(bytes(request), check.pair.remote)

    # The path

    def path(self) -> Path | None:
        """Describe the selected pair."""
        pair = self._checks.selected
        if pair is None:
            return None
        local, remote = pair.socket.local_candidate, self._remote_by_address[pair.remote]
        local_type = "prflx" if local.type == "host" and pair.mapped else local.type
        types = {local_type, remote.type}
        kind: PathKind = "relay" if "relay" in types else "srflx" if types != {"host"} else "host"
        return Path(
            kind=kind,
            local_type=local_type,
            remote_type=remote.type,
            protocol=pair.socket.protocol,
            round_trip=pair.round_trip,
            least_round_trip=pair.least_round_trip,
            remote_address=pair.remote,
            relay=pair.socket.relay,
        )

    def sender(self) -> Callable[[bytes], None] | None:
        """Return what sends a datagram on the selected pair."""
        pair = self._checks.selected
        return None if pair is None else pair.socket.sender(pair.remote)

    def send_back(self, data: bytes) -> None:
        """Send to where the last authenticated check came from, if any did."""
        if self._checked_from is not None:
            socket, address = self._checked_from
            socket.send(data, address)

    # The end

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with this generation; none is begun any more while it closes."""
        if self._closing:
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop everything and free the sockets; takes half a second at most."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(socket.close() for socket in self._protocols))
        self._protocols.clear()
        await ice.unref_mdns_protocol(self)


def _address_of(candidate: Candidate) -> Address:
    return (candidate._network_host, candidate.port)  # noqa: SLF001 - in BORROWED
