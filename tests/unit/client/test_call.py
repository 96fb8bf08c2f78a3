"""Two calls in one process, their messages carried by the server's hub without its sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
import pytest

import ringline.client.call
from ringline.client.call import Call, CallConfig
from ringline.client.call_media import CallMedia
from ringline.client.call_state import CallState
from ringline.client.errors import CallFailedError, NoAnswerError
from ringline.client.events import PictureChanged, RemoteMuted
from ringline.client.transport import NetworkChanged, TransportConfig
from ringline.media import SyntheticVoice
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.send.events import CpuLimitChanged, SentPictureState
from ringline.media.send.picture_state import PictureState
from ringline.signaling import messages as wire
from ringline.signaling.authenticate import authenticate_by_name
from ringline.signaling.call import MintedServers
from ringline.signaling.codes import ErrorCode
from ringline.signaling.config import ServerConfig
from ringline.signaling.connection import Transmit
from ringline.signaling.hub import Hub
from ringline.signaling.wire import WireFormat

EARLY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
LATE = "01BRZ3NDEKTSV4RRFFQ69G5FAV"
PATIENCE = 10.0
WIRE: Final = WireFormat()
CONFIG = CallConfig(
    transport=TransportConfig(addresses=("127.0.0.1",), include_loopback=True, watch_interval=None)
)


class Person:
    """A client as small as it can be: it keeps one call and answers nothing by itself."""

    def __init__(self, switch: Switch, name: str) -> None:
        self.name = name
        self.call: Call | None = None
        self.incoming: asyncio.Future[wire.CallIncoming] = asyncio.Future()
        self.got: list[wire.ServerMessage] = []
        self.sent: list[wire.Message] = []
        self._switch = switch
        number = switch.hub.handle_open("localhost", switch.now())
        assert number is not None
        self.number = number
        self.send(wire.Hello(device=name, name=name))

    def send(self, message: wire.Message) -> None:
        self.sent.append(message)
        self._switch.carry(self, message)

    def take(self, message: wire.ServerMessage) -> None:
        self.got.append(message)
        if isinstance(message, wire.CallIncoming):
            self.incoming.set_result(message)
            if self.call is not None and message.call < self.call.id:
                self.call.cross(message)
        elif self.call is not None and getattr(message, "call", None) == self.call.id:
            self.call.handle_message(message)

    def make_call(self, call_id: str, peer: str, *, outgoing: bool) -> Call:
        self.call = Call(
            call_id=call_id,
            peer=peer,
            outgoing=outgoing,
            video=False,
            send=self.send,
            on_ended=lambda _: None,
            on_network_changed=lambda: None,
            config=CONFIG,
            codecs=CodecRegistry(),
        )
        self.call.set_sources(SyntheticVoice(), None)
        return self.call

    async def rings(self) -> Call:
        incoming = await asyncio.wait_for(self.incoming, PATIENCE)
        call = self.make_call(incoming.call, incoming.sender, outgoing=False)
        call.prepare(incoming)
        return call


class Switch:
    """The server, and what is between it and the two."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.people: list[Person] = []
        self.gone = False
        self.offer_apart = False  # carry the offers of invites by themselves, as the page does
        self.hub = Hub(
            ServerConfig(dev=True),
            authenticate=authenticate_by_name,
            mint_ice_servers=lambda *_: MintedServers(),
        )

    def now(self) -> float:
        return self._loop.time()

    def enter(self, name: str) -> Person:
        person = Person(self, name)
        self.people.append(person)
        return person

    def carry(self, person: Person, message: wire.Message) -> None:
        if isinstance(message, wire.CallInvite) and self.offer_apart and message.offer is not None:
            self.carry(person, msgspec.structs.replace(message, offer=None))
            message = wire.SdpOffer(call=message.call, sdp=message.offer.sdp)
        if not self.gone:
            self._loop.call_soon(self._carry_now, person, WIRE.encode(message))

    def _carry_now(self, person: Person, data: bytes) -> None:
        self.hub.handle_text(person.number, data, self.now())
        while (out := self.hub.poll_transmit()) is not None:
            assert isinstance(out, Transmit), "the server put somebody out"
            for other in self.people:
                if other.number == out.connection:
                    other.take(WIRE.parse_server_message(out.data))


@pytest.fixture
async def switch() -> AsyncIterator[Switch]:
    switch = Switch()
    yield switch
    for person in switch.people:
        if person.call is not None:
            await person.call.hang_up()
    await asyncio.sleep(0)  # closed transports let go of their sockets in the next step


async def ring(switch: Switch) -> tuple[Call, Call]:
    ann, bob = switch.enter("ann"), switch.enter("bob")
    call = ann.make_call(EARLY, "bob", outgoing=True)
    call.invite()
    return call, await bob.rings()


