"""UDP sockets of a transport: read with the kernel's arrival times, sent through an emulated link.

Plainer than asyncio's datagram transports, and for a reason each: a socket is bound without
waiting for the loop, so candidates exist at once; what arrives is stamped by the kernel, so a
busy loop does not pass for delay of the network; nothing is buffered on the way out, so what
cannot be sent now is lost now, as on any network.

Invariant: no error of a socket is raised to the sender.  It is counted.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from ringline.client.transport import Address, EmulatedLink
from ringline.media.io_clock import LoopClock

__all__ = ["LinkDriver", "UdpReceiver", "UdpSocket"]

_BUFFER_SIZE: Final = 512 * 1024
"""Bytes; a key frame of 100 packets and more waits here while the loop is busy."""

_MAX_DATAGRAM: Final = 2048
"""Nothing that WebRTC sends is longer than an Ethernet frame."""

_READ_BATCH: Final = 32
"""Datagrams read in one turn of the loop, so that one socket cannot starve the others."""

_SO_TIMESTAMPNS: Final = 35 if sys.platform == "linux" else None
"""``SO_TIMESTAMPNS`` of asm-generic/socket.h, which Python does not name."""

_TRUNCATED: Final = int(socket.MSG_TRUNC)
"""As a number: with the enumeration that it is, each comparison makes a member of it."""

_TIMESPEC: Final = struct.Struct("@ll")


class UdpReceiver(Protocol):
    """Takes what a socket reads."""

    def datagram_arrived(self, data: bytes, source: Address, arrived_at: float) -> None:
        """Take a datagram; ``arrived_at`` is on the loop's clock."""


class LinkDriver:
    """Runs an emulated link on the event loop.

    Args:
        link: One direction, shared by every socket of the transport.

    """

    def __init__(self, link: EmulatedLink) -> None:
        self._link: Final = link
        self._clock: Final = LoopClock(asyncio.get_running_loop())
        self._timer: asyncio.TimerHandle | None = None

    def send(self, data: bytes, destination: tuple[UdpSocket, Address | None]) -> None:
        """Put a datagram on the link."""
        self._link.handle_datagram(data, self._clock.now(), destination)
        self._drain()

    def close(self) -> None:
        """Lose what is still on the way."""
        if self._timer is not None:
            self._timer.cancel()

    def _drain(self) -> None:
        now = self._clock.now()
        while (arrival := self._link.poll_datagram(now)) is not None:
            data, tag = arrival
            udp, address = cast("tuple[UdpSocket, Address | None]", tag)
            udp.send_now(data, address)
        if self._timer is not None:
            self._timer.cancel()
        when = self._link.poll_timeout()
        self._timer = None if when is None else self._clock.call_at(when, self._drain)


class UdpSocket:
    """One bound or connected UDP socket.

    Args:
        receiver: Takes what arrives.
        dropped: Counts what could not be sent or read, by reason.
        local: Address to bind to; port 0 is any.
        remote: Address to connect to, or :obj:`None`.
        link: Passes what is sent, or :obj:`None`.
        on_refused: Called when the other host reports that nobody listens (ICMP); a connected
            socket hears of that.

    Raises:
        OSError: If the address is not one of this machine, or not of any family.

    """

    def __init__(
        self,
        receiver: UdpReceiver,
        dropped: Counter[str],
        *,
        local: Address | None = None,
        remote: Address | None = None,
        link: LinkDriver | None = None,
        on_refused: Callable[[], None] | None = None,
    ) -> None:
        self._on_refused: Final = on_refused
        self._receiver: Final = receiver
        self._dropped: Final = dropped
        self._link: Final = link
        self._loop: Final = asyncio.get_running_loop()
        self._now: Final = LoopClock(self._loop).now
        self._closed = False
        host = (local or remote or ("", 0))[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket: Final = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_SIZE)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_SIZE)
            if _SO_TIMESTAMPNS is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            if local is not None:
                self._socket.bind(local)
            if remote is not None:
                self._socket.connect(remote)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._read)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        host, port = self._socket.getsockname()[:2]
        return (host, port)

    def send(self, data: bytes, address: Address | None = None) -> None:
        """Send a datagram, to ``address`` or where the socket is connected to."""
        if self._link is not None:
            self._link.send(data, (self, address))
        else:
            self.send_now(data, address)

    def sender(self, address: Address) -> Callable[[bytes], None]:
        """Return what sends to one address, past the choices that do not change."""
        return functools.partial(
            self.send_now if self._link is None else self.send, address=address
        )

    def send_now(self, data: bytes, address: Address | None) -> None:
        """Likewise, past the link."""
        if self._closed:
            self._dropped["socket closed"] += 1
            return
        try:
            if address is None:
                self._socket.send(data)
            else:
                self._socket.sendto(data, address)
        except BlockingIOError:
            self._dropped["socket full"] += 1
        except (OSError, OverflowError) as error:
            # The address or the interface is gone, an ICMP error came back, or no such port.
            self._failed(error)

    def close(self) -> None:
        """Stop reading and give the port back."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    # As asyncio's datagram transports are called, for the TURN client

    def sendto(self, data: bytes, address: Address | None = None) -> None:
        """Send a datagram."""
        self.send(data, address)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as there
        """Return ``sockname``."""
        return self.address if name == "sockname" else default

    def _read(self) -> None:
        for _ in range(_READ_BATCH):
            try:
                data, ancillary, flags, source = self._socket.recvmsg(_MAX_DATAGRAM, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._failed(error)  # an ICMP error of an earlier datagram
                return
            if flags & _TRUNCATED or not data:
                self._dropped["bad size"] += 1
                continue
            self._receiver.datagram_arrived(data, source[:2], self._arrived_at(ancillary))
            if self._closed:
                return

    def _failed(self, error: Exception) -> None:
        self._dropped["socket error"] += 1
        if isinstance(error, ConnectionRefusedError) and self._on_refused is not None:
            self._on_refused()

    def _arrived_at(self, ancillary: list[tuple[int, int, bytes]]) -> float:
        now = self._now()
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack_from(content)
                age: float = time.time() - seconds - nanoseconds * 1e-9
                if 0.0 < age < 1.0:  # else the wall clock was set meanwhile
                    return now - age
        return now
