from __future__ import annotations

from ringline.turn import ClientSocket
from ringline.turn.allocation import Allocation, Allocations
from ringline.turn.channel_binding import ChannelBindings
from ringline.turn.long_term import Keys
from ringline.turn.permission import Permissions


def allocation(number: int, expires_at: float) -> Allocation:
    return Allocation(
        client=ClientSocket("198.51.100.7", number),
        relay_port=50_000 + number,
        local=("10.0.0.1", 50_000 + number),
        relayed=("203.0.113.1", 50_000 + number),
        username="ann",
        quota_name="ann",
        keys=Keys.derive("ann", "ringline", "pa"),
        transaction_id=bytes(12),
        response=b"",
        expires_at=expires_at,
        permissions=Permissions(1),
        channels=ChannelBindings(1),
    )


def indexed(allocations: Allocations) -> tuple[int, int, int, int]:
    """How many each index holds; the invariant is that they agree."""
    return (
        len(allocations.by_client),
        len(allocations.by_port),
        len(allocations.by_relayed),
        len(allocations._deadlines),
    )


def test_an_allocation_is_found_by_client_port_and_relayed_address() -> None:
    allocations, one = Allocations(), allocation(1, 600.0)
    allocations.add(one)
    assert allocations.by_client[ClientSocket("198.51.100.7", 1)] is one
    assert allocations.by_port[50_001] is one
    assert allocations.by_relayed["203.0.113.1", 50_001] is one
    assert allocations.next_expiry() == 600.0


def test_all_indices_agree_through_life() -> None:
    allocations = Allocations()
    one, two, three = (allocation(n, 100.0 * n) for n in (1, 2, 3))
    for each in (one, two, three):
        allocations.add(each)
    assert indexed(allocations) == (3, 3, 3, 3)
    allocations.remove(two)
    assert indexed(allocations) == (2, 2, 2, 2)
    allocations.extend(one, 500.0)
    assert allocations.pop_expired(300.0) == [three]
    assert indexed(allocations) == (1, 1, 1, 1)
    assert allocations.pop_expired(499.9) == []
    assert allocations.pop_expired(500.0) == [one]
    assert indexed(allocations) == (0, 0, 0, 0)
    assert allocations.next_expiry() is None
