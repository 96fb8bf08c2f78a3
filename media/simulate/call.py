"""Call: two real sessions talk over a simulated network, and what each notices is recorded.

::

    number, picture, sound ─> MediaSession a ─> up ──> MediaSession b ─> Observer of a to b
    Observer of b to a <──── MediaSession a <─ down <─ MediaSession b <─ number, picture, sound

Everything is real but the codecs, the network and time; the codecs too can be real ones
(:attr:`CallConfig.codecs`), with pictures and sounds worth coding.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.session import MediaSession, SessionConfig, SessionStats
from ringline.media.simulate.codecs import SimulatedCodecs
from ringline.media.simulate.driver import Node, Simulation
from ringline.media.simulate.link import Link
from ringline.media.simulate.marks import make_picture, make_sound
from ringline.media.simulate.observe import Observation, Observer
from ringline.media.simulate.profile import NetworkProfile
from ringline.media.units import PayloadType, Ssrc

__all__ = ["CallConfig", "SimulatedCall", "session_parameters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfig:
    """What the two send."""

    width: int = 640
    """Of the camera's pictures: the size at which calls are scored."""

    height: int = 360
    """Likewise."""

    frame_rate: float = 30.0
    """The camera's."""

    drift: float = 0.0
    """By how much *b*'s clock is faster than *a*'s: 300e-6 is 300 ppm, as cheap sound cards
    differ.  Its devices and everything else there run on it."""

    video: bool = True
    """Whether *a* has a camera."""

    answering_video: bool = True
    """Whether *b* has one.  Where only the way up is of interest, a call without costs half."""

    ulpfec: bool = False
    """Whether pictures are protected as with a browser."""

    rpsi: bool = True
    """Whether they can repair a loss without a key frame, as our own peers can with each other."""

    rlc: bool = True
    """Whether pictures are protected as between our own peers, unless ``ulpfec``."""

    session: SessionConfig | None = None
    """Of both sessions; :obj:`None` for the defaults."""

    codecs: Callable[[random.Random], CodecRegistry] | None = None
    """Gives each session its codecs, as ``lambda rng: CodecRegistry()`` gives real ones;
    :obj:`None` for simulated ones, which cost a hundredth.  Real ones take no virtual time either,
    and need pictures and sounds of their own below: marked ones are not worth coding, nor do
    marked sounds survive it, so what the observers say of sound is then void."""

    pictures: Callable[[int], NDArray[np.uint8]] | None = None
    """Draws picture ``number`` (``VideoFrame.planes``), its number in the strip on top where
    observers look for it; :obj:`None` for marked ones of ``width`` and ``height``."""

    sounds: Callable[[int], NDArray[np.int16]] | None = None
    """Gives 20 ms ``number`` of sound, ``int16`` of shape ``(960,)``; :obj:`None` for marked
    ones."""


