"""A TURN server in virtual time, and clients that speak to it in bytes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any, Literal

import pytest

from ringline.turn import ClientSocket, Command, OpenRelay, SendToClient, TurnConfig, TurnServer
from ringline.turn.addresses import AddressFamily, family_of
from ringline.turn.attributes import (
    ERROR_CODE,
    NONCE,
    REALM,
    REQUESTED_TRANSPORT,
    USERNAME,
    XOR_RELAYED_ADDRESS,
    Attribute,
)
from ringline.turn.fleet import Fleet
from ringline.turn.long_term import long_term_key
from ringline.turn.stun import Message, MessageClass, Method

RELAY_HOST = "203.0.113.1"  # documentation: special-purpose, so never a peer by itself
RELAY_HOST_6 = "2001:db8::1"  # likewise
RELAY_HOSTS = {AddressFamily.IPV4: RELAY_HOST, AddressFamily.IPV6: RELAY_HOST_6}
START = 1000.0
WALL_CLOCK = 1_700_000_000.0


class Bench:
    """The server, driven by hand: relays open at once unless ``open_relays`` is false."""

    def __init__(
        self, *, offload: bool = False, fleet: Fleet | None = None, **settings: Any
    ) -> None:
        defaults: dict[str, Any] = {"host": RELAY_HOST, "users": {"ann": "pa", "bob": "pb"}}
        self.config = TurnConfig(**(defaults | settings))
        self.now = START
        self.wall_clock = WALL_CLOCK
        self.open_relays = True
        self.server = TurnServer(
            self.config,
            wall_clock=lambda: self.wall_clock,
            rng=random.Random(7),
            random_bytes=random.Random(8).randbytes,
            offload=offload,
            fleet=fleet,
        )

    def drain(self) -> list[Command]:
        """Return the commands; relays are opened, and OpenRelay left out, unless told not to."""
        commands = []
        while (command := self.server.poll_command()) is not None:
            if self.open_relays and isinstance(command, OpenRelay):
                host = RELAY_HOSTS[command.family]
                self.server.handle_relay_opened(command.relay_port, host, self.now)
            else:
                commands.append(command)
        return commands

    def from_client(self, data: bytes, source: ClientSocket) -> list[Command]:
        self.server.handle_client_datagram(data, source, self.now)
        return self.drain()

    def from_peer(self, port: int, data: bytes, source: tuple[str, int]) -> list[Command]:
        self.server.handle_peer_datagram(port, data, source, self.now)
        return self.drain()

    def advance(self, seconds: float) -> list[Command]:
        self.now += seconds
        self.server.handle_timeout(self.now)
        return self.drain()

    def client(
        self,
        username: str = "ann",
        password: str = "pa",  # noqa: S107 - a test
        host: str = "198.51.100.7",
        port: int = 5000,
        transport: Literal["udp", "tcp", "tls"] = "udp",
    ) -> Client:
        return Client(self, ClientSocket(host, port, transport), username, password)


class Client:
    """Signs requests and reads answers, as a client of the long-term mechanism does."""

    _ids = itertools.count(1)

    def __init__(self, bench: Bench, socket: ClientSocket, username: str, password: str) -> None:
        self.bench = bench
        self.socket = socket
        self.username = username
        self.key = long_term_key(username, bench.config.realm, password)
        self.nonce: str | None = None
        self.port = 0

    def message(self, method: int, *values: tuple[Attribute[Any], object]) -> Message:
        message = Message(method, MessageClass.REQUEST, next(self._ids).to_bytes(12, "big"))
        for attribute, value in values:
            message.add(attribute, value)
        return message

    def sign(self, message: Message, *, fingerprint: bool = False) -> bytes:
        """Return the bytes of a request with the credentials added, getting a nonce if needed."""
        if self.nonce is None:
            (command,) = self.bench.from_client(
                self.message(Method.REFRESH).serialize(), self.socket
            )
            assert isinstance(command, SendToClient)
            self.nonce = Message.parse(command.data).get(NONCE)
        assert self.nonce is not None
        message.add(USERNAME, self.username).add(REALM, self.bench.config.realm)
        message.add(NONCE, self.nonce)
        return message.serialize(integrity_key=self.key, fingerprint=fingerprint)

    def send(self, data: bytes) -> list[Command]:
        return self.bench.from_client(data, self.socket)

    def request(self, method: int, *values: tuple[Attribute[Any], object]) -> list[Command]:
        """Send a signed request; return every command that it led to."""
        return self.send(self.sign(self.message(method, *values)))

    def answer(self, commands: list[Command]) -> Message:
        """Return the one answer that the commands are, which is for us."""
        (command,) = commands
        assert isinstance(command, SendToClient)
        assert command.client == self.socket
        return Message.parse(command.data)

    def ask(self, method: int, *values: tuple[Attribute[Any], object]) -> Message:
        """Send a signed request; return its signed answer, the only thing that came out."""
        answer = self.answer(self.request(method, *values))
        assert answer.method == method
        assert answer.verify_integrity(self.key)
        return answer

    def allocate(self, *values: tuple[Attribute[Any], object]) -> Message:
        """Allocate and note the relay's port."""
        answer = self.ask(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17), *values)
        assert answer.message_class is MessageClass.SUCCESS, answer
        relayed = answer.get_all(XOR_RELAYED_ADDRESS)
        external = self.bench.config.external_addresses
        for host, port in relayed:
            family = family_of(host)
            assert host == external.get(family, RELAY_HOSTS[family])
            self.port = port
        assert relayed
        return answer

    def allocate_tcp(self) -> None:
        """Allocate a relay over TCP (RFC 6062) and note its port."""
        answer = self.ask(Method.ALLOCATE, (REQUESTED_TRANSPORT, 6))
        relayed = answer.get(XOR_RELAYED_ADDRESS)
        assert relayed is not None
        self.port = relayed[1]


@pytest.fixture
def bench() -> Bench:
    """A server with the defaults."""
    return Bench()


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    """Servers with other settings."""
    return Bench


@pytest.fixture
def code_of() -> Callable[[Message], int]:
    """The error code of an answer, 0 for success."""

    def read(answer: Message) -> int:
        if answer.message_class is MessageClass.SUCCESS:
            return 0
        error = answer.get(ERROR_CODE)
        assert error is not None
        return error[0]

    return read
