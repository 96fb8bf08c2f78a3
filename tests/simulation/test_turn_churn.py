"""A day of a TURN server in virtual time: people come and go, and nothing stays behind."""

from __future__ import annotations

import random

from ringline.turn import ClientSocket, CloseRelay, OpenRelay, SendToClient, TurnConfig, TurnServer
from ringline.turn.attributes import (
    CHANNEL_NUMBER,
    EVEN_PORT,
    LIFETIME,
    NONCE,
    REALM,
    REQUESTED_TRANSPORT,
    USERNAME,
    XOR_PEER_ADDRESS,
    Attribute,
)
from ringline.turn.credentials import mint
from ringline.turn.long_term import long_term_key
from ringline.turn.stun import Message, MessageClass, Method

DAY = 86_400.0
CALLERS = 1500
SECRET = "a fleet's"  # noqa: S105 - of a test
HOST = "203.0.113.1"


class Day:
    """A server and all who call it, each once: some hang up, some vanish, some end their call."""

    def __init__(self) -> None:
        self.rng = random.Random(11)
        self.now = 0.0
        config = TurnConfig(
            host=HOST, secrets=(SECRET,), allow_peers=("198.51.100.0/24",), user_bandwidth=1e6
        )
        self.realm = config.realm
        self.server = TurnServer(
            config,
            wall_clock=lambda: self.now,
            rng=self.rng,
            random_bytes=self.rng.randbytes,
            offload=True,
        )
        self.sockets: set[int] = set()  # what the edge has open
        self.most = 0
        self.ids = 0

    def drain(self) -> bytes | None:
        """Be the edge; return the last answer."""
        answer = None
        while (command := self.server.poll_command()) is not None:
            if isinstance(command, OpenRelay):
                assert command.relay_port not in self.sockets
                self.sockets.add(command.relay_port)
                self.server.handle_relay_opened(command.relay_port, HOST, self.now)
            elif isinstance(command, CloseRelay):
                self.sockets.discard(command.relay_port)
            elif isinstance(command, SendToClient):
                answer = command.data
        self.most = max(self.most, len(self.sockets))
        return answer

    def run_until(self, when: float) -> None:
        """Let time pass as the edge's one timer does."""
        while (due := self.server.poll_timeout()) is not None and due <= when:
            self.now = max(self.now, due)
            self.server.handle_timeout(self.now)
            self.drain()
        self.now = max(self.now, when)

    def ask(
        self, client: ClientSocket, method: Method, *values: tuple[Attribute[int], int]
    ) -> Message:
        self.ids += 1
        message = Message(method, MessageClass.REQUEST, self.ids.to_bytes(12, "big"))
        for attribute, value in values:
            message.add(attribute, value)
        return self.send(client, message, None)

    def send(self, client: ClientSocket, message: Message, key: bytes | None) -> Message:
        self.server.handle_client_datagram(message.serialize(integrity_key=key), client, self.now)
        answer = self.drain()
        assert answer is not None
        return Message.parse(answer)

    def call(self, number: int) -> None:
        """Make one call's allocation, with all that belongs to it, and leave in some way."""
        rng = self.rng
        client = ClientSocket(f"192.0.{number // 250 % 250}.{number % 250 + 1}", 1024 + number)
        user, call = f"user{rng.randrange(400)}", f"call{number}"
        credential = mint(SECRET, user=user, call=call, expires_at=self.now + 600)
        key = long_term_key(credential.username, self.realm, credential.password)
        nonce = self.ask(client, Method.ALLOCATE).get(NONCE) or ""

        def signed(method: Method, *values: tuple[Attribute[object], object]) -> Message:
            self.ids += 1
            message = Message(method, MessageClass.REQUEST, self.ids.to_bytes(12, "big"))
            for attribute, value in values:
                message.add(attribute, value)
            message.add(USERNAME, credential.username).add(REALM, self.realm).add(NONCE, nonce)
            return self.send(client, message, key)

        extra = ((EVEN_PORT, True),) if rng.random() < 0.2 else ()
        made = signed(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17), *extra)  # type: ignore[arg-type]
        assert made.message_class is MessageClass.SUCCESS
        for channel in range(rng.randrange(4)):
            peer = (f"198.51.100.{rng.randrange(250) + 1}", 5000 + channel)
            signed(
                Method.CHANNEL_BIND,
                (CHANNEL_NUMBER, 0x4000 + channel),  # type: ignore[arg-type]
                (XOR_PEER_ADDRESS, peer),  # type: ignore[arg-type]
            )
        for _ in range(rng.randrange(3)):
            signed(Method.REFRESH)
        match rng.randrange(3):
            case 0:
                signed(Method.REFRESH, (LIFETIME, 0))  # type: ignore[arg-type] # hangs up
            case 1:
                self.server.handle_call_ended(call, self.now)
                self.drain()
            case _:
                pass  # the battery is empty


def test_after_a_day_nothing_is_left() -> None:
    day = Day()
    for number in range(CALLERS):
        day.run_until(number * DAY / CALLERS)
        day.call(number)
    assert day.server.metrics.allocations_created == CALLERS
    assert day.most > 3  # several at a time
    day.run_until(2 * DAY + 3600)
    assert day.sockets == set()
    assert day.server.poll_timeout() is None  # no timer is left
    assert day.server.metrics.allocations == 0
    server = day.server
    allocations, allocator = server._allocations, server._allocator
    tables = (
        allocations.by_client,
        allocations.by_port,
        allocations.by_relayed,
        allocations._deadlines,
        allocations._deadlines._heap,
        allocator._ports,
        allocator._reservations,
        allocator._reservations._deadlines,
        allocator._openings_by_client,
        allocator._openings_by_port,
        allocator._by_call,
        allocator._quota._held,
        allocator._bandwidth._held,
        allocator._ended_calls._due,
        allocator._ended_calls._known,
    )
    assert [len(table) for table in tables] == [0] * len(tables)
    assert allocator._quota.held == 0
