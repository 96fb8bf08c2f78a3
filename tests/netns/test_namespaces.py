"""The namespaces do what their names say; calls rely on it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ringline.media.simulate.profile import NetworkProfile
from tests.netns.namespaces import (
    OTHER_SERVER_ADDRESS,
    SERVER_ADDRESS,
    Host,
    Internet,
    Nat,
    read_line,
)

pytestmark = pytest.mark.netns

PROBE = str(Path(__file__).with_name("udp_probe.py"))
SERVERS = [f"{SERVER_ADDRESS}:7000", f"{OTHER_SERVER_ADDRESS}:7000"]

BuildInternet = Callable[..., Internet]


def start_echo(internet: Internet, where: Host | None = None, *targets: str) -> None:
    server = internet.start_python(where, PROBE, "echo", *(targets or SERVERS))
    assert read_line(server) == "ready\n"


def ask(
    internet: Internet, host: Host, *targets: str, port: int = 6000, wait: float = 2.0
) -> dict[str, str]:
    command = [PROBE, "ask", str(port), str(wait), *(targets or SERVERS)]
    seen: dict[str, str] = json.loads(internet.run_python(host, *command))
    return seen


def test_without_nat_each_host_is_seen_as_it_is(build_internet: BuildInternet) -> None:
    internet = build_internet()
    start_echo(internet)
    for host in (internet.a, internet.b):
        assert ask(internet, host) == dict.fromkeys(SERVERS, f"{host.address}:6000")


def test_without_nat_the_hosts_reach_each_other(build_internet: BuildInternet) -> None:
    internet = build_internet()
    target = f"{internet.b.address}:7000"
    start_echo(internet, internet.b, target)
    assert ask(internet, internet.a, target) == {target: f"{internet.a.address}:6000"}


def test_a_cone_keeps_the_port_to_every_destination(build_internet: BuildInternet) -> None:
    internet = build_internet("cone", "cone")
    start_echo(internet)
    for host in (internet.a, internet.b):
        assert ask(internet, host) == dict.fromkeys(SERVERS, f"{host.public_address}:6000")


def test_a_symmetric_nat_has_another_port_for_every_destination(
    build_internet: BuildInternet,
) -> None:
    internet = build_internet("symmetric")
    start_echo(internet)
    seen = ask(internet, internet.a)
    addresses, ports = zip(*(answer.split(":") for answer in seen.values()), strict=True)
    assert set(addresses) == {internet.a.public_address}
    assert len(set(ports)) == 2
    assert "6000" not in ports


def test_nobody_gets_through_a_nat_unasked(build_internet: BuildInternet) -> None:
    internet = build_internet("cone", "none")
    public = f"{internet.a.public_address}:6000"
    private = f"{internet.a.address}:6000"
    start_echo(internet)
    start_echo(internet, internet.a, f"{internet.a.address}:6000")
    assert ask(internet, internet.b, public, private, wait=0.5) == {}


def test_an_unasked_packet_does_not_spoil_the_port(build_internet: BuildInternet) -> None:
    internet = build_internet("cone", "none")
    target = f"{internet.b.address}:7000"
    knock = f"{internet.a.public_address}:6000"
    assert ask(internet, internet.b, knock, port=7000, wait=0.3) == {}
    start_echo(internet, internet.b, target)
    assert ask(internet, internet.a, target) == {target: knock}


def punch_both(internet: Internet) -> list[list[str]]:
    """Let both hosts send to the other's public address, as far as they can know it."""
    hosts = (internet.a, internet.b)
    running = [
        internet.start_python(
            host, PROBE, "punch", "6000", "1.5", f"{other.public_address or other.address}:6000"
        )
        for host, other in zip(hosts, reversed(hosts), strict=True)
    ]
    return [json.loads(process.communicate(timeout=10)[0]) for process in running]


def test_holes_are_punched_through_two_cones(build_internet: BuildInternet) -> None:
    internet = build_internet("cone", "cone")
    assert punch_both(internet) == [
        [f"{internet.b.public_address}:6000"],
        [f"{internet.a.public_address}:6000"],
    ]


def test_no_hole_is_punched_through_two_symmetric_nats(build_internet: BuildInternet) -> None:
    assert punch_both(build_internet("symmetric", "symmetric")) == [[], []]


def test_a_blocked_host_reaches_the_server_alone(build_internet: BuildInternet) -> None:
    internet = build_internet("blocked", "none")
    start_echo(internet)
    start_echo(internet, internet.b, f"{internet.b.address}:7000")
    seen = ask(internet, internet.a, *SERVERS, f"{internet.b.address}:7000", wait=0.5)
    assert seen == {SERVERS[0]: f"{internet.a.address}:6000"}


@pytest.mark.parametrize("nat", ["none", "cone", "symmetric"])
def test_a_link_dies_for_a_while_and_returns(build_internet: BuildInternet, nat: Nat) -> None:
    internet = build_internet(nat)
    start_echo(internet)
    before = ask(internet, internet.a, SERVERS[0])
    internet.a.cut()
    assert ask(internet, internet.a, SERVERS[0], wait=0.4) == {}
    internet.a.restore()
    # the same socket to the same server, so even a symmetric NAT knows it again
    assert ask(internet, internet.a, SERVERS[0]) == before != {}


def test_a_host_changes_its_address(build_internet: BuildInternet) -> None:
    internet = build_internet("none", "cone")
    start_echo(internet)
    assert internet.a.change_address() == "10.77.1.3"
    assert ask(internet, internet.a, SERVERS[0]) == {SERVERS[0]: "10.77.1.3:6000"}
    assert internet.b.change_address() == "10.77.2.3"
    seen = ask(internet, internet.b, SERVERS[0])[SERVERS[0]]
    assert seen.split(":")[0] == internet.b.public_address


def test_a_bad_link_delays_and_changes(build_internet: BuildInternet) -> None:
    internet = build_internet(first_link=NetworkProfile.parse("delay=150|delay=150"))
    start_echo(internet)
    started = time.monotonic()
    assert ask(internet, internet.a, SERVERS[0]) != {}
    assert time.monotonic() - started >= 0.3
    internet.a.set_link(NetworkProfile.parse("loss=100"))
    # another socket: answers to the first may still be on their way
    assert ask(internet, internet.a, SERVERS[0], port=6001, wait=0.4) == {}
    internet.a.set_link(NetworkProfile.parse("delay=1"))
    assert ask(internet, internet.a, SERVERS[0]) == {SERVERS[0]: f"{internet.a.address}:6000"}
    internet.a.change_address()
    assert ask(internet, internet.a, SERVERS[0]) == {SERVERS[0]: f"{internet.a.address}:6000"}


def test_nothing_is_left_behind(build_internet: BuildInternet) -> None:
    internet = build_internet(first_link=NetworkProfile.parse("delay=1"))
    start_echo(internet)
    namespaces = [Path("/run/netns", host.namespace) for host in (internet.a, internet.b)]
    assert all(path.exists() for path in namespaces)
    internet.close()
    assert not any(path.exists() for path in namespaces)
    assert not Path("/run/netns", internet.namespace).exists()
