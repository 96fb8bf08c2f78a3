"""Channel bindings: a number instead of a peer's address (RFC 8656 §12).

Invariants, for bindings that have not ended:

1. A number stands for one peer.
2. A peer has one number.

Like permissions they need no timer: ended ones are swept out when room is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringline.turn.addresses import Address, AddressFamily, family_of
from ringline.turn.channel_data import FIRST_CHANNEL, LAST_CHANNEL

__all__ = ["ChannelBinding", "ChannelBindings"]


@dataclass(slots=True)
class ChannelBinding:
    """A channel bound to a peer.

    Attributes:
        expires_at: When it ends, unless bound again.
        relayed_only: Whether the peer is an address of ours, thus a live relay or nothing.

    """

    number: int
    peer: Address
    expires_at: float
    relayed_only: bool


class ChannelBindings:
    """The channels of one allocation.

    Args:
        limit: How many there may be at once.

    """

    __slots__ = ("_limit", "by_number", "by_peer")

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        # Read by the data path in server.py, which must look at expires_at itself.
        self.by_number: Final[dict[int, ChannelBinding]] = {}
        self.by_peer: Final[dict[Address, ChannelBinding]] = {}

    def __len__(self) -> int:
        return len(self.by_number)

    def conflicts(self, number: int, peer: Address, now: float) -> bool:
        """Tell whether binding the two would break an invariant, or the number is not one."""
        if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
            return True
        by_number, by_peer = self.by_number.get(number), self.by_peer.get(peer)
        if by_number is not None and by_number.expires_at > now and by_number.peer != peer:
            return True
        return by_peer is not None and by_peer.expires_at > now and by_peer.number != number

    def has_room(self, number: int, now: float) -> bool:
        """Tell whether ``number`` can be bound without exceeding the limit."""
        if number in self.by_number or len(self.by_number) < self._limit:
            return True
        for binding in [b for b in self.by_number.values() if b.expires_at <= now]:
            self._remove(binding)
        return len(self.by_number) < self._limit

    def bind(self, number: int, peer: Address, expires_at: float, *, relayed_only: bool) -> None:
        """Bind or renew.  The caller has asked :meth:`conflicts` and :meth:`has_room`."""
        for old in (self.by_number.get(number), self.by_peer.get(peer)):
            if old is not None:  # the same binding, or ended ones of either
                self._remove(old)
        binding = ChannelBinding(number, peer, expires_at, relayed_only)
        self.by_number[number] = binding
        self.by_peer[peer] = binding

    def forget(self, family: AddressFamily) -> None:
        """Remove those of a family whose relay has ended (RFC 8656 §8.2)."""
        for binding in [b for b in self.by_number.values() if family_of(b.peer[0]) is family]:
            self._remove(binding)

    def _remove(self, binding: ChannelBinding) -> None:
        self.by_number.pop(binding.number, None)
        self.by_peer.pop(binding.peer, None)
