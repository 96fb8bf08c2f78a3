"""NAT: what a home router does to addresses, in the words of RFC 4787, sans I/O.

::

    inside                      outside
    source ── handle_outbound ──> public source, toward destination
    private destination <── handle_inbound ── source   (or None: dropped)

A *mapping* stands for one socket inside, or for one socket and the peer that it talks to; a
*filter* decides who outside may use it.  What a test calls a cone or a symmetric NAT is a pair of
the two.

Invariants:

1. Nothing comes in through a mapping that nothing has gone out by.
2. Two mappings never share a public port.
3. A mapping that nothing went out by for ``timeout`` seconds is gone; what comes in does not keep
   it (RFC 4787 REQ-6).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

__all__ = ["CONE", "FULL_CONE", "SYMMETRIC", "Address", "Nat", "NatConfig", "NatStats", "Scope"]

Address = tuple[str, int]
"""IP address and port."""

_FIRST_PORT: Final = 1024
_LAST_PORT: Final = 65_535


class Scope(Enum):
    """How much of a peer's address something depends on (RFC 4787 §4.1 and §5)."""

    ENDPOINT_INDEPENDENT = auto()
    """On nothing: one for all peers."""

    ADDRESS_DEPENDENT = auto()
    """On its IP address."""

    ADDRESS_AND_PORT_DEPENDENT = auto()
    """On both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatConfig:
    """What kind of NAT it is."""

    mapping: Scope = Scope.ENDPOINT_INDEPENDENT
    """What a mapping depends on.  REQ-1 demands endpoint-independent; symmetric ones defy it."""

    filtering: Scope = Scope.ADDRESS_AND_PORT_DEPENDENT
    """Whom a mapping lets in, by whom it has sent to.  Most routers are this strict."""

    port_preservation: bool = True
    """Take the inner port for the public one where it is free, as Linux does."""

    timeout: float = 120.0
    """Seconds without outbound traffic that end a mapping: REQ-5's least, and what Linux takes."""

    hairpinning: bool = False
    """Let two inside meet at their public addresses (REQ-9).  Many routers do not."""

    def __post_init__(self) -> None:
        """Refuse a mapping that ends before it starts."""
        if self.timeout <= 0:
            raise ValueError(f"timeout must be positive, got {self.timeout}")


FULL_CONE: Final = NatConfig(filtering=Scope.ENDPOINT_INDEPENDENT)
"""Whoever knows the public port gets in."""

CONE: Final = NatConfig()
"""One public port for all, but only who was sent to gets in: holes can be punched."""

SYMMETRIC: Final = NatConfig(mapping=Scope.ADDRESS_AND_PORT_DEPENDENT, port_preservation=False)
"""Another port for every peer: two of these never meet, and a relay must help."""


@dataclass(slots=True)
class NatStats:
    """Datagrams so far.

    Attributes:
        outbound: That went out.
        inbound: That were let in.
        unmapped: Dropped for want of a mapping, or of one still alive.
        filtered: Dropped by a mapping's filter.

    """

    outbound: int = 0
    inbound: int = 0
    unmapped: int = 0
    filtered: int = 0


@dataclass(slots=True)
class _Mapping:
    key: tuple[Address, str, int]
    inside: Address
    port: int
    used_at: float
    sent_to: set[tuple[str, int]] = field(default_factory=set)  # only ever asked, never iterated


class Nat:
    """One NAT with one public address.

    Args:
        config: Its kind.
        public_address: The IP address outside.
        rng: Chooses ports that are not preserved.

    """

    def __init__(self, config: NatConfig, *, public_address: str, rng: random.Random) -> None:
        self._config: Final = config
        self._public_address: Final = public_address
        self._rng: Final = rng
        self._mappings: Final[dict[tuple[Address, str, int], _Mapping]] = {}
        self._by_port: Final[dict[int, _Mapping]] = {}
        self.stats: Final = NatStats()

    def handle_outbound(self, source: Address, destination: Address, now: float) -> Address:
        """Take a datagram from inside.

        Returns:
            The public address that it comes from for whoever is outside.

        Raises:
            RuntimeError: If every port is taken.

        """
        key = (source, *_scoped(destination, self._config.mapping))
        mapping = self._mappings.get(key)
        if mapping is not None and self._is_over(mapping, now):
            self._remove(mapping)
            mapping = None
        if mapping is None:
            mapping = _Mapping(key, source, self._choose_port(source[1], now), now)
            self._mappings[key] = self._by_port[mapping.port] = mapping
        mapping.used_at = now
        mapping.sent_to.add(_scoped(destination, self._config.filtering))
        self.stats.outbound += 1
        return self._public_address, mapping.port

    def handle_inbound(self, source: Address, destination: Address, now: float) -> Address | None:
        """Take a datagram from outside, or one from inside that hairpins.

        Args:
            source: Public, as the NAT sees it.
            destination: Public: this NAT's address.
            now: The present.

        Returns:
            Whom inside it goes to; :obj:`None` if it is dropped.

        """
        mapping = self._by_port.get(destination[1])
        is_ours = destination[0] == self._public_address
        if mapping is None or not is_ours or self._is_over(mapping, now):
            self.stats.unmapped += 1
            return None
        is_hairpin = source[0] == self._public_address
        is_known = _scoped(source, self._config.filtering) in mapping.sent_to
        if not is_known or (is_hairpin and not self._config.hairpinning):
            self.stats.filtered += 1
            return None
        self.stats.inbound += 1
        return mapping.inside

    def forget(self) -> None:
        """Lose every mapping, as a router that is switched off and on."""
        self._mappings.clear()
        self._by_port.clear()

    def _is_over(self, mapping: _Mapping, now: float) -> bool:
        return now - mapping.used_at >= self._config.timeout

    def _remove(self, mapping: _Mapping) -> None:
        del self._mappings[mapping.key]
        del self._by_port[mapping.port]

    def _choose_port(self, wanted: int, now: float) -> int:
        if self._config.port_preservation and self._is_free(wanted, now):
            return wanted
        count = _LAST_PORT - _FIRST_PORT + 1
        first = self._rng.randrange(count)
        for step in range(count):
            port = _FIRST_PORT + (first + step) % count
            if self._is_free(port, now):
                return port
        raise RuntimeError("every port is taken")

    def _is_free(self, port: int, now: float) -> bool:
        """Tell whether a port may be given out; what is over makes room for it."""
        mapping = self._by_port.get(port)
        if mapping is not None and self._is_over(mapping, now):
            self._remove(mapping)
            return True
        return mapping is None


def _scoped(peer: Address, scope: Scope) -> tuple[str, int]:
    """Return the part of a peer's address that counts."""
    if scope is Scope.ENDPOINT_INDEPENDENT:
        return "", 0
    return (peer[0], 0) if scope is Scope.ADDRESS_DEPENDENT else peer
