"""Whole calls: two clients and a server in one process, on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from ringline.client import (
    BusyError,
    Call,
    CallConfig,
    CallEndedError,
    CallFailedError,
    CallState,
    Client,
    ClientConfig,
    DeclinedError,
    Ended,
    IncomingCall,
    NameTakenError,
    NoAnswerError,
    OfflineError,
    RemoteMuted,
    ServerUnreachableError,
    VideoRequested,
)
from ringline.client.transport import TransportConfig
from ringline.media import SyntheticVideo, SyntheticVoice
from ringline.media.frames import Kind
from ringline.signaling import RinglineServer, ServerConfig
from ringline.signaling import messages as wire
from tests.e2e.onlooker import PATIENCE, Onlooker
from tests.e2e.wire_client import WireClient

pytestmark = pytest.mark.timeout(90)

CALLS = CallConfig(transport=TransportConfig(include_loopback=True))

SERVER = ServerConfig(
    host="127.0.0.1",
    port=0,
    turn_port=0,
    turn_allow_peers=("127.0.0.0/8",),  # the two relays are neighbours here
    dev=True,
    min_ring_time=0.1,  # a test does not wait for the seconds of a person
    min_incoming_time=0.1,
    drain_time=0.1,
)

Enter = Callable[..., Awaitable[Client]]


def codec_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("ringline")]


def open_sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # the one that reads this folder
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Every test leaves no task, no socket and no thread behind."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    yield
    await asyncio.sleep(0)  # closed transports let go of their sockets in the next step
    assert asyncio.all_tasks() - tasks - {asyncio.current_task()} == set()
    assert open_sockets() - sockets == set()
    for thread in codec_threads():
        thread.join(5.0)
    assert codec_threads() == []


@pytest.fixture
async def server(nothing_left: None) -> AsyncIterator[RinglineServer]:
    assert nothing_left is None
    async with RinglineServer(SERVER) as running:
        yield running


@pytest.fixture
async def enter(server: RinglineServer) -> AsyncIterator[Enter]:
    """Return a function that lets somebody in; all leave at the end."""
    async with AsyncExitStack() as stack:

        async def let_in(name: str, *, relay_only: bool = False, **config: Any) -> Client:
            client = Client(
                server.url,
                name=name,
                relay_only=relay_only,
                config=ClientConfig(call=CALLS, **config),
            )
            return await stack.enter_async_context(client)

        yield let_in


class Answering:
    """Somebody who answers every call, or only hears that it rings.

    ``calls`` has what was accepted, ``ringing`` what rings.
    """

    def __init__(self, client: Client, *, accept: bool = True, video: bool = False) -> None:
        self.calls: asyncio.Queue[Call] = asyncio.Queue()
        self.ringing: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self.rang = 0
        self._accept = accept
        self._video = video
        client.on_incoming(self._answer)

    async def call(self) -> Call:
        return await asyncio.wait_for(self.calls.get(), PATIENCE)

    async def incoming(self) -> IncomingCall:
        return await asyncio.wait_for(self.ringing.get(), PATIENCE)

    async def _answer(self, incoming: IncomingCall) -> None:
        self.rang += 1
        if self._accept:
            picture = SyntheticVideo(320, 180) if self._video else False
            self.calls.put_nowait(await incoming.accept(audio=SyntheticVoice(), video=picture))
        else:
            self.ringing.put_nowait(incoming)
            await incoming.wait_gone()


async def connect(caller: Client, callee: Client, *, video: bool = False) -> tuple[Call, Call]:
    answering = Answering(callee, video=video)
    picture = SyntheticVideo(320, 180) if video else False
    name = callee.name
    call = await asyncio.wait_for(
        caller.call(name, audio=SyntheticVoice(), video=picture), PATIENCE
    )
    answered = await answering.call()
    await asyncio.wait_for(answered.connected(), PATIENCE)
    return call, answered


def packets_sent(call: Call, kind: Kind) -> int:
    session = call.stats().session
    assert session is not None
    return sum(stream.packets_sent for stream in session.send.streams if stream.kind == kind)


# A whole call


async def test_two_people_see_and_hear_each_other_until_one_hangs_up(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    call, answered = await connect(ann, bob, video=True)
    mine, theirs = Onlooker(call), Onlooker(answered)
    await asyncio.gather(mine.sees_and_hears(), theirs.sees_and_hears())

    assert call.id == answered.id
    assert (call.outgoing, answered.outgoing) == (True, False)
    assert (call.peer, answered.peer) == ("bob", "ann")
    for side in (mine, theirs):
        assert side.call.path is not None
        assert side.call.path.kind == "host"
        assert side.call.stats().restarts == 0
        report = side.call.get_stats()
        assert report["IN-1"]["framesDecoded"] != 0
        assert isinstance(encoding := report["OUT-1"]["totalEncodeTime"], float)
        assert encoding > 0.0
        assert side.numbers == sorted(side.numbers)  # as they were sent, none twice out of order
        assert len(set(side.numbers)) > 10
    assert ann.calls == [call]

    await call.hang_up()
    assert await mine.ended() == "hangup"
    assert await theirs.ended() == "hangup"
    expected = [CallState.CONNECTING, CallState.CONNECTED, CallState.ENDED]
    assert mine.states in (expected, [CallState.RINGING, *expected])
    assert theirs.states == expected
    assert mine.events[-1] == theirs.events[-1] == Ended("hangup")
    assert ann.calls == bob.calls == []
    with pytest.raises(CallEndedError):
        call.send("too late")


async def test_who_leaves_the_server_hangs_up(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    call, answered = await connect(ann, bob)
    await bob.close()
    assert answered.end_reason == "hangup"
    assert await asyncio.wait_for(call.wait_ended(), PATIENCE) == "hangup"


async def test_a_closed_client_has_let_go_of_calls_that_had_just_ended(enter: Enter) -> None:
    ann = await enter("ann")
    before, sockets = asyncio.all_tasks(), open_sockets()
    bob = await enter("bob")
    call, answered = await connect(ann, bob, video=True)
    hanging_up = asyncio.create_task(call.hang_up())
    await asyncio.wait_for(answered.wait_ended(), PATIENCE)  # ended, but not yet closed
    await bob.close()
    closing = asyncio.create_task(answered.closed())
    await asyncio.sleep(0)
    assert closing.done()
    await hanging_up
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == set()
    assert open_sockets() - sockets == set()


async def test_a_program_that_does_not_wait_for_its_hang_up_hangs_up_all_the_same(
    enter: Enter,
) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    call, answered = await connect(ann, bob)
    hanging_up = asyncio.create_task(call.hang_up())
    await asyncio.wait_for(call.wait_ended(), PATIENCE)
    hanging_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging_up
    await asyncio.wait_for(call.closed(), PATIENCE)
    assert await asyncio.wait_for(answered.wait_ended(), PATIENCE) == "hangup"


async def test_without_a_server_a_hang_up_is_told_on_the_path() -> None:
    async with AsyncExitStack() as stack:
        async with RinglineServer(SERVER) as server:
            ann, bob = [
                await stack.enter_async_context(
                    Client(server.url, name=name, config=ClientConfig(call=CALLS))
                )
                for name in ("ann", "bob")
            ]
            call, answered = await connect(ann, bob, video=True)
        theirs = Onlooker(answered)
        await theirs.sees_and_hears()
        assert theirs.states == [CallState.CONNECTING, CallState.CONNECTED]
        await call.hang_up()
        assert await asyncio.wait_for(theirs.ended(), PATIENCE) == "hangup"


# Calls that do not come about


async def test_a_call_to_nobody_says_so(enter: Enter) -> None:
    ann = await enter("ann")
    with pytest.raises(OfflineError, match="bob is not there") as error:
        await asyncio.wait_for(ann.call("bob"), PATIENCE)
    assert error.value.reason == "offline"
    assert ann.calls == []


async def test_a_declined_call_says_so(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(bob, accept=False)
    calling = asyncio.create_task(ann.call("bob"))
    incoming = await answering.incoming()
    incoming.decline()
    with pytest.raises(DeclinedError, match="bob declined"):
        await asyncio.wait_for(calling, PATIENCE)
    assert await asyncio.wait_for(incoming.wait_gone(), PATIENCE) == "declined"
    with pytest.raises(CallEndedError):
        await incoming.accept()
    assert bob.calls == []


async def test_who_answers_no_calls_declines_them(enter: Enter) -> None:
    ann, _ = await enter("ann"), await enter("bob")
    with pytest.raises(DeclinedError):
        await asyncio.wait_for(ann.call("bob"), PATIENCE)


async def test_a_handler_that_fails_declines(
    enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = await enter("ann"), await enter("bob")

    @bob.on_incoming
    async def fail(incoming: IncomingCall) -> None:
        raise RuntimeError(f"no idea what to say to {incoming.caller}")

    with pytest.raises(DeclinedError):
        await asyncio.wait_for(ann.call("bob"), PATIENCE)
    assert "no idea what to say to ann" in caplog.text


async def test_who_is_in_a_call_is_busy(enter: Enter) -> None:
    ann, bob, eve = await enter("ann"), await enter("bob"), await enter("eve")
    call, answered = await connect(ann, bob)
    with pytest.raises(BusyError, match="bob is in another call"):
        await asyncio.wait_for(eve.call("bob"), PATIENCE)
    assert call.state is answered.state is CallState.CONNECTED
    await call.hang_up()
    await asyncio.wait_for(answered.wait_ended(), PATIENCE)
    again, _ = await connect(eve, bob)  # free again
    assert again.state is CallState.CONNECTED


async def test_beyond_max_calls_callers_are_told_busy(enter: Enter) -> None:
    ann, eve = await enter("ann"), await enter("eve")
    bob = await enter("bob", max_calls=1)
    answering = Answering(bob, accept=False)
    first = ann.start_call("bob")
    incoming = await answering.incoming()
    with pytest.raises(BusyError):
        await asyncio.wait_for(eve.call("bob"), PATIENCE)
    assert answering.rang == 1
    accepted = await incoming.accept()
    await asyncio.wait_for(first.connected(), PATIENCE)
    assert bob.calls == [accepted]


async def test_a_call_that_nobody_answers_ends(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(bob, accept=False)
    with pytest.raises(NoAnswerError, match="bob did not answer"):
        await asyncio.wait_for(ann.call("bob", timeout=0.5), PATIENCE)
    incoming = await answering.incoming()
    assert await asyncio.wait_for(incoming.wait_gone(), PATIENCE) == "no_answer"
    with pytest.raises(CallEndedError, match="ann gave up"):
        await incoming.accept()


async def test_a_caller_who_hangs_up_while_it_rings_cancels(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(bob, accept=False)
    call = ann.start_call("bob")
    side = Onlooker(call)
    incoming = await answering.incoming()
    await side.until_state(CallState.RINGING)
    await call.hang_up()
    assert await asyncio.wait_for(incoming.wait_gone(), PATIENCE) == "cancelled"
    assert await side.ended() == "cancelled"
    assert side.states == [CallState.RINGING, CallState.ENDED]
    with pytest.raises(CallFailedError, match="cancelled"):
        await call.connected()


async def test_a_program_that_gives_up_waiting_cancels_the_call(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(bob, accept=False)
    calling = asyncio.create_task(ann.call("bob"))
    incoming = await answering.incoming()
    calling.cancel()
    assert await asyncio.wait_for(incoming.wait_gone(), PATIENCE) == "cancelled"
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert ann.calls == []


@pytest.mark.parametrize("turn", range(3))
async def test_two_who_call_each_other_at_once_have_one_call(enter: Enter, turn: int) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(ann), Answering(bob)
    first, second = (ann, bob) if turn % 2 else (bob, ann)
    calls = [
        client.start_call(peer.name, audio=SyntheticVoice(), video=SyntheticVideo(320, 180))
        for client, peer in ((first, second), (second, first))
    ]
    await asyncio.wait_for(asyncio.gather(*(call.connected() for call in calls)), PATIENCE)
    sides = [Onlooker(call) for call in calls]
    await asyncio.gather(*(side.sees_and_hears() for side in sides))
    assert calls[0].id == calls[1].id
    assert {call.outgoing for call in calls} == {True, False}
    assert first.calls == [calls[0]]
    assert second.calls == [calls[1]]
    assert [person.rang for person in answering] == [0, 0]  # nobody was asked: both had called
    await calls[turn % 2].hang_up()
    assert [await side.ended() for side in sides] == ["hangup", "hangup"]


# Sound first, video by consent


async def test_video_joins_an_audio_call_when_the_other_side_allows_it(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    call, answered = await connect(ann, bob)
    mine, theirs = Onlooker(call), Onlooker(answered)
    await asyncio.gather(mine.hears(), theirs.hears())
    assert packets_sent(call, "video") == packets_sent(answered, "video") == 0

    asking = asyncio.create_task(call.request_video(SyntheticVideo(320, 180)))
    await theirs.until_event(VideoRequested())
    answered.answer_video(allow=True, source=SyntheticVideo(320, 180))
    assert await asyncio.wait_for(asking, PATIENCE) is True
    await asyncio.gather(mine.sees_and_hears(), theirs.sees_and_hears())
    assert call.stats().restarts == 0


async def test_no_video_flows_when_the_other_side_refuses(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    call, answered = await connect(ann, bob)
    mine, theirs = Onlooker(call), Onlooker(answered)
    source = SyntheticVideo(320, 180)
    asking = asyncio.create_task(call.request_video(source))
    await theirs.until_event(VideoRequested())
    answered.answer_video(allow=False)
    assert await asyncio.wait_for(asking, PATIENCE) is False
    assert [frame async for frame in source.frames()] == []  # it was closed

    # A picture set all the same stays here.
    call.set_video(SyntheticVideo(320, 180))
    await asyncio.gather(mine.hears(), theirs.hears())
    assert packets_sent(call, "video") == packets_sent(answered, "video") == 0
    assert theirs.pictures == 0


async def test_nobody_answering_a_video_request_is_a_no_and_can_be_asked_again(
    enter: Enter,
) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    call, answered = await connect(ann, bob)
    theirs = Onlooker(answered)
    assert await call.request_video(SyntheticVideo(320, 180), timeout=0.2) is False
    assert packets_sent(call, "video") == 0
    assert call.state is CallState.CONNECTED

    asking = asyncio.create_task(call.request_video(SyntheticVideo(320, 180)))
    await theirs.until(lambda: theirs.events.count(VideoRequested()) == 2)
    answered.answer_video(allow=True)
    assert await asyncio.wait_for(asking, PATIENCE) is True
    await theirs.sees()
    assert packets_sent(answered, "video") == 0  # who only watches shows nothing


async def test_a_callee_shows_nothing_in_an_audio_call_without_asking(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(bob, video=True)
    call = await asyncio.wait_for(ann.call("bob", audio=SyntheticVoice()), PATIENCE)
    mine, answered = Onlooker(call), await answering.call()
    await mine.hears(50)
    assert packets_sent(answered, "video") == 0
    assert mine.pictures == 0


@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_no_packet_of_a_muted_kind_leaves(enter: Enter, kind: Kind) -> None:
    other: Kind = "video" if kind == "audio" else "audio"
    ann, bob = await enter("ann"), await enter("bob")
    call, answered = await connect(ann, bob, video=True)
    mine, theirs = Onlooker(call), Onlooker(answered)
    await theirs.sees_and_hears()

    call.mute(kind)
    before = packets_sent(call, kind), packets_sent(call, other)
    assert call.muted(kind)
    await theirs.until_event(RemoteMuted(kind, muted=True))
    assert answered.remote_muted(kind)
    assert not answered.remote_muted(other)
    await (theirs.hears(50) if other == "audio" else theirs.sees(30))
    there = theirs.heard if kind == "audio" else theirs.pictures  # no more is under way
    await (theirs.hears(25) if other == "audio" else theirs.sees(15))
    assert packets_sent(call, kind) == before[0]
    assert packets_sent(call, other) > before[1]
    assert there == (theirs.heard if kind == "audio" else theirs.pictures)

    call.unmute(kind)
    await theirs.until_event(RemoteMuted(kind, muted=False))
    await (theirs.hears() if kind == "audio" else theirs.sees())
    assert packets_sent(call, kind) > before[0]
    await mine.sees_and_hears()  # the other direction never stopped


async def test_what_was_muted_before_the_path_was_there_never_leaves(enter: Enter) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(bob, video=True)
    call = ann.start_call("bob", audio=SyntheticVoice(), video=SyntheticVideo(320, 180))
    call.mute("video")
    await asyncio.wait_for(call.connected(), PATIENCE)
    theirs = Onlooker(await answering.call())
    await theirs.hears(50)
    assert packets_sent(call, "video") == 0
    assert theirs.pictures == 0


# Messages


async def test_messages_go_both_ways_in_order_also_from_before_there_is_a_channel(
    enter: Enter,
) -> None:
    ann, bob = await enter("ann"), await enter("bob")
    answering = Answering(bob)
    call = ann.start_call("bob", audio=SyntheticVoice())
    call.send("before it rings")
    answered = await answering.call()
    answered.send(b"before the path")
    mine, theirs = Onlooker(call), Onlooker(answered)
    await theirs.until(lambda: theirs.messages)
    await mine.until(lambda: mine.messages)
    assert theirs.messages == ["before it rings"]
    assert mine.messages == [b"before the path"]

    said: list[str | bytes] = [f"number {number}" for number in range(100)]
    said += [b"\x00" * 16_000, "", b"", "last"]
    for message in said:
        call.send(message)
        answered.send(message)
    await theirs.until(lambda: theirs.messages[-1] == "last")
    await mine.until(lambda: mine.messages[-1] == "last")
    assert theirs.messages[1:] == said
    assert mine.messages[1:] == said


# Nothing before the accept


class Ear(asyncio.DatagramProtocol):
    """A UDP socket that notes from where something came."""

    def __init__(self) -> None:
        self.sources: list[Any] = []
        self.heard = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert data
        self.sources.append(addr)
        self.heard.set()


@pytest.fixture
async def ear(nothing_left: None) -> AsyncIterator[tuple[Ear, int]]:
    assert nothing_left is None
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        Ear, local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    yield protocol, transport.get_extra_info("sockname")[1]
    transport.close()


def offer_of(port: int) -> str:
    """An offer with one candidate, of a UDP socket on loopback."""
    head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    lines = [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host",
        "a=end-of-candidates",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
    ]
    return head + "\r\n".join(lines) + "\r\n"


async def test_nothing_leaves_the_callee_before_it_accepts(
    server: RinglineServer, enter: Enter, ear: tuple[Ear, int]
) -> None:
    protocol, port = ear
    bob = await enter("bob")
    answering = Answering(bob, accept=False)
    async with WireClient(server.url, "eve") as eve:
        call_id = await eve.call("bob", offer_of(port))
        incoming = await answering.incoming()
        await eve.take(wire.CallRinging)
        # Long enough for candidates, checks and media, which after the accept take far less.
        await asyncio.sleep(1.0)
        assert protocol.sources == []
        await eve.send(wire.Ping(ts=1.0))
        await eve.take(wire.Pong)  # all that was sent to us before has come
        kinds = {type(message) for message in eve.got}
        assert kinds <= {wire.Welcome, wire.CallCreated, wire.CallRinging, wire.Pong}

        await incoming.accept(audio=SyntheticVoice())
        accept = await eve.take(wire.CallAccept)
        assert accept.answer is not None
        await asyncio.wait_for(protocol.heard.wait(), PATIENCE)  # so it would have been heard
        await eve.send(wire.CallEnd(call=call_id))
        assert await asyncio.wait_for(incoming.wait_gone(), PATIENCE) == "hangup"


async def test_a_client_that_wants_the_relay_tells_no_address_of_its_own(
    server: RinglineServer, enter: Enter
) -> None:
    ann, bob = await enter("ann", relay_only=True), await enter("bob", relay_only=True)
    call, answered = await connect(ann, bob, video=True)
    sides = Onlooker(call), Onlooker(answered)
    await asyncio.gather(*(side.sees_and_hears() for side in sides))
    for side in sides:
        assert side.call.path is not None
        assert side.call.path.kind == "relay"
    await call.hang_up()

    async with WireClient(server.url, "eve") as eve:
        ann.start_call("eve", audio=SyntheticVoice())
        incoming = await eve.take(wire.CallIncoming)
        assert incoming.offer is not None
        assert "a=candidate" not in incoming.offer.sdp  # a relay takes a round trip to find
        while not (batch := await eve.take(wire.IceCandidates)).end:
            assert all(" typ relay " in entry.candidate for entry in batch.candidates)
        assert any(isinstance(m, wire.IceCandidates) and m.candidates for m in eve.got)


# Descriptions that cannot be answered

NO_COMMON_CODEC = offer_of(9).replace("opus/48000/2", "G7221/16000")


@pytest.mark.parametrize(
    "sdp",
    [
        "v=0 nothing of this is SDP",
        "v=0\r\n" * 1000,
        offer_of(9).replace("a=ice-pwd", "a=no"),
        offer_of(9).replace("a=fingerprint", "a=no"),
        offer_of(9).replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:x opus"),
    ],
    ids=["no SDP", "nothing but versions", "no password", "no fingerprint", "broken codec"],
)
async def test_an_invite_with_malformed_sdp_is_refused_as_unsupported(
    server: RinglineServer, enter: Enter, sdp: str
) -> None:
    bob = await enter("bob")
    answering = Answering(bob)
    async with WireClient(server.url, "eve") as eve:
        await eve.call("bob", sdp)
        assert (await eve.take(wire.CallEnd)).reason == "unsupported"
    assert answering.rang == 0
    assert bob.calls == []
    ann = await enter("ann")  # and life goes on
    call, _ = await connect(ann, bob)
    assert call.state is CallState.CONNECTED


async def test_an_offer_without_a_common_codec_is_refused_as_unsupported(
    server: RinglineServer, enter: Enter
) -> None:
    bob = await enter("bob")
    answering = Answering(bob)
    async with WireClient(server.url, "eve") as eve:
        await eve.call("bob", NO_COMMON_CODEC)
        end = await eve.take(wire.CallEnd)
    assert end.reason == "unsupported"
    assert "G7221" in end.detail
    assert answering.calls.empty()
    assert bob.calls == []


@pytest.mark.parametrize("sdp", ["v=0 nothing of this is SDP", NO_COMMON_CODEC])
async def test_a_malformed_answer_ends_the_call_as_unsupported(
    server: RinglineServer, enter: Enter, sdp: str
) -> None:
    ann = await enter("ann")
    async with WireClient(server.url, "eve") as eve:
        call = ann.start_call("eve", audio=SyntheticVoice())
        incoming = await eve.take(wire.CallIncoming)
        await eve.send(wire.CallAccept(call=incoming.call, answer=wire.Description(sdp=sdp)))
        with pytest.raises(CallFailedError) as error:
            await asyncio.wait_for(call.connected(), PATIENCE)
        assert error.value.reason == "unsupported"
        assert (await eve.take(wire.CallEnd)).reason == "unsupported"


# The door of the server


async def test_a_name_that_somebody_has_cannot_be_had(server: RinglineServer, enter: Enter) -> None:
    await enter("ann")
    with pytest.raises(NameTakenError, match="ann"):
        async with Client(server.url, name="ann"):
            pytest.fail("there are two of that name")


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as reserved:  # bound but not listening: nobody else takes it
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


async def test_a_server_that_is_not_there_is_said_so(closed_port: int) -> None:
    with pytest.raises(ServerUnreachableError, match=f"127.0.0.1:{closed_port}"):
        async with Client(f"ws://127.0.0.1:{closed_port}", name="ann"):
            pytest.fail("there is no server")


async def test_the_next_call_on_a_network_starts_from_what_the_last_one_reached(
    enter: Enter, tmp_path: Path
) -> None:
    file = tmp_path / "rates.json"
    answering = Answering(await enter("desk", remember_rates=False))
    starts = []
    for name in ("lab", "the same person another day"):
        lab = await enter(name.replace(" ", "-"), rate_file=file)
        call = await lab.call("desk", audio=SyntheticVoice())
        session = call.stats().session
        assert session is not None
        starts.append(session.send.target_bitrate)
        await answering.call()
        if not file.exists():
            await asyncio.sleep(4.0)  # of feedback: less is not worth remembering
        await call.hang_up()
        networks = json.loads(file.read_text())
        for entry in networks["networks"].values():
            entry["bitrate"] = 150_000  # as if the network had been a narrow one
        file.write_text(json.dumps(networks))
    assert starts == [300_000, 105_000]
