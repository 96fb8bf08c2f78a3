"""The table of allocations: its indices agree, through the end of one relay and of both."""

from __future__ import annotations

from ringline.turn import ClientSocket
from ringline.turn.addresses import AddressFamily
from ringline.turn.allocation import Allocation, Allocations, Relay
from ringline.turn.bandwidth import TokenBucket
from ringline.turn.channel_binding import ChannelBindings
from ringline.turn.long_term import Keys
from ringline.turn.new_peers import NewPeers
from ringline.turn.permission import Permissions

IPV4, IPV6 = AddressFamily.IPV4, AddressFamily.IPV6
BOTH = (IPV4, IPV6)


def allocation(number: int, expires_at: float, *, dual: bool = False) -> Allocation:
    port = 50_000 + number
    ipv6 = Relay(("2001:db8::1", port), ("2001:db8::1", port), expires_at)
    return Allocation(
        client=ClientSocket("198.51.100.7", number),
        relay_port=port,
        ipv4=Relay(("10.0.0.1", port), ("203.0.113.1", port), expires_at),
        ipv6=ipv6 if dual else None,
        username="ann",
        quota_name="ann",
        keys=Keys.derive("ann", "ringline", "pa"),
        transaction_id=bytes(12),
        response=b"",
        permissions=Permissions(4),
        channels=ChannelBindings(4),
        buckets=(),
        new_peers=NewPeers(1.0, 1),
        icmp=TokenBucket(1.0, 1.0),
    )


def indexed(allocations: Allocations) -> tuple[int, int, int, int]:
    """How many each index holds."""
    return (
        len(allocations.by_client),
        len(allocations.by_port),
        len(allocations.by_relayed),
        len(allocations._deadlines),
    )


def test_an_allocation_is_found_by_client_port_and_relayed_addresses() -> None:
    allocations, one = Allocations(), allocation(1, 600.0, dual=True)
    allocations.add(one)
    assert allocations.by_client[ClientSocket("198.51.100.7", 1)] is one
    assert allocations.by_port[50_001] is one
    assert allocations.by_relayed["203.0.113.1", 50_001] is one
    assert allocations.by_relayed["2001:db8::1", 50_001] is one
    assert allocations.next_expiry() == 600.0


def test_a_relay_reaches_its_own_family() -> None:
    one = allocation(1, 600.0)
    assert one.relay_to("8.8.8.8") is one.ipv4
    assert one.relay_to("2001:4860::1") is None


def test_all_indices_agree_through_life() -> None:
    allocations = Allocations()
    one, two, three = (allocation(n, 100.0 * n) for n in (1, 2, 3))
    for each in (one, two, three):
        allocations.add(each)
    assert indexed(allocations) == (3, 3, 3, 3)
    allocations.end(two, BOTH)
    assert indexed(allocations) == (2, 2, 2, 2)
    allocations.extend(one, BOTH, 500.0)
    assert allocations.pop_expired(300.0) == [(three, (IPV4,))]
    assert indexed(allocations) == (1, 1, 1, 1)
    assert allocations.pop_expired(499.9) == []
    assert allocations.pop_expired(500.0) == [(one, (IPV4,))]
    assert indexed(allocations) == (0, 0, 0, 0)
    assert allocations.next_expiry() is None


def test_each_relay_of_two_ends_at_its_own_time_and_takes_what_is_of_its_family() -> None:
    allocations, one = Allocations(), allocation(1, 100.0, dual=True)
    allocations.add(one)
    for host in ("8.8.8.8", "2001:4860::1"):
        one.permissions.install(host, 1000.0, relayed_only=False)
    one.channels.bind(0x4000, ("8.8.8.8", 1), 1000.0, relayed_only=False)
    one.channels.bind(0x4001, ("2001:4860::1", 1), 1000.0, relayed_only=False)
    allocations.extend(one, (IPV6,), 300.0)
    assert allocations.pop_expired(200.0) == [(one, (IPV4,))]
    assert indexed(allocations) == (1, 1, 1, 1)
    assert (one.ipv4, one.relays) == (None, (one.ipv6,))
    assert one.permissions.find("8.8.8.8", 200.0) is None
    assert one.permissions.find("2001:4860::1", 200.0) is not None
    assert list(one.channels.by_number) == [0x4001]
    assert allocations.next_expiry() == 300.0
    assert allocations.pop_expired(300.0) == [(one, (IPV6,))]
    assert indexed(allocations) == (0, 0, 0, 0)
