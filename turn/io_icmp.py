"""ICMP edge: what the network says of datagrams that left a relay, from Linux's error queues.

A relay's socket is asked to keep the ICMP messages about what it sent (IP_RECVERR, IPV6_RECVERR).
One epoll looks for errors of all relays and for nothing else, so that it works beside the loop's
own and the compiled data plane's.  Other systems have no such queue: there is nothing to read.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final

from ringline.turn.addresses import Address

__all__ = ["CAN_READ_ERRORS", "REPORTED", "ErrorQueues", "send_past_report"]

CAN_READ_ERRORS: Final = sys.platform.startswith("linux")

REPORTED: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPROTO,
        errno.EMSGSIZE,
        errno.EACCES,
        errno.EHOSTDOWN,
    }
)
"""What an ICMP message fails the socket's next call with, once and whomever that call is for."""


def send_past_report(send: Callable[..., object], *arguments: object) -> None:
    """Send; once more if what failed was the report of an earlier datagram.

    Raises:
        OSError: If the system does not take this one.

    """
    try:
        send(*arguments)
    except OSError as error:
        if error.errno not in REPORTED:
            raise
        send(*arguments)


# Linux's numbers, which Python's modules do not all name.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_BY_ICMP: Final = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6; others are of this machine
_EXTENDED_ERROR: Final = struct.Struct("=IBBBxII")  # errno, origin, type, code, info, data
_CONTROL: Final = 512  # bytes: an extended error and the address of who sent it
_MAX_EVENTS: Final = 32
_BATCH: Final = 32  # messages of one relay in one wake-up


class ErrorQueues:
    """Reads the error queues of relays.

    Args:
        on_icmp: Called with relay port, the peer that a datagram was for, ICMP type and code, and
            the MTU where the message has one.

    """

    def __init__(self, on_icmp: Callable[[int, Address, int, int, int], None]) -> None:
        self._on_icmp: Final = on_icmp
        self._relays: Final[dict[int, tuple[int, socket.socket]]] = {}  # port, by descriptor
        self._epoll: Final = select.epoll()

    def fileno(self) -> int:
        """Return the descriptor that is readable when :meth:`read` has something."""
        return self._epoll.fileno()

    def watch(self, port: int, relay: socket.socket) -> None:
        """Let a relay keep what is said of its datagrams."""
        if relay.family == socket.AF_INET6:
            relay.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            relay.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self._relays[relay.fileno()] = port, relay
        self._epoll.register(relay, 0)  # errors come unasked

    def forget(self, relay: socket.socket) -> None:
        """Watch a relay no more, before it is closed; harmless if it was not watched."""
        if self._relays.pop(relay.fileno(), None) is not None:
            self._epoll.unregister(relay)

    def read(self) -> None:
        """Take what has come, as far as one wake-up should."""
        for descriptor, _ in self._epoll.poll(0, _MAX_EVENTS):
            watched = self._relays.get(descriptor)
            if watched is None:
                continue
            port, relay = watched
            for _ in range(_BATCH):
                try:
                    _, control, _, peer = relay.recvmsg(1, _CONTROL, _MSG_ERRQUEUE)
                except OSError:
                    # Empty; a bare error that is left would wake us again and again.
                    relay.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    break
                for level, kind, data in control:
                    if (level, kind) not in _ERRORS or len(data) < _EXTENDED_ERROR.size:
                        continue
                    _, origin, icmp_type, code, info, _ = _EXTENDED_ERROR.unpack_from(data)
                    if origin in _BY_ICMP:
                        self._on_icmp(port, peer[:2], icmp_type, code, info)

    def close(self) -> None:
        """Watch nothing any more."""
        self._relays.clear()
        self._epoll.close()


_ERRORS: Final = frozenset({(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)})
