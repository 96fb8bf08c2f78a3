"""TURN: our server beside coturn, in one run on one machine.

    python benchmarks/turn.py             three rounds of everything; it tells how far it is
    python benchmarks/turn.py --quick     one short round, some two minutes, only shown

Each server has a core of its own, clients and peer have the other one.  The servers take turns,
so that what disturbs the machine disturbs all of them; a number is the median of its rounds.
Needs Linux with two cores and Debian's ``coturn``, whose client makes the load.
"""

# ruff: noqa: INP001, T201, TID251 - a script, one that says what it does and asks for the date

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from machine import processor
from turn_load import (
    CLIENT_CORE,
    HOST,
    PASSWORD,
    REALM_NAME,
    USER,
    Allocating,
    Server,
    forge_requests,
    relay_messages,
    running_peer,
)

__all__ = ["as_table", "main", "measure"]

_RESULTS: Final = Path(__file__).parent / "results"
_PORTS: Final = {"coturn": 34_700, "python": 34_740, "compiled": 34_760}
_PEER_PORT: Final = 34_720
_TOOLS: Final = ("turnserver", "turnutils_uclient", "turnutils_peer", "taskset")
_LOADS: Final = ((20, 160, 2000), (20, 1200, 2000), (200, 160, 200))
"""Clients, bytes of a message, and messages of each client: 40,000 in all, which take coturn's
client some eight seconds.  To let 200 clients in is a good part of what they cost."""

_GOALS: Final = {
    ("peer", "python"): 1.8,
    ("peer", "compiled"): 0.9,
    ("pair", "python"): 1.2,
    ("pair", "compiled"): 0.6,
}
"""Processor time for a message, as a multiple of coturn's, that is asked for at most."""


def servers() -> list[Server]:
    """Return what is compared; coturn as Debian builds it, with one thread that relays."""
    coturn = (
        f"turnserver -n -L {HOST} -E {HOST} -p {_PORTS['coturn']} -a -u {USER}:{PASSWORD} "
        f"-r {REALM_NAME} -m 1 --no-tls --no-dtls --no-cli --allow-loopback-peers "
        "--no-stdout-log --log-file /dev/null --pidfile /dev/null"
    )
    ours = (
        f"-m ringline.client turn --host {HOST} --user {USER}:{PASSWORD} --allow-peer 127.0.0.0/8"
    )
    limits = {
        "RINGLINE_TURN_MAX_ALLOCATIONS_PER_USER": "100000",
        "RINGLINE_TURN_UNAUTHENTICATED_REPLY_BURST": "100000",
    }
    return [
        Server("coturn", coturn.split(), _PORTS["coturn"]),
        *(
            Server(
                plane,
                [sys.executable, *ours.split(), "--port", str(_PORTS[plane])],
                _PORTS[plane],
                limits | {"RINGLINE_TURN_DATA_PLANE": plane},
            )
            for plane in ("python", "compiled")
        ),
    ]


def measure(
    *, rounds: int, loads: Sequence[tuple[int, int, int]], allocations: int, forged: int
) -> dict[str, Any]:
    """Measure everything.

    Args:
        rounds: Of each combination.
        loads: Clients at once, bytes of a message, and messages of each client.
        allocations: To make in a row, and to hold at once.
        forged: Requests from addresses that are nobody's.

    """
    relayed: dict[tuple[str, int, int], dict[str, list[Any]]] = {}
    cells = [(mode, *load) for mode in ("peer", "pair") for load in loads]
    with running_peer(_PEER_PORT):
        for number in range(rounds):
            for cell in cells:
                mode, count, size, messages = cell
                print(
                    f"round {number + 1}: {mode}, {count} clients, {size} bytes ...",
                    file=sys.stderr,
                )
                for server in servers():
                    with server:
                        load = relay_messages(
                            server,
                            mode=mode,
                            clients=count,
                            messages=messages,
                            size=size,
                            peer_port=_PEER_PORT,
                        )
                    relayed.setdefault((mode, count, size), {}).setdefault(server.name, []).append(
                        load
                    )
    states = []
    for server in servers():
        print(f"allocations of {server.name} ...", file=sys.stderr)
        states.append(_measure_state(server, allocations, forged))
    return {
        "about": _about(),
        "relayed": [
            {
                "mode": mode,
                "clients": count,
                "size": size,
                **{name: _medians(loads) for name, loads in by_server.items()},
            }
            for (mode, count, size), by_server in relayed.items()
        ],
        "state": states,
    }


