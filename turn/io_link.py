"""Link: how the workers of one server talk, by Unix sockets that only they hold.

Each worker reads one socket; all others have its other end.  The pairs are made by the supervisor
and have no name in the file system, so nobody else can write to them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import socket
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from ringline.turn.fleet import Fleet, WorkerMessage, WorkerMessageKind

__all__ = ["FileLock", "Link", "WorkerPlace", "map_memory", "open_memory", "open_pair"]

_BUFFER: Final = 4 << 20
"""What each of the others should have room for under way to one worker: a burst of key frames.  The
kernel caps it (net.core.wmem_max), and how many messages wait (net.unix.max_dgram_qlen)."""

_MAX_KEPT: Final = 65_536  # messages for one worker: four for each port that there can be

_MESSAGE: Final = 70_000  # the largest datagram, and two addresses


class Link:
    """One worker's end.

    Args:
        index: Which worker this is.
        receiving: What it reads.
        sending: What leads to each worker; its own is not used.

    """

    def __init__(
        self, index: int, receiving: socket.socket, sending: Sequence[socket.socket]
    ) -> None:
        self._index: Final = index
        self._receiving: Final = receiving
        self._sending: Final = tuple(sending)
        self._kept: Final[list[deque[bytes]]] = [deque() for _ in sending]

    def fileno(self) -> int:
        """Return the descriptor that is readable when :meth:`receive` has something."""
        return self._receiving.fileno()

    def greet(self) -> None:
        """Tell the others that this worker is new, which sets free what its predecessor held."""
        hello = WorkerMessage(WorkerMessageKind.HELLO, self._index).serialize()
        for worker in range(len(self._sending)):
            if worker != self._index:
                self.send_surely(worker, hello)

    def send(self, worker: int, message: bytes, relay: socket.socket | None = None) -> None:
        """Send a message, and a socket with it.

        Raises:
            OSError: If the worker does not read, or the message is too long.

        """
        if relay is None:
            self._sending[worker].send(message)
        else:
            socket.send_fds(self._sending[worker], [message], [relay.fileno()])

    def send_surely(self, worker: int, message: bytes) -> None:
        """Send a message, or keep it in its order for :meth:`resend`.

        Raises:
            OSError: If very much is kept for that worker; then it does not live.

        """
        if len(self._kept[worker]) >= _MAX_KEPT:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        self._kept[worker].append(message)
        self.resend()

    def resend(self) -> None:
        """Send what is kept for workers that were full, as far as it goes."""
        for worker, kept in enumerate(self._kept):
            with contextlib.suppress(OSError):
                while kept:
                    self.send(worker, kept[0])
                    kept.popleft()

    @property
    def has_kept(self) -> bool:
        """Whether something is kept."""
        return any(self._kept)

    def receive(self) -> tuple[bytes, socket.socket | None] | None:
        """Return the next message, with the socket that came along; :obj:`None`: none is there."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._receiving, _MESSAGE, 1)
        except OSError:
            return None
        return message, socket.socket(fileno=descriptors[0]) if descriptors else None

    def close(self) -> None:
        """Close every end."""
        for each in (self._receiving, *self._sending):
            each.close()


@dataclass(slots=True)
class WorkerPlace:
    """What a worker has from its supervisor.

    Attributes:
        sockets: Bound ones, by ``udp``, ``tcp`` or ``tls`` and host.
        link: To the other workers.
        fleet: What they share.

    """

    sockets: dict[str, dict[str, socket.socket]]
    link: Link
    fleet: Fleet


class FileLock:
    """Excludes other processes, by a lock on a file that the kernel lets go of when one dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: Final = descriptor

    def __enter__(self) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def open_pair() -> tuple[socket.socket, socket.socket]:
    """Return the reading and the writing end of one worker's socket."""
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in (receiving, sending):
        end.setblocking(False)
    sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return receiving, sending


def open_memory(size: int) -> int:
    """Return the descriptor of a file without a name, of that many zero bytes."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ringline-turn")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def map_memory(descriptor: int) -> memoryview:
    """Return such a file's content, shared with all who map it."""
    return memoryview(mmap.mmap(descriptor, os.fstat(descriptor).st_size))