class SimulatedCall:
    """A call between two sessions, *a* who calls and *b*.

    Both are connected and send from now on; :meth:`run` lets time pass.

    Args:
        network: Between the two; *up* is from *a* to *b*.
        seed: Decides everything that chance decides.
        config: What the two send.
        beside: Another call on the same network, to share its links, bottlenecks and clock with;
            the seed is then the other's.

    Raises:
        ValueError: If the other call is on another network.

    Attributes:
        network: Between the two.
        simulation: To schedule more by: a mute, an outage of one session, another call beside it.
        a: The caller's place in it.
        b: The other's.
        up: The way from *a* to *b*.
        down: The way back.
        a_to_b: What *b* notices of *a*.
        b_to_a: What *a* notices of *b*.

    """

    def __init__(
        self,
        network: NetworkProfile,
        *,
        seed: int = 1,
        config: CallConfig | None = None,
        beside: SimulatedCall | None = None,
    ) -> None:
        if beside is not None and beside.network != network:
            raise ValueError(f"the other call is on {beside.network.name}, not {network.name}")
        self._config: Final = config or CallConfig()
        self.network: Final[NetworkProfile] = network
        self.simulation: Final[Simulation] = beside.simulation if beside else Simulation(seed=seed)
        self._sessions: Final = (self._make_session(0), self._make_session(1))
        self.a: Final[Node] = self.simulation.add("a", self._sessions[0])
        self.b: Final[Node] = self.simulation.add(
            "b", self._sessions[1], clock_rate=1 + self._config.drift
        )
        if beside is None:
            up, down = self.simulation.connect(self.a, self.b, network)
        else:
            up, down = beside.up, beside.down
            self.a.route(up, self.b)
            self.b.route(down, self.a)
        self.up: Final[Link[Node]] = up
        self.down: Final[Link[Node]] = down
        self.a_to_b: Final = Observer(network.up)
        self.b_to_a: Final = Observer(network.down)
        round_trip = _round_trip(network)
        for node, session in zip((self.a, self.b), self._sessions, strict=True):
            session.expect_round_trip(round_trip, node.now)
        self._start(self.a, self._sessions[0], self.b, self.a_to_b)
        self._start(self.b, self._sessions[1], self.a, self.b_to_a)

    def run(self, until: float) -> None:
        """Let time pass until the clock says ``until`` seconds."""
        self.simulation.run(until)

    def observe(self, start: float, end: float | None = None) -> tuple[Observation, Observation]:
        """Return what *b* noticed of *a* and *a* of *b*; until now, if there is no ``end``."""
        end = self.simulation.now if end is None else end
        return self.a_to_b.observe(start, end), self.b_to_a.observe(start, end)

    def stats(self) -> tuple[SessionStats, SessionStats]:
        """Return the statistics of *a* and *b* at this moment."""
        return self._sessions[0].stats(self.a.now), self._sessions[1].stats(self.b.now)

    def session(self, node: Node) -> MediaSession:
        """Return the session behind a node; ``now`` of its inputs is the node's.

        Drain the node after any input given to it.
        """
        return self._sessions[0] if node is self.a else self._sessions[1]

    def _make_session(self, index: int) -> MediaSession:
        simulation = self.simulation
        clock_rate = 1 + self._config.drift * index
        return MediaSession(
            session_parameters(
                index,
                ulpfec=self._config.ulpfec,
                rpsi=self._config.rpsi,
                rlc=self._config.rlc and not self._config.ulpfec,
            ),
            self._config.session,
            codecs=(self._config.codecs or _simulated_codecs)(simulation.fork_rng()),
            rng=simulation.fork_rng(),
            # The clocks of two machines agree on the rate more or less, on the time not at all.
            wall_clock=lambda: 1_700_000_000.0 + 1000 * index + simulation.now * clock_rate,
            now=simulation.now * clock_rate,
        )

    def _start(self, sender: Node, session: MediaSession, receiver: Node, seen: Observer) -> None:
        config, simulation = self._config, self.simulation
        counts = {"sound": 0, "picture": 0}

        def send_sound(now: float) -> None:
            number = counts["sound"]
            counts["sound"] += 1
            seen.handle_sound_sent(number, now)
            samples = (config.sounds or make_sound)(number)
            session.handle_audio_frame(AudioFrame(samples, captured_at=sender.now), sender.now)
            sender.drain()

        def send_picture(now: float) -> None:
            number = counts["picture"]
            counts["picture"] += 1
            seen.handle_picture_sent(number, now)
            if config.pictures is not None:
                planes = config.pictures(number)
            else:
                planes = make_picture(number, config.width, config.height)
            session.handle_video_frame(VideoFrame(planes, captured_at=sender.now), sender.now)
            sender.drain()

        receiver.on_audio = seen.handle_sound_played
        receiver.on_video = seen.handle_picture_shown
        receiver.on_arrived = seen.handle_datagram_arrived
        session.set_connected(connected=True, now=sender.now)
        sender.drain()
        # Devices start when they like, not in step with each other or with the other side's.
        phase: random.Random = simulation.fork_rng()
        second = 1 / sender.clock_rate  # of the devices
        simulation.every(0.02 * second, send_sound, start=simulation.now + phase.uniform(0, 0.02))
        if config.video if sender is self.a else config.answering_video:
            period = second / config.frame_rate
            simulation.every(period, send_picture, start=simulation.now + phase.uniform(0, period))


def _round_trip(network: NetworkProfile) -> float:
    """Return what connectivity checks measure at best before the call, in seconds."""
    return sum(link.at(0.0).delay for link in (network.up, network.down))


def _simulated_codecs(rng: random.Random) -> CodecRegistry:
    # The registry's methods are all that a session uses of it.
    return cast("CodecRegistry", SimulatedCodecs(rng))


def session_parameters(
    index: int, *, ulpfec: bool = False, rpsi: bool = True, rlc: bool = True
) -> SessionParameters:
    """Return what negotiation settles, between two of our own peers or with a browser.

    Args:
        index: 0 or 1: whose parameters.
        ulpfec: With forward error correction as browsers speak it.
        rpsi: Whether both can select reference pictures; browsers cannot.
        rlc: Whether both speak our own code of repair packets.

    """

    def streams(owner: int) -> tuple[StreamParameters, ...]:
        first = 1000 * (owner + 1)
        audio = StreamParameters(
            kind="audio",
            mid="0",
            payload_type=PayloadType(111),
            ssrc=Ssrc(first),
            red_payload_type=PayloadType(63),
            transport_cc=True,
            in_band_fec=True,
        )
        video = StreamParameters(
            kind="video",
            mid="1",
            payload_type=PayloadType(96),
            ssrc=Ssrc(first + 1),
            rtx_payload_type=PayloadType(97),
            rtx_ssrc=Ssrc(first + 2),
            red_payload_type=PayloadType(116) if ulpfec else None,
            ulpfec_payload_type=PayloadType(117) if ulpfec else None,
            repair_payload_type=PayloadType(107) if rlc else None,
            repair_ssrc=Ssrc(first + 3) if rlc else None,
            nack=True,
            pli=True,
            rpsi=rpsi,
            transport_cc=True,
        )
        return audio, video

    return SessionParameters(
        cname=f"peer-{index}",
        local_ssrc=Ssrc(1000 * (index + 1)),
        send=streams(index),
        receive=streams(1 - index),
        extension_ids=ExtensionIds(
            mid=1, audio_level=2, absolute_send_time=3, transport_sequence_number=4
        ),
        reduced_size_rtcp=True,
    )
