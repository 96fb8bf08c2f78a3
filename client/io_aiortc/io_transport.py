"""PeerTransport: one bundled transport to one peer, out of its generations, DTLS and SCTP."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Literal

import aiortc
import pylibsrtp

from ringline.client.check_list import Pair
from ringline.client.description import Fingerprint
from ringline.client.errors import LocalError
from ringline.client.io_aiortc.io_channels import Channel, Sctp
from ringline.client.io_aiortc.io_dtls import IceSeam, make_dtls, process_certificate
from ringline.client.io_aiortc.io_gather import local_addresses
from ringline.client.io_aiortc.io_generation import Generation
from ringline.client.io_aiortc.io_sockets import BaseSocket
from ringline.client.io_udp import LinkDriver
from ringline.client.transport import (
    CandidateFound,
    CandidatesComplete,
    ChannelOpened,
    DataChannel,
    IceServer,
    LocalTransportParameters,
    NetworkChanged,
    Path,
    PathChanged,
    RemoteTransportParameters,
    TransportConfig,
    TransportEvent,
    TransportState,
    TransportStateChanged,
)

__all__ = ["PeerTransport"]

logger = logging.getLogger(__name__)

_DTLS_TYPES: Final = range(20, 64)  # first bytes (RFC 7983 §7)
_MEDIA_TYPES: Final = range(128, 192)


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

    FLIGHTS_AHEAD = 4
    """Handshake datagrams that may leave before a check of ours was answered, to where an
    authenticated check came from: half a round trip sooner, and no more than any DTLS server
    sends to whoever says hello."""

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
        self._generations: Final[list[Generation]] = []  # oldest first
        self._generation_count = 0
        self._gathering = False
        self._servers_expected = False
        self._path_source: tuple[Generation, Pair[BaseSocket]] | None = None
        self._path: Path | None = None
        self._sender: Callable[[bytes], None] | None = None

        self._received_at = 0.0
        self._lost_at = 0.0
        self._watch_timer: asyncio.TimerHandle | None = None
        self._network_timer: asyncio.TimerHandle | None = None
        self._addresses: tuple[str, ...] = ()
        self._tasks: Final[set[asyncio.Task[None]]] = set()

        self._seam: Final = IceSeam(self._transmit, self._round_trip, self.dropped)
        self._dtls: Final = make_dtls(self._seam)
        self._dtls.on("statechange", self._dtls_changed)
        self._keys_in: pylibsrtp.Session | None = None
        self._keys_out: pylibsrtp.Session | None = None
        self._flights_ahead = 0
        self._early_media: Final[deque[tuple[bytes, float]]] = deque(maxlen=self.EARLY_MEDIA)
        self._sctp: Final = Sctp(self._dtls, self.dropped)
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
            elif self._state is TransportState.FAILED and self._dtls.state == "connected":
                self._set_state(TransportState.DISCONNECTED)
            elif self._state is TransportState.FAILED and self._dtls.state == "connecting":
                self._set_state(TransportState.CONNECTING)
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
        generation = self._new_generation(relay_only=relay_only or self._config.policy == "relay")
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
        except (pylibsrtp.Error, ValueError, IndexError, TypeError):
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
        return Channel(aiortc.RTCDataChannel(self._sctp, parameters), self.dropped)

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

    def candidate_found(self, generation: Generation, text: str) -> None:
        """Trickle a candidate, unless the caller will find it in the description."""
        if self._generations and generation is self._generations[-1] and generation.settled:
            self._tell(CandidateFound(generation=generation.number, candidate=text))

    def candidates_complete(self, generation: Generation) -> None:
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
                if self._state is TransportState.FAILED and self._keys_out is not None:
                    self._set_state(TransportState.CONNECTED)
            self._maybe_connected()
        elif source is None and before is not None:  # consent has expired, or a socket is gone
            self._sender = None
            if self._state is TransportState.CONNECTED:
                self._lost_at = self._loop.time()
                self._set_state(TransportState.DISCONNECTED)
                self._watch()
        path = self.path
        if path is not None and (
            self._path is None
            or path.kind != self._path.kind
            or path.remote_address != self._path.remote_address
            or path.relay != self._path.relay
        ):
            self._path = path
            self._tell(PathChanged(path=path))

    # Generations

    def _new_generation(self, *, relay_only: bool) -> Generation:
        generation = Generation(
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

    def _gather(self, generation: Generation) -> None:
        generation.gather(servers_expected=self._servers_expected)
        if self._servers:
            generation.use_servers(self._servers.values())
        generation.settled = True

    def _retire(self, newer: Generation) -> None:
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
        if self._sender is not None:
            self._sender(data)
        elif self._flights_ahead < self.FLIGHTS_AHEAD:
            self._flights_ahead += 1
            self._generations[-1].send_back(data)
        # else the seam sends it again when there is a path

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
        except (pylibsrtp.Error, ValueError, IndexError):
            self.dropped["SRTP"] += 1  # a replay, a forgery, or not of this association
            return
        if self.on_media is not None:
            self.on_media(plain, arrived_at)

    def _dtls_changed(self) -> None:
        if self._dtls.state == "closed" and not self._closed:
            self._keys_out = None
            self._set_state(TransportState.CLOSED, "the other side closed the connection")

    def _channel_opened(self, channel: aiortc.RTCDataChannel) -> None:
        self._tell(ChannelOpened(channel=Channel(channel, self.dropped)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
