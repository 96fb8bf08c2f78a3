"""The transport takes the path that the NATs between the two allow, and finds another."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.netns.namespaces import SERVER_ADDRESS, Host, Internet, Nat, read_line

pytestmark = pytest.mark.netns

PROBE = str(Path(__file__).with_name("transport_probe.py"))
BuildInternet = Callable[..., Internet]


class Peer:
    """A probe on a host, joined to the other one."""

    def __init__(self, internet: Internet, host: Host, role: str, *urls: str) -> None:
        urls = urls or (f"turn:{SERVER_ADDRESS}:3478",)
        self.process = internet.start_python(host, PROBE, role, *urls)
        self.said: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def join(self, other: Peer) -> None:
        """Carry what this one says to the other."""
        threading.Thread(target=self._carry, args=(other,), daemon=True).start()

    def tell(self, **line: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def wait_for(self, since: int = 0, within: float = 10.0, **line: Any) -> int:
        """Wait until a line was said after the first ``since``; return how many there are."""
        end = time.monotonic() + within
        with self._changed:
            while line not in self.said[since:]:
                assert self._changed.wait(end - time.monotonic()), (line, self.said)
            return len(self.said)

    def _carry(self, other: Peer) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line = json.loads(text)
            with self._changed:
                self.said.append(line)
                self._changed.notify_all()
            if "candidate" in line or "description" in line:
                try:
                    other.tell(**line)
                except BrokenPipeError:
                    return


def call(internet: Internet) -> tuple[Peer, Peer]:
    server = internet.start_python(None, PROBE, "server", SERVER_ADDRESS)
    assert json.loads(read_line(server)) == {"state": "ready"}
    answerer = Peer(internet, internet.b, "answer")
    offerer = Peer(internet, internet.a, "offer")
    answerer.join(offerer)
    offerer.join(answerer)
    return offerer, answerer


def hang_up(*peers: Peer) -> None:
    for peer in peers:
        assert peer.process.stdin is not None
        peer.process.stdin.close()
    for peer in peers:
        try:
            assert peer.process.wait(timeout=5.0) == 0
        except subprocess.TimeoutExpired:
            peer.process.kill()
            raise


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("none", "none", "host"),
        ("cone", "none", "srflx"),
        ("none", "cone", "srflx"),
        ("cone", "cone", "srflx"),
        ("cone", "symmetric", "relay"),
        ("symmetric", "symmetric", "relay"),
        ("blocked", "none", "relay"),
    ],
)
def test_the_nats_decide_the_path(
    build_internet: BuildInternet, first: Nat, second: Nat, kind: str
) -> None:
    peers = call(build_internet(first, second))
    for peer in peers:
        peer.wait_for(state="connected")
        peer.wait_for(path=kind)
        peer.wait_for(media=True)
    time.sleep(0.7)  # does it stay there?
    for peer in peers:
        assert [line["path"] for line in peer.said if "path" in line][-1] == kind
    hang_up(*peers)


@pytest.mark.parametrize("nat", ["none", "cone"])
def test_a_link_that_returns_within_the_wait_goes_on_at_once(
    build_internet: BuildInternet, nat: Nat
) -> None:
    internet = build_internet(nat)
    peers = call(internet)
    for peer in peers:
        peer.wait_for(media=True)
    before = [len(peer.said) for peer in peers]
    internet.a.cut()
    for peer, since in zip(peers, before, strict=True):
        peer.wait_for(since, state="disconnected")
    time.sleep(1.0)
    internet.a.restore()
    began = time.monotonic()
    for peer, since in zip(peers, before, strict=True):
        peer.wait_for(since, state="connected")
        peer.wait_for(since, media=True)
    assert time.monotonic() - began < 0.7
    hang_up(*peers)


def test_a_changed_address_is_noticed_and_a_restart_moves_the_media(
    build_internet: BuildInternet,
) -> None:
    internet = build_internet("none", "cone")
    offerer, answerer = call(internet)
    for peer in (offerer, answerer):
        peer.wait_for(media=True)
    since = len(answerer.said)
    internet.a.change_address()
    mine = offerer.wait_for(state="network changed")
    began = time.monotonic()
    offerer.tell(restart=True)
    offerer.wait_for(mine, media=True)
    answerer.wait_for(since, media=True)
    assert time.monotonic() - began < 1.0
    hang_up(offerer, answerer)
