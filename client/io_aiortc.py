"""The way to the other side: ICE, DTLS-SRTP and SCTP, out of the parts of aiortc and aioice.

::

    send ──> SRTP ──┐                     ┌── host socket ───────────┐
    data channel ─> SCTP ─> DTLS ─> path ─┤                          ├──> network
                                          └── TURN channel ──────────┘
    on_media <── SRTP <── first byte, source known? (RFC 7983) <── any socket of any generation

The only module of the project that imports aiortc and aioice.  What is theirs here: STUN
messages, candidates, the authentication of checks, mDNS names, the TURN client's transactions;
certificates, the DTLS handshake, SCTP and data channels; the SDP grammar.  What is ours, because
theirs starts slowly, waits for dead servers and gives up a living path: gathering, the check
list (:mod:`.check_list`), consent, ICE restarts, and the road of a media packet, which passes
no queue and no task.

An ICE restart makes a new *generation*: credentials, sockets and checks of its own, under the
same DTLS association.  The newest generation with a working pair carries what is sent; what
arrives is taken from all of them.

Invariants:

1. Nothing that arrives, and no error of a socket, raises to the caller: it is counted in
   :attr:`PeerTransport.dropped`.
2. Only from an address that passed an authenticated check does anything but STUN get further
   than the first byte.
3. Everything that waits is bounded.
4. Only :meth:`PeerTransport.close` and the other side's goodbye end a transport.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import random
import struct
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Literal, Protocol

import aiortc
import pylibsrtp
from aioice import Candidate, Connection, TransportPolicy, ice, stun, turn
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.mdns import is_mdns_hostname
from aiortc import rtcdtlstransport, rtcicetransport, rtcrtpparameters, rtcsctptransport
from aiortc import sdp as rtc_sdp

from ringline.client.check_list import Check, CheckList, Pair
from ringline.client.description import Fingerprint
from ringline.client.errors import LocalError
from ringline.client.io_udp import LinkDriver, UdpSocket
from ringline.client.transport import (
    MAX_REMOTE_CANDIDATES,
    Address,
    CandidateFound,
    CandidatesComplete,
    ChannelOpened,
    DataChannel,
    IceServer,
    LocalTransportParameters,
    NetworkChanged,
    Path,
    PathChanged,
    PathKind,
    RemoteTransportParameters,
    TransportConfig,
    TransportEvent,
    TransportState,
    TransportStateChanged,
)

__all__ = [
    "BORROWED",
    "CandidateFound",
    "CandidatesComplete",
    "ChannelOpened",
    "DataChannel",
    "IceServer",
    "LocalTransportParameters",
    "NetworkChanged",
    "Path",
    "PathChanged",
    "PeerTransport",
    "RemoteTransportParameters",
    "TransportConfig",
    "TransportEvent",
    "TransportState",
    "TransportStateChanged",
    "rtc_parameters",
    "rtc_sdp",
]

logger = logging.getLogger(__name__)

BORROWED: Final[tuple[tuple[str, str, str], ...]] = (
    # Whose, which name, what for.  tests/test_aiortc_contract.py holds each against the
    # installed version.  Public names are here where their signature is relied on.
    ("aioice.Connection", "_add_remote_candidate", "validates, upgrades peer-reflexive ones"),
    ("aioice.Connection", "_pair_remote_candidate", "overridden: pairs go to our check list"),
    ("aioice.Connection", "sort_check_list", "overridden: our list sorts itself"),
    ("aioice.Connection", "request_received", "authenticates checks, settles role conflicts"),
    ("aioice.Connection", "check_incoming", "overridden: checks go to our check list"),
    ("aioice.Connection", "switch_role", "overridden: tells our check list"),
    ("aioice.Connection", "_protocols", "the sockets that remote candidates pair with"),
    ("aioice.Connection", "_remote_candidates", "to bound and to find them"),
    ("aioice.Connection", "_early_checks", "checks that came before the remote password"),
    ("aioice.Connection", "_early_checks_done", "ends their being kept"),
    ("aioice.Connection", "_tie_breaker", "of role conflicts"),
    ("aioice.Connection", "_closing", "ends the answering of checks"),
    ("aioice.Candidate", "_network_host", "the address behind an mDNS name"),
    ("aioice.ice", "candidate_pair_priority", "RFC 8445 §6.1.2.3"),
    ("aioice.ice", "get_host_addresses", "of this machine"),
    ("aioice.ice", "unref_mdns_protocol", "lets go of the shared mDNS socket"),
    ("aioice.turn.TurnClientUdpProtocol", "_send", "a message to the server"),
    ("aioice.turn.TurnClientTcpProtocol", "_send", "likewise, padded"),
    ("aioice.turn.TurnClientUdpProtocol", "channel_bind", "one transaction"),
    ("aioice.turn.TurnClientUdpProtocol", "channel_to_peer", "which peer a channel is"),
    ("aioice.turn.TurnClientUdpProtocol", "peer_to_channel", "whose data is let in"),
    ("aioice.turn.TurnClientUdpProtocol", "receiver", "who is told of data"),
    ("aioice.turn.TurnClientUdpProtocol", "delete", "ends the allocation"),
    ("aiortc.RTCCertificate", "_create_ssl_context", "called by RTCDtlsTransport.start"),
    ("aiortc.RTCDtlsTransport", "_recv_next", "asks its ICE transport for _recv"),
    ("aiortc.RTCDtlsTransport", "_write_ssl", "gives its ICE transport what to _send"),
    ("aiortc.RTCDtlsTransport", "_set_role", "client or server, as negotiated"),
    ("aiortc.RTCDtlsTransport", "_srtp_profiles", "ours, in our order"),
    ("aiortc.RTCDtlsTransport", "_rx_srtp", "the keys of what arrives"),
    ("aiortc.RTCDtlsTransport", "_tx_srtp", "the keys of what is sent"),
    ("aiortc.RTCDtlsTransport", "_task", "to see its end"),
    ("aiortc.RTCSctpTransport", "_handle_data", "overridden: malformed chunks are dropped"),
    ("aiortc.RTCSctpTransport", "_receive_data_chunk", "overridden: bounds what is kept"),
    ("aiortc.RTCSctpTransport", "_data_channel_receive", "overridden: bounds the channels"),
    ("aiortc.RTCSctpTransport", "_update_rto", "overridden: retries sooner than after 1 s"),
    ("aiortc.RTCSctpTransport", "_rto", "likewise"),
    ("aiortc.RTCSctpTransport", "_srtt", "likewise"),
    ("aiortc.RTCSctpTransport", "_rttvar", "likewise"),
    ("aiortc.RTCSctpTransport", "_advertised_rwnd", "what may still be kept"),
    ("aiortc.RTCSctpTransport", "_data_channels", "to count them"),
)

_MALFORMED: Final = (ValueError, LookupError, TypeError, AssertionError, struct.error)
"""What the STUN, TURN and SCTP parsers raise on bytes that break their form."""

_CHANNEL_REFRESH: Final = 240.0
"""Seconds.  A permission lives 300 s (RFC 8656 §9), and a strict server does not let a channel
extend it; aioice's 500 s would lose it."""