async def both_connected(*calls: Call) -> None:
    await asyncio.wait_for(asyncio.gather(*(call.connected() for call in calls)), PATIENCE)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - no event tells of everything
            await asyncio.sleep(0.001)


async def until_restarted(*calls: Call) -> None:
    """Wait until the newest generation of each call carries it."""
    await until(
        lambda: all(c._transport._generations[-1].selected is not None for c in calls),
    )


async def test_a_call_rings_is_accepted_and_connects(switch: Switch) -> None:
    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    assert call.state is answered.state is CallState.CONNECTED


async def test_a_network_that_changes_while_it_rings_does_not_stop_the_call(switch: Switch) -> None:
    call, answered = await ring(switch)
    call._handle_transport(NetworkChanged())
    answered._handle_transport(NetworkChanged())
    await asyncio.sleep(0)
    assert not any(isinstance(m, wire.CallRestart) for p in switch.people for m in p.sent)
    await until(lambda: answered._generation == 1)  # the new offer comes while it still rings
    answered.accept()
    await both_connected(call, answered)


async def test_an_accept_that_crosses_a_new_offer_connects_all_the_same(switch: Switch) -> None:
    call, answered = await ring(switch)
    answered.accept()
    call._handle_transport(NetworkChanged())
    await both_connected(call, answered)
    assert call._generation == answered._generation == 1


async def test_both_sides_asking_for_a_restart_get_one(switch: Switch) -> None:
    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    ann, bob = switch.people
    call._handle_transport(NetworkChanged())
    bob.send(wire.CallRestart(call=call.id, gen=1))  # said before the offer of gen 1 came
    await until_restarted(call, answered)
    assert (call.stats().restarts, answered.stats().restarts) == (1, 1)
    bob.send(wire.CallRestart(call=call.id, gen=2))
    await until(lambda: call.stats().restarts == answered.stats().restarts == 2)
    await until_restarted(call, answered)
    assert [m.gen for m in ann.sent if isinstance(m, wire.SdpOffer)] == [1, 2]
    assert call.state is answered.state is CallState.CONNECTED


async def test_a_generation_that_was_never_offered_leaves_no_gap(switch: Switch) -> None:
    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    _, bob = switch.people
    switch.gone = True  # what is said now is lost
    call._handle_transport(NetworkChanged())
    switch.gone = False
    call._handle_transport(NetworkChanged())
    await until_restarted(call, answered)
    await until(lambda: any(isinstance(m, wire.IceCandidates) and m.gen for m in bob.sent))
    assert {m.gen for m in bob.sent if isinstance(m, wire.IceCandidates)} <= {0, 2}


async def test_of_two_crossing_calls_one_connects_also_if_its_offer_comes_later(
    switch: Switch,
) -> None:
    switch.offer_apart = True
    ann, bob = switch.enter("ann"), switch.enter("bob")
    loser = ann.make_call(LATE, "bob", outgoing=True)
    winner = bob.make_call(EARLY, "ann", outgoing=True)
    loser.invite()
    winner.invite()
    await both_connected(loser, winner)
    assert ann.incoming.result().offer is None
    assert loser.id == winner.id == EARLY
    assert (loser.outgoing, winner.outgoing) == (False, True)


async def test_4_ringing_ends_by_itself_when_the_server_says_nothing_any_more(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ringline.client.call, "_RING_GRACE", -59.9)  # of the 60 s it may ring
    call, answered = await ring(switch)
    switch.gone = True
    assert await asyncio.wait_for(call.wait_ended(), PATIENCE) == "no_answer"
    assert await asyncio.wait_for(answered.wait_ended(), PATIENCE) == "no_answer"
    with pytest.raises(NoAnswerError):
        await call.connected()
    ann, bob = switch.people
    assert isinstance(ann.sent[-1], wire.CallCancel)
    assert not any(isinstance(m, wire.CallEnd | wire.CallDecline) for m in bob.sent)


async def test_4_the_end_of_signaling_ends_what_only_rings(switch: Switch) -> None:
    call, answered = await ring(switch)
    call.handle_signaling_lost()
    assert call.end_reason == "signaling_failed"
    with pytest.raises(CallFailedError, match="signaling failed"):
        await call.connected()
    answered.accept()
    answered.handle_signaling_lost()
    assert answered.state is CallState.CONNECTING


