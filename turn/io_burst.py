"""Burst: datagrams of one wake-up that go to one address, sent together.

A call into the system for each datagram is half of what relaying one costs in Python.  Linux takes
several at once if they go to one address and all are as long as the first, the last one or shorter
(UDP_SEGMENT); elsewhere, and where an interface cannot, they are sent one by one.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ringline.turn.addresses import Address
from ringline.turn.io_icmp import REPORTED, send_past_report

__all__ = ["Burst"]

# Linux's numbers, which Python's socket module does not name.
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_CAN_SEGMENT: Final = sys.platform.startswith("linux")
_SEGMENT_SIZE: Final = struct.Struct("=H")
_MAX_SEGMENTS: Final = 64  # of one send: the kernel's UDP_MAX_SEGMENTS
_MAX_BYTES: Final = 65_000  # of one send
_MAX_REFUSALS: Final = 8  # sends in segments that fail in a row before they are given up


class Burst:
    """Sends datagrams, in their order.

    Args:
        on_failure: Called for each datagram that the system does not take, with its reason.

    """

    def __init__(self, on_failure: Callable[[OSError], None]) -> None:
        self._on_failure: Final = on_failure
        self._refusals = 0 if _CAN_SEGMENT else _MAX_REFUSALS

    def send(self, by: socket.socket, to: Address, datagrams: Sequence[bytes]) -> None:
        """Send one or more datagrams to an address; what the system does not take now is gone."""
        if len(datagrams) == 1:
            self._send(by, to, datagrams[0])
            return
        for run in _runs(datagrams):
            if len(run) == 1 or not self._send_segments(by, to, run):
                for data in run:
                    self._send(by, to, data)

    def _send(self, by: socket.socket, to: Address, data: bytes) -> None:
        try:
            send_past_report(by.sendto, data, to)
        except OSError as error:
            self._on_failure(error)

    def _send_segments(self, by: socket.socket, to: Address, run: Sequence[bytes]) -> bool:
        """Send a run by one call; tell whether that is done, or it has to go one by one."""
        if self._refusals >= _MAX_REFUSALS:
            return False
        control = [(_SOL_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(len(run[0])))]
        try:
            by.sendmsg(run, control, 0, to)
        except BlockingIOError as error:
            for _ in run:
                self._on_failure(error)
        except OSError as error:
            if error.errno not in REPORTED:
                self._refusals += 1
            return False
        else:
            self._refusals = 0
        return True


def _runs(datagrams: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut datagrams into what one send can take."""
    size, *others = set(map(len, datagrams))
    if not others and len(datagrams) <= _MAX_SEGMENTS and 0 < len(datagrams) * size <= _MAX_BYTES:
        yield datagrams  # as is usual; what follows would find out more slowly
        return
    first = 0
    while first < len(datagrams):
        size = total = len(datagrams[first])
        end = first + 1
        while size and end < len(datagrams) and end - first < _MAX_SEGMENTS:
            following = len(datagrams[end])
            if not 0 < following <= size or total + following > _MAX_BYTES:
                break
            total += following
            end += 1
            if following < size:
                break
        yield datagrams[first:end]
        first = end
