"""The command line: ``ringline`` or ``python -m ringline.client``.

Here are the words and their help; what they do is in the ``io_*`` modules, which are imported
when a command runs, so that ``--help`` is quick.  Every error that a person can make or meet is
one line on standard error and an exit code of :class:`~.exit_codes.ExitCode`.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ringline.client import command_help
from ringline.client.command_options import (
    As,
    Audio,
    Json,
    Local,
    Network,
    Play,
    Record,
    Relay,
    Server,
    Show,
    Token,
    TurnCa,
    Verbose,
    Video,
)

if TYPE_CHECKING:
    from ringline.client.io_talk_options import TalkOptions
    from ringline.media.simulate.profile import NetworkProfile

__all__ = ["main"]

app = typer.Typer(
    name="ringline",
    help=command_help.ROOT,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - 20 ms

        typer.echo(f"ringline {version('ringline')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command(help=command_help.DEMO)
def demo(
    *,
    seconds: Annotated[float, typer.Option(min=2, max=3600, help="How long they talk.")] = 15,
    play: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The caller sends this film; any that FFmpeg opens."),
    ] = None,
    relay: Relay = False,
    network: Network = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for recording, report and plots.  [default: ./ringline-demo-DATE-TIME]",
        ),
    ] = None,
    json_lines: Json = False,
    verbose: Verbose = False,
) -> None:
    """Make a whole call on this machine and show how it goes."""

    def run() -> None:
        link = _find_network(network)
        if play is not None:
            _check_film(play)
        from ringline.client.io_demo import DemoOptions, run_demo  # noqa: PLC0415
        from ringline.turn.io_loop import run as run_loop  # noqa: PLC0415

        folder = out or Path(time.strftime("ringline-demo-%Y%m%d-%H%M%S"))
        options = DemoOptions(
            seconds=seconds,
            play=play,
            relay=relay,
            network=link,
            out=folder,
            json_lines=json_lines,
            verbose=verbose,
        )
        raise typer.Exit(run_loop(run_demo(options)))

    _guarded(run, json_lines=json_lines, verbose=verbose)


@app.command(help=command_help.CALL)
def call(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom to call.")],
    as_: As = None,
    server: Server = "ws://localhost:8080",
    token: Token = None,
    play: Play = None,
    audio: Audio = None,
    video: Video = None,
    record: Record = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Hang up after so long.", show_default=False),
    ] = None,
    ring: Annotated[
        float | None,
        typer.Option(min=5, max=180, metavar="SECONDS", help="How long it rings.  [default: 60]"),
    ] = None,
    relay: Relay = False,
    turn_ca: TurnCa = None,
    network: Network = None,
    local: Local = False,
    show: Show = None,
    json_lines: Json = False,
    verbose: Verbose = False,
) -> None:
    """Call somebody by name and talk until one of you hangs up (Ctrl-C)."""

    def run() -> None:
        options = _talk_options(
            name=as_,
            server=server,
            token=token,
            play=play,
            audio=audio,
            video=video,
            record=record,
            seconds=seconds,
            ring=ring,
            relay=relay,
            turn_ca=turn_ca,
            network=network,
            local=local,
            show=show,
            json_lines=json_lines,
        )
        from ringline.client.io_talk import call_somebody  # noqa: PLC0415
        from ringline.client.talk_output import make_output  # noqa: PLC0415
        from ringline.turn.io_loop import run as run_loop  # noqa: PLC0415

        output = make_output(json_lines=json_lines)
        try:
            raise typer.Exit(run_loop(call_somebody(name, options, output)))
        finally:
            output.close()

    _guarded(run, json_lines=json_lines, verbose=verbose)


@app.command(help=command_help.ANSWER)
def answer(
    *,
    as_: As = None,
    server: Server = "ws://localhost:8080",
    token: Token = None,
    play: Play = None,
    audio: Audio = None,
    video: Video = None,
    record: Record = None,
    once: Annotated[bool, typer.Option("--once", help="Leave after the first call.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1, metavar="SECONDS", help="Hang up each call after so long.", show_default=False
        ),
    ] = None,
    relay: Relay = False,
    turn_ca: TurnCa = None,
    network: Network = None,
    local: Local = False,
    show: Show = None,
    json_lines: Json = False,
    verbose: Verbose = False,
) -> None:
    """Wait for calls and answer every one, one at a time; others hear that you are busy."""

    def run() -> None:
        options = _talk_options(
            name=as_,
            server=server,
            token=token,
            play=play,
            audio=audio,
            video=video,
            record=record,
            seconds=seconds,
            ring=None,
            relay=relay,
            turn_ca=turn_ca,
            network=network,
            local=local,
            show=show,
            json_lines=json_lines,
        )
        from ringline.client.io_talk import answer_calls  # noqa: PLC0415
        from ringline.client.talk_output import make_output  # noqa: PLC0415
        from ringline.turn.io_loop import run as run_loop  # noqa: PLC0415

        output = make_output(json_lines=json_lines)
        try:
            raise typer.Exit(run_loop(answer_calls(options, output, once=once)))
        finally:
            output.close()

    _guarded(run, json_lines=json_lines, verbose=verbose)


@app.command(help=command_help.SERVE)
def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="TCP port of page and WebSocket; 0 takes a free one."),
    ] = 8080,
    turn_port: Annotated[
        int, typer.Option(min=0, max=65535, help="UDP and TCP port of TURN; 0 takes a free one.")
    ] = 3478,
    turn: Annotated[bool, typer.Option("--turn/--no-turn", help="Run the TURN relay.")] = True,
    turn_workers: Annotated[
        int,
        typer.Option(min=0, help="Processes that TURN has; 1 is this one, 0 is one for each core."),
    ] = 1,
    turn_allow_peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RANGE",
            help="Let TURN relay to a private range such as 192.168.0.0/16; may come again.",
        ),
    ] = None,
    turn_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Another TURN server for every call, as turn:HOST:PORT?transport=udp or "
            "turns:HOST:PORT; may come again.  With two, a call outlives the loss of one.",
        ),
    ] = None,
    turn_secret_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The secret that those share, one of their RINGLINE_TURN_SECRETS.  "
            "[default: the variable RINGLINE_TURN_SECRET]",
        ),
    ] = None,
    external_host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Host that clients reach TURN by, if it is not the one they reach the page by.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Page of another host that may connect (https://app.example); may come again.",
        ),
    ] = None,
    dev: Annotated[
        bool,
        typer.Option("--dev", help="Let in anybody under any free name, without a token."),
    ] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keys that sign tokens.  [default: ~/.config/ringline/token.key, made if missing]",
        ),
    ] = None,
    json_lines: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run the server: signaling, the page for browsers, and the TURN relay."""

    def run() -> None:
        from ringline.client import io_serve  # noqa: PLC0415
        from ringline.turn.io_loop import run as run_loop  # noqa: PLC0415

        options = io_serve.ServeOptions(
            host=host,
            port=port,
            turn=turn,
            turn_port=turn_port,
            turn_workers=turn_workers,
            turn_allow_peers=tuple(turn_allow_peer or ()),
            turn_urls=tuple(turn_url or ()),
            turn_secret_file=turn_secret_file,
            external_host=external_host,
            allowed_origins=tuple(allow_origin or ()),
            dev=dev,
            key_file=key_file,
            json_lines=json_lines,
        )
        run_loop(io_serve.serve(options))

    _guarded(run, json_lines=json_lines, verbose=verbose)


