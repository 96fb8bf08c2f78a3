"""Bench: what the engine costs and what it is worth, as JSON and as a table to read.

    python benchmarks/bench.py            all of it, some ten minutes; written to results/
    python benchmarks/bench.py --quick    a tenth of it, only shown

Times are of this machine and of one thread; quality does not depend on the machine.
"""

# ruff: noqa: INP001, T201, TID251 - a script, one that says what it does and asks for the date

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from machine import processor
from material import draw_pictures, synthetic_voice
from quality import COLUMNS, Material, default_seconds, measure_call, median_score
from stages import measure_call_cost, measure_stages

from ringline.media.codecs import CodecRegistry
from ringline.media.simulate import PROFILES

__all__ = ["main"]

_RESULTS: Final = Path(__file__).parent / "results"
_CALLS: Final = ((640, 360, 30.0), (320, 240, 15.0))

_GOALS: Final[dict[str, dict[str, float]]] = {
    "clean": {"frozen_percent": 0, "delay_p50_ms": 45, "delay_p95_ms": 60, "pesq": 4.3},
    "loss5": {"frozen_percent": 0, "delay_p50_ms": 100, "delay_p95_ms": 150, "pesq": 4.0},
    "loss20": {"frozen_percent": 1, "delay_p50_ms": 150, "delay_p95_ms": 250, "pesq": 3.3},
    "burst": {"frozen_percent": 1, "delay_p50_ms": 130, "delay_p95_ms": 250, "pesq": 3.0},
    "g3": {"frozen_percent": 0, "delay_p50_ms": 170, "delay_p95_ms": 220, "pesq": 4.2},
    "g2": {"frozen_percent": 1, "delay_p50_ms": 250, "delay_p95_ms": 400, "pesq": 3.7},
    "step": {"frozen_percent": 1, "delay_p50_ms": 120, "delay_p95_ms": 300, "pesq": 4.0},
    "outage": {"frozen_percent": 9, "delay_p50_ms": 80, "delay_p95_ms": 120, "pesq": 4.0},
}
"""What a call is to reach on the links that are scored."""


def measure(*, seconds: float, seeds: int, networks: list[str]) -> dict[str, Any]:
    """Measure everything.

    Args:
        seconds: Of the call in which each stage is timed.
        seeds: Calls on each network.
        networks: By name.

    """
    print("stages ...", file=sys.stderr)
    stages = measure_stages(seconds=seconds)
    costs, codecs = [], {}
    for width, height, frame_rate in _CALLS:
        print(f"a call of {width}x{height} ...", file=sys.stderr)
        cost, times = measure_call_cost(width, height, frame_rate, seconds=seconds)
        costs.append(asdict(cost))
        codecs[cost.name] = [asdict(time) for time in times]
    return {
        "about": _about(),
        "stages": [asdict(time) for time in stages],
        "calls": costs,
        "codecs": codecs,
        "quality": {name: _quality(name, seeds) for name in networks},
        "quality_seeds": seeds,
    }


def _quality(name: str, seeds: int) -> dict[str, float | None]:
    print(f"quality on {name} ...", file=sys.stderr)
    network = PROFILES[name]
    seconds = default_seconds(network)
    material = Material(picture=draw_pictures(640, 360, 30.0), voice=synthetic_voice(seconds + 1))
    codecs = CodecRegistry()
    return median_score(
        [
            measure_call(network, material, codecs, seconds=seconds, seed=seed)
            for seed in range(1, seeds + 1)
        ]
    )


def _about() -> dict[str, str]:
    """Return what a reader must know of the machine; nothing that tells whose it is."""
    implementations = CodecRegistry().implementations
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "av": av.__version__,
        "codecs": ", ".join(one.name or "none" for one in implementations),
    }


def as_table(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    about = ", ".join(f"{key} {value}" for key, value in result["about"].items())
    lines = [
        "# Benchmarks",
        "",
        f"By `make bench`: {about}.",
        "",
        "## Quality",
        "",
        f"Real codecs over simulated networks, median of {result['quality_seeds']} calls; after",
        "the slash what the engine is to reach, delays there with those of devices and codecs.",
        "PSNR and PESQ are of the drawn picture and the synthetic voice. `benchmarks/quality.py`",
        "says what each column is.",
        "",
        _line("network", *(heading for heading, _, _, _ in COLUMNS)),
        _line("---", *("---:" for _ in COLUMNS)),
    ]
    for name, score in result["quality"].items():
        goals = _GOALS.get(name, {})
        cells = [_cell(score[field], digits, goals.get(field)) for _, _, digits, field in COLUMNS]
        lines.append(_line(name, *cells))
    lines += [
        "",
        "## Processor time of one peer of a two-way call",
        "",
        "Share of one core, on an open link. The road is everything but codecs, encryption and",
        "sockets.",
        "",
        _line("call", "road", "codecs", "together"),
        _line("---", "---:", "---:", "---:"),
    ]
    for cost in result["calls"]:
        both = cost["road"] + cost["codecs"]
        shares = [f"{share:.3f}" for share in (cost["road"], cost["codecs"], both)]
        lines.append(_line(cost["name"], *shares))
    lines += [
        "",
        "## Stages",
        "",
        "Microseconds of processor time, in a two-way call of 640x360.",
        "",
    ]
    lines += _times("stage", result["stages"])
    for name, times in result["codecs"].items():
        lines += ["", f"## Codecs, {name}", ""]
        lines += _times("codec", times)
    return "\n".join([*lines, ""])


def _times(heading: str, times: list[dict[str, Any]]) -> list[str]:
    rows = [_line(heading, "for each", "median", "p95"), _line("---", "---", "---:", "---:")]
    rows += [
        _line(time["stage"], time["per"], f"{time['median']:.1f}", f"{time['p95']:.1f}")
        for time in times
    ]
    return rows


def _cell(value: float | None, digits: int, goal: float | None) -> str:
    text = "-" if value is None else f"{value:.{digits}f}"
    return text if goal is None else f"{text} / {goal:.{digits}f}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure, write and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of it, and write nothing")
    parser.add_argument("--seeds", type=int, default=3, help="calls on each network (3)")
    arguments = parser.parse_args()
    if arguments.quick:
        result = measure(seconds=3.0, seeds=1, networks=["clean", "loss20"])
    else:
        result = measure(seconds=10.0, seeds=arguments.seeds, networks=list(PROFILES))
    table = as_table(result)
    if not arguments.quick:
        _RESULTS.mkdir(exist_ok=True)
        (_RESULTS / "results.json").write_text(json.dumps(result, indent=1) + "\n")
        (_RESULTS / "README.md").write_text(table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
