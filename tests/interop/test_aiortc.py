"""A plain aiortc peer connection, speaking ``ringline.v1`` by hand, and a client of ours call each
other.

aiortc knows no transport-wide feedback: our sender goes by its receiver reports and its REMB.
"""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import aiortc
import av
import numpy as np
import pytest
from aiortc import mediastreams

from ringline.client import Call, CallState, Client, IncomingCall
from ringline.client.io_aiortc.io_gather import local_addresses
from ringline.client.transport import TransportConfig
from ringline.media import SyntheticVideo, SyntheticVoice
from ringline.signaling import RinglineServer, ServerConfig
from ringline.signaling import messages as wire
from tests.e2e.onlooker import PATIENCE, Onlooker
from tests.e2e.wire_client import WireClient

pytestmark = pytest.mark.timeout(90)

FRAMES = 60
"""Moving pictures that each side is to see: two seconds of ours, four of theirs."""


class MovingBars(mediastreams.VideoStreamTrack):
    """Bars that move to the right, as aiortc's own pace has it: 30 a second."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        bars = (np.arange(320) + pts // 1500) % 64 * 4
        planes = np.full((240 * 3 // 2, 320), 128, np.uint8)
        planes[:240] = bars.astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(mediastreams.MediaStreamTrack):
    """A tone of 440 Hz, 20 ms at a time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._samples = 0
        self._start: float | None = None

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._start = loop.time() if self._start is None else self._start
        await asyncio.sleep(max(0.0, self._start + self._samples / 48_000 - loop.time()))
        times = np.arange(self._samples, self._samples + 960) / 48_000
        sound = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, self._samples
        frame.time_base = fractions.Fraction(1, 48_000)
        self._samples += 960
        return frame


