"""One side of a call as a process, on the public client library: JSON lines out, orders in.

``python call_peer.py SERVER NAME [PEER]``: calls PEER, or answers whoever calls.  Lines, each with
the time ``t`` on the machine's monotonic clock, which all processes share:

* ``{"ready": NAME}``: the server let us in;
* ``{"state": ..., "call": ID}``: each state that the call goes through;
* ``{"path": KIND}``: media goes another way;
* ``{"second": {"seen": n, "heard": n, "loudest": level, "path": ..., "relays": [...],
  "restarts": n, "parity": {"sent": n, "received": n, "recovered": n}}}``: new pictures (by the
  numbers that they carry) and pieces of 20 ms of true sound, in each second; addresses of the
  relays on the path; packets of forward error correction for the picture, so far;
* ``{"back": KIND, "after": seconds}``: a picture, or sound, after a gap of more than 0.3 s;
* ``{"ended": REASON}``: the last one.

An order is a line of stdin: ``hang up``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import numpy as np

from ringline.client import Call, CallStats, Client, IncomingCall, PathChanged, StateChanged
from ringline.client.transport import Path
from ringline.media import SyntheticVideo, SyntheticVoice
from ringline.media.synthetic import read_frame_number

GAP = 0.3  # seconds; pictures come each 33 ms, sound each 20


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps({"t": time.monotonic(), **line}) + "\n")
    sys.stdout.flush()


class Senses:
    """Counts what is new of each kind, and tells when it is back after a gap."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.seen = self.heard = 0
        self.loudest = 0.0
        self._last = {"picture": time.monotonic(), "sound": time.monotonic()}

    async def watch(self) -> None:
        newest = -1
        async for frame in self.call.video:
            number = read_frame_number(frame.luma)
            if number is not None and number > newest:
                newest = number
                self.seen += 1
                self._came("picture")

    async def listen(self) -> None:
        async for frame in self.call.audio:
            if frame.concealed < len(frame.samples):
                self.heard += 1
                level = float(np.sqrt(np.mean(np.square(frame.samples, dtype=np.float64))))
                self.loudest = max(self.loudest, level)
                self._came("sound")

    async def follow(self) -> None:
        async for event in self.call.events:
            if isinstance(event, StateChanged):
                say(state=event.state.value, call=self.call.id)
            elif isinstance(event, PathChanged):
                say(path=event.kind)

    async def report(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            stats = self.call.stats()
            path = None if stats.path is None else stats.path.kind
            relays = [] if stats.path is None else relays_of(stats.path)
            loudest = round(self.loudest)
            what = {
                "seen": self.seen,
                "heard": self.heard,
                "loudest": loudest,
                "path": path,
                "relays": relays,
            }
            say(second={**what, "restarts": stats.restarts, "parity": parity(stats)})
            self.seen = self.heard = 0
            self.loudest = 0.0

    def _came(self, kind: str) -> None:
        now = time.monotonic()
        gap = now - self._last[kind]
        self._last[kind] = now
        if gap > GAP:
            say(back=kind, after=gap)


def relays_of(path: Path) -> list[str]:
    """Return the addresses of the relays that the path takes, ours first."""
    ours = [] if path.relay is None else [path.relay[0]]
    return ours + ([path.remote_address[0]] if path.remote_type == "relay" else [])


def parity(stats: CallStats) -> dict[str, int]:
    """Return the counts of forward error correction for the picture."""
    received = None if stats.session is None else stats.session.receive.video
    if stats.session is None or received is None:
        return {"sent": 0, "received": 0, "recovered": 0}
    sent = sum(s.fec_packets_sent for s in stats.session.send.streams if s.kind == "video")
    return {
        "sent": sent,
        "received": received.fec_packets_received,
        "recovered": received.repairs.fec,
    }


async def orders() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def obey(call: Call) -> None:
    reader = await orders()
    while line := await reader.readline():
        if line.strip() == b"hang up":
            await call.hang_up()


async def main(server: str, name: str, peer: str | None) -> None:
    async with Client(server, name=name) as me:
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        @me.on_incoming
        async def answer(incoming: IncomingCall) -> None:
            accepted = await incoming.accept(audio=SyntheticVoice(), video=SyntheticVideo(320, 180))
            answered.set_result(accepted)

        say(ready=me.name)
        if peer is None:
            call = await answered
        else:
            call = me.start_call(peer, audio=SyntheticVoice(), video=SyntheticVideo(320, 180))
        senses = Senses(call)
        reading = [asyncio.create_task(work) for work in (senses.watch(), senses.listen())]
        following = asyncio.create_task(senses.follow())
        others = [asyncio.create_task(work) for work in (senses.report(), obey(call))]
        reason = await call.wait_ended()
        await asyncio.gather(*reading, following)
        for task in others:
            task.cancel()
        say(ended=reason)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
