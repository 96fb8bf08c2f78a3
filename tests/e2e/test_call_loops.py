"""A call on each event loop that a program may run on; the command line takes uvloop."""

from __future__ import annotations

import asyncio

import pytest

from ringline.client import Call, CallConfig, Client, ClientConfig, IncomingCall
from ringline.client.transport import TransportConfig
from ringline.media import SyntheticVideo, SyntheticVoice
from ringline.signaling import RinglineServer, ServerConfig

pytestmark = pytest.mark.timeout(60)

SERVER = ServerConfig(host="127.0.0.1", port=0, turn=False, dev=True)
CLIENT = ClientConfig(call=CallConfig(transport=TransportConfig(include_loopback=True)))
PICTURES = 30
SOUNDS = 100


@pytest.mark.parametrize("library", ["asyncio", "uvloop"])
def test_two_people_see_and_hear_each_other_on_every_loop(library: str) -> None:
    library_of_loop = pytest.importorskip(library)
    round_trip = library_of_loop.run(talk())
    assert 0.0 <= round_trip < 0.5


async def talk() -> float:
    """Let two see and hear each other; return the round trip."""
    async with (
        RinglineServer(SERVER) as server,
        Client(server.url, name="anna", config=CLIENT) as anna,
        Client(server.url, name="ben", config=CLIENT) as ben,
    ):
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @ben.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            answered.set_result(await incoming.accept(audio=SyntheticVoice(), video=_picture()))

        call = await anna.call("ben", audio=SyntheticVoice(), video=_picture())
        async with asyncio.timeout(30):
            for each in (call, await answered):
                await asyncio.gather(_watch(each), _listen(each))
        session = call.stats().session
        await call.hang_up()
    assert session is not None
    assert session.round_trip is not None
    assert session.receive.malformed_packets == session.malformed_datagrams == 0
    return session.round_trip


def _picture() -> SyntheticVideo:
    return SyntheticVideo(width=160, height=120, frame_rate=15.0)


async def _watch(call: Call) -> None:
    shown = 0
    async for frame in call.video:
        assert (frame.width, frame.height) == (160, 120)
        shown += 1
        if shown == PICTURES:
            return


async def _listen(call: Call) -> None:
    heard = concealed = 0
    async for frame in call.audio:
        heard += 1
        concealed += frame.concealed
        if heard == SOUNDS:
            assert concealed < 960 * SOUNDS / 10
            return