_QUERY_RETRIES: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 1.9)
"""Seconds between Binding requests to a STUN server: faster than RFC 8489's 500 ms at first,
because a reflexive candidate that is late is a call that is late."""

_MAX_ADDRESSES: Final = 8
"""Local addresses gathered on: each is paired with every remote candidate."""

_MAX_PEERS: Final = 256
"""Remote addresses of one socket that passed a check, and channels of one allocation."""

_DTLS_TYPES: Final = range(20, 64)
_MEDIA_TYPES: Final = range(128, 192)


class rtc_parameters:  # noqa: N801 - stands for a module
    """The values that :data:`rtc_sdp` is made of."""

    RTCDtlsFingerprint = aiortc.RTCDtlsFingerprint
    RTCDtlsParameters = aiortc.RTCDtlsParameters
    RTCIceParameters = aiortc.RTCIceParameters
    RTCRtcpFeedback = rtcrtpparameters.RTCRtcpFeedback
    RTCRtpCodecParameters = aiortc.RTCRtpCodecParameters
    RTCRtpHeaderExtensionParameters = aiortc.RTCRtpHeaderExtensionParameters
    RTCSctpCapabilities = aiortc.RTCSctpCapabilities


@functools.cache
def process_certificate() -> aiortc.RTCCertificate:
    """Return this process's certificate, ECDSA on P-256, valid for 30 days."""
    return aiortc.RTCCertificate.generateCertificate()


def local_addresses(config: TransportConfig) -> tuple[str, ...]:
    """Return the addresses to gather on."""
    if config.addresses is not None:
        return config.addresses
    found = ice.get_host_addresses(use_ipv4=True, use_ipv6=True)[:_MAX_ADDRESSES]
    if config.include_loopback or not found:
        found.append("127.0.0.1")
    return tuple(found)


# Sockets: where a generation sends from


class _Socket(Protocol):
    """A local base: what candidates stand for."""

    local_candidate: Candidate
    local_preference: int
    authenticated: set[Address]
    protocol: str

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram to a peer."""

    def send_stun(self, message: stun.Message, address: Address) -> None:
        """Send a STUN message to a peer."""

    async def close(self) -> None:
        """Let go of what it holds."""


class _HostSocket:
    """A UDP socket on one of this machine's addresses."""

    def __init__(self, agent: _Generation, address: str, local_preference: int) -> None:
        self._agent: Final = agent
        self._udp: Final = UdpSocket(self, agent.dropped, local=(address, 0), link=agent.link)
        self.send: Final[Callable[[bytes, Address], None]] = self._udp.send
        self.local_preference = local_preference
        host, port = self._udp.address
        self.local_candidate = agent.candidate("host", (host, port), local_preference)
        self.authenticated: set[Address] = set()
        self.protocol = "udp"

    def send_stun(self, message: stun.Message, address: Address) -> None:
        self._agent.note_answer(self, message, address)
        self._udp.send(bytes(message), address)

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        self._agent.datagram_arrived(self, data, source, arrived_at)

    async def close(self) -> None:
        self._udp.close()


class _TurnUdp(turn.TurnClientUdpProtocol):
    """The TURN client over UDP, with a short way for channel data."""

    relay: _RelaySocket | None = None

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        relay = self.relay
        if relay is not None and data[0] & 0xC0 == 0x40 and len(data) >= 4:
            peer = self.channel_to_peer.get(int.from_bytes(data[:2], "big"))
            end = 4 + int.from_bytes(data[2:4], "big")
            if peer is not None and 4 < end <= len(data):
                relay.datagram_arrived(data[4:end], peer, arrived_at)
            return
        try:
            self.datagram_received(data, source)
        except _MALFORMED:
            logger.debug("malformed message of a TURN server", exc_info=True)


class _TurnTcp(turn.TurnClientTcpProtocol):
    """The TURN client over TCP or TLS."""

    def datagram_received(self, data: bytes | str, addr: Address) -> None:
        try:
            super().datagram_received(data, addr)
        except _MALFORMED:
            logger.debug("malformed message of a TURN server", exc_info=True)


