"""The server against a small model: whatever clients do, exactly the right datagrams leave.

The model knows allocations, permissions and channels with their ends, and nothing of messages,
nonces or ports.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringline.turn import (
    ClientSocket,
    CloseRelay,
    Command,
    OpenRelay,
    SendToClient,
    SendToPeer,
    TurnConfig,
    TurnServer,
)
from ringline.turn.addresses import AddressFamily, family_of
from ringline.turn.attributes import (
    ADDITIONAL_ADDRESS_FAMILY,
    CHANNEL_NUMBER,
    DATA,
    ERROR_CODE,
    LIFETIME,
    NONCE,
    REALM,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    USERNAME,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
)
from ringline.turn.channel_data import serialize_channel_data
from ringline.turn.long_term import long_term_key
from ringline.turn.stun import Message, MessageClass, Method

IPV4, IPV6 = AddressFamily.IPV4, AddressFamily.IPV6
OURS = {IPV4: "203.0.113.1", IPV6: "2001:db8::1"}
PUBLIC = [("8.8.8.8", 1), ("8.8.8.8", 2), ("1.1.1.1", 1), ("2600::1", 1), ("2600::2", 1)]
DENIED = [("10.0.0.1", 1), ("64:ff9b::a00:1", 1)]
LIMIT = 2  # permissions and channels of one allocation

CLIENTS = st.integers(0, 2)
PEERS = st.integers(0, 12)  # public ones, denied ones, then the relays of the clients
NUMBERS = st.integers(0x4000, 0x4002)
FAMILIES = st.sampled_from([None, IPV4, IPV6])


@dataclass
class Model:
    """An allocation as the RFC describes it: relays with their ends, by family."""

    port: int
    ends: dict[AddressFamily, float]
    permissions: dict[str, float] = field(default_factory=dict)
    channels: dict[int, tuple[tuple[str, int], float]] = field(default_factory=dict)

    def permits(self, host: str, now: float) -> bool:
        return self.permissions.get(host, 0.0) > now

    def peer_of(self, number: int, now: float) -> tuple[str, int] | None:
        peer, ends = self.channels.get(number, (("", 0), 0.0))
        return peer if ends > now else None

    def number_of(self, peer: tuple[str, int], now: float) -> int | None:
        return next((n for n in self.channels if self.peer_of(n, now) == peer), None)

    def prune(self, now: float) -> None:
        self.permissions = {h: e for h, e in self.permissions.items() if e > now}
        self.channels = {n: b for n, b in self.channels.items() if b[1] > now}

    def end(self, family: AddressFamily) -> None:
        del self.ends[family]
        self.permissions = {h: e for h, e in self.permissions.items() if family_of(h) != family}
        self.channels = {n: b for n, b in self.channels.items() if family_of(b[0][0]) != family}


class ServerAgainstModel(RuleBasedStateMachine):
    """Three clients do what clients do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        config = TurnConfig(
            host=tuple(OURS.values()),
            users={"u": "p"},
            max_permissions=LIMIT,
            max_channels=LIMIT,
            nonce_lifetime=1e9,
            unauthenticated_reply_burst=10_000,
        )
        self.now = 0.0
        self.server = TurnServer(
            config,
            wall_clock=lambda: 0.0,
            rng=random.Random(1),
        )
        self.ids = itertools.count()
        self.key = long_term_key("u", config.realm, "p")
        self.sockets = [ClientSocket(f"198.51.100.{n}", 1000) for n in range(3)]
        self.models: list[Model | None] = [None, None, None]
        self.last_ports = [1, 2, 3]  # nobody's until there is an allocation
        self.nonces = []
        for socket in self.sockets:
            (answer,) = self.send(socket, self.message(Method.REFRESH).serialize())
            assert isinstance(answer, SendToClient)
            self.nonces.append(Message.parse(answer.data).get(NONCE) or "")

    def message(self, method: Method, *values: tuple[Attribute[int], int]) -> Message:
        message = Message(method, MessageClass.REQUEST, next(self.ids).to_bytes(12, "big"))
        for attribute, value in values:
            message.add(attribute, value)
        return message

    def send(self, socket: ClientSocket, data: bytes) -> list[Command]:
        self.server.handle_client_datagram(data, socket, self.now)
        return self.drain()

    def drain(self) -> list[Command]:
        commands: list[Command] = []
        while (command := self.server.poll_command()) is not None:
            if isinstance(command, OpenRelay):
                host = OURS[command.family]
                self.server.handle_relay_opened(command.relay_port, host, self.now)
            else:
                commands.append(command)
        return commands

    def ask(self, client: int, message: Message) -> tuple[int, Message, list[Command]]:
        """Return code (0 is success), answer, and what came besides."""
        message.add(USERNAME, "u").add(REALM, "ringline").add(NONCE, self.nonces[client])
        first, *rest = self.send(self.sockets[client], message.serialize(integrity_key=self.key))
        assert isinstance(first, SendToClient)
        assert first.client == self.sockets[client]
        answer = Message.parse(first.data)
        assert answer.verify_integrity(self.key)
        error = answer.get(ERROR_CODE)
        return (0 if error is None else error[0]), answer, rest

    def peer(self, index: int) -> tuple[str, int]:
        others = [*PUBLIC, *DENIED]
        if index < len(others):
            return others[index]
        family, client = divmod(index - len(others), 3)
        return list(OURS.values())[family], self.last_ports[client]

    @rule(client=CLIENTS, family=FAMILIES, dual=st.booleans())
    def allocate(self, client: int, family: AddressFamily | None, dual: bool) -> None:
        message = self.message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17))
        if dual:
            message.add(ADDITIONAL_ADDRESS_FAMILY, IPV6)
        if family is not None:
            message.add(REQUESTED_ADDRESS_FAMILY, family)
        code, answer, rest = self.ask(client, message)
        assert rest == []
        if self.models[client] is not None:
            assert code == 437
            return
        if dual and family is not None:
            assert code == 400
            return
        assert code == 0
        families = [IPV4, IPV6] if dual else [family or IPV4]
        relayed = answer.get_all(XOR_RELAYED_ADDRESS)
        assert [host for host, _ in relayed] == [OURS[each] for each in families]
        ((port,),) = [{port for _, port in relayed}]
        assert port not in [m.port for m in self.models if m]
        self.models[client] = Model(port, dict.fromkeys(families, self.now + 600))
        self.last_ports[client] = port

    @rule(client=CLIENTS, lifetime=st.sampled_from([0, 600, 900, 3600]), family=FAMILIES)
    def refresh(self, client: int, lifetime: int, family: AddressFamily | None) -> None:
        model = self.models[client]
        message = self.message(Method.REFRESH, (LIFETIME, lifetime))
        if family is not None:
            message.add(REQUESTED_ADDRESS_FAMILY, family)
        code, answer, rest = self.ask(client, message)
        if model is None:
            assert (code, rest) == (437, [])
            return
        families = [each for each in model.ends if family in (None, each)]
        if not families:
            assert (code, rest) == (443, [])
            return
        assert (code, answer.get(LIFETIME)) == (0, lifetime)
        if lifetime:
            model.ends |= dict.fromkeys(families, self.now + lifetime)
            assert rest == []
        else:
            assert rest == self.end(client, families)

    def end(self, client: int, families: list[AddressFamily]) -> list[CloseRelay]:
        """End relays of an allocation; return what is to be closed."""
        model = self.models[client]
        assert model is not None
        for family in families:
            model.end(family)
        if model.ends:
            return [CloseRelay(model.port, family) for family in families]
        self.models[client] = None
        return [CloseRelay(model.port)]

    @rule(client=CLIENTS, peer=PEERS)
    def permit(self, client: int, peer: int) -> None:
        model, address = self.models[client], self.peer(peer)
        message = self.message(Method.CREATE_PERMISSION).add(XOR_PEER_ADDRESS, address)
        code, _, rest = self.ask(client, message)
        assert rest == []
        if model is None:
            assert code == 437
        elif address in DENIED:
            assert code == 403
        elif family_of(address[0]) not in model.ends:
            assert code == 443
        elif not self.fits(model, address[0]):
            assert code == 508
        else:
            assert code == 0
            self.extend(model, address[0], 300)

    @rule(client=CLIENTS, peer=PEERS, number=NUMBERS)
    def bind(self, client: int, peer: int, number: int) -> None:
        model, address = self.models[client], self.peer(peer)
        message = self.message(Method.CHANNEL_BIND, (CHANNEL_NUMBER, number))
        code, _, rest = self.ask(client, message.add(XOR_PEER_ADDRESS, address))
        assert rest == []
        if model is None:
            assert code == 437
            return
        model.prune(self.now)
        bound, has = model.peer_of(number, self.now), model.number_of(address, self.now)
        if bound not in (None, address) or has not in (None, number):
            assert code == 400
        elif address in DENIED:
            assert code == 403
        elif family_of(address[0]) not in model.ends:
            assert code == 443
        elif address[0] in OURS.values() and not self.is_live(*address):
            assert code == 403
        elif not self.fits(model, address[0]) or (bound is None and len(model.channels) == LIMIT):
            assert code == 508
        else:
            assert code == 0
            model.channels[number] = (address, self.now + 600)
            self.extend(model, address[0], 600)

    def is_live(self, host: str, port: int) -> bool:
        return any(m and m.port == port and family_of(host) in m.ends for m in self.models)

    def fits(self, model: Model, host: str) -> bool:
        model.prune(self.now)
        return host in model.permissions or len(model.permissions) < LIMIT

    def extend(self, model: Model, host: str, lifetime: float) -> None:
        model.permissions[host] = max(model.permissions.get(host, 0.0), self.now + lifetime)

    @rule(client=CLIENTS, number=NUMBERS, data=st.binary(max_size=9))
    def channel_data(self, client: int, number: int, data: bytes) -> None:
        commands = self.send(self.sockets[client], serialize_channel_data(number, data))
        model = self.models[client]
        peer = None if model is None else model.peer_of(number, self.now)
        self.expect_sent(model, peer, data, commands)

    @rule(client=CLIENTS, peer=PEERS, data=st.binary(max_size=9))
    def indicate(self, client: int, peer: int, data: bytes) -> None:
        address = self.peer(peer)
        message = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
        message.add(XOR_PEER_ADDRESS, address).add(DATA, data)
        commands = self.send(self.sockets[client], message.serialize())
        model = self.models[client]
        allowed = model is not None and model.permits(address[0], self.now)
        self.expect_sent(model, address if allowed else None, data, commands)

    def expect_sent(
        self,
        model: Model | None,
        peer: tuple[str, int] | None,
        data: bytes,
        commands: list[Command],
    ) -> None:
        if model is None or peer is None:
            assert commands == []
        elif peer[0] not in OURS.values():
            assert commands == [SendToPeer(model.port, peer, data)]
        elif not self.is_live(*peer):
            assert commands == []
        else:
            ours = (OURS[family_of(peer[0])], model.port)
            self.expect_delivered(peer[1], ours, data, commands)

    @rule(client=CLIENTS, peer=PEERS, data=st.binary(max_size=9))
    def peer_data(self, client: int, peer: int, data: bytes) -> None:
        address, port = self.peer(peer), self.last_ports[client]
        self.server.handle_peer_datagram(port, data, address, self.now)
        commands = self.drain()
        if address[0] in OURS.values():
            assert commands == []  # our own relays do not come by the socket
        else:
            self.expect_delivered(port, address, data, commands)

    def expect_delivered(
        self, port: int, source: tuple[str, int], data: bytes, commands: list[Command]
    ) -> None:
        live = zip(self.sockets, self.models, strict=True)
        found = [(socket, model) for socket, model in live if model and model.port == port]
        if not found:
            assert commands == []
            return
        ((socket, model),) = found
        number = model.number_of(source, self.now)
        if number is not None:
            assert commands == [SendToClient(socket, serialize_channel_data(number, data))]
        elif model.permits(source[0], self.now):
            (command,) = commands
            assert isinstance(command, SendToClient)
            assert command.client == socket
            indication = Message.parse(command.data)
            assert indication.method == Method.DATA
            assert indication.get(XOR_PEER_ADDRESS) == source
            assert indication.get(DATA) == data
        else:
            assert commands == []

    @rule(seconds=st.sampled_from([1.0, 100.0, 299.0, 301.0, 599.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.server.handle_timeout(self.now)
        closed = []
        for client, model in enumerate(self.models):
            if model is not None:
                families = [f for f, ends in model.ends.items() if ends <= self.now]
                closed += self.end(client, families) if families else []
        found = self.drain()
        assert sorted(found, key=str) == sorted(closed, key=str)

    @precondition(lambda self: any(self.models))
    @invariant()
    def there_is_a_timeout_while_something_lives(self) -> None:
        due = self.server.poll_timeout()
        assert due is not None
        assert due <= min(ends for m in self.models if m for ends in m.ends.values())

    @invariant()
    def the_count_is_right(self) -> None:
        live = sum(m is not None for m in self.models)
        assert self.server.metrics.allocations == live
        assert len(self.server._allocator._ports) == live
        assert self.server._allocator._quota.held == live


TestServerAgainstModel = ServerAgainstModel.TestCase
TestServerAgainstModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
