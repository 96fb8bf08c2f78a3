"""Two ends of a transport in one process, and what they went through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Literal

from ringline.client.io_aiortc import (
    CandidateFound,
    CandidatesComplete,
    ChannelOpened,
    IceServer,
    LocalTransportParameters,
    Path,
    PathChanged,
    PeerTransport,
    RemoteTransportParameters,
    TransportConfig,
    TransportEvent,
    TransportState,
    TransportStateChanged,
)
from ringline.client.transport import DataChannel, LinkFactory
from ringline.media.simulate.link import Link
from ringline.media.simulate.profile import LinkProfile


class End:
    """A transport with everything that it told."""

    def __init__(self, config: TransportConfig, *, controlling: bool) -> None:
        self.events: list[TransportEvent] = []
        self.media: list[tuple[bytes, float]] = []
        self.trickle_to: End | None = None
        self._changed = asyncio.Event()
        self.transport = PeerTransport(config, controlling=controlling, on_event=self._told)
        self.transport.on_media = self._media_arrived

    def _told(self, event: TransportEvent) -> None:
        self.events.append(event)
        if isinstance(event, CandidateFound) and self.trickle_to is not None:
            self.trickle_to.transport.add_remote_candidate(event.candidate)
        self._changed.set()

    def _media_arrived(self, data: bytes, arrived_at: float) -> None:
        self.media.append((data, arrived_at))
        self._changed.set()

    async def until(self, condition: Callable[[], object], within: float = 5.0) -> None:
        """Wait for something that an event or a packet brings about."""
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def has_media(self) -> bool:
        return bool(self.media)

    def has_gathered(self) -> bool:
        return any(isinstance(event, CandidatesComplete) for event in self.events)

    async def until_path(self, kind: str) -> None:
        await self.until(lambda: self.path.kind == kind)

    @property
    def path(self) -> Path:
        path = self.transport.path
        assert path is not None
        return path

    async def until_state(self, state: TransportState, within: float = 5.0) -> None:
        await self.until(lambda: self.transport.state is state, within)

    @property
    def states(self) -> list[TransportState]:
        return [event.state for event in self.events if isinstance(event, TransportStateChanged)]

    @property
    def paths(self) -> list[str]:
        return [event.path.kind for event in self.events if isinstance(event, PathChanged)]

    @property
    def channels(self) -> list[DataChannel]:
        return [event.channel for event in self.events if isinstance(event, ChannelOpened)]

    def listen(self, channel: DataChannel) -> list[str | bytes]:
        """Collect the messages of a channel."""
        messages: list[str | bytes] = []

        def receive(message: str | bytes) -> None:
            messages.append(message)
            self._changed.set()

        channel.on_message = receive
        return messages


class Pair:
    """The offering end and the answering one."""

    def __init__(self, offerer: End, answerer: End) -> None:
        self.offerer, self.answerer = offerer, answerer
        self.sequence = count(100)  # of RTP packets: SRTP takes none twice
        offerer.trickle_to, answerer.trickle_to = answerer, offerer

    def __iter__(self) -> Iterator[End]:
        return iter((self.offerer, self.answerer))

    def gather(self, servers: list[IceServer] | None = None) -> None:
        for end in (self.offerer, self.answerer):
            end.transport.gather()
            if servers is not None:
                end.transport.add_ice_servers(servers)

    def start(self) -> None:
        """Exchange descriptions, as signaling would, and begin."""
        start(self.offerer, self.answerer.transport.local_description, "server")
        start(self.answerer, self.offerer.transport.local_description, "client")

    async def connect(self, servers: list[IceServer] | None = None, within: float = 5.0) -> None:
        self.gather(servers)
        self.start()
        await self.until_both(TransportState.CONNECTED, within)

    async def until_both(self, state: TransportState, within: float = 5.0) -> None:
        await self.offerer.until_state(state, within)
        await self.answerer.until_state(state, within)

    async def close(self) -> None:
        await self.offerer.transport.close()
        await self.answerer.transport.close()


def remote_of(end: End) -> RemoteTransportParameters:
    """What the other side reads in an end's description."""
    return remote(end.transport.local_description)


def remote(local: LocalTransportParameters) -> RemoteTransportParameters:
    """What the other side reads in our description."""
    return RemoteTransportParameters(
        ufrag=local.ufrag,
        password=local.password,
        fingerprints=local.fingerprints,
        candidates=local.candidates,
    )


def start(
    end: End, description: LocalTransportParameters, role: Literal["client", "server"]
) -> None:
    end.transport.start(remote(description), dtls_role=role)


def link(text: str, seed: int) -> LinkFactory:
    """A link of the simulator's language; its time begins when the transport is made."""
    profile = LinkProfile.parse(text)
    return lambda now: Link[object](profile, rng=random.Random(seed), started_at=now)


LOOPBACK = TransportConfig(addresses=("127.0.0.1",), watch_interval=None)

MakePair = Callable[..., Pair]
"""``make_pair(config, up=..., down=...)``: the links of what the offerer and the answerer send."""