class _RelaySocket:
    """An allocation on a TURN server, used through channels only (RFC 8656 §12).

    A channel is bound when the first datagram for a peer comes; until the server has confirmed
    it a few datagrams wait.
    """

    _WAITING = 16

    def __init__(
        self,
        agent: _Generation,
        client: _TurnUdp | _TurnTcp,
        protocol: str,
        local_preference: int,
    ) -> None:
        self._agent: Final = agent
        self._client: Final = client
        self._loop: Final = asyncio.get_running_loop()
        self._channels: Final[dict[Address, int]] = {}  # the confirmed ones
        self._waiting: Final[dict[Address, deque[bytes]]] = {}
        self._next_channel = 0x4000
        self.local_preference = local_preference
        assert client.relayed_address is not None  # noqa: S101 - connect() has returned
        mapped = ("0.0.0.0", 9) if agent.hides_addresses else client.mapped_address  # noqa: S104
        self.local_candidate = agent.candidate(
            "relay", client.relayed_address, local_preference, related=mapped
        )
        self.authenticated: set[Address] = set()
        self.protocol = protocol
        client.receiver = self  # type: ignore[assignment] # takes data, nothing else is asked
        if isinstance(client, _TurnUdp):
            client.relay = self

    def send(self, data: bytes, address: Address) -> None:
        channel = self._channels.get(address)
        if channel is not None:
            if self._client.transport.is_closing():
                self._agent.dropped["relay closed"] += 1
            else:
                self._client._send(struct.pack("!HH", channel, len(data)) + data)  # noqa: SLF001
        elif address in self._waiting:
            self._waiting[address].append(data)
        elif len(self._waiting) + len(self._channels) < _MAX_PEERS:
            self._waiting[address] = deque([data], maxlen=self._WAITING)
            self._agent.spawn(self._keep_channel(address))
        else:
            self._agent.dropped["too many peers"] += 1

    def send_stun(self, message: stun.Message, address: Address) -> None:
        self._agent.note_answer(self, message, address)
        self.send(bytes(message), address)

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        self._agent.datagram_arrived(self, data, source, arrived_at)

    async def close(self) -> None:
        try:
            # One round trip frees the allocation now instead of at the end of its lifetime.
            await asyncio.wait_for(self._client.delete(), timeout=0.5)
        except (TimeoutError, OSError):
            pass
        finally:
            self._client.transport.close()

    # As aioice's TURN client calls its receiver

    def datagram_received(self, data: bytes, source: Address) -> None:
        self.datagram_arrived(data, source, self._loop.time())

    def connection_lost(self, _: Exception | None) -> None:
        self._agent.socket_lost(self)

    async def _keep_channel(self, address: Address) -> None:
        channel = self._next_channel
        self._next_channel += 1
        # The server may use the channel before its answer has come.
        self._client.channel_to_peer[channel] = address
        self._client.peer_to_channel[address] = channel
        try:
            while True:
                await self._client.channel_bind(channel, address)
                if address not in self._channels:
                    self._channels[address] = channel
                    for data in self._waiting.pop(address):
                        self.send(data, address)
                await asyncio.sleep(_CHANNEL_REFRESH)
        except (stun.TransactionError, OSError, *_MALFORMED) as error:
            logger.debug("TURN channel refused: %s", error)
            self._agent.dropped["channel refused"] += 1
            self._channels.pop(address, None)
            await asyncio.sleep(2.0)  # before the next check may ask again
            self._waiting.pop(address, None)


# One generation of ICE


