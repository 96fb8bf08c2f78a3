"""Command options: those that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "As",
    "Audio",
    "Json",
    "Local",
    "Network",
    "Play",
    "Record",
    "Relay",
    "Server",
    "Show",
    "Token",
    "TurnCa",
    "Verbose",
    "Video",
]

Server = Annotated[
    str,
    typer.Option(envvar="RINGLINE_SERVER", metavar="URL", help="The server."),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        envvar="RINGLINE_NAME",
        metavar="NAME",
        help="Who you are, on a server run with --dev; your login name if not given.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="RINGLINE_TOKEN",
        metavar="TOKEN",
        help="Who you are, on any other server; better given in the environment, "
        "where other users do not see it.",
        show_envvar=True,
    ),
]
Play = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Send this film, again and again, as camera and microphone."),
]
Audio = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="What you say: auto (microphone if there is one, else a synthetic voice), mic, "
        "mic:NAME, voice, none, or a file.",
    ),
]
Video = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="What you show: auto (camera if there is one, else a moving pattern), camera, "
        "camera:NAME, pattern, none, or a file.",
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Record what you hear and see, as Matroska (.mkv)."),
]
Relay = Annotated[
    bool,
    typer.Option("--relay", help="Send through the TURN relay even where a direct path works."),
]
TurnCa = Annotated[
    Path | None,
    typer.Option(
        # Not RINGLINE_TURN_CA: what begins so is a setting of `ringline turn`.
        envvar="RINGLINE_RELAY_CA",
        metavar="FILE",
        help="Certificate (PEM) of a private authority that turns: servers are trusted by, beside "
        "the system's.",
        show_envvar=True,
    ),
]
Network = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Make the network bad, in user space: a named one ('--network list' shows them) or "
        "'rate=300,delay=50,loss=2' (kbit/s, ms, percent).",
    ),
]
Local = Annotated[
    bool, typer.Option("--local", help="Use loopback only: the other side is on this machine.")
]
Show = Annotated[
    bool | None,
    typer.Option(
        "--show/--no-show",
        help="Play what you get on a speaker and in a window, if there are any; by default at a "
        "terminal without --json.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print lines of JSON, for scripts.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", "--debug", help="Log what happens inside to standard error."),
]