@app.command(help=command_help.TURN)
def turn(
    *,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; may come twice, once for IPv4 and once for IPv6.  '::' is "
            "IPv6 alone.  Relays are given in the families named.  [default: 0.0.0.0 and ::]",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="UDP and TCP port; 0 takes a free one.  [default: 3478]"
        ),
    ] = None,
    realm: Annotated[
        str | None,
        typer.Option(help="Named to clients and part of their keys.  [default: ringline]"),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PASSWORD",
            help="Whom to let in; may come again.  Others on this machine can see it: rather "
            "use the file, or RINGLINE_TURN_USERS.",
        ),
    ] = None,
    allow_peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RANGE",
            help="Relay to a private range such as 192.168.0.0/16; may come again.",
        ),
    ] = None,
    external_address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="What peers see, where a NAT is before the server; may come once for each family.",
        ),
    ] = None,
    tls_certificate: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Certificate and chain, PEM: serve TLS too."),
    ] = None,
    tls_private_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its key, if not in the same file.")
    ] = None,
    tls_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="TCP port of TLS.  [default: 5349]")
    ] = None,
    tcp_allocations: Annotated[
        bool | None,
        typer.Option(
            "--tcp-allocations/--no-tcp-allocations",
            help="Give relays over TCP too (RFC 6062): not for calls.  [default: no]",
        ),
    ] = None,
    mobility: Annotated[
        bool | None,
        typer.Option(
            "--mobility",
            help="Let clients that ask for it go on from another address (RFC 8016).  Servers "
            "with the same RINGLINE_TURN_MOBILITY_KEYS know each other's tickets.",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Show /metrics and /health here, on loopback."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, max=64, help="Processes on one port, on Linux; 0: one a core.  [default: 1]"
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(metavar="text|json", help="How the log is written.  [default: text]"),
    ] = None,
    redact_logs: Annotated[
        bool | None,
        typer.Option(
            "--redact-logs/--no-redact-logs",
            help="Log pseudonyms in place of addresses and user names.  [default: no]",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings in TOML; options are stronger."),
    ] = None,
    json_lines: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run the STUN and TURN server alone."""

    def run() -> None:
        from ringline.client import io_turn  # noqa: PLC0415

        given = {
            "host": _tuple(host),
            "port": port,
            "realm": realm,
            "users": io_turn.read_users(user),
            "allow_peers": _tuple(allow_peer),
            "external_address": _tuple(external_address),
            "mobility": mobility,
            "tls_certificate": tls_certificate,
            "tls_private_key": tls_private_key,
            "tls_port": tls_port,
            "tcp_allocations": tcp_allocations,
            "log_format": log_format,
            "redact_logs": redact_logs,
            "metrics_port": metrics_port,
            "workers": workers,
        }
        io_turn.run(given, config=config, json_lines=json_lines)

    _guarded(run, json_lines=json_lines, verbose=verbose)


@app.command(help=command_help.MINT)
def token(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom it lets in.")],
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keys of the server.  [default: ~/.config/ringline/token.key]",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="How long it is good for coming in.")
    ] = 3600,
) -> None:
    """Print a token that lets NAME into a server run without --dev."""

    def run() -> None:
        from ringline.client.io_serve import make_token  # noqa: PLC0415

        typer.echo(make_token(name, key_file=key_file, lifetime=seconds))

    _guarded(run)


@app.command(help=command_help.DOCTOR)
def doctor(
    *,
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="A server to look at too.", show_default=False),
    ] = None,
    turn_port: Annotated[
        int, typer.Option(min=1, max=65535, help="UDP port of that server's TURN.")
    ] = 3478,
    json_lines: Json = False,
    verbose: Verbose = False,
) -> None:
    """Look at what calls need on this machine, say what is wrong and how to mend it."""

    def run() -> None:
        from ringline.client.doctor import Level, worst_level  # noqa: PLC0415
        from ringline.client.doctor_output import print_findings  # noqa: PLC0415
        from ringline.client.io_doctor import examine  # noqa: PLC0415

        findings = asyncio.run(examine(url, turn_port=turn_port))
        print_findings(findings, sys.stdout, json_lines=json_lines)
        raise typer.Exit(1 if worst_level(findings) is Level.PROBLEM else 0)

    _guarded(run, json_lines=json_lines, verbose=verbose)


def main() -> None:
    """Run the command line; the entry point of ``ringline``."""
    app(prog_name="ringline")


# Parts of the commands


def _tuple(given: list[str] | None) -> tuple[str, ...] | None:
    """Return what may come again as a setting; nothing is not given."""
    return tuple(given) if given else None


def _guarded(run: Callable[[], None], *, json_lines: bool = False, verbose: bool = False) -> None:
    """Run a command's body; turn every expected error into one line and an exit code."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(asctime)s %(name)s: %(message)s" if verbose else "ringline: %(message)s",
    )
    try:
        run()
    except typer.Exit:
        raise
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None
    except Exception as error:
        logging.getLogger(__name__).debug("what led here:", exc_info=True)
        code = _code_of(error)
        text = str(error)
        if code is None:
            text = f"unexpected {type(error).__name__}: {error} (--verbose shows where)"
        _fail(text, code or 1, json_lines=json_lines)


def _code_of(error: Exception) -> int | None:
    """Return the exit code for an error that a person can understand, else :obj:`None`."""
    from ringline.client.errors import RinglineError  # noqa: PLC0415 - see the module's docstring
    from ringline.client.exit_codes import code_of_error  # noqa: PLC0415
    from ringline.media.errors import MediaError  # noqa: PLC0415
    from ringline.signaling.errors import SignalingServerError  # noqa: PLC0415

    if isinstance(error, (RinglineError, MediaError, SignalingServerError)):
        return code_of_error(error)
    return None


def _fail(text: str, code: int, *, json_lines: bool) -> NoReturn:
    line = " ".join(text.split())
    if json_lines:
        import json  # noqa: PLC0415 - only here

        typer.echo(json.dumps({"type": "error", "text": line, "code": int(code)}))
    typer.echo(f"ringline: {line}", err=True)
    raise typer.Exit(int(code))


def _find_network(word: str | None) -> NetworkProfile | None:
    """Return the network of ``--network``; prints the list and ends for ``list``."""
    if word is None:
        return None
    from ringline.media.simulate.profiles import PROFILES, find_network  # noqa: PLC0415

    if word == "list":
        for profile in PROFILES.values():
            typer.echo(f"{profile.name:<15} {profile.summary}")
        raise typer.Exit
    try:
        return find_network(word)
    except ValueError as error:
        _fail(f"--network: {error}", 2, json_lines=False)


def _check_film(path: Path) -> None:
    """Look into the demo's film before anything is started.

    Raises:
        SourceError: If it is not there or has no picture.

    """
    from ringline.client.io_devices import open_sources  # noqa: PLC0415
    from ringline.client.source_choice import choose_sources  # noqa: PLC0415

    open_sources(*choose_sources(play=str(path), audio=None, video=None), name="")


def _talk_options(
    *,
    name: str | None,
    server: str,
    token: str | None,
    play: Path | None,
    audio: str | None,
    video: str | None,
    record: Path | None,
    seconds: float | None,
    ring: float | None,
    relay: bool,
    turn_ca: Path | None,
    network: str | None,
    local: bool,
    show: bool | None,
    json_lines: bool,
) -> TalkOptions:
    link = _find_network(network)
    from ringline.client.io_talk_options import TalkOptions  # noqa: PLC0415
    from ringline.client.source_choice import choose_sources  # noqa: PLC0415

    film = None if play is None else str(play)
    sound, picture = choose_sources(play=film, audio=audio, video=video)
    return TalkOptions(
        server=server,
        name=name or _login_name(),
        token=token,
        audio=sound,
        video=picture,
        record=record,
        seconds=seconds,
        ring_seconds=ring,
        relay=relay,
        turn_ca=turn_ca,
        network=link,
        local=local,
        play=show if show is not None else sys.stdout.isatty() and not json_lines,
    )


def _login_name() -> str:
    """Return the user's login name, as far as it can be a name on a server."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without an entry in passwd
        name = ""
    return re.sub(r"[^A-Za-z0-9._@+-]", "", name).lstrip("._@+-")[:64] or "somebody"


if __name__ == "__main__":
    main()
