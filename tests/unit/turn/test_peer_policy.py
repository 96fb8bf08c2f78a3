from __future__ import annotations

import pytest

from ringline.turn.peer_policy import PeerPolicy, Verdict, parse_networks

OURS = "203.0.113.1"


def policy(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> PeerPolicy:
    made = PeerPolicy(allow=parse_networks(allow), deny=parse_networks(deny), own_ports=(3478,))
    made.add_own_host(OURS)
    return made


@pytest.mark.parametrize("host", ["8.8.8.8", "1.1.1.1", "223.255.255.255", "2606:4700::1111"])
def test_the_public_internet_is_allowed(host: str) -> None:
    assert policy().judge((host, 5000)) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 - judged, not bound
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_special_purpose_addresses_are_denied(host: str) -> None:
    assert policy().judge((host, 5000)) is Verdict.DENIED


def test_a_range_can_be_opened_and_ends_where_it_says() -> None:
    opened = policy(allow=("10.1.0.0/16",))
    assert opened.judge(("10.0.255.255", 1)) is Verdict.DENIED
    assert opened.judge(("10.1.0.0", 1)) is Verdict.ALLOWED
    assert opened.judge(("10.1.255.255", 1)) is Verdict.ALLOWED
    assert opened.judge(("10.2.0.0", 1)) is Verdict.DENIED


def test_an_ipv6_range_is_compared_as_a_number() -> None:
    opened = policy(allow=("fd00:0:0:80::/57",))
    assert opened.judge(("fd00:0:0:ff:ffff::", 1)) is Verdict.ALLOWED
    assert opened.judge(("fd00:0:0:7f:ffff::", 1)) is Verdict.DENIED
    assert opened.judge(("fd00:0:0:100::", 1)) is Verdict.DENIED


def test_opening_loopback_does_not_open_its_other_spellings() -> None:
    opened = policy(allow=("127.0.0.0/8",))
    assert opened.judge(("127.0.0.1", 1)) is Verdict.ALLOWED
    for host in ("::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"):
        assert opened.judge((host, 1)) is Verdict.DENIED


def test_opening_the_wrapping_does_not_open_what_is_inside() -> None:
    opened = policy(allow=("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
    assert opened.judge(("64:ff9b:1::7f00:1", 1)) is Verdict.DENIED  # RFC 8215
    assert opened.judge(("64:ff9b:1::808:808", 1)) is Verdict.ALLOWED
    assert opened.judge(("::ffff:127.0.0.1", 1)) is Verdict.DENIED
    assert opened.judge(("64:ff9b::7f00:1", 1)) is Verdict.DENIED
    assert opened.judge(("64:ff9b::808:808", 1)) is Verdict.ALLOWED


@pytest.mark.parametrize("host", ["0.0.0.1", "0.255.0.0", "::", "2001::1", "2002:808:808::1"])
def test_some_ranges_cannot_be_opened(host: str) -> None:
    assert policy(allow=("0.0.0.0/0", "::/0")).judge((host, 1)) is Verdict.DENIED


def test_closing_is_stronger_than_opening() -> None:
    closed = policy(allow=("10.0.0.0/8",), deny=("10.0.0.0/24", "8.8.8.0/24"))
    assert closed.judge(("10.0.0.1", 1)) is Verdict.DENIED
    assert closed.judge(("10.0.1.1", 1)) is Verdict.ALLOWED
    assert closed.judge(("8.8.8.8", 1)) is Verdict.DENIED


def test_an_address_of_ours_leads_to_relays_only() -> None:
    assert policy().judge((OURS, 50_000)) is Verdict.RELAYED_ONLY
    assert policy().judge((OURS, 3478)) is Verdict.DENIED
    assert policy().judge(("::ffff:203.0.113.1", 50_000)) is Verdict.DENIED


def test_an_interfaces_public_address_leads_to_relays_only_until_it_is_gone() -> None:
    plain, opened = policy(), policy(allow=("8.8.8.0/24",))
    for each in (plain, opened):
        each.set_interfaces(["8.8.8.8", "2606:4700::1111", "127.0.0.1", "10.0.0.1", "fe80::1"])
    for host in ("8.8.8.8", "2606:4700::1111"):
        assert plain.judge((host, 50_000)) is Verdict.RELAYED_ONLY
        assert plain.judge((host, 3478)) is Verdict.DENIED
    for host in ("127.0.0.1", "10.0.0.1", "fe80::1", "64:ff9b::808:808"):
        assert plain.judge((host, 50_000)) is Verdict.DENIED  # as ever
    assert opened.judge(("8.8.8.8", 50_000)) is Verdict.ALLOWED
    assert opened.judge(("8.8.8.8", 3478)) is Verdict.DENIED
    plain.set_interfaces(["1.1.1.1"])
    assert plain.judge(("8.8.8.8", 50_000)) is Verdict.ALLOWED
    assert plain.judge(("1.1.1.1", 50_000)) is Verdict.RELAYED_ONLY


def test_a_port_learnt_later_is_closed_too() -> None:
    opened = policy(allow=("127.0.0.0/8",))
    opened.add_own_port(9641)
    assert opened.judge(("127.0.0.1", 9641)) is Verdict.DENIED
    assert opened.judge(("127.0.0.1", 9642)) is Verdict.ALLOWED


def test_our_listener_stays_closed_where_a_range_is_open() -> None:
    opened = policy(allow=("203.0.113.0/24", "127.0.0.0/8"))
    assert opened.judge((OURS, 50_000)) is Verdict.ALLOWED
    assert opened.judge((OURS, 3478)) is Verdict.DENIED
    assert opened.judge(("127.0.0.2", 3478)) is Verdict.DENIED


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "lan", "", "::/129"])
def test_a_malformed_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_networks((text,))
