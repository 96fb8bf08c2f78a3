"""Namespaces: two hosts behind NATs around an internet, on this machine and as good as alone.

::

    host a ── NAT a ── internet ── NAT b ── host b
    10.77.1.2          10.77.0.1, .2        10.77.2.2

Each box is a Linux network namespace, the lines are veth pairs.  Where a test wants a bad link,
the line between host and NAT is two TUN devices instead, with ``bad_link.py`` between them: many
kernels have no netem.  Names carry the process id, so runs do not meet.

What a NAT drops it drops unseen.  An answer to an unsolicited packet, or a mere entry in the
connection table, would spoil the port that hole punching is about to use.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Self

from ringline.media.simulate.profile import NetworkProfile

__all__ = [
    "OTHER_SERVER_ADDRESS",
    "SERVER_ADDRESS",
    "Host",
    "Internet",
    "Nat",
    "read_line",
    "remove_leftovers",
    "why_impossible",
]

Nat = Literal["none", "cone", "symmetric", "blocked"]
"""What stands between a host and the internet.

* none: a router.
* cone: keeps a socket's port, whoever it talks to, so hole punching works (RFC 4787's
  endpoint-independent mapping, address- and port-dependent filtering).
* symmetric: another random port for every destination, so only a relay connects two of them.
* blocked: a firewall that passes no UDP but to and from ``SERVER_ADDRESS``.
"""

SERVER_ADDRESS: Final = "10.77.0.1"
OTHER_SERVER_ADDRESS: Final = "10.77.0.2"

_PREFIX: Final = "ringline"
_FOLDER: Final = Path(__file__).parent
_runs: Final = itertools.count(1)


def why_impossible() -> str | None:
    """Return why no namespaces can be made here, or None if they can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "iptables"):
        if shutil.which(program) is None:
            return f"there is no {program} (Debian: apt install iproute2 iptables)"
    name = f"{_PREFIX}-{os.getpid()}-0-try"
    tries = (
        ["ip", "netns", "add", name],
        ["ip", "netns", "exec", name, "iptables", "-w", "-t", "nat", "-S"],
        ["ip", "netns", "exec", name, "iptables", "-w", "-A", "INPUT", *_UNSOLICITED],
    )
    try:
        for command in tries:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return f"{' '.join(command)}: {done.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None