class _Generation(Connection):
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
        owner: PeerTransport,
        config: TransportConfig,
        *,
        relay_only: bool,
        controlling: bool,
        link: LinkDriver | None,
    ) -> None:
        policy = TransportPolicy.RELAY if relay_only else TransportPolicy.ALL
        super().__init__(ice_controlling=controlling, transport_policy=policy)
        self.number: Final = number
        self.hides_addresses: Final = relay_only
        self.link: Final = link
        self.dropped: Final = owner.dropped
        self.candidates: Final[list[str]] = []
        self.settled = False  # the caller has read the candidates of this machine
        self.gathered = False  # no more candidates will come
        self._owner: Final = owner
        self._config: Final = config
        self._loop: Final = asyncio.get_running_loop()
        self._checks: Final[CheckList[_Socket]] = CheckList(
            config.check, controlling=controlling, rng=random.Random()  # noqa: S311 - intervals
        )
        self._remote_by_address: Final[dict[Address, Candidate]] = {}
        self._sent: Final[dict[bytes, tuple[Pair[_Socket], float, bool]]] = {}
        self._queries: Final[dict[bytes, asyncio.Future[Address]]] = {}
        self._servers: Final[set[str]] = set()
        self._reflexive: Final[set[Address]] = set()
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._gathering = 0  # servers not yet heard of
        self._servers_expected = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def selected(self) -> Pair[_Socket] | None:
        """The pair to send on."""
        return self._checks.selected

    # Gathering

    def gather(self, *, servers_expected: bool) -> None:
        """Bind a socket to each local address; their candidates exist on return."""
        self._servers_expected = servers_expected
        if not self.hides_addresses:
            for index, address in enumerate(local_addresses(self._config)):
                try:
                    # The earlier, the more preferred; distinct as RFC 8445 §5.1.2.1 wants it.
                    socket = _HostSocket(self, address, 65535 - index)
                except OSError as error:
                    logger.debug("cannot gather on a local address: %s", error)
                    self.dropped["cannot bind"] += 1
                    continue
                self._add_socket(socket)
        self._loop.call_soon(self._maybe_gathered)

    def use_servers(self, servers: Iterable[IceServer]) -> None:
        """Ask all of them at once for candidates."""
        self._servers_expected = False
        for server in servers:
            if server.url in self._servers:
                continue
            self._servers.add(server.url)
            try:
                parsed = rtcicetransport.parse_stun_turn_uri(server.url)
            except ValueError:
                logger.warning("not the URL of a STUN or TURN server: %r", server.url)
                continue
            self._attempt(self._ask_server(server, parsed))
        self._loop.call_soon(self._maybe_gathered)

    def candidate(
        self, kind: str, address: Address, preference: int, *, related: Address | None = None
    ) -> Candidate:
        """Return a local candidate (RFC 8445 §5.1)."""
        base = address if related is None or kind == "relay" else related
        return Candidate(
            foundation=candidate_foundation(kind, "udp", base[0]),
            component=1,
            transport="udp",
            priority=candidate_priority(1, kind, preference),
            host=address[0],
            port=address[1],
            type=kind,
            related_address=None if related is None else related[0],
            related_port=None if related is None else related[1],
        )

    def _add_socket(self, socket: _Socket) -> None:
        self._protocols.append(socket)  # type: ignore[arg-type] # does what a StunProtocol does
        self._publish(socket.local_candidate)
        for remote in self._remote_candidates:
            self._pair(socket, remote)
        self._pump()

    def _publish(self, candidate: Candidate) -> None:
        text = f"candidate:{candidate.to_sdp()} ufrag {self.local_username}"
        self.candidates.append(text)
        self._owner.candidate_found(self, text)

    def _maybe_gathered(self) -> None:
        if not (self.gathered or self._closing or self._gathering or self._servers_expected):
            self.gathered = True
            self._owner.candidates_complete(self)

    def _attempt(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of gathering, which may fail or take too long without harm."""
        self._gathering += 1

        async def attempt() -> None:
            try:
                async with asyncio.timeout(self._config.gather_timeout):
                    await work
            except TimeoutError:
                self.dropped["server silent"] += 1
            except (stun.TransactionError, OSError, *_MALFORMED) as error:
                logger.debug("STUN or TURN server refused: %s", error)
                self.dropped["server refused"] += 1
            finally:
                self._gathering -= 1
                self._maybe_gathered()

        self.spawn(attempt())

    async def _ask_server(self, server: IceServer, parsed: dict[str, Any]) -> None:
        scheme, transport = parsed["scheme"], parsed.get("transport", "udp")
        address = await self._resolve(parsed["host"], parsed["port"])
        if scheme in ("turn", "turns"):
            self._attempt(self._allocate(server, parsed, address))
        if scheme in ("stun", "turn") and transport == "udp" and not self.hides_addresses:
            # Every TURN server answers Binding requests too (RFC 8656 §3).
            for socket in list(self._protocols):
                if isinstance(socket, _HostSocket):
                    self._attempt(self._ask_reflexive(socket, address))

    async def _resolve(self, host: str, port: int) -> Address:
        try:
            return (str(ipaddress.ip_address(host)), port)
        except ValueError:
            found = await self._loop.getaddrinfo(host, port)
        addresses = [entry[4][0] for entry in found]
        # IPv4 first: a relayed address of its family is what every peer can reach.
        return (min(map(str, addresses), key=lambda text: ":" in text), port)

    async def _ask_reflexive(self, socket: _HostSocket, server: Address) -> None:
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
        if mapped != here and mapped not in self._reflexive:
            self._reflexive.add(mapped)
            self._publish(
                self.candidate("srflx", mapped, socket.local_preference, related=here)
            )

    async def _allocate(self, server: IceServer, parsed: dict[str, Any], address: Address) -> None:
        arguments: dict[str, Any] = {
            "server": address,
            "username": server.username,
            "password": server.credential,
            "lifetime": turn.DEFAULT_ALLOCATION_LIFETIME,
            "channel_refresh_time": int(_CHANNEL_REFRESH),
        }
        secure = parsed["scheme"] == "turns"
        client: _TurnUdp | _TurnTcp
        if parsed["transport"] == "tcp":
            _, client = await self._loop.create_connection(
                lambda: _TurnTcp(**arguments),
                *address,
                ssl=secure or None,
                server_hostname=parsed["host"] if secure else None,
            )
        elif secure or parsed["transport"] != "udp":
            return  # DTLS to the server (RFC 7350) is not spoken
        else:
            client = _TurnUdp(**arguments)
            udp = UdpSocket(client, self.dropped, remote=address, link=self.link)
            client.connection_made(udp)  # type: ignore[arg-type] # as much of one as it uses
        try:
            await client.connect()
            protocol = "tls" if secure else parsed["transport"]
            # The earlier in the list of servers, the more preferred.
            preference = 65535 - list(self._servers).index(server.url)
            relay = _RelaySocket(self, client, protocol, preference)
        except BaseException:
            client.transport.close()
            raise
        self._add_socket(relay)

    # The other side

    def start(self, remote: RemoteTransportParameters) -> None:
        """Begin the checks."""
        self.remote_username = remote.ufrag
        self.remote_password = remote.password
        self._early_checks_done = True
        self._checks.start(self._loop.time())
        while self._early_checks:
            self.check_incoming(*self._early_checks.popleft())
        self._pump()

    def add_remote(self, text: str) -> None:
        """Take the text of a candidate attribute; malformed or one too many is dropped."""
        try:
            candidate = Candidate.from_sdp(text.removeprefix("a=").removeprefix("candidate:"))
        except _MALFORMED:
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

    def _pair(self, socket: _Socket, remote: Candidate) -> None:
        # Relaying to an mDNS candidate would tell its address to the TURN server.
        hidden = is_mdns_hostname(remote.host) and socket.local_candidate.type == "relay"
        if not hidden and socket.local_candidate.can_pair_with(remote):
            self._pair_of(socket, remote)

    def _pair_of(self, socket: _Socket, remote: Candidate) -> Pair[_Socket]:
        local = socket.local_candidate
        return self._checks.add_pair(
            socket,
            _address_of(remote),
            priority=ice.candidate_pair_priority(local, remote, self.ice_controlling),
            direct="relay" not in (local.type, remote.type),
            now=self._loop.time(),
        )

    def sort_check_list(self) -> None:
        """Do nothing: our list sorts itself."""

    def switch_role(self, ice_controlling: bool) -> None:  # noqa: FBT001 - aioice's signature
        """Change sides after a role conflict."""
        super().switch_role(ice_controlling)

        def priority(pair: Pair[_Socket]) -> int:
            remote = self._remote_by_address[pair.remote]
            local = pair.socket.local_candidate
            return ice.candidate_pair_priority(local, remote, ice_controlling)

        self._checks.handle_role(priority, self._loop.time(), controlling=ice_controlling)

    # Arrivals

    def datagram_arrived(
        self, socket: _Socket, data: bytes, source: Address, arrived_at: float
    ) -> None:
        """Sort what a socket read: STUN is for us, the rest for the transport (RFC 7983)."""
        if data[0] > 3:
            if source in socket.authenticated:
                self._owner.datagram_arrived(data, arrived_at)
            else:
                self.dropped["unknown source"] += 1
            return
        try:
            self._stun_arrived(socket, stun.parse_message(data), source, arrived_at)
        except _MALFORMED:
            self.dropped["malformed STUN"] += 1
        self._pump()

    def _stun_arrived(
        self, socket: _Socket, message: stun.Message, source: Address, arrived_at: float
    ) -> None:
        if message.message_class == stun.Class.REQUEST:
            if not self._closing:
                self.request_received(message, source, socket)  # type: ignore[arg-type]
            return
        query = self._queries.get(message.transaction_id)
        if query is not None:
            if not query.done() and message.message_class == stun.Class.RESPONSE:
                query.set_result(message.attributes["XOR-MAPPED-ADDRESS"])
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
                pair, arrived_at - sent_at, self._loop.time(), nominated=nominate
            )
        elif message.error_code == 487:
            self.switch_role(not self.ice_controlling)

    def check_incoming(
        self, message: stun.Message, addr: Address, protocol: Any  # noqa: ANN401 - a _Socket
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
                priority=message.attributes["PRIORITY"],
                host=addr[0],
                port=addr[1],
                type="prflx",
            )
            self._remote_candidates.append(remote)
            self._remote_by_address[addr] = remote
        pair = self._pair_of(protocol, remote)
        nominate = "USE-CANDIDATE" in message.attributes
        self._checks.handle_request(pair, self._loop.time(), nominate=nominate)

    def note_answer(self, socket: _Socket, message: stun.Message, address: Address) -> None:
        """See an answer that aioice sends: success is given to authenticated checks only."""
        if message.message_class == stun.Class.RESPONSE:
            self.note_peer(socket, address, self._loop.time())

    def note_peer(self, socket: _Socket, address: Address, now: float) -> None:
        """The other side is at that address, and alive."""
        if len(socket.authenticated) < _MAX_PEERS:
            socket.authenticated.add(address)
        self._owner.alive(now)

    def socket_lost(self, socket: _Socket) -> None:
        """Forget a socket that is gone: a TURN server closed its connection."""
        self._checks.remove_socket(socket, self._loop.time())
        if socket in self._protocols:  # type: ignore[comparison-overlap] # see _add_socket
            self._protocols.remove(socket)  # type: ignore[arg-type]
        self._pump()

    # Checks

    def _pump(self) -> None:
        if self._closing:
            return
        now = self._loop.time()
        self._checks.handle_timeout(now)
        while (check := self._checks.poll_check(now)) is not None:
            self._send_check(check, now)
        when = self._checks.poll_timeout()
        if self._timer is not None:
            self._timer.cancel()
        finite = when is not None and when != float("inf")
        self._timer = self._loop.call_at(when or 0.0, self._pump) if finite else None
        self._owner.path_maybe_changed()

    def _send_check(self, check: Check[_Socket], now: float) -> None:
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
        while len(self._sent) >= 512:  # 30 s of unanswered checks of a dozen pairs
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
            remote_address=pair.remote,
        )

    def sender(self) -> Callable[[bytes], None] | None:
        """Return what sends a datagram on the selected pair."""
        pair = self._checks.selected
        return None if pair is None else functools.partial(pair.socket.send, address=pair.remote)

    # The end

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with this generation."""
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


# DTLS, SRTP and SCTP over it


class _IceSeam:
    """What :class:`aiortc.RTCDtlsTransport` takes for its ICE transport.

    Sends the last flight of the handshake again sooner than OpenSSL would, whose timer starts at
    a second: as the very same datagram, which the other side cannot tell from one that the
    network delivered twice.  And answers a repeated flight of the other side with our last one:
    OpenSSL drops it as a replay, though it says that our last one was lost.

    Args:
        transmit: Sends a datagram on the path, if there is one.
        round_trip: Of the path, seconds; 0 before it is known.

    """

    role: Final = "controlling"  # aiortc's DTLS asks only where no role was set

    def __init__(
        self,
        transmit: Callable[[bytes], None],
        round_trip: Callable[[], float],
        dropped: Counter[str],
    ) -> None:
        self._transmit: Final = transmit
        self._round_trip: Final = round_trip
        self._dropped: Final = dropped
        self._loop: Final = asyncio.get_running_loop()
        self._arrived: Final[asyncio.Queue[bytes | None]] = asyncio.Queue(maxsize=64)
        self._flight: bytes | None = None
        self._flight_sent_at = 0.0
        self._retries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._handshaking = True

    def datagram_arrived(self, data: bytes) -> None:
        """Take a DTLS datagram."""
        if not self._handshaking and data[0] in (20, 22) and self._flight is not None:
            if self._loop.time() - self._flight_sent_at > 0.02:
                self._send_flight()
        elif not self._arrived.full():
            self._arrived.put_nowait(data)
        else:
            self._dropped["DTLS queue full"] += 1

    def path_found(self) -> None:
        """Send at once what waited for a path."""
        if self._handshaking and self._flight is not None:
            self._send_flight()
            self._arm()

    def media_arrived_early(self) -> None:
        """Media before the end of the handshake: their last flight, or ours before, was lost."""
        patience = 0.02 + 1.1 * self._round_trip()
        if self._handshaking and self._loop.time() - self._flight_sent_at > patience:
            self._send_flight()

    def handshake_ended(self) -> None:
        """Stop repeating."""
        self._handshaking = False
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        """End the reader."""
        self.handshake_ended()
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self._arrived.put_nowait(None)

    async def _recv(self) -> bytes:
        data = await self._arrived.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        if self._handshaking:
            # A flight of ours always fits one datagram: the certificate is a small one.
            self._flight, self._retries = data, 0
            self._flight_sent_at = self._loop.time()
            self._arm()
        self._transmit(data)

    def _send_flight(self) -> None:
        if self._flight is not None:
            self._flight_sent_at = self._loop.time()
            self._transmit(self._flight)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # The answer's round trip, its arithmetic, and a margin; then slowly slower: a flight is
        # a datagram, so sending one too many costs less than a second of a silent call.
        wait = (0.03 + 1.25 * self._round_trip()) * 1.2**self._retries
        self._timer = self._loop.call_later(min(wait, 1.0), self._repeat)

    def _repeat(self) -> None:
        self._retries += 1
        self._send_flight()
        self._arm()


class _Sctp(aiortc.RTCSctpTransport):
    """SCTP that bounds what a peer can make it keep, and retries in human time."""

    MAX_CHANNELS = 32
    FIRST_RTO = 0.4
    """Seconds.  RFC 9260's 3 s is made for links without a known round trip."""
    LEAST_RTO = 0.2

    def __init__(self, transport: aiortc.RTCDtlsTransport, dropped: Counter[str]) -> None:
        super().__init__(transport)
        self._dropped: Final = dropped
        self._rto = self.FIRST_RTO

    async def _handle_data(self, data: bytes) -> None:
        try:
            await super()._handle_data(data)
        except (*_MALFORMED, AttributeError) as error:
            logger.debug("malformed SCTP: %s", error)
            self._dropped["malformed SCTP"] += 1

    async def _receive_data_chunk(self, chunk: rtcsctptransport.DataChunk) -> None:
        if self._advertised_rwnd > 0:
            await super()._receive_data_chunk(chunk)
        else:  # the peer ignores the window; unacknowledged, it will send this again
            self._dropped["SCTP window"] += 1

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        known = stream_id in self._data_channels
        if known or len(self._data_channels) < self.MAX_CHANNELS:
            await super()._data_channel_receive(stream_id, pp_id, data)
        else:
            self._dropped["too many channels"] += 1

    def _update_rto(self, R: float) -> None:  # noqa: N803 - aiortc's name
        super()._update_rto(R)
        self._rto = max(self.LEAST_RTO, (self._srtt or 0.0) + 4 * (self._rttvar or 0.0))


class _Channel:
    """A data channel."""

    MAX_BUFFERED = 1 << 20
    """Bytes that wait to be sent."""
    MAX_UNREAD = 64
    """Messages that wait for ``on_message``."""

    def __init__(self, channel: aiortc.RTCDataChannel, dropped: Counter[str]) -> None:
        self._channel: Final = channel
        self._dropped: Final = dropped
        self._unsent: Final[deque[str | bytes]] = deque()
        self._unsent_size = 0
        self._unread: Final[deque[str | bytes]] = deque()
        self._on_message: Callable[[str | bytes], None] | None = None
        self._closing = False
        channel.on("message", self._receive)
        channel.on("open", self._flush)

    @property
    def label(self) -> str:
        return self._channel.label

    @property
    def is_open(self) -> bool:
        return self._channel.readyState == "open"

    @property
    def on_message(self) -> Callable[[str | bytes], None] | None:
        return self._on_message

    @on_message.setter
    def on_message(self, callback: Callable[[str | bytes], None] | None) -> None:
        self._on_message = callback
        while callback is not None and self._unread:
            callback(self._unread.popleft())

    def send(self, message: str | bytes) -> bool:
        waiting = self._channel.bufferedAmount + self._unsent_size
        ready = self._channel.readyState
        if self._closing or ready not in ("connecting", "open"):
            return False
        if waiting + len(message) > self.MAX_BUFFERED:
            self._dropped["channel full"] += 1
            return False
        if ready == "connecting":
            self._unsent.append(message)
            self._unsent_size += len(message)
            return True
        try:
            self._channel.send(message)
        except ValueError:
            self._dropped["message too long"] += 1
            return False
        return True

    def close(self) -> None:
        self._closing = True
        self._channel.close()

    def _flush(self) -> None:
        while self._unsent:
            message = self._unsent.popleft()
            self._unsent_size -= len(message)
            self.send(message)

    def _receive(self, message: str | bytes) -> None:
        if self._on_message is not None:
            self._on_message(message)
        elif len(self._unread) < self.MAX_UNREAD:
            self._unread.append(message)
        else:
            self._dropped["channel unread"] += 1


class PeerTransport:
    """One bundled transport to one peer.  Use on the event loop's thread only.

    ::

        transport = PeerTransport(config, controlling=True, on_event=...)
        transport.gather()                      # -> transport.local_description, for the offer
        transport.add_ice_servers(servers)      # any time; more candidates come as events
        transport.start(remote, dtls_role="server")
        transport.send(rtp)                     # once CONNECTED

    Args:
        config: See there.
        controlling: Whether we nominate: the offerer does (RFC 8445 §6.1.1).
        on_event: Called with each event; must not raise.

    Attributes:
        on_media: Called with each RTP or RTCP packet, decrypted, and its arrival on the loop's
            clock as the kernel stamped it.
        dropped: Counts of what was dropped, by reason.

    """

    EARLY_MEDIA = 64
    """Packets that may overtake the end of the handshake: a key frame's first part."""

    def __init__(
        self,
        config: TransportConfig | None = None,
        *,
        controlling: bool,
        on_event: Callable[[TransportEvent], None],
    ) -> None:
        self._config: Final = config or TransportConfig()
        self._loop: Final = asyncio.get_running_loop()
        self._on_event: Final = on_event
        self.on_media: Callable[[bytes, float], None] | None = None
        self.dropped: Final[Counter[str]] = Counter()
        self._controlling = controlling
        self._state = TransportState.NEW
        self._closed = False
        link = self._config.link
        self._link: Final = None if link is None else LinkDriver(link(self._loop.time()))

        self._servers: Final[dict[str, IceServer]] = {}
        self._generations: Final[list[_Generation]] = []  # oldest first
        self._generation_count = 0
        self._gathering = False
        self._servers_expected = False
        self._path_source: tuple[_Generation, Pair[_Socket]] | None = None
        self._path: Path | None = None
        self._sender: Callable[[bytes], None] | None = None

        self._received_at = 0.0
        self._lost_at = 0.0
        self._watch_timer: asyncio.TimerHandle | None = None
        self._network_timer: asyncio.TimerHandle | None = None
        self._addresses: tuple[str, ...] = ()
        self._tasks: Final[set[asyncio.Task[None]]] = set()

        self._seam: Final = _IceSeam(self._transmit, self._round_trip, self.dropped)
        self._dtls: Final = aiortc.RTCDtlsTransport(
            self._seam,  # type: ignore[arg-type] # as much of an ICE transport as it uses
            [process_certificate()],
        )
        # 128 bits of GCM: a tenth of the arithmetic of SHA-1, and as safe as the handshake.
        self._dtls._srtp_profiles = [  # noqa: SLF001 - in BORROWED
            profile
            for profile in (
                rtcdtlstransport.SRTP_AEAD_AES_128_GCM,
                rtcdtlstransport.SRTP_AES128_CM_SHA1_80,
            )
            if profile in rtcdtlstransport.SRTP_PROFILES
        ]
        self._dtls.on("statechange", self._dtls_changed)
        self._keys_in: pylibsrtp.Session | None = None
        self._keys_out: pylibsrtp.Session | None = None
        self._early_media: Final[deque[tuple[bytes, float]]] = deque(maxlen=self.EARLY_MEDIA)
        self._sctp: Final = _Sctp(self._dtls, self.dropped)
        self._sctp.on("datachannel", self._channel_opened)
        self._new_generation(relay_only=self._config.policy == "relay")

    # What it knows

    @property
    def state(self) -> TransportState:
        """Where it stands."""
        return self._state

    @property
    def path(self) -> Path | None:
        """The way that media is sent, or :obj:`None` before one works."""
        if self._path_source is None:
            return None
        return self._path_source[0].path()

    @property
    def local_description(self) -> LocalTransportParameters:
        """Our side of the newest generation, with the candidates found so far."""
        newest = self._generations[-1]
        return LocalTransportParameters(
            ufrag=newest.local_username,
            password=newest.local_password,
            fingerprints=tuple(
                Fingerprint(algorithm=entry.algorithm, value=entry.value)
                for entry in process_certificate().getFingerprints()
                if entry.algorithm == "sha-256"  # what everybody knows
            ),
            generation=newest.number,
            candidates=tuple(newest.candidates),
            candidates_complete=newest.gathered,
        )

    # Finding the path

    def gather(self, *, servers_expected: bool = False) -> None:
        """Begin to gather candidates.

        Those of this machine are in :attr:`local_description` on return and are not told again;
        later ones come as :class:`CandidateFound`.

        Args:
            servers_expected: :meth:`add_ice_servers` will follow; :class:`CandidatesComplete`
                waits for it.

        """
        if self._gathering:
            return
        self._gathering = True
        self._servers_expected = servers_expected and not self._servers
        self._gather(self._generations[-1])
        if self._config.watch_interval is not None and self._config.addresses is None:
            self._addresses = local_addresses(self._config)
            self._watch_network()

    def add_ice_servers(self, servers: Iterable[IceServer]) -> None:
        """Use these STUN and TURN servers too, all at once; also in later generations."""
        for server in servers:
            self._servers[server.url] = server
        self._servers_expected = False
        if self._gathering and not self._closed:
            self._generations[-1].use_servers(self._servers.values())

    def start(
        self, remote: RemoteTransportParameters, *, dtls_role: Literal["client", "server"]
    ) -> None:
        """Look for a path to the other side, and shake hands on it.

        Told again of a generation that has started, only its candidates are taken.

        Raises:
            LocalError: If this is another generation of theirs and :meth:`restart` was not
                called for it.

        """
        if self._closed:
            return
        newest = self._generations[-1]
        if newest.remote_username is None:
            newest.start(remote)
            if self._dtls.state == "new" and self._state is TransportState.NEW:
                self._set_state(TransportState.CONNECTING)
                self._dtls._set_role(dtls_role)  # noqa: SLF001 - in BORROWED
                self._spawn(self._shake_hands(remote))
            elif self._state is TransportState.FAILED and self._keys_out is not None:
                self._set_state(TransportState.DISCONNECTED)
            self._lost_at = self._loop.time()
            self._watch()
        elif newest.remote_username != remote.ufrag:
            raise LocalError("the other side restarted ICE: call restart() before start()")
        for candidate in remote.candidates:
            newest.add_remote(candidate)

    def add_remote_candidate(self, candidate: str | None) -> None:
        """Take a trickled candidate; :obj:`None`, the end of them, changes nothing.

        One that names its generation (``ufrag``, as ours and Chromium's do) goes there.
        """
        if candidate is None or self._closed:
            return
        words = candidate.split()
        named = dict(zip(words[8::2], words[9::2], strict=False)).get("ufrag")
        for generation in self._generations:
            if named is not None and generation.remote_username == named:
                generation.add_remote(candidate)
                return
        self._generations[-1].add_remote(candidate)

    def restart(self, *, relay_only: bool = False) -> LocalTransportParameters:
        """Begin an ICE restart (RFC 8445 §9): new credentials, new sockets, the same DTLS.

        The old generation carries on until the new one works.  A restart that was begun and not
        started is replaced.

        Args:
            relay_only: Offer relayed candidates only: the direct way has just been lost.

        Returns:
            Our side of the new generation; pass theirs to :meth:`start`.

        """
        newest = self._generations[-1]
        if newest.remote_username is None:
            self._generations.remove(newest)
            self._spawn(newest.close())
        generation = self._new_generation(
            relay_only=relay_only or self._config.policy == "relay"
        )
        self._gather(generation)
        return self.local_description

    # Media and messages

    def send(self, data: bytes) -> None:
        """Send an RTP or RTCP packet; dropped and counted if it cannot go."""
        keys, sender = self._keys_out, self._sender
        if keys is None or sender is None:
            self.dropped["no path"] += 1
            return
        try:
            sealed = keys.protect_rtcp(data) if 192 <= data[1] < 224 else keys.protect(data)
        except (pylibsrtp.Error, IndexError, TypeError):
            self.dropped["not RTP"] += 1
            return
        sender(sealed)

    def open_channel(
        self, label: str, *, ordered: bool = True, max_retransmits: int | None = None
    ) -> DataChannel:
        """Open a data channel (RFC 8832); messages wait until the other side is there."""
        parameters = aiortc.RTCDataChannelParameters(
            label=label, ordered=ordered, maxRetransmits=max_retransmits
        )
        return _Channel(aiortc.RTCDataChannel(self._sctp, parameters), self.dropped)

    async def close(self) -> None:
        """Say goodbye and let go of everything; takes half a second at most."""
        if self._closed:
            return
        self._closed = True
        for timer in (self._watch_timer, self._network_timer):
            if timer is not None:
                timer.cancel()
        reader = self._dtls._task  # noqa: SLF001 - in BORROWED
        await self._sctp.stop()
        await self._dtls.stop()
        self._seam.close()
        for task in self._tasks:
            task.cancel()
        waiting = [*self._tasks, *(() if reader is None else (reader,))]
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*(generation.close() for generation in self._generations))
        if self._link is not None:
            self._link.close()
        self._sender = self._keys_in = self._keys_out = None
        self._set_state(TransportState.CLOSED)

    # Told by generations

    def candidate_found(self, generation: _Generation, text: str) -> None:
        """Trickle a candidate, unless the caller will find it in the description."""
        if self._generations and generation is self._generations[-1] and generation.settled:
            self._tell(CandidateFound(generation=generation.number, candidate=text))

    def candidates_complete(self, generation: _Generation) -> None:
        """Trickle the end of candidates."""
        if generation is self._generations[-1]:
            self._tell(CandidatesComplete(generation=generation.number))

    def alive(self, now: float) -> None:
        """Something authentic came."""
        self._received_at = now
        if self._state is TransportState.DISCONNECTED:
            self._maybe_connected()

    def datagram_arrived(self, data: bytes, arrived_at: float) -> None:
        """Take what came from an address of the other side."""
        self._received_at = arrived_at
        if self._state is TransportState.DISCONNECTED:
            self._maybe_connected()
        kind = data[0]
        if kind in _MEDIA_TYPES:
            if self._keys_in is None:
                self._early_media.append((data, arrived_at))
                self._seam.media_arrived_early()
            else:
                self._media_arrived(self._keys_in, data, arrived_at)
        elif kind in _DTLS_TYPES:
            self._seam.datagram_arrived(data)
        else:
            self.dropped["unknown kind"] += 1

    def path_maybe_changed(self) -> None:
        """Send where the newest generation with a working pair sends."""
        if self._closed:
            return
        source = next(
            (
                (generation, generation.selected)
                for generation in reversed(self._generations)
                if generation.selected is not None
            ),
            None,
        )
        before, self._path_source = self._path_source, source
        if source is not None and (before is None or before[1] is not source[1]):
            self._sender = source[0].sender()
            self._controlling = source[0].ice_controlling
            if before is None:
                self._seam.path_found()
            elif before[0] is not source[0]:
                self._loop.call_later(self._config.retire_after, self._retire, source[0])
            self._maybe_connected()
        path = self.path
        if path is not None and (
            self._path is None
            or path.kind != self._path.kind
            or path.remote_address != self._path.remote_address
        ):
            self._path = path
            self._tell(PathChanged(path=path))

    # Generations

    def _new_generation(self, *, relay_only: bool) -> _Generation:
        generation = _Generation(
            self._generation_count,
            self,
            self._config,
            relay_only=relay_only,
            controlling=self._controlling,
            link=self._link,
        )
        self._generation_count += 1
        self._generations.append(generation)
        return generation

    def _gather(self, generation: _Generation) -> None:
        generation.gather(servers_expected=self._servers_expected)
        if self._servers:
            generation.use_servers(self._servers.values())
        generation.settled = True

    def _retire(self, newer: _Generation) -> None:
        if self._closed or newer not in self._generations:
            return
        for generation in self._generations[: self._generations.index(newer)]:
            self._generations.remove(generation)
            self._spawn(generation.close())

    # Liveness

    def _maybe_connected(self) -> None:
        if self._keys_out is None or self._path_source is None:
            return
        if self._state in (TransportState.CONNECTING, TransportState.DISCONNECTED):
            self._set_state(TransportState.CONNECTED)

    def _watch(self) -> None:
        """Look whether the path has gone silent; once a silence, not once a packet."""
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        now, config = self._loop.time(), self._config
        if self._state is TransportState.CONNECTED:
            due = self._received_at + config.disconnected_after
            if now >= due:
                self._lost_at = self._received_at
                self._set_state(TransportState.DISCONNECTED)
                due = self._lost_at + config.failed_after
        elif self._state in (TransportState.CONNECTING, TransportState.DISCONNECTED):
            due = self._lost_at + config.failed_after
            if now >= due:
                connecting = self._state is TransportState.CONNECTING
                reason = "no path was found" if connecting else "the path was lost"
                self._set_state(TransportState.FAILED, reason)
                return
        else:
            return
        self._watch_timer = self._loop.call_at(due, self._watch)

    def _watch_network(self) -> None:
        interval = self._config.watch_interval
        if interval is None:
            return
        now = local_addresses(self._config)
        if set(now) != set(self._addresses):
            self._addresses = now
            self._tell(NetworkChanged())
        self._network_timer = self._loop.call_later(interval, self._watch_network)

    def _set_state(self, state: TransportState, reason: str = "") -> None:
        if state is self._state:
            return
        logger.info("transport: %s -> %s %s", self._state.value, state.value, reason)
        self._state = state
        self._tell(TransportStateChanged(state=state, reason=reason))
        if state is TransportState.CONNECTED:
            self._watch()

    def _tell(self, event: TransportEvent) -> None:
        self._on_event(event)

    # DTLS and what runs over it

    def _transmit(self, data: bytes) -> None:
        if self._sender is None:
            self.dropped["no path"] += 1
        else:
            self._sender(data)

    def _round_trip(self) -> float:
        return 0.0 if self._path_source is None else self._path_source[1].round_trip

    async def _shake_hands(self, remote: RemoteTransportParameters) -> None:
        parameters = aiortc.RTCDtlsParameters(
            fingerprints=[
                aiortc.RTCDtlsFingerprint(algorithm=entry.algorithm, value=entry.value)
                for entry in remote.fingerprints
            ]
        )
        if not parameters.fingerprints:
            self._set_state(TransportState.FAILED, "the other side has no DTLS fingerprint")
            return
        await self._dtls.start(parameters)
        self._seam.handshake_ended()
        if self._dtls.state != "connected":
            self._set_state(TransportState.FAILED, "the DTLS handshake failed")
            return
        self._keys_in = self._dtls._rx_srtp  # noqa: SLF001 - in BORROWED
        self._keys_out = self._dtls._tx_srtp  # noqa: SLF001 - in BORROWED
        self._maybe_connected()
        while self._early_media:
            self._media_arrived(self._keys_in, *self._early_media.popleft())
        if remote.sctp_port is not None:
            capabilities = aiortc.RTCSctpCapabilities(maxMessageSize=remote.max_message_size)
            await self._sctp.start(capabilities, remote.sctp_port)

    def _media_arrived(self, keys: pylibsrtp.Session, data: bytes, arrived_at: float) -> None:
        try:
            rtcp = 192 <= data[1] < 224  # RFC 5761 §4
            plain = keys.unprotect_rtcp(data) if rtcp else keys.unprotect(data)
        except (pylibsrtp.Error, IndexError):
            self.dropped["SRTP"] += 1  # a replay, a forgery, or not of this association
            return
        if self.on_media is not None:
            self.on_media(plain, arrived_at)

    def _dtls_changed(self) -> None:
        if self._dtls.state == "closed" and not self._closed:
            self._keys_out = None
            self._set_state(TransportState.CLOSED, "the other side closed the connection")

    def _channel_opened(self, channel: aiortc.RTCDataChannel) -> None:
        self._tell(ChannelOpened(channel=_Channel(channel, self.dropped)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
