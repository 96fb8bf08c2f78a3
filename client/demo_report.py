"""Demo report: what ``report.json`` says about a demo call."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from ringline.client.demo_stats import DirectionStats
from ringline.client.verify_recording import RecordingFacts

__all__ = ["REPORT_VERSION", "make_report", "sum_repairs", "summarize"]

REPORT_VERSION: Final = 1
"""Grows when a field changes its meaning or goes away; new fields do not change it."""


def make_report(
    directions: Mapping[str, Sequence[DirectionStats]],
    *,
    network: str,
    recording: RecordingFacts | None = None,
    problems: Sequence[str] = (),
) -> dict[str, object]:
    """Return the content of ``report.json``, ready for :func:`json.dumps`.

    Args:
        directions: Rows second by second, by a name for people such as ``lab -> desk``.
        network: Name of the link between the two.
        recording: What was found in the recording.
        problems: Why the demo counts as failed, one line each; none if it went well.

    """
    return {
        "version": REPORT_VERSION,
        "ok": not problems,
        "problems": list(problems),
        "network": network,
        "recording": None if recording is None else asdict(recording),
        "directions": {
            name: {"summary": summarize(rows), "seconds": [asdict(row) for row in rows]}
            for name, rows in directions.items()
        },
    }


def summarize(rows: Sequence[DirectionStats]) -> dict[str, object]:
    """Return one direction in a few numbers; units as in :class:`DirectionStats`.

    Means are over the seconds, medians and percentiles over those with a measurement; a number
    that nothing was measured for is :obj:`None`.
    """
    last = rows[-1] if rows else None
    latencies = [row.latency for row in rows if row.latency is not None]
    sound_latencies = [row.sound_latency for row in rows if row.sound_latency is not None]
    scores = [row.score for row in rows if row.score is not None]
    round_trips = [row.round_trip for row in rows if row.round_trip is not None]
    return {
        "path": last.path if last else "",
        "width": last.width if last else 0,
        "height": last.height if last else 0,
        "frames_per_second": _mean([row.frames_per_second for row in rows]),
        "bitrate": _mean([row.bitrate for row in rows]),
        "target_bitrate": _mean([row.target_bitrate for row in rows]),
        "loss": _mean([row.loss for row in rows]),
        "round_trip": _percentile(round_trips, 0.5),
        "latency_p50": _percentile(latencies, 0.5),
        "latency_p95": _percentile(latencies, 0.95),
        "freezes": sum(row.freezes for row in rows),
        "frozen_seconds": sum(row.frozen_seconds for row in rows),
        "concealed_ms": sum(row.concealed_ms for row in rows),
        "sound_latency_p50": _percentile(sound_latencies, 0.5),
        "sound_latency_p95": _percentile(sound_latencies, 0.95),
        "score": _mean(scores),
        "score_p5": _percentile(scores, 0.05),
        "repairs": sum_repairs(rows),
    }


def sum_repairs(rows: Sequence[DirectionStats]) -> dict[str, int]:
    """Return what came back to life over all rows, by mechanism."""
    total: dict[str, int] = {}
    for row in rows:
        for mechanism, count in row.repairs.items():
            total[mechanism] = total.get(mechanism, 0) + count
    return total


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile: always a value that occurred."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
