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

    def add(self, by: socket.socket, to: socket.socket, *datagrams: bytes) -> None:
        for data in datagrams:
            self.burst.add(by, to.getsockname(), data)


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
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0, 1, 160, 1200, 1201, 9000, 40_000])),
        max_size=32,
    )
)
def test_datagrams_arrive_whole_and_in_order_at_each_address(
    datagrams: list[tuple[bool, int]],
) -> None:
    with ExitStack() as stack:
        rig = Rig(stack)
        sender = rig.open(socket.socket)
        for each in (rig.here, rig.there):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sent: dict[bool, list[bytes]] = {True: [], False: []}
        waiting = 0
        for number, (is_here, size) in enumerate(datagrams):
            waiting += size + 1000
            if waiting > 150_000:  # as much as a socket holds wherever this runs
                break
            data = bytes([number]) * size
            sent[is_here].append(data)
            rig.add(sender, rig.here if is_here else rig.there, data)
        assert came(rig.here) == came(rig.there) == []  # not before it is told
        rig.burst.flush()
        assert came(rig.here) == sent[True]
        assert came(rig.there) == sent[False]
        rig.burst.flush()
        assert came(rig.here) == came(rig.there) == []
        assert rig.failures == []


def test_where_the_system_cannot_all_go_one_by_one_and_soon_it_is_not_asked(rig: Rig) -> None:
    sender = rig.open(Refusing)
    assert isinstance(sender, Refusing)
    for number in range(20):
        rig.add(sender, rig.here, b"a%d" % number, b"b%d" % number)
        rig.burst.flush()
        assert came(rig.here) == [b"a%d" % number, b"b%d" % number]
    assert sender.asked <= 8
    assert rig.failures == []


def test_the_report_of_an_earlier_datagram_costs_none(rig: Rig) -> None:
    sender = rig.open(Refusing)
    assert isinstance(sender, Refusing)
    sender.together = errno.ECONNREFUSED
    for _ in range(20):
        rig.add(sender, rig.here, b"one", b"two")
        rig.burst.flush()
        assert came(rig.here) == [b"one", b"two"]
    assert rig.failures == []


def test_what_the_system_does_not_take_is_told_once_for_each_datagram(rig: Rig) -> None:
    sender = rig.open(Refusing)
    assert isinstance(sender, Refusing)
    sender.together = sender.alone = errno.EAGAIN
    rig.add(sender, rig.here, b"one", b"two")
    rig.add(sender, rig.there, b"three")
    rig.burst.flush()
    assert rig.failures == [errno.EAGAIN] * 3
    sender.alone = errno.ENETUNREACH
    rig.add(sender, rig.here, b"four")
    rig.burst.flush()
    assert rig.failures == [errno.EAGAIN] * 3 + [errno.ENETUNREACH]
    assert came(rig.here) == came(rig.there) == []
