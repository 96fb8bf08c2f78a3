"""Socket: how every socket of the server is opened: bound, non-blocking, of one family alone."""

from __future__ import annotations

import socket
import sys
from typing import Final

from ringline.turn.addresses import AddressFamily, family_of
from ringline.turn.commands import SendToPeer

__all__ = ["CAN_SET_DONT_FRAGMENT", "open_tcp", "open_udp", "send_unfragmented"]

# Linux's numbers, which Python's socket module does not name.  Without IP_MTU_DISCOVER the kernel
# would set the DF bit on its own judgement; RFC 8656 §15 wants it only where the client does.
CAN_SET_DONT_FRAGMENT: Final = sys.platform.startswith("linux")
_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_DONT: Final = 0
_IP_PMTUDISC_DO: Final = 2
_IPV6_MTU_DISCOVER: Final = 23
_IPV6_PMTUDISC_WANT: Final = 1  # only the sender can fragment, so that it has to learn by how much


def open_udp(
    host: str, port: int, *, buffer: int | None = None, shared: bool = False
) -> socket.socket:
    """Return a UDP socket.

    Args:
        host: Address of this machine, or a wildcard.
        port: 0 takes a free one.
        buffer: Bytes that may wait in either direction, instead of the system's usual.
        shared: Whether others that say the same may have the port too.

    Raises:
        OSError: If the port is taken or the address is not ours.

    """
    opened = _make(host, socket.SOCK_DGRAM)
    try:
        if buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        if opened.family == socket.AF_INET and CAN_SET_DONT_FRAGMENT:
            opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        _bind(opened, host, port, shared=shared)
    except OSError:
        opened.close()
        raise
    return opened


def open_tcp(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a TCP socket, which may follow another of its address at once; else likewise."""
    opened = _make(host, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(opened, host, port, shared=shared)
    except OSError:
        opened.close()
        raise
    return opened


def send_unfragmented(relay: socket.socket, command: SendToPeer) -> None:
    """Send a datagram with the DF bit.

    Raises:
        OSError: If it is too long for the way, or cannot be sent for another reason.

    """
    level, option, usual = (
        (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IPV6_PMTUDISC_WANT)
        if ":" in command.peer[0]
        else (socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
    )
    relay.setsockopt(level, option, _IP_PMTUDISC_DO)
    try:
        relay.sendto(command.data, command.peer)
    finally:
        relay.setsockopt(level, option, usual)


def _make(host: str, kind: socket.SocketKind) -> socket.socket:
    is_ipv6 = family_of(host) is AddressFamily.IPV6
    return socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, kind)


def _bind(opened: socket.socket, host: str, port: int, *, shared: bool) -> None:
    opened.setblocking(False)
    if shared:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if opened.family == socket.AF_INET6:
        # IPv4 has a socket of its own, and no second spelling of its addresses.
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    opened.bind((host, port))