def _measure_state(server: Server, allocations: int, forged: int) -> dict[str, Any]:
    """Measure what allocations and requests cost that lead to none."""
    with server:
        clients = Allocating(server)
        clients.allocate(allocations // 10)  # until everything has been used once
        clients.release()
        before = server.memory
        rate, microseconds = clients.allocate(allocations)
        each = (server.memory - before) / allocations
        clients.release()
        forge_requests(server, forged // 10)
        before = server.memory
        forge_requests(server, forged, first=forged // 10)
        grown = server.memory - before
    return {
        "server": server.name,
        "allocations_per_second": rate,
        "allocation_microseconds": microseconds,
        "allocation_bytes": each,
        "forged_requests": forged,
        "forged_bytes_grown": grown,
    }


def _medians(loads: list[Any]) -> dict[str, float]:
    rows = [asdict(load) for load in loads]
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def _about() -> dict[str, str]:
    """Return what a reader must know of the machine; nothing that tells whose it is."""
    version = subprocess.run(
        ["turnserver", "--version"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "coturn": version[0] if version else "unknown",
    }


def as_table(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    about = ", ".join(f"{key} {value}" for key, value in result["about"].items())
    lines = [
        "# TURN",
        "",
        f"By `make bench-turn`: {about}. Each server has one core, clients and peer the other.",
        "",
        "## Relayed messages",
        "",
        "Microseconds of the server's processor time for each message that came back, in brackets",
        "as a multiple of coturn's, and messages received a second. `peer`: to a peer outside and",
        "back, so that each is relayed twice; `pair`: from client to client, both relayed.",
        "",
        (
            "| mode | clients | bytes | coturn | python | compiled | a second: coturn | python "
            "| compiled |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in result["relayed"]:
        costs, rates = [], []
        for name in _PORTS:
            cell = row[name]
            ratio = cell["microseconds"] / row["coturn"]["microseconds"]
            costs.append(f"{cell['microseconds']:.1f} ({ratio:.2f})")
            lost = f", {cell['lost']:.1%} lost" if cell["lost"] > 0 else ""
            rates.append(f"{cell['per_second']:,.0f}{lost}")
        lines.append(
            f"| {row['mode']} | {row['clients']} | {row['size']} | {' | '.join(costs + rates)} |"
        )
    lines += ["", _verdict(result), "", "## Allocations", ""]
    lines += [
        "An allocation is asked for twice, as the first answer brings the nonce. How many a core",
        "makes in a second is by the server's processor time for each. Memory is the server's",
        "resident set: what each of the allocations held at once takes, and what",
        f"{result['state'][0]['forged_requests']:,} requests from as many addresses leave behind.",
        "",
        (
            "| server | µs each | a second a core | a second, one client after the other "
            "| KiB each | KiB after forged ones |"
        ),
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['server']} | {row['allocation_microseconds']:.0f} "
        f"| {1e6 / row['allocation_microseconds']:,.0f} | {row['allocations_per_second']:,.0f} "
        f"| {row['allocation_bytes'] / 1024:.1f} | {row['forged_bytes_grown'] / 1024:.0f} |"
        for row in result["state"]
    ]
    return "\n".join([*lines, ""])


def _verdict(result: dict[str, Any]) -> str:
    """Say how far what was asked for is reached, over all rows of a mode."""
    parts = []
    for (mode, plane), goal in _GOALS.items():
        ratios = [
            row[plane]["microseconds"] / row["coturn"]["microseconds"]
            for row in result["relayed"]
            if row["mode"] == mode
        ]
        if ratios:
            parts.append(f"{mode} {plane} {statistics.median(ratios):.2f} (at most {goal})")
    return f"Median multiple of coturn's: {'; '.join(parts)}."


def main() -> int:
    """Measure, write and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, and write nothing")
    parser.add_argument("--rounds", type=int, default=3, help="of each combination (3)")
    arguments = parser.parse_args()
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or (os.cpu_count() or 1) < 2:
        need = f"not there: {', '.join(missing)}" if missing else "one core is too few"
        print(f"make bench-turn needs two cores and Debian's coturn; {need}", file=sys.stderr)
        return 1
    os.sched_setaffinity(0, {int(CLIENT_CORE)})  # as some of the clients are in this process
    if arguments.quick:
        result = measure(rounds=1, loads=_LOADS[:1], allocations=500, forged=5_000)
    else:
        result = measure(
            rounds=arguments.rounds,
            loads=_LOADS,
            allocations=3_000,
            forged=100_000,
        )
    table = as_table(result)
    if not arguments.quick:
        _RESULTS.mkdir(exist_ok=True)
        (_RESULTS / "turn.json").write_text(json.dumps(result, indent=1) + "\n")
        (_RESULTS / "turn.md").write_text(table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
