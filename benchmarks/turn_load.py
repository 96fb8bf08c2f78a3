"""Load for a TURN server: coturn's client and peer, allocations in a row, forged requests.

Processor time is what the kernel counted for the server's process and its children
(``/proc/PID/task/*/schedstat``, in nanoseconds), so that what the client costs does not matter.
"""

# ruff: noqa: INP001, TID251 - a script, which runs against real sockets and clocks

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ringline.turn.attributes import LIFETIME, NONCE, REALM, REQUESTED_TRANSPORT, USERNAME
from ringline.turn.long_term import long_term_key
from ringline.turn.stun import Message, MessageClass, Method

__all__ = [
    "CLIENT_CORE",
    "HOST",
    "PASSWORD",
    "REALM_NAME",
    "USER",
    "Allocating",
    "Server",
    "forge_requests",
    "relay_messages",
    "running_peer",
]

HOST: Final = "127.0.0.1"
USER, PASSWORD, REALM_NAME = "alice", "s3cret", "ringline"
SERVER_CORE, CLIENT_CORE = "0", "1"
_ATTEMPTS: Final = 3  # of the client to begin, which it cannot when its answers are late
_PATIENCE: Final = 60.0  # seconds for a server to come up, or to answer


class Server:
    """A TURN server as a process on a core of its own.

    Args:
        name: What it is called in the table.
        command: How it is started.
        environment: What it finds there besides.

    """

    def __init__(
        self, name: str, command: list[str], port: int, environment: dict[str, str] | None = None
    ) -> None:
        self.name: Final = name
        self.port: Final = port
        self._command: Final = command
        self._environment: Final = os.environ | (environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - ours, or the one compared with
            ["taskset", "-c", SERVER_CORE, *self._command],  # noqa: S607
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )
        try:
            _wait_for_answer(self.port)
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process = self._started()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # a second one does not wait for the last call
            try:
                process.wait(2.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads and children."""
        total = 0
        for pid in _family(self._started().pid):
            for schedule in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(schedule.read_text().split()[0])
        return total / 1e9

    @property
    def memory(self) -> int:
        """Bytes resident."""
        total = 0
        for pid in _family(self._started().pid):
            status = Path(f"/proc/{pid}/status").read_text()
            found = re.search(r"VmRSS:\s+(\d+) kB", status)
            total += int(found[1]) * 1024 if found else 0
        return total

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process


def _family(pid: int) -> list[int]:
    pids = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            pids += _family(int(child))
    return pids


def _wait_for_answer(port: int) -> None:
    until = time.monotonic() + _PATIENCE
    binding = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect((HOST, port))
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                probe.send(binding)
                probe.recv(2000)
                return
            time.sleep(0.02)
    raise RuntimeError(f"no TURN server came up on {HOST}:{port}")


@contextlib.contextmanager
def running_peer(port: int) -> Iterator[None]:
    """Run coturn's echoing peer on the clients' core."""
    tool = shutil.which("turnutils_peer") or "turnutils_peer"
    process = subprocess.Popen(  # noqa: S603
        ["taskset", "-c", CLIENT_CORE, tool, "-L", HOST, "-p", str(port)],  # noqa: S607
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.3)
        yield
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class Relayed:
    """What came of messages sent through a server.

    Attributes:
        received: Messages that came back to the clients.
        lost: Share of the messages sent that did not.
        per_second: Received, while they were being sent.
        microseconds: Processor time of the server for each one received.

    """

    received: int
    lost: float
    per_second: float
    microseconds: float


def relay_messages(
    server: Server, *, mode: str, clients: int, messages: int, size: int, peer_port: int
) -> Relayed:
    """Send messages by coturn's client, a millisecond apart for each of its clients.

    Args:
        server: Whose clients they are.
        mode: ``peer``, to an outside peer that echoes, or ``pair``, to each other.
        clients: How many there are at once.
        messages: Of each client.
        size: Bytes of each.
        peer_port: Where the outside peer listens.

    Raises:
        RuntimeError: If the client could not work; its exit code does not tell.

    """
    tool = shutil.which("turnutils_uclient") or "turnutils_uclient"
    where = ["-e", HOST, "-r", str(peer_port)] if mode == "peer" else ["-y"]
    options = ["-c", "-z", "1", "-m", str(clients), "-n", str(messages), "-l", str(size)]
    login = ["-u", USER, "-w", PASSWORD, "-p", str(server.port), "-L", HOST, HOST]
    attempt = 0
    while True:
        attempt += 1
        before = server.cpu
        done = subprocess.run(  # noqa: S603
            ["taskset", "-c", CLIENT_CORE, tool, *where, *options, *login],  # noqa: S607
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        cpu = server.cpu - before
        words = done.stdout.decode(errors="replace")
        counts = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", words)
        if counts and "ERROR" not in words:
            break
        if attempt == _ATTEMPTS:
            raise RuntimeError(f"{tool} failed with {server.name}: {words[-500:]}")
    seconds = re.findall(r"Total transmit time is (\d+)", words)
    sent, received = max(int(s) for s, _ in counts), max(int(r) for _, r in counts)
    spent = float(seconds[-1]) if seconds and int(seconds[-1]) > 0 else messages / 1000
    return Relayed(
        received,
        (sent - received) / sent if sent else 1.0,
        received / spent,
        cpu / received * 1e6 if received else float("inf"),
    )


class Allocating:
    """Clients that allocate as quickly as a server answers, each on a socket of its own."""

    def __init__(self, server: Server) -> None:
        self._server: Final = server
        self._key: Final = long_term_key(USER, REALM_NAME, PASSWORD)
        self._open: Final[list[tuple[socket.socket, str]]] = []
        self._batches = 0

    def allocate(self, count: int) -> tuple[float, float]:
        """Make allocations; return how many a second came, and the server's time for each."""
        self._batches += 1  # of another host, as coturn remembers five-tuples for a while
        before, begun = self._server.cpu, time.perf_counter()
        for _ in range(count):
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.settimeout(_PATIENCE)
            opened.bind((f"127.0.0.{self._batches + 1}", 0))
            opened.connect((HOST, self._server.port))
            nonce = self._ask(opened, _request(Method.ALLOCATE)).get(NONCE) or ""
            answer = self._ask(opened, _request(Method.ALLOCATE), nonce)
            if answer.message_class is not MessageClass.SUCCESS:
                raise RuntimeError(f"{self._server.name} refuses to allocate: {answer}")
            self._open.append((opened, nonce))
        seconds = time.perf_counter() - begun
        return count / seconds, (self._server.cpu - before) / count * 1e6

    def release(self) -> None:
        """End them all."""
        for opened, nonce in self._open:
            self._ask(opened, _request(Method.REFRESH, lifetime=0), nonce)
            opened.close()
        self._open.clear()

    def _ask(self, opened: socket.socket, message: Message, nonce: str = "") -> Message:
        if nonce:
            message.add(USERNAME, USER).add(REALM, REALM_NAME).add(NONCE, nonce)
        opened.send(message.serialize(integrity_key=self._key if nonce else None))
        return Message.parse(opened.recv(2000))


def _request(method: Method, *, lifetime: int | None = None) -> Message:
    message = Message(method, MessageClass.REQUEST, os.urandom(12))
    if method is Method.ALLOCATE:
        message.add(REQUESTED_TRANSPORT, 17)
    return message if lifetime is None else message.add(LIFETIME, lifetime)


def forge_requests(server: Server, count: int, *, first: int = 0) -> None:
    """Ask for allocations from addresses that never listen for the answer, each another one.

    Loopback lets us have all of 127.0.0.0/8, which is what a forger would pretend to.
    """
    data = _request(Method.ALLOCATE).serialize()
    for number in range(first, first + count):
        host = f"127.{10 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind((host, 0))
            forger.sendto(data, (HOST, server.port))
        if number % 250 == 0:
            _wait_for_answer(server.port)  # so that none waits in a full buffer, uncounted
