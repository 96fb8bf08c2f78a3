"""Talk options: what the command line says about a call, and what is opened for it.

Everything that can be missing (a file, a device, a folder) is looked for before anybody rings.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringline.client.call import CallConfig
from ringline.client.client import Client, ClientConfig
from ringline.client.errors import LocalError
from ringline.client.io_devices import OpenSources
from ringline.client.io_network import default_rate_file
from ringline.client.source_choice import Origin, SourceChoice
from ringline.client.talk_output import Output
from ringline.client.transport import EmulatedLink, LinkFactory, TransportConfig
from ringline.media.errors import DeviceError
from ringline.media.io_display import Display, display_problem
from ringline.media.io_record import Recorder
from ringline.media.io_speaker import Speaker
from ringline.media.simulate.link import Link
from ringline.media.simulate.profile import LinkProfile, NetworkProfile
from ringline.media.sink import AudioSink, VideoSink

__all__ = [
    "Sinks",
    "TalkOptions",
    "check_record",
    "make_client",
    "numbered_path",
    "open_sinks",
    "tell_notes",
]


_NO_MEMORY: Final = "RINGLINE_NO_RATE_FILE"
"""Set to anything, this keeps no file of what calls reached on which network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkOptions:
    """What the command line says about a call.

    Attributes:
        server: Its URL.
        name: Who we are, on a server in development mode.
        token: Who we are, on any other.
        audio: What we say.
        video: What we show.
        record: File for what we hear and see, or :obj:`None`.
        seconds: Hang up after so long, or :obj:`None` to leave it to the people.
        ring_seconds: How long it rings at the other side, or :obj:`None` for the usual time.
        relay: Go through the TURN relay even where a direct path works.
        turn_ca: Certificate of a private authority of TURN servers, or :obj:`None`.
        network: A bad network to put between the two, or :obj:`None`.
        local: Use loopback only: both are on this machine.
        play: Use a speaker and a window, where there are any.

    """

    server: str
    name: str
    token: str | None
    audio: SourceChoice
    video: SourceChoice
    record: Path | None
    seconds: float | None
    ring_seconds: float | None
    relay: bool
    turn_ca: Path | None
    network: NetworkProfile | None
    local: bool
    play: bool


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where what is heard and seen goes."""

    audio: AudioSink | None = None
    video: VideoSink | None = None


def open_sinks(options: TalkOptions, record: Path | None, peer: str, output: Output) -> list[Sinks]:
    """Open the recording, and a speaker and a window where wished for and there.

    Raises:
        RecordingError: If the recording cannot be written.

    """
    sinks = []
    if record is not None:
        recorder = Recorder(record, video=options.video.origin is not Origin.NONE)
        sinks.append(Sinks(recorder, recorder))
    if options.play:
        try:
            sinks.append(Sinks(audio=Speaker()))
        except DeviceError as error:
            output.tell("note", f"{error}; what is said is not heard here", text=str(error))
        problem = display_problem()
        if problem is None:
            sinks.append(Sinks(video=Display(f"Ringline: {peer}")))
        else:
            output.tell("note", problem, text=problem)
    return sinks


def make_client(options: TalkOptions, *, outgoing: bool) -> Client:
    """Return the client, on the bad network if one is wished for.

    Args:
        options: Server, name, way and network.
        outgoing: Whether we call: the caller's packets go up the network, the callee's down.

    Raises:
        LocalError: If the certificate cannot be used.

    """
    link: LinkFactory | None = None
    if options.network is not None:
        link = _link_factory(options.network.up if outgoing else options.network.down)
    transport = TransportConfig(addresses=("127.0.0.1",) if options.local else None, link=link)
    return Client(
        options.server,
        name=options.name,
        token=options.token,
        relay_only=options.relay,
        turn_ca=options.turn_ca,
        config=ClientConfig(
            max_calls=1,
            call=CallConfig(transport=transport),
            # An emulated network is none that this machine is in; loopback is none either.
            remember_rates=options.network is None and not options.local,
            rate_file=None if os.environ.get(_NO_MEMORY) else default_rate_file(),
        ),
    )


def _link_factory(profile: LinkProfile) -> LinkFactory:
    def make(now: float) -> EmulatedLink:
        # A fixed seed: the same network on each run, as far as the timing of packets allows.
        return Link(profile, rng=random.Random(1), started_at=now)  # noqa: S311 - no secret

    return make


def numbered_path(path: Path | None, number: int) -> Path | None:
    """Return the file for the recording of the nth call: ``out.mkv``, ``out-2.mkv``, ..."""
    if path is None or number == 1:
        return path
    return path.with_stem(f"{path.stem}-{number}")


def check_record(path: Path | None) -> None:
    """Look whether a recording can be written, before anybody calls.

    Raises:
        LocalError: If not.

    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise LocalError(f"cannot record to {path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise LocalError(f"cannot record to {path}: it cannot be written")


def tell_notes(sources: OpenSources, output: Output) -> None:
    """Tell what a person should know about what is sent."""
    for note in sources.notes:
        output.tell("note", note, text=note)
