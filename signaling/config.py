"""Configuration of a Ringline server: one frozen dataclass, each default argued beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringline.signaling.origin import check_origin
from ringline.signaling.tokens import TokenKeys
from ringline.signaling.wire import MAX_MESSAGE_BYTES
from ringline.turn.errors import ParseError
from ringline.turn.fleet import MAX_WORKERS
from ringline.turn.server_url import parse_server_url

__all__ = ["ServerConfig"]

_POSITIVE = (
    "hello_timeout",
    "ping_interval",
    "ping_interval_in_call",
    "dead_after",
    "session_ttl",
    "session_ttl_in_call",
    "min_ring_time",
    "max_ring_time",
    "connect_timeout",
    "ended_call_ttl",
    "messages_per_second",
    "message_burst",
    "max_message_bytes",
    "max_outbox_messages",
    "max_outbox_bytes",
    "max_sessions_per_user",
    "max_connections",
    "max_calls_per_device",
    "max_bad_messages",
    "turn_credential_lifetime",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How a server behaves.  Times are seconds.

    Raises:
        ValueError: If a field cannot be meant so; the message begins with its name.

    """

    # Where

    host: str = "127.0.0.1"
    """Address to listen on.  Loopback: who wants to be reached says so."""

    port: int = 8080
    """TCP port of page and WebSocket; 0 takes a free one."""

    turn: bool = True
    """Run the TURN server too."""

    turn_port: int = 3478
    """UDP port of TURN, RFC 8489's; 0 takes a free one."""

    turn_workers: int = 1
    """Processes that TURN has; 1: this one, 0: one for each core.  More than one on Linux, which
    spreads the clients of a port over them."""

    turn_allow_peers: tuple[str, ...] = ()
    """Special-purpose ranges that may be relayed to, such as ``127.0.0.0/8`` in a demo on one
    machine; the TURN server denies them all by itself."""

    turn_urls: tuple[str, ...] = ()
    """Other TURN servers that share ``turn_secret``, as ``turn:relay.example:3478?transport=udp``
    or ``turns:relay.example:5349``: a call with relays of two servers outlives the loss of one.
    The earlier, the more preferred; the one beside this server comes first."""

    external_host: str | None = None
    """Host that clients reach TURN by.  :obj:`None`: the one that each client reached the
    WebSocket by, so that loopback, a LAN and a public address work at the same time."""

    # Who

    dev: bool = False
    """Any free name, no token.  For trying out; never on a public address."""

    token_keys: TokenKeys | None = None
    """What tokens are signed with; needed unless ``dev``."""

    allowed_origins: tuple[str, ...] = ()
    """Pages of other hosts that may connect, exact (``https://app.example``)."""

    turn_secret: str | None = field(default=None, repr=False)
    """Shared with the TURN server; :obj:`None` makes a fresh one at each start, which is right
    as long as TURN runs beside this server."""

    # Sessions

    hello_timeout: float = 5.0
    """From the socket's opening to its hello: a round trip and some patience."""

    ping_interval: float = 25.0
    """Idle.  Below the 30 s after which some proxies and NATs drop a silent connection."""

    ping_interval_in_call: float = 5.0
    """In a call somebody waits for what we would send."""

    dead_after: float = 15.0
    """Nothing heard this long after a ping was due: the socket is dead (LiveKit's value)."""

    session_ttl: float = 60.0
    """A session without socket is kept so long: a tunnel, a switch of networks (Jitsi: 65 s)."""

    session_ttl_in_call: float = 120.0
    """Likewise in a call, where more is at stake (Socket.IO: 120 s)."""

    max_outbox_messages: int = 256
    """Unacknowledged messages kept for a resume; a call makes about 30."""

    max_outbox_bytes: int = 262_144
    """Likewise in bytes: some thirty session descriptions."""

    max_sessions_per_user: int = 20
    """Devices of one user; more is a leak or an attack."""

    max_connections: int = 50_000
    """Sockets of one process: at 16 kB each, 0.8 GB."""

    # Messages

    max_message_bytes: int = MAX_MESSAGE_BYTES
    """A longer one closes the socket (1009)."""

    messages_per_second: float = 40.0
    """Of one session in the long run; a call setting up sends about 20 in its first second."""

    message_burst: int = 120
    """At once: everything that queued while the socket was down."""

    max_bad_messages: int = 20
    """Unreadable messages until the socket is closed (1008)."""

    # Calls

    min_ring_time: float = 5.0
    """Bounds what a caller may ask for; less than this nobody can answer."""

    max_ring_time: float = 180.0
    """Likewise; ring times of services lie within 5 and 180 s."""

    min_incoming_time: float = 3.0
    """A device that comes when less is left does not ring any more."""

    connect_timeout: float = 60.0
    """From the accept to the first path that a member reports.  Peers give up by themselves
    sooner; this is for those that cannot."""

    ended_call_ttl: float = 120.0
    """How long an ended call is remembered, to answer late messages with its reason: as long as
    a session in a call is."""

    max_calls_per_device: int = 8
    """Calls that one device may have at once, on hold or ringing."""

    turn_credential_lifetime: float = 600.0
    """Looked at when a relay is allocated, never when it is refreshed; so it only has to last
    from the minting to the last ICE restart before ``turn.refresh``."""

    # Process

    drain_time: float = 1.0
    """On a graceful stop: from ``server.drain`` to the closing of the sockets."""

    max_loop_lag: float = 0.25
    """``/health`` says 503 above this: people hear 250 ms."""

    server_name: str = "ringline"
    """Shown to clients."""

    def __post_init__(self) -> None:
        for name in ("port", "turn_port"):
            if not 0 <= getattr(self, name) <= 65_535:
                raise ValueError(f"{name}: expected 0 to 65535, got {getattr(self, name)}")
        for origin in self.allowed_origins:
            try:
                check_origin(origin)
            except ValueError as error:
                raise ValueError(f"allowed_origins: {error}") from None
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        if not 0 <= self.turn_workers <= MAX_WORKERS:
            raise ValueError(f"turn_workers: expected 0 to {MAX_WORKERS}, got {self.turn_workers}")
        if self.min_ring_time > self.max_ring_time:
            raise ValueError(
                f"min_ring_time: {self.min_ring_time} is above max_ring_time {self.max_ring_time}"
            )
        for url in self.turn_urls:
            if not _is_turn_url(url):
                raise ValueError(
                    "turn_urls: expected turn:HOST:PORT?transport=udp or tcp, or turns:HOST:PORT, "
                    f"got {url!r}"
                )
        if self.turn_urls and not self.turn_secret:
            raise ValueError("turn_secret: none given, and turn_urls need one that they share")
        if not self.dev and self.token_keys is None:
            raise ValueError("token_keys: none given; set dev=True to let anybody in by name")


def _is_turn_url(url: str) -> bool:
    try:
        parsed = parse_server_url(url)
    except ParseError:
        return False
    return parsed.relays and parsed.transport in ("udp", "tcp")
