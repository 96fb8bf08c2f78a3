"""Serve: the server on the command line, and the tokens that let people into it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ringline.client.errors import LocalError
from ringline.client.key_file import make_key_file, parse_key_file
from ringline.signaling.config import ServerConfig
from ringline.signaling.io_server import RinglineServer
from ringline.signaling.tokens import TokenKeys, mint_token

__all__ = ["ServeOptions", "default_key_path", "make_token", "serve"]

_LOOPBACK = "127.0.0.0/8"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the command line says about a server; see :class:`ServerConfig`.

    Attributes:
        turn_secret_file: Holds what ``turn_urls`` share; :obj:`None` for the variable
            ``RINGLINE_TURN_SECRET``.
        key_file: Keys of tokens; :obj:`None` for :func:`default_key_path`.

    """

    host: str
    port: int
    turn: bool
    turn_port: int
    turn_workers: int
    turn_allow_peers: tuple[str, ...]
    turn_urls: tuple[str, ...]
    turn_secret_file: Path | None
    external_host: str | None
    allowed_origins: tuple[str, ...]
    dev: bool
    key_file: Path | None
    json_lines: bool


async def serve(options: ServeOptions) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        LocalError: If an option cannot be meant so, or the key file cannot be used.
        ServerStartError: If a port is taken or an address is not ours.

    """
    key_path = options.key_file or default_key_path()
    keys = None if options.dev else read_keys(key_path, make=options.key_file is None)
    allow_peers = options.turn_allow_peers
    if options.dev and _is_loopback(options.host):
        # Whoever reaches a server on loopback reaches loopback anyway; without it two peers on
        # one machine could not try the relay.
        allow_peers += (_LOOPBACK,)
    try:
        config = ServerConfig(
            host=options.host,
            port=options.port,
            turn=options.turn,
            turn_port=options.turn_port,
            turn_workers=options.turn_workers,
            turn_allow_peers=allow_peers,
            turn_urls=options.turn_urls,
            turn_secret=_read_turn_secret(options.turn_secret_file),
            external_host=options.external_host,
            dev=options.dev,
            token_keys=keys,
            allowed_origins=options.allowed_origins,
        )
    except ValueError as error:
        raise LocalError(str(error)) from None
    async with RinglineServer(config) as server:
        stopped = asyncio.create_task(server.wait_stopped())
        await asyncio.sleep(0)  # it hears signals from now on: who reads our line may send one
        _announce(server, options, key_path)
        await stopped
    if not options.json_lines:
        print("the server has stopped")  # noqa: T201 - this is the command's output


def default_key_path() -> Path:
    """Return where ``serve`` and ``token`` keep their key unless told otherwise."""
    config = os.environ.get("XDG_CONFIG_HOME")
    base = Path(config) if config else Path.home() / ".config"
    return base / "ringline" / "token.key"


def make_token(name: str, *, key_file: Path | None, lifetime: float) -> str:
    """Return a token for a name.

    Raises:
        LocalError: If there is no key, or the name or lifetime is not possible.

    """
    path = key_file or default_key_path()
    keys = read_keys(path, make=False)
    try:
        return mint_token(keys, name, wallclock=time.time(), lifetime=lifetime)
    except ValueError as error:
        raise LocalError(str(error)) from None


def read_keys(path: Path, *, make: bool) -> TokenKeys:
    """Return the keys in a file.

    Args:
        path: The file.
        make: Make one with a fresh key, readable by this user alone, if there is none.

    Raises:
        LocalError: If it cannot be read or made.

    """
    try:
        if make and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Born with these rights: there is no moment in which others can read it.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(make_key_file())
        text = path.read_text()
    except FileNotFoundError:
        raise LocalError(
            f"no such key file: {path} (the first 'ringline serve' without --dev makes one)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise LocalError(f"cannot use the key file {path}: {reason}") from None
    return parse_key_file(text, where=str(path))


def _read_turn_secret(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get("RINGLINE_TURN_SECRET") or None
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise LocalError(f"--turn-secret-file: cannot read {path}: {reason}") from None
    if not secret:
        raise LocalError(f"--turn-secret-file: {path} is empty, so that anybody could mint")
    return secret


def _announce(server: RinglineServer, options: ServeOptions, key_path: Path) -> None:
    websocket = "ws" + server.url.removeprefix("http")
    turn = None if server.turn_port is None else f"{_turn_host(options)}:{server.turn_port}"
    if options.json_lines:
        fields = {
            "type": "listening",
            "page": server.url,
            "server": websocket,
            "port": server.port,
            "turn": turn,
            "turn_port": server.turn_port,
            "turn_urls": options.turn_urls,
            "dev": options.dev,
        }
        print(json.dumps(fields), flush=True)  # noqa: T201
        return
    name = "anybody by name, without a token (--dev)" if options.dev else "people with a token"
    lines = [
        f"page       {server.url}/",
        f"server     {websocket}",
        f"TURN       {turn} (UDP)" if turn else "TURN       not running",
        *(f"relay      {url}" for url in options.turn_urls),
        f"lets in    {name}",
    ]
    if not options.dev:
        lines.append(f"key        {key_path}; 'ringline token NAME' gives tokens")
    elif not _is_loopback(options.host):
        lines.append("careful    --dev on an address that others reach: they need no token")
    print("\n".join([*lines, "Ctrl-C ends it"]), flush=True)  # noqa: T201
    sys.stdout.flush()


def _turn_host(options: ServeOptions) -> str:
    return options.external_host or options.host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
