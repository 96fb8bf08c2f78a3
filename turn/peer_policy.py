"""Peer policy: the one place that decides which addresses a client may reach through us.

A relay inside a network is a way into it: each relayed packet comes from our address, behind the
firewall.  So every special-purpose range is denied unless the operator opens it, and every form
in which one address hides in another is looked through first.

:meth:`PeerPolicy.judge` is asked by every entry point: CreatePermission, ChannelBind, Send and
Connect.
It answers, from the strongest rule down:

1. *Never*: ranges that have no peer behind them, or another address inside (RFC 8656 §21.1.6).
   No setting opens them.
2. ``deny_peers`` of the configuration.
3. ``allow_peers`` of the configuration; yet not a port that we listen on, by whatever address:
   not for clients, nor for who operates the server.
4. *Ourselves*: any other address of ours leads only to relays of ours that are live.  Those are
   handed over inside the server, so that nothing else on this machine can be reached.
5. *Special-purpose* ranges: denied.  A public address of an interface of this machine is ours as
   in 4, although no relay has used it yet.
6. The rest, the public Internet: allowed.

An address that holds another one must pass with both.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, TypeAlias

from ringline.turn.addresses import Address, pack_host
from ringline.turn.fleet import Fleet

__all__ = ["Network", "PeerPolicy", "Verdict", "parse_networks"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# RFC 1122 §3.2.1.3 "this network" (the kernel takes 0.0.0.0 for loopback, CVE-2020-26262), the
# unspecified address, Teredo and 6to4, whose inner address decides where a packet goes.
_NEVER: Final = ("0.0.0.0/8", "::/128", "2001::/32", "2002::/16")

# The IANA registries of special-purpose addresses (RFC 6890), multicast and future use.
_SPECIAL: Final = (
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by carriers
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, where clouds keep their metadata
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # future use, and broadcast
    # Of IPv6 only 2000::/3 is global unicast.  The rest holds loopback, mapped and compatible
    # IPv4, NAT64, discard, unique local, link-local, site-local and multicast.
    "::/3",
    "4000::/2",
    "8000::/1",
    "2001::/23",  # protocol assignments
    "2001:db8::/32",  # documentation
    "3fff::/20",  # documentation
)

_MAPPED: Final = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96
_COMPATIBLE: Final = bytes(12)  # ::/96, without the loopback address (RFC 4291 §2.5.5.1)
_LOOPBACK: Final = bytes(15) + b"\x01"  # ::1/128
_TRANSLATED: Final = bytes(8) + b"\xff\xff\x00\x00"  # ::ffff:0:0:0/96, RFC 2765
_NAT64: Final = bytes.fromhex("0064ff9b") + bytes(8)  # 64:ff9b::/96, RFC 6052
_LOCAL_NAT64: Final = bytes.fromhex("0064ff9b0001")  # 64:ff9b:1::/48, RFC 8215
_SIX_TO_FOUR: Final = b"\x20\x02"  # 2002::/16, RFC 3056


class Verdict(Enum):
    """What a client may do with a peer's address."""

    ALLOWED = "allowed"
    RELAYED_ONLY = "relayed_only"  # an address of ours: live relays and nothing else
    DENIED = "denied"


