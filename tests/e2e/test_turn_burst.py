"""What is sent together arrives as if it had been sent alone, whatever the system can do."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringline.turn.io_burst import Burst

HOST = "127.0.0.1"


class Refusing(socket.socket):
    """A socket that takes datagrams one by one, or fails with what it is told."""

    together = errno.EINVAL
    alone = 0
    asked = 0

    def sendmsg(self, *_: object) -> int:
        self.asked += 1
        raise OSError(self.together, os.strerror(self.together))

    def sendto(self, *arguments: object) -> int:
        if self.alone:
            raise OSError(self.alone, os.strerror(self.alone))
        return super().sendto(*arguments)  # type: ignore[call-overload, no-any-return]


class Rig:
    """Two receivers, and what a burst could not send."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.failures: list[int | None] = []
        self.burst = Burst(lambda error: self.failures.append(error.errno))
        self.here, self.there = self.open(socket.socket), self.open(socket.socket)

    def open(self, kind: type[socket.socket]) -> socket.socket:
        opened = self.stack.enter_context(kind(socket.AF_INET, socket.SOCK_DGRAM))
        opened.bind((HOST, 0))
        opened.setblocking(False)
        return opened

    def send(self, by: socket.socket, to: socket.socket, *datagrams: bytes) -> None:
        self.burst.send(by, to.getsockname(), datagrams)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack)


def came(where: socket.socket) -> list[bytes]:
    """Return what waits at a socket; on loopback what was sent is there."""
    result = []
    while True:
        try:
            result.append(where.recv(70_000))
        except BlockingIOError:
            return result


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 160, 1200, 1201, 9000, 40_000]), min_size=1, max_size=32)
    | st.builds(lambda size, count: [size] * count, st.integers(0, 3), st.integers(1, 140))
)
def test_datagrams_arrive_whole_and_in_order(sizes: list[int]) -> None:
    with ExitStack() as stack:
        rig = Rig(stack)
        sender = rig.open(socket.socket)
        rig.here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sent: list[bytes] = []
        waiting = 0
        for number, size in enumerate(sizes):
            waiting += size + 1000
            if waiting > 150_000:  # as much as a socket holds wherever this runs
                break
            sent.append(bytes([number]) * size)
        rig.send(sender, rig.here, *sent)
        assert came(rig.here) == sent
        assert rig.failures == []


def test_where_the_system_cannot_all_go_one_by_one_and_soon_it_is_not_asked(rig: Rig) -> None:
    sender = rig.open(Refusing)
    assert isinstance(sender, Refusing)
    for number in range(20):
        rig.send(sender, rig.here, b"a%d" % number, b"b%d" % number)
        assert came(rig.here) == [b"a%d" % number, b"b%d" % number]
    assert sender.asked <= 8
    assert rig.failures == []


def test_the_report_of_an_earlier_datagram_costs_none(rig: Rig) -> None:
    sender = rig.open(Refusing)
    assert isinstance(sender, Refusing)
    sender.together = errno.ECONNREFUSED
    for _ in range(20):
        rig.send(sender, rig.here, b"one", b"two")
        assert came(rig.here) == [b"one", b"two"]
    assert rig.failures == []


def test_what_the_system_does_not_take_is_told_once_for_each_datagram(rig: Rig) -> None:
    sender = rig.open(Refusing)
    assert isinstance(sender, Refusing)
    sender.together = sender.alone = errno.EAGAIN
    rig.send(sender, rig.here, b"one", b"two")
    rig.send(sender, rig.there, b"three")
    assert rig.failures == [errno.EAGAIN] * 3
    sender.alone = errno.ENETUNREACH
    rig.send(sender, rig.here, b"four")
    assert rig.failures == [errno.EAGAIN] * 3 + [errno.ENETUNREACH]
    assert came(rig.here) == came(rig.there) == []
