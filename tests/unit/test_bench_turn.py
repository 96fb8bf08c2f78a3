"""The TURN benchmark says what it measured, and hides no loss."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("turn")
    for name in ("turn", "turn_load", "machine"):
        sys.modules.pop(name, None)


def result() -> dict[str, Any]:
    cell = {"received": 1000, "lost": 0.0, "per_second": 9000.0, "microseconds": 20.0}
    row = {"mode": "peer", "clients": 20, "size": 160, "coturn": cell}
    row |= {"python": cell | {"microseconds": 30.0, "lost": 0.25}}
    row |= {"compiled": cell | {"microseconds": 15.0}}
    state = {
        "server": "python",
        "allocations_per_second": 1234.5,
        "allocation_microseconds": 500.0,
        "allocation_bytes": 4096.0,
        "forged_requests": 100_000,
        "forged_bytes_grown": 2048,
    }
    return {"about": {"date": "2026-01-01"}, "relayed": [row], "state": [state]}


def test_the_table_has_ratios_losses_and_what_was_asked(bench: ModuleType) -> None:
    table = bench.as_table(result())
    assert "| peer | 20 | 160 | 20.0 (1.00) | 30.0 (1.50) | 15.0 (0.75) | 9,000 |" in table
    assert "9,000, 25.0% lost" in table
    assert "peer python 1.50 (at most 1.8); peer compiled 0.75 (at most 0.9)" in table
    assert "| python | 500 | 2,000 | 1,234 | 4.0 | 2 |" in table
    assert "pair" not in table.partition("Median")[2]  # none was measured


def test_our_servers_run_with_the_data_plane_that_their_name_says(bench: ModuleType) -> None:
    names = [server.name for server in bench.servers()]
    assert names == ["coturn", "python", "compiled"]
    for server in bench.servers()[1:]:
        assert server._environment["RINGLINE_TURN_DATA_PLANE"] == server.name