class PeerPolicy:
    """Judges peer addresses.

    Args:
        allow: Ranges that are opened although they are special.
        deny: Ranges that are closed although they are public, or allowed.
        own_ports: The ports that we listen on.
        fleet: The other workers, if there are any: their addresses are ours.

    """

    def __init__(
        self,
        *,
        allow: Sequence[Network],
        deny: Sequence[Network],
        own_ports: Iterable[int],
        fleet: Fleet | None = None,
    ) -> None:
        self._fleet: Final = fleet
        self._never: Final = _Ranges(parse_networks(_NEVER))
        self._deny: Final = _Ranges(deny)
        self._allow: Final = _Ranges(allow)
        self._special: Final = _Ranges(parse_networks(_SPECIAL))
        self._own_ports: Final = set(own_ports)
        self._own_hosts: Final[set[bytes]] = set()
        self._interfaces: frozenset[bytes] = frozenset()

    def add_own_host(self, host: str) -> None:
        """Learn an address of this machine.  There are as many as it has interfaces."""
        self._own_hosts.add(pack_host(host))
        if self._fleet is not None:
            self._fleet.add_host(host)

    def set_interfaces(self, hosts: Iterable[str]) -> None:
        """Learn all addresses of this machine's interfaces; those of before are forgotten."""
        self._interfaces = frozenset(pack_host(host) for host in hosts)

    def add_own_port(self, port: int) -> None:
        """Learn a port that this process listens on: no client is led there."""
        self._own_ports.add(port)

    def judge(self, peer: Address) -> Verdict:
        """Return what a client may do with ``peer``; port 0 stands for any port."""
        host, port = peer
        packed = pack_host(host)
        if self._fleet is not None and host in self._fleet.hosts():
            self._own_hosts.add(packed)  # another worker may have learned it
        verdicts = [self._judge_form(form, port) for form in (packed, *_embedded(packed))]
        if Verdict.DENIED in verdicts:
            return Verdict.DENIED
        # An embedded form of our own address is no address of a relay.
        return verdicts[0] if len(set(verdicts)) == 1 else Verdict.DENIED

    def _judge_form(self, packed: bytes, port: int) -> Verdict:
        if packed in self._never or packed in self._deny:
            return Verdict.DENIED
        if packed in self._allow:
            is_here = packed in self._own_hosts or packed in self._interfaces
            if port in self._own_ports and (is_here or packed in self._special):
                return Verdict.DENIED
            return Verdict.ALLOWED
        is_special = packed in self._special
        if packed in self._own_hosts or (packed in self._interfaces and not is_special):
            return Verdict.DENIED if port in self._own_ports else Verdict.RELAYED_ONLY
        return Verdict.DENIED if is_special else Verdict.ALLOWED


def parse_networks(ranges: Iterable[str]) -> tuple[Network, ...]:
    """Read ranges like ``10.0.0.0/8``; an address alone is a range of one.

    Raises:
        ValueError: If one is malformed or has bits set below its prefix; the message names it.

    """
    return tuple(ipaddress.ip_network(text) for text in ranges)


def _embedded(packed: bytes) -> Iterator[bytes]:
    """Yield the IPv4 address that an IPv6 address may stand for."""
    if len(packed) != 16 or packed == _LOOPBACK:
        return
    if packed[:12] in (_MAPPED, _COMPATIBLE, _TRANSLATED, _NAT64) or packed[:6] == _LOCAL_NAT64:
        yield packed[12:]
    elif packed[:2] == _SIX_TO_FOUR:
        yield packed[2:6]


class _Ranges:
    """A set of addresses, looked up by bisection; compares whole numbers, never bytes."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._firsts: Final[dict[int, list[int]]] = {4: [], 16: []}
        self._lasts: Final[dict[int, list[int]]] = {4: [], 16: []}
        networks = tuple(networks)
        v4 = [n for n in networks if isinstance(n, ipaddress.IPv4Network)]
        v6 = [n for n in networks if isinstance(n, ipaddress.IPv6Network)]
        # Collapsed ranges are disjoint, so that the last one to begin is the only candidate.
        for network in sorted(ipaddress.collapse_addresses(v4)):
            self._add(4, network)
        for network6 in sorted(ipaddress.collapse_addresses(v6)):
            self._add(16, network6)

    def _add(self, size: int, network: Network) -> None:
        self._firsts[size].append(int(network.network_address))
        self._lasts[size].append(int(network.broadcast_address))

    def __contains__(self, packed: bytes) -> bool:
        value = int.from_bytes(packed, "big")
        index = bisect_right(self._firsts[len(packed)], value) - 1
        return index >= 0 and value <= self._lasts[len(packed)][index]
