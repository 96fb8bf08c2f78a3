"""Fleet: what the workers of one server share, which is little, and what they tell each other.

A worker is a process with a core of its own: its own clients, its own part of the relay ports.
The kernel gives each client to one worker by its five-tuple.  What has to be one server all the
same is here, in a piece of memory that all of them map:

* *whose relay is it*: a byte for each port.  A peer address that is a relay of another worker is
  handed over by a message, with the permissions of both sides checked as inside one worker.
* *how many relays has a user*: counts in buckets, one region for each worker, in which only that
  worker writes.  A quota is what all regions say together, looked at and changed under one lock.
* *which hosts are ours*: so that an address of ours is one at every worker.

And a key, so that a nonce of one worker is good at another.

Messages go by Unix sockets that only the workers hold, so that who can write one is trusted::

    DATA       from a relay of ours, to a relay of yours
    CLAIM      a client came to me with the token of a port that you reserved
    GRANT      there it is; its socket comes with the message and is yours
    REFUSE     no such reservation, or another user's
    RETURN     the port that you lent me is closed
    HELLO      I am new here: what my predecessor held is gone
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from ringline.turn.addresses import Address, pack_host, unpack_host
from ringline.turn.errors import ParseError

__all__ = ["MAX_WORKERS", "Fleet", "WorkerMessage", "WorkerMessageKind", "shared_size"]

MAX_WORKERS: Final = 64
"""More cores than a relay can use; the number has to fit a byte of a reservation's token."""

_PORTS: Final = 65_536
_HOSTS: Final = 64  # addresses of this machine
_HOST_SIZE: Final = 48  # its length, then its text
_BUCKETS: Final = 2048
_WAYS: Final = 8  # users of one bucket; with 5,000 users on a worker one in 10^3 buckets overflows
_RECORD: Final = 2  # words: the user's hash, the count
_REGION: Final = 8 * (1 + _BUCKETS * _WAYS * _RECORD)  # the total first
_HOSTS_AT: Final = _PORTS
_COUNTS_AT: Final = _HOSTS_AT + 8 + _HOSTS * _HOST_SIZE


def shared_size(count: int) -> int:
    """Return how many bytes the workers of one server share."""
    return _COUNTS_AT + count * _REGION


class Fleet:
    """One worker's view of what all of them share.

    Races are harmless: a port has one owner at a time, who alone writes its byte; a reader that is
    late sends a message that its receiver judges, and drops.

    Args:
        memory: :func:`shared_size` bytes, zero at first, the same for all workers.
        index: Which worker this is, from 0.
        count: How many there are.
        key: 32 random bytes, the same for all.
        lock: Entered while quotas are looked at and changed; excludes the other workers.

    Attributes:
        key: What nonces are made with.
        lock: See above.

    """

    def __init__(
        self,
        memory: memoryview,
        *,
        index: int,
        count: int,
        key: bytes,
        lock: AbstractContextManager[object],
    ) -> None:
        self.index: Final = index
        self.count: Final = count
        self.key: Final = key
        self.lock: Final = lock
        self._owners: Final = memory[:_PORTS]
        self._host_count: Final = memory[_HOSTS_AT : _HOSTS_AT + 8]
        self._host_table: Final = memory[_HOSTS_AT + 8 : _COUNTS_AT]
        counts = memory[_COUNTS_AT : shared_size(count)].cast("Q")
        words = _REGION // 8
        self._regions: Final = [counts[n * words : (n + 1) * words] for n in range(count)]
        self._hosts: Final[set[str]] = set()

    # Whose relay it is

    def owner_of(self, relayed: Address) -> int | None:
        """Return the *other* worker that has a live relay there, if one has."""
        host, port = relayed
        owner = self._owners[port]
        if owner == 0 or owner == self.index + 1 or host not in self.hosts():
            return None
        return owner - 1

    def publish(self, port: int) -> None:
        """A relay of ours lives on this port."""
        self._owners[port] = self.index + 1

    def withdraw(self, port: int) -> None:
        """It lives no more."""
        if self._owners[port] == self.index + 1:
            self._owners[port] = 0

    def home_of(self, port: int, first: int, last: int) -> int | None:
        """Return the *other* worker in whose part of the range a port is, if it is not in ours.

        Args:
            port: A relay port of some worker.
            first: The first port of our part; all parts are of one size.
            last: The last one.

        """
        index = self.index + (port - first) // (last + 1 - first)
        return None if index == self.index else index

    # Hosts

    def hosts(self) -> set[str]:
        """Return the addresses of this machine that relays are known on."""
        for number in range(len(self._hosts), self._host_count[0]):
            record = self._host_table[number * _HOST_SIZE : (number + 1) * _HOST_SIZE]
            self._hosts.add(bytes(record[1 : 1 + record[0]]).decode())
        return self._hosts

    def add_host(self, host: str) -> None:
        """Tell all workers of an address of this machine."""
        if host in self.hosts():
            return
        with self.lock:
            number = self._host_count[0]
            if host in self.hosts() or number >= _HOSTS:
                return
            text = host.encode()
            self._host_table[number * _HOST_SIZE] = len(text)
            start = number * _HOST_SIZE + 1
            self._host_table[start : start + len(text)] = text
            self._host_count[0] = number + 1  # now the others look at it

    # Quotas

    def held_elsewhere(self, user: str) -> int:
        """Return how many relays a user holds at the other workers."""
        hashed, at = self._bucket(user)
        held = 0
        for number, region in enumerate(self._regions):
            if number != self.index:
                bucket = region[at : at + _WAYS * _RECORD].tolist()
                held += sum(
                    count
                    for who, count in zip(bucket[::2], bucket[1::2], strict=True)
                    if who == hashed
                )
        return held

    def all_elsewhere(self) -> int:
        """Return how many relays all users hold at the other workers."""
        return sum(r[0] for number, r in enumerate(self._regions) if number != self.index)

    def note(self, user: str, held: int, total: int) -> None:
        """Tell the others what a user holds here, and all users.

        A user for whom there is no room in its bucket is not told of, and then has its quota at
        each worker: too many who share a bucket must not keep each other out.
        """
        region = self._regions[self.index]
        region[0] = total
        hashed, at = self._bucket(user)
        free = None
        for record in range(at, at + _WAYS * _RECORD, _RECORD):
            if region[record] == hashed:
                region[record + 1] = held
                return
            if free is None and region[record + 1] == 0:
                free = record
        if free is not None and held:
            region[free], region[free + 1] = hashed, held

    def forget(self, index: int) -> None:
        """Wipe out what a worker that is dead has written."""
        for port in range(_PORTS):
            if self._owners[port] == index + 1:
                self._owners[port] = 0
        self._regions[index].cast("B")[:] = bytes(_REGION)

    def _bucket(self, user: str) -> tuple[int, int]:
        """Return a user's hash, never 0, and where its bucket begins in a region."""
        digest = hashlib.blake2b(user.encode(), digest_size=8, key=self.key).digest()
        hashed = int.from_bytes(digest, "big") | 1
        return hashed, 1 + (hashed >> 1) % _BUCKETS * _WAYS * _RECORD


