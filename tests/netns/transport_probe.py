"""One end of a transport as a process: JSON lines in and out stand for signaling.

``server ADDRESS``: a TURN and STUN server.  ``offer URL...`` and ``answer URL...``: a peer; prints
``description``, ``candidate``, ``state``, ``path`` and ``media`` lines, takes the other side's
``description`` and ``candidate``, and the order ``restart``.  ``relay-offer`` and ``relay-answer``
go through relays only, refresh allocations each second, and tell more: the ``relays`` on the path,
and each ``gap`` of more than 0.1 s in what arrives.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, replace
from typing import Any

from ringline.client.description import Fingerprint
from ringline.client.io_aiortc import (
    CandidateFound,
    IceServer,
    NetworkChanged,
    PathChanged,
    PeerTransport,
    RemoteTransportParameters,
    TransportConfig,
    TransportEvent,
    TransportState,
    TransportStateChanged,
)
from ringline.client.upkeep import UpkeepConfig
from ringline.turn.config import TurnConfig
from ringline.turn.io_service import TurnService


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def serve(address: str) -> None:
    config = TurnConfig(host=address, users={"alice": "secret"}, allow_peers=("0.0.0.0/0",))
    async with TurnService(config):
        say(state="ready")
        await asyncio.Event().wait()


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


class Peer:
    def __init__(self, *, offering: bool, relayed: bool) -> None:
        self.offering = offering
        self.relayed = relayed
        self.heard_at: float | None = None
        config = TransportConfig(watch_interval=0.2)
        if relayed:
            config = replace(config, policy="relay", upkeep=UpkeepConfig(refresh_every=1.0))
        self.transport = PeerTransport(config, controlling=offering, on_event=self.told)
        self.transport.on_media = self.heard
        self.sequence = 0
        self.hearing = False

    def told(self, event: TransportEvent) -> None:
        match event:
            case CandidateFound(candidate=candidate):
                say(candidate=candidate)
            case TransportStateChanged(state=state):
                self.hearing = False
                say(state=state.value)
            case PathChanged(path=path):
                self.hearing = False
                say(path=path.kind)
                if self.relayed and path.relay is not None:
                    say(relays=[path.relay[0], path.remote_address[0]])
            case NetworkChanged():
                say(state="network changed")
            case _:
                pass

    def heard(self, _: bytes, now: float) -> None:
        if self.relayed and self.heard_at is not None and now - self.heard_at > 0.1:
            say(gap=now - self.heard_at)
        self.heard_at = now
        if not self.hearing:
            self.hearing = True
            say(media=True)

    def describe(self) -> None:
        say(description=asdict(self.transport.local_description))

    def take(self, line: dict[str, Any]) -> None:
        if "candidate" in line:
            self.transport.add_remote_candidate(line["candidate"])
        elif "restart" in line:
            self.hearing = False
            self.transport.restart()
            self.describe()
        elif "description" in line:
            theirs = line["description"]
            if not self.offering and theirs["generation"]:
                self.transport.restart()
            if not self.offering:
                self.describe()
            remote = RemoteTransportParameters(
                ufrag=theirs["ufrag"],
                password=theirs["password"],
                fingerprints=tuple(Fingerprint(**entry) for entry in theirs["fingerprints"]),
                candidates=tuple(theirs["candidates"]),
            )
            self.transport.start(remote, dtls_role="server" if self.offering else "client")

    async def talk(self) -> None:
        """Send a packet every 20 ms."""
        while self.transport.state is not TransportState.CLOSED:
            self.sequence = (self.sequence + 1) % 65536
            head = b"\x80\x60" + self.sequence.to_bytes(2, "big")
            if self.transport.state is not TransportState.NEW:
                self.transport.send(head + bytes(150))
            await asyncio.sleep(0.02)


async def call(urls: list[str], *, offering: bool, relayed: bool) -> None:
    peer = Peer(offering=offering, relayed=relayed)
    peer.transport.gather()
    peer.transport.add_ice_servers(
        [IceServer(url=url, username="alice", credential="secret") for url in urls]
    )
    if offering:
        peer.describe()
    talking = asyncio.create_task(peer.talk())
    reader = await lines()
    while line := await reader.readline():
        peer.take(json.loads(line))
    await peer.transport.close()
    await talking


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(serve(sys.argv[2]))
    else:
        role = sys.argv[1]
        relay_only = role.startswith("relay-")
        asyncio.run(call(sys.argv[2:], offering=role.endswith("offer"), relayed=relay_only))
