"""Transport: what a :class:`~.io_aiortc.PeerTransport` is given, and what it tells.

Values only.  Addresses are private to people: their ``repr`` keeps them out of logs.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, Protocol

from ringline.client.check_list import CheckConfig
from ringline.client.description import Fingerprint
from ringline.client.upkeep import UpkeepConfig

__all__ = [
    "MAX_REMOTE_CANDIDATES",
    "Address",
    "CandidateFound",
    "CandidatesComplete",
    "ChannelOpened",
    "DataChannel",
    "EmulatedLink",
    "IceServer",
    "LinkFactory",
    "LocalTransportParameters",
    "NetworkChanged",
    "Path",
    "PathChanged",
    "PathKind",
    "RemoteTransportParameters",
    "TransportConfig",
    "TransportEvent",
    "TransportState",
    "TransportStateChanged",
]

Address = tuple[str, int]
PathKind = Literal["host", "srflx", "relay"]


class EmulatedLink(Protocol):
    """One direction of a bad network, sans I/O (:class:`ringline.media.simulate.link.Link`)."""

    def handle_datagram(self, data: bytes, now: float, tag: object) -> None:
        """Put a datagram on the link; ``tag`` comes out beside it."""

    def poll_datagram(self, now: float) -> tuple[bytes, object] | None:
        """Return a datagram that has arrived by ``now``, and its tag."""

    def poll_timeout(self) -> float | None:
        """Return when to poll next."""


LinkFactory = Callable[[float], EmulatedLink]
"""Makes the link of one transport; is given the present on the event loop's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportConfig:
    """How a transport finds and keeps its path.  Times in seconds."""

    policy: Literal["all", "relay"] = "all"
    """``relay`` hides this machine's addresses from the other side: TURN is the only way."""

    addresses: tuple[str, ...] | None = None
    """Local addresses to gather on.  :obj:`None` is every one that this machine has, loopback
    only where there is no other."""

    include_loopback: bool = False
    """Gather on 127.0.0.1 too, for two peers on one machine."""

    link: LinkFactory | None = None
    """A bad network that every UDP datagram passes before it leaves; TURN over TCP does not."""

    turn_tls: ssl.SSLContext | None = None
    """What ``turns:`` servers are connected to with; by default whom the system trusts is."""

    check: CheckConfig = field(default_factory=CheckConfig)
    """Times of the connectivity checks."""

    upkeep: UpkeepConfig = field(default_factory=UpkeepConfig)
    """Times of the allocations on TURN servers."""

    disconnected_after: float = 2.5
    """Silence that counts as a lost path.  libwebrtc's ``receiving`` timeout; with consent
    answered every second and media every 20 ms, two lost answers are not yet an alarm."""

    failed_after: float = 30.0
    """Silence that ends it (RFC 7675 §5.1: consent expires after 30 s); also how long the first
    path may take."""

    gather_timeout: float = 5.0
    """A STUN or TURN server that has not answered by then is dead.  Nothing waits for it but
    the word that there are no more candidates."""

    retire_after: float = 3.0
    """How long the old sockets are still read after an ICE restart: the other side may need one
    more retry of its checks before it sends to the new ones."""

    watch_interval: float | None = 1.0
    """How often this machine's addresses are compared (0.5 ms each time), for
    :class:`NetworkChanged`; :obj:`None` is never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """One STUN or TURN server (RFC 7064, RFC 7065).

    Attributes:
        url: ``stun:host:port``, ``turn:host:port?transport=udp`` or ``tcp``, ``turns:host:port``;
            an IPv6 address stands in brackets.

    """

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTransportParameters:
    """Our side of one generation, for the SDP.

    Attributes:
        generation: 0, and one more with each ICE restart.
        candidates: Text of each ``candidate`` attribute found so far, from ``candidate:`` on.
        candidates_complete: No more will come.

    """

    ufrag: str
    password: str = field(repr=False)
    fingerprints: tuple[Fingerprint, ...]
    generation: int
    candidates: tuple[str, ...] = field(default=(), repr=False)
    candidates_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTransportParameters:
    """Their side, from the SDP.

    After the first generation only credentials and candidates count: the DTLS association and
    what runs over it live on.
    """

    ufrag: str
    password: str = field(repr=False)
    fingerprints: tuple[Fingerprint, ...]
    candidates: tuple[str, ...] = field(default=(), repr=False)
    sctp_port: int | None = 5000
    """Of their data channels (RFC 8841; 5000 is what everybody uses); :obj:`None` if they have
    none."""
    max_message_size: int = 65536
    """The longest message they take, in bytes; 0 is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The way that media takes.

    Attributes:
        kind: ``host`` (same network), ``srflx`` (direct, through a NAT) or ``relay`` (TURN).
        local_type: Type of our candidate: ``host``, ``srflx``, ``prflx``, ``relay``.
        remote_type: Likewise of theirs.
        protocol: ``udp``, or ``tcp`` or ``tls`` to our TURN server.
        round_trip: Seconds, of the connectivity checks.
        least_round_trip: Of the quickest of them: without what jitter and queues add.
        remote_address: Where we send to.
        relay: The TURN server that our side goes through, or :obj:`None`.

    """

    kind: PathKind
    local_type: str
    remote_type: str
    protocol: str
    round_trip: float
    least_round_trip: float
    remote_address: Address = field(repr=False)
    relay: Address | None = field(default=None, repr=False)


class TransportState(Enum):
    """Where a transport stands.

    ::

        NEW ── start ──> CONNECTING ──> CONNECTED <──> DISCONNECTED ── failed_after ──> FAILED
                                            ^────────── ICE restart ─────────────────────┘
    """

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    """Media flows."""
    DISCONNECTED = "disconnected"
    """Nothing comes; checks go on, and the first datagram leads back."""
    FAILED = "failed"
    """Given up: no path, or the DTLS handshake went wrong.  Only an ICE restart leads out."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateFound:
    """A local candidate to trickle (RFC 8838).

    Attributes:
        candidate: Text of the attribute, from ``candidate:`` on.
        section_index: Of the m-section that the transport is described in: the first.

    """

    generation: int
    candidate: str = field(repr=False)
    section_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatesComplete:
    """No more local candidates will come in this generation."""

    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportStateChanged:
    """The transport moved on.

    Attributes:
        reason: One line for a person, with FAILED and CLOSED.

    """

    state: TransportState
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChanged:
    """Media is sent another way."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChanged:
    """This machine has other addresses than before: time for an ICE restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOpened:
    """The other side opened a data channel."""

    channel: DataChannel


class DataChannel(Protocol):
    """Messages to and from the other side, in order and reliable unless opened otherwise."""

    on_message: Callable[[str | bytes], None] | None
    """Called with each message; those that come before it is set wait, up to a bound."""

    @property
    def label(self) -> str:
        """What the opener called it."""

    @property
    def is_open(self) -> bool:
        """Whether messages go out at once."""

    def send(self, message: str | bytes) -> bool:
        """Send a message, now or when the channel opens.

        Returns:
            Whether it was taken; not if the channel is closed or too much waits already.

        """

    def close(self) -> None:
        """End it; what waits for an open channel is lost."""


TransportEvent = (
    CandidateFound
    | CandidatesComplete
    | TransportStateChanged
    | PathChanged
    | NetworkChanged
    | ChannelOpened
)

MAX_REMOTE_CANDIDATES: Final = 100
"""Per generation; browsers send some 20.  Each costs checks from every local address."""
