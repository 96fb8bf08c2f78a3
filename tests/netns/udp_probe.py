"""UDP probe: what a NAT makes of a socket, seen from both sides.

``udp_probe.py echo ADDRESS:PORT...`` answers each datagram with the address that it came from.
``udp_probe.py ask PORT WAIT ADDRESS:PORT...`` asks each from one socket and prints one JSON
object: who answered, and what it saw.
``udp_probe.py punch PORT WAIT ADDRESS:PORT`` sends to one address again and again, and prints the
JSON list of the addresses that datagrams came from.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

_RETRY = 0.1


def split(text: str) -> tuple[str, int]:
    """Read ``ADDRESS:PORT``."""
    address, port = text.rsplit(":", 1)
    return address, int(port)


def bound(address: str, port: int) -> socket.socket:
    """Return a socket at a port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


def echo(targets: list[str]) -> None:
    """Answer for ever."""
    sockets = [bound(*split(target)) for target in targets]
    say("ready")
    while True:
        for sock in select.select(sockets, [], [])[0]:
            data, (address, port) = sock.recvfrom(2000)
            sock.sendto(data + f" {address}:{port}".encode(), (address, port))


def ask(port: int, wait: float, targets: list[str]) -> dict[str, str]:
    """Ask each target until it answers or the time is over."""
    seen: dict[str, str] = {}
    deadline = time.monotonic() + wait
    with bound("0.0.0.0", port) as sock:  # noqa: S104 - the address may change meanwhile
        while len(seen) < len(targets) and time.monotonic() < deadline:
            for target in targets:
                if target not in seen:
                    send(sock, target)
            until = min(deadline, time.monotonic() + _RETRY)
            while (left := until - time.monotonic()) > 0 and len(seen) < len(targets):
                if select.select([sock], [], [], left)[0]:
                    data, (address, from_port) = sock.recvfrom(2000)
                    seen[f"{address}:{from_port}"] = data.decode().split()[-1]
    return seen


def punch(port: int, wait: float, target: str) -> list[str]:
    """Send to one address for a while, listen to all."""
    seen: set[str] = set()
    deadline = time.monotonic() + wait
    with bound("0.0.0.0", port) as sock:  # noqa: S104 - likewise
        while time.monotonic() < deadline:
            send(sock, target)
            if select.select([sock], [], [], _RETRY)[0]:
                _, (address, from_port) = sock.recvfrom(2000)
                seen.add(f"{address}:{from_port}")
    return sorted(seen)


def send(sock: socket.socket, target: str) -> None:
    """Send; a network that refuses is a network that loses."""
    try:
        sock.sendto(b"who am I", split(target))
    except OSError as error:
        sys.stderr.write(f"{target}: {error}\n")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["echo", *targets]:
            echo(targets)
        case ["ask", port, wait, *targets]:
            say(json.dumps(ask(int(port), float(wait), targets)))
        case ["punch", port, wait, target]:
            say(json.dumps(punch(int(port), float(wait), target)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
