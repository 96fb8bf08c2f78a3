"""Whole calls between hosts: through NATs, over links that die, without their server."""

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

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

PEER = str(Path(__file__).with_name("call_peer.py"))
SERVER = str(Path(__file__).with_name("signaling_server.py"))
URL = f"ws://{SERVER_ADDRESS}:8080"
PATIENCE = 30.0  # seconds, for what takes one or two on an idle machine

BuildInternet = Callable[..., Internet]
Line = dict[str, Any]


def start_server(internet: Internet) -> subprocess.Popen[str]:
    server = internet.start_python(None, SERVER, SERVER_ADDRESS)
    assert read_line(server, timeout=PATIENCE) == "ready\n"
    return server


def matcher(key: str, value: str) -> Callable[[Line], bool]:
    return lambda line: line.get(key) == value


class Peer:
    """A peer on a host, and all that it said."""

    def __init__(self, internet: Internet, host: Host, *names: str) -> None:
        self.name = names[0]
        self.process = internet.start_python(host, PEER, URL, *names)
        self.said: list[Line] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(
        self, condition: Callable[[Line], object], *, since: float = 0.0, within: float = PATIENCE
    ) -> Line:
        """Return the first line said after ``since`` that meets a condition."""
        end = time.monotonic() + within
        with self._changed:
            while True:
                for line in self.said:
                    if line["t"] > since and condition(line):
                        return line
                left = end - time.monotonic()
                assert left > 0, f"{self.name} said nothing of the kind: {self.said}"
                self._changed.wait(left)

    def wait_for_state(self, state: str, *, since: float = 0.0) -> float:
        return float(self.wait_for(matcher("state", state), since=since)["t"])

    def wait_for_media(self, *, since: float = 0.0) -> Line:
        """Wait for a second full of moving picture and sound; return what was told of it."""

        def is_full(line: Line) -> bool:
            second = line.get("second", {"seen": 0, "heard": 0, "loudest": 0})
            return bool(second["seen"] >= 10 and second["heard"] >= 25 and second["loudest"] > 300)

        second: Line = self.wait_for(is_full, since=since)["second"]
        return second

    def wait_for_return(self, *, since: float) -> float:
        """Wait until picture and sound have come back after a gap; return when both were there."""
        lines = [self.wait_for(matcher("back", kind), since=since) for kind in ("picture", "sound")]
        return max(float(line["t"]) for line in lines)

    def gaps(self, *, since: float = 0.0) -> dict[str, float]:
        """Return the longest gap of each kind that ended after ``since``, in seconds."""
        longest: dict[str, float] = {}
        for line in list(self.said):
            if "back" in line and line["t"] > since:
                longest[line["back"]] = max(longest.get(line["back"], 0.0), line["after"])
        return longest

    @property
    def states(self) -> list[str]:
        return [line["state"] for line in self.said if "state" in line]

    @property
    def calls(self) -> set[str]:
        return {line["call"] for line in self.said if "call" in line}

    def order(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ended(self, within: float = PATIENCE) -> str:
        """Wait until the call is over and the process has gone in good order."""
        reason = str(self.wait_for(lambda line: "ended" in line, within=within)["ended"])
        assert self.process.wait(timeout=PATIENCE) == 0
        return reason

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            with self._changed:
                self.said.append(json.loads(text))
                self._changed.notify_all()


def call(internet: Internet) -> tuple[Peer, Peer]:
    """Let ann on host a call bob on host b; return both when each sees and hears the other."""
    bob = Peer(internet, internet.b, "bob")
    bob.wait_for(lambda line: "ready" in line)
    ann = Peer(internet, internet.a, "ann", "bob")
    for peer in (ann, bob):
        peer.wait_for_media()
    return ann, bob


def hang_up(ann: Peer, bob: Peer) -> None:
    ann.order("hang up")
    assert ann.ended() == "hangup"
    assert bob.ended() == "hangup"
    assert ann.calls == bob.calls
    assert len(ann.calls) == 1


@pytest.mark.parametrize(
    ("nat", "kind"),
    [("none", "host"), ("cone", "srflx"), ("symmetric", "relay"), ("blocked", "relay")],
)
def test_people_behind_any_nat_see_and_hear_each_other(
    build_internet: BuildInternet, nat: Nat, kind: str
) -> None:
    # One end without UDP makes the call one over a relay already.
    internet = build_internet(nat, "none" if nat == "blocked" else nat)
    start_server(internet)
    peers = call(internet)
    for peer in peers:
        assert peer.wait_for_media(since=time.monotonic())["path"] == kind
        assert peer.states[-2:] == ["connecting", "connected"]
    hang_up(*peers)


def test_a_link_that_dies_for_four_seconds_leaves_the_call_alive(
    build_internet: BuildInternet,
) -> None:
    internet = build_internet()
    start_server(internet)
    peers = call(internet)
    internet.a.cut()
    cut_at = time.monotonic()
    for peer in peers:
        peer.wait_for_state("reconnecting", since=cut_at)
    time.sleep(max(0.0, cut_at + 4.0 - time.monotonic()))
    back_at = time.monotonic()
    internet.a.restore()
    for peer in peers:
        assert peer.wait_for_return(since=back_at) - back_at < 1.0, peer.name
        peer.wait_for_state("connected", since=back_at)
        peer.wait_for_media(since=back_at + 1.0)
        assert peer.states[-4:] == ["connecting", "connected", "reconnecting", "connected"]
    hang_up(*peers)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_changed_address_moves_the_call_to_another_path(
    build_internet: BuildInternet, who: str
) -> None:
    internet = build_internet()
    start_server(internet)
    peers = call(internet)
    changed_at = time.monotonic()
    (internet.a if who == "caller" else internet.b).change_address()
    for peer in peers:
        assert peer.wait_for_return(since=changed_at) - changed_at < 5.0, peer.name
        second = peer.wait_for_media(since=changed_at + 3.0)
        assert second["restarts"] >= 1
        assert second["path"] == "host"
        assert peer.states[-1] == "connected"
    hang_up(*peers)


def test_media_flows_on_while_the_server_is_gone_and_comes_back(
    build_internet: BuildInternet,
) -> None:
    internet = build_internet()
    server = start_server(internet)
    peers = call(internet)
    killed_at = time.monotonic()
    server.kill()
    server.wait()
    for peer in peers:
        peer.wait_for_media(since=killed_at + 1.0)
    started_at = time.monotonic()
    start_server(internet)
    for peer in peers:
        peer.wait_for_media(since=started_at + 1.0)
        assert all(gap < 1.0 for gap in peer.gaps(since=killed_at).values())  # a busy machine's
        assert peer.states[-2:] == ["connecting", "connected"]
    ann, bob = peers
    ann.order("hang up")
    assert ann.ended() == "hangup"
    assert bob.ended() == "hangup"  # told on the path: the new server knows of no call
