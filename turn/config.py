"""Configuration of the TURN server: one frozen dataclass, each default argued beside it.

Every field is a plain value that a command line or a file can give; a wrong one raises
:exc:`~ringline.turn.errors.ConfigError` at once, its message beginning with the field's name.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ringline.turn.addresses import AddressFamily, family_of, parse_address
from ringline.turn.errors import ConfigError
from ringline.turn.peer_policy import parse_networks

__all__ = ["TurnConfig", "part_of"]

_LONGEST: Final = 0xFFFFFFFF
"""Seconds: what a LIFETIME attribute has room for (RFC 8656 §18.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnConfig:
    """How a TURN server behaves.

    At least one of ``users`` and ``secrets`` must be given: a relay for everybody is a weapon.
    """

    host: str | tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 - a TURN server is to be reached
    """Address to listen on, or one of each family.  A socket serves its own family and no other,
    so that ``::`` is IPv6 alone.  A wildcard of a family that this machine does not have is left
    out, as long as the other one is there."""

    port: int = 3478
    """UDP port to listen on, and TCP port, RFC 8489's; 0 takes a free one."""

    tcp: bool = True
    """Whether the same port serves TCP too, for networks that pass no UDP."""

    tls_port: int = 5349
    """TCP port for TLS, RFC 8656's; 0 takes a free one.  443 passes more firewalls.  Used if there
    is a certificate."""

    tls_certificate: str | None = None
    """File with the certificate and its chain, PEM; :obj:`None`: no TLS."""

    tls_private_key: str | None = None
    """File with its key, PEM; :obj:`None`: in the same file."""

    data_plane: str = "auto"
    """What passes datagrams on: ``compiled`` is quicker and there where it was built, on Linux;
    ``python`` is there everywhere; ``auto`` takes the better one that there is."""

    tcp_allocations: bool = False
    """Whether relays over TCP are given (RFC 6062).  Calls have no use for them, and whoever has
    one can reach every public TCP service through us: on only where that is wanted."""

    max_peer_connections: int = 16
    """Per relay over TCP, in all states."""

    alternate_server: str | None = None
    """Who is asked instead while this server drains, as ``192.0.2.1:3478``."""

    realm: str = "ringline"
    """Named to clients and part of their keys."""

    users: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Static credentials, name to password."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets of time-limited credentials, all valid at once so that one can be rotated."""

    max_credential_lifetime: float = 86_400.0
    """Seconds; a time-limited credential that runs longer was minted by mistake.  A day is what
    the strictest public services give."""

    relay_host: str | tuple[str, ...] | None = None
    """Local address of the relays, or one of each family.  For a family without: ``host``, or
    where that is the wildcard, for each client that address of ours which faces it.  Relays of a
    family that neither names are refused (440)."""

    external_address: str | tuple[str, ...] | None = None
    """What peers see instead of ``relay_host``, where a NAT maps one to the other port by port;
    or one of each family."""

    first_relay_port: int = 49_152
    """Lowest relay port: the IANA dynamic range, as RFC 8656 §7.2 recommends.  Ports of it that
    others hold, this server's own listeners among them, are passed over."""

    last_relay_port: int = 65_535
    """Highest relay port."""

    allow_peers: tuple[str, ...] = ()
    """Ranges to open although they are special-purpose, like ``192.168.0.0/16`` for a LAN, or
    this machine's own: its public addresses lead to relays alone unless opened here."""

    deny_peers: tuple[str, ...] = ()
    """Ranges to close although they are public; stronger than ``allow_peers``."""

    mobility: bool = False
    """Whether a client that asks for it may go on from another address (RFC 8016); not with
    several workers."""

    mobility_keys: tuple[str, ...] = field(default=(), repr=False)
    """What mobility tickets are sealed with, the newest first; all are taken, so that one can be
    rotated.  Servers that share them, and an address, can take over each other's allocations.
    Without any, tickets are good until this server ends."""

    max_allocations_per_user: int = 12
    """A call takes one or two per network interface; two calls at a time and a restart of each
    fit."""

    max_allocations: int = 10_000
    """For all users together; bounded by the port range too."""

    max_permissions: int = 64
    """Per allocation.  A call has one per address of the other side, seldom more than ten."""

    max_channels: int = 64
    """Per allocation, as for permissions."""

    allocation_bandwidth: float | None = None
    """Bytes a second that one allocation may have passed on, both directions together; what is
    more is dropped.  :obj:`None`: no limit, here and below, as what is right depends on the line.
    A call in 720p takes some 500,000."""

    user_bandwidth: float | None = None
    """Likewise of all allocations of one user.  Each worker counts for itself: a user whose clients
    are at several may have it at each."""

    total_bandwidth: float | None = None
    """Likewise of all users: what the line or the bill allows."""

    bandwidth_burst: float = 1.0
    """Seconds of such a rate that may come at once: a key frame is many times a frame.  Never less
    than the longest datagram."""

    call_end_grace: float = 10.0
    """Seconds that allocations go on after the signaling server said that their call is over."""

    new_peers_per_second: float = 5.0
    """Peers per allocation that it has not turned to before, in the long run: nobody scans a
    network through us."""

    new_peer_burst: int = 100
    """Likewise at once: every candidate of the other side, and a restart."""

    icmp_per_second: float = 5.0
    """ICMP messages that a client is told of, per allocation, in the long run (RFC 8656 §11.5):
    anybody on the way can forge them."""

    icmp_burst: int = 20
    """Likewise at once: a message for each candidate of the other side that is not there."""

    default_lifetime: float = 600.0
    """Seconds that an allocation lives when the client does not ask for more (RFC 8656 §3.2)."""

    max_lifetime: float = 3600.0
    """Seconds that it lives at most without a refresh (RFC 8656 §7.2 recommends one hour)."""

    permission_lifetime: float = 300.0
    """Seconds (RFC 8656 §9: five minutes, fixed)."""

    channel_lifetime: float = 600.0
    """Seconds (RFC 8656 §12: ten minutes, fixed)."""

    nonce_lifetime: float = 3600.0
    """Seconds; RFC 8489 §9.2.1 wants a limit, and one more round trip an hour costs nothing."""

    max_connections: int = 10_000
    """TCP and TLS connections of all clients together; each needs a file descriptor."""

    max_connections_per_source: int = 256
    """Of one address: an office behind one.  What a single machine can take of all of them."""

    max_handshakes: int = 1000
    """TLS handshakes under way, of all clients together; they are among the connections.  A
    tenth of those: each holds memory before anybody has said a word, and ends in a signature."""

    max_handshakes_per_source: int = 64
    """Likewise of one address: an office that comes back after an outage."""

    handshake_patience: float = 10.0
    """Seconds that a handshake may take: three round trips and a lost packet or two."""

    stranger_patience: float = 30.0
    """Seconds that a connection may last without an allocation: several round trips, and a
    person who looks for the password."""

    unauthenticated_replies_per_second: float = 10.0
    """To one source address, in the long run: what a forged source can be hit with."""

    unauthenticated_reply_burst: int = 100
    """To one source address at once: an office behind one address that comes back after an
    outage."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ConfigError: If one cannot be meant so.

        """
        if not self.users and not self.secrets:
            raise ConfigError(
                "users, secrets: none given, so nobody could authenticate; give --user "
                "NAME:PASSWORD, or [users] or secrets in the file"
            )
        if any(not name or not password for name, password in self.users.items()):
            raise ConfigError("users: one has an empty name or password, which anybody could guess")
        if any(not secret for secret in self.secrets):
            raise ConfigError("secrets: one is empty, so that anybody could mint with it")
        if self.mobility_keys and not self.mobility:
            raise ConfigError("mobility_keys: of no use without mobility")
        if any(len(key.encode()) < 16 for key in self.mobility_keys):
            raise ConfigError("mobility_keys: one has less than 16 bytes, which can be guessed")
        if not self.realm or len(self.realm.encode()) > 127:
            raise ConfigError(f"realm: expected 1 to 127 bytes, got {len(self.realm.encode())}")
        for key in ("host", "relay_host", "external_address"):
            self._check_addresses(key, getattr(self, key))
        unserved = self.external_addresses.keys() - self.relay_families
        if unserved:
            raise ConfigError(
                "external_address: of a family that neither host nor relay_host has an address of"
            )
        for key in ("port", "tls_port"):
            if not 0 <= getattr(self, key) <= 65_535:
                raise ConfigError(f"{key}: expected 0 to 65535, got {getattr(self, key)}")
        if self.data_plane not in ("auto", "python", "compiled"):
            raise ConfigError(
                f"data_plane: expected auto, python or compiled, got {self.data_plane!r}"
            )
        if self.alternate_server is not None:
            try:
                parse_address(self.alternate_server)
            except ValueError:
                raise ConfigError(
                    "alternate_server: expected address and port, such as 192.0.2.1:3478 or "
                    f"[2001:db8::1]:3478, got {self.alternate_server!r}"
                ) from None
        for key in ("tls_certificate", "tls_private_key"):
            if getattr(self, key) == "":
                raise ConfigError(f"{key}: expected a file, got an empty name")
        if self.tls_private_key is not None and self.tls_certificate is None:
            raise ConfigError("tls_private_key: of no use without tls_certificate")
        if self.tls_certificate is not None and self.tcp and 0 < self.tls_port == self.port:
            raise ConfigError(f"tls_port: {self.port} is port, which serves TCP without TLS")
        if not 1 <= self.first_relay_port <= self.last_relay_port <= 65_535:
            raise ConfigError(
                "first_relay_port, last_relay_port: expected a range within 1 to 65535, got "
                f"{self.first_relay_port} to {self.last_relay_port}"
            )
        for key in ("allow_peers", "deny_peers"):
            try:
                parse_networks(getattr(self, key))
            except ValueError as error:
                raise ConfigError(f"{key}: {error}") from None
        self._check_limits()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to listen on, in their canonical spelling."""
        return tuple(_by_family(self.host).values())

    @property
    def relay_addresses(self) -> Mapping[AddressFamily, str]:
        """Local addresses of the relays, where they are configured."""
        return _by_family(self.relay_host)

    @property
    def external_addresses(self) -> Mapping[AddressFamily, str]:
        """What peers see instead."""
        return _by_family(self.external_address)

    @property
    def relay_families(self) -> frozenset[AddressFamily]:
        """The families that relays are given in, if this machine has an address of them."""
        return frozenset(_by_family(self.host)) | frozenset(_by_family(self.relay_host))

    def _check_addresses(self, key: str, value: str | tuple[str, ...] | None) -> None:
        texts = _as_tuple(value)
        if key == "host" and not texts:
            raise ConfigError("host: expected an address, got none")
        for text in texts:
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                raise ConfigError(
                    f"{key}: expected an IPv4 or IPv6 address, got {text!r}"
                ) from None
            if key != "host" and address.is_unspecified:
                raise ConfigError(f"{key}: expected one address, got the wildcard {text}")
            if isinstance(address, ipaddress.IPv6Address) and (
                address.is_link_local or address.ipv4_mapped is not None
            ):
                raise ConfigError(f"{key}: {text} is link-local or stands for an IPv4 address")
        if len(_by_family(value)) < len(texts):
            raise ConfigError(f"{key}: expected one address of each family, got {', '.join(texts)}")

    def _check_limits(self) -> None:
        for key in (
            "max_credential_lifetime",
            "max_allocations_per_user",
            "max_allocations",
            "max_permissions",
            "max_channels",
            "max_peer_connections",
            "bandwidth_burst",
            "new_peers_per_second",
            "new_peer_burst",
            "icmp_per_second",
            "icmp_burst",
            "default_lifetime",
            "permission_lifetime",
            "channel_lifetime",
            "nonce_lifetime",
            "max_connections",
            "max_connections_per_source",
            "max_handshakes",
            "max_handshakes_per_source",
            "handshake_patience",
            "stranger_patience",
            "unauthenticated_replies_per_second",
            "unauthenticated_reply_burst",
        ):
            if not getattr(self, key) > 0:
                raise ConfigError(f"{key}: expected more than 0, got {getattr(self, key)}")
        if not self.call_end_grace >= 0:
            raise ConfigError(f"call_end_grace: expected 0 or more, got {self.call_end_grace}")
        for key in ("allocation_bandwidth", "user_bandwidth", "total_bandwidth"):
            if getattr(self, key) is not None and not getattr(self, key) > 0:
                raise ConfigError(f"{key}: expected more than 0, got {getattr(self, key)}")
        for key in ("default_lifetime", "max_lifetime", "permission_lifetime", "channel_lifetime"):
            if getattr(self, key) > _LONGEST:  # a NaN was refused above, or is below
                raise ConfigError(f"{key}: expected at most {_LONGEST}, got {getattr(self, key)}")
        if not self.max_lifetime >= self.default_lifetime:
            raise ConfigError(
                f"max_lifetime: expected at least default_lifetime ({self.default_lifetime}), "
                f"got {self.max_lifetime}"
            )


def _as_tuple(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _by_family(value: str | tuple[str, ...] | None) -> dict[AddressFamily, str]:
    """Return addresses, which have been checked, by family and in their canonical spelling."""
    texts = (str(ipaddress.ip_address(text)) for text in _as_tuple(value))
    return {family_of(text): text for text in texts}


def part_of(config: TurnConfig, index: int, count: int) -> TurnConfig:
    """Return the settings of one worker of several: its part of what is divided among them.

    Ports are divided, and all limits that count what cannot be counted together at little cost:
    connections, bandwidth in all, and answers to strangers, whose requests the kernel spreads as
    well.  Quotas of allocations are not divided (:mod:`~ringline.turn.fleet`), nor is what one
    user or allocation may send: its clients may all be at one worker.

    Raises:
        ConfigError: If there are too few relay ports, or what the kernel would spread over workers
            that know nothing of it is wanted: data connections to relays over TCP, and clients
            that move.

    """
    if config.tcp_allocations:
        raise ConfigError("tcp_allocations: not with several workers; run one, or a server apart")
    if config.mobility:
        raise ConfigError("mobility: not with several workers; who moves comes to another one")
    first = config.first_relay_port + config.first_relay_port % 2  # pairs stay in one part
    size = (config.last_relay_port + 1 - first) // count // 2 * 2
    if size < 2:
        raise ConfigError(
            f"workers: {config.first_relay_port} to {config.last_relay_port} are too few relay "
            f"ports for {count} of them, each needs two"
        )
    bandwidth = config.total_bandwidth
    return dataclasses.replace(
        config,
        first_relay_port=first + index * size,
        last_relay_port=first + (index + 1) * size - 1,
        total_bandwidth=None if bandwidth is None else bandwidth / count,
        max_connections=math.ceil(config.max_connections / count),
        max_connections_per_source=math.ceil(config.max_connections_per_source / count),
        max_handshakes=math.ceil(config.max_handshakes / count),
        max_handshakes_per_source=math.ceil(config.max_handshakes_per_source / count),
        unauthenticated_replies_per_second=config.unauthenticated_replies_per_second / count,
        unauthenticated_reply_burst=math.ceil(config.unauthenticated_reply_burst / count),
    )
