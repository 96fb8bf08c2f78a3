"""Worker: one process of a server that has several; :mod:`~ringline.turn.io_workers` starts it.

It is told everything by one socket, a line of JSON at a time: first what it is, then what to do::

    metrics    answered by a line with all counters
    drain      no new allocations
    reload     certificate, key and the machine's addresses are read again
    read_interfaces  the addresses alone
    deny_own_port    no client reaches that port
    end_call   its allocations end after the grace

The end of that socket is the end of the worker: without its supervisor it would hold a port that
nobody can take over.  Signals are the supervisor's; here they are ignored.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from typing import Any, Final

from ringline.turn.errors import ConfigError, ListenError
from ringline.turn.fleet import Fleet
from ringline.turn.io_link import FileLock, Link, WorkerPlace, map_memory
from ringline.turn.io_loop import run
from ringline.turn.io_service import TurnService
from ringline.turn.log_format import LogFormatter, Redactor
from ringline.turn.settings import restore_turn

__all__ = ["main"]

logger = logging.getLogger(__name__)

_MAX_LINE: Final = 1 << 26
"""Bytes of a line: with the settings comes every user.  The supervisor is trusted."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def _serve(control: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=control, limit=_MAX_LINE)
    start = json.loads(await reader.readline())
    logging.basicConfig(level=start["log_level"], format=start["log_format"])
    _follow_log_style(start["log_style"])
    try:
        async with TurnService(restore_turn(start["config"]), place=_place(start)) as service:
            for port in start["denied_ports"]:
                service.deny_own_port(port)
            for call in start["ended_calls"]:
                service.end_call(call)
            if start["draining"]:
                service.drain()
            _say(writer, {"type": "open"})
            while line := await reader.readline():
                _do(service, json.loads(line), writer)
    except (ConfigError, ListenError) as error:
        _say(writer, {"type": "failed", "error": str(error)})
    writer.close()


def _follow_log_style(style: dict[str, Any] | None) -> None:
    if style is None:
        return
    key = style["redaction_key"]
    redactor = None if key is None else Redactor(bytes.fromhex(key))
    for handler in logging.getLogger().handlers:
        handler.setFormatter(LogFormatter(as_json=style["as_json"], redactor=redactor))


def _place(start: dict[str, Any]) -> WorkerPlace:
    """Return the sockets and the memory that came by inheritance."""
    sockets = {
        kind: {host: socket.socket(fileno=number) for host, number in by_host.items()}
        for kind, by_host in start["sockets"].items()
    }
    fleet = Fleet(
        map_memory(start["memory"]),
        index=start["index"],
        count=len(start["sending"]),
        key=bytes.fromhex(start["key"]),
        lock=FileLock(start["memory"]),
    )
    link = Link(
        fleet.index,
        socket.socket(fileno=start["receiving"]),
        [socket.socket(fileno=number) for number in start["sending"]],
    )
    return WorkerPlace(sockets, link, fleet)


def _do(service: TurnService, order: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    match order["do"]:
        case "metrics":
            _say(writer, {"type": "metrics", "metrics": service.metrics.dump()})
        case "drain":
            service.drain()
        case "reload":
            try:
                service.reload()
            except ConfigError as error:
                logger.error("TURN: %s; the old certificate stays", error)  # noqa: TRY400
        case "read_interfaces":
            service.read_interfaces()
        case "deny_own_port":
            service.deny_own_port(order["port"])
        case "end_call":
            service.end_call(order["call"])
        case what:
            logger.error("TURN: a worker does not know how to %r", what)


def _say(writer: asyncio.StreamWriter, what: dict[str, Any]) -> None:
    writer.write(json.dumps(what).encode() + b"\n")


def main() -> int:
    """Serve until the supervisor lets go."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        run(_serve(control))
    except Exception:  # for the log, which has one form and may have to name nobody
        logger.critical("TURN: a worker failed", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