class AiortcPeer:
    """The other side, and what it saw, heard and was told."""

    def __init__(self) -> None:
        self.pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.pc.addTrack(Tone())
        self.pc.addTrack(MovingBars())
        self.moved = 0
        self.loudest = 0.0
        self.messages: list[str | bytes] = []
        self.channel: aiortc.RTCDataChannel | None = None
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.pc.on("track", self._take_track)
        self.pc.on("datachannel", self._take_channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def offer(self) -> str:
        self._take_channel(self.pc.createDataChannel("ringline"))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)  # with every candidate

    async def answer(self, offer: str) -> str:
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp=offer, type="offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return str(self.pc.localDescription.sdp)

    async def take_answer(self, answer: str) -> None:
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp=answer, type="answer"))

    async def until(self, condition: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"aiortc saw {self.moved}, heard {self.loudest:.0f}, read {self.messages}"
            ) from None

    async def sees_and_hears(self) -> None:
        await self.until(lambda: self.moved >= FRAMES and self.loudest > 300)

    def _take_track(self, track: mediastreams.MediaStreamTrack) -> None:
        work = self._watch(track) if track.kind == "video" else self._listen(track)
        self._tasks.append(asyncio.create_task(work))

    def _take_channel(self, channel: aiortc.RTCDataChannel) -> None:
        self.channel = channel
        channel.on("message", self._take_message)
        channel.on("open", self._changed.set)
        self._changed.set()

    def _take_message(self, message: str | bytes) -> None:
        self.messages.append(message)
        self._changed.set()

    async def _watch(self, track: mediastreams.MediaStreamTrack) -> None:
        last = None
        while True:
            try:
                frame = await track.recv()
            except mediastreams.MediaStreamError:
                return
            assert isinstance(frame, av.VideoFrame)
            luma = frame.to_ndarray(format="gray")
            if last is not None and last.shape == luma.shape:
                self.moved += bool(np.any(luma != last))
            last = luma
            self._changed.set()

    async def _listen(self, track: mediastreams.MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except mediastreams.MediaStreamError:
                return
            assert isinstance(frame, av.AudioFrame)
            samples = frame.to_ndarray().astype(np.float64)
            self.loudest = max(self.loudest, float(np.sqrt(np.mean(samples**2))))
            self._changed.set()


@pytest.fixture
async def server() -> AsyncIterator[RinglineServer]:
    if all(address.startswith("127.") for address in local_addresses(TransportConfig())):
        pytest.skip("aiortc does not gather on loopback, and there is no other address")
    config = ServerConfig(host="127.0.0.1", port=0, turn_port=0, dev=True, drain_time=0.1)
    async with RinglineServer(config) as running:
        yield running


async def check_call(peer: AiortcPeer, call: Call) -> Onlooker:
    """Each sees and hears the other, and reads its messages."""
    mine = Onlooker(call)
    await asyncio.wait_for(call.connected(), PATIENCE)
    await asyncio.gather(peer.sees_and_hears(), mine.sees(FRAMES), mine.hears(50))

    call.send("hello from Ringline")
    await peer.until(lambda: peer.messages)
    assert peer.messages == ["hello from Ringline"]
    await peer.until(lambda: peer.channel is not None and peer.channel.readyState == "open")
    assert peer.channel is not None
    peer.channel.send("hello from aiortc")
    await mine.until(lambda: mine.messages)
    assert mine.messages == ["hello from aiortc"]

    stats = call.stats().session
    assert stats is not None
    assert stats.round_trip is not None  # from receiver reports
    assert 0.0 <= stats.round_trip < 1.0
    assert stats.receive.malformed_packets == stats.receive.unplaced_packets == 0
    sent = next(stream for stream in stats.send.streams if stream.kind == "video")
    assert sent.frames_encoded >= FRAMES
    assert mine.states[-1] is CallState.CONNECTED
    return mine


async def test_a_plain_aiortc_peer_calls_us_and_hangs_up(server: RinglineServer) -> None:
    async with Client(server.url, name="desk") as desk, WireClient(server.url, "aiortc") as line:
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @desk.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            assert incoming.video
            picture = SyntheticVideo(320, 240)
            answered.set_result(await incoming.accept(audio=SyntheticVoice(), video=picture))

        async with AiortcPeer() as peer:
            call_id = await line.call("desk", await peer.offer(), video=True)
            accept = await line.take(wire.CallAccept)
            assert accept.answer is not None
            await peer.take_answer(accept.answer.sdp)
            call = await asyncio.wait_for(answered, PATIENCE)
            mine = await check_call(peer, call)
            assert call.id == call_id

            await line.send(wire.CallEnd(call=call_id))
            assert await mine.ended() == "hangup"
            assert (await line.take(wire.CallEnd)).reason == "hangup"
    assert desk.calls == []


async def test_we_call_a_plain_aiortc_peer_and_hang_up(server: RinglineServer) -> None:
    async with Client(server.url, name="desk") as desk, WireClient(server.url, "aiortc") as line:
        call = desk.start_call("aiortc", audio=SyntheticVoice(), video=SyntheticVideo(320, 240))
        incoming = await line.take(wire.CallIncoming)
        assert incoming.media == wire.MediaKinds(audio=True, video=True)
        assert incoming.offer is not None
        async with AiortcPeer() as peer:
            answer = await peer.answer(incoming.offer.sdp)
            await line.send(
                wire.CallAccept(
                    call=incoming.call,
                    media=wire.MediaKinds(audio=True, video=True),
                    answer=wire.Description(sdp=answer),
                )
            )
            mine = await check_call(peer, call)
            await call.hang_up()
            assert await mine.ended() == "hangup"
            assert (await line.take(wire.CallEnd)).reason == "hangup"
    assert desk.calls == []


async def test_an_aiortc_peer_that_vanishes_without_a_word_is_noticed(
    server: RinglineServer,
) -> None:
    """It says goodbye on the path alone."""
    async with Client(server.url, name="desk") as desk, WireClient(server.url, "aiortc") as line:
        call = desk.start_call("aiortc", audio=SyntheticVoice())
        incoming = await line.take(wire.CallIncoming)
        assert incoming.offer is not None
        async with AiortcPeer() as peer:
            answer = await peer.answer(incoming.offer.sdp)
            message = wire.CallAccept(call=incoming.call, answer=wire.Description(sdp=answer))
            await line.send(message)
            await asyncio.wait_for(call.connected(), PATIENCE)
            await peer.until(lambda: peer.loudest > 300)
        assert await asyncio.wait_for(call.wait_ended(), PATIENCE) == "hangup"
        assert (await line.take(wire.CallEnd)).reason == "hangup"