class WorkerMessageKind(IntEnum):
    """What one worker tells another."""

    DATA = 1
    CLAIM = 2
    GRANT = 3
    REFUSE = 4
    RETURN = 5
    HELLO = 6


_HEADER: Final = Struct("!BBHH")  # kind, sender, port of each address
_SIZES: Final = Struct("!BBBH")  # of the hosts, the token and the user's name


@dataclass(slots=True)
class WorkerMessage:
    """One of them; fields that its kind does not need are empty.

    Attributes:
        sender: Index of the worker that says it.
        source: DATA: the relayed address that it comes from.  GRANT: where the socket is bound.
        target: DATA: the relayed address that it is for.  RETURN: the port.
        token: Of the reservation that is spoken of.
        name: CLAIM: who claims.  GRANT: what it is counted under.
        data: DATA: the payload.

    """

    kind: WorkerMessageKind
    sender: int
    source: Address = ("", 0)
    target: Address = ("", 0)
    token: bytes = b""
    name: str = ""
    data: bytes = b""

    def serialize(self) -> bytes:
        """Return it as a datagram."""
        source, target = _pack(self.source[0]), _pack(self.target[0])
        name = self.name.encode()
        header = _HEADER.pack(self.kind, self.sender, self.source[1], self.target[1])
        sizes = _SIZES.pack(len(source), len(target), len(self.token), len(name))
        return b"".join((header, sizes, source, target, self.token, name, self.data))

    @classmethod
    def parse(cls, datagram: bytes) -> WorkerMessage:
        """Read one.

        Raises:
            ParseError: If it is none.

        """
        at = _HEADER.size + _SIZES.size
        if len(datagram) < at:
            raise ParseError(f"a worker's message of {len(datagram)} bytes")
        kind, sender, source_port, target_port = _HEADER.unpack_from(datagram)
        parts = []
        for size in _SIZES.unpack_from(datagram, _HEADER.size):
            parts.append(datagram[at : at + size])
            at += size
        if at > len(datagram):
            raise ParseError("a worker's message ends early")
        source, target, token, name = parts
        try:
            return cls(
                WorkerMessageKind(kind),
                sender,
                (_unpack(source), source_port),
                (_unpack(target), target_port),
                token,
                name.decode(),
                datagram[at:],
            )
        except ValueError as error:
            raise ParseError(f"a worker's message: {error}") from None


def _pack(host: str) -> bytes:
    return pack_host(host) if host else b""


def _unpack(packed: bytes) -> str:
    return unpack_host(packed) if packed else ""