def remove_leftovers() -> None:
    """Remove the namespaces of runs that were killed before they could do it."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        name = line.split()[0]
        parts = name.split("-")
        if parts[0] == _PREFIX and len(parts) == 4 and not Path("/proc", parts[1]).exists():
            subprocess.run(["ip", "netns", "del", name], check=False)


class Host:
    """One of the two."""

    def __init__(self, run: str, index: int, nat: Nat, link: NetworkProfile | None) -> None:
        letter = "ab"[index]
        self.namespace: Final = f"{run}-host{letter}"
        self.nat_namespace: Final = f"{run}-nat{letter}"
        self.nat: Final = nat
        self.subnet: Final = f"10.77.{index + 1}"
        self.address = f"{self.subnet}.2"
        self.public_address: Final = f"10.77.1{index + 1}.2" if nat in _HIDING else None
        """What the internet sees; None where that is :attr:`address` itself."""
        self.bad_link: subprocess.Popen[str] | None = None
        self._link: Final = link
        self._wan: Final = f"10.77.1{index + 1}"
        self._letter: Final = letter

    def build(self, inet: str) -> None:
        """Make the two namespaces and join them to the internet's."""
        for namespace in (self.namespace, self.nat_namespace):
            _make_namespace(namespace)
        _forward(self.nat_namespace)
        if self._link is None:
            _ip(
                *("link", "add", "up0", "netns", self.namespace, "type", "veth"),
                *("peer", "name", "down0", "netns", self.nat_namespace),
            )
        else:
            self._start_bad_link(self._link)
        self._address("up0", f"{self.subnet}.2", f"{self.subnet}.1")
        _ip("-n", self.nat_namespace, "addr", "add", f"{self.subnet}.1/24", "dev", "down0")
        _ip("-n", self.nat_namespace, "link", "set", "down0", "up")

        outside = f"to{self._letter}"
        _ip(
            *("link", "add", "wan0", "netns", self.nat_namespace, "type", "veth"),
            *("peer", "name", outside, "netns", inet),
        )
        for namespace, device, number in (
            (self.nat_namespace, "wan0", 2),
            (inet, outside, 1),
        ):
            _ip("-n", namespace, "addr", "add", f"{self._wan}.{number}/24", "dev", device)
            _ip("-n", namespace, "link", "set", device, "up")
        _ip("-n", self.nat_namespace, "route", "add", "default", "via", f"{self._wan}.1")
        _ip("-n", inet, "route", "add", f"{self.subnet}.0/24", "via", f"{self._wan}.2")
        self._filter()

    def change_address(self) -> str:
        """Give the host another address in place of the one it has; return it."""
        last = int(self.address.rsplit(".", 1)[1])
        _ip("-n", self.namespace, "addr", "flush", "dev", "up0")
        self._address("up0", f"{self.subnet}.{last + 1}", f"{self.subnet}.1")
        return self.address

    def cut(self) -> None:
        """Let nothing through any more, silently, as where the radio loses its mast."""
        for chain in ("FORWARD", "INPUT"):
            _in(self.nat_namespace, "iptables", "-w", "-I", chain, "-j", "DROP")

    def restore(self) -> None:
        """Undo :meth:`cut`."""
        for chain in ("FORWARD", "INPUT"):
            _in(self.nat_namespace, "iptables", "-w", "-D", chain, "-j", "DROP")

    def set_link(self, link: NetworkProfile) -> None:
        """Change what a bad link does from now on.

        Raises:
            RuntimeError: If the host was built without one.

        """
        if self.bad_link is None or self.bad_link.stdin is None:
            raise RuntimeError("built with a plain line: give a link when building")
        self.bad_link.stdin.write(link.text + "\n")
        self.bad_link.stdin.flush()

    def _address(self, device: str, address: str, gateway: str) -> None:
        self.address = address
        _ip("-n", self.namespace, "addr", "add", f"{address}/24", "dev", device)
        _ip("-n", self.namespace, "link", "set", device, "up")
        # TUN devices know no neighbours, so the gateway's subnet is on the link by its address.
        _ip("-n", self.namespace, "route", "replace", "default", "via", gateway)

    def _filter(self) -> None:
        if self.nat in _HIDING:
            for chain in ("INPUT", "FORWARD"):
                _in(self.nat_namespace, "iptables", "-w", "-A", chain, *_UNSOLICITED)
            masquerade = ["POSTROUTING", "-o", "wan0", "-j", "MASQUERADE"]
            if self.nat == "symmetric":
                masquerade.append("--random-fully")
            _in(self.nat_namespace, "iptables", "-w", "-t", "nat", "-A", *masquerade)
        elif self.nat == "blocked":
            for direction in (["-i", "down0", "!", "-d"], ["-i", "wan0", "!", "-s"]):
                rule = ["FORWARD", "-p", "udp", *direction, SERVER_ADDRESS, "-j", "DROP"]
                _in(self.nat_namespace, "iptables", "-w", "-A", *rule)

    def _start_bad_link(self, link: NetworkProfile) -> None:
        ends = [self.namespace, "up0", self.nat_namespace, "down0"]
        self.bad_link = subprocess.Popen(
            [sys.executable, str(_FOLDER / "bad_link.py"), *ends, link.text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.bad_link.stdout is not None
        if self.bad_link.stdout.readline() != "ready\n":
            raise RuntimeError("the bad link did not start; its error is above")


class Internet:
    """All five boxes.  A context manager: it builds on entering and always tears down.

    Args:
        first: What host a is behind.
        second: What host b is behind.
        first_link: The line of host a, *up* from it; None for a plain one.
        second_link: The line of host b, likewise.

    """

    def __init__(
        self,
        first: Nat = "none",
        second: Nat = "none",
        *,
        first_link: NetworkProfile | None = None,
        second_link: NetworkProfile | None = None,
    ) -> None:
        run = f"{_PREFIX}-{os.getpid()}-{next(_runs)}"
        self.namespace: Final = f"{run}-inet"
        self.a: Final = Host(run, 0, first, first_link)
        self.b: Final = Host(run, 1, second, second_link)
        self._processes: Final[list[subprocess.Popen[str]]] = []

    def __enter__(self) -> Self:
        try:
            _make_namespace(self.namespace)
            _forward(self.namespace)
            for address in (SERVER_ADDRESS, OTHER_SERVER_ADDRESS):
                _ip("-n", self.namespace, "addr", "add", f"{address}/32", "dev", "lo")
            for host in (self.a, self.b):
                host.build(self.namespace)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process that was started here and remove the namespaces."""
        links = [host.bad_link for host in (self.a, self.b) if host.bad_link is not None]
        for process in [*self._processes, *links]:
            process.kill()
        for process in [*self._processes, *links]:
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._processes.clear()
        names = [self.namespace]
        for host in (self.a, self.b):
            names += [host.namespace, host.nat_namespace]
        for name in names:
            if Path("/run/netns", name).exists():
                subprocess.run(["ip", "netns", "del", name], check=True)

    def start_python(
        self, where: Host | None, *args: str, stderr: int | None = None
    ) -> subprocess.Popen[str]:
        """Start this Python in a box; its stdin and stdout are pipes, text, line by line.

        Args:
            where: A host, or None for the internet, where servers live.
            args: As on the command line: ``"-m", "ringline.client", "serve"``.
            stderr: As :class:`subprocess.Popen` takes it; by default the test's own.

        """
        namespace = self.namespace if where is None else where.namespace
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, "-u", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self._processes.append(process)
        return process

    def run_python(self, where: Host | None, *args: str, timeout: float = 30.0) -> str:
        """Run this Python in a box to its end; return what it printed.

        Raises:
            subprocess.CalledProcessError: If it failed; what it said is in the test's output.
            subprocess.TimeoutExpired: If it took longer.

        """
        process = self.start_python(where, *args)
        out, _ = process.communicate(timeout=timeout)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, args, out)
        return out


def read_line(process: subprocess.Popen[str], *, timeout: float = 10.0) -> str:
    """Return the next line that a process prints; empty if it ends or says nothing in time."""
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(
        target=lambda: lines.append(process.stdout.readline() if process.stdout else ""),
        daemon=True,
    )
    reader.start()
    reader.join(timeout)
    return lines[0] if lines else ""


_HIDING: Final[Sequence[Nat]] = ("cone", "symmetric")

_UNSOLICITED: Final = (
    *("-i", "wan0", "-m", "conntrack"),
    *("!", "--ctstate", "ESTABLISHED,RELATED", "-j", "DROP"),
)


def _make_namespace(name: str) -> None:
    _ip("netns", "add", name)
    # IPv4 alone: addresses that take seconds to be sure of themselves would disturb the tests.
    _write_setting(name, "net/ipv6/conf/all/disable_ipv6", "1")
    _write_setting(name, "net/ipv6/conf/default/disable_ipv6", "1")
    _ip("-n", name, "link", "set", "lo", "up")


def _forward(name: str) -> None:
    _write_setting(name, "net/ipv4/ip_forward", "1")


def _write_setting(namespace: str, setting: str, value: str) -> None:
    path = f"/proc/sys/{setting}"
    _in(namespace, "sh", "-c", f"[ ! -e {path} ] || echo {value} > {path}")


def _in(namespace: str, *command: str) -> None:
    _ip("netns", "exec", namespace, *command)


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(args)}: {done.stderr.strip()}")