async def test_3_a_server_that_forgot_an_accepted_call_does_not_end_it(switch: Switch) -> None:
    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    for side in (call, answered):
        side.handle_message(wire.Error(code=ErrorCode.UNKNOWN_CALL, call=side.id, ref="sdp.offer"))
        assert side.state is CallState.CONNECTED


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (wire.Error(code=ErrorCode.RATE_LIMITED, ref="ice.candidates"), None),
        (wire.Error(code=ErrorCode.WRONG_STATE, ref="media.update"), None),
        (wire.Error(code=ErrorCode.NOT_ALLOWED, ref="call.invite"), "app_error"),
        (wire.Error(code=ErrorCode.UNKNOWN_CALL, ref="ice.candidates"), "signaling_failed"),
    ],
)
async def test_only_an_error_about_the_call_itself_ends_one_that_was_begun(
    switch: Switch, error: wire.Error, reason: str | None
) -> None:
    call = switch.enter("ann").make_call(EARLY, "bob", outgoing=True)
    call.invite()
    call.handle_message(error)
    assert call.end_reason == reason


async def test_a_message_that_cannot_be_handled_ends_a_call_that_is_not_there_yet(
    switch: Switch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no codec today")

    call, answered = await ring(switch)
    monkeypatch.setattr(call._media, "start", fail)
    answered.accept()
    assert await asyncio.wait_for(call.wait_ended(), PATIENCE) == "app_error"
    assert await asyncio.wait_for(answered.wait_ended(), PATIENCE) == "app_error"
    assert "no codec today" in caplog.text


async def test_fresh_turn_credentials_are_asked_for_before_the_old_ones_expire(
    switch: Switch,
) -> None:
    ann = switch.enter("ann")
    call = ann.make_call(EARLY, "bob", outgoing=True)
    call.handle_message(
        wire.CallCreated(
            call=EARLY,
            expires_in_ms=60_000,
            ice_servers=(wire.IceServer(urls=("stun:127.0.0.1:9",)),),
            ice_expires_in_ms=50,
        )
    )
    await until(lambda: isinstance(ann.sent[-1], wire.TurnRefresh))


async def test_what_is_muted_is_told_and_said_once(switch: Switch) -> None:
    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    call.mute("audio")
    call.mute("audio")
    call.unmute("audio")
    told = []
    async with asyncio.timeout(PATIENCE):
        async for event in answered.events:
            if isinstance(event, RemoteMuted):
                told.append(event)
            if len(told) == 2:
                break
    assert told == [RemoteMuted("audio", muted=True), RemoteMuted("audio", muted=False)]


async def test_what_the_network_does_to_a_picture_is_told_on_both_sides_and_once(
    switch: Switch,
) -> None:
    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    smaller = SentPictureState("1", PictureState.SMALLER, "bandwidth")
    busy = SentPictureState("1", PictureState.SMALLER, "cpu")
    back = SentPictureState("1", PictureState.FULL, "bandwidth")
    for event in (smaller, smaller, busy, back, CpuLimitChanged("1", limited=True)):
        call._handle_media_event(event)
    call.mute("audio")  # tells of all tracks once more
    told: list[PictureChanged] = []
    async with asyncio.timeout(PATIENCE):
        async for happened in answered.events:
            if isinstance(happened, PictureChanged):
                told.append(happened)
            if isinstance(happened, RemoteMuted):
                break
    assert [(event.direction, event.text) for event in told] == [
        ("receiving", "their picture becomes smaller: their network"),
        ("receiving", "their picture becomes smaller: their device"),
        ("receiving", "their picture is back"),
        ("receiving", "their picture becomes smaller: their device"),
    ]


async def test_a_busy_computer_that_has_time_again_is_told_by_a_timer(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ringline.client.picture_words, "_DEVICE_CALM", 0.01)
    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    for limited in (True, False):
        call._handle_media_event(CpuLimitChanged("1", limited=limited))
    told: list[str] = []
    async with asyncio.timeout(PATIENCE):
        async for happened in call.events:
            if isinstance(happened, PictureChanged):
                told.append(happened.text)
            if len(told) == 2:
                break
    assert told == ["your picture becomes smaller: your device", "your picture is back"]


async def test_nothing_is_sent_of_a_call_that_is_over_and_rates_that_cannot_be_kept_end_it_too(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rates:
        def recall(self, _: object) -> None:
            return None

        def remember(self, *_: object) -> None:
            raise RuntimeError("no place for it")

    call, answered = await ring(switch)
    answered.accept()
    await both_connected(call, answered)
    ann, _ = switch.people
    monkeypatch.setattr(call, "_rates", Rates())
    monkeypatch.setattr(CallMedia, "reached_bitrate", 100_000)
    with pytest.raises(RuntimeError, match="no place"):
        await call.hang_up()
    assert call.end_reason == "hangup"
    sent = len(ann.sent)
    call._handle_media_event(SentPictureState("1", PictureState.PAUSED, "bandwidth"))
    assert len(ann.sent) == sent
    await call.closed()
