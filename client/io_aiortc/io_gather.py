"""Gather: find this side's candidates (RFC 8445 §5.1).

::

    local addresses ──> host sockets, at once ──> candidates
    servers, all of them in parallel ──┬─ Binding from every host socket ──> srflx
                                       └─ Allocate (TURN) ─────────────────> relay

Nothing waits for a server but the word that gathering is complete.  After it a relay is kept at
each TURN server: one that is lost, or was left since its server drained, is asked for again, less
and less often, and what is found then is a candidate that comes late (RFC 8838), never one that is
missed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

from aioice import Candidate, ice, stun, turn

from ringline.client.io_aiortc.io_relay import (
    CHANNEL_REFRESH,
    RelaySocket,
    TurnTcp,
    TurnUdp,
    know_attributes,
)
from ringline.client.io_aiortc.io_sockets import (
    MALFORMED,
    BaseSocket,
    HostSocket,
    SocketOwner,
    make_candidate,
)
from ringline.client.io_udp import LinkDriver, UdpSocket
from ringline.client.transport import Address, IceServer, TransportConfig
from ringline.turn.errors import ParseError
from ringline.turn.server_url import ServerUrl, parse_server_url

__all__ = ["Gatherer", "local_addresses"]

logger = logging.getLogger(__name__)

_QUERY_RETRIES: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 1.9)
"""Seconds between Binding requests to a STUN server: faster than RFC 8489's 500 ms at first,
because a reflexive candidate that is late is a call that is late."""

_MAX_ADDRESSES: Final = 8
"""Local addresses gathered on: each is paired with every remote candidate."""


_FIRST_RETRY: Final = 1.0
"""Seconds until a TURN server that lost our allocation, or did not answer, is asked again."""

_LAST_RETRY: Final = 60.0
"""Where the doubling of that ends."""

_LOSS_PENALTY: Final = 1000
"""Of the local preference for each allocation that a server lost: the call does not go back to
a server that keeps failing while another is there."""

_TRY_ALTERNATE: Final = 300
_MAX_ALTERNATES: Final = 3
"""Servers that may name one another for one allocation."""

_NO_AUTHORITY: Final = (18, 19, 20, 21)
"""X509_V_ERR numbers of OpenSSL that say that nobody whom we trust vouches for a certificate."""

_HOPELESS: Final = (401, 403, 441)
"""Errors that will be given again to the same credential."""


def local_addresses(config: TransportConfig) -> tuple[str, ...]:
    """Return the addresses to gather on."""
    if config.addresses is not None:
        return config.addresses
    found = ice.get_host_addresses(use_ipv4=True, use_ipv6=True)[:_MAX_ADDRESSES]
    if config.include_loopback or not found:
        found.append("127.0.0.1")
    return tuple(found)


class Gatherer:
    """Finds the candidates of one generation.

    Args:
        owner: Of the sockets.
        config: Its transport's.
        relay_only: No candidate but relayed ones.
        link: Passes what is sent, or :obj:`None`.
        dropped: Counts servers that were of no use.
        on_socket: Told of each socket; its candidate comes with it.
        on_candidate: Told of each further candidate of a socket.
        on_complete: Told once, when no more will come.

    Attributes:
        complete: No more candidates will come.

    """

    def __init__(
        self,
        owner: SocketOwner,
        config: TransportConfig,
        *,
        relay_only: bool,
        link: LinkDriver | None,
        dropped: Counter[str],
        on_socket: Callable[[BaseSocket], None],
        on_candidate: Callable[[Candidate], None],
        on_complete: Callable[[], None],
    ) -> None:
        self._owner: Final = owner
        self._config: Final = config
        self._relay_only: Final = relay_only
        self._link: Final = link
        self._dropped: Final = dropped
        self._on_socket: Final = on_socket
        self._on_candidate: Final = on_candidate
        self._on_complete: Final = on_complete
        self._loop: Final = asyncio.get_running_loop()
        self._hosts: Final[list[HostSocket]] = []
        self._servers: Final[dict[str, IceServer]] = {}  # those asked, by URL, in order
        self._relays: Final[list[RelaySocket]] = []
        self._losses: Final[Counter[str]] = Counter()  # by URL
        self._queries: Final[dict[bytes, asyncio.Future[Address]]] = {}
        self._mapped: Final[set[Address]] = set()
        self._distrusted: Final[set[str]] = set()  # by URL; told of once
        self._pending = 0  # attempts not yet ended
        self._servers_expected = False
        self.complete = False
        know_attributes()

    def gather(self, *, servers_expected: bool) -> None:
        """Bind a socket to each local address; their candidates exist on return."""
        self._servers_expected = servers_expected
        if not self._relay_only:
            for index, address in enumerate(local_addresses(self._config)):
                try:
                    # The earlier, the more preferred; distinct as RFC 8445 §5.1.2.1 wants it.
                    socket = HostSocket(self._owner, address, 65535 - index, link=self._link)
                except OSError as error:
                    logger.debug("cannot gather on a local address: %s", error)
                    self._dropped["cannot bind"] += 1
                    continue
                self._hosts.append(socket)
                self._on_socket(socket)
        self._loop.call_soon(self._maybe_gathered)

    def ask(self, servers: Iterable[IceServer]) -> None:
        """Ask all of them at once for candidates."""
        self._servers_expected = False
        for server in servers:
            known = server.url in self._servers
            self._servers[server.url] = server  # with a credential that may be a newer one
            if known:
                continue
            try:
                parsed = parse_server_url(server.url)
            except ParseError:
                logger.warning("not the URL of a STUN or TURN server: %r", server.url)
                continue
            self.complete = False  # said again when this one is done
            self._attempt(partial(self._ask_server, server, parsed))
        self._loop.call_soon(self._maybe_gathered)

    def _maybe_gathered(self) -> None:
        if not (self.complete or self._pending or self._servers_expected):
            self.complete = True
            self._on_complete()

    def _attempt(
        self,
        work: Callable[[], Coroutine[Any, Any, object]],
        *,
        again: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Run a part of gathering, which may fail or take too long without harm.

        ``again`` follows if it did, but not if we were told to stop.
        """
        self._pending += 1

        async def attempt() -> None:
            failure: Exception | None = None
            try:
                async with asyncio.timeout(self._config.gather_timeout):
                    await work()  # made here: one cancelled before it runs leaves nothing
            except TimeoutError as error:
                self._dropped["server silent"] += 1
                failure = error
            except (stun.TransactionError, OSError, *MALFORMED) as error:
                logger.debug("STUN or TURN server refused: %s", error)
                self._dropped["server refused"] += 1
                failure = error
            finally:
                self._pending -= 1
                self._maybe_gathered()
            if failure is not None and again is not None and not _is_hopeless(failure):
                self._owner.spawn(again())

        self._owner.spawn(attempt())

    async def _ask_server(self, server: IceServer, parsed: ServerUrl) -> None:
        address = await self._resolve(parsed.host, parsed.port)
        # A connection would go past an emulated link, and win for being faster.
        if parsed.relays and (self._link is None or parsed.transport == "udp"):
            self._attempt(
                partial(self._allocate, server.url, parsed, address),
                again=partial(self._relay_again, server.url, parsed, address),
            )
        if not parsed.secure and parsed.transport == "udp" and not self._relay_only:
            # Every TURN server answers Binding requests too (RFC 8656 §3).
            for socket in self._hosts:
                self._attempt(partial(self._ask_reflexive, socket, address))

    async def _relay_again(self, url: str, parsed: ServerUrl, address: Address) -> None:
        """Allocate at a server that has failed us, as soon as it can be had."""
        wait = _FIRST_RETRY
        while True:
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LAST_RETRY)
            try:
                async with asyncio.timeout(self._config.gather_timeout):
                    found = await self._allocate(url, parsed, address)
            except (TimeoutError, stun.TransactionError, OSError, *MALFORMED) as error:
                logger.debug("TURN server still not of use: %s", error)
                if _is_hopeless(error):
                    return
            else:
                if found:
                    return  # else it drains, and the server that it names is ours already

    def relay_lost(self, relay: RelaySocket) -> None:
        """Hear that an allocation is gone: another is made at the same server."""
        self._dropped["relay lost"] += 1
        self._losses[relay.url] += 1
        self.relay_left(relay)

    def relay_left(self, relay: RelaySocket) -> None:
        """Hear that an allocation was ended: its server will be back, most likely."""
        self._relays.remove(relay)
        parsed = parse_server_url(relay.url)
        assert relay.relay is not None  # noqa: S101 - it is one
        self._owner.spawn(self._relay_again(relay.url, parsed, relay.relay))

    def relay_leaving(self, relay: RelaySocket, alternate: Address | None) -> None:
        """Hear that a server drains: the one that it names is asked (RFC 8489 §10)."""
        self._owner.socket_leaving(relay)
        if alternate is not None:
            parsed = parse_server_url(relay.url)
            self._attempt(partial(self._allocate, relay.url, parsed, alternate))

    async def _resolve(self, host: str, port: int) -> Address:
        try:
            return (str(ipaddress.ip_address(host)), port)
        except ValueError:
            found = await self._loop.getaddrinfo(host, port)
        addresses = [entry[4][0] for entry in found]
        # IPv4 first: a relayed address of its family is what every peer can reach.
        return (min(map(str, addresses), key=lambda text: ":" in text), port)

    async def _ask_reflexive(self, socket: HostSocket, server: Address) -> None:
        base = ipaddress.ip_address(socket.local_candidate.host)
        there = ipaddress.ip_address(server[0])
        if base.version != there.version or base.is_loopback != there.is_loopback:
            return
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        answer: asyncio.Future[Address] = self._loop.create_future()
        self._queries[request.transaction_id] = answer
        try:
            for wait in _QUERY_RETRIES:
                socket.send(bytes(request), server)
                await asyncio.wait((answer,), timeout=wait)
                if answer.done():
                    break
            mapped = await answer  # the timeout of the attempt ends the wait
        finally:
            del self._queries[request.transaction_id]
        here = (socket.local_candidate.host, socket.local_candidate.port)
        if mapped != here and mapped not in self._mapped:
            self._mapped.add(mapped)
            self._on_candidate(
                make_candidate("srflx", mapped, socket.local_preference, related=here)
            )

    async def _allocate(self, url: str, parsed: ServerUrl, address: Address) -> bool:
        """Get a relay, of the alternate server where one is named.

        Returns whether there is one more: there is none if we have one of that server.
        """
        for _ in range(_MAX_ALTERNATES + 1):
            if self._has_relay(parsed, address):
                return False
            try:
                await self._allocate_at(url, parsed, address)
            except stun.TransactionFailed as error:
                alternate = error.response.attributes.get("ALTERNATE-SERVER")
                if error.response.error_code != _TRY_ALTERNATE or alternate in (None, address):
                    raise
                address = alternate
            else:
                return True
        raise ConnectionError("TURN servers that name each other as alternates")

    def _has_relay(self, parsed: ServerUrl, address: Address) -> bool:
        protocol = "tls" if parsed.secure else parsed.transport
        return any(
            relay.relay == address and relay.protocol == protocol and not relay.leaving
            for relay in self._relays
        )

    async def _allocate_at(self, url: str, parsed: ServerUrl, address: Address) -> None:
        server = self._servers[url]
        arguments: dict[str, Any] = {
            "server": address,
            "username": server.username,
            "password": server.credential,
            "lifetime": turn.DEFAULT_ALLOCATION_LIFETIME,
            "channel_refresh_time": int(CHANNEL_REFRESH),
        }
        secure = parsed.secure
        client: TurnUdp | TurnTcp
        if parsed.transport == "tcp":
            try:
                _, client = await self._loop.create_connection(
                    lambda: TurnTcp(**arguments),
                    *address,
                    ssl=(self._config.turn_tls or True) if secure else None,
                    server_hostname=parsed.host if secure else None,
                )
            except ssl.SSLCertVerificationError as error:
                self._tell_distrust(url, parsed, error)
                raise
        elif secure or parsed.transport != "udp":
            return  # DTLS to the server (RFC 7350) is not spoken
        else:
            client = TurnUdp(**arguments)
            udp = UdpSocket(
                client, self._dropped, remote=address, link=self._link, on_refused=client.refused
            )
            client.connection_made(udp)  # type: ignore[arg-type] # as much of one as it uses
        try:
            await client.connect()
            # The earlier in the list of servers, the more preferred.
            preference = 65535 - list(self._servers).index(url)
            relay = RelaySocket(
                self._owner,
                client,
                keeper=self,
                url=url,
                protocol="tls" if secure else parsed.transport,
                local_preference=max(0, preference - _LOSS_PENALTY * self._losses[url]),
                hide_related=self._relay_only,
                upkeep=self._config.upkeep,
            )
        except BaseException:
            client.transport.close()
            raise
        self._relays.append(relay)
        self._on_socket(relay)

    def _tell_distrust(
        self, url: str, parsed: ServerUrl, error: ssl.SSLCertVerificationError
    ) -> None:
        """Say once why a server is of no use, as only its operator or our user can mend that."""
        if url in self._distrusted:
            return
        self._distrusted.add(url)
        is_private = error.verify_code in _NO_AUTHORITY
        hint = "; a private authority's is named by --turn-ca FILE" if is_private else ""
        logger.warning(
            "TURN: the certificate of %s:%d is refused: %s%s",
            parsed.host,
            parsed.port,
            error.verify_message,
            hint,
        )

    def handle_answer(self, message: stun.Message) -> bool:
        """Take a STUN response if it is one of a server's."""
        query = self._queries.get(message.transaction_id)
        if query is None:
            return False
        if not query.done() and message.message_class == stun.Class.RESPONSE:
            query.set_result(message.attributes["XOR-MAPPED-ADDRESS"])
        return True


def _is_hopeless(error: Exception) -> bool:
    return isinstance(error, stun.TransactionFailed) and error.response.error_code in _HOPELESS
