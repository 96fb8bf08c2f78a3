"""Demo verdict: did both sides really see and hear each other, and how was it, in plain words.

The demo's exit code hangs on this, so it believes nothing but what was played at each side and
what is in the recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ringline.client.demo_report import summarize
from ringline.client.demo_stats import DirectionStats
from ringline.client.verify_recording import RecordingFacts
from ringline.client.witness import Impression

__all__ = ["describe_direction", "find_problems"]

_LEAST_SHARE: Final = 0.5
"""Of the call that must be seen moving and heard.  A bad network may take half; less than that
nobody would call seeing and hearing each other."""


def find_problems(
    impressions: Mapping[str, Impression | None],
    recording: RecordingFacts | None,
    *,
    recorder: str,
    seconds: float,
) -> list[str]:
    """Return why the demo failed, one line each; an empty list if it went well.

    Args:
        impressions: What each side saw and heard, by its name; :obj:`None` if it never told.
        recording: What is in the recording, or :obj:`None` if there is none.
        recorder: Whose recording it is.
        seconds: How long they were to talk.

    """
    least = seconds * _LEAST_SHARE
    problems = []
    for name, impression in impressions.items():
        if impression is None:
            problems.append(f"{name} never got into the call")
            continue
        if impression.moving_seconds < least:
            problems.append(
                f"{name} saw a moving picture for {impression.moving_seconds:.1f} s of "
                f"{seconds:g} s ({impression.pictures} pictures)"
            )
        if impression.heard_seconds < least:
            problems.append(f"{name} heard {impression.heard_seconds:.1f} s of {seconds:g} s")
    if recording is None:
        problems.append(f"there is no recording of what {recorder} saw and heard")
        return problems
    if recording.moving_seconds < least:
        problems.append(
            f"the recording has {recording.moving_seconds:.1f} s of moving picture, "
            f"expected {least:g} s or more"
        )
    if recording.speech_seconds < least:
        problems.append(
            f"the recording has {recording.speech_seconds:.1f} s of speech, "
            f"expected {least:g} s or more"
        )
    return problems


def describe_direction(
    watcher: str, watched: str, rows: Sequence[DirectionStats], impression: Impression | None
) -> str:
    """Return one direction of a call in a sentence or two."""
    if not rows or impression is None:
        return f"{watcher} got nothing from {watched}."
    summary = summarize(rows)
    size = f" at {summary['width']}x{summary['height']}" if summary["width"] else ""
    way = {"direct": "directly", "relay": "through the TURN relay"}.get(rows[-1].path, "")
    sentence = (
        f"{watcher} saw {watched} move for {impression.moving_seconds:.1f} s{size} "
        f"and heard {impression.heard_seconds:.1f} s"
    )
    sentence += f", {way}." if way else "."
    details = [f"{_mean_rate(rows) / 1000:.0f} kbit/s"]
    latencies = sorted(row.latency for row in rows if row.latency is not None)
    if latencies:
        middle = latencies[len(latencies) // 2] * 1000
        details.append(f"{middle:.0f} ms from camera to screen")
    freezes = sum(row.freezes for row in rows)
    frozen = sum(row.frozen_seconds for row in rows)
    if freezes:
        details.append(f"{freezes} freeze{'' if freezes == 1 else 's'} ({frozen:.1f} s)")
    else:
        details.append("no freeze")
    scores = [row.score for row in rows if row.score is not None]
    if scores:
        details.append(f"scored {sum(scores) / len(scores):.1f} of 5")
    if impression.first_picture is not None:
        details.append(f"first picture after {impression.first_picture:.2f} s")
    return f"{sentence} {', '.join(details).capitalize()}."


def _mean_rate(rows: Sequence[DirectionStats]) -> float:
    return sum(row.bitrate for row in rows) / len(rows)
